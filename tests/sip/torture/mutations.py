"""Random damage to SIP messages, the same in each run of one seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from tests.sip.torture.stranger import LARGEST

Damage = Callable[[Random, bytes], bytes]

PJSIP_BUFFER = 4000
"""Octets of PJSIP's receive buffer (PJSIP_MAX_PKT_LEN): a datagram that fills it, or nearly."""
_NUMBERS = (
    b"0",
    b"-1",
    b"00000000000000000001",
    b"127",
    b"128",
    b"255",
    b"256",
    b"32768",
    b"65535",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"9" * 400,
    b"1e9",
    b"0x10",
    b"",
)
_TOKENS = (
    b"",
    b'"',
    b'"' * 33,
    b"<",
    b">",
    b"<" * 200,
    b"\\",
    b"%",
    b"%00",
    b"%n%s%n%s",
    b"\0",
    b"\x7f",
    b"\xff\xfe",
    b"\xc3\x28",
    b"[",
    b"[::",
    b"[" * 64 + b"]" * 64,
    b"@@",
    b":::::",
    b";;;;;",
    b";" * 1000,
    b",,,,",
    b"?a=b&c",
    b"sip:",
    b"tel:+1",
    b"\r\n ",
    b"\r\n\t\r\n ",
    b" " * 300,
    b"A" * 200,
    b"A" * 1500,
    b"../../../",
)
_METHODS = tuple(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER SUBSCRIBE NOTIFY REFER MESSAGE INFO UPDATE PRACK X".split()
)
_HEADERS = (
    b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKmany",
    b"v: SIP/2.0/UDP 127.0.0.1:1;rport;rport=70000;received=1;branch=",
    b"Contact: *",
    b"Contact: <sip:127.0.0.1>, <sip:127.0.0.1>, <sip:127.0.0.1>",
    b"From: <sip:127.0.0.1>",
    b"To: <sip:127.0.0.1>;tag=",
    b"CSeq: 1 BYE",
    b"Call-ID: 1",
    b"Call-ID:",
    b"Route: <sip:127.0.0.1;lr>",
    b"Route: <",
    b"Require: 100rel, timer, replaces, nothing",
    b"Proxy-Require: privacy",
    b"Supported: ,,,",
    b"Session-Expires: 0;refresher=uac",
    b"Session-Expires: 4294967296;refresher=nobody",
    b"Min-SE: 99999999999",
    b"RSeq: 0",
    b"RAck: 1 1 INVITE",
    b"RAck: a b c d",
    b"Replaces: a@b;to-tag=1;from-tag=2;early-only",
    b"Refer-To: <sip:127.0.0.1?Replaces=a%3Bto-tag%3Db>",
    b"Refer-To: <sip:>",
    b"Refer-Sub: maybe",
    b"Event: presence",
    b"Event: refer;id=",
    b"Subscription-State: terminated;expires=0",
    b"Expires: 99999999999",
    b"Authorization: Digest",
    b'Authorization: Digest username="a", realm="b", nonce="c", uri="d", response="e", nc=f, qop=g',
    b'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD7, qop="auth,auth-int"',
    b"Proxy-Authenticate: Basic",
    b"Reason: Q.850;cause=999999999999",
    b"Reason: ;;;cause=",
    b"P-Asserted-Identity: <sip:>, <tel:>",
    b"Content-Type: application/sdp",
    b"Content-Type: multipart/mixed;boundary=",
    b"Content-Type: multipart/mixed;boundary=v",
    b"Content-Type: /",
    b"Content-Encoding: gzip",
    b"Content-Length: 1",
    b"Retry-After: 18000000000000 (\\",
    b"Max-Forwards: 0",
    b"Allow: " + b"M," * 300,
    b"Accept: " + b"a/b;" * 300,
    b":",
    b" folded",
    b"\xff: \xff",
)
_DESCRIPTIONS = (
    b"",
    b"v=0",
    b"v=0\r\no=",
    b"v=0\r\n" * 100,
    b"v=1\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=\r\nt=\r\nm=audio\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 99999 RTP/AVP 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/SAVP 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP "
    + b" ".join(b"%d" % kind for kind in range(300))
    + b"\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    + b"m=audio 9 RTP/AVP 0\r\n" * 40,
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 98\r\n"
    b"a=rtpmap:98 opus/0/2\r\na=fmtp:98 ;;;=;\r\na=ptime:0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 96 97\r\n"
    b"a=rtpmap:96 telephone-event/4294967296\r\na=rtpmap:97\r\na=rtpmap:\r\na=fmtp:\r\na=\r\na=rtcp:\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=candidate:\r\na=ssrc:\r\na=rtcp-fb:\r\n",
)


