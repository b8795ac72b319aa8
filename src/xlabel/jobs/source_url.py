"""A bundle at a URL as a source: its annotation file whole, its images by ranges. docs/dataset_spec.md."""

import hashlib
import os
import re
from array import array
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from xlabel.errors import ConflictError, CorruptError, InputError, MissingError
from xlabel.formats.unified_lines import Lines, lines
from xlabel.formats.unified_reading import Described
from xlabel.images import Buffer
from xlabel.jobs.ranges import Ahead, Range, Turns
from xlabel.jobs.remote import json_files, media_ranges, read_head, read_whole
from xlabel.model import Category
from xlabel.model.head import DAMAGED, Segment
from xlabel.model.manifest import ANNOTATIONS
from xlabel.stores.cache import Cache
from xlabel.stores.transport import Stat, Transport, open_store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AHEAD = 32 << 20
"""Bytes that are on their way at a time, and at most this many requests."""
REQUESTS = 16
PIECE = 1 << 20
"""Bytes of the pieces in which the media is kept in a cache."""

_PLACE = re.compile(rb'"frame_index":\d+,"offset":(\d+),"size":(\d+),"sha256":"[0-9a-f]{64}"')

_Bytes = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Place(msgspec.Struct):
    """An image's place, out of a record that another tool has written anew."""

    offset: _Bytes
    size: _Bytes


