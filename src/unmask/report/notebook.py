"""The player of reports in notebooks: sounds in arrays that one switches between."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from unmask._arrays import Array, to_numpy
from unmask.errors import ConfigError, ShapeError
from unmask.files import write_text
from unmask.report.contents import Recording, Stem, Version
from unmask.report.document import pack, page

_MOST_SOUNDS = 9
_FRAME_PX, _TRACK_PX = 230, 168


@dataclass(frozen=True)
class Page:
    """A page with a player; a notebook shows it where it is the value of a cell."""

    html: str
    title: str
    height: int = 640
    """Of its frame in a notebook, in pixels."""

    def _repr_html_(self) -> str:
        # In a frame of its own: neither styles nor keys of the notebook reach it, nor its theirs.
        # In ASCII: read in another encoding, the script would not have its hash and be refused.
        html, title = (
            escape(text).encode("ascii", "xmlcharrefreplace").decode()
            for text in (self.html, self.title)
        )
        return (
            f'<iframe srcdoc="{html}" sandbox="allow-scripts" title="{title}" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )

    def save(self, path: str | Path) -> None:
        """Write it as a page of its own, whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        write_text(path, self.html)


def play(
    sounds: Mapping[str, Array], sample_rate: int, *, title: str = "", kind: str = "flac"
) -> Page:
    """Return a player that switches between sounds without a gap: in a notebook, look and listen.

    Equally loud (that can be turned off), with waveforms and spectrograms; keys 1 to 9.

    Parameters
    ----------
    sounds : mapping of str to array [shape=(channel, sample)], real
        Label -> sound, at most nine, of one shape. All are compared with the first.
    sample_rate : int
        In Hz.
    title : str
    kind : {"flac", "ogg"}
        FLAC of 16 bits, or Ogg Vorbis, about a third as large.

    Raises
    ------
    ConfigError
        If there is no sound, or more than nine, or no such format.
    ShapeError
        If they are not of one shape (channel, sample).

    Examples
    --------
    >>> import numpy as np
    >>> noise = 0.1 * np.random.default_rng(0).standard_normal((1, 16000))
    >>> player = play({"noise": noise, "half": 0.5 * noise}, 16000)
    >>> "srcdoc" in player._repr_html_()
    True
    """
    if not 1 <= len(sounds) <= _MOST_SOUNDS:
        raise ConfigError(f"sounds: {len(sounds)}, expected 1 to {_MOST_SOUNDS}, one for each key")
    waves = {label: np.asarray(to_numpy(x), np.float32) for label, x in sounds.items()}
    shape = next(iter(waves.values())).shape
    for label, x in waves.items():
        if x.ndim != 2 or x.shape != shape or not x.size:
            raise ShapeError(
                f"{label}: has shape {x.shape}, expected (channel, sample) as all others, "
                f"of which the first has {shape}"
            )
    kinds = ("mixture", "estimate", "target", "oracle", "difference")
    colours = [kinds[k % len(kinds)] if k else "mixture" for k in range(len(waves))]
    versions = [
        Version(f"{k}:{colour}", label, wave)
        for k, (colour, (label, wave)) in enumerate(zip(colours, waves.items(), strict=True))
    ]
    stems = (Stem("", tuple(versions)),)
    recording = Recording(title or "sounds", "", sample_rate, 0.0, stems)
    html = page([pack(recording, "r0", kind=kind)], title=title or "unmask", bare=True)
    return Page(html, title or "player", height=_FRAME_PX + _TRACK_PX * len(waves))
