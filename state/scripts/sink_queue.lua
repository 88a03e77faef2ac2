-- What the scripts on deliveries share; load_script puts it before them.
-- A sink is an enterprise and an authority (host and port): many enterprises may have theirs at one provider, and what
-- one of them answers must not hold up the others' events. Each has a queue of its own, so that whatever waits for one
-- sink costs the others nothing: its calls by when they are due, those leased by when the lease ends, and its health:
-- 'slow' if it took its time when last asked; 'until' and 'interval' (ms) if it is down and when it may be probed.
-- Sinks that are slow or down are looked for in another set than the prompt ones, so that they share other slots.

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function queue_of(root, sink)
  local prefix = root .. 'outbox:sink:' .. sink
  return {
    sink = sink, waiting = prefix .. ':waiting', leased = prefix .. ':leased', health = prefix .. ':health',
    counts = root .. 'deliveries', wake = root .. 'outbox:wake',
    prompt_sinks = root .. 'outbox:sinks', slow_sinks = root .. 'outbox:sinks:slow',
  }
end

-- What is known of where an owner's events go: a call's record, or that of an enterprise's pool ("pool:" and its id).
local function record_of(root, owner)
  local enterprise = string.match(owner, '^pool:(.+)$')
  return enterprise and root .. 'enterprise:' .. enterprise .. ':pool:events' or root .. 'call:' .. owner
end

local function first_score(key)
  return tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end

-- Note when the sink is to be looked at again: something is due, or a lease ends, but not before it may be probed.
local function schedule(queue, is_full)
  local health = redis.call('HMGET', queue.health, 'slow', 'until')
  local at = first_score(queue.leased)
  local due = not is_full and first_score(queue.waiting)
  if due and (not at or due < at) then at = due end
  local mine, other = queue.prompt_sinks, queue.slow_sinks
  if health[1] or health[2] then mine, other = other, mine end
  redis.call('ZREM', other, queue.sink)
  if at then
    redis.call('ZADD', mine, math.max(at, tonumber(health[2] or 0)), queue.sink)
  else
    redis.call('ZREM', mine, queue.sink)
  end
end

-- Count the outcome of an attempt, and note what it met: 'prompt' or 'slow' answers, 'missed' (it could not be reached, or said that it is overloaded),
-- '' for nothing. Attempts that were on their way when the sink went down lengthen no pause.
local function note_attempt(queue, now, outcome, met, was_probe, first_interval, longest_interval)
  if outcome ~= '' then redis.call('HINCRBY', queue.counts, outcome, 1) end
  if met == 'missed' then
    local interval = tonumber(redis.call('HGET', queue.health, 'interval'))
    if interval and was_probe ~= '1' then return end
    interval = math.min(interval and 2 * interval or tonumber(first_interval), tonumber(longest_interval))
    redis.call('HSET', queue.health, 'interval', interval, 'until', now + interval)
  elseif met ~= '' then
    redis.call('HDEL', queue.health, 'interval', 'until')
    if met == 'slow' then redis.call('HSET', queue.health, 'slow', 1) else redis.call('HDEL', queue.health, 'slow') end
  end
  -- A sink that nothing is sent to any more is forgotten in the end.
  redis.call('EXPIRE', queue.health, 86400)
end

-- The lease of a call has ended; `due`: when it is to be tried again, nil if nothing of it is left.
local function give_back(queue, now, call_id, due)
  redis.call('ZREM', queue.leased, call_id)
  if due then redis.call('ZADD', queue.waiting, due, call_id) end
  schedule(queue)
  local first = first_score(queue.waiting)
  if first and first <= now then redis.call('PUBLISH', queue.wake, queue.sink) end
end
