"""Streaming into training: the samples of a bundle, epoch after epoch, in order or shuffled, by many readers.

What has been given away is told by two numbers, the epoch and the position in it; see `order`.
"""

import hashlib
import operator
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlabel.errors import CorruptError, InputError
from xlabel.formats.unified_reading import Described
from xlabel.jobs.order import Share, Uneven, blocks, seed_at, shuffled
from xlabel.jobs.source import Reader, Source, open_source
from xlabel.model import Annotation, Category, Image
from xlabel.stores.cache import Cache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 192 << 20
"""So that with what is on its way, and what libraries take, less than 300 MB come on top of the process."""
BLOCK = 1 << 20
"""Bytes that are read together where samples are shuffled; `IN_ORDER` where they are not."""
IN_ORDER = 4 << 20


class Streamed:
    """A sample on its way into training. Its bytes and labels are read when they are asked for."""

    __slots__ = ("_bytes", "_described", "_reader", "_turn", "epoch", "number", "position", "stream")

    def __init__(
        self, stream: "Stream", number: int, position: int = 0, epoch: int = 0, reader: Reader | None = None,
        turn: int = 0,
    ) -> None:  # fmt: skip
        self.stream, self._reader, self._turn = stream, reader, turn
        self.number = number
        """Which sample of the bundle it is: `bundle[number]`."""
        self.position = position
        """Its place in the epoch, over all ranks, from 0."""
        self.epoch = epoch
        self._bytes: bytes | None = None
        self._described: Described | None = None

    @property
    def bytes(self) -> bytes:
        """The image file, as it was packed. CorruptError where a check was asked for and fails."""
        if self._bytes is None:
            if self._reader is None:
                self._bytes = self.stream.source.read(self.number)
            else:
                self._bytes = self._reader.take(self._turn)
            if self.stream.check or self.stream.source.check:
                self._verify()
        return self._bytes

    @property
    def image(self) -> Image:
        """Key, size as displayed, and orientation."""
        return self._record.sample.image

    @property
    def key(self) -> str:
        """The image's path below the root of the data set."""
        return self.image.key

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The labels."""
        return self._record.sample.annotations

    @property
    def seed(self) -> int:
        """63 random bits for its augmentation, of the stream's seed, the epoch and the position alone."""
        return seed_at(self.stream.seed, self.epoch, self.position)

    @property
    def _record(self) -> Described:
        if self._described is None:
            self._described = self.stream.source.described(self.number)
        return self._described

    def _verify(self) -> None:
        frame = self._record.frame
        found = hashlib.sha256(self._bytes or b"").hexdigest()
        if frame is None or frame.sha256 != found:
            then = "verify the bundle, and put the right one back"
            if self.stream.source.check:
                then = "the media was replaced while it was read; open the bundle again"
            raise CorruptError(
                f"{self.stream.source.where}: {self.key}: expected an image with the SHA-256 "
                f"{frame.sha256 if frame else '(none stated)'}, read one with {found}; {then}"
            )


