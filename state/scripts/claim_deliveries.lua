-- Lease owners (calls and pools) whose oldest undelivered event is due: until the lease ends no other notifier sees them.
-- KEYS: 1 outbox due, 2 sinks, 3 slow sinks
-- ARGV: 1 key root, 2 lease in ms, 3 of prompt sinks at most, 4 of slow ones at most, 5 of one sink at most
-- Returns {ms until something is due or -1, {event JSON, failed attempts, sink, '' | 'slow' | 'down', record}, ...}
local root, lease, per_sink = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local now = milliseconds()
local claimed = {}

-- host:port, as one writes it who leaves nothing out
local function authority(sink)
  local scheme, host = string.match(string.lower(sink), '^(%a+)://([^/?#]*)')
  if not host then return '' end
  if string.find(host, ':%d+$') then return host end
  return host .. (scheme == 'https' and ':443' or ':80')
end

local function distribute()
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)) do
    local record = redis.call('HMGET', record_of(root, owner), 'enterprise_id', 'sink')
    local queue = queue_of(root, (record[1] or '') .. ' ' .. authority(record[2] or ''))
    local due = redis.call('ZSCORE', KEYS[1], owner)
    if not redis.call('ZSCORE', queue.leased, owner) then redis.call('ZADD', queue.waiting, 'NX', due, owner) end
    redis.call('ZREM', KEYS[1], owner)
    schedule(queue)
  end
end

local function claim_of(sink, room)
  local queue = queue_of(root, sink)
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', queue.leased, '-inf', now)) do
    redis.call('ZREM', queue.leased, owner)
    redis.call('ZADD', queue.waiting, now, owner)
  end
  local health = redis.call('HMGET', queue.health, 'slow', 'until')
  local is_down = health[2] ~= false
  local free = (is_down and 1 or per_sink) - redis.call('ZCARD', queue.leased)
  local due = {}
  if free > 0 then due = redis.call('ZRANGEBYSCORE', queue.waiting, '-inf', now, 'LIMIT', 0, math.min(free, room)) end
  for _, owner in ipairs(due) do
    local event = redis.call('LINDEX', root .. 'outbox:' .. owner, 0)
    redis.call('ZREM', queue.waiting, owner)
    if event then
      redis.call('ZADD', queue.leased, now + lease, owner)
      free, room = free - 1, room - 1
      local failed = redis.call('HGET', root .. 'outbox:' .. owner .. ':attempt', 'failed') or '0'
      local record = redis.call('HGETALL', record_of(root, owner))
      claimed[#claimed + 1] = {event, failed, sink, is_down and 'down' or health[1] and 'slow' or '', record}
    end
  end
  schedule(queue, free <= 0)
  return room
end

local function claim(sinks, room)
  if room <= 0 then return end
  for _, sink in ipairs(redis.call('ZRANGEBYSCORE', sinks, '-inf', now, 'LIMIT', 0, room)) do
    if room > 0 then room = claim_of(sink, room) end
  end
  return first_score(sinks)
end

distribute()
local soonest = -1
local prompt, slow = claim(KEYS[2], tonumber(ARGV[3])), claim(KEYS[3], tonumber(ARGV[4]))
for _, at in ipairs({prompt or math.huge, slow or math.huge, first_score(KEYS[1]) or math.huge}) do
  if at < math.huge and (soonest < 0 or at - now < soonest) then soonest = math.max(0, at - now) end
end
table.insert(claimed, 1, soonest)
return claimed
