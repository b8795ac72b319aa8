"""GIF: size from the logical screen. GIF89a Specification, sections 17 to 27."""

from struct import Struct

from xlabel.images import Header, unpack

MIME = "image/gif"

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B


def header(data: memoryview) -> Header:
    """The logical screen's size. A GIF has no orientation."""
    width, height = unpack(_SCREEN, data, 6)
    return Header(MIME, width, height)


def cut(data: memoryview) -> str | None:
    """Complete with a trailer behind the last block; bytes behind it are let be."""
    at = 13 + _table(data[10])
    while at < len(data):
        kind = data[at]
        if kind == TRAILER:
            return None
        if kind == EXTENSION:
            at = _past_blocks(data, at + 2)
        elif kind == IMAGE:
            at = _past_blocks(data, at + 11 + _table(unpack(_FLAGS, data, at + 9)[0]))
        else:
            return f"expected a block at byte {at}, found {kind:02X}"
    return "no trailer behind the last block"


_SCREEN = Struct("<HH")
_FLAGS = Struct("B")


def _table(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_blocks(data: memoryview, at: int) -> int:
    """Where the sub-blocks from `at` end, or a place behind the file."""
    while at < len(data):
        size = data[at]
        at += 1 + size
        if not size:
            break
    else:
        return len(data)
    return at
