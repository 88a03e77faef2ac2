"""What one call has in the bridge, and who is connected to whom. On the PJ thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

import pjsua2 as pj

from engine.signals import SILENCE, AudioPlan, Heard, Leg, Recorded
from media.ringback_tones import RingbackTone


class Source(Enum):
    """What is heard beside the parties."""

    RINGBACK = auto()
    PROMPT = auto()
    HOLD_MUSIC = auto()
    BEEP = auto()
    SILENCE = auto()


class Track(Enum):
    """What is recorded: one track for both parties, or one for each."""

    BOTH = auto()
    CALLER = auto()
    CALLEE = auto()


class Sink(Enum):
    """Where a party's audio goes beside the other party and the recording."""

    NOWHERE = auto()


Edge = tuple[Leg | Source, Leg | Track | Sink]

BEEP = RingbackTone(frequencies=(1400,), cadence=(400, 10_000))
"""The warning tone of ITU-T E.180, section 11: 1400 Hz, 0.4 s."""
_SOURCES = {
    Heard.RINGBACK: Source.RINGBACK,
    Heard.PROMPT: Source.PROMPT,
    Heard.HOLD_MUSIC: Source.HOLD_MUSIC,
}


class PromptPlayer(pj.AudioMediaPlayer):  # type: ignore[misc]
    """Plays a WAV file once."""

    def __init__(self, path: Path, on_end: Callable[[], None]) -> None:
        """Raises pj.Error."""
        super().__init__()
        self._on_end: Callable[[], None] | None = on_end
        self.createPlayer(str(path), pj.PJMEDIA_FILE_NO_LOOP)

    def onEof2(self) -> None:
        """Queued by pjsua2, so it comes on the PJ thread."""
        if self._on_end is not None:
            self._on_end()

    def detach(self) -> None:
        self._on_end = None


