"""Sound files in and out: the only file that imports soundfile, soxr and PyAV.

Arrays are (channel, sample). Full scale is 1. Nothing is resampled, mixed, or scaled unless asked.

* *Precision.* Files come as float32, which holds every 8-, 16- and 24-bit sample exactly; PCM_32
  and DOUBLE come as float64.
* *Rounding.* An integer file holds the whole number nearest to ``x * 2**(bits - 1)``, without
  dither, so that reading and writing an integer file changes no bit, and two stems add up to their
  mixture within one unit of the last bit; `round_together` does it for more. (libsndfile alone
  would round down in WAV and to the nearest in FLAC.)
* *Clipping.* Samples beyond full scale are clamped in every subtype but FLOAT and DOUBLE, and the
  `WriteReport` says how many there were and how high the peak was.
* *Length.* A header is a promise; `lengths` compares it with the size of the file, and decoding
  with both. What ends early is refused, what the header leaves open is counted, recordings that
  were joined are read one after the other (docs/containers.md).
* *Content, not suffix.* What is in a file decides who reads it.
"""

from unmask.audio.formats import MEDIA_SUFFIXES, SUFFIXES, WRITABLE, AudioInfo, Place, find
from unmask.audio.on_disk import OnDisk, SumOnDisk
from unmask.audio.reading import info, read, read_blocks
from unmask.audio.resampling import resample
from unmask.audio.rounding import round_together
from unmask.audio.video import check_video, replace_sound
from unmask.audio.writing import Writer, WriteReport, fitting_subtype, write

__all__ = [
    "MEDIA_SUFFIXES",
    "SUFFIXES",
    "WRITABLE",
    "AudioInfo",
    "OnDisk",
    "Place",
    "SumOnDisk",
    "WriteReport",
    "Writer",
    "check_video",
    "find",
    "fitting_subtype",
    "info",
    "read",
    "read_blocks",
    "replace_sound",
    "resample",
    "round_together",
    "write",
]


def __dir__() -> list[str]:
    return __all__
