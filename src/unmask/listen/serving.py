"""A test on the network, until it is stopped."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from unmask.errors import ConfigError, FileError, MissingExtraError
from unmask.listen import design
from unmask.listen.database import sqlite_url
from unmask.listen.design import Secret, Test
from unmask.listen.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

ANSWERS = "answers.sqlite"
_LOOPBACK = {"127.0.0.1", "::1", "[::1]", "localhost"}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where it is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 is any that is free."""
    public_url: str | None = None
    """How listeners reach it through a proxy, whose word on their addresses is taken."""

    @property
    def origin(self) -> str | None:
        """Of the public URL, as browsers say it."""
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}".lower()

    def hosts(self) -> list[str]:
        """Return the names by which it may be called.

        Raises
        ------
        ConfigError
            If the public URL is none.
        """
        if self.public_url is not None:
            host = urlsplit(self.public_url).hostname
            if urlsplit(self.public_url).scheme not in {"http", "https"} or not host:
                raise ConfigError(
                    f"public URL: {self.public_url!r}, expected https://HOST, as listeners type it"
                )
            return [host, *sorted(_LOOPBACK)]
        return sorted(_LOOPBACK) if self.host in _LOOPBACK else ["*"]


def open_store(folder: str | Path, database: str | None) -> tuple[Test, Secret, Store]:
    """Read a test and open what it has collected.

    Parameters
    ----------
    folder : path
    database : str or None
        URL; ``answers.sqlite`` in the folder when None.

    Raises
    ------
    FileError, ConfigError
        As :func:`unmask.listen.design.read` and :class:`unmask.listen.store.Store`.
    """
    test, secret = design.read(folder)
    if database is None:
        path = Path(folder) / ANSWERS
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from error
        database = sqlite_url(path)
    return test, secret, Store(database, test.id)


def listening_socket(address: Address) -> socket.socket:
    """Return a socket that listens at an address.

    Raises
    ------
    ConfigError
        If it cannot be.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(found[0], found[1])
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(found[4])
            bound.listen(2048)  # who comes before the server is ready waits
        except OSError:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{address.host}:{address.port}: cannot be served on ({error}); choose another "
            "--host or --port"
        ) from error
    return bound


def serve(
    folder: str | Path,
    address: Address,
    *,
    database: str | None = None,
    most_sessions: int = 1000,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve a test until a signal ends it.

    Parameters
    ----------
    folder : path
    address : Address
    database : str, optional
        URL of where answers go; SQLite in the folder by default.
    most_sessions : int
    say : callable
        Is told where it is.

    Raises
    ------
    FileError, ConfigError, MissingExtraError
        If it cannot be.
    """
    check_installed()
    from unmask.listen.server import application
    from unmask.listen.visits import Visits

    hosts = address.hosts()
    test, secret, store = open_store(folder, database)
    visits = Visits(Path(folder), test, secret, store, most_sessions)
    try:
        bound = listening_socket(address)
        with closing(bound):
            say(_where(address, bound.getsockname()[1]))
            app = application(visits, hosts=hosts, origin=address.origin)
            server(app, behind_proxy=address.public_url is not None).run(sockets=[bound])
    finally:
        store.close()


def check_installed() -> None:
    """Refuse what cannot be served for want of packages.

    Raises
    ------
    MissingExtraError
    """
    try:
        import_module("starlette")
        import_module("uvicorn")
    except ImportError:
        raise MissingExtraError(
            "Starlette or uvicorn is not installed, serving needs them; "
            'pip install "unmask[listen]"'
        ) from None


def server(app: "ASGIApp", *, behind_proxy: bool = False) -> "Server":
    """Return what serves an application; it says nothing of itself, and writes no log."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
    )
    return uvicorn.Server(config)


def _where(address: Address, port: int) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    local = f"http://{host}:{port}/"
    if address.public_url is not None:
        return f"{address.public_url}, passed on by a proxy to {local}"
    if address.host in _LOOPBACK:
        return f"{local} (this computer alone can reach it)"
    return f"{local} (whoever reaches this computer can take part; not encrypted)"
