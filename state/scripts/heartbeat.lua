-- An engine says that it is alive.
-- KEYS: 1 engines, 2 engine   ARGV: 1 engine id, then field, value ...
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1
