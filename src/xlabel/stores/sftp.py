"""Folders of another machine, by SFTP: `sftp://USER@HOST:PORT/PATH`, or `/~/PATH` below the home folder.

Keys, known hosts and names of hosts are those of OpenSSH: `~/.ssh` and the agent. Ranges are copied by the
server where it can (OpenSSH since 9.0; copy-data of draft-ietf-secsh-filexfer-extensions); else their bytes
come here and go back. There is no lock that all servers know, so conditions are not honoured, and two who
write at once may undo each other.
"""

import asyncio
import posixpath
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from xlabel.errors import InputError, MissingError, StoreError, XlabelError, extra
from xlabel.images import Buffer
from xlabel.stores import foreign
from xlabel.stores.folder import Folder, Range
from xlabel.stores.transport import Stat
from xlabel.stores.uploads import HIDDEN
from xlabel.stores.waiting import retried

T = TypeVar("T")

ATTEMPTS = 6
"""To connect, and of what a lost connection has cut off."""
TIMEOUT = 30
"""Seconds until a connection stands, and without an answer after which it is given up."""
READS = 16
"""Ranges of one call that are read at once."""
PIECE = 4 << 20
"""Bytes at a time of what a server cannot copy itself."""


def connect(url: str) -> Folder:
    """The folder at an `sftp://` URL."""
    split = urlsplit(url)
    shown = f"sftp://{split.netloc.rpartition('@')[2]}{split.path}"
    if split.scheme != "sftp" or not split.hostname or split.query or split.fragment:
        raise InputError(f"{shown}: expected sftp://USER@HOST/PATH")
    if split.password is not None:
        raise InputError(f"{shown}: expected no password in the URL; use a key, or the agent")
    with extra("sftp", "sftp:// URLs"):
        import asyncssh  # noqa: F401
    path = unquote(split.path)
    root = path.removeprefix("/~/") if path.startswith("/~") else path
    target: dict[str, Any] = {"host": split.hostname}
    if split.port:
        target["port"] = split.port
    if split.username:
        target["username"] = unquote(split.username)
    return Folder(shown, _Files(shown, target, root.rstrip("/") or "/"), conditional=False)


