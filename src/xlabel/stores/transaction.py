"""Several files of one folder replaced as one: after a kill the next run finishes it or undoes it.

New files are written to `.xlabel-pack/` in the folder. `commit.json` there is the moment that decides: with
it the renames are carried out, by whoever comes next if need be; without it the staged files are litter and
go. A lock on the folder tells a dead writer from a living one.
"""

import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import msgspec

from xlabel.errors import CorruptError, InputError
from xlabel.model.manifest import MANIFEST, PROBLEMS

PATIENCE = 0.5
"""Seconds after which whoever has the lock of a folder is taken for another writer."""
STAGING = ".xlabel-pack"
REMOVABLE = frozenset({PROBLEMS, MANIFEST})
"""What a journal may remove, so that a folder from elsewhere cannot have more removed by being opened."""
JOURNAL = "commit.json"
GROWING = "growing.json"
LINE = 160
_LAST_LINE = re.compile(rb"xlabel 1 mp4 pack [0-9a-f]{32} frames \d+ index (\d{1,18}) names [ \w]+\n")
"""The last line of a media file; docs/dataset_spec.md."""


class Transaction:
    """New files for a folder; use as a context, write to `staged(name)`, and call `commit` at the end.

    Leaving the context without `commit` puts everything back as it was, made folders included. Raises
    InputError where another process is writing to the folder, or nobody may.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Path] = []
        self._undo: list[Callable[[], None]] = []
        try:
            self._make()
            self._lock = _locked_soon(folder)
        except OSError as error:
            self._unmake()
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
        try:
            _finish(folder)
            _clear(folder)
            (folder / STAGING).mkdir()
        except BaseException as error:
            os.close(self._lock)
            self._unmake()
            if isinstance(error, OSError):
                raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
            raise

    def staged(self, name: str) -> Path:
        """Where to write the new file of that name."""
        if name in (JOURNAL, JOURNAL + ".new", GROWING):
            raise InputError(f"{self.folder / name}: this name is xlabel's own; choose another")
        return self.folder / STAGING / name

    def grow(self, name: str, size: int, index: int) -> None:
        """Say that an .mp4 of the folder will be appended to, whose index counts until `commit` hides it.

        What stands behind its `size` bytes is cut off now, and unless there is a commit, on leaving, or by
        the next who opens the folder.
        """
        draft = self.staged(GROWING + ".new")
        draft.write_bytes(msgspec.json.encode(_Growing(name, size, index)))
        draft.replace(self.folder / STAGING / GROWING)
        _cut_off(self.folder)

    def unless_committed(self, undo: Callable[[], None]) -> None:
        """Have `undo` called on leaving without `commit`."""
        self._undo.append(undo)

    def commit(self, names: list[str], stale: list[str] | None = None, hide: "Hidden | None" = None) -> None:
        """Publish the staged files of these names at once, remove the `stale` ones, and hide a box."""
        for name in (*names, *(stale or [])):
            if not _is_name(name):
                raise InputError(f"{name!r}: expected the name of a file in {self.folder}")
            if (self.folder / name).is_dir():
                raise InputError(f"{self.folder / name}: expected a file, found a folder; move it away")
        journal = self.folder / STAGING / JOURNAL
        draft = self.folder / STAGING / (JOURNAL + ".new")
        draft.write_bytes(msgspec.json.encode(_Journal(names, stale or [], hide)))
        draft.replace(journal)
        self._made, self._undo = [], []
        _finish(self.folder)

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not (self.folder / STAGING / JOURNAL).exists():
                for undo in self._undo:
                    undo()
                _clear(self.folder)
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


def is_publishing(folder: Path) -> bool:
    """Whether files of a folder are being replaced right now, or a writer was killed while it did so."""
    return (folder / STAGING / JOURNAL).exists()


def is_growing(folder: Path) -> bool:
    """Whether a writer appends to a file of a folder right now; who was killed is not noted any more."""
    return (folder / STAGING / GROWING).exists()


def recover(folder: Path) -> None:
    """Finish or undo what a killed writer left in a folder; wait for a living one that is just publishing."""
    staging = folder / STAGING
    if not staging.exists():
        return
    try:
        lock = locked(folder, wait=(staging / JOURNAL).exists())
    except InputError:
        return  # a living writer that has not published yet: what is there is the old set, whole
    try:
        _finish(folder)
        _clear(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: a pack was cut off while it published its files, and finishing it failed: "
            f"{error.strerror}; make the folder writable and try again"
        ) from None
    finally:
        os.close(lock)


@contextmanager
def told(target: Path) -> Iterator[None]:
    """Have an error of the system that comes up while new files are staged told as an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}; nothing was changed") from None


