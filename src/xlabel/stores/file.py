"""Folders of this machine: `file://` URLs and paths.

Where the file system shares blocks between files, a copied range takes no room. Writers take turns by a lock,
and so conditions hold.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from xlabel.errors import InputError, MissingError, StoreError
from xlabel.images import Buffer
from xlabel.stores.folder import Folder, Range
from xlabel.stores.transport import Stat
from xlabel.stores.uploads import HIDDEN

BLOCK = 1 << 20


def connect(url: str) -> Folder:
    """The folder at a path or `file://` URL; it is made when something is written."""
    return Folder(url, _Files(folder_of(url)), conditional=True)


def folder_of(url: str) -> Path:
    """The folder that a path or `file://` URL names; InputError where it is one of another machine."""
    if not url.startswith("file://"):
        return Path(url)
    split = urlsplit(url)
    if split.netloc not in ("", "localhost"):
        raise InputError(f"{url}: expected file:///path of this machine, got one of {split.netloc}")
    return Path(unquote(split.path))


class _Files:
    def __init__(self, root: Path) -> None:
        self._root = root

    def stat(self, path: str) -> Stat | None:
        with self._told(path, "read"):
            try:
                found = (self._root / path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return None if (self._root / path).is_dir() else _stat(found)

    def modified(self, path: str) -> float | None:
        with self._told(path, "read"):
            try:
                return (self._root / path).stat().st_mtime
            except (FileNotFoundError, NotADirectoryError):
                return None

    def get(self, path: str, ranges: Sequence[tuple[int, int]], check: Callable[[Stat], None]) -> list[bytes]:
        with self._told(path, "read"), (self._root / path).open("rb", buffering=0) as file:
            check(_stat(os.fstat(file.fileno())))
            return [_read(file.fileno(), offset, size) for offset, size in ranges]

    def md5(self, path: str) -> bytes:
        with self._told(path, "read"), (self._root / path).open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "md5").digest()

    def write(self, path: str, data: Buffer) -> None:
        with self._told(path, "write"), (self._root / path).open("wb", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())

    def join(self, path: str, ranges: Sequence[Range]) -> None:
        with self._told(path, "write"), (self._root / path).open("wb", buffering=0) as target:
            for piece in ranges:
                with (self._root / piece.path).open("rb", buffering=0) as source:
                    _copy(source.fileno(), piece.offset, piece.size, target.fileno())
            os.fsync(target.fileno())

    def rename(self, old: str, new: str) -> None:
        draft, path = self._root / old, self._root / new
        with self._told(new, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                # A coarse clock and an inode that is used again would give the same tag.
                before, now = path.stat().st_mtime_ns, draft.stat()
                os.utime(draft, ns=(now.st_atime_ns, max(now.st_mtime_ns, before + 1)))
            draft.replace(path)
            parent = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)

    def remove(self, path: str) -> None:
        with self._told(path, "write"):
            (self._root / path).unlink(missing_ok=True)

    def make(self, folder: str) -> None:
        with self._told(folder, "write"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)

    def clear(self, folder: str) -> None:
        with self._told(folder, "write"):
            shutil.rmtree(self._root / folder, ignore_errors=True)

    def entries(self, folder: str) -> dict[str, Stat | None]:
        entries: dict[str, Stat | None] = {}
        with (
            self._told(folder, "read"),
            suppress(FileNotFoundError),
            os.scandir(self._root / folder) as found,
        ):
            for entry in found:
                with suppress(FileNotFoundError):  # another writer has just taken it away
                    entries[entry.name] = _stat(entry.stat()) if entry.is_file() else None
        return entries

    def walk(self) -> Iterator[str]:
        if not self._root.exists():
            return
        with self._told("", "read"):
            for top, folders, files in os.walk(self._root, onerror=_raise):
                folders[:] = [folder for folder in folders if folder != HIDDEN]
                below = Path(top).relative_to(self._root)
                yield from ((below / file).as_posix() for file in files)

    @contextmanager
    def locked(self) -> Iterator[None]:
        hidden, lock = self._root / HIDDEN, self._root / HIDDEN / "lock"
        with self._told("", "write"):
            fd = _lock(lock)
        try:
            yield
        finally:
            with suppress(OSError):
                if os.listdir(hidden) == [lock.name]:
                    lock.unlink()
                    hidden.rmdir()
            os.close(fd)

    def close(self) -> None:
        pass

    @contextmanager
    def _told(self, path: str, doing: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise MissingError(f"{self._root / path}: {error.strerror}") from None
        except OSError as error:
            raise StoreError(f"{self._root / path}: cannot {doing}: {error.strerror}") from None


def _lock(path: Path) -> int:
    """A descriptor that holds the lock file at a path, and with it its folder, until it is closed."""
    while True:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.parent.mkdir()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # another writer has just taken the folder away
        fcntl.flock(fd, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        os.close(fd)


def _stat(found: os.stat_result) -> Stat:
    return Stat(size=found.st_size, tag=f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}")


def _raise(error: OSError) -> None:
    raise error


def _read(fd: int, offset: int, size: int) -> bytes:
    got = os.pread(fd, min(size, os.fstat(fd).st_size), offset)
    while len(got) < size and (more := os.pread(fd, size - len(got), offset + len(got))):
        got += more
    return got


def _copy(source: int, offset: int, size: int, target: int) -> None:
    """Copy a range to where `target` stands; by the system where it can, which shares blocks where it may."""
    while size:
        try:
            done = os.copy_file_range(source, target, size, offset)
        except OSError:
            done = os.write(target, os.pread(source, min(size, BLOCK), offset))
        if not done:
            raise OSError(errno.EIO, f"what is copied ends {size} bytes early")
        offset, size = offset + done, size - done
