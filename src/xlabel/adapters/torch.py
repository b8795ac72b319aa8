"""PyTorch: a bundle as a dataset for `torch.utils.data.DataLoader`, by index or as a stream. docs/stream.md.

Importing this module imports torch, which is in the extra `torch`.
"""

import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any

from xlabel.errors import InputError, extra
from xlabel.jobs.order import Share, Uneven
from xlabel.jobs.stream import WINDOW, Streamed, stream
from xlabel.model import Category

with extra("torch", "datasets for PyTorch"):
    import torch
    from torch.utils.data import Dataset, IterableDataset, get_worker_info

    from xlabel.adapters.targets import as_tv, boxes, collate, detection, picture, plain

__all__ = ["BundleDataset", "BundleStream", "boxes", "collate", "detection", "picture", "plain"]

Item = Callable[[Streamed], Any]
"""What is made of a sample: `detection`, `boxes`, `plain`, `picture`, or a function of one's own."""


class BundleDataset(Dataset[Any]):
    """A bundle by index, for any sampler. `item` says what is made of a sample.

    `transforms` take an image and a target, those of torchvision v2 as `tv_tensors`; what they draw is random
    as the DataLoader's workers are. Frames are in their order: `dataset[3]` is `bundle[3]`.
    """

    def __init__(
        self,
        place: str | PathLike[str],
        *,
        item: Item = detection,
        transforms: Callable[..., Any] | None = None,
        cache: str | PathLike[str] | None = None,
        cache_size: int = 10 << 30,
        check: bool = False,
    ) -> None:
        _refuse_item(item)
        self._stream = stream(place, cache=cache, cache_size=cache_size, check=check)
        self._stream.prepare()
        self._item, self._transforms = item, transforms

    @property
    def categories(self) -> list[Category]:
        """The category of label n is `categories[n - 1]`."""
        return self._stream.categories

    def __len__(self) -> int:
        return len(self._stream)

    def __getitem__(self, number: int) -> Any:
        return _transformed(self._item(self._stream[number]), self._transforms)


