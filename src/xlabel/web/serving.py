"""Serving an app on this machine until it is stopped."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

import uvicorn
from starlette.types import ASGIApp

from xlabel.errors import InputError

LOCAL = frozenset(("127.0.0.1", "localhost", "::1"))
GRACE = 3
"""Seconds that requests have to end when the server is stopped."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that waits for connections; port 0 takes a free one. InputError where it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.socket(family)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host, port))
        place.listen(128)
    except (OSError, OverflowError) as error:
        place.close()
        number = error.errno if isinstance(error, OSError) else None
        if number in (EADDRINUSE, EACCES):
            raise InputError(f"--port {port}: {error.strerror}; name another, or none") from None  # type: ignore[union-attr]
        if number == EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise InputError(f"--host {host}: expected an address of this machine") from None
        raise InputError(f"{host}:{port}: {error}") from None
    return place


def serve(app: ASGIApp, place: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal says stop; `ready` is called when the first request can be answered."""
    _server(app, ready).run(sockets=[place])


@contextmanager
def serving(app: ASGIApp, place: socket.socket) -> Iterator[None]:
    """The same in a thread, until the end of the block."""
    started = threading.Event()
    server = _server(app, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


def _server(app: ASGIApp, ready: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    server.ready = ready
    return server
