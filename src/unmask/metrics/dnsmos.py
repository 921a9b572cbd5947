"""DNSMOS P.835: a listener's opinion of denoised speech, guessed by a network, without a target."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unmask._arrays import Array, check_axes, to_numpy
from unmask.errors import ModelError, SampleRateError, ShapeError

_SAMPLE_RATE = 16_000
_WINDOW = int(9.01 * _SAMPLE_RATE)
# Raw outputs (speech, background, overall) -> opinion scores: polynomials, highest power first.
_CALIBRATION = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


class Opinion(NamedTuple):
    """Mean opinion scores, about 1 (bad) to 5 (excellent); NaN for silence of digital zero."""

    sig: float
    """Quality of the speech itself."""
    bak: float
    """Absence of background noise."""
    ovrl: float
    """Overall."""


class DNSMOS:
    """The P.835 predictor of Reddy, Gopal and Cutler (2022), run from a model file that you have.

    The file is ``sig_bak_ovr.onnx`` of the DNS Challenge; it is not part of this package. The
    scores are guesses of a network trained on denoisers of 2020 to 2021: use them to compare
    similar systems over many recordings, not to judge one.

    Parameters
    ----------
    path : path
        The model file.

    Raises
    ------
    ModelError
        If it cannot be loaded, or is not this predictor.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from unmask._runtime import ERRORS, onnxruntime

        self.path = Path(path)
        if not self.path.is_file():
            raise ModelError(f"{path}: no such file; get sig_bak_ovr.onnx of the DNS Challenge")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(self.path.read_bytes(), options)
        except ERRORS:
            raise ModelError(f"{path}: is not an ONNX file; expected sig_bak_ovr.onnx") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].shape[-1] not in (_WINDOW, None) or len(outputs) != 1:
            raise ModelError(
                f"{path}: is not the DNSMOS P.835 predictor, which takes {_WINDOW} samples; "
                "expected sig_bak_ovr.onnx"
            )
        self._input = inputs[0].name

    def __call__(self, estimate: Array, sample_rate: int) -> Opinion:
        """Return the mean scores over windows of 9.01 s, one a second.

        Parameters
        ----------
        estimate : array [shape=(channel, sample)], real, within [-1, 1]
            Speech of one channel; what is shorter than a window is repeated, as in the original.
        sample_rate : int
            16000; nothing is resampled.

        Raises
        ------
        SampleRateError, ShapeError
            If the rate is another, or there are several channels or no samples.
        """
        check_axes("channel, sample", estimate=estimate)
        if sample_rate != _SAMPLE_RATE:
            raise SampleRateError(
                f"estimate: sample rate is {sample_rate} Hz, DNSMOS takes {_SAMPLE_RATE} Hz; "
                "resample it first with unmask.audio.resample"
            )
        speech = to_numpy(estimate)
        if speech.shape[0] != 1 or speech.ndim != 2 or speech.shape[1] == 0:
            raise ShapeError(
                f"estimate has shape {speech.shape}, expected (1, sample); score one channel"
            )
        if not speech.any():
            return Opinion(np.nan, np.nan, np.nan)
        raw = [self._window(window) for window in _windows(speech[0].astype(np.float32))]
        scores = np.asarray(raw, dtype=float)
        means = [
            float(np.polyval(polynomial, scores[:, k]).mean())
            for k, polynomial in enumerate(_CALIBRATION)
        ]
        return Opinion(*means)

    def _window(self, window: Array) -> Array:
        (scores,) = self._session.run(None, {self._input: window[None]})
        if scores.shape != (1, 3):
            raise ModelError(
                f"{self.path}: gives {scores.shape}, expected (1, 3); expected sig_bak_ovr.onnx"
            )
        return scores[0]


def _windows(speech: Array) -> list[Array]:
    """Return the windows of the original program, which leaves out the end of the last second."""
    while len(speech) < _WINDOW:
        speech = np.concatenate([speech, speech])
    n_windows = int(len(speech) // _SAMPLE_RATE - 9.01) + 1
    starts = [k * _SAMPLE_RATE for k in range(n_windows)]
    return [speech[k : k + _WINDOW] for k in starts if k + _WINDOW <= len(speech)]