class BundleStream(IterableDataset[Any]):
    """A bundle as a stream that shares itself out among ranks and DataLoader workers.

    `batch_size` is that of the DataLoader; its workers take turns by so many samples, and so what has arrived
    is always the beginning of the epoch. `rank` and `world_size` are those of `torch.distributed` unless they
    are given. The others are as those of `xlabel.stream`. `transforms` draw by the seed of each sample, which
    follows from seed, epoch and position alone.

    >>> dataset = BundleStream("output", batch_size=8, shuffle=True, seed=1)  # doctest: +SKIP
    >>> loader = DataLoader(dataset, batch_size=8, num_workers=2, collate_fn=collate)  # doctest: +SKIP
    >>> for images, targets in dataset.track(loader):  # doctest: +SKIP
    ...     ...
    """

    def __init__(
        self,
        place: str | PathLike[str],
        *,
        batch_size: int = 1,
        item: Item = detection,
        transforms: Callable[..., Any] | None = None,
        shuffle: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "drop",
        window: int = WINDOW,
        cache: str | PathLike[str] | None = None,
        cache_size: int = 10 << 30,
        check: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"expected a batch size of 1 or more, got {batch_size}")
        _refuse_item(item)
        mine, all_of_them = _ranks()
        self._stream = stream(
            place, shuffle=shuffle, seed=seed, uneven=uneven, window=window, check=check,
            cache=cache, cache_size=cache_size,
            rank=mine if rank is None else rank,
            world_size=all_of_them if world_size is None else world_size,
        )  # fmt: skip
        self._stream.prepare()
        self.batch_size = batch_size
        self._item, self._transforms = item, transforms
        # Shared with the workers, those that live on from epoch to epoch too: where an iteration begins, and
        # where workers have begun the last one (-1: nowhere).
        self._begin = torch.tensor([0, 0, -1, -1]).share_memory_()
        self._resumed: tuple[int, int, int] | None = None
        self._now = (0, 0, 0)
        """Epoch, position where this process began, and how many samples it has given since."""
        self._tracked = False

    @property
    def categories(self) -> list[Category]:
        """The category of label n is `categories[n - 1]`."""
        return self._stream.categories

    def __len__(self) -> int:
        return len(self._stream)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        share = self._stream.share._replace(batch=self.batch_size)
        if worker is not None:
            share = share._replace(worker=worker.id, workers=worker.num_workers)
        if self._resumed is not None:
            self._now, self._resumed = self._resumed, None
            return self._samples(share)
        epoch, position = self._begin[:2].tolist()
        self._now = (epoch, position, 0)
        return self._samples(share, note=share.worker == 0)

    def track(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The batches of a DataLoader over this stream, counted as they arrive; then the next epoch is due.

        So `state_dict` is exact at any number of workers and batches that wait. Left before its end, the next
        iteration goes on there. InputError where the loader is of another dataset or another batch size.
        """
        self._check(loader)
        share = self._stream.share
        epoch, start = self._begin[:2].tolist()
        left = share.of_rank(self._count, start)
        arrived, self._tracked, done = 0, True, False
        self._now = (epoch, start, 0)
        try:
            for batch in loader:
                arrived = min(arrived + self.batch_size, left)
                self._now = (epoch, start + arrived * share.world_size, 0)
                yield batch
            done = True
        finally:
            self._tracked = False
            if done:
                self.set_epoch(epoch + 1)
            else:
                self._set(epoch, start + arrived * share.world_size)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands: a small dict, the same on each rank. InputError where that cannot be known.

        In a worker of torchdata's StatefulDataLoader it is where that worker stands.
        """
        in_worker = get_worker_info() is not None
        if not in_worker and not self._tracked and int(self._begin[2]) >= 0 and bool(self._begin[3] > 0):
            raise InputError(
                f"{self._stream.source.where}: the workers of a DataLoader read ahead, so what arrived is "
                "not known here; iterate over stream.track(loader), or use torchdata's StatefulDataLoader"
            )
        epoch, position, taken = self._now if self._resumed is None else self._resumed
        if not in_worker:
            position, taken = position + taken * self._stream.share.world_size, 0
        return self._stream.state_dict() | {"epoch": epoch, "position": position, "taken": taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iteration where a state was taken, also with other ranks, workers and batches."""
        self._stream.load_state_dict(state)
        if get_worker_info() is not None:
            self._resumed = (int(state["epoch"]), int(state["position"]), int(state["taken"]))
        elif state["taken"]:
            raise InputError(
                "expected the state of a whole stream, got that of one worker; see docs/stream.md"
            )
        else:
            self._set(int(state["epoch"]), int(state["position"]))

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch with the next iteration; in the epoch where it stands, it goes on."""
        if epoch != int(self._begin[0]):
            self._set(epoch, 0)

    @property
    def _count(self) -> int:
        return len(self._stream.source.offsets)

    def _samples(self, share: Share, *, note: bool = False) -> Iterator[Any]:
        epoch, start, taken = self._now
        if note:
            self._note_begin(epoch, start)
        for sample in self._stream.samples(share, epoch, start, taken):
            taken += 1
            self._now = (epoch, start, taken)
            made = self._item(sample)
            yield _transformed(made, self._transforms, sample)
        if get_worker_info() is None:
            self._now = (epoch + 1, 0, 0)

    def _set(self, epoch: int, position: int) -> None:
        self._begin[:] = torch.tensor([epoch, position, -1, -1])
        self._now = (epoch, position, 0)

    def _note_begin(self, epoch: int, position: int) -> None:
        if self._begin[2] == epoch and not self._tracked and position == 0:
            warnings.warn(
                f"epoch {epoch} is read again, in the same order; call set_epoch before each epoch, or "
                "iterate over stream.track(loader)",
                stacklevel=3,
            )
        self._begin[2], self._begin[3] = epoch, int(get_worker_info() is not None)

    def _check(self, loader: Any) -> None:
        if getattr(loader, "dataset", self) is not self:
            raise InputError("expected a DataLoader over this stream, got one over another dataset")
        size = getattr(loader, "batch_size", self.batch_size) or 1
        if size != self.batch_size:
            raise InputError(
                f"expected a DataLoader with the stream's batch_size {self.batch_size}, got {size}; give "
                "both the same (1 where the DataLoader has None)"
            )


def _refuse_item(item: object) -> None:
    """InputError where an item is no function, before a worker is the one that finds it."""
    if not callable(item):
        raise InputError(
            "expected for item one of the functions detection, boxes, plain and picture of "
            f"xlabel.adapters.torch, or one of your own, got {item!r}"
        )


def _transformed(made: Any, transforms: Callable[..., Any] | None, sample: Streamed | None = None) -> Any:
    """What transforms make of an item, of its parts where it is a tuple; random as the sample says."""
    if transforms is None:
        return made
    parts = made if isinstance(made, tuple) else (made,)
    if "torchvision" in sys.modules and len(parts) == 2 and isinstance(parts[0], torch.Tensor):
        parts = as_tv(*parts)
    if sample is None:
        return transforms(*parts)
    with torch.random.fork_rng(devices=()):
        state = random.getstate()
        torch.random.default_generator.manual_seed(sample.seed)
        random.seed(sample.seed)
        try:
            return transforms(*parts)
        finally:
            random.setstate(state)


def _ranks() -> tuple[int, int]:
    """Rank and world size of torch.distributed, where it has begun."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
