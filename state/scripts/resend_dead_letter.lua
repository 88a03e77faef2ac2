-- Put a dead letter back into its owner's outbox, behind whatever waits there; all at once or not at all.
-- KEYS: 1 dead letters, 2 record, 3 outbox, 4 outbox due, 5 wake channel   ARGV: 1 dead letter id, 2 owner
-- Returns 'resent' | 'unknown' (no such letter any more) | 'no_sink' (the record has gone)
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return 'unknown' end
if redis.call('HEXISTS', KEYS[2], 'sink') == 0 then return 'no_sink' end
local fields, event = entry[2], nil
for i = 1, #fields, 2 do
  if fields[i] == 'event' then event = fields[i + 1] end
end
local time = redis.call('TIME')
redis.call('RPUSH', KEYS[3], event)
redis.call('ZADD', KEYS[4], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
redis.call('HDEL', KEYS[2], 'delivery_stopped')
redis.call('HINCRBY', KEYS[2], 'dead_letters', -1)
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[5], ARGV[2])
return 'resent'
