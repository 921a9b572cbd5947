"""Signals that ask for an end clean up as Ctrl-C does."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Sent by `kill`, `docker stop`, systemd and batch systems; by a terminal that is closed.
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: Seconds in which further signals are the same wish: they often come in pairs.
_ONE_WISH_S = 5.0


class Stopped(KeyboardInterrupt):
    """A signal has asked for an end; `code` is the exit code that shells know it by."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread when one comes that nobody ignores or handles."""
    owner, asked = os.getpid(), -_ONE_WISH_S

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if os.getpid() != owner:  # a fork
            os._exit(128 + number)
        before, asked = asked, time.monotonic()
        if asked - before > _ONE_WISH_S:
            raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
