-- An enterprise's pool as it is at a time.
-- KEYS: 1 pool   ARGV: 1 key root, 2 enterprise id, 3 settings (flat JSON object), 4 seconds since 1970, or '': now
-- Returns {balance, reserved, month or '', '1' if the balance is low}
open_pool(ARGV[1], ARGV[2], cjson.decode(ARGV[3]), tonumber(ARGV[4]) or tonumber(redis.call('TIME')[1]))
local kept = redis.call('HMGET', KEYS[1], 'balance', 'reserved', 'month', 'low')
return {tonumber(kept[1] or '0'), tonumber(kept[2] or '0'), kept[3] and month_name(tonumber(kept[3])) or '', kept[4] or '0'}
