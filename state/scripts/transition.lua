-- Move a call to its next state: compare-and-set on (state, epoch), update the record, append to the event
-- stream and to the outbox together; with a terminal state settle what it has talked with the enterprise's
-- pool and write its call detail record. A retry of a transition already applied answers 'applied' again.
-- KEYS: 1 call, 2 events, 3 outbox, 4 outbox due, 5 wake channel, 6 sip trace, 7 call detail records, 8 dead letters
-- ARGV: 1 key root, 2 call id, 3 epoch, 4 event id, 5 event JSON, 6 fields (flat JSON object),
--       7 states it may come from (comma separated), 8 retention in seconds if terminal, else '', 9 new epoch
-- Returns 'applied' | 'fenced' | 'unknown'
local root, call_id = ARGV[1], ARGV[2]
local current = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'last_event', 'sink', 'engine_id',
  'enterprise_id', 'caller', 'callee', 'recording_path', 'delivery_stopped', 'billing_increment')
if not current[1] then return 'unknown' end
if current[3] == ARGV[4] then return 'applied' end
if current[2] ~= ARGV[3] then return 'fenced' end
if not string.find(',' .. ARGV[7] .. ',', ',' .. current[1] .. ',', 1, true) then return 'fenced' end

local fields = cjson.decode(ARGV[6])
-- A recording was saved (attach_recording) after whoever ends the call had looked: the record tells the truth.
if current[9] and fields.recording_result then fields.recording_result = 'success' end
if ARGV[8] ~= '' then
  local talked = tonumber(fields.duration or '0')
  fields.billed_seconds = tostring(settle(root, current[6], call_id, talked, tonumber(current[11] or '1')))
end
local flat = {'last_event', ARGV[4], 'epoch', ARGV[9]}
for field, value in pairs(fields) do
  flat[#flat + 1] = field
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('XADD', KEYS[2], '*', 'event', ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if current[10] then
  redis.call('XADD', KEYS[8], '*', 'event', ARGV[5], 'reason', current[10])
  redis.call('HINCRBY', KEYS[1], 'dead_letters', 1)
elseif current[4] then
  redis.call('RPUSH', KEYS[3], ARGV[5])
  redis.call('ZADD', KEYS[4], 'NX', now, call_id)
  redis.call('PUBLISH', KEYS[5], call_id)
end
if ARGV[8] ~= '' then
  local pair = root .. 'pair:' .. current[6] .. ':' .. current[7] .. ':' .. current[8]
  if redis.call('GET', pair) == call_id then redis.call('DEL', pair) end
  redis.call('SREM', root .. 'engine:' .. current[5] .. ':calls', call_id)
  redis.call('SREM', root .. 'enterprise:' .. current[6] .. ':calls', call_id)
  local record, call = {}, redis.call('HGETALL', KEYS[1])
  for i = 1, #call, 2 do record[call[i]] = call[i + 1] end
  -- Where the events go, and with which token, is nobody's business later.
  for _, field in ipairs({'', '_token', '_token_expires_at', '_client_id', '_token_uri'}) do record['sink' .. field] = nil end
  local oldest = string.format('%.0f', math.max(0, now - ARGV[8] * 1000))
  redis.call('XADD', KEYS[7], 'MINID', '~', oldest, '*', 'record', cjson.encode(record))
  for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[6]}) do redis.call('EXPIRE', key, ARGV[8]) end
end
return 'applied'
