-- The oldest undelivered event of a call was delivered: drop it and make the next one due.
-- A notifier whose lease was lost settles nothing (the event is no longer the oldest).
-- KEYS: 1 outbox, 2 attempt
-- ARGV: 1 key root, 2 sink, 3 call id, 4 event JSON, 5-9 of the attempt (note_attempt)
-- Returns how many events are still to be delivered, or -1
local queue, now = queue_of(ARGV[1], ARGV[2]), milliseconds()
note_attempt(queue, now, ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9])
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[4] then
  schedule(queue)
  return -1
end
redis.call('LPOP', KEYS[1])
redis.call('DEL', KEYS[2])
local left = redis.call('LLEN', KEYS[1])
give_back(queue, now, ARGV[3], left > 0 and now or nil)
return left
