"""Files that are elsewhere: what fsspec reaches by URL, as ``s3://bucket/song.wav``.

The only file that imports fsspec. Nothing is read in place: files are copied here, worked on, and
copied back, so that all that works with files works with these.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import gettempdir
from typing import Any

from unmask import audio
from unmask.errors import AudioFileError, ConfigError, FileError, MissingExtraError, UnmaskError
from unmask.files import hidden_folder, writing
from unmask.stems import MIXTURES, canonical

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+)://(?P<place>[^/]*)")
#: Stores where what is written appears whole or not at all, hence needs no other name first.
_WHOLE = {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a"}
_PART = ".unmask-part-"
_SOUND = audio.SUFFIXES | audio.MEDIA_SUFFIXES


def is_url(path: str | Path) -> bool:
    """Tell whether a path is a URL.

    >>> is_url("s3://bucket/song.wav"), is_url("song.wav"), is_url("C://song.wav")
    (True, False, False)
    """
    return _URL.match(str(path)) is not None


@contextmanager
def named(urls: Mapping[Path, str]) -> Iterator[None]:
    """Let errors speak of URLs instead of the paths that stand for them, or for what is above."""
    try:
        yield
    except UnmaskError as error:
        longest = sorted(urls, key=lambda path: len(str(path)), reverse=True)

        def renamed(text: Any) -> Any:
            for path in longest:
                text = text.replace(str(path), urls[path]) if isinstance(text, str) else text
            return text

        error.args = tuple(map(renamed, error.args))
        error.__notes__ = [*map(renamed, getattr(error, "__notes__", []))]
        raise


class StandIns:
    """Empty files that stand for remote ones: names are planned with as if they were here.

    They are as large as what they stand for, and take no room.

    Parameters
    ----------
    folder : path
        Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Folder (or file to be written) -> URL; what is below goes by the same names.
        self.urls: dict[Path, str] = {}

    def source(self, path: str | Path) -> Path:
        """Return what stands for a file or folder; a path that is no URL is returned as it is.

        Of a folder all that is below it that has the suffix of a sound file.

        Raises
        ------
        AudioFileError
            If there is no such thing, or a name in it is none of a file.
        ConfigError, MissingExtraError
            If it is no URL that can be used here.
        """
        if not is_url(path):
            return Path(path)
        url = _trimmed(path)
        with _reached(url) as (store, place):
            if store.isdir(place):
                return self._folder(url, store.find(place, detail=True), place)
            if not store.isfile(place):
                raise AudioFileError(f"{url}: no such file or folder; check the URL")
            above, _, name = url.rpartition("/")
            found = {place: store.info(place)}
            if canonical(PurePosixPath(name).stem) in MIXTURES:  # the others say what it is called
                beside = store.ls(store._parent(place), detail=True)
                found |= {one["name"]: one for one in beside if one["type"] == "file"}
            return self._folder(above, found, store._parent(place)) / name

    def _folder(self, url: str, files: Mapping[str, Any], place: str) -> Path:
        """Make the stand-ins of the sound files below a place; return that of the place."""
        folder = self.folder / str(len(self.urls)) / (_name(url) or "all")
        self.urls[folder] = url
        for name, about in files.items():
            inner = PurePosixPath(name.removeprefix(place).lstrip("/"))
            if len(files) > 1 and inner.suffix.lower() not in _SOUND:
                continue
            if ".." in inner.parts or str(inner) != name.removeprefix(place).lstrip("/"):
                raise AudioFileError(f"{url}: {name!r} is no name of a file; rename it there")
            with writing(folder / inner):
                (folder / inner).parent.mkdir(parents=True, exist_ok=True)
                with (folder / inner).open("xb") as file:
                    file.truncate(about["size"] or 0)
        return folder

    def out(self, path: str | Path) -> Path:
        """Return what stands for what is to be written; a path that is no URL, as it is.

        Raises
        ------
        ConfigError, MissingExtraError
            If it is no URL that can be used here.
        """
        if not is_url(path):
            return Path(path)
        above, _, name = _trimmed(path).rpartition("/")
        with _reached(f"{above}/{name}"):
            folder = self.folder / str(len(self.urls)) / (_name(above) or "all")
        self.urls[folder] = above  # where a file is written its record is beside it
        return folder / name

    def url(self, path: Path) -> str | None:
        """Return what a path stands for, None if for itself."""
        for folder, url in self.urls.items():
            if path == folder or folder in path.parents:
                return f"{url}/{path.relative_to(folder).as_posix()}".removesuffix("/.")
        return None

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Return those that stand for something, and for what."""
        return {path: url for path in paths if (url := self.url(path)) is not None}


@contextmanager
def stand_ins() -> Iterator[StandIns]:
    """Make stand-ins, in a hidden folder that goes at the end; errors in the block name URLs."""
    with hidden_folder(Path(gettempdir())) as folder:
        made = StandIns(folder)
        with named(made.urls):
            yield made


@contextmanager
def working_folder() -> Iterator[Path]:
    """Make a folder for copies on this machine, which goes at the end."""
    with hidden_folder(Path(gettempdir())) as folder:
        yield folder


def download(url: str, path: Path) -> str:
    """Copy a file here; return which version of it, as the store tells them apart.

    Raises
    ------
    AudioFileError
        If it was changed while it was read.
    FileError
        If it cannot be read.
    """
    with _reached(url) as (store, place):
        if (before := version(url)) is None:
            raise AudioFileError(f"{url}: no such file; check the URL")
        path.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(place, str(path))
    if version(url) != before:
        raise AudioFileError(
            f"{url}: was changed while it was read, nothing of it is kept; separate it again when "
            "it is complete"
        )
    return before


def upload(path: Path, url: str) -> None:
    """Copy a file to where it belongs, whole or not at all.

    What an earlier process has left that was killed over it is replaced.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    with _reached(url) as (store, place):
        above = store._parent(place)
        store.makedirs(above, exist_ok=True)
        if _protocol(url) in _WHOLE:
            store.put_file(str(path), place)
            return
        part = f"{above}/{_PART}{_name(url)}"
        store.put_file(str(path), part)
        store.mv(part, place)


