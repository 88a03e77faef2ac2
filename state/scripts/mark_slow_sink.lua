-- A sink has not answered for a while: from now on it shares the slots of slow ones.
-- ARGV: 1 key root, 2 sink
local queue = queue_of(ARGV[1], ARGV[2])
redis.call('HSET', queue.health, 'slow', 1)
redis.call('EXPIRE', queue.health, 86400)
schedule(queue)
return 1
