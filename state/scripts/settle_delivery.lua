-- The oldest undelivered event of a call was delivered: drop it and make the next one due.
-- A notifier whose lease was lost settles nothing (the event is no longer the oldest).
-- With the last event of an ended call the sink's credential goes, too, unless a dead letter may still need it.
-- KEYS: 1 outbox, 2 outbox due, 3 attempt, 4 wake channel, 5 call   ARGV: 1 call id, 2 event JSON
-- Returns how many events are still to be delivered, or -1
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[2] then return -1 end
redis.call('LPOP', KEYS[1])
redis.call('DEL', KEYS[3])
local left = redis.call('LLEN', KEYS[1])
if left == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  local call = redis.call('HMGET', KEYS[5], 'state', 'dead_letters')
  if (call[1] == 'disconnected' or call[1] == 'failed') and tonumber(call[2] or '0') <= 0 then
    redis.call('HDEL', KEYS[5], 'sink_token', 'sink_token_expires_at', 'sink_client_id', 'sink_token_uri')
  end
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
  redis.call('PUBLISH', KEYS[4], ARGV[1])
end
return left
