-- An event was not delivered yet: count the attempts that failed and make it due again after a delay.
-- KEYS: 1 outbox, 2 outbox due, 3 attempt   ARGV: 1 call id, 2 event JSON, 3 delay in ms, 4 failed attempts
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[2] then return -1 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]), ARGV[1])
return redis.call('HINCRBY', KEYS[3], 'failed', ARGV[4])
