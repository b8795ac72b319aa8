"""Several files of one folder replaced as one: after a kill the next run finishes it or undoes it.

New files are written to `.xlabel-pack/` in the folder. `commit.json` there is the moment that decides: with
it the renames are carried out, by whoever comes next if need be; without it the staged files are litter and
go. A lock on the folder tells a dead writer from a living one.
"""

import ctypes
import fcntl
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from xlabel.errors import CorruptError, InputError

STAGING = ".xlabel-pack"
JOURNAL = "commit.json"


class Transaction:
    """New files for a folder; use as a context, write to `staged(name)`, and call `commit` at the end.

    Leaving the context without `commit` puts everything back as it was, made folders included. Raises
    InputError where another process is writing to the folder, or nobody may.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Path] = []
        try:
            self._make()
            self._lock = _locked(folder, wait=False)
        except OSError as error:
            self._unmake()
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
        try:
            _finish(folder)
            shutil.rmtree(folder / STAGING, ignore_errors=True)
            (folder / STAGING).mkdir()
        except BaseException as error:
            os.close(self._lock)
            self._unmake()
            if isinstance(error, OSError):
                raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
            raise

    def staged(self, name: str) -> Path:
        """Where to write the new file of that name."""
        return self.folder / STAGING / name

    def commit(self, names: list[str], stale: list[str] | None = None) -> None:
        """Publish the staged files of these names at once, and remove the `stale` ones."""
        journal = self.staged(JOURNAL)
        draft = self.staged(JOURNAL + ".new")
        draft.write_bytes(msgspec.json.encode(_Journal(names, stale or [])))
        for path in (*map(self.staged, names), draft):
            flush(path)
        draft.replace(journal)
        flush(journal.parent)
        self._made = []
        _finish(self.folder)

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self.staged(JOURNAL).exists():
                shutil.rmtree(self.folder / STAGING, ignore_errors=True)
                self._unmake()
        finally:
            os.close(self._lock)

    def _make(self) -> None:
        missing: list[Path] = []
        folder = self.folder
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)

    def _unmake(self) -> None:
        for path in reversed(self._made):
            try:
                path.rmdir()
            except OSError:
                return


def recover(folder: Path) -> None:
    """Finish or undo what a killed writer left in a folder; wait for a living one that is just publishing."""
    staging = folder / STAGING
    if not staging.exists():
        return
    try:
        lock = _locked(folder, wait=(staging / JOURNAL).exists())
    except InputError:
        return  # a living writer that has not published yet: what is there is the old set, whole
    try:
        _finish(folder)
        shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{folder}: a pack was cut off while it published its files, and finishing it failed: "
            f"{error.strerror}; make the folder writable and try again"
        ) from None
    finally:
        os.close(lock)


def flush(path: Path) -> None:
    """Have a file or a folder written to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class WriteBehind:
    """Hands what has been written of a file to the disk bit by bit, so that the flush at the end is short.

    Does nothing where the system has no sync_file_range.
    """

    STEP = 8 << 20

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._done = 0
        self._start = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None

    def written(self, end: int) -> None:
        """Say that everything before `end` has been written."""
        if self._start is not None and end - self._done >= self.STEP:
            begin = 2  # SYNC_FILE_RANGE_WRITE: begin to write dirty pages, and wait for none
            self._start(self._fd, ctypes.c_int64(self._done), ctypes.c_int64(end - self._done), begin)
            self._done = end

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class _Journal(msgspec.Struct, frozen=True):
    publish: list[str]
    remove: list[str]


def _finish(folder: Path) -> None:
    """Carry out a journal, if there is one; each of its steps may have been done before."""
    staging = folder / STAGING
    try:
        journal = msgspec.json.decode((staging / JOURNAL).read_bytes(), type=_Journal)
    except FileNotFoundError:
        return
    except msgspec.DecodeError as error:
        raise CorruptError(f"{staging / JOURNAL}: not a journal: {error}; remove {staging}") from None
    for name in (*journal.publish, *journal.remove):
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise CorruptError(f"{staging / JOURNAL}: names {name!r}, outside its folder; remove {staging}")
    for name in journal.publish:
        if (staging / name).exists():
            (staging / name).replace(folder / name)
    for name in journal.remove:
        (folder / name).unlink(missing_ok=True)
    flush(folder)
    (staging / JOURNAL).unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _locked(folder: Path, wait: bool) -> int:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        raise InputError(
            f"{folder}: another xlabel is writing here; wait for it, or choose another place"
        ) from None
    return fd
