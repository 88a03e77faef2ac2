-- Keep what is known of a live call so far; one that has ended keeps its final findings.
-- KEYS: 1 call
-- ARGV: 1 fields (flat JSON object)
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'disconnected' or state == 'failed' then return 0 end
local flat = {}
for field, value in pairs(cjson.decode(ARGV[1])) do
  flat[#flat + 1] = field
  flat[#flat + 1] = value
end
if #flat > 0 then redis.call('HSET', KEYS[1], unpack(flat)) end
return 1
