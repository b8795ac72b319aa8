"""Names of files: many of them in little memory, as keys, and by globs."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import overload

RUN = 1 << 17
"""Names that are sorted at a time."""


class Paths(Sequence[str]):
    """A sorted sequence of posix paths in a third of a list's memory: a million take about 30 MB.

    They stand in the order of their keys' UTF-8 bytes.
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        """`names` in any order; they are sorted in runs, so that no list of all is made."""
        runs = list(_runs(names))
        self._blob = bytearray()
        self._ends = array("Q")
        for name in _merged(runs) if len(runs) > 1 else _split(runs[0] if runs else b""):
            self._blob += name
            self._ends.append(len(self._blob))
            self._blob += b"\0"

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1 or stop <= start:
                return [self[i] for i in range(start, stop, step)]
            return [key_of(name) for name in self.raw(start, stop)]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return key_of(bytes(self._blob[self._start(index) : self._ends[index]]))

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 1000):
            yield from self[start : min(start + 1000, len(self))]

    def __contains__(self, path: object) -> bool:
        """Found by bisection, so that no set of all paths is needed."""
        if not isinstance(path, str):
            return False
        position = bisect_left(self, path.encode(), key=str.encode)
        return position < len(self) and self[position] == path

    def raw(self, start: int, stop: int) -> list[bytes]:
        """The names as the file system has them, which need not be UTF-8."""
        if stop <= start:
            return []
        return bytes(self._blob[self._start(start) : self._ends[stop - 1]]).split(b"\0")

    def names(self) -> Iterator[bytes]:
        """All names as the file system has them."""
        for start in range(0, len(self), 1000):
            yield from self.raw(start, min(start + 1000, len(self)))

    def _start(self, index: int) -> int:
        return self._ends[index - 1] + 1 if index else 0


def key_of(name: bytes) -> str:
    r"""A name of the file system as a key; bytes that are not UTF-8 become `\xff`."""
    return name.decode("utf-8", "backslashreplace")


def is_utf8(name: bytes) -> bool:
    """Whether a name of the file system is text as others read it."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def matcher(pattern: str) -> Callable[[bytes], bool]:
    """Whether a name fits a glob: `*` stays within a folder, `**/` is any number of folders, also none."""
    whole = "/" in pattern
    expression = re.compile(_translated(pattern), re.DOTALL)

    def fits(name: bytes) -> bool:
        text = key_of(name)
        return expression.fullmatch(text if whole else text.rpartition("/")[2]) is not None

    return fits


def _runs(names: Iterable[bytes]) -> Iterator[bytes]:
    """Sorted runs of names, each joined by NULs."""
    left = iter(names)
    while run := list(islice(left, RUN)):
        run.sort(key=None if all(map(bytes.isascii, run)) else _order)
        yield b"\0".join(run)


def _merged(runs: list[bytes]) -> Iterator[bytes]:
    if all(map(bytes.isascii, runs)):
        return merge(*map(_split, runs))
    return merge(*map(_split, runs), key=_order)


def _split(run: bytes) -> Iterator[bytes]:
    """The names of a run, a piece at a time."""
    start = 0
    while start < len(run):
        end = run.find(b"\0", start + (1 << 16))
        end = end if end >= 0 else len(run)
        yield from run[start:end].split(b"\0")
        start = end + 1


def _order(name: bytes) -> bytes:
    """What a name is sorted by; one that is not UTF-8 stands behind a name that is its key."""
    if name.isascii() or is_utf8(name):
        return name
    return key_of(name).encode() + b"\0" + name


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = ""
    for part in parts:
        if part.startswith("[") and part.endswith("]") and len(part) > 2:
            inside = part[1:-1].replace("\\", "\\\\")
            text += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        else:
            text += words.get(part, re.escape(part))
    return text
