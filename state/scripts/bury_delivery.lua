-- The oldest undelivered event of an owner will not be delivered: keep it as a dead letter and make the next one due.
-- If no event of the owner can be delivered any more, bury those that wait too, and say so in the record, so that
-- later ones follow them (transition.lua, tell_low_water.lua). The record counts its dead letters (settle_delivery.lua).
-- A notifier whose lease was lost buries nothing.
-- KEYS: 1 outbox, 2 attempt, 3 record, 4 dead letters
-- ARGV: 1 key root, 2 sink, 3 owner, 4 event JSON, 5-9 of the attempt (note_attempt), 10 reason,
--       11 '1' to bury all of the owner, 12 retention in ms
-- Returns how many events are still to be delivered, or -1
local queue, now = queue_of(ARGV[1], ARGV[2]), milliseconds()
note_attempt(queue, now, ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9])
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[4] then
  schedule(queue)
  return -1
end
local oldest = string.format('%.0f', math.max(0, now - ARGV[12]))
local buried = ARGV[11] == '1' and redis.call('LLEN', KEYS[1]) or 1
for _ = 1, buried do
  local event = redis.call('LPOP', KEYS[1])
  redis.call('XADD', KEYS[4], 'MINID', '~', oldest, '*', 'event', event, 'reason', ARGV[10])
end
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HINCRBY', KEYS[3], 'dead_letters', buried)
  if ARGV[11] == '1' then redis.call('HSET', KEYS[3], 'delivery_stopped', ARGV[10]) end
  -- Of no use to anybody, also if the letters are sent again: `sink_token_expires_at` stays.
  if ARGV[10] == 'token_expired' then redis.call('HDEL', KEYS[3], 'sink_token') end
end
local left = redis.call('LLEN', KEYS[1])
give_back(queue, now, ARGV[3], left > 0 and now or nil)
return left
