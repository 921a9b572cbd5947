"""Pulling a model: what the hub offers, the bytes that come of it, and the pin that says so."""

import hashlib
import os
import re
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from unmask import pins
from unmask.engine.container import MOST_BYTES
from unmask.engine.loading import bundled, read
from unmask.engine.model import Model, load_bytes, load_model
from unmask.errors import ConfigError, FileError, ModelError, UnmaskError, listed, printable
from unmask.files import make_folder, replacing, writing
from unmask.hub import client
from unmask.pins import COMMIT, SHA256, Address, Pin

_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a hub offers, before any of it is fetched.

    Parameters
    ----------
    asked : Address
        What the user asked for.
    commit : str
        Which the revision is.
    file : str
        In the repository.
    n_bytes : int
    licence : str
        As the hub tells it.
    blob : str
        The hub's own hash of the file: SHA-256, or SHA-1 as git has it of small files; "" where the
        file is in the cache and the hub is not asked.
    is_cached : bool
        Whether the file is on this machine already.
    """

    asked: Address
    commit: str
    file: str
    n_bytes: int
    licence: str
    blob: str
    is_cached: bool

    @property
    def address(self) -> Address:
        """The file, at the commit: what it will always be."""
        return Address(self.asked.repository, self.commit, self.file)


def look_up(address: str, *, with_token: bool = False) -> Offer:
    """Ask the hub what a model is; with ``HF_HUB_OFFLINE`` the cache of huggingface_hub.

    Parameters
    ----------
    address : str
        ``hf://ORGANISATION/NAME[@REVISION][/FILE.onnx]``.
    with_token : bool
        Whether to tell the hub who asks: for models that are not for everybody.

    Raises
    ------
    ConfigError
        If it is no address.
    FileError
        If the hub does not answer, or has no such model; offline, if the cache has none.
    ModelError
        If there is no ``.onnx`` file, or several and none is named.
    MissingExtraError
        If huggingface_hub is not installed.
    """
    asked = Address.parse(address)
    if client.is_offline():
        return _in_cache(asked)
    return _offered(asked, client.describe(asked, client.headers(with_token=with_token)))


def _offered(asked: Address, said: Mapping[str, Any]) -> Offer:
    """Return the offer of what a hub said, of which every part is looked at."""
    commit, siblings = said.get("sha"), said.get("siblings")
    entries = (
        [one for one in siblings if isinstance(one, dict)] if isinstance(siblings, list) else []
    )
    found = {str(one.get("rfilename")): one for one in entries}
    file = _chosen(asked, list(found))
    entry = found[file]
    lfs = entry["lfs"] if isinstance(entry.get("lfs"), dict) else {}
    n_bytes, blob = lfs.get("size", entry.get("size")), lfs.get("sha256", entry.get("blobId"))
    sound = isinstance(commit, str) and COMMIT.fullmatch(commit) and isinstance(blob, str)
    if not (sound and _BLOB.fullmatch(str(blob)) and type(n_bytes) is int and n_bytes >= 0):
        raise FileError(
            f"{asked}: {client.host()} does not tell commit, size and hash; check HF_ENDPOINT"
        )
    if n_bytes > MOST_BYTES:
        raise ModelError(f"{asked}: {file} is larger than 2 GiB, which no ONNX file is")
    at = Address(asked.repository, str(commit), file)
    return Offer(
        asked=asked,
        commit=str(commit),
        file=file,
        n_bytes=n_bytes,
        licence=_licence(said),
        blob=str(blob),
        is_cached=client.place(at, str(commit)).is_file(),
    )


def _licence(said: Mapping[str, Any]) -> str:
    """Return the licence of a model's card."""
    card = said.get("cardData")
    card = card if isinstance(card, dict) else {}
    words = [card.get(key) for key in ("license", "license_name", "license_link")]
    told = [word if isinstance(word, list) else [word] for word in words]
    text = ", ".join(str(word) for group in told for word in group if isinstance(word, str))
    return printable(text)[:200] or "not told by the hub"


def _in_cache(asked: Address) -> Offer:
    """Return the offer of what the cache of huggingface_hub has."""
    commit = client.cached_commit(asked)
    folder = client.repository_folder(asked)
    if commit is None:
        raise FileError(
            f"{asked}: is not in {folder.parent}, and HF_HUB_OFFLINE forbids to ask the hub; "
            "fetch it where there is a network, or unset HF_HUB_OFFLINE"
        )
    top = folder / "snapshots" / commit
    file = _chosen(asked, [path.relative_to(top).as_posix() for path in top.rglob("*.onnx")])
    path = top / file
    licence = load_model(path).metadata.get("licence")
    return Offer(
        asked=asked,
        commit=commit,
        file=file,
        n_bytes=len(read(path)),
        licence=printable(str(licence or "not told"))[:200],
        blob="",
        is_cached=True,
    )