class CallAudio:
    def __init__(
        self,
        *,
        clock_rate: int,
        ringback: RingbackTone,
        silence: pj.AudioMedia,
        hold_music: pj.AudioMedia,
        nowhere: pj.AudioMedia,
    ) -> None:
        """`silence` and `hold_music` play for all calls, `nowhere` takes what nobody of any call hears."""
        self._clock_rate = clock_rate
        self._ringback_tone = ringback
        self._sources: dict[Source, pj.AudioMedia] = {
            Source.SILENCE: silence,
            Source.HOLD_MUSIC: hold_music,
        }
        self._nowhere = nowhere
        self._legs: dict[Leg, pj.AudioMedia] = {}
        self._recorders: dict[Track, pj.AudioMediaRecorder] = {}
        self._plan = SILENCE
        self._edges: dict[Edge, tuple[pj.AudioMedia, pj.AudioMedia]] = {}

    @property
    def records(self) -> bool:
        return bool(self._recorders)

    def follow(self, plan: AudioPlan) -> None:
        """Connect exactly what `plan` says."""
        self._plan = plan
        self._tone(Source.RINGBACK, self._ringback_tone, plan.caller is Heard.RINGBACK)
        self._tone(Source.BEEP, BEEP, plan.beep)
        self._connect()

    def set_leg(self, leg: Leg, port: pj.AudioMedia | None) -> None:
        """The leg's port in the bridge after its stream was made, replaced or ended."""
        # A stream that was replaced took its connections along; connecting twice does no harm.
        self._forget(leg)
        if port is None:
            self._legs.pop(leg, None)
        else:
            self._legs[leg] = port
        self._connect()

    def lose_leg(self, leg: Leg) -> None:
        """Its port is gone from the bridge. Touches nothing of pjsua2: may be called from a callback."""
        self._forget(leg)
        self._legs.pop(leg, None)

    def play_prompt(self, path: Path, on_end: Callable[[], None]) -> None:
        """Raises pj.Error when the file cannot be played."""
        self.stop_prompt()
        self._sources[Source.PROMPT] = PromptPlayer(path, on_end)

    def stop_prompt(self) -> None:
        if player := self._sources.pop(Source.PROMPT, None):
            player.detach()
            self._forget(Source.PROMPT)

    def start_recording(self, paths: tuple[Path, ...]) -> None:
        """One file for both parties, or the caller's and the callee's. Raises pj.Error."""
        tracks = (Track.BOTH,) if len(paths) == 1 else (Track.CALLER, Track.CALLEE)
        recorders = {}
        for track, path in zip(tracks, paths, strict=True):
            recorders[track] = recorder = pj.AudioMediaRecorder()
            recorder.createRecorder(str(path))
        self._recorders = recorders
        self._connect()

    def stop_recording(self) -> frozenset[int]:
        """The bridge ports whose removal will complete the files."""
        ports = frozenset(recorder.getPortId() for recorder in self._recorders.values())
        for track in [*self._recorders]:
            self._forget(track)
        self._recorders.clear()  # their destructors ask the bridge to remove the ports
        return ports

    def close(self) -> None:
        """Drop everything; a recording must have been stopped before."""
        self.stop_prompt()
        self._edges.clear()
        self._legs.clear()
        self._sources.clear()

    def _tone(self, source: Source, tone: RingbackTone, wanted: bool) -> None:
        """A tone starts when it is wanted, with its first sound, and is gone when it is not."""
        if not wanted:
            if self._sources.pop(source, None):
                self._forget(source)
        elif source not in self._sources:
            self._sources[source] = play_tone(tone, self._clock_rate)

    def _connect(self) -> None:
        wanted = self._wanted()
        for edge in [edge for edge in self._edges if edge not in wanted]:
            source, sink = self._edges[edge]
            with suppress(pj.Error):  # a leg's stream may have ended a moment ago
                source.stopTransmit(sink)
        for edge, (source, sink) in wanted.items():
            if edge not in self._edges:
                source.startTransmit(sink)
        self._edges = wanted

    def _forget(self, end: Leg | Source | Track) -> None:
        """A port that leaves the bridge takes its connections along."""
        for edge in [edge for edge in self._edges if end in edge]:
            del self._edges[edge]

    def _wanted(self) -> dict[Edge, tuple[pj.AudioMedia, pj.AudioMedia]]:
        plan = self._plan
        edges: list[Edge] = []
        for leg in Leg:
            heard = plan.heard_by(leg)
            if heard is Heard.OTHER_PARTY:
                edges.append((leg.other, leg))
            elif heard in _SOURCES:
                edges.append((_SOURCES[heard], leg))
            if plan.beep:
                edges.append((Source.BEEP, leg))
        for track in self._recorders:
            # A recorder to which nothing is connected stands still; with silence its time runs on.
            edges.append((Source.SILENCE, track))
            if plan.recorded is Recorded.PROMPT:
                edges.append((Source.PROMPT, track))
            if plan.recorded is Recorded.PARTIES and track is not Track.CALLEE:
                edges.append((Leg.CALLER, track))
            if plan.recorded is Recorded.PARTIES and track is not Track.CALLER:
                edges.append((Leg.CALLEE, track))
        # What nobody hears goes nowhere: else the jitter buffer fills up, and what pjmedia throws away then
        # counts as bad quality.
        heard_legs = {source for source, _ in edges}
        edges += [(leg, Sink.NOWHERE) for leg in Leg if leg not in heard_legs]
        ends: dict[object, pj.AudioMedia] = dict(
            [*self._sources.items(), *self._legs.items(), *self._recorders.items()]
        )
        ends[Sink.NOWHERE] = self._nowhere
        return {(a, b): (ends[a], ends[b]) for a, b in edges if a in ends and b in ends}


def play_tone(tone: RingbackTone | None, clock_rate: int) -> pj.ToneGenerator:
    """A generator in the bridge that repeats `tone`, or is silent for ever."""
    generator = pj.ToneGenerator()
    generator.createToneGenerator(clock_rate, 1)
    if tone is not None:
        first, second = (*tone.frequencies, 0)[:2]
        steps = pj.ToneDescVector()
        for on, off in zip(tone.cadence[::2], tone.cadence[1::2], strict=True):
            step = pj.ToneDesc()
            step.freq1, step.freq2, step.on_msec, step.off_msec = first, second, on, off
            steps.append(step)
        generator.play(steps, True)
    return generator
