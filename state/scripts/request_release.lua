-- Ask the engine that owns a live call to end it.
-- KEYS: 1 call   ARGV: 1 key root, 2 call id
-- Returns 'requested' | 'ended' | 'unknown'
local current = redis.call('HMGET', KEYS[1], 'state', 'engine_id')
if not current[1] then return 'unknown' end
if current[1] == 'disconnected' or current[1] == 'failed' then return 'ended' end
redis.call('XADD', ARGV[1] .. 'engine:' .. current[2] .. ':commands', '*', 'command', 'release', 'call_id', ARGV[2])
return 'requested'
