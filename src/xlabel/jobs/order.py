"""The order of samples in training: which one stands at a position of an epoch, and whose turn it is.

All of it is a function of the seed, the epoch and the files; how many ranks and workers share the work does
not enter. So an epoch can be left at any position and gone on with by another number of them.

A block is a run of samples that lie together in the media, read at once. `shuffled` opens the blocks in
random order and lets each sample of an open block wait for a random time: a sliding window over scattered
blocks, which mixes better than one that is filled and emptied, since it holds more blocks in the same memory.

Random numbers are the raw ones of Philox and SeedSequence, which NumPy promises never to change (NEP 19).
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

LANES = 24
"""Separate windows whose samples take turns. Ranks whose number divides it never read the same block."""
GAP = 256 << 10
"""Bytes that are read for nothing rather than asked for apart."""

Uneven = Literal["drop", "repeat"]
"""What becomes of the last samples where the ranks cannot share them evenly: left out, or some come twice."""


def blocks(offsets: "NDArray[np.uint64]", sizes: "NDArray[np.uint64]", size: int) -> "Numbers":
    """The block of each sample, numbered from 0: neighbours in the media, about `size` bytes together.

    Samples need not lie in their order: blocks follow the offsets.
    """
    import numpy as np

    if not len(offsets):
        return np.zeros(0, np.int64)
    along = np.argsort(offsets, kind="stable")
    starts, ends = offsets[along].astype(np.int64), (offsets + sizes)[along].astype(np.int64)
    jump = np.zeros(len(along), np.int64)
    jump[1:] = starts[1:] - np.maximum.accumulate(ends)[:-1] > GAP
    # What is skipped does not count, so that a hole of any size neither fills a block nor is read.
    filled = np.cumsum(ends - starts) - (ends - starts)
    step = filled // max(1, size)
    fresh = jump.astype(bool)
    fresh[1:] |= step[1:] != step[:-1]
    found = np.empty(len(along), np.int64)
    found[along] = np.cumsum(fresh)
    return found


def shuffled(
    block: "Numbers", sizes: "NDArray[np.uint64]", *, seed: int, epoch: int, window: int
) -> "Numbers":
    """The samples in the order of an epoch. About `window` bytes of open blocks wait at any time.

    One `window` is shared by all ranks together, so eight of them want eight times as much.
    """
    import numpy as np

    count = len(block)
    if not count:
        return np.zeros(0, np.int64)
    raw = np.random.Philox(np.random.SeedSequence((seed, epoch))).random_raw
    number_of_blocks = int(block.max()) + 1
    place = np.empty(number_of_blocks, np.int64)
    place[np.argsort(raw(number_of_blocks), kind="stable")] = np.arange(number_of_blocks)
    lane = (place % LANES).astype(np.uint8)
    # A lane's clock goes on by the bytes of the blocks that it opens. A sample waits up to twice the window:
    # half of what is open has been given away on average.
    weight = np.zeros(number_of_blocks, np.float64)
    np.add.at(weight, place, np.bincount(block, sizes.astype(np.float64), number_of_blocks))
    opened = np.empty(number_of_blocks, np.float64)
    for number in range(LANES):
        opened[number::LANES] = np.cumsum(weight[number::LANES]) - weight[number::LANES]
    wait, lanes = raw(count), lane[block]
    counts = np.bincount(lanes, minlength=LANES)
    order = np.empty(count, np.int64)
    for number in range(LANES):
        mine = np.flatnonzero(lanes == number)
        waits = (wait[mine] >> np.uint64(11)).astype(np.float64) * 2.0**-53
        due = opened[place[block[mine]]] + waits * (2.0 * window / LANES)
        # Lanes take turns, the first one first; those that have ended are passed over.
        turn = np.arange(len(mine))
        at = sum(np.minimum(counts[other], turn + (other < number)) for other in range(LANES))
        order[at] = mine[np.argsort(due, kind="stable")]
    return order


def seed_at(seed: int, epoch: int, position: int) -> int:
    """63 random bits for what is done to the sample at a position: the same on whichever rank it is."""
    import numpy as np

    state = np.random.SeedSequence((seed, epoch, position)).generate_state(1, np.uint64)
    return int(state[0]) >> 1


class Share(NamedTuple):
    """Whose turn it is: rank `rank` of `world_size`, and of its workers `worker` of `workers`.

    Ranks take turns sample by sample. Workers take turns by runs of `batch` samples of their rank, as a
    DataLoader asks them for batches: so what has arrived after any batch is the beginning of the epoch.
    """

    rank: int = 0
    world_size: int = 1
    worker: int = 0
    workers: int = 1
    batch: int = 1
    uneven: Uneven = "drop"

    def of_rank(self, count: int, start: int = 0) -> int:
        """How many samples each rank gets of those from `start` to `count`."""
        left = max(0, count - start)
        more = self.world_size - 1 if self.uneven == "repeat" else 0
        return (left + more) // self.world_size

    def positions(self, count: int, start: int = 0, taken: int = 0) -> "Numbers":
        """The positions of this worker from `start` on, without the first `taken` of them.

        Positions from `count` on are those of samples that come twice: of position - `count`.
        """
        import numpy as np

        mine = np.arange(self.of_rank(count, start))
        mine = mine[mine // self.batch % self.workers == self.worker]
        positions: Numbers = start + self.rank + self.world_size * mine[taken:]
        return positions