def _chosen(asked: Address, names: list[str]) -> str:
    """Return the file that is meant, of those of a repository."""
    models = [name for name in names if name.endswith(".onnx")]
    if asked.file is not None:
        models = [name for name in models if name == asked.file]
    if len(models) == 1:
        # Names of others: nothing in them may lead out of a folder.
        Address.parse(str(replace(asked, file=models[0])))
        return models[0]
    if models:
        raise ModelError(f"{asked}: has {listed(models, 8)}; name one, as {asked}/{models[0]}")
    what = asked.file or ".onnx file"
    raise ModelError(f"{asked}: has no {what}; check the address")


def pull(
    offer: Offer,
    *,
    sha256: str | None = None,
    with_token: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Pin, Model]:
    """Fetch what was offered, check it as any model of others, and pin it.

    The file gets its name in the cache of huggingface_hub once it is whole, has the hash that the
    hub told and loads; until then it has a hidden name, which the next pull takes away.

    Parameters
    ----------
    offer : Offer
        From :func:`look_up`.
    sha256 : str
        The hash that it must have, where the user knows it.
    with_token : bool
        Say who asks, for models that are not for everybody.
    progress : function of a share
        Called while bytes come.

    Returns
    -------
    Pin, Model

    Raises
    ------
    ConfigError
        If `sha256` is no hash.
    FileError
        If the bytes do not come, or cannot be written.
    ModelError
        If they have another hash, or are no model that may run.
    """
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: {sha256:.80}, expected 64 hexadecimal digits in lower case")
    path = client.place(offer.address, offer.commit)
    if offer.is_cached:
        model = _accepted(read(path), path, offer, sha256)
    else:
        model = _fetched(path, offer, sha256, client.headers(with_token=with_token), progress)
    pin = Pin(
        repository=offer.asked.repository,
        revision=None if offer.asked.revision == offer.commit else offer.asked.revision,
        commit=offer.commit,
        file=offer.file,
        sha256=model.sha256,
        n_bytes=offer.n_bytes,
        licence=offer.licence,
        path=str(path.absolute()),
        pulled=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    pin.save()
    return pin, model


def _fetched(
    path: Path,
    offer: Offer,
    sha256: str | None,
    told: dict[str, str],
    progress: Callable[[float], None],
) -> Model:
    """Put a file into the cache, as huggingface_hub lays it out: a blob, and a link to it."""
    blob = client.repository_folder(offer.asked) / "blobs" / offer.blob
    make_folder(blob.parent)
    make_folder(path.parent)
    with replacing(blob) as partial:
        client.fetch(offer.address, offer.commit, offer.n_bytes, partial, told, progress)
        model = _accepted(read(partial), path, offer, sha256)
    with writing(path):
        link = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            link.symlink_to(os.path.relpath(blob, path.parent))
            os.replace(link, path)
        except OSError:  # file systems without links
            link.unlink(missing_ok=True)
            os.replace(blob, path)
    return model


def _accepted(content: bytes, path: Path, offer: Offer, sha256: str | None) -> Model:
    """Return the model of these bytes; `path` is what errors name."""
    found = hashlib.sha256(content).hexdigest()
    if offer.blob:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        if offer.blob not in (found, git.hexdigest()):
            raise ModelError(
                f"{offer.address}: came with SHA-256 {found}, the hub tells {offer.blob}; "
                "nothing was kept, try again"
            )
    if sha256 is not None and found != sha256:
        raise ModelError(
            f"{offer.address}: has SHA-256 {found}, expected {sha256}; nothing was kept"
        )
    return load_bytes(content, path)


def verify(names: Sequence[str] = ()) -> Iterator[tuple[str, Model | UnmaskError]]:
    """Load models again from their files: hash, contents, and one call of the network.

    The hash of a model that was pulled is that of its pin, that of a bundled one what the installer
    of this package has noted (nothing, in a checkout).

    Parameters
    ----------
    names : sequence of str
        Bundled names, paths or addresses; all that are bundled or pulled if there are none.

    Yields
    ------
    str, Model or UnmaskError
        The name, and what came of it.
    """
    for name in names or [*bundled(), *(str(pin.address) for pin in pins.every())]:
        try:
            model = _unchanged(name)
        except UnmaskError as error:
            yield name, error
        else:
            yield name, model


def _unchanged(name: str) -> Model:
    """Load a model; refuse a bundled one that is not as it was installed."""
    model = load_model(name)
    noted = _noted(name)
    if noted not in (None, model.sha256):
        raise ModelError(
            f"{bundled()[name]}: has SHA-256 {model.sha256}, was installed with {noted}; "
            "install unmask again"
        )
    return model


def _noted(name: str) -> str | None:
    """Return the hash that a bundled model was installed with, where one was noted."""
    with suppress(PackageNotFoundError):
        for file in files("unmask") or ():
            if file.as_posix() == f"unmask/models/{name}.onnx" and file.hash:
                return urlsafe_b64decode(f"{file.hash.value}=").hex()
    return None
