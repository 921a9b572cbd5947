"""The only file that imports huggingface_hub: what is asked of a hub, and its cache on disk.

Headers are our own: the library's would tell the versions of Python and PyTorch and which program
runs it, and to know that it would ask the hub. Files come by plain HTTP instead of the library's
second protocol, which keeps another cache.
"""

import io
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from unmask._version import __version__
from unmask.errors import FileError, MissingExtraError, printable
from unmask.pins import COMMIT, Address

# An answer about a repository: a thousand files are 300 kB.
_MOST_ANSWER = 2**24
#: Told of every request, and all that is told.
HEADERS = {"user-agent": f"unmask/{__version__}", "accept-encoding": "identity"}


@cache
def _library() -> Any:
    """Return huggingface_hub, which sends nothing home unless it is told to.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        if not os.environ.get(name):
            os.environ[name] = "1"
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors, file_download  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            'models from a hub need huggingface_hub: pip install "unmask[hub]"'
        ) from error
    # It would print what a host says, as it comes.
    huggingface_hub.logging.set_verbosity(logging.CRITICAL)
    return huggingface_hub


def host() -> str:
    """Return the hub that would be asked."""
    return str(_library().constants.ENDPOINT)


def is_offline() -> bool:
    """Tell whether the user forbids to ask it (``HF_HUB_OFFLINE``)."""
    return bool(_library().constants.HF_HUB_OFFLINE)


def headers(*, with_token: bool) -> dict[str, str]:
    """Return what is told of a request.

    Raises
    ------
    FileError
        If there is no token.
    """
    if not with_token:
        return HEADERS
    token = _library().get_token()
    if not token:
        raise FileError("token: there is none; log in with `hf auth login`, or set HF_TOKEN")
    return HEADERS | {"authorization": f"Bearer {token}"}


def describe(address: Address, told: dict[str, str]) -> dict[str, Any]:
    """Return what the hub says of a repository at a revision, unchecked.

    Raises
    ------
    FileError
        If the hub does not answer, or says no, or something that is no JSON object.
    """
    revision = quote(address.revision or "main", safe="")
    url = f"{host()}/api/models/{address.repository}/revision/{revision}?blobs=true"
    with tempfile.TemporaryFile() as file:
        _get(url, _Bounded(file, _MOST_ANSWER), address, told)
        file.seek(0)
        try:
            found = json.loads(file.read())
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise FileError(f"{address}: {host()} gave no answer of a hub; check HF_ENDPOINT")
    return found


def fetch(
    address: Address,
    commit: str,
    n_bytes: int,
    file: Path,
    told: dict[str, str],
    progress: Callable[[float], None],
) -> None:
    """Write the bytes of a file on a hub, at a commit, into a file that is there.

    Raises
    ------
    FileError
        If the hub does not give them, or more.
    """
    url = f"{host()}/{address.repository}/resolve/{commit}/{quote(str(address.file))}"
    with file.open("r+b") as inner:
        _get(url, _Bounded(inner, n_bytes, progress), address, told, n_bytes)


class _Bounded(io.RawIOBase):
    """A file that takes no more than it should, however much a host sends."""

    def __init__(
        self, file: BinaryIO, most: int, progress: Callable[[float], None] = lambda _: None
    ) -> None:
        self._file, self._most, self._progress = file, most, progress

    def write(self, data: Any) -> int:
        """Write, and say which share is there."""
        if self._file.tell() + len(data) > self._most:
            raise FileError(f"more than {self._most} bytes came")
        n_written = self._file.write(data)
        self._progress(self._file.tell() / max(1, self._most))
        return n_written

    def seek(self, *place: int) -> int:
        """As of a file."""
        return self._file.seek(*place)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """As of a file."""
        return self._file.truncate(size)


def _get(
    url: str,
    file: _Bounded,
    address: Address,
    told: dict[str, str],
    n_bytes: int | None = None,
) -> None:
    with _said_of(address):
        _library().file_download.http_get(url, file, headers=told, expected_size=n_bytes)


@contextmanager
def _said_of(address: Address) -> Iterator[None]:
    """Say in one line what a host or the library refuses."""
    refused = _library().errors.HfHubHTTPError
    base = refused.__mro__[1]  # of its HTTP library, for no answer at all
    try:
        yield
    except refused as error:
        code = error.response.status_code
        if code in (401, 403):
            why = (
                "is not there, or not for everybody; check the address, or take its terms on its "
                "page, log in with `hf auth login` and give --with-token"
            )
        elif code == 404:
            why = "the hub has no such model, revision or file; check the address"
        else:
            why = f"the hub said {code}; try again later"
        raise FileError(f"{address}: {why}") from error
    except (base, OSError, ValueError) as error:
        reason = printable(" ".join(str(error).split()))[:200] or type(error).__name__
        raise FileError(
            f"{address}: cannot be had of {host()}: {reason}; check the network and try again"
        ) from error


def repository_folder(address: Address) -> Path:
    """Return the folder of a repository in the cache of huggingface_hub; it need not exist."""
    return Path(_library().constants.HF_HUB_CACHE) / f"models--{address.repository}".replace(
        "/", "--"
    )


def cached_commit(address: Address) -> str | None:
    """Return the commit that the cache has of a revision, None if it has none."""
    revision = address.revision or "main"
    folder = repository_folder(address)
    try:
        commit = (folder / "refs" / revision).read_text("utf-8").strip()
    except (OSError, ValueError):
        commit = revision
    is_there = COMMIT.fullmatch(commit) and (folder / "snapshots" / commit).is_dir()
    return commit if is_there else None


def place(address: Address, commit: str) -> Path:
    """Return where the cache has, or would have, a file at a commit."""
    return repository_folder(address) / "snapshots" / commit / str(address.file)
