"""Several files of one folder replaced as one: after a kill the next run finishes it or undoes it.

New files are written to `.xlabel-pack/` in the folder. `commit.json` there is the moment that decides: with
it the renames are carried out, by whoever comes next if need be; without it the staged files are litter and
go. A lock on the folder tells a dead writer from a living one.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from xlabel.errors import CorruptError, InputError
from xlabel.model.manifest import MANIFEST, PROBLEMS

STAGING = ".xlabel-pack"
REMOVABLE = frozenset({PROBLEMS, MANIFEST})
"""What a journal may remove, so that a folder from elsewhere cannot have more removed by being opened."""
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
            self._lock = locked(folder, wait=False)
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
        if name in (JOURNAL, JOURNAL + ".new"):
            raise InputError(f"{self.folder / name}: this name is xlabel's own; choose another")
        return self.folder / STAGING / name

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
        self._made = []
        _finish(self.folder)

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not (self.folder / STAGING / JOURNAL).exists():
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


def is_publishing(folder: Path) -> bool:
    """Whether files of a folder are being replaced right now, or a writer was killed while it did so."""
    return (folder / STAGING / JOURNAL).exists()


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
        shutil.rmtree(staging, ignore_errors=True)
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
        _hide(folder / hide.name, hide.offset)
    for name in journal.publish:
        if (staging / name).exists():
            (staging / name).replace(folder / name)
    for name in REMOVABLE.intersection(journal.remove):
        (folder / name).unlink(missing_ok=True)
    (staging / JOURNAL).unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _hide(path: Path, offset: int) -> None:
    """Make a `moov` box of a file a `skip` box: the index behind it counts from now on."""
    with open(path, "r+b", buffering=0) as file:
        if os.pread(file.fileno(), 4, offset + 4) == b"moov":
            os.pwrite(file.fileno(), b"skip", offset + 4)
            os.fsync(file.fileno())


def _is_name(name: str) -> bool:
    """Whether it names a file in a folder, and nothing outside or besides."""
    return name == os.path.basename(name) and name not in ("", ".", "..", STAGING) and "\0" not in name


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