def remove(url: str) -> None:
    """Take a file away, if it is there.

    Raises
    ------
    FileError
        If it cannot be.
    """
    with _reached(url) as (store, place):
        if store.exists(place):
            store.rm_file(place)


def version(url: str) -> str | None:
    """Return what changes whenever a file does; None if there is none.

    Raises
    ------
    FileError
        If the store cannot be reached.
    """
    with _reached(url) as (store, place):
        store.invalidate_cache(store._parent(place))
        return str(store.ukey(place)) if store.isfile(place) else None


def read_bytes(url: str) -> bytes:
    """Return what is in a file.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    with _reached(url) as (store, place):
        found: bytes = store.cat_file(place)
        return found


def n_bytes(url: str) -> int | None:
    """Return how large a file is; None if there is none.

    Raises
    ------
    FileError
        If the store cannot be reached.
    """
    with _reached(url) as (store, place):
        return int(store.size(place)) if store.isfile(place) else None


def _trimmed(path: str | Path) -> str:
    url = str(path).rstrip("/")
    if not is_url(url):
        raise ConfigError(f"{path}: names no file or folder; add one")
    return url


def _name(url: str) -> str:
    return PurePosixPath(url.partition("://")[2]).name


def _protocol(url: str) -> str:
    return url.partition("://")[0].lower()


@contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    """Give the store that a URL is in, and the place there; what goes wrong is said of the URL."""
    found = _URL.match(url)
    if found and "@" in found["place"]:
        raise ConfigError(
            f"{_protocol(url)}://: holds a user or password, which would go into records; give "
            "them in the environment or the configuration of fsspec"
        )
    try:
        import fsspec

        yield fsspec.core.url_to_fs(url)
    except UnmaskError:
        raise
    except ImportError as error:
        name = error.name or getattr(error.__cause__, "name", None) or _protocol(url)
        package = "unmask[cluster]" if name == "fsspec" else name
        raise MissingExtraError(
            f"{url}: needs {name}, which is not installed; pip install {package}"
        ) from error
    except Exception as error:  # stores are plug-ins, their errors have no base of their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileError(
            f"{url}: cannot be reached: {reason}; check URL, rights and network"
        ) from error
