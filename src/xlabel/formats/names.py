"""Many names in little memory: what is kept of each is its hash, 8 bytes, and no name itself.

Two of a million names share a hash once in thirty million sets. Hashes are those of this process and of those
that it forks.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from xlabel.model.report import counted

_FEW = 4096
"""So many are sorted without numpy, which takes a tenth of a second to load."""


class Names:
    """A set of names that is made once."""

    def __init__(self, names: Iterable[str] = (), hashes: "array[int] | None" = None) -> None:
        """Of names, or of their hashes where these are known; the array is then the set's own."""
        self._hashes = ordered(array("q", map(hash, names)) if hashes is None else hashes)

    def __contains__(self, name: str) -> bool:
        wanted = hash(name)
        at = bisect_left(self._hashes, wanted)
        return at < len(self._hashes) and self._hashes[at] == wanted

    def __bool__(self) -> bool:
        return bool(self._hashes)


class Seen:
    """A set of names that grows, in 16 to 32 bytes a name: an open table of their hashes."""

    def __init__(self) -> None:
        self._table = array("q", bytes(8 * 64))
        self._count = 0

    def add(self, name: str) -> bool:
        """Whether the name is new; from now on it is not."""
        table = self._table
        wanted, at = _place(table, name)
        if table[at] == wanted:
            return False
        table[at] = wanted
        self._count += 1
        if 2 * self._count > len(table):
            self._grow()
        return True

    def __contains__(self, name: str) -> bool:
        wanted, at = _place(self._table, name)
        return self._table[at] == wanted

    def _grow(self) -> None:
        old, mask = self._table, 2 * len(self._table) - 1
        self._table = table = array("q", bytes(16 * len(old)))
        for wanted in old:
            if wanted:
                at = wanted & mask
                while table[at]:
                    at = (at + 1) & mask
                table[at] = wanted


def ordered(hashes: "array[int]") -> "array[int]":
    """The same array, sorted in its place where it is long."""
    if len(hashes) <= _FEW:
        return array("q", sorted(hashes))
    import numpy as np

    np.frombuffer(hashes, dtype=np.int64).sort()
    return hashes


def repeated(hashes: "array[int]") -> frozenset[int]:
    """Those that an array has more than once; it is sorted on the way."""
    hashes = ordered(hashes)
    if len(hashes) <= _FEW:
        return frozenset(one for one, other in pairwise(hashes) if one == other)
    import numpy as np

    found = np.frombuffer(hashes, dtype=np.int64)
    return frozenset(found[1:][found[1:] == found[:-1]].tolist())


def lines(text: str, end: str = "\n") -> Iterator[str]:
    """The lines of a long text, one after the other, and no list of them."""
    start = 0
    while (stop := text.find(end, start)) >= 0:
        yield text[start:stop]
        start = stop + 1
    yield text[start:]


def spread(files: Iterable[str], wanted: Callable[[str], bool], count: int) -> tuple[int, list[str]]:
    """How many of the files are wanted, and `count` of these (or all, if fewer) from all over."""
    found: list[str] = []
    step, number = 1, 0
    for path in files:
        if wanted(path):
            if count and number % step == 0:
                if len(found) == 2 * count:
                    found = found[::2]
                    step *= 2
                if number % step == 0:
                    found.append(path)
            number += 1
    if len(found) > count:
        found = [found[i * len(found) // count] for i in range(count)]
    return number, found


def seen(number: int, ending: str, looked: int, right: int, what: str) -> str:
    """Why files look like a format: how many there are, and what was found in those that were looked at."""
    files = counted(number, f"{ending} files")
    if looked == number == right:
        return f"{files} with {what}"
    if looked == number:
        return f"{files}, {right:,} of them with {what}"
    return f"{files}, {right:,} of the {looked:,} looked at with {what}"


def _place(table: "array[int]", name: str) -> tuple[int, int]:
    """A name's hash, never 0, and where it stands in an open table, or would."""
    wanted = hash(name) or 1
    mask = len(table) - 1
    at = wanted & mask
    while (held := table[at]) and held != wanted:
        at = (at + 1) & mask
    return wanted, at
