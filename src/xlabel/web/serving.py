"""Serving an app on this machine until it is stopped."""

import asyncio
import socket
import threading
from errno import EACCES, EADDRINUSE

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from xlabel.errors import InputError

GRACE = 3
"""Seconds that requests have to end when the server is stopped."""
PATIENCE = 30
"""Seconds in which a request has to be said, and for which a connection may be idle."""
MOST = 500
"""Connections at a time; each tab of a browser has up to six."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that waits for connections; port 0 takes a free one. InputError where it is not to be had."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: expected a port from 0 to 65535")
    place = None
    try:
        (family, kind, number, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        place = socket.socket(family, kind, number)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
        place.listen(128)
    except OSError as error:
        if place is not None:
            place.close()
        if error.errno in (EADDRINUSE, EACCES):
            message = f"--port {port}: {str(error.strerror).lower()}"
            raise InputError(f"{message}; name another, or none") from None
        raise InputError(f"--host {host}: expected an address of this machine ({error.strerror})") from None
    return place


class Serving:
    """A server in a thread of its own, from the first request that can be answered."""

    def __init__(self, app: ASGIApp, place: socket.socket) -> None:
        self._server = _server(app)
        self._place = place
        self._thread = threading.Thread(target=self._run, name="review", daemon=True)
        self._thread.start()
        self._server.begun.wait()

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Until somebody stops it."""
        self._thread.join()

    def stop(self) -> None:
        """Answer what has been asked, and end."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._place])
        finally:
            self._server.begun.set()
            self._place.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()


class _Patient(H11Protocol):
    """Closes connections on which no request is begun in time, however slowly somebody says one."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._late = self.loop.call_later(PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is not None and self.conn.their_state is not h11.IDLE:
            self._late.cancel()
            self._late = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._late is None and self.conn.their_state is h11.IDLE:
            self._late = self.loop.call_later(PATIENCE, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(
        app,
        http=_Patient,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST,
        timeout_keep_alive=PATIENCE,
        timeout_graceful_shutdown=GRACE,
    )
    return _Server(config)
