/*
 * pjproject's compile-time limits for a server that bridges calls.
 * pjproject's own defaults are those of a softphone: 4 calls, 254 bridge ports, 32 recorders.
 */

/* Sockets of one poll set: SIP transports, and RTP and RTCP of each leg. */
#define PJ_IOQUEUE_MAX_HANDLES 8192

/* 0 instead of AUTO: plain level-triggered epoll. The one-shot mode re-arms each socket after each packet. */
#define PJ_IOQUEUE_DEFAULT_EPOLL_FLAGS 0

/* No assertions: they would end the process and all its calls. */
#define PJ_DEBUG 0

/* Legs, two for each bridged call. */
#define PJSUA_MAX_CALLS 2048

/* Bridge ports of each bridged call: two legs, up to two recorders, a tone or a prompt, a beep. */
#define PJSUA_MAX_CONF_PORTS 6600

/* Prompts and recordings at one time, for each bridged call: one prompt, and a recorder for each party. */
#define PJSUA_MAX_PLAYERS 1100
#define PJSUA_MAX_RECORDERS 2200

/* One account for each trunk. */
#define PJSUA_MAX_ACC 64

/* An ended INVITE transaction stays for timer D or I (RFC 3261 17.1.1.2: 32 s), so set-up rate counts here. */
#define PJSIP_MAX_TSX_COUNT 65535
#define PJSIP_MAX_DIALOG_COUNT 65535

/* All SIP over UDP shares one socket: let it hold a burst while the stack's one thread is busy. */
#define PJSIP_UDP_SO_SNDBUF_SIZE (4 * 1024 * 1024)
#define PJSIP_UDP_SO_RCVBUF_SIZE (4 * 1024 * 1024)

/* No module is added or removed while running, so the module list needs no lock for each message. */
#define PJSIP_SAFE_MODULE 0

/* Telephone calls have no picture. */
#define PJMEDIA_HAS_VIDEO 0

/* Carriers deliver levelled audio; automatic gain would change the recording and costs processor time. */
#define PJMEDIA_CONF_USE_AGC 0

/* Speex's resampler: needed only where legs differ in sample rate, and the cheapest at equal quality. */
#define PJMEDIA_RESAMPLE_IMP PJMEDIA_RESAMPLE_SPEEX

/* PJMEDIA_CONF_THREADS is left undefined on purpose: any value, even 1, selects the parallel bridge, which costs
 * more processor time per call than the serial one. */