class _Files:
    """Asks from any thread; the answers come in a thread of its own, where the one connection lives."""

    md5 = None

    def __init__(self, url: str, target: dict[str, Any], root: str) -> None:
        self._url = url.rstrip("/")
        self._target = target
        self._root = root
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self._connecting = asyncio.Lock()
        self._connection: Any = None
        self._sftp: Any = None

    def stat(self, path: str) -> Stat | None:
        async def ask(sftp: Any) -> Stat | None:
            return _stat(await sftp.stat(self._at(path)))

        try:
            return self._done(path, "stat", ask)
        except MissingError:
            return None

    def modified(self, path: str) -> float | None:
        async def ask(sftp: Any) -> float | None:
            found = await sftp.stat(self._at(path))
            return None if found.mtime is None else float(found.mtime)

        try:
            return self._done(path, "stat", ask)
        except MissingError:
            return None

    def get(self, path: str, ranges: Sequence[tuple[int, int]], check: Callable[[Stat], None]) -> list[bytes]:
        async def ask(sftp: Any) -> list[bytes]:
            async with sftp.open(self._at(path), "rb") as file:
                there = _stat(await file.stat())
                if there is None:
                    raise MissingError(f"{self._url}/{path}: expected a file, found a folder")
                check(there)
                some = asyncio.Semaphore(READS)

                async def get(offset: int, size: int) -> bytes:
                    async with some:
                        return await _read(file, offset, min(size, there.size - offset))

                return list(await asyncio.gather(*(get(*which) for which in ranges)))

        return self._done(path, "read", ask)

    def write(self, path: str, data: Buffer) -> None:
        async def ask(sftp: Any) -> None:
            async with sftp.open(self._at(path), "wb") as file:
                await file.write(bytes(data))
                await _to_disk(file)

        self._done(path, "write", ask)

    def join(self, path: str, ranges: Sequence[Range]) -> None:
        async def ask(sftp: Any) -> None:
            end = 0
            async with sftp.open(self._at(path), "wb") as target:
                for piece in ranges:
                    async with sftp.open(self._at(piece.path), "rb") as source:
                        await _copy(sftp, source, piece, target, end)
                    end += piece.size
                await _to_disk(target)

        self._done(path, "write", ask)

    def rename(self, old: str, new: str) -> None:
        async def ask(sftp: Any) -> None:
            await sftp.makedirs(posixpath.dirname(self._at(new)), exist_ok=True)
            try:
                await sftp.posix_rename(self._at(old), self._at(new))
            except _missing():
                if not await sftp.exists(self._at(new)):
                    raise  # else it was done before the connection was lost

        self._done(new, "write", ask)

    def remove(self, path: str) -> None:
        async def ask(sftp: Any) -> None:
            with suppress(*_missing()):
                await sftp.remove(self._at(path))

        self._done(path, "remove", ask)

    def make(self, folder: str) -> None:
        async def ask(sftp: Any) -> None:
            await sftp.makedirs(self._at(folder), exist_ok=True)

        self._done(folder, "write", ask)

    def clear(self, folder: str) -> None:
        async def ask(sftp: Any) -> None:
            await sftp.rmtree(self._at(folder), ignore_errors=True)

        self._done(folder, "remove", ask)

    def entries(self, folder: str) -> dict[str, Stat | None]:
        async def ask(sftp: Any) -> dict[str, Stat | None]:
            found = [entry async for entry in sftp.scandir(self._at(folder))]
            return {e.filename: _stat(e.attrs) for e in found if e.filename not in (".", "..")}

        try:
            return self._done(folder, "list", ask)
        except MissingError:
            return {}

    def walk(self) -> Iterator[str]:
        async def ask(sftp: Any) -> list[str]:
            found: list[str] = []
            folders = [""]
            while folders:
                folder = folders.pop()
                async for entry in sftp.scandir(self._at(folder)):
                    path = posixpath.join(folder, entry.filename)
                    if entry.filename in (".", "..", HIDDEN):
                        continue
                    (found if _stat(entry.attrs) else folders).append(path)
            return found

        with suppress(MissingError):
            yield from self._done("", "list", ask)

    @contextmanager
    def locked(self) -> Iterator[None]:
        async def ask(sftp: Any) -> None:
            with suppress(_error()):  # it is not empty, or gone
                await sftp.rmdir(self._at(HIDDEN))

        try:
            yield
        finally:
            self._done(HIDDEN, "remove", ask)

    def close(self) -> None:
        async def ask() -> None:
            self._drop()

        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(ask(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, path) if path else self._root

    def _done(self, path: str, asked: str, ask: Callable[[Any], Awaitable[T]]) -> T:
        """What the server answers; a connection that breaks is made again."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="sftp", daemon=True).start()

        async def work() -> T:
            return await ask(await self._connected())

        try:
            return retried(lambda: self._result(work()), ATTEMPTS, _is_lost)
        except XlabelError:
            raise
        except Exception as error:
            raise self._told(path, asked, error) from None

    def _result(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connected(self) -> Any:
        import asyncssh

        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._drop()
                self._connection = await asyncssh.connect(
                    **self._target,
                    connect_timeout=TIMEOUT,
                    login_timeout=TIMEOUT,
                    keepalive_interval=TIMEOUT // 2,
                )
                self._sftp = await self._connection.start_sftp_client()
            return self._sftp

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._connection = self._sftp = None

    def _told(self, path: str, asked: str, error: Exception) -> StoreError:
        import asyncssh

        where = f"{self._url}/{path}" if path else self._url
        if isinstance(error, _missing()):
            return MissingError(f"{where}: {asked}: {foreign.said(error)}")
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            advice = "connect once by ssh, and see whether the host's key is the right one"
        elif isinstance(error, asyncssh.PermissionDenied):
            advice = "the server takes none of your keys; does ssh connect?"
        elif isinstance(error, asyncssh.SFTPPermissionDenied):
            advice = "the user may not do this there"
        elif _is_lost(error):
            advice = f"tried {ATTEMPTS} times; does ssh connect?"
        else:
            advice = "is there room on the disk?"
        return foreign.failed(where, asked, error, advice)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _error() -> type[Exception]:
    import asyncssh

    return asyncssh.SFTPError


def _missing() -> tuple[type[Exception], ...]:
    import asyncssh

    return (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


def _is_lost(error: Exception) -> bool:
    """Whether it is the connection that failed, and not what was asked."""
    import asyncssh

    if isinstance(error, asyncssh.PermissionDenied | asyncssh.HostKeyNotVerifiable):
        return False
    lost = (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, OSError)
    return isinstance(error, (*lost, asyncssh.ChannelOpenError))


def _stat(found: Any) -> Stat | None:
    """None of a folder. The time is in seconds: two writes of one size within one second have one tag."""
    import stat

    if found.permissions is not None and stat.S_ISDIR(found.permissions):
        return None
    return Stat(size=int(found.size or 0), tag=f"{found.size or 0:x}-{found.mtime or 0:x}")


async def _read(file: Any, offset: int, size: int) -> bytes:
    return bytes(await file.read(size, offset)) if size > 0 else b""


async def _to_disk(file: Any) -> None:
    import asyncssh

    with suppress(asyncssh.SFTPOpUnsupported):
        await file.fsync()


async def _copy(sftp: Any, source: Any, piece: Range, target: Any, end: int) -> None:
    if not piece.size:
        return
    if sftp.supports_remote_copy:
        await sftp.remote_copy(source, target, piece.offset, piece.size, end)
        return
    for at in range(0, piece.size, PIECE):
        data = await _read(source, piece.offset + at, min(PIECE, piece.size - at))
        await target.write(data, end + at)
