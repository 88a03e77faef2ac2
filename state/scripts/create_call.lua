-- Create a call: refuse a duplicate pair, reserve a slot on the engine with the most room, write the record,
-- append the first event and the engine's command. All or nothing.
-- KEYS: 1 call, 2 events, 3 pair, 4 engines, 5 outbox, 6 outbox due, 7 wake channel, 8 idempotency key if there is one
-- ARGV: 1 key root, 2 call id, 3 record (flat JSON object), 4 event JSON, 5 engine lost after (ms),
--       with an idempotency key: 6 fingerprint of the request, 7 how long the key is kept (s)
-- Returns {'placed', engine id} | {'duplicate', call id} | {'no_room'} | {'no_recorder'} | {'repeated', call id} |
--         {'key_reused'}
local root, call_id, lost_after = ARGV[1], ARGV[2], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if KEYS[8] then
  local kept = redis.call('HMGET', KEYS[8], 'fingerprint', 'call_id')
  if kept[1] == ARGV[6] then return {'repeated', kept[2]} end
  if kept[1] then return {'key_reused'} end
end
local other = redis.call('GET', KEYS[3])
if other then return {'duplicate', other} end

local record = cjson.decode(ARGV[3])
local chosen, most_room, any_room = nil, 0, false
for _, engine in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], now - lost_after, '+inf')) do
  local fields = redis.call('HMGET', root .. 'engine:' .. engine, 'state', 'capacity', 'can_record')
  if fields[1] == 'up' then
    local room = tonumber(fields[2]) - redis.call('SCARD', root .. 'engine:' .. engine .. ':calls')
    if room > 0 then any_room = true end
    if room > most_room and (record.recording_enabled ~= 'true' or fields[3] == '1') then
      chosen, most_room = engine, room
    end
  end
end
if not chosen then return {any_room and 'no_recorder' or 'no_room'} end

record.engine_id, record.epoch = chosen, '1'
local flat = {}
for field, value in pairs(record) do
  flat[#flat + 1] = field
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('SET', KEYS[3], call_id)
if KEYS[8] then
  redis.call('HSET', KEYS[8], 'fingerprint', ARGV[6], 'call_id', call_id)
  redis.call('EXPIRE', KEYS[8], ARGV[7])
end
redis.call('SADD', root .. 'engine:' .. chosen .. ':calls', call_id)
redis.call('XADD', KEYS[2], '*', 'event', ARGV[4])
if record.sink then
  redis.call('RPUSH', KEYS[5], ARGV[4])
  redis.call('ZADD', KEYS[6], 'NX', now, call_id)
  redis.call('PUBLISH', KEYS[7], call_id)
end
-- The engine sends no events: where they go, and with which token, is none of its business.
for _, field in ipairs({'', '_token', '_token_expires_at', '_client_id', '_token_uri'}) do record['sink' .. field] = nil end
redis.call('XADD', root .. 'engine:' .. chosen .. ':commands', '*',
  'command', 'dial', 'call_id', call_id, 'record', cjson.encode(record))
return {'placed', chosen}
