"""Stems on disk: a folder with one file per source, or one file of several streams, by name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from unmask import audio
from unmask._arrays import Array
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError

__all__ = [
    "MIXTURES",
    "PARTS_OF_OTHER",
    "STEM_NAMES",
    "STREAMS",
    "STREAMS_SUFFIX",
    "SYNONYMS",
    "by_stem",
    "canonical",
    "check_aligned",
    "find_stems",
    "in_no_order",
    "is_of_streams",
    "locate_stems",
    "read_stems",
    "split_mixture",
    "split_name",
]

#: What other programs call a stem -> what we call it.
SYNONYMS: Mapping[str, str] = {
    "instrumental": "accompaniment",
    "no_vocals": "accompaniment",
    "no-vocals": "accompaniment",
    "vocal": "vocals",
    "voice": "vocals",
    "singing": "vocals",
    "drum": "drums",
    "percussion": "drums",
    "dialogue": "speech",
    "clean": "speech",
    **{f"s{k}": f"speaker{k}" for k in (1, 2, 3)},
}

#: Names of files that hold the mixture, not a source.
MIXTURES = frozenset({"mixture", "mix", "noisy", "mix_clean", "mix_both", "mix_single"})

#: Stems that are part of "other" where nobody asks for them.
PARTS_OF_OTHER = frozenset(
    {
        *("acoustic_guitar", "electric_guitar", "guitar", "guitars", "lead_guitar", "leadguitar"),
        *("rhythm_guitar", "clav", "keyboard", "keyboards", "keys", "organ", "piano", "synth"),
        *("synths", "accordion", "brass", "horns", "saxophone", "strings", "trumpet", "violin"),
        *("cello", "flute", "wind", "winds", "wind_inst", "woodwinds", "synthesizer"),
    }
)

#: Names by which a file is known to hold a source.
STEM_NAMES = (
    frozenset(SYNONYMS.values())
    | PARTS_OF_OTHER
    | {*("bass", "effects", "music", "noise", "other", "residual", "vocals")}
    | {*("lead_vocals", "backing_vocals", "crowd", "dry", "echo", "reverb")}
    | {*("crash", "hh", "kick", "ride", "snare", "toms")}
)

#: Suffix of files that hold a mixture and its stems as streams, and what the streams are (MUSDB18).
STREAMS_SUFFIX = ".stem.mp4"
STREAMS = ("mixture", "drums", "bass", "other", "vocals")


def canonical(name: str) -> str:
    """Return the one name by which this stem goes here, lower case, accents composed.

    Examples
    --------
    >>> canonical("Instrumental"), canonical("guitar")
    ('accompaniment', 'guitar')
    """
    name = unicodedata.normalize("NFC", name.strip().lower())
    return SYNONYMS.get(name, name)


#: ``1_song_(Vocals).wav`` of UVR, which numbers what it was given, and in its test mode writes the
#: time before that; ``song_(Vocals)_MODEL.wav`` of audio-separator; ``song_vocals.wav`` of scripts.
_NUMBERED = re.compile(r"(?:\d{10}_)?(?:\d+_)?(?P<track>.+?)_\((?P<stem>[^()]+)\)")
_WITH_MODEL = re.compile(r"(?P<track>.+?)_\((?P<stem>[^()]+)\)_.+")
_AT_THE_END = re.compile(r"(?P<track>.+?)[_-](?P<stem>(?:no[_-])?[^\W_]+)")


def in_no_order(names: Iterable[str]) -> list[str]:
    """Return those of some stems that nothing but their number tells apart: talkers, if several.

    Examples
    --------
    >>> in_no_order(["speaker1", "speaker2", "noise"]), in_no_order(["vocals", "drums"])
    (['speaker1', 'speaker2'], [])
    """
    found = [name for name in names if re.fullmatch(r"speaker\d+", name)]
    return found if len(found) > 1 else []


def split_name(name: str) -> tuple[str, str] | None:
    """Return track and stem that a file's name, without suffix, says both; None if it does not.

    Examples
    --------
    >>> split_name("1_My song_(Instrumental)"), split_name("My song_(Vocals)_model_bs_roformer")
    (('My song', 'accompaniment'), ('My song', 'vocals'))
    >>> split_name("my_song_vocals"), split_name("my_song_no_vocals"), split_name("my_song")
    (('my_song', 'vocals'), ('my_song', 'accompaniment'), None)
    """
    for form in (_NUMBERED, _WITH_MODEL, _AT_THE_END):
        if found := form.fullmatch(name):
            stem = canonical(found["stem"].replace(" ", "_"))
            if canonical(stem.removeprefix("no_")) in STEM_NAMES:
                return found["track"], stem
    return None


def find_stems(folder: str | Path) -> dict[str, Path]:
    """Return the file of every stem that lies in `folder` itself, sorted by name, mixture left out.

    Files are called by their stem, or all by track and stem, as :func:`split_name` reads them.

    Raises
    ------
    AudioFileError
        If there is no such folder, or no audio in it.
    ConfigError
        If two files are the same stem, as ``Vocals.wav`` and ``vocals.flac``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioFileError(f"{folder}: not a folder; give the folder that holds one file a stem")
    found: dict[str, Path] = {}
    paths = [path for path in audio.find(folder) if path.parent == folder]
    paths = [path for path in paths if canonical(path.stem) not in MIXTURES]
    said = [split_name(path.stem) for path in paths]
    # Of one track, and all say which, as UVR writes them.
    are_named = len({track and track[0] for track in said}) == 1
    for path, both in zip(paths, said, strict=True):
        name = both[1] if both and are_named else canonical(path.stem)
        if name in found:
            raise ConfigError(
                f"{folder}: {found[name].name} and {path.name} are both the stem {name!r}; keep one"
            )
        found[name] = path
    if not found:
        raise AudioFileError(f"{folder}: no stems in it; expected one audio file a source")
    return dict(sorted(found.items()))


