-- Append a SIP message to the trace of its call, unless the call's record has gone: the trace of a call goes on for a
-- while after its end, and what was erased must not come back.
-- KEYS: 1 call, 2 sip trace   ARGV: 1 message JSON, 2 messages at most, 3 retention in seconds
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'message', ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
