-- Note that call detail records are in files until a later time, if nobody else has done so.
-- KEYS: 1 until when
-- ARGV: 1 what it was, '' for nothing yet, 2 what it becomes
-- Returns 1 if it was so
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
