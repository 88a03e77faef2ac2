"""A picture of the recording: waveform and spectrogram."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from dialbridge.demo.sound import Recording

DPI = 110


def draw(recording: Recording, path: Path, title: str, frequencies: tuple[int, ...]) -> None:
    """Write a PNG to `path`."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend was chosen

    figure, (wave, spectrum) = plt.subplots(
        2, 1, figsize=(10, 6), sharex=True, layout="constrained", height_ratios=(1, 2)
    )
    times = np.arange(len(recording.samples)) / recording.rate
    wave.plot(times, recording.samples, linewidth=0.4, color="#1f5f8b")
    wave.set(ylabel="amplitude", ylim=(-1, 1), title=title)
    # A digital silence has no logarithm: a floor far below 16 bits keeps the picture free of holes.
    dithered = recording.samples + 1e-6 * np.sin(np.arange(len(recording.samples)) ** 2 % 6.28)
    spectrum.specgram(dithered, NFFT=512, Fs=recording.rate, noverlap=384, cmap="magma", vmin=-80, vmax=-20)
    spectrum.set(xlabel="time, s", ylabel="frequency, Hz", ylim=(0, 2000), xlim=(0, recording.seconds))
    for frequency in frequencies:
        spectrum.annotate(
            f"{frequency} Hz",
            (recording.seconds, frequency),
            xytext=(-6, 10),
            textcoords="offset points",
            color="white",
            ha="right",
        )
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
