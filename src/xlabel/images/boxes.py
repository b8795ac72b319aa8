"""Boxes, the shared grammar of HEIF, JPEG 2000 and JPEG XL. ISO/IEC 14496-12, 4.2; ISO/IEC 15444-1, I.4."""

from collections.abc import Iterator
from struct import Struct

from xlabel.images import ShortError, unpack


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


def inside(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each box in a box's content."""
    at, size = 0, 1
    while size and at < len(content):
        try:
            kind, start, size = _box(content, at)
        except ShortError:
            raise ValueError(f"{len(content) - at} bytes left for a box in a box") from None
        end = at + size if size else len(content)
        if end > len(content):
            raise ValueError(f"box {kind!r} is {end - len(content)} bytes longer than the box around it")
        yield kind, content[start:end]
        at = end


def cut(data: memoryview, *needed: bytes) -> str | None:
    """Why the whole file is cut off, or None where its boxes lie within it and one is of a `needed` type."""
    kinds = set()
    for kind, _, end in top(data, whole=True):
        kinds.add(kind)
        if end > len(data):
            return f"box {kind!r} ends at byte {end}, the file at byte {len(data)}"
    return None if kinds.intersection(needed) else f"no box of type {b' or '.join(needed).decode()}"


_HEAD = Struct(">I4s")
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
