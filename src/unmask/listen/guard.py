"""What stands before the pages: limits of rate and size, and the headers of every response."""

import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing from elsewhere, nothing inline, no frames, no forms, no markup made of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_MOST_KEYS = 20_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is taken of whom."""

    body_bytes: int = 16384
    """Of one request."""
    per_address: float = 200.0
    """Requests a second of one address, behind which a whole laboratory may sit."""
    new_per_address: float = 2.0
    """New listeners a second of one address, after a first burst of 60 seconds' worth."""
    per_session: float = 20.0
    """Requests a second of one listener."""
    tokens_per_address: float = 0.2
    """Wrong tokens a second of one address, for who tries to guess the organiser's."""


class Buckets:
    """Token buckets by key: `rate` a second, after a burst of `burst`.

    Parameters
    ----------
    rate : float
    burst : float
    clock : callable
        Seconds.

    Examples
    --------
    >>> now = iter([0, 0, 0, 1])
    >>> buckets = Buckets(1, 2, clock=lambda: next(now))
    >>> [buckets.take("one") for _ in range(4)]
    [True, True, False, True]
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: MutableMapping[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take one; False if there is none."""
        now = self._clock()
        level, then = self._levels.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        self._levels[key] = (level - (level >= 1), now)
        if len(self._levels) > _MOST_KEYS:
            del self._levels[next(iter(self._levels))]
        return level >= 1


class Guard:
    """ASGI middleware: refuses what comes too often, or is too long; adds the headers."""

    def __init__(self, app: ASGIApp, limits: Limits, https: bool) -> None:
        self._app, self._limits = app, limits
        self._addresses = Buckets(limits.per_address, 10 * limits.per_address)
        secure = {"Strict-Transport-Security": "max-age=31536000"} if https else {}
        self._headers = _HEADERS | secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        if not self._addresses.take(address(scope)):
            return error(429, "too many requests from this address; wait a moment")
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limits.body_bytes:
            return error(413, f"request too long, expected at most {self._limits.body_bytes} bytes")
        return None


def address(scope: Scope) -> str:
    """Return the address that a request comes from."""
    client: Any = scope.get("client")
    return str(client[0]) if client else ""


def error(status: int, text: str) -> JSONResponse:
    """Return a refusal in one line."""
    headers = {"Retry-After": "2"} if status in {429, 503} else {}
    return JSONResponse({"error": text}, status, headers)
