"""Stems and residual, mixed as the settings ask, without a click when those change."""

from collections.abc import Sequence

import numpy as np

from unmask._arrays import Array
from unmask.engine.settings import Settings

# Time that a change takes.
_RAMP_S = 0.02


class Mixing:
    """What comes out: stems, the residual if it is wanted, gains and the limit.

    Parameters
    ----------
    stems : sequence of str
    residual : str
    with_residual : bool
        Whether it comes out.
    sample_rate : int
        In Hz.
    settings : Settings
    rest_in : str
        The stem that gets what the stems leave, while settings leave masks that sum to one as they
        are; none when left out.
    """

    def __init__(
        self,
        stems: Sequence[str],
        residual: str,
        *,
        with_residual: bool,
        sample_rate: int,
        settings: Settings,
        rest_in: str | None = None,
    ) -> None:
        self._rest = None if rest_in is None else list(stems).index(rest_in)
        self._sums_to_one = keeps_sums(settings)
        self._parts = (*stems, residual)
        self.names = self._parts if with_residual else tuple(stems)
        self._n_ramp = max(1, round(_RAMP_S * sample_rate))
        self._to = self._from = self._matrix(settings)
        self._n_left, self._is_neutral = 0, _is_neutral(self._to)

    def change(self, settings: Settings) -> None:
        """Go over to other settings from the next sample on, within 20 ms."""
        share = self._n_left / self._n_ramp
        self._from = share * self._from + (1 - share) * self._to
        self._to, self._sums_to_one = self._matrix(settings), keeps_sums(settings)
        self._n_left = 0 if np.array_equal(self._from, self._to) else self._n_ramp
        self._is_neutral = _is_neutral(self._to)

    def __call__(self, stems: Array, mixture: Array) -> Array:
        """Return (output, channel, sample) of stems and the mixture (channel, sample)."""
        if self._rest is not None and self._sums_to_one:
            stems[self._rest] += mixture - stems.sum(axis=0)
        is_neutral = self._is_neutral and not self._n_left
        if is_neutral and len(self.names) == len(stems):
            return stems
        residual = mixture - stems.sum(axis=0)
        parts = np.concatenate([stems, residual[None]])
        if is_neutral:
            return parts
        mixed = np.tensordot(self._to, parts, 1)
        if self._n_left:
            n_samples = min(self._n_left, parts.shape[-1])
            share = (self._n_left - np.arange(n_samples, dtype=np.float32)) / self._n_ramp
            change = np.tensordot(self._from - self._to, parts[..., :n_samples], 1)
            mixed[..., :n_samples] += share * change
            self._n_left -= n_samples
        return mixed

    def _matrix(self, settings: Settings) -> Array:
        """Return the shares of stems and residual in every output, (output, part)."""
        matrix = np.eye(len(self._parts), dtype=np.float32)
        if settings.limit_db is not None:
            floor = 10 ** (-settings.limit_db / 20)
            matrix[0, -1], matrix[-1, -1] = floor, 1 - floor
        gains = [settings.gain(part) for part in self._parts]
        mixed: Array = matrix * np.array(gains, np.float32)[:, None]
        return mixed[: len(self.names)]


def keeps_sums(settings: Settings) -> bool:
    """Tell whether masks that sum to one are left as they are."""
    return settings.sensitivity == 1 and settings.extend


def _is_neutral(matrix: Array) -> bool:
    return np.array_equal(matrix, np.eye(*matrix.shape, dtype=np.float32))
