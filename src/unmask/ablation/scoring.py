"""The scores of cells: ideal masks, bounded, thinned out, interpolated, applied and heard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unmask import masks
from unmask._arrays import Array, clip, namespace
from unmask.ablation.grid import Cell, bound_of, of
from unmask.ablation.material import Waves
from unmask.metrics import RunningScores

# Frames of a piece; with more, what margins save goes into fetching memory.
_N_FRAMES = 64


@dataclass(frozen=True)
class Score:
    """What a source sounds like in a cell; all channels together."""

    stem: str
    sdr: float
    """Of the whole stretch, in dB."""
    si_sdr: float
    """Scale-invariant, in dB."""
    l1: float
    """Mean absolute difference of samples; full scale is 1."""
    gain: float
    """Factor of the source in the estimate: 1 where its level is kept."""


def measure(waves: Waves, cells: Sequence[Cell]) -> dict[Cell, list[Score]]:
    """Return the scores of cells of one family, bound, decimation, mixing and front-end.

    Sources count at their own level, also where the mixture is their mean.

    Parameters
    ----------
    waves : Waves
    cells : sequence of Cell
        With the same :attr:`Cell.task`.

    Returns
    -------
    dict of Cell to the scores of every source, in their order
    """
    stft, n_samples = cells[0].stft, waves.samples.shape[-1]
    sums = {cell: RunningScores() for cell in cells}
    absolute = dict.fromkeys(cells, np.zeros(len(waves.names)))
    for outer, inner in stft.pieces(n_samples, n_frames=_N_FRAMES):
        samples = waves.samples[..., outer]
        piece = _Piece(stft.analyze(samples), cells[0])
        for cell in cells:
            heard = stft.synthesize(piece.estimate(cell), samples.shape[-1])[..., inner]
            truth = samples[..., inner]
            sums[cell].add(heard, truth)
            error = np.abs(heard - truth).sum(axis=(1, 2), dtype=np.float64)
            absolute[cell] = absolute[cell] + error
    mean = {cell: total / waves.samples[0].size for cell, total in absolute.items()}
    return {cell: _scores(waves.names, sums[cell], mean[cell]) for cell in cells}


def _scores(names: Sequence[str], total: RunningScores, l1: Array) -> list[Score]:
    columns = (total.sdr, total.si_sdr, l1, total.gain)
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return [Score(*row) for row in rows]


class _Piece:
    """Spectra of a piece, and the masks that all its cells begin with."""

    def __init__(self, targets: Array, cell: Cell) -> None:
        self.mixture = namespace(targets).sum(targets, axis=0)
        if cell.mixing == "mean":
            self.mixture = self.mixture / len(targets)
        self.n_freq = self.mixture.shape[-2]
        limit, self.compressed = bound_of(cell.bound)
        ideal = bounded(of(cell.family).ideal(targets, self.mixture), limit)
        ideal = ideal if self.compressed is None else self.compressed.compress(ideal)
        self.low = masks.downsample(ideal, cell.decimation)
        self.low_mixture = masks.downsample(self.mixture, cell.decimation)

    def estimate(self, cell: Cell) -> Array:
        """Return the spectra of all sources, (source, channel, freq, frame)."""
        if cell.decimation == 1:
            return masks.apply(self._expanded(self.low), self.mixture)
        how: Any = {
            "interpolation": cell.interpolation,
            "alignment": cell.alignment,
            "space": cell.space or "cartesian",
        }
        if cell.upsampled != "mask":
            turns = self._turns(cell)
            low_turns = masks.downsample(turns, cell.decimation)
            spectrum = masks.apply(self._expanded(self.low), self.low_mixture * low_turns)
            return masks.upsample(spectrum, self.n_freq, cell.decimation, **how) * turns
        mask = masks.upsample(self.low, self.n_freq, cell.decimation, **how)
        return masks.apply(self._expanded(mask), self.mixture)

    def _turns(self, cell: Cell) -> Array:
        """Return the factors between phases from the start and from the middle of frames."""
        is_centred = cell.upsampled == "centred_spectrum"
        bins = np.arange(self.n_freq)[:, None]
        return np.where(is_centred & (bins % 2 == 1), np.float32(-1), np.float32(1))

    def _expanded(self, mask: Array) -> Array:
        return mask if self.compressed is None else self.compressed.decompress(mask)


def bounded(mask: Array, limit: float) -> Array:
    """Return a mask drawn back to magnitudes of at most `limit`; its sign or phase stays."""
    if limit == float("inf"):
        return mask
    xp = namespace(mask)
    return mask / clip(xp.abs(mask) / limit, 1.0, float("inf"))
