-- The oldest undelivered event of an owner was delivered: drop it and make the next one due.
-- A notifier whose lease was lost settles nothing (the event is no longer the oldest).
-- With the last event of an ended call the sink's credential goes, too, unless a dead letter may still need it.
-- KEYS: 1 outbox, 2 attempt, 3 record
-- ARGV: 1 key root, 2 sink, 3 owner, 4 event JSON, 5-9 of the attempt (note_attempt)
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
if left == 0 then
  local call = redis.call('HMGET', KEYS[3], 'state', 'dead_letters')
  if (call[1] == 'disconnected' or call[1] == 'failed') and tonumber(call[2] or '0') <= 0 then
    redis.call('HDEL', KEYS[3], 'sink_token', 'sink_token_expires_at', 'sink_client_id', 'sink_token_uri')
  end
end
give_back(queue, now, ARGV[3], left > 0 and now or nil)
return left
