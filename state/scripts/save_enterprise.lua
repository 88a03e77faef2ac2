-- Write an enterprise's fields if it still has the version that the writer has seen.
-- KEYS: 1 enterprise, 2 enterprises   ARGV: 1 id, 2 version expected ('0': that there is none), 3 fields (flat JSON object)
-- Returns the new version, or -1 if it has another one than expected
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[2] then return -1 end
local flat = {'version', version + 1}
for field, value in pairs(cjson.decode(ARGV[3])) do
  flat[#flat + 1] = field
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('SADD', KEYS[2], ARGV[1])
return version + 1