def _place(random: Random, message: bytes) -> int:
    return random.randrange(len(message) + 1)


def _slice(random: Random, message: bytes, longest: int = 200) -> tuple[int, int]:
    start = _place(random, message)
    return start, min(len(message), start + random.randint(1, longest))


def flip_bits(random: Random, message: bytes) -> bytes:
    damaged = bytearray(message)
    for _ in range(random.randint(1, 8)):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def replace_octets(random: Random, message: bytes) -> bytes:
    damaged = bytearray(message)
    for _ in range(random.randint(1, 16)):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return bytes(damaged)


def insert_octets(random: Random, message: bytes) -> bytes:
    at = _place(random, message)
    return message[:at] + random.randbytes(random.randint(1, 64)) + message[at:]


def drop_octets(random: Random, message: bytes) -> bytes:
    start, end = _slice(random, message)
    return message[:start] + message[end:]


def double_octets(random: Random, message: bytes) -> bytes:
    start, end = _slice(random, message)
    return message[:end] + message[start:end] * random.randint(1, 30) + message[end:]


def truncate(random: Random, message: bytes) -> bytes:
    return message[: _place(random, message)]


def insert_nulls(random: Random, message: bytes) -> bytes:
    for _ in range(random.randint(1, 5)):
        at = _place(random, message)
        message = message[:at] + b"\0" * random.randint(1, 9) + message[at:]
    return message


def drop_line(random: Random, message: bytes) -> bytes:
    lines = message.split(b"\r\n")
    del lines[random.randrange(len(lines))]
    return b"\r\n".join(lines)


def double_line(random: Random, message: bytes) -> bytes:
    lines = message.split(b"\r\n")
    at = random.randrange(len(lines))
    lines[at:at] = [lines[at]] * random.choice((1, 1, 2, 3, 50, 300))
    return b"\r\n".join(lines)


def shuffle_lines(random: Random, message: bytes) -> bytes:
    head, end, body = message.partition(b"\r\n\r\n")
    start, *headers = head.split(b"\r\n")
    random.shuffle(headers)
    return b"\r\n".join([start, *headers]) + end + body


def end_lines_otherwise(random: Random, message: bytes) -> bytes:
    ends = random.choices((b"\r\n", b"\n", b"\r", b"\n\r", b"", b"\r\n\r\n"), (6, 2, 1, 1, 1, 1), k=9)
    return b"".join(line + random.choice(ends) for line in message.split(b"\r\n"))


def replace_number(random: Random, message: bytes) -> bytes:
    number = random.choice(list(re.finditer(rb"\d+", message)) or [None])
    if number is None:
        return truncate(random, message)
    return message[: number.start()] + random.choice(_NUMBERS) + message[number.end() :]


def replace_token(random: Random, message: bytes) -> bytes:
    token = random.choice(list(re.finditer(rb"[^\s:;,<>@=\"]+", message)) or [None])
    if token is None:
        return truncate(random, message)
    return message[: token.start()] + random.choice(_TOKENS) + message[token.end() :]


def insert_token(random: Random, message: bytes) -> bytes:
    at = _place(random, message)
    return message[:at] + random.choice(_TOKENS) + message[at:]


