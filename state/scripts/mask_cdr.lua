-- Put a call detail record's masked form in its place. An entry of a stream cannot be changed, nor another one added
-- at its time, so it moves to a sorted set.
-- KEYS: 1 call detail records, 2 masked ones
-- ARGV: 1 entry id, 2 its time (ms), 3 record JSON, 4 retention in seconds
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', (time[1] - ARGV[4]) * 1000))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