class Distant:
    """A bundle at a URL. Connections are made by each process for itself."""

    def __init__(self, url: str, cache: Cache | None = None) -> None:
        self.where = url.rstrip("/")
        self.cache = cache
        self.check = False
        """Whether the media was replaced since: from then on each image is compared with its hash."""
        self._stores: dict[int, Transport] = {}
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        data, segments = self._current()
        self.lines: Lines = lines(data, f"{self.where}/{ANNOTATIONS}")
        section = self.lines.top.section
        self.pack_id: str | None = section.get("pack_id")
        self._video = section.get("video") is not None
        self.offsets, self.sizes = self._places()
        bundle = str(section.get("bundle"))
        self.segments = segments or (Segment(bundle, 0, self._there(bundle).size),)
        self._tags: dict[str, str | None] = {part.name: self._there(part.name).tag for part in self.segments}

    def __reduce__(self) -> tuple[Any, ...]:
        from xlabel.jobs.source import again

        return again, (self.where, self.pack_id, self.cache)

    @property
    def categories(self) -> list[Category]:
        return self.lines.top.categories

    def described(self, number: int) -> Described:
        return self.lines.sample(number)

    def read(self, number: int) -> bytes:
        return self.fetch([(int(self.offsets[number]), int(self.sizes[number]))])[0]

    def reader(self, sequence: "NDArray[np.int64]", block: "NDArray[np.int64]") -> Ahead:
        def place(turn: int) -> Range:
            number = sequence[turn]
            return int(self.offsets[number]), int(self.sizes[number])

        # Connections are made before the threads ask for them, or each of them would.
        _ = self._store
        turns = Turns(sequence, block)
        size = int(self.sizes.sum()) // max(1, int(block.max()) + 1)
        requests = max(4, min(REQUESTS, AHEAD // max(1, size)))
        return Ahead(self.fetch, turns, place, requests)

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """Ranges of the media. CorruptError where it is shorter than the annotation file says.

        InputError where they are no image files.
        """
        if self._video:
            raise InputError(
                f"{self.where}: holds lossy video, no image files; pull it, and unpack what came"
            )
        found = []
        for offset, size in ranges:
            parts = [self._kept(*part) for part in media_ranges(self.segments, offset, size)]
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            if len(data) != size:
                if self.check:
                    raise self._replaced()
                raise CorruptError(
                    f"{self.where}: expected {size:,} bytes at {offset:,} of the media, found {len(data):,}; "
                    f"it is not the one of the annotation file; {DAMAGED}"
                )
            found.append(data)
        return found

    def close(self) -> None:
        store = self._stores.pop(os.getpid(), None)
        if store is not None:
            store.close()

    @property
    def _store(self) -> Transport:
        """This process's own: connections and threads do not outlive a fork."""
        store = self._stores.get(os.getpid())
        if store is None:
            store = self._stores.setdefault(os.getpid(), open_store(self.where))
        return store

    def _there(self, name: str) -> Stat:
        found = self._store.head(name)
        if found is None:
            raise MissingError(f"{self.where}/{name}: expected a part of the bundle, found none; {DAMAGED}")
        return found

    def _current(self) -> tuple[Buffer, tuple[Segment, ...]]:
        """The annotation file with all that was pushed since folded in, and the objects of the media.

        None of these where the files were put there by hand, without a head object.
        """
        if read_head(self._store) is not None:
            head, (annotations, _, _) = json_files(self._store)
            return annotations, head.media.segments
        found = self._store.head(ANNOTATIONS)
        if found is None:
            raise MissingError(
                f"{self.where}: expected a bundle, found no {ANNOTATIONS}; is the URL right? "
                "if so, push one there"
            )
        return read_whole(self._store, ANNOTATIONS, found.size), ()

    def _places(self) -> "tuple[NDArray[np.uint64], NDArray[np.uint64]]":
        """Offset and size of each image, out of the lines: a million without decoding their records."""
        import numpy as np

        count = len(self.lines)
        offsets, sizes = array("Q"), array("Q")
        for number in range(count):
            record = self.lines.image(number)
            match = _PLACE.search(record)
            try:
                found = (int(match[1]), int(match[2])) if match else _decoded(record)
            except msgspec.MsgspecError:
                raise CorruptError(
                    f"{self.lines.where}: expected {count} images and their places, found {number}; {DAMAGED}"
                ) from None
            offset, size = found
            offsets.append(offset)
            sizes.append(size)
        return np.frombuffer(offsets, np.uint64), np.frombuffer(sizes, np.uint64)

    def _kept(self, segment: Segment, offset: int, size: int) -> bytes:
        """Bytes of an object, by way of the cache: pieces of it of equal size."""
        tag = self._tags[segment.name]
        if self.cache is not None and tag is not None:
            try:
                return self._by_cache(self.cache, segment, tag, offset, size)
            except ConflictError:
                pass  # what is there now is asked for below, and not kept as the one before
        return self._get(segment.name, offset, size)

    def _by_cache(self, cache: Cache, segment: Segment, tag: str, offset: int, size: int) -> bytes:
        # Both names are whatever a file at the URL says: they must not lead out of the cache.
        of = hashlib.sha256(f"{self.pack_id or self.where}\n{segment.name}".encode()).hexdigest()
        parts = []
        for number in range(offset // PIECE, -(-(offset + size) // PIECE)):
            start = number * PIECE
            length = min(PIECE, segment.size - start)
            within = slice(max(0, offset - start), min(length, offset + size - start))
            fetch = partial(self._ask, segment.name, start, length, tag)
            parts.append(cache.get(f"{of}/{number}", length, within, fetch))
        return b"".join(parts)

    def _get(self, name: str, offset: int, size: int) -> bytes:
        try:
            return self._ask(name, offset, size, self._tags[name])
        except ConflictError:
            # Somebody has pushed. What was there before has not moved, unless the bundle was packed anew.
            self._tags[name], self.check = None, True
            return self._ask(name, offset, size, None)

    def _ask(self, name: str, offset: int, size: int, tag: str | None) -> bytes:
        try:
            return self._store.get_ranges(name, [(offset, size)], if_match=tag)[0]
        except MissingError as error:
            raise self._replaced() from error

    def _replaced(self) -> CorruptError:
        return CorruptError(
            f"{self.where}: expected the media of pack {self.pack_id}, found it replaced or taken away while "
            "it was read; open the bundle again"
        )


def _decoded(record: bytes) -> Range:
    place = msgspec.json.decode(record, type=_Place)
    return place.offset, place.size
