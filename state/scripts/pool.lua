-- What the scripts share that touch an enterprise's pool of minutes. All amounts are seconds. `balance` is what the ledger
-- adds up to, `reserved` the part of it that live calls may talk; the rest is free. Only free seconds are reserved, and a
-- call is billed no more than was reserved for it: so neither can become negative.

local function pool_key(root, enterprise) return root .. 'enterprise:' .. enterprise .. ':pool' end

-- Months since year 0 at a time in seconds since 1970, UTC (H. Hinnant, "chrono-compatible low-level date algorithms").
local function month_of(seconds)
  local days = math.floor(seconds / 86400) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * day_of_year + 2) / 153)
  return (year + era * 400) * 12 + from_march + 2
end

local function month_name(month) return string.format('%04d-%02d', math.floor(month / 12), month % 12 + 1) end

local function number_of(key, field) return tonumber(redis.call('HGET', key, field) or '0') end

local function free_seconds(root, enterprise)
  local pool = pool_key(root, enterprise)
  return number_of(pool, 'balance') - number_of(pool, 'reserved')
end

-- Change the balance, with a ledger entry. The alarm looks at the balance, not at what is free: that goes up and down with
-- each call, and an alarm is raised once until there are enough minutes again.
local function book(root, enterprise, kind, reference, seconds)
  local pool, ledger = pool_key(root, enterprise), root .. 'enterprise:' .. enterprise .. ':ledger'
  local balance = redis.call('HINCRBY', pool, 'balance', seconds)
  redis.call('XADD', ledger, '*', 'kind', kind, 'reference', reference, 'seconds', seconds, 'balance', balance)
  local kept = redis.call('HMGET', pool, 'low_water', 'low')
  local low_water = tonumber(kept[1] or '')
  -- What expires makes room for the month's minutes, which come in the same step.
  if low_water and balance < low_water and seconds < 0 and kind ~= 'expiry' and kept[2] ~= '1' then
    redis.call('HSET', pool, 'low', '1')
    redis.call('XADD', root .. 'pool:alarms', '*', 'enterprise_id', enterprise, 'balance', balance, 'low_water', low_water)
  elseif not low_water or balance >= low_water then
    redis.call('HDEL', pool, 'low')
  end
end

-- The minutes of the months that have begun since the last look. What is left of the former month's expires, except for what
-- live calls have reserved.
local function renew(root, enterprise, now)
  local pool = pool_key(root, enterprise)
  local kept = redis.call('HMGET', pool, 'monthly', 'month', 'carry_over')
  local monthly, month, carry_over = tonumber(kept[1] or ''), month_of(now), kept[3] == '1'
  if not monthly then return end
  local renewed = tonumber(kept[2] or '')
  if renewed and renewed >= month then return end
  local unused = math.min(number_of(pool, 'allowance'), free_seconds(root, enterprise))
  if unused > 0 and not carry_over then book(root, enterprise, 'expiry', month_name(renewed), -unused) end
  for missed = carry_over and renewed and renewed + 1 or month, month do
    book(root, enterprise, 'renewal', month_name(missed), monthly)
  end
  redis.call('HSET', pool, 'month', month, 'allowance', monthly)
end

-- Look at the pool at a time (seconds since 1970), with the settings that it has now.
local function open_pool(root, enterprise, settings, now)
  redis.call('HSET', pool_key(root, enterprise), 'monthly', settings.monthly, 'carry_over', settings.carry_over,
    'low_water', settings.low_water)
  renew(root, enterprise, now)
end

-- Reserve as much of `wanted` as is free; how much.
local function reserve(root, enterprise, call_id, wanted)
  local pool, seconds = pool_key(root, enterprise), math.min(wanted, free_seconds(root, enterprise))
  if seconds > 0 then
    redis.call('HINCRBY', pool, 'reserved', seconds)
    redis.call('HINCRBY', pool .. ':reserved', call_id, seconds)
  end
  return seconds
end

-- End a call's reservation; what is billed to it: at most what was reserved, if it needed a pool.
local function settle(root, enterprise, call_id, talked, increment)
  local billed = math.ceil(talked / increment) * increment
  local pool = pool_key(root, enterprise)
  local reserved = tonumber(redis.call('HGET', pool .. ':reserved', call_id) or '')
  if not reserved then return billed end
  billed = math.min(billed, reserved)
  redis.call('HDEL', pool .. ':reserved', call_id)
  redis.call('HINCRBY', pool, 'reserved', -reserved)
  if billed > 0 then
    -- Minutes that would expire are used first.
    redis.call('HSET', pool, 'allowance', math.max(0, number_of(pool, 'allowance') - billed))
    book(root, enterprise, 'call', call_id, -billed)
  end
  return billed
end
