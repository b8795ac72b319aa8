"""Writing files under names that somebody else chose: nothing lands outside the folder that was given."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from xlabel.errors import ExistsError, InputError
from xlabel.model import Problem
from xlabel.stores.paths import key_of
from xlabel.stores.transaction import locked

PARTIAL = ".xlabel-partial"
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that are not about one file: the place as a whole takes no more."""


class Extraction:
    """A folder that is filled with files by untrusted paths; use as a context.

    A new or empty folder is filled at the end, or not at all. With `overwrite`, files of a folder that holds
    some are replaced one by one, each whole. What a killed run left behind is taken away by the next one.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        """Raises ExistsError where the folder holds something and `overwrite` was not said."""
        self.folder = folder
        self.written = 0
        """Bytes of all files so far."""
        self._made: set[str] = set()
        self._drafts = 0
        self._written: set[int] = set()
        if os.path.lexists(folder) and not folder.is_dir():
            raise ExistsError(f"{folder}: expected a folder, found a file")
        there = folder.is_dir()
        self._partial = folder / PARTIAL if there else folder.parent / f".{folder.name}{PARTIAL}"
        try:
            self._in_place = there and any(name != PARTIAL for name in os.listdir(folder))
            if self._in_place and not overwrite:
                raise ExistsError(f"{folder}: is not empty; choose a new folder, or say --overwrite")
            if self._partial.is_symlink():
                raise ExistsError(f"{self._partial}: expected no link there; remove it")
            self._partial.mkdir(parents=True, exist_ok=True)
            self._lock = locked(self._partial, wait=False)
            for name in os.listdir(self._partial):
                _remove(self._partial / name)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
        self._real = os.path.realpath(folder if self._in_place else self._partial)

    def write(self, path: str | bytes, chunks: Iterable[bytes | memoryview]) -> None:
        """Write a file below the folder.

        Raises ValueError where the path would leave the folder or is no path, OSError where the system
        refuses it; then nothing is left of the file.
        """
        place = draft = self._place(os.fsencode(path))
        if self._in_place:
            if hash(place) in self._written:
                raise ValueError("another file has the same path")
            self._written.add(hash(place))
            self._drafts += 1
            draft = str(self._partial / str(self._drafts))
        try:
            file = open(draft, "xb")  # noqa: SIM115
        except FileExistsError:
            raise ValueError("another file has the same path") from None
        try:
            with file:
                for chunk in chunks:
                    self.written += file.write(chunk)
            if self._in_place:
                os.replace(draft, place)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def __enter__(self) -> "Extraction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and not self._in_place:
                self._publish()
        except OSError as failure:
            raise InputError(f"{self.folder}: cannot be written to: {failure.strerror}") from None
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
            os.close(self._lock)

    def _publish(self) -> None:
        if not self.folder.is_dir():
            self._partial.rename(self.folder)
            return
        for name in os.listdir(self._partial):
            os.rename(self._partial / name, self.folder / name)

    def _place(self, name: bytes) -> str:
        """The path on the disk of a name, its folder made."""
        parts = name.split(b"/")
        if b"\0" in name or any(part in (b"", b".", b"..") for part in parts):
            raise ValueError("leads outside the folder, or is no path")
        if parts[0] == os.fsencode(PARTIAL):
            raise ValueError("begins with a folder that is xlabel's own")
        parent = os.path.join(self._real, os.fsdecode(b"/".join(map(_escaped, parts[:-1]))))
        if parent not in self._made:
            real = os.path.realpath(parent)
            if real != self._real and not real.startswith(self._real.rstrip(os.sep) + os.sep):
                raise ValueError("a link there leads outside the folder")
            _make(parent)
            self._made.add(parent)
        return os.path.join(parent, os.fsdecode(_escaped(parts[-1])))


def put(
    out: Extraction, path: str | bytes, chunks: Iterable[bytes | memoryview], problems: list[Problem]
) -> bool:
    """Write a file by an untrusted path; where that cannot be it is a problem, and False."""
    where = path if isinstance(path, str) else key_of(path)
    try:
        out.write(path, chunks)
    except ValueError as error:
        problems.append(Problem(where, "unsafe-name", f"{error}; it was not written"))
        return False
    except OSError as error:
        if error.errno in HOPELESS:
            raise InputError(f"{out.folder}: cannot be written to: {error.strerror}") from None
        problems.append(Problem(where, "unwritable", f"{error.strerror}; it was not written"))
        return False
    return True


def _make(folder: str) -> None:
    """Make a folder and those above it; not by recursion, since a path may be a thousand deep."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)


def _escaped(part: bytes) -> bytes:
    """A name without control characters: a newline becomes %0A."""
    if not any(byte < 32 or byte == 127 for byte in part):
        return part
    return b"".join(b"%%%02X" % byte if byte < 32 or byte == 127 else bytes((byte,)) for byte in part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
