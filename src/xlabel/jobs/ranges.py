"""Reading ahead: the bytes of samples in the order that they will be asked for, a block at a time.

A block is fetched before its first sample is due, by a few threads; each sample's bytes are kept until its
turn is over and then let go of one by one. So no more is held than the order asks for, and a few blocks.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from xlabel.jobs.order import GAP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Range = tuple[int, int]
"""Offset and size, in bytes."""
Fetch = Callable[[Sequence[Range]], list[bytes]]

MOST = 8 << 20
"""Bytes of one request, unless a single file is larger."""


def coalesced(ranges: Iterable[Range], gap: int = GAP, most: int = MOST) -> list[Range]:
    """The fewest reads that hold all of the ranges: what is less than `gap` bytes apart is read together.

    >>> coalesced([(0, 10), (12, 5), (900, 1)], gap=100)
    [(0, 17), (900, 1)]
    """
    found: list[Range] = []
    for offset, size in sorted(ranges):
        if found:
            start, length = found[-1]
            end = max(start + length, offset + size)
            if offset - (start + length) <= gap and end - start <= most:
                found[-1] = (start, end - start)
                continue
        found.append((offset, size))
    return found


def cut(ranges: Sequence[Range], reads: Sequence[Range], data: Sequence[bytes]) -> list[bytes]:
    """The bytes of each range out of what was read for all of them; see `coalesced`.

    Fewer where a read came back shorter than it was asked for.
    """
    found: list[bytes] = [b""] * len(ranges)
    at = 0
    for number in sorted(range(len(ranges)), key=lambda n: ranges[n]):
        offset, size = ranges[number]
        while offset + size > sum(reads[at]):
            at += 1
        start = offset - reads[at][0]
        found[number] = data[at][start : start + size]
    return found


class Turns:
    """A sequence of samples by the blocks that they are in.

    `sequence` are numbers of samples in the order of their turns; `block` is that of each number.
    """

    def __init__(self, sequence: "NDArray[np.int64]", block: "NDArray[np.int64]") -> None:
        import numpy as np

        numbers, self._group = np.unique(block[sequence], return_inverse=True)
        self._grouped = np.argsort(self._group, kind="stable")
        self._bounds = np.searchsorted(self._group[self._grouped], np.arange(len(numbers) + 1))
        self._order = np.argsort(self._grouped[self._bounds[:-1]])

    def __len__(self) -> int:
        return len(self._order)

    def block(self, turn: int) -> int:
        """The block of a turn. These numbers are the sequence's own."""
        return int(self._group[turn])

    def next(self, place: int) -> int:
        """The block that is needed as number `place` of all."""
        return int(self._order[place])

    def of(self, block: int) -> list[int]:
        """The turns at which a block is needed, rising."""
        found: list[int] = self._grouped[self._bounds[block] : self._bounds[block + 1]].tolist()
        return found

    def due(self, block: int) -> int:
        """The first of them."""
        return int(self._grouped[self._bounds[block]])

    def over(self, block: int) -> int:
        """The last of them."""
        return int(self._grouped[self._bounds[block + 1] - 1])


class Ahead:
    """The bytes of samples, read ahead of their turns. `take` them in order; any may be left out.

    `places` gives the range of the sample at a turn. At most `blocks` are fetched at a time, by as many
    threads. Nothing is read before the first `take`, and nothing ahead after `close`. A forked process, which
    has none of the threads, begins anew.
    """

    def __init__(self, fetch: Fetch, turns: Turns, places: Callable[[int], Range], blocks: int = 16) -> None:
        self._fetch, self._turns, self._places, self._blocks = fetch, turns, places, blocks
        self._begun = 0
        self._now = 0
        self._pending: dict[int, Future[dict[int, bytes]]] = {}
        self._held: dict[int, bytes] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._pid = os.getpid()
        self._closed = False

    def take(self, turn: int) -> bytes:
        """The bytes of the sample at a turn. Raises what the read raised."""
        if self._closed:
            return self._read([turn])[turn]
        self._forget_parent()
        self.skip(turn)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._blocks, thread_name_prefix="xlabel read")
        self._begin(self._pool, turn)
        arriving = self._pending.pop(self._turns.block(turn), None)
        if arriving is not None:
            self._held.update((n, data) for n, data in arriving.result().items() if n >= turn)
        if turn not in self._held:  # its block's read failed, and the caller goes on
            return self._read([turn])[turn]
        return self._held.pop(turn)

    def skip(self, turn: int) -> None:
        """Let go of all that stands before a turn."""
        for passed in range(self._now, turn):
            if self._held.pop(passed, None) is None:
                block = self._turns.block(passed)
                if block in self._pending and self._turns.over(block) < turn:
                    self._pending.pop(block).cancel()
        self._now = max(self._now, turn)

    def close(self) -> None:
        """End the threads; what they still read is thrown away."""
        self._forget_parent()
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pending, self._held = {}, {}

    def _forget_parent(self) -> None:
        """Leave what the process before a fork had under way: its threads are not in this one."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._begun, self._pending, self._held, self._pool = 0, {}, {}, None

    def _begin(self, pool: ThreadPoolExecutor, turn: int) -> None:
        """Fetch the blocks that are due at a turn, and those that come next."""
        while self._begun < len(self._turns):
            block = self._turns.next(self._begun)
            if self._turns.due(block) > turn and len(self._pending) >= self._blocks:
                break
            self._begun += 1
            if turns := [n for n in self._turns.of(block) if n >= turn]:
                self._pending[block] = pool.submit(self._read, turns)

    def _read(self, turns: list[int]) -> dict[int, bytes]:
        ranges = [self._places(turn) for turn in turns]
        reads = coalesced(ranges)
        return dict(zip(turns, cut(ranges, reads, self._fetch(reads)), strict=True))
