"""Models of a hub that were pulled once: where each is, and the hash that its bytes must have.

An address is ``hf://ORGANISATION/NAME[@REVISION][/FILE.onnx]``. A pin is a small JSON file that
says which commit and which bytes that was when the user pulled it; nothing here asks a host, and
what has changed since is refused. Pins lie in ``UNMASK_PINS``, else in ``unmask/pins`` where the
data of a user are (``XDG_DATA_HOME``, ``LOCALAPPDATA``).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from unmask.errors import ConfigError, ModelError, listed
from unmask.files import json_text, make_folder, write_text

_PROTOCOL = "hf://"
_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_-])?"
_FILE = rf"(?:{_WORD}/){{0,8}}{_WORD}\.onnx"
_ADDRESS = re.compile(
    rf"hf://(?P<repository>{_WORD}/{_WORD})(?:@(?P<revision>{_WORD}))?(?:/(?P<file>{_FILE}))?"
)
#: A commit in full: nothing else on a hub stays what it is.
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 2**16


def is_address(text: object) -> bool:
    """Tell whether a model is named by its place on a hub."""
    return isinstance(text, str) and text.startswith(_PROTOCOL)


@dataclass(frozen=True)
class Address:
    """A model file on a hub.

    Parameters
    ----------
    repository : str
        ``ORGANISATION/NAME``.
    revision : str
        A commit, tag or branch; the hub's main branch when left out.
    file : str
        In the repository; its only ``.onnx`` file when left out.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that `text` is.

        Raises
        ------
        ConfigError
            If it is none, or leads out of a folder.

        Examples
        --------
        >>> Address.parse("hf://people/voices@v1/small.onnx")
        Address(repository='people/voices', revision='v1', file='small.onnx')
        """
        found = _ADDRESS.fullmatch(text)
        # The cache of the hub writes the slash of a repository as two hyphens.
        if found is None or "--" in found["repository"] or ".." in text:
            raise ConfigError(
                f"{text:.200}: is no address, expected hf://ORGANISATION/NAME, then @REVISION and "
                "/FILE.onnx if wanted, of letters, digits and . _ -"
            )
        return cls(**found.groupdict())

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{_PROTOCOL}{self.repository}{revision}" + (f"/{self.file}" if self.file else "")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What was pulled.

    Parameters
    ----------
    repository, revision, file : str
        Of the address: the revision as it was asked for, the file as it was found.
    commit : str
        Which the revision was then.
    sha256 : str
        Of the bytes of the file.
    n_bytes : int
    licence : str
        As the hub told it.
    path : str
        Where the file is.
    pulled : str
        When, ISO 8601.
    """

    repository: str
    revision: str | None
    commit: str
    file: str
    sha256: str
    n_bytes: int
    licence: str
    path: str
    pulled: str

    @property
    def address(self) -> Address:
        """The address that it answers to."""
        return Address(self.repository, self.revision, self.file)

    def is_of(self, address: Address) -> bool:
        """Tell whether an address means this file."""
        return (
            address.repository == self.repository
            and address.revision in (self.revision, self.commit)
            and address.file in (self.file, None)
        )

    def check(self, content: bytes) -> None:
        """Refuse bytes that are not those that were pulled.

        Raises
        ------
        ModelError
            If they have another hash.
        """
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"{self.path}: has SHA-256 {found}, {self.address} was pulled with {self.sha256}: "
                "it was changed or damaged; delete it and pull it again"
            )

    def save(self) -> None:
        """Write it, in place of an earlier one of the same address.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        own = hashlib.sha256(str(self.address).encode()).hexdigest()[:12]
        name = f"{self.repository.replace('/', '--')}-{own}.json"
        write_text(make_folder(folder()) / name, json_text(asdict(self), indent=2))


def folder() -> Path:
    """Return the folder of pins; it need not exist."""
    if own := os.environ.get("UNMASK_PINS"):
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(data or Path.home() / ".local" / "share") / "unmask" / "pins"


def every() -> Iterator[Pin]:
    """Return all pins, by their addresses.

    Raises
    ------
    ModelError
        If a file of the folder is none.
    """
    yield from sorted(map(_read, folder().glob("*.json")), key=lambda pin: str(pin.address))


def find(text: str) -> Pin:
    """Return the pin of an address; nothing is asked of any host.

    Raises
    ------
    ConfigError
        If it is no address.
    ModelError
        If it was not pulled, or means several files that were.
    """
    address = Address.parse(text)
    found = {pin.sha256: pin for pin in every() if pin.is_of(address)}
    if len(found) > 1:
        names = listed(str(pin.address) for pin in found.values())
        raise ModelError(f"{text}: means several files; name one of {names}")
    for pin in found.values():
        return pin
    raise ModelError(
        f"{text}: was not pulled, and nothing is fetched unasked; "
        f"fetch it once with `unmask models pull {text}`"
    )


def _read(path: Path) -> Pin:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        said = json.loads(path.read_bytes())
        pin = Pin(**said)
        Address.parse(str(pin.address))
        words = (
            pin.repository,
            pin.commit,
            pin.file,
            pin.sha256,
            pin.licence,
            pin.path,
            pin.pulled,
        )
        sound = all(isinstance(word, str) for word in (*words, pin.revision or ""))
        sound = sound and type(pin.n_bytes) is int
        if not (sound and SHA256.fullmatch(pin.sha256) and COMMIT.fullmatch(pin.commit)):
            raise ValueError
    except (OSError, ValueError, TypeError, RecursionError):
        raise ModelError(f"{path}: is no pin of a model; delete it and pull it again") from None
    return pin
