"""The web application: which address gives what, and to whom."""

import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unmask.errors import UnmaskError
from unmask.listen.export import judgements_csv, listeners_csv
from unmask.listen.guard import Buckets, Guard, Limits, address, error
from unmask.listen.store import Session
from unmask.listen.visits import RefusedError, Visits

_PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_COOKIE_S = 30 * 86400
_Handler = Callable[[Request], Awaitable[Response]]


class Application:
    """The handlers of one test.

    Parameters
    ----------
    visits : Visits
    limits : Limits
    origin : str or None
        Of the address that listeners know, if that is another than the server's.
    """

    def __init__(self, visits: Visits, limits: Limits, origin: str | None) -> None:
        self._visits, self._limits, self._origin = visits, limits, origin
        self._https = is_https(origin)
        self._cookie = f"{'__Host-' if self._https else ''}unmask_{visits.test.id[:8]}"
        self._new = Buckets(limits.new_per_address, 60 * limits.new_per_address)
        self._sessions = Buckets(limits.per_session, 10 * limits.per_session)
        self._guesses = Buckets(limits.tokens_per_address, 5)
        self._files = {path.name: path.read_bytes() for path in sorted(_PAGE.iterdir())}

    def routes(self) -> list[Route]:
        """Return all there is."""
        get, post = ["GET"], ["POST"]
        return [
            Route("/", self._safely(self.index), methods=get),
            Route("/static/{name}", self._safely(self.static), methods=get),
            Route("/api/state", self._safely(self.state), methods=get),
            Route("/api/session", self._safely(self.begin), methods=post),
            Route("/api/leave", self._safely(self.leave), methods=post),
            Route("/api/notes", self._safely(self.note), methods=post),
            Route("/api/pages/{position}", self._safely(self.page), methods=get),
            Route("/api/pages/{position}/clips/{name}", self._safely(self.clip), methods=get),
            Route("/api/pages/{position}/answer", self._safely(self.answer), methods=post),
            Route("/api/export/{name}", self._safely(self.export), methods=get),
        ]

    def _safely(self, handler: _Handler) -> _Handler:
        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RefusedError as refusal:
                return error(refusal.status, str(refusal))
            except ClientDisconnect:
                return error(400, "the request ended before its body did")
            except UnmaskError:
                return error(503, "answers cannot be stored at the moment; try again")

        return handle

    async def index(self, _request: Request) -> Response:
        """Give the one page."""
        return self._file("index.html")

    async def static(self, request: Request) -> Response:
        """Give its style and scripts; only files of the package are known."""
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        kind = _TYPES.get(Path(name).suffix)
        if name not in self._files or kind is None:
            raise RefusedError(404, "no such file")
        return Response(self._files[name], media_type=kind)

    async def state(self, request: Request) -> Response:
        """Say where the listener is."""
        session = await self._known(request)
        return JSONResponse(await run_in_threadpool(self._visits.state, session))

    async def begin(self, request: Request) -> Response:
        """Begin a session, after consent."""
        said = await self._said(request)
        if said.get("consent") is not True or not isinstance(said.get("begin"), str):
            raise RefusedError(
                400, "consent: expected true, and begin: 32 to 64 letters and digits"
            )
        session = await self._known(request)
        is_new = session is None
        if is_new:
            if not self._new.take(address(request.scope)):
                raise RefusedError(429, "too many new listeners from this address; wait a moment")
            session = await run_in_threadpool(self._visits.begin, said["begin"])
        response = JSONResponse(await run_in_threadpool(self._visits.state, session), 201)
        if is_new:
            response.set_cookie(
                self._cookie,
                self._visits.token(said["begin"]),
                _COOKIE_S,
                secure=self._https,
                httponly=True,
                samesite="strict",
            )
        return response

    async def leave(self, request: Request) -> Response:
        """Let another listener begin in this browser, once this one is done."""
        session, _ = await self._mine(request), await self._said(request)
        if self._visits.stage(session) not in {"done", "refused"}:
            raise RefusedError(409, "the test is not done; finish it first")
        response = JSONResponse({})
        response.delete_cookie(self._cookie, secure=self._https, httponly=True, samesite="strict")
        return response

    async def note(self, request: Request) -> Response:
        """Store the result of a step before the pages."""
        session, said = await self._mine(request), await self._said(request)
        noted = await run_in_threadpool(self._visits.note, session, said)
        return JSONResponse(await run_in_threadpool(self._visits.state, noted))

    async def page(self, request: Request) -> Response:
        """Give a page, if it is the one to answer now."""
        session, position = await self._mine(request), _position(request)
        return JSONResponse(await run_in_threadpool(self._visits.page, session, position))

    async def clip(self, request: Request) -> Response:
        """Give the sound of a clip of that page."""
        session, position = await self._mine(request), _position(request)
        name = request.path_params["name"]
        path = await run_in_threadpool(self._visits.clip, session, position, name)
        return Response(await run_in_threadpool(path.read_bytes), media_type="audio/flac")

    async def answer(self, request: Request) -> Response:
        """Store an answer; it is on the disk before this says so."""
        session, said = await self._mine(request), await self._said(request)
        position = _position(request)
        new = await run_in_threadpool(self._visits.answer, session, position, said)
        return JSONResponse({"stored": True, "again": not new}, 201 if new else 200)

    async def export(self, request: Request) -> Response:
        """Give all answers, to the organiser."""
        self._check_organiser(request)
        visits, name = self._visits, request.path_params["name"]
        if name == "judgements.csv":
            args = (visits.test, visits.secret, visits.store)
            text = await run_in_threadpool(judgements_csv, *args)
        elif name == "listeners.csv":
            text = await run_in_threadpool(listeners_csv, visits.test, visits.store)
        else:
            raise RefusedError(404, "there are judgements.csv and listeners.csv")
        return Response(text, media_type="text/csv; charset=utf-8")

    def _check_organiser(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        right = self._visits.secret.organiser
        if kind.lower() == "bearer" and secrets.compare_digest(token.encode(), right.encode()):
            return
        if not self._guesses.take(address(request.scope)):
            raise RefusedError(429, "too many wrong tokens from this address; wait a minute")
        raise RefusedError(401, "this needs the organiser's token (Authorization: Bearer TOKEN)")

    async def _known(self, request: Request) -> Session | None:
        token = request.cookies.get(self._cookie)
        session = await run_in_threadpool(self._visits.known, token)
        if session is not None and not self._sessions.take(session.id):
            raise RefusedError(429, "too many requests; wait a moment")
        return session

    async def _mine(self, request: Request) -> Session:
        session = await self._known(request)
        if session is None:
            raise RefusedError(401, "no session; begin at the first page")
        return session

    async def _said(self, request: Request) -> dict[str, Any]:
        """Return the JSON object of a request; refuse what another site may have sent."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        origin = request.headers.get("origin")
        if kind != "application/json":
            raise RefusedError(415, "content-type: expected application/json")
        own = (None, self._origin, f"{request.url.scheme}://{request.headers.get('host')}")
        if origin not in own:
            raise RefusedError(403, "origin: expected this site")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > self._limits.body_bytes:
                raise RefusedError(
                    413, f"too long, expected at most {self._limits.body_bytes} bytes"
                )
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "body: is no JSON") from None
        if not isinstance(said, dict):
            raise RefusedError(400, "body: expected a JSON object")
        return said


def _position(request: Request) -> int:
    """Return the number of a page that an address has."""
    text = str(request.path_params["position"])
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise RefusedError(404, "no such page")
    return int(text)


async def _plainly(_request: Request, met: Exception) -> Response:
    assert isinstance(met, HTTPException)
    return error(met.status_code, met.detail)


def is_https(origin: str | None) -> bool:
    """Return whether listeners come by https: cookies are then for that alone."""
    return origin is not None and origin.startswith("https://")


def application(
    visits: Visits, *, limits: Limits | None = None, hosts: list[str], origin: str | None = None
) -> Starlette:
    """Return the web application of a test.

    Parameters
    ----------
    visits : Visits
    limits : Limits, optional
    hosts : list of str
        Names by which it may be called, ``*`` for any: another name is a sign that a page
        elsewhere tries to speak to it.
    origin : str, optional
        ``https://HOST`` of the address that listeners know, if that is another than the server's.
    """
    limits = limits or Limits()
    return Starlette(
        routes=Application(visits, limits, origin).routes(),
        exception_handlers={HTTPException: _plainly},
        middleware=[
            Middleware(Guard, limits=limits, https=is_https(origin)),
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        ],
    )
