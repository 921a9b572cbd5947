"""Masks applied to the recording that they are for: as arrays, or file by file in blocks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from unmask import audio, masks
from unmask._arrays import Array, check_channels, to_numpy
from unmask.audio import WriteReport
from unmask.errors import SampleRateError, ShapeError
from unmask.files import make_folder
from unmask.mask_files.container import Masks
from unmask.mask_files.slow import slow_spectrum
from unmask.mixtures import cut


def apply(saved: Masks, mixture: Array, sample_rate: int) -> dict[str, Array]:
    """Return what masks make of a mixture.

    Parameters
    ----------
    saved : Masks
    mixture : array [shape=(channel, sample)], real
        The recording that they are for.
    sample_rate : int
        In Hz.

    Returns
    -------
    dict of stem to array [shape of `mixture`]
        And what the masks leave, if the header names it.

    Raises
    ------
    SampleRateError, ShapeError
        If they are for another rate, number of channels or length.
    SignalError
        If a mask is NaN or infinite.
    """
    check_channels(mixture=mixture)
    mixture = to_numpy(mixture)
    _check(saved, "mixture", sample_rate, *mixture.shape)
    parts = list(_pieces(saved, iter([mixture])))
    return dict(zip(saved.header.outputs, np.concatenate(parts, axis=-1), strict=True))


def apply_to_file(
    saved: Masks,
    mixture: str | Path,
    folder: str | Path,
    *,
    subtype: str | None = None,
    suffix: str = ".wav",
    progress: Callable[[float], None] | None = None,
) -> list[WriteReport]:
    """Write what masks make of a sound file, one file a stem, in constant memory.

    Parameters
    ----------
    saved : Masks
    mixture : path
        The recording that they are for.
    folder : path
        Where ``STEM.wav`` goes; it is made.
    subtype : str, optional
        Sample format, as ``"FLOAT"``; that of the mixture by default.
    suffix : str
        Of the files.
    progress : callable, optional
        Is told the share that is done.

    Raises
    ------
    AudioFileError, FileError
        If files cannot be read or written.
    SampleRateError, ShapeError, SignalError
        As :func:`apply`.
    """
    info = audio.info(mixture)
    _check(saved, str(mixture), info.sample_rate, info.n_channels, info.n_samples)
    folder, n_done = make_folder(folder), 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                audio.Writer(
                    folder / f"{name}{suffix}",
                    info.sample_rate,
                    info.n_channels,
                    subtype=subtype,
                    like=info,
                    n_samples=info.n_samples,
                )
            )
            for name in saved.header.outputs
        ]
        for piece in _pieces(saved, audio.read_blocks(mixture)):
            for writer, stem in zip(writers, piece, strict=True):
                writer.write(stem)
            n_done += piece.shape[-1]
            if progress:
                progress(n_done / info.n_samples)
    return [writer.report for writer in writers]


def _check(saved: Masks, name: str, sample_rate: int, n_channels: int, n_samples: int) -> None:
    header = saved.header
    if sample_rate != header.sample_rate:
        raise SampleRateError(
            f"{name}: sample rate is {sample_rate} Hz, {saved.name} is for {header.sample_rate} "
            "Hz; masks fit the recording that they were made of"
        )
    if (n_channels, n_samples) != (header.n_channels, header.n_samples):
        raise ShapeError(
            f"{name}: {n_channels} channels of {n_samples} samples, {saved.name} is for "
            f"{header.n_channels} of {header.n_samples}; masks fit the recording that they were "
            "made of"
        )


def _pieces(saved: Masks, blocks: Iterator[Array]) -> Iterator[Array]:
    """Yield the outputs (source, channel, sample), piece by piece."""
    header, stft = saved.header, saved.header.stft
    for outer, inner, samples in cut(blocks, stft.pieces(header.n_samples)):
        spectrum = stft.analyze(samples)
        first = outer.start // stft.hop
        found = saved.frames(first, first + spectrum.shape[-1])
        if header.slow_terms:
            slow = slow_spectrum(header, samples, first)
            spectrum = spectrum - slow
        parts = masks.apply(found, spectrum)
        if header.slow_terms and header.slow_stem is not None:
            parts[header.stems.index(header.slow_stem)] += slow
        masked = stft.synthesize(parts, samples.shape[-1])[..., inner]
        if header.residual is not None:
            rest = samples[None, ..., inner] - masked.sum(axis=0, keepdims=True)
            masked = np.concatenate([masked, rest])
        yield masked
