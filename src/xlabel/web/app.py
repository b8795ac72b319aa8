"""The review server: each path of docs/review_api.md, and what it asks of the desk behind it."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Sequence
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from xlabel.errors import InputError, XlabelError

FOREVER = "private, max-age=31536000, immutable"
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
MOST = 64 << 20
"""Bytes of a body at most."""
PATIENCE = 60
"""Seconds in which a body has to be there."""
AT_ONCE = (os.cpu_count() or 1) + 1
"""Pictures that are made ready at a time, so that they hold up nothing else."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Refusal(XlabelError):
    """A request that is not done: its status, a code for the page, and a message for a person."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.more = more


class File(msgspec.Struct, frozen=True):
    """A picture to be sent: a file of this machine, or bytes."""

    mime: str
    path: str | None = None
    data: bytes = b""


class Query(msgspec.Struct, frozen=True):
    """Which images, in which order."""

    where: str = ""
    order: str = "name"
    reverse: bool = False


class Save(msgspec.Struct, frozen=True):
    """Changes of one image's labels."""

    number: int
    key: str
    changes: list[Any]
    author: str | None = None
    fingerprint: str | None = None
    """Of the picture that they were made on."""


class Bulk(msgspec.Struct, frozen=True):
    """The same done to many images."""

    numbers: list[int]
    action: dict[str, Any]
    author: str | None = None


class Batch(msgspec.Struct, frozen=True):
    """Changes of many images' labels."""

    items: list[Save]
    author: str | None = None


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A click: pixels as displayed, and whether it is on the thing or beside it."""

    x: float
    y: float
    positive: bool = True


class Prompt(msgspec.Struct, frozen=True):
    """What is to be cut out of an image."""

    number: int
    points: list[Point] = []
    box: tuple[float, float, float, float] | None = None


class Propagation(msgspec.Struct, frozen=True):
    """A label that is to be found in the images that follow."""

    number: int
    id: int | str
    count: int
    author: str | None = None


class Desk(Protocol):
    """What the server asks. Answers are what msgspec can encode; a Refusal says why there is none."""

    def session(self) -> Any: ...
    def query(self, query: Query) -> Any: ...
    def cards(self, numbers: Sequence[int]) -> Any: ...
    def number(self, key: str) -> Any: ...
    def picture(self, number: int) -> Any: ...
    def save(self, save: Save) -> tuple[int, Any]: ...
    def bulk(self, bulk: Bulk) -> Any: ...
    def changes(self, batch: Batch) -> Any: ...
    def status(self, since: str) -> Any: ...
    def segment(self, prompt: Prompt) -> Any: ...
    def propagate(self, propagation: Propagation) -> Any: ...
    def image(self, number: int) -> File: ...
    def thumb(self, number: int) -> File: ...


def app(desk: Desk) -> Starlette:
    """The server's application; whoever may ask is seen to by `guard`."""
    drawing = asyncio.Semaphore(AT_ONCE)

    def asking(name: str, read: Callable[[Request], Any] | None = None) -> Handler:
        """A handler that gives the desk's function `name` what `read` takes from the address."""

        async def handler(request: Request) -> Response:
            method = getattr(desk, name)
            return await _answered(lambda: method(read(request)) if read else method())

        return handler

    def showing(name: str) -> Handler:
        """The same for pictures, of which nobody waits for many once the page has gone on."""
        ask = asking(name, _number)

        async def handler(request: Request) -> Response:
            async with drawing:
                if await request.is_disconnected():
                    return Response(status_code=499)
                return await ask(request)

        return handler

    def telling(name: str, kind: type[Any]) -> Handler:
        """The same for what is in the body."""

        async def handler(request: Request) -> Response:
            try:
                asked = msgspec.json.decode(await _body(request), type=kind)
            except Refusal as error:
                return _refused(error)
            except ClientDisconnect:
                return Response(status_code=499)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                return _refused(Refusal(400, "bad-request", str(error)))
            return await _answered(lambda: getattr(desk, name)(asked))

        return handler

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/static/{name:path}", _static),
            Route("/api/session", asking("session")),
            Route("/api/query", telling("query", Query), methods=["POST"]),
            Route("/api/cards", asking("cards", _numbers)),
            Route("/api/number", asking("number", lambda request: request.query_params.get("key", ""))),
            Route("/api/images/{number}", asking("picture", _number)),
            Route("/api/save", telling("save", Save), methods=["POST"]),
            Route("/api/bulk", telling("bulk", Bulk), methods=["POST"]),
            Route("/api/changes", telling("changes", Batch), methods=["POST"]),
            Route("/api/status", asking("status", lambda request: request.query_params.get("since", ""))),
            Route("/api/segment", telling("segment", Prompt), methods=["POST"]),
            Route("/api/propagate", telling("propagate", Propagation), methods=["POST"]),
            Route("/images/{number}", showing("image")),
            Route("/thumbs/{number}", showing("thumb")),
        ],
        exception_handlers={Exception: _broken},
    )


async def _answered(ask: Callable[[], Any]) -> Response:
    try:
        found = await run_in_threadpool(ask)
    except XlabelError as error:
        return _refused(error)
    if isinstance(found, File):
        return _file(found)
    status, body = found if isinstance(found, tuple) else (200, found)
    return _json(body, status)


def _number(request: Request) -> int:
    return _whole(request.path_params["number"])


def _numbers(request: Request) -> list[int]:
    return [_whole(part) for part in request.query_params.get("n", "").split(",") if part]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(400, "bad-request", f"expected the number of an image, found {text[:40]!r}")
    return int(text)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST:
                    raise Refusal(413, "bad-request", f"expected at most {MOST:,} bytes, found more")
    except TimeoutError:
        raise Refusal(408, "bad-request", f"expected all of the request in {PATIENCE} seconds") from None
    return bytes(body)


def _refused(error: XlabelError) -> Response:
    if isinstance(error, Refusal):
        status, code, more = error.status, error.code, error.more
    else:
        status, code, more = (
            (422, "bad-request", {}) if isinstance(error, InputError) else (500, "failed", {})
        )
    return _json({"error": {"code": code, "message": str(error), **more}}, status)


async def _broken(request: Request, error: Exception) -> Response:
    """What is said where we have made a mistake; the terminal says more."""
    message = (
        f"xlabel failed at this ({type(error).__name__}); its terminal says where, and nothing was written"
    )
    return _json({"error": {"code": "failed", "message": message}}, 500)


def _json(body: Any, status: int = 200) -> Response:
    try:
        text = msgspec.json.encode(body)
    except UnicodeEncodeError:  # half a character, which only escapes can say
        text = json.dumps(msgspec.to_builtins(body)).encode()
    return Response(text, status, media_type="application/json")


def _file(file: File) -> Response:
    headers = {"Cache-Control": FOREVER}
    if file.path is not None:
        return FileResponse(file.path, media_type=file.mime, headers=headers)
    return Response(file.data, media_type=file.mime, headers=headers)


async def _page(_: Request) -> Response:
    return _own("index.html")


async def _static(request: Request) -> Response:
    return _own(request.path_params["name"])


def _own(name: str) -> Response:
    """A file of the page's own."""
    ending = name.rpartition(".")[2]
    place = files("xlabel.web") / "static"
    if "/" in name or ending not in TYPES or not (place / name).is_file():
        return Response("Not found.", 404, media_type="text/plain")
    return Response((place / name).read_bytes(), media_type=TYPES[ending])
