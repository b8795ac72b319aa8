"""Which files are as they were when they were last read: by size, time and inode, as rsync and git know them.

A file in the user's cache, for this machine alone. It is no more than a hint: where it is missing, or of
another pack, files are known by their content.
"""

import os
import time
from array import array
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from xlabel.stores import cache

if TYPE_CHECKING:
    from xlabel.stores.local import Scan

IMAGES = "images"
LABELS = "labels"
MAGIC = b"xlabel stats 1\n"
MOST = 400
"""Files in the cache, above which the older half goes."""
FRESH = 2_000_000_000
"""Nanoseconds in which a file may change twice without another time."""


class Stats:
    """Size, time and inode of files by number; 0 where nothing is known."""

    def __init__(self, count: int) -> None:
        self._numbers = array("Q", bytes(24 * count))

    @classmethod
    def of(cls, images: "Scan") -> "Stats":
        """Those of the images of a folder."""
        stats = cls(len(images.sizes))
        columns = images.sizes, array("Q", images.times.tobytes()), images.inodes
        for place, column in enumerate(columns):
            stats._numbers[place::3] = column
        for number, changed in enumerate(images.times):
            if images.looked - changed <= FRESH:
                stats._numbers[3 * number : 3 * number + 3] = array("Q", (0, 0, 0))
        return stats

    def same(self, number: int, found: os.stat_result | None) -> bool:
        """Whether a file is known to be as it was, or known to be missing still."""
        at = 3 * number
        return (*self._numbers[at : at + 3],) == _told(found)

    def has(self, number: int) -> bool:
        """Whether a file is known to have been there."""
        return self._numbers[3 * number + 1] > 0

    def note(self, number: int, found: os.stat_result | None) -> None:
        """Note a file that was read. One that has just been written may change again, and is left out."""
        if found is None or time.time_ns() - found.st_mtime_ns > FRESH:
            at = 3 * number
            self._numbers[at : at + 3] = array("Q", _told(found))

    def take(self, number: int, other: "Stats", place: int) -> None:
        """Note what `other` has noted of a file, which is its `place`."""
        self._numbers[3 * number : 3 * number + 3] = other._numbers[3 * place : 3 * place + 3]

    def grow(self, count: int) -> None:
        """Have room for so many files."""
        self._numbers.frombytes(bytes(24 * count - 8 * len(self._numbers)))

    def write(self, path: Path, of: bytes, count: int) -> None:
        """Write the first `count` to a file; `of` names what they are of."""
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            with open(draft, "xb") as file:
                file.write(MAGIC + sha256(of).digest() + self._numbers[: 3 * count].tobytes())
            draft.replace(path)
            _prune(path.parent)


def place(folder: Path, name: str) -> Path:
    """Where the stats of a pack's images or labels are: in the user's cache, by the folder of the pack."""
    digest = sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return cache.place("stats", f"{digest}-{name}")


def _prune(folder: Path) -> None:
    """Keep the newest of many packs."""
    there = [entry for entry in os.scandir(folder) if entry.is_file()]
    if len(there) > MOST:
        for entry in sorted(there, key=lambda entry: entry.stat().st_mtime)[: len(there) - MOST // 2]:
            os.unlink(entry.path)


def mark(name: str, pack_id: str | None, generation: int, root: str) -> bytes:
    """What the files of a pack that were seen are of; `root` is their folder."""
    parts = [name, str(pack_id), str(generation), os.path.realpath(root)]
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def read(path: Path, of: bytes, count: int) -> Stats:
    """Those in a file; none where it is missing, or of something else."""
    stats = Stats(count)
    with suppress(OSError):
        data = path.read_bytes()
        head = MAGIC + sha256(of).digest()
        if data.startswith(head) and len(data) == len(head) + 24 * count:
            stats._numbers = array("Q", data[len(head) :])
    return stats


def look(path: bytes) -> os.stat_result | None:
    """What there is to know of a file; None where there is none, or none any more."""
    try:
        return os.stat(path)
    except OSError:
        return None


def _told(found: os.stat_result | None) -> tuple[int, int, int]:
    if found is None:
        return 0, 0, 1
    return found.st_size, found.st_mtime_ns & 0xFFFF_FFFF_FFFF_FFFF, found.st_ino
