-- An alarm of a pool was read: take it out of the stream and, if the enterprise wants to be told, put the event into the
-- outbox, both or none. Of all who have read it, one does so.
-- KEYS: 1 alarms, 2 where the pool's events go, 3 outbox, 4 outbox due, 5 wake channel, 6 dead letters
-- ARGV: 1 alarm id, 2 owner, 3 event JSON, 4 enterprise id, 5 sink or '': none, 6 retention of dead letters in ms
-- Returns 1, or 0 if another has done it
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[5] == '' then return 1 end
local kept = redis.call('HMGET', KEYS[2], 'sink', 'delivery_stopped')
-- What one sink has refused says nothing of another one.
if kept[1] ~= ARGV[5] then
  redis.call('HDEL', KEYS[2], 'delivery_stopped')
  kept[2] = false
end
redis.call('HSET', KEYS[2], 'enterprise_id', ARGV[4], 'sink', ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if kept[2] then
  local oldest = string.format('%.0f', math.max(0, now - ARGV[6]))
  redis.call('XADD', KEYS[6], 'MINID', '~', oldest, '*', 'event', ARGV[3], 'reason', kept[2])
  redis.call('HINCRBY', KEYS[2], 'dead_letters', 1)
else
  redis.call('RPUSH', KEYS[3], ARGV[3])
  redis.call('ZADD', KEYS[4], 'NX', now, ARGV[2])
  redis.call('PUBLISH', KEYS[5], ARGV[2])
end
return 1