class Stream:
    """The samples of a bundle for one rank. Each iteration is an epoch: the next one, or the rest of one.

    `len()` is what an epoch from its beginning gives this rank.
    """

    def __init__(
        self, source: Source, share: Share, *, shuffle: bool, seed: int, window: int, check: bool
    ) -> None:
        """The options are those of `stream`, which refuses what cannot be."""
        self.source, self.share = source, share
        self.shuffle, self.seed, self.window, self.check = shuffle, seed, window, check
        self.epoch = 0
        self.position = 0
        self._blocks: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.share.of_rank(len(self.source.offsets))

    def __getitem__(self, number: int) -> Streamed:
        """A sample of the bundle by its number, whatever the order."""
        if not -len(self.source.offsets) <= number < len(self.source.offsets):
            raise IndexError(f"expected a number below {len(self.source.offsets)}, got {number}")
        return Streamed(self, number % len(self.source.offsets))

    def __iter__(self) -> Iterator[Streamed]:
        epoch, start = self.epoch, self.position
        for taken, sample in enumerate(self.samples(self.share, epoch, start), 1):
            self.position = start + taken * self.share.world_size
            yield sample
        self.epoch, self.position = epoch + 1, 0

    def samples(self, share: Share, epoch: int, start: int = 0, taken: int = 0) -> Iterator[Streamed]:
        """The samples of a share of an epoch, from a position on; see `Share.positions`."""
        count = len(self.source.offsets)
        positions = share.positions(count, start, taken)
        if not len(positions):
            return
        order = self.order(epoch)
        sequence = positions % count if order is None else order[positions % count]
        reader = self.source.reader(sequence, self._block())
        try:
            for turn in range(len(sequence)):
                yield Streamed(self, int(sequence[turn]), int(positions[turn]), epoch, reader, turn)
        finally:
            reader.close()

    @property
    def categories(self) -> list[Category]:
        """The categories of the bundle, in the file's order."""
        return self.source.categories

    @cached_property
    def labels(self) -> dict[int, int]:
        """Numbers for training by the ids of categories: 1 is the first of `categories`, 0 the background."""
        return {category.id: number for number, category in enumerate(self.categories, 1)}

    def prepare(self) -> None:
        """Look up now what is otherwise looked up when it is needed, so that forked processes share it."""
        self._block()
        with suppress(InputError):  # a bundle without labels
            _ = self.source.categories

    def order(self, epoch: int) -> "NDArray[np.int64] | None":
        """The number of the sample at each position of an epoch; None where it is the position."""
        if not self.shuffle:
            return None
        block = self._block()
        return shuffled(block, self.source.sizes, seed=self.seed, epoch=epoch, window=self.window)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands: what was given away until now, by all ranks together."""
        return {
            "epoch": self.epoch, "position": self.position, "seed": self.seed, "shuffle": self.shuffle,
            "window": self.window, "pack_id": self.source.pack_id,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, also with other ranks. InputError where it is of another order."""
        mine = self.state_dict()
        if not isinstance(state, Mapping) or (lacking := mine.keys() - state.keys()):
            what = f"one without {', '.join(sorted(lacking))}" if isinstance(state, Mapping) else f"{state!r}"
            raise InputError(f"{self.source.where}: expected a state as state_dict() gives it, got {what}")
        epoch, position = (_whole(name, state[name]) for name in ("epoch", "position"))
        if epoch < 0 or position < 0:
            raise InputError(
                f"{self.source.where}: expected a state with an epoch and a position of 0 or more, got "
                f"{epoch} and {position}"
            )
        for name in ("pack_id", "shuffle", "seed", "window"):
            if state[name] != mine[name]:
                raise InputError(
                    f"{self.source.where}: expected a state of a stream with {name} {mine[name]!r}, got one "
                    f"with {state[name]!r}, which has another order; open the stream as it was"
                )
        self.epoch, self.position = epoch, position

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch with the next iteration; in the epoch where it stands, it goes on."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def close(self) -> None:
        """Let go of files and connections."""
        self.source.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _block(self) -> "NDArray[np.int64]":
        if self._blocks is None:
            self._blocks = blocks(self.source.offsets, self.source.sizes, BLOCK if self.shuffle else IN_ORDER)
        return self._blocks


def _whole(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected a whole number for {name}, got {value!r}") from None


def stream(
    place: str | os.PathLike[str],
    *,
    shuffle: bool = False,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    uneven: Uneven = "drop",
    window: int = WINDOW,
    cache: str | os.PathLike[str] | None = None,
    cache_size: int = 10 << 30,
    check: bool = False,
) -> Stream:
    """The samples of a bundle in a folder or at a URL, for training, in frame order or shuffled.

    Each sample has `key`, `annotations`, `image` and `bytes`, which are read when they are asked for. The
    order follows from `seed` and epoch alone. `window` is how many bytes of scattered blocks are mixed, for
    all ranks together. `uneven` says whether the last samples are left out or some come twice where the ranks
    cannot share them evenly. `cache` is a folder that keeps at most `cache_size` bytes of what is read from a
    URL, for all processes of a machine and for later epochs. With `check`, each image's bytes are compared
    with their SHA-256.

    >>> with xlabel.stream("output", shuffle=True, seed=1) as samples:
    ...     for sample in samples:
    ...         print(sample.key, len(sample.bytes), len(sample.annotations))
    ...         break
    harbour/002.jpg 22770 6
    """
    rank, world_size = _whole("rank", rank), _whole("world_size", world_size)
    seed, window = _whole("seed", seed), _whole("window", window)
    if not 0 <= rank < world_size:
        raise InputError(f"expected a rank below the world size of {world_size}, got {rank}")
    if uneven not in ("drop", "repeat"):
        raise InputError(f'expected "drop" or "repeat" for uneven, got {uneven!r}')
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}")
    if window < 1:
        raise InputError(f"expected a window of 1 byte or more, got {window}")
    cache_size = _whole("cache_size in bytes", cache_size)
    if cache_size < 1:
        raise InputError(f"expected a cache of 1 byte or more, got {cache_size}")
    kept = None if cache is None else Cache(Path(cache), cache_size)
    share = Share(rank, world_size, uneven=uneven)
    source = open_source(place, kept)
    count = len(source.offsets)
    if count and not share.of_rank(count):
        source.close()
        raise InputError(
            f"{source.where}: expected no more ranks than the {count} samples, got a world size of "
            f'{world_size}, of which none would get any; say uneven="repeat", or train with fewer processes'
        )
    return Stream(source, share, shuffle=shuffle, seed=seed, window=window, check=check)
