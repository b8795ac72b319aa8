"""The frames of an .mp4 by its own index: offsets and sizes out of the sample tables, ordered by time.

Nothing here trusts a length: a box must lie inside its parent, a table inside its box. Whether a sample lies
inside the file is seen when it is read. With one track the tables are used where they lie, so that ten
million frames open at once.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import Any

import numpy as np

from xlabel.bundles import Index, ReadAt, Trailer, read_trailer
from xlabel.bundles.mp4 import HIDDEN, IMAGES, MORE_NAMES_UUID, NAMES_UUID
from xlabel.bundles.tar import split_names
from xlabel.errors import CorruptError

HEAD = Struct(">I4s")
LONG = Struct(">Q")
STEP = 1 << 20
"""Samples handled at a time where several tracks have to be merged."""

Array = Any


def read_index(read: ReadAt, size: int, trailer: Trailer) -> Index:
    """The index that a trailer points to; that of an older generation is hidden by now."""
    try:
        kind, start, end = next(boxes(read, trailer.index, size))
        if kind not in (b"moov", HIDDEN):
            raise CorruptError(f"expected the index (moov) at byte {trailer.index}, found {kind!r}")
        found = [tables(read, *place) for place in tracks(read, start, end, IMAGES)]
        offsets, sizes, numbers = _merged(found, trailer)
        _names_box(read, size, trailer)
    except (StructError, StopIteration):
        raise CorruptError("the index breaks off; the file is damaged") from None
    except OverflowError:
        raise CorruptError("the index has times beyond all numbers; the file is damaged") from None

    def names() -> list[bytes]:
        every = _names(read, size, trailer)
        return every if numbers is None else [every[number] for number in numbers]

    return Index(
        kind="mp4",
        pack_id=trailer.pack_id,
        offsets=offsets,
        sizes=sizes,
        names=names,
        numbers=numbers,
    )


def generations(read: ReadAt, size: int, where: str) -> Iterator[tuple[int, Trailer]]:
    """Bytes of the media file up to the end of each generation, and its last line; the newest comes first."""
    while size:
        trailer = read_trailer(read, size, where)
        yield size, trailer
        try:
            before = _names_box(read, size, trailer)[2]
        except (StructError, StopIteration):
            raise CorruptError(f"{where}: the keys break off; the file is damaged") from None
        if not 0 <= before < size:
            raise CorruptError(f"{where}: its keys point outside the file; it is damaged")
        size = before


def settled(read: ReadAt, size: int, where: str) -> int:
    """Bytes of the file up to the end of the generation whose index is not hidden yet."""
    try:
        ends = list(generations(read, size, where))
    except CorruptError as error:
        try:  # an update was cut off: the first index and the box behind it are of the last whole generation
            whole = boxes(read, 0, size)
            next(end for kind, _, end in whole if kind == b"moov")
            _, _, end = next(whole)
            read_trailer(read, end, where)
        except (CorruptError, StructError, StopIteration):
            raise error from None
        return end
    return next((end for end, line in reversed(ends) if bytes(read(line.index + 4, 4)) == b"moov"), size)


def _names_box(read: ReadAt, size: int, trailer: Trailer) -> tuple[int, int, int]:
    """Where the keys of a generation begin and end, and where the generation itself begins: 0 the first."""
    kind, start, end = next(boxes(read, trailer.names, size))
    if kind == b"uuid" and bytes(read(start, 16)) == NAMES_UUID:
        return start + 16, end, 0
    if kind == HIDDEN and bytes(read(start, 16)) == MORE_NAMES_UUID:
        return start + 24, end, LONG.unpack(read(start + 16, 8))[0]
    raise CorruptError(f"expected the keys at byte {trailer.names}, found {kind!r}")


def _names(read: ReadAt, size: int, trailer: Trailer) -> list[bytes]:
    """The keys of all frames that ever were, by their numbers."""
    parts: list[list[bytes]] = []
    every = list(generations(read, size, "the media file"))
    for (end, line), (_, before) in zip(every, [*every[1:], (0, None)], strict=True):
        start, stop, _ = _names_box(read, end, line)
        parts.append(split_names(read(start, stop - start), line.count - (before.count if before else 0)))
    return [name for part in reversed(parts) for name in part]


def tracks(read: ReadAt, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of the contents of those tracks of a moov whose handler has a name.

    Whatever else the index holds are no frames: a preview, or what another tool added.
    """
    for kind, *place in boxes(read, start, end):
        handler = _child(read, (place[0], place[1]), b"mdia", b"hdlr") if kind == b"trak" else None
        if handler and bytes(read(handler[0] + 24, handler[1] - handler[0] - 24)) == name:
            yield place[0], place[1]


