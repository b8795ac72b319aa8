"""BMP: size from the info header. Microsoft's [MS-WMF] 2.2.2 and "Bitmap Storage"; OS/2's core header."""

from struct import Struct

from xlabel.images import Header, unpack

MIME = "image/bmp"

CORE = 12
"""Bytes of the oldest info header; its sizes are 16 bits wide."""
PLAIN = frozenset({0, 3, 6})
"""BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS: rows of a known length. The others state theirs."""


def header(data: memoryview) -> Header:
    """Size; a negative height only says that the rows run downwards. A BMP has no orientation."""
    _, width, height, _, _, _ = _info(data)
    return Header(MIME, width, abs(height))


def cut(data: memoryview) -> str | None:
    """Complete where the pixels lie within the file; the file size in the header is often wrong."""
    start, width, height, bits, compression, size = _info(data)
    if compression in PLAIN:
        size = (width * bits + 31) // 32 * 4 * abs(height)
    end = start + size
    return f"the pixels end at byte {end}, the file at byte {len(data)}" if end > len(data) else None


_START = Struct("<II")
_CORE = Struct("<HHxxH")
_INFO = Struct("<iixxHII")


def _info(data: memoryview) -> tuple[int, int, int, int, int, int]:
    """Where the pixels begin, width, height, bits of a pixel, compression, bytes of the compressed pixels."""
    start, size = unpack(_START, data, 10)
    if size == CORE:
        width, height, bits = unpack(_CORE, data, 18)
        return start, width, height, bits, 0, 0
    width, height, bits, compression, length = unpack(_INFO, data, 18)
    return start, width, height, bits, compression, length
