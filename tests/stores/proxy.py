"""A bad network: a TCP proxy that delays, narrows, counts, cuts connections, and answers for a busy server.

It stands between any client and any server of the tests, and between those of the benchmarks.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CHUNK = 64 << 10
AHEAD = 64
"""Chunks that are on their way in one direction of a connection."""


class Proxy:
    """What stands between; its attributes may be set at any time.

    A round trip takes twice the `delay`, and so does making a connection. `bandwidth` is shared by all
    connections, and each direction has it.
    """

    delay = 0.0
    """Seconds, each way."""
    bandwidth: float | None = None
    """Bytes a second."""
    busy = 0
    """Requests over HTTP that are still to be answered with 503 SlowDown, and not passed on."""
    down = False
    """Whether new connections are closed at once."""

    def __init__(self, host: str, port: int) -> None:
        self.sent = 0
        """Bytes from clients to the server."""
        self.received = 0
        """Bytes from the server to clients."""
        self.connections = 0
        self._server = (host, port)
        self._cut: dict[str, int] = {}
        self._free_at = {"sent": 0.0, "received": 0.0}
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self.port = 0

    def cut(self, *, sent: int | None = None, received: int | None = None) -> None:
        """Break all connections once, when so many more bytes have gone that way."""
        if sent is not None:
            self._cut["sent"] = self.sent + sent
        if received is not None:
            self._cut["received"] = self.received + received

    def break_all(self) -> None:
        """Break the connections that there are; new ones may be made."""
        self._loop.call_soon_threadsafe(self._break)

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _break(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.down:
            writer.transport.abort()
            return
        if self.busy:
            self.busy -= 1
            await self._answer_busy(reader, writer)
            return
        await asyncio.sleep(2 * self.delay)
        try:
            there, back = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            with suppress(asyncio.CancelledError):  # at the end: asyncio logs a task that was cancelled
                await asyncio.gather(self._pump(reader, back, "sent"), self._pump(there, writer, "received"))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: str) -> None:
        """Pass bytes on, each as late as the network would."""
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD)
        arriving = asyncio.create_task(self._arrive(travelling, target))
        with suppress(OSError):
            while data := await source.read(CHUNK):
                setattr(self, way, getattr(self, way) + len(data))
                if getattr(self, way) >= self._cut.get(way, 1 << 62):
                    del self._cut[way]
                    self._break()
                    break
                if self.bandwidth:
                    now = time.monotonic()
                    self._free_at[way] = max(now, self._free_at[way]) + len(data) / self.bandwidth
                    await asyncio.sleep(self._free_at[way] - now)
                await travelling.put((time.monotonic() + self.delay, data))
        await travelling.put((time.monotonic() + self.delay, b""))
        await arriving

    async def _arrive(
        self, travelling: "asyncio.Queue[tuple[float, bytes]]", target: asyncio.StreamWriter
    ) -> None:
        gone = False
        while True:
            due, data = await travelling.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                if gone or target.is_closing():
                    pass
                elif data:
                    target.write(data)
                    await target.drain()
                elif target.can_write_eof():
                    target.write_eof()
            except OSError:
                gone = True  # goes on taking, so that the other end is not held up
            if not data:
                return

    async def _answer_busy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a request, body and all, and say that the server is too busy."""
        body = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"expect: 100-continue" not in head and b"\r\ncontent-length:" in head:
                size = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(size))
            writer.write(
                b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + (b"" if head.startswith(b"head ") else body)
            )
            await writer.drain()
        writer.close()


@contextmanager
def between(endpoint: str) -> Iterator[Proxy]:
    """A proxy before a server at `http://host:port` or `host:port`; it listens on `proxy.port`."""
    host, _, port = endpoint.rpartition("//")[2].rpartition(":")
    proxy = Proxy(host, int(port))
    loop = proxy._loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def done(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = done(proxy.serve())
    try:
        yield proxy
    finally:
        done(stop(server))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
