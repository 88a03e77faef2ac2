-- Forget an engine that fell silent, unless it came back or still owns a live call. In one step: between a look
-- and a deletion it could return and be given a call, whose command would be deleted.
-- KEYS: 1 engines, 2 engine, 3 commands, 4 engine's calls   ARGV: 1 engine id, 2 engine lost after (ms)
-- Returns 1 if it was forgotten, else 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not last or tonumber(last) >= now - tonumber(ARGV[2]) then return 0 end
if redis.call('SCARD', KEYS[4]) > 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
return 1
