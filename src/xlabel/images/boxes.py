"""Boxes, the shared grammar of HEIF, JPEG 2000 and JPEG XL. ISO/IEC 14496-12, 4.2; ISO/IEC 15444-1, I.4."""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from xlabel.images import ShortError, unpack
from xlabel.images.splice import Edit, growth

MAX_SIZE = (1 << 32) - 1
"""Bytes of a box whose size has 32 bits."""


class Box(NamedTuple):
    """A box's type, and where it, its content and what follows it begin."""

    kind: bytes
    at: int
    start: int
    end: int


def top(data: memoryview, *, whole: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Type, first byte of the content and end of each box of a file that begins with `data`.

    A box's end may lie behind `data`; for one that goes on to the end of the file it is the end of `data`,
    and no other follows. Raises ShortError where the next box's header lies behind `data`; of a `whole`
    file, there is no next one where `data` ends.
    """
    at, size = 0, 1
    while size and not (whole and at >= len(data)):
        kind, start, size = _box(data, at)
        yield kind, start, at + size if size else len(data)
        at += size


def listed(data: memoryview) -> list[Box]:
    """The boxes of a file. ShortError where the last one goes on behind `data`.

    Where `data` ends with a box it is taken for the whole file: nothing in the file says otherwise.
    """
    found, missing = begun(data)
    if missing:
        raise missing
    return found


def begun(data: memoryview) -> tuple[list[Box], ShortError | None]:
    """The boxes that lie within `data`, and what says that the file goes on."""
    found: list[Box] = []
    try:
        for kind, start, end in top(data, whole=True):
            if end > len(data):
                return found, ShortError(end)
            found.append(Box(kind, found[-1].end if found else 0, start, end))
    except ShortError as error:
        return found, error
    return found, None


def inside(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each box in a box's content."""
    for box in within(content, 0, len(content)):
        yield box.kind, content[box.start : box.end]


def within(data: memoryview, start: int, stop: int) -> Iterator[Box]:
    """The boxes from byte `start` to `stop`, which they fill."""
    at = start
    while at < stop:
        try:
            kind, begin, size = _box(data[:stop], at)
        except ShortError:
            raise ValueError(f"{stop - at} bytes left for a box in a box") from None
        end = at + size if size else stop
        if end > stop:
            raise ValueError(f"box {kind!r} is {end - stop} bytes longer than the box around it")
        yield Box(kind, at, begin, end)
        at = end


def made(kind: bytes, *content: bytes) -> bytes:
    """A box."""
    return b"".join((head(kind, sum(map(len, content))), *content))


def head(kind: bytes, size: int) -> bytes:
    """What stands before a box's content of so many bytes."""
    if size + 8 <= MAX_SIZE:
        return _HEAD.pack(size + 8, kind)
    return _HEAD.pack(1, kind) + _LARGE.pack(size + 16)


def resized(data: memoryview, box: Box, inner: list[Edit]) -> list[Edit]:
    """Edits of a box's content, with its size made right. One that went on to the end gets a size."""
    size = box.end - box.at + growth(inner)
    (stated,) = _SIZE.unpack_from(data, box.at)
    if stated == 1:
        return [Edit(box.at + 8, box.at + 16, _LARGE.pack(size)), *inner]
    if size <= MAX_SIZE:
        return [Edit(box.at, box.at + 4, _SIZE.pack(size)), *inner]
    return [Edit(box.at, box.start, head(box.kind, size - 8)), *inner]


def closed(data: memoryview, found: list[Box], changes: list[Edit]) -> list[Edit]:
    """`changes`, and one that gives the last box a size, so that more can follow, where it has none."""
    last = found[-1]
    if _SIZE.unpack_from(data, last.at)[0] or any(edit.start == last.at for edit in changes):
        return changes
    return [*changes, *resized(data, last, [])]


def cut(data: memoryview, *needed: bytes) -> str | None:
    """Why the whole file is cut off, or None where its boxes lie within it and one is of a `needed` type."""
    kinds = set()
    for kind, _, end in top(data, whole=True):
        kinds.add(kind)
        if end > len(data):
            return f"box {kind!r} ends at byte {end}, the file at byte {len(data)}"
    return None if kinds.intersection(needed) else f"no box of type {b' or '.join(needed).decode()}"


_HEAD = Struct(">I4s")
_SIZE = Struct(">I")
_LARGE = Struct(">Q")


def _box(data: memoryview, at: int) -> tuple[bytes, int, int]:
    """Type, first byte of the content and size of the box at byte `at`; size 0 is "to the end"."""
    size, kind = unpack(_HEAD, data, at)
    start = at + 8
    if size == 1:
        (size,) = unpack(_LARGE, data, start)
        start += 8
    if size and at + size < start:
        raise ValueError(f"box {kind!r} of {size} bytes at byte {at}")
    return kind, start, size
