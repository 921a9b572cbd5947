"""The clips of an excerpt: cut, equally loud, faded; and the anchors of MUSHRA."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unmask import audio
from unmask._arrays import Array
from unmask.errors import ConfigError, SignalError, UnmaskError
from unmask.listen.excerpts import Excerpt
from unmask.listen.recordings import Recording
from unmask.loudness import equal_gains, integrated_loudness
from unmask.transforms import irfft, padded, quick_length, rfft

_FADE_S = 0.02
#: Of the stop band of an anchor, in dB. BS.1534 asks for 25 dB at 4 kHz, 50 dB at 4.5 kHz.
_STOP_DB = 60.0
#: Width of its transition, as a share of where it begins.
_TRANSITION = 0.12
_MOST_CHANNELS = 2


@dataclass(frozen=True)
class Sounds:
    """What is heard of an excerpt; waveforms are (channel, sample)."""

    sample_rate: int
    waveforms: Mapping[str, Array] = field(hash=False)
    """Name of a system, ``target``, ``mixture`` or ``anchorHZ`` -> waveform."""
    gains_db: Mapping[str, float] = field(hash=False)


def sounds(
    excerpt: Excerpt, references: Sequence[str], anchors: Sequence[int], loudness_lufs: float
) -> Sounds:
    """Cut an excerpt out of all files, fade the clips in and out, make them equally loud.

    Parameters
    ----------
    excerpt : Excerpt
    references : sequence of str
        Of ``target`` and ``mixture``.
    anchors : sequence of int
        Cut-off frequencies of the anchors in Hz.
    loudness_lufs : float
        Integrated loudness (BS.1770-4) of each; all are turned down alike where a peak would
        exceed full scale.

    Raises
    ------
    ConfigError
        If a reference is missing, there are more than two channels, or an anchor cannot be.
    SignalError, ShapeError, SampleRateError, AudioFileError
        If clips are silent, do not agree, or cannot be read.
    """
    recording = excerpt.recording
    recording.check()
    rate = audio.info(recording.sounding[0]).sample_rate
    files = _files(recording, references)
    waveforms = {name: _cut(excerpt, name, paths) for name, paths in files.items()}
    for cutoff in anchors:
        waveforms[f"anchor{cutoff}"] = low_pass(waveforms["target"], cutoff, rate)
    fade = fades(next(iter(waveforms.values())).shape[-1], rate)
    waveforms = {name: fade * x for name, x in waveforms.items()}
    gains = _gains(excerpt, waveforms, rate, loudness_lufs)
    made = {name: gains[name] * x for name, x in waveforms.items()}
    return Sounds(rate, made, {name: 20 * math.log10(gain) for name, gain in gains.items()})


def _files(recording: Recording, references: Sequence[str]) -> dict[str, tuple[audio.Place, ...]]:
    """Return the files whose sum is a clip, for every clip but the anchors."""
    known = {"target": recording.target, "mixture": recording.mixture}
    for name in references:
        if not known[name]:
            raise ConfigError(
                f"{recording.name}: has no {name}, which is played as a reference; add it "
                f"({'--targets' if name == 'target' else '--mixtures'}) or choose --preset ab"
            )
    return dict(recording.estimates) | {name: known[name] for name in references}


def _cut(excerpt: Excerpt, name: str, paths: Sequence[audio.Place]) -> Array:
    stop_s = excerpt.start_s + excerpt.duration_s
    parts = [audio.read(path, start_s=excerpt.start_s, stop_s=stop_s)[0] for path in paths]
    if parts[0].shape[0] > _MOST_CHANNELS:
        raise ConfigError(
            f"{paths[0]}: has {parts[0].shape[0]} channels, expected 1 or 2, what headphones play; "
            "mix it down"
        )
    found = np.sum(np.asarray(parts, np.float64), axis=0)
    if not np.any(found):
        where = f"from {excerpt.start_s:g} s to {stop_s:g} s"
        raise SignalError(f"{name}: {paths[0]} is silent {where}; leave out the track or system")
    return found


def _gains(
    excerpt: Excerpt, waveforms: Mapping[str, Array], rate: int, loudness_lufs: float
) -> dict[str, float]:
    levels, peaks = [loudness_lufs], [0.0]
    for name, x in waveforms.items():
        try:
            levels.append(integrated_loudness(x, rate, name=name))
        except UnmaskError as error:
            error.add_note(f"{excerpt.recording.name} from {excerpt.start_s:g} s")
            raise
        peaks.append(float(np.abs(x).max()))
    return dict(zip(waveforms, equal_gains(levels, peaks)[1:], strict=True))


def fades(n_samples: int, sample_rate: int) -> NDArray[np.float64]:
    """Return a raised-cosine rise and fall of 20 ms, 1 between them (sample,)."""
    length = min(round(_FADE_S * sample_rate), n_samples // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(1, length))
    window = np.ones(n_samples)
    window[:length] = rise
    window[n_samples - length :] = rise[::-1]
    return window


def low_pass(waveform: Array, cutoff: int, sample_rate: int) -> Array:
    """Return an anchor of ITU-R BS.1534-3: what lies below `cutoff`, with linear phase, no delay.

    Parameters
    ----------
    waveform : array [shape=(channel, sample)]
    cutoff : int
        End of the pass band in Hz (3500 or 7000).
    sample_rate : int
        In Hz.

    Raises
    ------
    ConfigError
        If the recording has nothing above it.
    """
    nyquist = sample_rate / 2
    width = min(_TRANSITION * cutoff, nyquist - cutoff)
    if not 0.01 * cutoff < width:
        raise ConfigError(
            f"anchors: {cutoff} Hz, the recordings of {sample_rate} Hz end at {nyquist:g} Hz; "
            "leave it out (--anchors)"
        )
    # Kaiser's formulas for the length and shape of a window.
    half = math.ceil((_STOP_DB - 7.95) / (2.285 * math.pi * width / nyquist) / 2)
    edge = min(cutoff + width / 2, 0.999 * nyquist) / nyquist
    time = np.arange(-half, half + 1)
    taps = edge * np.sinc(edge * time) * np.kaiser(2 * half + 1, 0.1102 * (_STOP_DB - 8.7))
    n_samples = waveform.shape[-1]
    n_fft = quick_length(n_samples + 2 * half)
    spectrum = rfft(padded(waveform, n_fft)) * rfft(padded(taps / taps.sum(), n_fft))
    return irfft(spectrum, n_fft)[..., half : half + n_samples]
