"""The web application: which address gives what, and that only this page may ask."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from unmask._version import __version__
from unmask.audio import MEDIA_SUFFIXES, SUFFIXES
from unmask.errors import UnmaskError, one_line
from unmask.layout import FORMATS
from unmask.listen.guard import Guard, Limits, error
from unmask.ui.archive import zipped
from unmask.ui.desk import Desk, RefusedError
from unmask.ui.jobs import Job
from unmask.ui.settings import fields_said
from unmask.ui.stretches import Stretches

#: Names by which it may be called: another is a sign that a page elsewhere speaks to it.
_HOSTS = ["127.0.0.1", "localhost"]
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE = "ui/page/index.html"
#: Files of the page; the player is that of listening tests and reports.
_STATIC = (
    *("ui/page/main.js", "ui/page/api.js", "ui/page/given.js", "ui/page/results.js"),
    *("ui/page/mixer.js", "ui/page/style.css", "listen/page/icon.svg", "listen/page/player.js"),
    *("report/page/dom.js", "report/page/sounds.js", "report/page/tracks.js"),
    *("report/page/view.js", "report/page/style.css"),
)
_MOST_SAID = 16384
_WRITE = 1 << 20
_Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Keys:
    """What opens the page."""

    token: str
    """In every address."""
    once: str
    """Leads to the page one time: who reads it later in a list of processes has nothing."""


class Application:
    """The handlers of one page.

    Parameters
    ----------
    desk : Desk
    keys : Keys
    most_bytes : int
        Of a file that is given.
    """

    def __init__(self, desk: Desk, keys: Keys, most_bytes: int) -> None:
        self._desk, self._keys, self._most_bytes = desk, keys, most_bytes
        self._once: str | None = keys.once
        self._stretches = Stretches()
        self._static = {name: files("unmask").joinpath(name).read_bytes() for name in _STATIC}
        self._page = files("unmask").joinpath(_PAGE).read_bytes()

    def routes(self) -> list[Route]:
        """Return all there is."""
        get, post, job = ["GET"], ["POST"], "/{token}/api/jobs/{job}"
        own = self._safely
        return [
            Route("/open/{once}", self.open, methods=get),
            Route("/{token}/", own(self.index), methods=get),
            Route("/{token}/static/{name:path}", own(self.static), methods=get),
            Route("/{token}/api/state", own(self.state), methods=get),
            Route("/{token}/api/about", own(self.about), methods=get),
            Route("/{token}/api/recordings", own(self.give), methods=post),
            Route("/{token}/api/jobs", own(self.begin), methods=post),
            Route(f"{job}/stop", own(self.stop), methods=post),
            Route(f"{job}/remove", own(self.remove), methods=post),
            Route(f"{job}/stretch", own(self.stretch), methods=get),
            Route(f"{job}/samples/{{sound}}", own(self.samples), methods=get),
            Route(f"{job}/pictures/{{kind}}/{{sound}}", own(self.picture), methods=get),
            Route(f"{job}/files/{{stem}}", own(self.file), methods=get),
            Route(f"{job}/stems.zip", own(self.archive), methods=get),
        ]

    def _safely(self, handler: _Handler) -> _Handler:
        """Answer who has the token, and no other site; say in a line what went wrong."""

        async def handle(request: Request) -> Response:
            try:
                self._check(request)
                return await handler(request)
            except RefusedError as refusal:
                return error(refusal.status, refusal.args[0])
            except ClientDisconnect:
                return error(400, "the request ended before its body did")
            except UnmaskError as met:
                return error(500, self._desk.plain(one_line(met)))

        return handle

    def _check(self, request: Request) -> None:
        token = str(request.path_params["token"])
        if not secrets.compare_digest(token.encode(), self._keys.token.encode()):
            raise RefusedError(404, "no such page; open the address that `unmask ui` has printed")
        origin = request.headers.get("origin")
        own = f"{request.url.scheme}://{request.headers.get('host')}"
        if origin not in (None, own) or (origin is None and request.method == "POST"):
            raise RefusedError(403, "origin: expected this page")

    async def open(self, request: Request) -> Response:
        """Lead to the page, once."""
        given = str(request.path_params["once"]).encode()
        if self._once is None or not secrets.compare_digest(given, self._once.encode()):
            return error(404, "this address was used; open the one that `unmask ui` has printed")
        self._once = None
        return RedirectResponse(f"/{self._keys.token}/", 303)

    async def index(self, _request: Request) -> Response:
        """Give the one page."""
        return Response(self._page, media_type="text/html")

    async def static(self, request: Request) -> Response:
        """Give its style and scripts; only files of the package are known."""
        name = str(request.path_params["name"])
        if name not in self._static:
            raise RefusedError(404, "no such file")
        return Response(self._static[name], media_type=_TYPES[Path(name).suffix])

    async def about(self, _request: Request) -> Response:
        """Say what there is to choose, and how much is taken."""
        said = {
            "version": __version__,
            "models": await run_in_threadpool(self._desk.models.said),
            "formats": FORMATS,
            "suffixes": sorted(SUFFIXES | MEDIA_SUFFIXES),
            "settings": fields_said(),
            "most_bytes": self._most_bytes,
            "most_jobs": self._desk.most_jobs,
        }
        return JSONResponse(said)

    async def state(self, _request: Request) -> Response:
        """Say how far all jobs are."""
        return JSONResponse({"jobs": self._desk.all_said()})

    async def give(self, request: Request) -> Response:
        """Take a file, the body, by way of the disk."""
        name = request.query_params.get("name", "")
        self._check_length(request.headers.get("content-length"))
        number, path = await run_in_threadpool(self._desk.place, name)
        try:
            await self._store(request, path)
        except BaseException:
            await run_in_threadpool(self._desk.discard, path)
            raise
        found = await run_in_threadpool(self._desk.take, number, path)
        return JSONResponse({"id": found.id, "name": path.name}, 201)

    def _check_length(self, length: str | None) -> None:
        if length is not None and int(length) > self._most_bytes:
            raise RefusedError(413, f"too large, expected at most {self._most_bytes / 1e9:g} GB")

    async def _store(self, request: Request, path: Path) -> None:
        n_bytes, held = 0, bytearray()
        try:
            with path.open("wb") as file:
                async for part in request.stream():
                    held += part
                    n_bytes += len(part)
                    self._check_length(str(n_bytes))
                    if len(held) >= _WRITE:
                        await run_in_threadpool(file.write, bytes(held))
                        held.clear()
                await run_in_threadpool(file.write, bytes(held))
        except OSError as met:
            raise RefusedError(
                507, f"{path.name}: cannot be kept: {met.strerror}; make room, or set TMPDIR"
            ) from None

    async def begin(self, request: Request) -> Response:
        """Put a job in the queue."""
        job = await run_in_threadpool(self._desk.begin, await self._said(request))
        return JSONResponse(self._desk.said(job), 201)

    async def stop(self, request: Request) -> Response:
        """Stop a job."""
        job = self._job(request)
        self._desk.queue.stop(job)
        return JSONResponse(self._desk.said(job))

    async def remove(self, request: Request) -> Response:
        """Forget a job and its files."""
        await run_in_threadpool(self._desk.remove, self._job(request))
        return JSONResponse({})

    async def stretch(self, request: Request) -> Response:
        """Say what is heard and seen of a stretch."""
        job = self._done(request)
        return JSONResponse(self._stretches.said(job, self._start(request, job)))

    async def samples(self, request: Request) -> Response:
        """Give the samples of a sound."""
        job = self._done(request)
        path, start = self._sound(request, job), self._start(request, job)
        n_bytes, parts = self._stretches.samples(job, path, start)
        headers = {"Content-Length": str(n_bytes)}
        return StreamingResponse(parts, 200, headers, "application/octet-stream")

    async def picture(self, request: Request) -> Response:
        """Give the spectrogram or the mask of a sound."""
        job = self._done(request)
        draw = {"spectrogram": self._stretches.spectrogram, "mask": self._stretches.mask}.get(
            str(request.path_params["kind"])
        )
        if draw is None:
            raise RefusedError(404, "there are spectrogram and mask")
        path, start = self._sound(request, job), self._start(request, job)
        return Response(await run_in_threadpool(draw, job, path, start), media_type="image/png")

    async def file(self, request: Request) -> Response:
        """Give a file as it was written, under the name of the recording and the stem."""
        job = self._done(request)
        path = job.files().get(str(request.path_params["stem"]))
        if path is None:
            raise RefusedError(404, f"there are {', '.join(job.files())}")
        return FileResponse(path, filename=f"{path.parent.name}_{path.name}")

    async def archive(self, request: Request) -> Response:
        """Give all files, and the record of how they were made."""
        job = self._done(request)
        paths = list(job.files().values())
        record = paths[0].with_name("job.json")
        track = record.parent.name
        contents = {f"{track}/{path.name}": path for path in (*paths, record)}
        name = f"attachment; filename*=utf-8''{quote(track)}.zip"
        return StreamingResponse(
            zipped(contents), 200, {"Content-Disposition": name}, "application/zip"
        )

    def _job(self, request: Request) -> Job:
        return self._desk.job(_number(request.path_params["job"]))

    def _done(self, request: Request) -> Job:
        job = self._job(request)
        if job.state != "done":
            raise RefusedError(409, "is not done yet")
        return job

    def _sound(self, request: Request, job: Job) -> Path:
        sounds, k = list(self._stretches.sounds(job).values()), request.path_params["sound"]
        if _number(k) >= len(sounds):
            raise RefusedError(404, f"sound {k}: there are {len(sounds)}")
        return sounds[_number(k)]

    def _start(self, request: Request, job: Job) -> int:
        start = _number(request.query_params.get("start", "0"))
        if start >= job.recording.n_samples:
            raise RefusedError(404, "the recording is shorter")
        return start

    async def _said(self, request: Request) -> dict[str, Any]:
        """Return the JSON object of a request."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_SAID:
                raise RefusedError(413, f"too long, expected at most {_MOST_SAID} bytes")
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "body: is no JSON") from None
        if not isinstance(said, dict):
            raise RefusedError(400, "body: expected a JSON object")
        return said


def _number(text: object) -> int:
    """Return a number that an address has."""
    found = str(text)
    if not (found.isascii() and found.isdecimal() and len(found) <= 15):
        raise RefusedError(404, "no such number")
    return int(found)


async def _plainly(_request: Request, met: Exception) -> Response:
    assert isinstance(met, HTTPException)
    return error(met.status_code, met.detail)


def application(desk: Desk, keys: Keys, *, most_bytes: int) -> Starlette:
    """Return the web application.

    Parameters
    ----------
    desk : Desk
    keys : Keys
    most_bytes : int
        Of a file that is given.
    """
    limits = Limits(body_bytes=most_bytes)
    return Starlette(
        routes=Application(desk, keys, most_bytes).routes(),
        exception_handlers={HTTPException: _plainly},
        middleware=[
            Middleware(Guard, limits=limits, https=False),
            Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False),
        ],
    )
