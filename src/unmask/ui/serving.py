"""The page on this computer, until it is stopped."""

import os
import secrets
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from unmask.files import hidden_folder
from unmask.listen.serving import Address, check_installed, listening_socket, server
from unmask.ui.desk import Desk
from unmask.ui.offers import Models

#: Largest file that is taken: an hour of stereo at 96 kHz and 24 bits is 2.1 GB.
MOST_BYTES = 4_000_000_000


def serve(
    models: Models,
    *,
    port: int = 0,
    opens: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the page to browsers of this computer until a signal ends it; nothing is left then.

    Parameters
    ----------
    models : Models
    port : int
        0 is any that is free.
    opens : bool
        Whether a browser is opened.
    say : callable
        Is told where the page is.

    Raises
    ------
    ConfigError, FileError, MissingExtraError
        If it cannot be.
    """
    check_installed()
    from unmask.ui.server import Keys, application

    keys = Keys(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    address = Address(port=port)
    with closing(listening_socket(address)) as bound, private_folder() as folder:
        base = f"http://{address.host}:{bound.getsockname()[1]}"
        say(f"{base}/{keys.token}/ (this computer alone can reach it; Ctrl-C ends it)")
        desk = Desk(folder, models)
        desk.queue.start()
        if opens and _has_browser():
            once = f"{base}/open/{keys.once}"
            threading.Thread(target=webbrowser.open, args=[once], daemon=True).start()
        try:
            server(application(desk, keys, most_bytes=MOST_BYTES)).run(sockets=[bound])
        finally:
            desk.queue.close()


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for this user alone, which goes at the end with all that is in it.

    What was left by a process that was killed goes at the next start.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    with hidden_folder(Path(tempfile.gettempdir())) as folder:
        private = folder / "ui"
        private.mkdir(mode=0o700)
        yield private


def _has_browser() -> bool:
    """Tell whether a browser with a window is likely: in a terminal alone, text browsers open."""
    if sys.platform in {"win32", "darwin"} or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
