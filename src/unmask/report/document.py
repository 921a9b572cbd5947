"""A page in one file: everything that it needs is in it, and it may ask for nothing else."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from unmask._arrays import Array
from unmask._version import __version__
from unmask.files import json_text, write_text
from unmask.report import images
from unmask.report.contents import Recording, Stem, Version
from unmask.report.sounds import FORMATS, MOST_DB, encoded, levels

#: Scripts of the page, in the order in which they need each other.
_SCRIPTS = (
    *("report/page/dom.js", "listen/page/player.js", "report/page/sounds.js"),
    *("report/page/tracks.js", "report/page/view.js"),
    *("report/page/charts.js", "report/page/main.js"),
)
#: Cells of the mixture this far below the loudest decide how far the colours of masks reach.
_LOUD_DB = 50.0


@dataclass(frozen=True)
class Packed:
    """A recording as it travels in a page."""

    said: Mapping[str, Any]
    """What the script is told of it; sounds and pictures by their names."""
    content: Mapping[str, bytes]
    """Name -> file."""


class _Packing:
    """Sounds and pictures of a recording, each once."""

    def __init__(self, recording: Recording, name: str, kind: str) -> None:
        self.recording, self.kind, self.name = recording, kind, name
        self.grid = images.Grid(recording.sample_rate, recording.mixture.shape[-1])
        self.mixture = self.grid.power(recording.mixture)
        self.content: dict[str, bytes] = {}
        self.sounds: list[dict[str, Any]] = []
        self.waveforms: list[Array] = []
        versions = [version for stem in recording.stems for version in stem.versions]
        peak = max(float(np.abs(version.waveform).max(initial=0)) for version in versions)
        self.scale = 1 / max(1.0, peak)

    def add(self, content: bytes) -> str:
        """Keep a file; return its name."""
        name = f"{self.name}-{len(self.content)}"
        self.content[name] = content
        return name

    def stem(self, stem: Stem) -> dict[str, Any]:
        """Return what is said of a stem, and keep what is heard and seen of it."""
        powers = {v.kind: self.grid.power(v.waveform) for v in stem.versions if v.is_masked}
        limit = max([1.0, *(self._limit(power) for power in powers.values())])
        places: dict[str, int] = {}
        said = []
        for version in stem.versions:
            places[version.kind] = self._sound(version, places)
            one = {"kind": version.kind, "label": version.label, "about": version.about}
            is_seen = version.kind in powers
            picture = images.mask(powers[version.kind], self.mixture, limit) if is_seen else None
            name = None if picture is None else self.add(picture)
            said.append({**one, "sound": places[version.kind], "mask": name})
        return {"name": stem.name, "versions": said, "limit": limit, "scores": stem.scores}

    def _limit(self, passed: Array) -> float:
        """Return the top of the colours of masks: 1, or 2 if a twentieth of the cells needs it."""
        known = self.mixture > self.mixture.max(initial=0) * 10 ** (-_LOUD_DB / 10)
        above = passed[known] > 1.05**2 * self.mixture[known]
        return 2.0 if known.any() and float(above.mean()) > 0.05 else 1.0

    def _sound(self, version: Version, places: Mapping[str, int]) -> int:
        """Return the place of a sound among all; the mixture is the same in every stem."""
        for place, known in enumerate(self.waveforms):
            if known is version.waveform:
                return place
        if version.difference_of and FORMATS[self.kind]:
            said: dict[str, Any] = {"minus": [places[kind] for kind in version.difference_of]}
        else:
            sound = self.scale * np.asarray(version.waveform, np.float64)
            said = {"audio": self.add(encoded(sound, self.recording.sample_rate, self.kind))}
        power = self.grid.power(version.waveform)
        said["picture"] = self.add(images.spectrogram(power, float(self.mixture.max(initial=0))))
        self.waveforms.append(version.waveform)
        self.sounds.append(said)
        return len(self.sounds) - 1


def pack(recording: Recording, name: str, *, kind: str = "flac") -> Packed:
    """Return a recording as it travels: sounds encoded, pictures drawn.

    Parameters
    ----------
    recording : Recording
    name : str
        Of the recording in the page, of letters and digits.
    kind : {"flac", "ogg"}
        Format of sounds.

    Raises
    ------
    ConfigError
        If there is no such format.
    """
    packing = _Packing(recording, name, kind)
    stems = [packing.stem(stem) for stem in recording.stems]
    level = levels(packing.waveforms, recording.sample_rate)
    for sound, gain in zip(packing.sounds, level.gains, strict=True):
        sound["gain"] = gain / packing.scale
    said = {
        "name": recording.name,
        "note": recording.note,
        "rate": recording.sample_rate,
        "start": recording.start_s,
        "duration": recording.mixture.shape[-1] / recording.sample_rate,
        "band": [images.LOWEST_HZ, packing.grid.highest_hz],
        "range": images.RANGE_DB,
        "measure": level.measure,
        "most": MOST_DB,
        "sounds": packing.sounds,
        "stems": stems,
        "gap": [asdict(cell) for cell in recording.gap],
    }
    return Packed(said, packing.content)


def page(packed: Sequence[Packed], *, title: str, bare: bool = False) -> str:
    """Return the page, HTML; it needs nothing from elsewhere, and its policy forbids to ask.

    Parameters
    ----------
    packed : sequence of Packed
        Recordings, each of another name.
    title : str
    bare : bool
        Without title and footer, for a place among other things.
    """
    script = "".join(_plain(_text(name)) for name in _SCRIPTS)
    style = _text("report/page/style.css")
    said = {"bare": bare, "title": title, "recordings": [one.said for one in packed]}
    filled = {
        "title": escape(title),
        "policy": "; ".join(
            [
                "default-src 'none'",
                f"script-src '{_hash(script)}'",
                f"style-src '{_hash(style)}'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        ),
        "style": style,
        "version": __version__,
        "data": json_text(said).replace("<", "\\u003c"),
        "content": "\n".join(_block(*file) for one in packed for file in one.content.items()),
        "script": script,
    }
    template = _text("report/page/index.html")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], template)


def _text(name: str) -> str:
    """Return a file of the package; the player is that of listening tests."""
    return files("unmask").joinpath(name).read_text("utf-8")


def _plain(module: str) -> str:
    """Return a module's text without what binds it to the others: they are one script here."""
    module = re.sub(r"^import [^;]*;\n", "", module, flags=re.MULTILINE)
    return re.sub(r"^export ", "", module, flags=re.MULTILINE)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _block(name: str, content: bytes) -> str:
    """Return a file as a block of data, which browsers leave alone."""
    return f'<script type="text/plain" id="{name}">{base64.b64encode(content).decode()}</script>'


def write(path: str | Path, packed: Sequence[Packed], *, title: str) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    write_text(path, page(packed, title=title))
