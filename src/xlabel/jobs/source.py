"""Where training reads from: a bundle's images by their places in the media, its labels by their lines.

A source is opened once and serves many readers. Forked processes share it; it keeps nothing that they could
spoil for each other.
"""

import mmap
import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xlabel.errors import CorruptError, InputError
from xlabel.formats.unified_lines import Lines, lines
from xlabel.formats.unified_reading import Described
from xlabel.jobs.opening import at_url, open_bundle
from xlabel.jobs.ranges import Turns
from xlabel.model import Category
from xlabel.stores.cache import Cache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EARLY = 8
"""Blocks that the file system is told of before they are due."""


class Reader(Protocol):
    """The image files of a sequence of samples, by their turns, which rise."""

    def take(self, turn: int) -> bytes:
        """The image file whose turn it is; of what stands before it, nothing is kept."""

    def close(self) -> None:
        """End whatever reads ahead."""


class Source(Protocol):
    """A bundle's samples by their numbers, from 0, in frame order."""

    @property
    def where(self) -> str:
        """The folder or URL, for messages."""

    @property
    def pack_id(self) -> str | None:
        """What names the pack in all of its files."""

    @property
    def check(self) -> bool:
        """Whether its images are to be compared with their hashes, since something was replaced."""

    @property
    def offsets(self) -> "NDArray[np.uint64]":
        """Where each image begins in the media."""

    @property
    def sizes(self) -> "NDArray[np.uint64]":
        """Bytes of each image."""

    @property
    def categories(self) -> list[Category]:
        """The categories, in the file's order. InputError where there is no annotation file."""

    def described(self, number: int) -> Described:
        """The image and its labels. InputError where there is no annotation file."""

    def read(self, number: int) -> bytes:
        """One image file."""

    def reader(self, sequence: "NDArray[np.int64]", block: "NDArray[np.int64]") -> Reader:
        """Those of a sequence of numbers; `block` says of each number what it is best read together with."""

    def close(self) -> None:
        """Let go of files and connections."""


def open_source(place: str | os.PathLike[str], cache: Cache | None = None) -> Source:
    """The bundle in a folder, of a media file, or at a URL; errors as those of `open_bundle`, and StoreError.

    `cache` keeps what is read from a URL.
    """
    if "://" not in os.fspath(place):
        return Local(Path(place))
    from xlabel.jobs.source_url import Distant

    with at_url(os.fspath(place)):
        return Distant(os.fspath(place), cache)


class Local:
    """A bundle on disk. Its files stay what they were, whoever replaces them."""

    check = False

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._mapped: tuple[mmap.mmap, memoryview] | None = None
        self._closed = False
        self.bundle = open_bundle(path)
        self.pack_id = self.bundle.pack_id
        self.offsets: NDArray[np.uint64] = self.bundle.offsets
        self.sizes: NDArray[np.uint64] = self.bundle.sizes

    def __reduce__(self) -> tuple[Any, ...]:
        return again, (self.where, self.pack_id)

    @property
    def categories(self) -> list[Category]:
        return self.lines.top.categories

    @cached_property
    def lines(self) -> Lines:
        """The annotation file. CorruptError where it was put in the place of that of the pack."""
        if self._closed:
            raise InputError(f"{self.where}: labels cannot be read: it is closed")
        file = self.bundle.annotation_file
        if file is None:
            raise InputError(f"{self.where}: no annotation file of its pack, so no labels to read")
        mapped = mmap.mmap(file.fileno(), file.size, prot=mmap.PROT_READ)
        self._mapped = mapped, memoryview(mapped)
        found = lines(self._mapped[1], str(file.path))
        if found.top.section.get("pack_id") != self.pack_id or len(found) != len(self.offsets):
            raise CorruptError(
                f"{file.path}: expected {len(self.offsets)} images of pack {self.pack_id}, found "
                f"{len(found)} of {found.top.section.get('pack_id')}; it was edited, open the bundle again"
            )
        return found

    def described(self, number: int) -> Described:
        return self.lines.sample(number)

    def read(self, number: int) -> bytes:
        return self.bundle.image_bytes(number)

    def reader(self, sequence: "NDArray[np.int64]", block: "NDArray[np.int64]") -> Reader:
        return _OnDisk(self, sequence, Turns(sequence, block))

    def close(self) -> None:
        self._closed = True
        found: Lines | None = self.__dict__.pop("lines", None)
        with suppress(BufferError):  # an error that is under way, or another thread, still has some of it
            if found is not None:
                found.close()
            if self._mapped is not None:
                mapped, view = self._mapped
                view.release()
                mapped.close()
        self._mapped = None
        self.bundle.close()


def again(place: str, pack_id: str | None, cache: Cache | None = None) -> Source:
    """The same bundle in another process. CorruptError where it was replaced since."""
    source = open_source(place, cache)
    if source.pack_id != pack_id:
        raise CorruptError(
            f"{place}: expected pack {pack_id}, found {source.pack_id}; it was replaced while it was read, "
            "open the bundle again"
        )
    return source


class _OnDisk:
    """Images of a file, each read at its turn. The system reads their blocks ahead into its own memory."""

    def __init__(self, source: Local, sequence: "NDArray[np.int64]", turns: Turns) -> None:
        self._source, self._sequence, self._turns = source, sequence, turns
        self._told = 0
        self._due = 0
        """The turn at which the system is told of more."""

    def take(self, turn: int) -> bytes:
        if turn >= self._due:
            self._tell(turn)
        return self._source.read(int(self._sequence[turn]))

    def close(self) -> None:
        pass

    def _tell(self, turn: int) -> None:
        turns, source = self._turns, self._source
        while self._told < len(turns):
            if self._told >= EARLY and (due := turns.due(turns.next(self._told - EARLY))) > turn:
                self._due = due
                return
            numbers = self._sequence[turns.of(turns.next(self._told))]
            first = int(source.offsets[numbers].min())
            end = int((source.offsets[numbers] + source.sizes[numbers]).max())
            source.bundle.expect(first, end - first)
            self._told += 1
        self._due = len(self._sequence)