def boxes(read: ReadAt, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, content's start and end of each box between two offsets."""
    while start < end:
        length, kind = HEAD.unpack(read(start, 8))
        content = start + 8
        if length == 1:
            (length,) = LONG.unpack(read(content, 8))
            content += 8
        elif length == 0:
            length = end - start
        if length < content - start or start + length > end:
            raise CorruptError(
                f"the box {kind!r} at byte {start} claims {length} bytes, {end - start} are left"
            )
        yield kind, content, start + length
        start += length


def _child(read: ReadAt, place: tuple[int, int], *path: bytes) -> tuple[int, int] | None:
    for kind in path:
        found = next(((s, e) for name, s, e in boxes(read, *place) if name == kind), None)
        if found is None:
            return None
        place = found
    return place


class Track:
    """One track's tables as views on the file, and the frame number of its first sample."""

    def __init__(self, count: int, unit: int, first: int, runs: Array, sizes: Array, offsets: Array) -> None:
        self.count = count
        self.unit = unit
        self.first = first
        self.runs = runs
        self.sizes = sizes
        self.offsets = offsets

    @property
    def steady(self) -> bool:
        """Whether the frame numbers are 0, 1, 2, ..."""
        return self.first == 0 and len(self.runs) == 1

    def pieces(self) -> Iterator[tuple[int, Array]]:
        """(first sample, frame numbers) of the samples, `STEP` at a time."""
        run_ends = np.cumsum(self.runs[:, 0].astype("u8"))
        time = self.first
        for start in range(0, self.count, STEP):
            stop = min(start + STEP, self.count)
            low, high = np.searchsorted(run_ends, [start, stop - 1], side="right")
            counts = self.runs[low : high + 1, 0].astype("i8")
            counts[0] = int(run_ends[low]) - start
            counts[-1] -= int(run_ends[high]) - stop
            steps = np.repeat(self.runs[low : high + 1, 1].astype("i8") // self.unit, counts)
            frames = np.empty(stop - start, "i8")
            frames[0] = time
            np.cumsum(steps[:-1], out=frames[1:])
            frames[1:] += time
            time = int(frames[-1] + steps[-1])
            yield start, frames


def tables(read: ReadAt, start: int, end: int) -> Track:
    """The sample tables of the track whose content lies there."""
    place = _child(read, (start, end), b"mdia", b"minf", b"stbl")
    if place is None:
        raise CorruptError("a track has no sample tables")
    runs = _table(read, place, b"stts", ">u4", 2)
    chunks = _table(read, place, b"stsc", ">u4", 3)
    offsets = _table(read, place, b"co64", ">u8", 1)
    found = _child(read, place, b"stsz")
    if offsets is None or runs is None or chunks is None or found is None or not len(runs):
        raise CorruptError("a track lacks one of stts, stsc, stsz, co64")
    if [list(map(int, row)) for row in chunks[:2]] != [[1, 1, 1]]:
        raise CorruptError("expected chunks of one sample each; the file was written by another tool")
    same, count = Struct(">4xII").unpack(read(found[0], 12))
    if same:
        sizes = np.broadcast_to(np.uint64(same), (count,))
    else:
        if found[0] + 12 + 4 * count > found[1]:
            raise CorruptError(f"the table of sizes claims {count} entries, which its box cannot hold")
        sizes = np.frombuffer(read(found[0] + 12, 4 * count), ">u4", count)
    offsets = offsets[:, 0]
    if len(offsets) != count or int(runs[:, 0].sum(dtype="u8")) != count or not count:
        raise CorruptError("the sample tables of a track disagree about how many samples it has")
    unit = int(runs[-1, 1])  # the last sample lasts one frame
    if not unit:
        raise CorruptError("a sample lasts no time; the file was written by another tool")
    return Track(count, unit, _first(read, start, end) // unit, runs, sizes, offsets)


def _first(read: ReadAt, start: int, end: int) -> int:
    """The time of a track's first sample: the length of an empty edit before it."""
    place = _child(read, (start, end), b"edts", b"elst")
    if place is None:
        return 0
    entries = Struct(">4xI").unpack(read(place[0], 8))[0]
    if not entries:
        return 0
    duration, media = Struct(">Qq").unpack(read(place[0] + 8, 16))
    return int(duration) if media == -1 else 0


def _table(read: ReadAt, place: tuple[int, int], kind: bytes, number: str, columns: int) -> Array | None:
    """A counted table of a full box, as a view; None where there is no such box."""
    found = _child(read, place, kind)
    if found is None:
        return None
    (count,) = Struct(">4xI").unpack(read(found[0], 8))
    size = count * columns * np.dtype(number).itemsize
    if found[0] + 8 + size > found[1]:
        raise CorruptError(f"the table {kind.decode()} claims {count} entries, which its box cannot hold")
    return np.frombuffer(read(found[0] + 8, size), number, count * columns).reshape(count, columns)


def _merged(found: list[Track], trailer: Trailer) -> tuple[Array, Array, Array | None]:
    """Offsets and sizes in frame order, and the frames' numbers where some have been deleted."""
    total, frames = sum(track.count for track in found), trailer.count
    if total != trailer.frames:
        raise CorruptError(f"the last line says {trailer.frames} frames, the tracks hold {total}")
    if len(found) == 1 and found[0].steady and total == frames:
        return found[0].offsets, found[0].sizes, None
    offsets, sizes = np.zeros(frames, "u8"), np.zeros(frames, "u4")
    for track in found:
        for start, numbers in track.pieces():
            if int(numbers.min()) < 0 or int(numbers.max()) >= frames:
                raise CorruptError("a track puts a sample outside the frames; the file is damaged")
            stop = start + len(numbers)
            offsets[numbers] = track.offsets[start:stop]
            sizes[numbers] = track.sizes[start:stop]
    numbers = np.flatnonzero(offsets)
    if len(numbers) != total:
        raise CorruptError("two samples have the same frame number; the file is damaged")
    if total == frames:
        return offsets, sizes, None
    return offsets[numbers], sizes[numbers], numbers
