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
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, ELOOP, ENOSPC
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


class Seen(NamedTuple):
    """A file as it was when it was read, to be recognised when it is written."""

    path: bytes
    """The file itself, links resolved."""
    info: os.stat_result


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


@contextmanager
def opened(path: bytes) -> Iterator[tuple[Buffer, Seen]]:
    """A whole file, and what it is recognised by. Links are followed."""
    real = path
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != ELOOP:
            raise
        real = os.path.realpath(path)
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise InputError(f"{os.fsdecode(path)}: expected a file")
        if info.st_size <= SMALL:
            yield os.read(fd, info.st_size + 1), Seen(real, info)
            return
        with _mapped(fd, info.st_size) as view:
            yield view, Seen(real, info)
    finally:
        os.close(fd)


def replace(seen: Seen, pieces: list[Buffer], *, keep_time: bool = False) -> None:
    """Put `pieces` in a file's place: same mode, same owner where that is allowed, and its times if wanted.

    Raises InputError where another process is writing it or has changed it since it was read, StoreError
    where the disk is full, OSError where the system refuses. The file is then as it was.
    """
    with _temporary(seen.path, pieces, seen.info, keep_time):
        if _identity(os.stat(seen.path)) != _identity(seen.info):
            raise InputError(f"{os.fsdecode(seen.path)}: changed by somebody else meanwhile; run again")
        if not seen.info.st_mode & 0o222:  # which the system would not ask of root
            raise PermissionError(EACCES, "the file is read-only")


def create(path: bytes, pieces: list[Buffer], like: os.stat_result, *, keep_time: bool = False) -> None:
    """Write a new file whole, with the mode and owner of another; errors as in `replace`."""
    os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
    with _temporary(path, pieces, like, keep_time):
        pass


def temporary(path: bytes) -> bytes:
    """The temporary file by which a file is written."""
    folder, name = os.path.split(path)
    short = name if len(name) <= 240 else name[:180] + xxh3_64_hexdigest(name).encode()
    return os.path.join(folder, b"." + short + SUFFIX)


def sweep(path: bytes) -> None:
    """Remove a temporary file that a killed process left; one that is being written stays."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        flock(fd, LOCK_EX | LOCK_NB)
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            os.unlink(path)
    except OSError:
        pass
    finally:
        os.close(fd)


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


@contextmanager
def _temporary(path: bytes, pieces: list[Buffer], like: os.stat_result, keep_time: bool) -> Iterator[None]:
    """A temporary file of the path's own, locked; it takes the path's place once the caller has looked."""
    draft = temporary(path)
    fd, size = _locked(draft, path)
    try:
        if size:
            os.ftruncate(fd, 0)
        _write(fd, pieces)
        _like(fd, like, path)
        if keep_time:
            os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))
        yield
        os.rename(draft, path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise StoreError(f"{os.fsdecode(path)}: the disk is full; the file is as it was") from None
        raise
    finally:
        os.close(fd)


def _locked(temporary: bytes, path: bytes) -> tuple[int, int]:
    """The temporary file, open and locked, and the bytes that a killed process left in it."""
    while True:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise InputError(f"{os.fsdecode(path)}: another process is writing it; run again") from None
        try:
            info = os.fstat(fd)
            if os.stat(temporary).st_ino == info.st_ino:
                return fd, info.st_size
        except FileNotFoundError:
            pass
        os.close(fd)  # the one that held the lock has renamed it


def _write(fd: int, pieces: list[Buffer]) -> None:
    left = [memoryview(piece) for piece in pieces]
    while left:
        done = os.writev(fd, left[:1000])
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if left and done:
            left[0] = left[0][done:]


def _like(fd: int, info: os.stat_result, path: bytes) -> None:
    """Mode and owner of another file, and the attributes of the one whose place is taken."""
    if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.fchown(fd, info.st_uid, info.st_gid)
    os.fchmod(fd, stat.S_IMODE(info.st_mode))
    if sys.platform == "linux":
        with suppress(OSError):
            for name in os.listxattr(path):
                with suppress(OSError):  # one that only the system may set
                    os.setxattr(fd, name, os.getxattr(path, name))


def _identity(info: os.stat_result) -> tuple[int, ...]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns
