-- The oldest undelivered event of a call will not be delivered: keep it as a dead letter and make the next one due.
-- If no event of the call can be delivered any more, bury those that wait too, and say so in the record, so that
-- later ones follow them (transition.lua). The record counts its dead letters (settle_delivery.lua).
-- A notifier whose lease was lost buries nothing.
-- KEYS: 1 outbox, 2 outbox due, 3 attempt, 4 wake channel, 5 call, 6 dead letters
-- ARGV: 1 call id, 2 event JSON, 3 reason, 4 '1' to bury all of the call, 5 retention in ms
-- Returns how many events are still to be delivered, or -1
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[2] then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', math.max(0, now - ARGV[5]))
local buried = ARGV[4] == '1' and redis.call('LLEN', KEYS[1]) or 1
for _ = 1, buried do
  local event = redis.call('LPOP', KEYS[1])
  redis.call('XADD', KEYS[6], 'MINID', '~', oldest, '*', 'event', event, 'reason', ARGV[3])
end
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('HINCRBY', KEYS[5], 'dead_letters', buried)
  if ARGV[4] == '1' then redis.call('HSET', KEYS[5], 'delivery_stopped', ARGV[3]) end
  -- Of no use to anybody, also if the letters are sent again: `sink_token_expires_at` stays.
  if ARGV[3] == 'token_expired' then redis.call('HDEL', KEYS[5], 'sink_token') end
end
local left = redis.call('LLEN', KEYS[1])
if left == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('PUBLISH', KEYS[4], ARGV[1])
end
return left
