-- Keep a live call's latest figures of one leg; one that has ended keeps its final ones.
-- KEYS: 1 call
-- ARGV: 1 field, 2 JSON
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'disconnected' or state == 'failed' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
