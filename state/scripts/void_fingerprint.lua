-- Forget of what request an idempotency key is; the key itself stays used up as long as it would have.
-- KEYS: 1 idempotency key
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'fingerprint', '') end
return 1
