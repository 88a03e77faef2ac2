-- Tell a call's record of a recording that was saved after its engine had died. If the call still has to be ended,
-- transition.lua finds the path.
-- KEYS: 1 call   ARGV: 1 path relative to the recording root
-- Returns 1, or 0 if there is no record (any more)
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 0 end
redis.call('HSET', KEYS[1], 'recording_path', ARGV[1])
if state == 'disconnected' or state == 'failed' then
  redis.call('HSET', KEYS[1], 'recording_result', 'success')
end
return 1
