"""When RTP begins, stops and fails to come."""

from __future__ import annotations

from engine.media_watch import EarlyMediaWatch, SilenceWatch


def changes(watch: EarlyMediaWatch, counts: list[int]) -> list[tuple[float, bool]]:
    """What it says of one count every 50 ms."""
    seen = []
    for at, packets in enumerate(counts):
        if (flows := watch.feed(packets, at * 0.05)) is not None:
            seen.append((round(at * 0.05, 2), flows))
    return seen


def test_a_stream_begins_with_its_third_packet() -> None:
    assert changes(EarlyMediaWatch(), [0, 1, 2, 3, 6, 8]) == [(0.15, True)]


def test_single_packets_to_a_nat_are_no_early_media() -> None:
    assert changes(EarlyMediaWatch(), [0] + [1] * 10 + [2] * 10) == []


def test_a_stream_goes_on_while_its_codec_describes_silence_now_and_then() -> None:
    """Of AMR every 160 ms (3GPP TS 26.093); it takes more for a stream to begin."""
    silence = [at * 50 // 160 for at in range(40)]
    assert changes(EarlyMediaWatch(), silence) == []
    assert changes(EarlyMediaWatch(), [0, *(3 + packets for packets in silence)]) == [(0.05, True)]


def test_a_stream_has_stopped_after_a_gap_and_may_begin_again() -> None:
    counts = [0, 3, 6, *[6] * 6, 9, 12]
    assert changes(EarlyMediaWatch(), counts) == [(0.05, True), (0.3, False), (0.45, True)]


def test_a_late_look_is_not_taken_for_a_gap() -> None:
    watch = EarlyMediaWatch()
    watch.feed(0, 0.0)
    assert watch.feed(10, 0.05) is True
    assert watch.feed(40, 1.0) is None


def test_a_party_is_silent_when_no_packet_came_for_the_whole_timeout() -> None:
    watch = SilenceWatch(timeout=10)
    assert not watch.feed(5, 0, excused=False)
    assert not watch.feed(5, 9.9, excused=False)
    assert watch.feed(5, 10, excused=False)


def test_every_packet_and_every_hold_starts_the_timeout_anew() -> None:
    watch = SilenceWatch(timeout=10)
    watch.feed(5, 0, excused=False)
    assert not watch.feed(6, 9, excused=False)
    assert not watch.feed(6, 18, excused=True)
    assert not watch.feed(6, 27, excused=False)
    assert watch.feed(6, 28, excused=False)


def test_without_a_timeout_silence_is_no_fault() -> None:
    watch = SilenceWatch(timeout=0)
    watch.feed(0, 0, excused=False)
    assert not watch.feed(0, 1e6, excused=False)