def by_stem(root: Path, files: Iterable[Path]) -> dict[str, dict[str, Path]]:
    """Return the tracks of folders of stems that hold a file a track; empty if it is no such.

    As LibriMix (``mix_clean``, ``s1``, ``s2``, ``noise``), WSJ0-2mix (``mix``, ``s1``, ``s2``) and
    others have it: each folder in `root` is a stem, and two or more are no mixtures.
    """
    tracks: dict[str, dict[str, Path]] = {}
    stems = set()
    for path in files:
        stem = canonical(path.parent.name)
        if path.parent.parent != root or stem not in STEM_NAMES | MIXTURES:
            return {}
        if stem not in MIXTURES:
            tracks.setdefault(path.stem, {})[stem] = path
            stems.add(stem)
    return tracks if len(stems) > 1 and STEM_NAMES.isdisjoint(map(canonical, tracks)) else {}


def split_mixture(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the mixture of a folder of stems, and its true stems; both empty if it is none.

    It is one if among its `files` is a single mixture by name and a known stem beside it.
    """
    files = list(files)
    mixtures = [path for path in files if canonical(path.stem) in MIXTURES]
    stems = [path for path in files if canonical(path.stem) in STEM_NAMES]
    return (mixtures, stems) if len(mixtures) == 1 and stems else ([], [])


def is_of_streams(path: Path) -> bool:
    """Tell whether a file is a mixture and its stems as streams, by its name."""
    return path.name.lower().endswith(STREAMS_SUFFIX)


def locate_stems(track: str | Path) -> dict[str, audio.Place]:
    """Return the file and the stream of every stem of a folder or a ``.stem.mp4`` file.

    Raises
    ------
    AudioFileError, ConfigError
        As :func:`find_stems`.
    """
    track = Path(track)
    if is_of_streams(track):
        return {
            name: audio.Place(track, k) for k, name in enumerate(STREAMS) if name not in MIXTURES
        }
    return {name: audio.Place(path) for name, path in find_stems(track).items()}


def check_aligned(files: Iterable[tuple[Path, int]]) -> None:
    """Refuse stems that differ in length or sample rate; channels may differ.

    Parameters
    ----------
    files : iterable
        File and stream of each, as :func:`locate_stems` gives.

    Raises
    ------
    SampleRateError, ShapeError
        If two do not agree; the message names both.
    """
    first, *others = (audio.info(path, stream=stream) for path, stream in files)
    for other in others:
        _check_rate(other.path, other.sample_rate, first.path, first.sample_rate)
        if other.n_samples != first.n_samples:
            raise ShapeError(
                f"{other.path}: {other.n_samples} samples, {first.path.name} has "
                f"{first.n_samples}; stems must be aligned and equally long"
            )


def read_stems(
    folder: str | Path, names: Iterable[str] | None = None
) -> tuple[dict[str, Array], int]:
    """Read the stems of a folder, which must share sample rate, channels and length.

    Parameters
    ----------
    folder : path
    names : iterable of str, optional
        The stems that are needed; all that are there by default.

    Returns
    -------
    dict of array [shape=(channel, sample)], float32, and the sample rate in Hz

    Raises
    ------
    AudioFileError
        If a stem is missing or cannot be read.
    SampleRateError, ShapeError
        If the files do not agree; the message names the two.
    """
    files = find_stems(folder)
    wanted = list(files) if names is None else [canonical(name) for name in names]
    if missing := [name for name in wanted if name not in files]:
        raise AudioFileError(
            f"{folder}: no file for the stem {', '.join(missing)}; there are {', '.join(files)}"
        )
    stems: dict[str, Array] = {}
    first = files[wanted[0]]
    for name in wanted:
        stems[name], rate = audio.read(files[name])
        if name == wanted[0]:
            sample_rate = rate
        _check_agree(files[name], stems[name], rate, first, stems[wanted[0]], sample_rate)
    return stems, sample_rate


def _check_agree(
    path: Path, x: Array, rate: int, first: Path, reference: Array, first_rate: int
) -> None:
    _check_rate(path, rate, first, first_rate)
    if x.shape != reference.shape:
        raise ShapeError(
            f"{path}: {x.shape[0]} channels of {x.shape[1]} samples, {first.name} has "
            f"{reference.shape[0]} of {reference.shape[1]}; stems must be aligned and equally long"
        )


def _check_rate(path: Path, rate: int, first: Path, first_rate: int) -> None:
    if rate != first_rate:
        raise SampleRateError(
            f"{path}: sample rate is {rate} Hz, {first.name} has {first_rate} Hz; resample one"
        )


def __dir__() -> list[str]:
    return __all__
