"""Image files changed in place: a temporary file in the same folder, then a rename.

A reader sees the old file or the new one. A process that is killed leaves a temporary file, which the next
run in that folder removes. Two processes that write one file: the lock of its temporary file lets one of them
do it, and the other is told.
"""

import mmap
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import EACCES, EDQUOT, ELOOP, ENOENT, ENOSPC
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import NamedTuple, TypeVar

from xxhash import xxh3_64_hexdigest

from xlabel.errors import InputError, StoreError
from xlabel.images import Buffer, ShortError

SUFFIX = b".xlabel-tmp"
"""Of temporary files; they begin with a dot too."""
HEAD = 16384
"""Bytes that are read first: labels stand near the beginning of most files."""
SMALL = 1 << 20
"""Files up to this size are read, larger ones mapped."""

T = TypeVar("T")


class TakenError(InputError):
    """Another process was faster: it is writing the file, or has changed it since it was read."""


class Seen(NamedTuple):
    """A file as it was when it was read, to be recognised when it is written."""

    path: bytes
    """The file itself, links resolved."""
    info: os.stat_result
    fd: int
    """Open while the file is."""


def look(path: bytes, read: Callable[[Buffer], T]) -> T:
    """What `read` makes of a file's beginning, or of the whole where it asks for more (ShortError).

    The buffer is gone afterwards. Raises OSError where the system refuses, ShortError where the file is cut
    off.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = os.read(fd, HEAD)
        try:
            return read(data)
        except ShortError:
            size = os.fstat(fd).st_size
            if size <= len(data):
                raise
        if size <= SMALL:
            return read(data + os.read(fd, size - len(data)))
        with _mapped(fd, size) as view:
            return read(view)
    finally:
        os.close(fd)


class opened:
    """A whole file, and what it is recognised by: `with opened(path) as (data, seen)`. Links are followed."""

    __slots__ = ("_fd", "_mapping", "_path")
    most_read: int = SMALL
    """Bytes up to which it is read; a larger one is mapped."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._mapping: AbstractContextManager[memoryview] | None = None

    def __enter__(self) -> tuple[Buffer, Seen]:
        real = self._path
        try:
            fd = os.open(real, _READ | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != ELOOP:
                raise
            real = os.path.realpath(real)
            fd = os.open(real, _READ)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise InputError(f"{os.fsdecode(self._path)}: expected a file")
            if info.st_size <= self.most_read:
                data: Buffer = _read(fd, info.st_size)
            else:
                self._mapping = _mapped(fd, info.st_size)
                data = self._mapping.__enter__()
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return data, Seen(real, info, fd)

    def __exit__(self, *_: object) -> None:
        try:
            if self._mapping is not None:
                self._mapping.__exit__(None, None, None)
        finally:
            os.close(self._fd)


class copied(opened):
    """The same, always read into memory.

    A process ends by SIGBUS where somebody else shortens a file that it has mapped. One that goes on for
    hours in a folder at which others work cannot have that.
    """

    __slots__ = ()
    most_read = sys.maxsize


def identity(info: os.stat_result) -> tuple[int, ...]:
    """What tells a file from what somebody else has made of it since."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def replace(seen: Seen, pieces: list[Buffer], *, keep_time: bool = False, durable: bool = False) -> None:
    """Put `pieces` in a file's place: same mode, same owner where that is allowed, and its times if wanted.

    `durable`: it is on the disk when this returns. Raises TakenError where another process is writing it or
    has changed it since it was read, StoreError where the disk is full, OSError where the system refuses. The
    file is then as it was.
    """
    _write(seen.path, pieces, seen.info, keep_time, seen, durable)


def create(
    path: bytes,
    pieces: list[Buffer],
    like: os.stat_result,
    *,
    keep_time: bool = False,
    durable: bool = False,
) -> None:
    """Write a new file whole, with the mode and owner of another; errors as in `replace`."""
    os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
    _write(path, pieces, like, keep_time, None, durable)


def temporary(path: bytes) -> bytes:
    """The temporary file by which a file is written."""
    folder, slash, name = path.rpartition(b"/")
    short = name if len(name) <= 240 else name[:180] + xxh3_64_hexdigest(name).encode()
    return b"%b%b.%b%b" % (folder, slash, short, SUFFIX)


def sweep(path: bytes) -> bool:
    """Remove a temporary file that a killed process left; False where it is being written, and stays."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        return error.errno == ENOENT
    try:
        flock(fd, LOCK_EX | LOCK_NB)
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            os.unlink(path)
    except OSError as error:
        return error.errno == ENOENT
    finally:
        os.close(fd)
    return True


_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

bytearray(4 * SMALL)
"""Freed at once, by which glibc learns to keep blocks of that size. It would give the memory of each file
that was read back to the system, and get it anew for the next: a tenth of the time that embed takes."""


@contextmanager
def _mapped(fd: int, size: int) -> Iterator[memoryview]:
    """A file's bytes; those that are held longer, as pieces of another file, keep the mapping open."""
    mapped = mmap.mmap(fd, size, prot=mmap.PROT_READ)
    view = memoryview(mapped)
    try:
        yield view
    finally:
        with suppress(BufferError):
            view.release()
            mapped.close()


def _read(fd: int, size: int) -> bytes:
    """A file's bytes, also where it is larger than one call reads."""
    data = os.read(fd, size + 1)
    if len(data) < size:
        with open(fd, "rb", closefd=False) as file:
            data += file.read()
    return data


def _write(
    path: bytes,
    pieces: list[Buffer],
    like: os.stat_result,
    keep_time: bool,
    seen: Seen | None,
    durable: bool,
) -> None:
    """Write a file by a temporary one of its own, which is locked; what was `seen` there has to be still."""
    draft = temporary(path)
    fd, made = _made(draft, path)
    try:
        _fill(fd, pieces)
        if (like.st_uid, like.st_gid) != (made.st_uid, made.st_gid):
            with suppress(PermissionError):
                os.fchown(fd, like.st_uid, like.st_gid)
        os.fchmod(fd, stat.S_IMODE(like.st_mode))
        if sys.platform == "linux":
            _give_attributes(fd, path if seen is None else seen.fd)
        if keep_time:
            os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))
        if seen is not None:
            if identity(os.stat(path)) != identity(like):
                raise TakenError(f"{os.fsdecode(path)}: changed by somebody else meanwhile; run again")
            if not like.st_mode & 0o222:  # which the system would not ask of root
                raise PermissionError(EACCES, "the file is read-only")
        if durable:
            os.fsync(fd)
        os.rename(draft, path)
        if durable:
            _keep_names(path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise StoreError(f"{os.fsdecode(path)}: the disk is full; the file is as it was") from None
        raise
    finally:
        os.close(fd)


def _keep_names(path: bytes) -> None:
    """Have a file's new name on the disk, where the file system has a way to it."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(path) or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _made(draft: bytes, path: bytes) -> tuple[int, os.stat_result]:
    """A new temporary file, open and locked; what a killed process left there goes.

    Whoever finds one without a lock removes it, and never writes into it. So one that is locked and still
    has a name is ours.
    """
    while True:
        try:
            fd = os.open(draft, _NEW, 0o600)
        except FileExistsError:
            if sweep(draft):
                continue
            raise TakenError(f"{os.fsdecode(path)}: another process is writing it; run again") from None
        try:
            flock(fd, LOCK_EX)
            made = os.fstat(fd)
        except BaseException:
            os.unlink(draft)
            os.close(fd)
            raise
        if made.st_nlink:
            return fd, made
        os.close(fd)  # removed before we had the lock


def _fill(fd: int, pieces: list[Buffer]) -> None:
    while (done := os.writev(fd, pieces[:1000])) < sum(map(len, pieces)):
        pieces = _behind(pieces, done)


def _behind(pieces: list[Buffer], done: int) -> list[Buffer]:
    """What is left of pieces behind so many bytes."""
    for number, piece in enumerate(pieces):
        if done < len(piece):
            return [memoryview(piece)[done:], *pieces[number + 1 :]]
        done -= len(piece)
    return []


def _give_attributes(fd: int, source: int | bytes) -> None:
    """The extended attributes of a file, which may not be there."""
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        with suppress(OSError):  # one that only the system may set
            os.setxattr(fd, name, os.getxattr(source, name))
