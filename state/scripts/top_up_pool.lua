-- Add seconds to an enterprise's pool, once for each reference.
-- KEYS: 1 references   ARGV: 1 key root, 2 enterprise id, 3 settings (flat JSON object), 4 seconds, 5 reference
-- Returns 'added' | 'repeated' | 'reference_used' (for another amount)
local before = redis.call('HGET', KEYS[1], ARGV[5])
if before then return before == ARGV[4] and 'repeated' or 'reference_used' end
open_pool(ARGV[1], ARGV[2], cjson.decode(ARGV[3]), tonumber(redis.call('TIME')[1]))
redis.call('HSET', KEYS[1], ARGV[5], ARGV[4])
book(ARGV[1], ARGV[2], 'top_up', ARGV[5], tonumber(ARGV[4]))
return 'added'
