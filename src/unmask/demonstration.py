"""Two separators on one recording: what each makes of it, their difference, and a page of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from unmask import audio
from unmask._arrays import Array, check_same_shape
from unmask.errors import ConfigError
from unmask.files import make_folder, write_text
from unmask.frontends import STFT
from unmask.metrics import sdr
from unmask.mixtures import stretch
from unmask.plots import FrequencyScale, Plane, spectrogram_figure, write_figure

#: What is shown, in this order; the stems of file names.
PARTS = ("mixture", "a", "b", "difference")

_FRAME_S = 0.04


@dataclass(frozen=True)
class Comparison:
    """Two estimates of one stem of a mixture. Waveforms are (channel, sample)."""

    stem: str
    names: tuple[str, str]
    """Who made `a` and `b`."""
    sample_rate: int
    """In Hz."""
    mixture: Array
    a: Array
    b: Array
    target: Array | None = None
    """The truth, where it is known."""
    start_s: float = 0.0
    """Where it begins in the recording."""

    def __post_init__(self) -> None:
        target = self.mixture if self.target is None else self.target
        check_same_shape(mixture=self.mixture, a=self.a, b=self.b, target=target)

    @property
    def difference(self) -> Array:
        """What `a` has and `b` has not: ``a - b``."""
        return self.a - self.b

    @property
    def labels(self) -> dict[str, str]:
        """What each of :data:`PARTS` is called."""
        a, b = self.names
        named = (f"{self.stem}, {a}", f"{self.stem}, {b}", f"difference: {a} minus {b}")
        return dict(zip(PARTS, ("mixture", *named), strict=True))

    def part(self, start_s: float, duration_s: float | None) -> "Comparison":
        """Return the same of a stretch of the recording.

        Raises
        ------
        ConfigError
            If nothing of the recording lies there.
        """
        names = ("mixture", "a", "b", *(() if self.target is None else ("target",)))
        span = stretch(self.mixture.shape[-1], self.sample_rate, start_s, duration_s)
        cut = {name: getattr(self, name)[:, span] for name in names}
        return replace(self, start_s=self.start_s + start_s, **cut)

    def facts(self) -> list[dict[str, Any]]:
        """Return what can be said of each of :data:`PARTS` in numbers.

        Returns
        -------
        list of dict
            ``part``, ``label``, ``level_db`` below the mixture (``-inf`` for silence), and
            ``sdr_db``, NaN where the truth is not known or the part is no estimate.
        """
        rows = []
        for part, label in self.labels.items():
            signal = getattr(self, part)
            known = self.target is not None and part != "difference"
            score = float(sdr(signal, self.target)) if known else math.nan
            level = _level_db(signal, self.mixture)
            rows.append({"part": part, "label": label, "level_db": level, "sdr_db": score})
        return rows

    def gain(self) -> float:
        """Return the factor, at most 1, with which no part exceeds full scale."""
        peak = max(float(np.abs(getattr(self, part)).max(initial=0)) for part in PARTS)
        return 1.0 if peak <= 1 else 1 / peak


def compare(
    a: tuple[str, Mapping[str, Array]],
    b: tuple[str, Mapping[str, Array]],
    mixture: Array,
    sample_rate: int,
    *,
    stem: str | None = None,
    truth: Mapping[str, Array] | None = None,
) -> Comparison:
    """Return two estimates of one stem side by side.

    Parameters
    ----------
    a, b : (str, mapping of str to array [shape=(channel, sample)])
        Name of a separator and what it estimates, stem by stem.
    mixture : array [shape=(channel, sample)], real
    sample_rate : int
        In Hz.
    stem : str, optional
        Needed where `a` and `b` have more than one in common.
    truth : mapping of str to array [shape=(channel, sample)], optional
        The stems, where they are known.

    Raises
    ------
    ConfigError
        If they have no such stem in common, or it has to be chosen.
    """
    common = [name for name in a[1] if name in b[1]]
    if stem is None and len(common) == 1:
        stem = common[0]
    if stem not in common:
        raise ConfigError(
            f"stem: {stem}, expected one of what {a[0]} and {b[0]} have in common: "
            f"{', '.join(common) or 'nothing'}"
        )
    names = (a[0], b[0]) if a[0] != b[0] else (f"{a[0]} (A)", f"{b[0]} (B)")
    target = None if truth is None else truth.get(stem)
    return Comparison(stem, names, sample_rate, mixture, a[1][stem], b[1][stem], target)


def _level_db(signal: Array, reference: Array) -> float:
    energy, whole = float(np.sum(signal**2)), float(np.sum(reference**2))
    return 10 * math.log10(energy / whole) if energy > 0 < whole else -math.inf


def page(comparison: Comparison, *, title: str, note: str = "") -> str:
    """Return a web page that plays ``mixture.wav`` … beside ``mixture.png`` …, its neighbours.

    It needs nothing from elsewhere. Starting one sound stops the others and goes on at their place.

    Parameters
    ----------
    comparison : Comparison
    title : str
        Of the page.
    note : str
        Below the title.
    """
    figures = "\n".join(_figure(row) for row in comparison.facts())
    return _PAGE.format(title=escape(title), note=escape(note), figures=figures)


def write(
    comparison: Comparison,
    out: Path,
    *,
    name: str,
    channel: int = 0,
    scale: FrequencyScale = "linear",
    highest_hz: float | None = None,
) -> Path:
    """Write a page with its sounds and pictures, all on one scale; return the page.

    ``index.html``, a ``.wav`` (16 bits) and a ``.png`` for each of :data:`PARTS`, and
    ``figure.png`` with all of them. Sounds are turned down alike if one would clip.

    Parameters
    ----------
    comparison : Comparison
    out : Path
        Folder; made if missing. Files that are there already are replaced.
    name : str
        Of the recording, for the page.
    channel : int
        Which one is drawn, from 0.
    scale, highest_hz
        Of the frequency axis; see :class:`unmask.plots.Plane`.

    Raises
    ------
    FileError
        If something cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    make_folder(out)
    for part in PARTS:
        sound = comparison.gain() * getattr(comparison, part)
        audio.write(out / f"{part}.wav", sound, comparison.sample_rate, subtype="PCM_16")
    _draw(comparison, out, channel, scale=scale, highest_hz=highest_hz)
    a, b = comparison.names
    stop_s = comparison.start_s + comparison.mixture.shape[-1] / comparison.sample_rate
    note = f"{name}, {comparison.start_s:g} to {stop_s:g} s, {comparison.sample_rate} Hz."
    if (gain := comparison.gain()) < 1:
        note += f" All sounds are turned to {100 * gain:.0f} %, so that none clips."
    text = page(comparison, title=f"{comparison.stem}: {a} and {b}", note=note)
    write_text(out / "index.html", text)
    return out / "index.html"