def replace_method(random: Random, message: bytes) -> bytes:
    """In the request line, or in CSeq, too."""
    method = random.choice(_METHODS)
    return re.sub(rb"^\S+|(?<=\d )[A-Z]+(?=\r\n)", method, message, count=random.randint(1, 2))


def claim_another_length(random: Random, message: bytes) -> bytes:
    claim = random.choice((*_NUMBERS, b"1", b"999", b"1 ", b"1;x=y"))
    return re.sub(rb"(?im)^(content-length|l)([ \t]*:).*?(?=\r\n)", rb"\1\2 " + claim, message)


def insert_headers(random: Random, message: bytes) -> bytes:
    lines = message.split(b"\r\n")
    for _ in range(random.randint(1, 6)):
        header = random.choice(_HEADERS)
        lines[1:1] = [header] * random.choice((1, 1, 1, 2, 60))
    return b"\r\n".join(lines)


def make_giant(random: Random, message: bytes) -> bytes:
    """One header so long that the datagram fills PJSIP's buffer, or UDP's largest datagram, or nearly."""
    size = random.choice((PJSIP_BUFFER, PJSIP_BUFFER, LARGEST)) + random.randint(-3, 3)
    lines = message.split(b"\r\n")
    at = random.randint(1, len(lines))
    name = random.choice((b"X: ", b"Subject: ", b"Via: SIP/2.0/UDP a;", b"To: <sip:", b'From: "', b""))
    filler = random.choice((b"a", b";a=b", b"a,", b"(", b"%41", b"\r\n a"))
    missing = max(0, size - len(message) - len(name) - 2)
    lines.insert(at, name + (filler * missing)[:missing])
    return b"\r\n".join(lines)[:LARGEST]


def replace_description(random: Random, message: bytes) -> bytes:
    """Another body, with the Content-Length that fits."""
    body = random.choice(_DESCRIPTIONS)
    head = message.partition(b"\r\n\r\n")[0]
    head = re.sub(rb"(?im)\r\n(content-(length|type)|[lc])[ \t]*:.*?(?=\r\n)", b"", head)
    kind = b"\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + kind + body


DAMAGES: Sequence[Damage] = (
    flip_bits,
    replace_octets,
    insert_octets,
    drop_octets,
    double_octets,
    truncate,
    insert_nulls,
    drop_line,
    double_line,
    shuffle_lines,
    end_lines_otherwise,
    replace_number,
    replace_token,
    insert_token,
    replace_method,
    claim_another_length,
    insert_headers,
    make_giant,
    replace_description,
)


def noise(random: Random) -> bytes:
    """A datagram that is no SIP at all."""
    return random.choice(
        (
            b"",
            b"\r\n\r\n",
            b"\r\n",
            b"\0",
            b"\0" * 1000,
            b"jaK",
            b"\xff" * LARGEST,
            b" " * PJSIP_BUFFER,
            b"SIP/2.0 200 OK\r\n\r\n",
            b"INVITE",
            b"INVITE sip: SIP/2.0\r\n\r\n",
            b"SIP/2.0 \r\n",
            b":\r\n" * 1000,
            random.randbytes(random.randint(1, 1400)),
        )
    )


class Mutator:
    """Endless damaged copies of some messages."""

    def __init__(self, random: Random, messages: Sequence[bytes]) -> None:
        self._random = random
        self._messages = messages

    def next(self) -> bytes:
        """One message with one to four damages, or two messages run into one, or noise.

        None asks for its answer by maddr (RFC 3261, section 18.2.2), as that might lead off this machine.
        """
        random = self._random
        while True:
            if random.random() < 0.03:
                return noise(random)
            message = random.choice(self._messages)
            if random.random() < 0.05:
                other = random.choice(self._messages)
                message = message[: _place(random, message)] + other[_place(random, other) :]
            for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
                message = random.choice(DAMAGES)(random, message) or b"\r\n"
            if b"maddr" not in message.lower():
                return message[:LARGEST]
