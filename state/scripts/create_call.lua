-- Create a call: refuse a duplicate pair and what exceeds the enterprise's limits, reserve a slot on the engine with
-- the most room and seconds of its pool, write the record, append the first event and the engine's command. All or nothing.
-- KEYS: 1 call, 2 events, 3 pair, 4 engines, 5 outbox, 6 outbox due, 7 wake channel, 8 the enterprise's live calls,
--       9 its pace, then one for each of the further limits, then the idempotency key if there is one
-- ARGV: 1 key root, 2 call id, 3 record (flat JSON object), 4 event JSON, 5 engine lost after (ms),
--       6 live calls at most or '', 7 calls per second at most or '',
--       8 the further limits (JSON array of {calls, milliseconds}), 9 what the engine is told besides the record (flat
--       JSON object), 10 the enterprise's pool (flat JSON object) or '': none,
--       with an idempotency key: 11 fingerprint of the request, 12 how long the key is kept (s)
-- Returns {'placed', engine id} | {'duplicate', call id} | {'no_room'} | {'no_recorder'} | {'repeated', call id} |
--         {'key_reused'} | {'too_many_calls'} | {'too_fast', milliseconds until the next one may be made} |
--         {'too_often', index of the further limit from 0, milliseconds until it allows another} |
--         {'quota_exceeded', 1 if live calls may give enough back}
local root, call_id, lost_after = ARGV[1], ARGV[2], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local limits = cjson.decode(ARGV[8])
local first_limit = 10
local idempotency = KEYS[first_limit + #limits]

if idempotency then
  local kept = redis.call('HMGET', idempotency, 'fingerprint', 'call_id')
  if kept[1] == ARGV[11] then return {'repeated', kept[2]} end
  if kept[1] then return {'key_reused'} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('a call of this id exists') end
local other = redis.call('GET', KEYS[3])
if other then return {'duplicate', other} end

if ARGV[6] ~= '' and redis.call('SCARD', KEYS[8]) >= tonumber(ARGV[6]) then return {'too_many_calls'} end
-- The generic cell rate algorithm (ITU-T I.371), with a second's worth at once.
local paid_until = nil
if ARGV[7] ~= '' then
  local interval, burst = 1000 / tonumber(ARGV[7]), math.max(1, tonumber(ARGV[7]))
  paid_until = math.max(now, tonumber(redis.call('GET', KEYS[9]) or '0')) + interval
  local early = paid_until - now - burst * interval
  if early > 0 then return {'too_fast', math.ceil(early)} end
end

-- Each limit's calls by their time: what counts is when the one was made that makes another one too many.
local too_often, wait = nil, 0
for i, limit in ipairs(limits) do
  local last = redis.call('ZREVRANGE', KEYS[first_limit + i - 1], limit.calls - 1, limit.calls - 1, 'WITHSCORES')
  local left = last[2] and tonumber(last[2]) + limit.milliseconds - now or 0
  if left > wait then too_often, wait = i - 1, left end
end
if too_often then return {'too_often', too_often, math.ceil(wait)} end

local record, pool = cjson.decode(ARGV[3]), ARGV[10] ~= '' and cjson.decode(ARGV[10])
if pool then
  open_pool(root, record.enterprise_id, pool, tonumber(time[1]))
  if free_seconds(root, record.enterprise_id) < pool.minimum then
    local balance = number_of(pool_key(root, record.enterprise_id), 'balance')
    return {'quota_exceeded', balance >= pool.minimum and 1 or 0}
  end
end
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
if pool then
  record.billing_increment, record.quota_slice = tostring(pool.increment), tostring(pool.slice)
  record.granted_seconds = tostring(reserve(root, record.enterprise_id, call_id, pool.slice))
end
local flat = {}
for field, value in pairs(record) do
  flat[#flat + 1] = field
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('SET', KEYS[3], call_id)
redis.call('SADD', KEYS[8], call_id)
if paid_until then
  redis.call('SET', KEYS[9], string.format('%.3f', paid_until), 'PX', math.ceil(paid_until - now) + 1000)
end
for i, limit in ipairs(limits) do
  local calls = KEYS[first_limit + i - 1]
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', now - limit.milliseconds)
  redis.call('ZADD', calls, now, call_id)
  redis.call('PEXPIRE', calls, limit.milliseconds)
end
if idempotency then
  redis.call('HSET', idempotency, 'fingerprint', ARGV[11], 'call_id', call_id)
  redis.call('EXPIRE', idempotency, ARGV[12])
end
redis.call('SADD', root .. 'engine:' .. chosen .. ':calls', call_id)
redis.call('XADD', KEYS[2], '*', 'event', ARGV[4])
-- The v1 generation has no word for `initiating`.
if record.sink and record.generation ~= 'v1' then
  redis.call('RPUSH', KEYS[5], ARGV[4])
  redis.call('ZADD', KEYS[6], 'NX', now, call_id)
  redis.call('PUBLISH', KEYS[7], call_id)
end
-- The engine sends no events: where they go, and with which token, is none of its business.
for _, field in ipairs({'', '_token', '_token_expires_at', '_client_id', '_token_uri'}) do record['sink' .. field] = nil end
for field, value in pairs(cjson.decode(ARGV[9])) do record[field] = value end
redis.call('XADD', root .. 'engine:' .. chosen .. ':commands', '*',
  'command', 'dial', 'call_id', call_id, 'record', cjson.encode(record))
return {'placed', chosen}
