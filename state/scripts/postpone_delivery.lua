-- An event was not delivered: count the attempt that failed and make it due again after a delay.
-- KEYS: 1 outbox, 2 attempt
-- ARGV: 1 key root, 2 sink, 3 owner, 4 event JSON, 5-9 of the attempt (note_attempt), 10 delay in ms
-- Returns how many attempts have failed, or -1 if the lease was lost
local queue, now = queue_of(ARGV[1], ARGV[2]), milliseconds()
note_attempt(queue, now, ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9])
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[4] then
  schedule(queue)
  return -1
end
give_back(queue, now, ARGV[3], now + tonumber(ARGV[10]))
return redis.call('HINCRBY', KEYS[2], 'failed', 1)
