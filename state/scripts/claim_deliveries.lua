-- Lease calls whose oldest undelivered event is due: until the lease ends no other notifier sees them.
-- KEYS: 1 outbox due   ARGV: 1 key root, 2 lease in ms, 3 at most
-- Returns {call id, event JSON, failed attempts, ...}, flat
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = {}
for _, call_id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[3]))) do
  local event = redis.call('LINDEX', ARGV[1] .. 'outbox:' .. call_id, 0)
  if event then
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), call_id)
    claimed[#claimed + 1] = call_id
    claimed[#claimed + 1] = event
    claimed[#claimed + 1] = redis.call('HGET', ARGV[1] .. 'outbox:' .. call_id .. ':attempt', 'failed') or '0'
  else
    redis.call('ZREM', KEYS[1], call_id)
  end
end
return claimed
