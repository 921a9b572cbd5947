"""Pictures of sounds without matplotlib: powers on a log-frequency grid, as PNG of few colours."""

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unmask._arrays import Array
from unmask.frontends import STFT

#: From here on below the loudest cell of the mixture everything looks alike.
RANGE_DB = 80.0
LOWEST_HZ = 40.0
#: Columns of a picture at most.
MOST_COLUMNS = 1500
_ROWS = 200
_FRAME_S = 0.046
_LEVELS = 64  # 1.25 dB a step: finer is not seen, and takes half as much again

# Colours at equal steps, between which others are mixed: magma and viridis (CC0).
_MAGMA = (
    "000003 0a0722 1c1046 350f6a 50127b 691c80 822581 9c2e7f b63679 d0416f e65162 f56a5b fb8861 "
    "fea671 fec488 fde1a3 fbfcbf"
)
_VIRIDIS = (
    "440154 47186a 472c7b 424085 3a528b 32628d 2c728e 26818e 20908c 1e9f88 28ae7f 3ebc73 5ec961 "
    "83d34b addc30 d7e219 fde724"
)
_NOTHING = (140, 140, 140)


@dataclass(frozen=True)
class Grid:
    """The cells that all pictures of a recording share: time across, log frequency upwards.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    n_samples : int
        Of the recording.
    """

    sample_rate: int
    n_samples: int

    @cached_property
    def stft(self) -> STFT:
        """Frames of about 46 ms, a quarter apart."""
        n_fft = 2 ** round(np.log2(_FRAME_S * self.sample_rate))
        return STFT(n_fft, n_fft // 4)

    @property
    def highest_hz(self) -> float:
        """Top of the picture; its bottom is at 40 Hz."""
        return self.sample_rate / 2

    def power(self, waveform: Array) -> NDArray[np.float64]:
        """Return the mean power of every cell over channels, shape (row, column), lowest row first.

        Parameters
        ----------
        waveform : array [shape=(channel, sample)], real
        """
        rows = self.rows(waveform)
        return in_columns(rows, min(MOST_COLUMNS, rows.shape[1]))

    def rows(self, waveform: Array) -> NDArray[np.float64]:
        """Return the same with a column for every frame, shape (row, frame)."""
        spectrum = self.stft.analyze(np.asarray(waveform, np.float32))
        power = np.mean(spectrum.real.astype(np.float64) ** 2 + spectrum.imag**2, axis=0)
        hz = self.stft.frequencies(self.sample_rate)
        edges = np.geomspace(LOWEST_HZ, self.highest_hz, _ROWS + 1)
        # The integral of the density between edges: a mean of many bins, or a part of one.
        width = hz[1] - hz[0]
        borders = np.concatenate([hz - width / 2, [hz[-1] + width / 2]])
        sums = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)]) * width
        at = np.searchsorted(borders, edges, side="right") - 1
        share = ((edges - borders[at]) / width)[:, None]
        inside = np.minimum(at + 1, len(borders) - 1)
        integral = (1 - share) * sums[at] + share * sums[inside]
        density: NDArray[np.float64] = np.diff(integral, axis=0) / np.diff(edges)[:, None]
        return density


def in_columns(rows: NDArray[np.float64], n_columns: int) -> NDArray[np.float64]:
    """Return means of neighbouring frames, `n_columns` of them and no more than there are."""
    starts = np.linspace(0, rows.shape[1], n_columns, endpoint=False).astype(int)
    counts = np.diff([*starts, rows.shape[1]])
    means: NDArray[np.float64] = np.add.reduceat(rows, starts, axis=1) / counts
    return means


def spectrogram(power: NDArray[np.float64], loudest: float) -> bytes:
    """Return a picture of levels, 80 dB from black to pale yellow.

    Parameters
    ----------
    power : array [shape=(row, column)]
        From :meth:`Grid.power`.
    loudest : float
        Power of the brightest colour.
    """
    level_db = 10 * np.log10(np.maximum(power / (loudest or 1.0), 1e-20))
    return png(_quantised(1 + level_db / RANGE_DB), _palette(_MAGMA, _LEVELS))


def mask(passed: NDArray[np.float64], mixture: NDArray[np.float64], limit: float) -> bytes:
    """Return a picture of how much of every cell of the mixture passes, 0 to `limit`, in amplitude.

    Grey is where there is nothing to mask: the mixture is 80 dB below its loudest cell.

    Parameters
    ----------
    passed, mixture : array [shape=(row, column)]
        Powers.
    limit : float > 0
        From here on all looks alike.
    """
    floor = mixture.max(initial=0) * 10 ** (-RANGE_DB / 10)
    known = mixture > floor
    gain = np.sqrt(passed / np.where(known, mixture, 1.0)) / limit
    colours = [*_palette(_VIRIDIS, _LEVELS), _NOTHING]
    return png(np.where(known, _quantised(gain), _LEVELS).astype(np.uint8), colours)


def _quantised(x: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the number of the colour of every value of 0 to 1."""
    return np.round(np.clip(x, 0, 1) * (_LEVELS - 1)).astype(np.uint8)


def _palette(anchors: str, n: int) -> list[tuple[int, int, int]]:
    rgb = np.array([tuple(bytes.fromhex(colour)) for colour in anchors.split()], float)
    at = np.linspace(0, len(rgb) - 1, n)
    mixed = np.stack([np.interp(at, np.arange(len(rgb)), rgb[:, k]) for k in range(3)], axis=-1)
    return [(int(r), int(g), int(b)) for r, g, b in np.round(mixed)]


def png(image: NDArray[np.uint8], palette: list[tuple[int, int, int]]) -> bytes:
    """Return a PNG file of numbers of colours (row, column), lowest row first (ISO/IEC 15948).

    Parameters
    ----------
    image : array of uint8 [shape=(row, column)]
        Each below the number of colours.
    palette : list of (red, green, blue)
        At most 256.
    """
    height, width = image.shape
    lines = np.zeros((height, width + 1), np.uint8)  # the first of each line says: not filtered
    lines[:, 1:] = image[::-1]
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": bytes(value for colour in palette for value in colour),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks.items())


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
