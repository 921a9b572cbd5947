"""A test on disk: what listeners do (``test.json``), and what they must not know."""

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from unmask.errors import FileError
from unmask.files import write_text, writing
from unmask.listen.questions import Kind, Question

_FORMAT = 1
DESIGN, SECRET, AUDIO = "test.json", "secret.json", "audio"
SUFFIX = ".flac"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Condition = Literal["system", "reference", "mixture", "anchor"]
Headphones = Literal["off", "ask", "require"]


@dataclass(frozen=True)
class Item:
    """One excerpt of one stem of a recording."""

    id: str
    track: str
    stem: str
    start_s: float
    duration_s: float
    sample_rate: int
    references: Mapping[str, str] = field(hash=False)
    """``mixture`` and ``target`` -> name of a clip."""


@dataclass(frozen=True)
class Page:
    """What is compared: names of clips of one item."""

    id: str
    item: str
    stimuli: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """What a clip is."""

    item: str
    system: str
    condition: Condition
    gain_db: float
    """What it was turned up by to be as loud as the others."""


@dataclass(frozen=True, kw_only=True)
class Test:
    """The design of a test, without what would tell the systems apart."""

    __test__ = False  # for pytest, which takes the name for one of its own

    id: str
    kind: Kind
    preset: str
    seed: int
    systems: tuple[str, ...]
    questions: tuple[Question, ...]
    items: tuple[Item, ...]
    pages: tuple[Page, ...]
    training: tuple[str, ...]
    """Pages that are shown before, whose answers do not count."""
    pages_per_listener: int
    repeats: int
    """How many of a listener's pages come again."""
    min_heard_s: float
    """How long each clip must have played before the page can be answered."""
    loudness_lufs: float
    headphones: Headphones
    texts: Mapping[str, str] = field(hash=False)

    def page(self, name: str) -> Page:
        """Return the page of an id."""
        return next(page for page in self.pages if page.id == name)

    def item(self, name: str) -> Item:
        """Return the item of an id."""
        return next(item for item in self.items if item.id == name)


@dataclass(frozen=True)
class Secret:
    """What only the organiser knows."""

    test: str
    key: str
    """Of the names by which listeners get clips."""
    organiser: str
    """The token that lets read the answers."""
    clips: Mapping[str, Clip] = field(hash=False)


def new_secret(test: str, clips: Mapping[str, Clip]) -> Secret:
    """Return a secret with a fresh key and token."""
    return Secret(test, secrets.token_hex(32), secrets.token_urlsafe(24), clips)


def write(folder: Path, test: Test, secret: Secret) -> None:
    """Write a test into a folder; only its owner can read the secret.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    write_text(folder / DESIGN, _json({"format": _FORMAT} | asdict(test)))
    with writing(folder / SECRET):
        file = os.open(folder / SECRET, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as secrets_file:
            secrets_file.write(_json({"format": _FORMAT} | asdict(secret)))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def read(folder: str | Path) -> tuple[Test, Secret]:
    """Read a test.

    Raises
    ------
    FileError
        If there is none, it is damaged, or a clip is missing.
    """
    folder = Path(folder)
    design, hidden = _object(folder / DESIGN), _object(folder / SECRET)
    try:
        test = _test(design)
        clips = {name: Clip(**clip) for name, clip in hidden.pop("clips").items()}
        secret = Secret(**hidden, clips=clips)
        _check(folder, test, secret)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise FileError(
            f"{folder}: {DESIGN} or {SECRET} is damaged ({error!r}); make the test again"
        ) from error
    return test, secret


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileError(
            f"{path}: no such file, expected the folder of a test; make one (unmask listen make)"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}; check its mode") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: is no JSON ({error}); make the test again") from error
    if not isinstance(value, dict) or value.pop("format", None) != _FORMAT:
        raise FileError(f"{path}: is of another format, expected {_FORMAT}; make the test again")
    return value


def _test(design: dict[str, Any]) -> Test:
    made: dict[str, Any] = {
        "questions": tuple(Question(**question) for question in design.pop("questions")),
        "items": tuple(Item(**item) for item in design.pop("items")),
        "pages": tuple(
            Page(page["id"], page["item"], tuple(page["stimuli"])) for page in design.pop("pages")
        ),
        "systems": tuple(design.pop("systems")),
        "training": tuple(design.pop("training")),
    }
    return Test(**design, **made)


def _check(folder: Path, test: Test, secret: Secret) -> None:
    """Refuse what does not fit together."""
    if test.id != secret.test:
        raise FileError(f"{folder}: {DESIGN} and {SECRET} are of two tests; copy both of one")
    items = {item.id: item for item in test.items}
    pages = {page.id for page in test.pages}
    if not pages or {page.item for page in test.pages} - items.keys() or {*test.training} - pages:
        raise FileError(f"{folder}: {DESIGN} names pages or items that it lacks; make it again")
    if not 1 <= test.pages_per_listener <= len(pages) or not (
        0 <= test.repeats <= test.pages_per_listener // 2
    ):
        raise FileError(
            f"{folder}: {DESIGN} has {len(pages)} pages, {test.pages_per_listener} a listener of "
            f"which {test.repeats} come again; expected 1 to {len(pages)}, at most half again"
        )
    shown = {name for page in test.pages for name in page.stimuli}
    shown |= {name for item in test.items for name in item.references.values()}
    for name in sorted(shown):
        # Of others, as the whole folder may be: a name that leads out of it shows their files.
        if not _NAME.fullmatch(name):
            raise FileError(f"{folder}: {DESIGN} names a clip {name!r:.80}; make the test again")
        if name not in secret.clips:
            raise FileError(f"{folder}: {SECRET} does not know the clip {name}; make it again")
        if not (folder / AUDIO / f"{name}{SUFFIX}").is_file():
            raise FileError(f"{folder}: the clip {AUDIO}/{name}{SUFFIX} is missing; copy it again")
