"""Copies of what lies far away, in a folder of limited size that several processes share.

A copy that is not whole is none; what was not used for longest goes first. Whoever cannot write goes without.
"""

import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xlabel.errors import InputError
from xlabel.stores.transaction import locked

ROOM = 8
"""How often the folder is looked through while it fills once; as much of it stays free afterwards."""

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def place(kind: str, name: str) -> Path:
    """Where xlabel keeps something of a kind in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "xlabel" / kind / name


class Cache:
    """At most `limit` bytes below a folder, which is made."""

    def __init__(self, folder: Path, limit: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}; name another cache") from None
        self.folder = folder
        self.limit = limit
        self._written = limit  # by this process since it last looked: it looks before it writes

    def get(self, name: str, size: int, within: slice, fetch: Callable[[], bytes]) -> bytes:
        """A part of the `size` bytes under a name, from the folder, or fetched whole and put there.

        `name` is a folder's and a file's, of letters, digits, `_`, `.` and `-`; InputError for any other,
        which could lie outside.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{self.folder}: expected a name like folder/file for a copy, got {name!r}")
        path = self.folder / name
        try:
            with path.open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size == size:
                    os.utime(file.fileno())
                    return os.pread(file.fileno(), within.stop - within.start, within.start)
        except OSError:
            pass  # not there, or taken away just now
        data = fetch()
        if len(data) == size:
            self._put(path, data)
        return data[within]

    def _put(self, path: Path, data: bytes) -> None:
        if len(data) > self.limit // ROOM:
            return
        self._written += len(data)
        with suppress(OSError, InputError):
            if self._written > self.limit // ROOM:
                self._make_room()
            path.parent.mkdir(exist_ok=True)
            new = path.with_name(f".{uuid.uuid4().hex}")
            try:
                new.write_bytes(data)
                new.rename(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def _make_room(self) -> None:
        lock = locked(self.folder, wait=True)
        try:
            found = []
            for folder in os.scandir(self.folder):
                if folder.is_dir(follow_symlinks=False):
                    found += [(entry.stat(), entry.path) for entry in os.scandir(folder)]
            total = sum(stat.st_size for stat, _ in found)
            for stat, path in sorted(found, key=lambda item: item[0].st_mtime_ns):
                if total <= self.limit - 2 * (self.limit // ROOM):
                    break
                os.unlink(path)
                total -= stat.st_size
        finally:
            os.close(lock)
        self._written = 0
