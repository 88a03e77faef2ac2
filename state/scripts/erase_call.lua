-- Delete all that is kept of one ended call under its own keys.
-- KEYS: 1 call, 2 events, 3 sip trace, 4 outbox, 5 outbox attempt, 6 outbox due   ARGV: 1 key root, 2 call id
-- Returns 1, or 0 for a call that lives
local call = redis.call('HMGET', KEYS[1], 'state', 'enterprise_id', 'caller', 'callee')
if call[1] then
  if call[1] ~= 'disconnected' and call[1] ~= 'failed' then return 0 end
  local pair = ARGV[1] .. 'pair:' .. call[2] .. ':' .. call[3] .. ':' .. call[4]
  if redis.call('GET', pair) == ARGV[2] then redis.call('DEL', pair) end
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[6], ARGV[2])
return 1