class Hidden(msgspec.Struct, frozen=True):
    """An index of an .mp4 that a later one takes the place of: its type becomes `skip`."""

    name: str
    """Of the file in the folder."""
    offset: int
    """Where the box begins."""


class _Growing(msgspec.Struct, frozen=True):
    """A file that is being appended to: what it was."""

    name: str
    size: int
    index: int


class _Journal(msgspec.Struct, frozen=True, omit_defaults=True):
    publish: list[str]
    remove: list[str]
    hide: Hidden | None = None


def _finish(folder: Path) -> None:
    """Carry out a journal, if there is one; each of its steps may have been done before."""
    staging = folder / STAGING
    try:
        journal = msgspec.json.decode((staging / JOURNAL).read_bytes(), type=_Journal)
    except FileNotFoundError:
        return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{staging / JOURNAL}: not a journal: {error}; remove {staging}") from None
    hidden = [journal.hide] if journal.hide else []
    for name in (*journal.publish, *journal.remove, *(hide.name for hide in hidden)):
        if not _is_name(name):
            raise CorruptError(f"{staging / JOURNAL}: names {name!r}, outside its folder; remove {staging}")
    for hide in hidden:
        if not _hide(folder / hide.name, hide.offset):
            raise CorruptError(
                f"{staging / JOURNAL}: says to hide what is no index of {hide.name}; remove {staging}"
            )
    for name in journal.publish:
        if (staging / name).exists():
            (staging / name).replace(folder / name)
    for name in REMOVABLE.intersection(journal.remove):
        (folder / name).unlink(missing_ok=True)
    (staging / JOURNAL).unlink()
    _clear(folder)


def _clear(folder: Path) -> None:
    """Take away what a writer that did not publish has left."""
    with suppress(OSError):  # else it stays behind the end, where no reader looks, until it is written over
        _cut_off(folder)
    shutil.rmtree(folder / STAGING, ignore_errors=True)


def _hide(path: Path, offset: int) -> bool:
    """Make a `moov` box of a media file a `skip` box: the index behind it counts from now on.

    False where there is none, and no index behind it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        index = _index_of(fd, os.fstat(fd).st_size)
        if index is None or not 0 <= offset < index:
            return False
        found = os.pread(fd, 4, offset + 4)
        if found == b"moov":
            os.pwrite(fd, b"skip", offset + 4)
            os.fsync(fd)
        return found in (b"moov", b"skip")
    finally:
        os.close(fd)


def _cut_off(folder: Path) -> None:
    """Take away what was appended to a file and is not published: its index would be hidden otherwise."""
    try:
        was = msgspec.json.decode((folder / STAGING / GROWING).read_bytes(), type=_Growing)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not _is_name(was.name):
        return
    fd = os.open(folder / was.name, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if 0 < was.size < os.fstat(fd).st_size and was.index == _index_of(fd, was.size):
            os.ftruncate(fd, was.size)
    finally:
        os.close(fd)


def _index_of(fd: int, size: int) -> int | None:
    """Where the index is that the last line before `size` of an .mp4 names, if it is not hidden.

    None for any other file, so that a folder from elsewhere cannot have one changed by being opened.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return None
    line = _LAST_LINE.fullmatch(os.pread(fd, LINE, max(0, size - LINE)))
    if line is None or os.pread(fd, 4, int(line[1]) + 4) != b"moov":
        return None
    return int(line[1])


def _is_name(name: str) -> bool:
    """Whether it names a file in a folder, and nothing outside or besides."""
    return name == os.path.basename(name) and name not in ("", ".", "..", STAGING) and "\0" not in name


def _locked_soon(folder: Path) -> int:
    """The lock of a folder for a writer, who waits for a reader that finishes what a killed one has left."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return locked(folder, wait=False)
        except InputError:
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def locked(folder: Path, wait: bool) -> int:
    """A descriptor that locks a folder until it is closed; InputError where another process has the lock."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        raise InputError(
            f"{folder}: another xlabel is writing here; wait for it, or choose another place"
        ) from None
    return fd
