"""Makes the prompts and the hold music that Dialbridge ships, in media/prompts/.

Their WAV files are in the repository, so nobody needs this but who wants to change them:

    apt-get install espeak-ng
    .venv/bin/python -m native.make_prompts
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

FOLDER = Path(__file__).parents[1] / "media" / "prompts"

TEXTS = {
    "connecting": "Please hold. We are connecting your call.",
    "recorded": "This call is recorded.",
    "busy": "The number you are calling is busy.",
    "no-answer": "There is no answer. Please try again later.",
    "unreachable": "The number you are calling cannot be reached.",
    "lost": "The other party has been disconnected.",
}
VOICE = ("espeak-ng", "-v", "en-gb", "-s", "145", "-g", "2", "--stdout")
"""145 words a minute; 20 ms more between words."""
SPEECH_RATE = 16000
MARGIN = 0.1
"""Seconds of silence kept before and after the speech."""

LEVEL = 10 ** (-20 / 20)
"""RMS of full scale, for speech and music: about what people on the telephone have."""

MUSIC = "hold-music"
MUSIC_RATE = 8000
CHORDS = (
    # Hz: C major 7, A minor 7, F major, G 6, all within the telephone's band
    (261.63, 329.63, 392.00, 493.88),
    (261.63, 329.63, 392.00, 440.00),
    (261.63, 349.23, 440.00, 523.25),
    (293.66, 329.63, 392.00, 493.88),
)
CHORD = 5.0
"""Seconds until the next one."""

Samples = npt.NDArray[np.float64]


def spoken(text: str) -> Samples:
    """Speech at `SPEECH_RATE`, between margins of silence."""
    wav = subprocess.run([*VOICE, text], capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav))
    samples = soxr.resample(samples, rate, SPEECH_RATE, quality="VHQ")
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    silence = np.zeros(round(MARGIN * SPEECH_RATE))
    return np.concatenate((silence, samples[loud[0] : loud[-1] + 1], silence))


def hold_music() -> Samples:
    """Soft chords at `MUSIC_RATE` that swell and fade into each other, the last into the first: a loop."""
    step = round(CHORD * MUSIC_RATE)
    music = np.zeros(step * len(CHORDS))
    time = np.arange(2 * step) / MUSIC_RATE
    swell = np.sin(np.pi * np.arange(2 * step) / (2 * step)) ** 2
    for index, chord in enumerate(CHORDS):
        # Each lasts two steps, so that two always sound; what runs over the end comes in at the beginning.
        where = (index * step + np.arange(2 * step)) % len(music)
        music[where] += swell * sum(_voice(frequency, time) for frequency in chord)
    return music


def _voice(frequency: float, time: Samples) -> Samples:
    """Two strings, slightly out of tune with each other, with some overtones."""
    overtones = ((1, 1.0), (2, 0.3), (3, 0.12), (4, 0.05))
    tones = [
        strength * np.sin(2 * np.pi * overtone * detuned * time)
        for overtone, strength in overtones
        for detuned in (frequency * 0.9985, frequency * 1.0015)
    ]
    voice: Samples = np.sum(tones, axis=0)
    return voice


def levelled(samples: Samples) -> npt.NDArray[np.int16]:
    """At `LEVEL`, which leaves room for the peaks."""
    active = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
    scaled = samples * (LEVEL / np.sqrt(np.mean(active**2)))
    if np.abs(scaled).max() >= 1:
        raise ValueError("the peaks do not fit; lower LEVEL")
    pcm: npt.NDArray[np.int16] = np.round(scaled * 32767).astype(np.int16)
    return pcm


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        soundfile.write(FOLDER / f"{name}.wav", levelled(spoken(text)), SPEECH_RATE)
    soundfile.write(FOLDER / f"{MUSIC}.wav", levelled(hold_music()), MUSIC_RATE)


if __name__ == "__main__":
    main()
