-- Reserve another slice of the enterprise's pool for a live call. Asked again by an engine that did not hear the answer, it
-- is the same.
-- KEYS: 1 call   ARGV: 1 key root, 2 call id, 3 epoch, 4 seconds granted as the engine knows it
-- Returns the seconds granted in all, or -1: the call has ended, or is another's by now
local root = ARGV[1]
local call = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'enterprise_id', 'granted_seconds', 'quota_slice')
if not call[4] or call[1] == 'disconnected' or call[1] == 'failed' or call[2] ~= ARGV[3] then return -1 end
local granted = tonumber(call[4])
if granted > tonumber(ARGV[4]) then return granted end
renew(root, call[3], tonumber(redis.call('TIME')[1]))
granted = granted + reserve(root, call[3], ARGV[2], tonumber(call[5]))
redis.call('HSET', KEYS[1], 'granted_seconds', granted)
return granted