def _draw(comparison: Comparison, out: Path, channel: int, **axis: Any) -> None:
    """Draw each part, and all together, in frames of about 40 ms."""
    rate = comparison.sample_rate
    n_fft = 2 ** round(math.log2(_FRAME_S * rate))
    stft = STFT(n_fft, n_fft // 4)
    spectra = {p: stft.analyze(getattr(comparison, p)[channel : channel + 1])[0] for p in PARTS}
    times = comparison.start_s + np.arange(spectra["mixture"].shape[-1]) * stft.hop / rate
    plane = Plane(times, stft.frequencies(rate), **axis)
    loudest = float(np.abs(spectra["mixture"]).max())
    for part, spectrum in spectra.items():  # whose names stand on the page
        write_figure(
            out / f"{part}.png", spectrogram_figure({"": spectrum}, plane, loudest=loudest)
        )
    together = {comparison.labels[part]: spectrum for part, spectrum in spectra.items()}
    write_figure(out / "figure.png", spectrogram_figure(together, plane, loudest=loudest))


def _figure(row: Mapping[str, Any]) -> str:
    said = [] if row["part"] == "mixture" else [_level(row["level_db"])]
    if not math.isnan(row["sdr_db"]):
        said.append(f"SDR {row['sdr_db']:.2f} dB")
    return _FIGURE.format(
        part=row["part"], label=escape(row["label"]), said=escape("; ".join(said))
    )


def _level(level_db: float) -> str:
    return f"{level_db:+.1f} dB re mixture" if math.isfinite(level_db) else "silence"


_FIGURE = """<figure>
<img src="{part}.png" alt="spectrogram: {label}">
<audio controls preload="auto" src="{part}.wav"></audio>
<figcaption><b>{label}</b> {said}</figcaption>
</figure>"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1em auto; max-width: 80em; padding: 0 1em }}
main {{ display: grid; gap: 1em; grid-template-columns: repeat(auto-fit, minmax(28em, 1fr)) }}
figure {{ margin: 0 }}
img, audio {{ width: 100% }}
</style>
<h1>{title}</h1>
<p>{note}</p>
<main>
{figures}
</main>
<script>
const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) sound.addEventListener("play", () => {{
  const other = sounds.find(x => x !== sound && !x.paused);
  if (other) sound.currentTime = other.currentTime;
  for (const x of sounds) if (x !== sound) x.pause();
}});
</script>
</html>
"""
