"""Files of one folder as they were at one moment, whoever replaces them while they are read."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from xlabel.errors import InputError
from xlabel.stores.transaction import is_publishing

PIECE = 4 << 20


class Kept:
    """A file that is opened once: it stays what it was when another one takes its name."""

    def __init__(self, path: Path) -> None:
        """A file that is missing or may not be read raises InputError when it is read, and not before."""
        self.path = path
        self._fd = -1
        self._why: str | None = None
        self._identity: tuple[int, int] | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._why = error.strerror
            self._identity = _identity(path)
            return
        found = os.fstat(self._fd)
        self._identity = found.st_dev, found.st_ino
        if not stat.S_ISREG(found.st_mode):
            self._why = "expected a file, found something else"

    @property
    def there(self) -> bool:
        """Whether there was a file, readable or not."""
        return self._identity is not None

    @property
    def still_there(self) -> bool:
        """Whether the path leads to the same file as when it was opened, or still to none."""
        return _identity(self.path) == self._identity

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self.fileno()).st_size

    def fileno(self) -> int:
        """The file's descriptor; InputError where it cannot be read."""
        if self._why is not None:
            raise InputError(f"{self.path}: cannot be read: {self._why}")
        return self._fd

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from an offset on, fewer at the file's end."""
        try:
            return os.pread(self.fileno(), size, offset)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from None

    def expect(self, offset: int, size: int) -> None:
        """Say that bytes will be read soon; a system that cannot be told reads them when they are.

        Nothing is said where their middle is in memory: the system would look for each page, 40 microseconds
        a MiB. Their ends may be there with what lies beside them.
        """
        if hasattr(os, "posix_fadvise") and not self._in_memory(offset + size // 2):
            with suppress(OSError):
                os.posix_fadvise(self.fileno(), offset, size, os.POSIX_FADV_WILLNEED)

    def pieces(self, size: int) -> Iterator[bytes]:
        """The first `size` bytes, a few megabytes at a time."""
        offset = 0
        while offset < size and (piece := self.read(offset, min(PIECE, size - offset))):
            yield piece
            offset += len(piece)

    def whole(self) -> bytes:
        """All bytes."""
        return b"".join(self.pieces(self.size))

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._why = -1, "it is closed"

    def _in_memory(self, offset: int) -> bool:
        """Whether a byte can be read without waiting; False where the system cannot tell."""
        try:
            return os.preadv(self.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) == 1
        except (OSError, AttributeError):
            return False


def are_of_one_moment(folder: Path, files: Iterable[Kept]) -> bool:
    """Whether files that were opened one after the other lay in the folder at once, and all published.

    A file that is still in its place has been there since it was opened, and so they were all there when the
    last one was. Names that change hands in between are those of a journal; see `transaction`.
    """
    return not is_publishing(folder) and all(file.still_there for file in files)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
