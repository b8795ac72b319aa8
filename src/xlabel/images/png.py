"""PNG: size from IHDR, orientation from eXIf. PNG Specification, Third Edition, 5.3, 11.2.1 and 11.3.3.8."""

from struct import Struct

from xlabel.images import Header, ShortError, exif, unpack

MIME = "image/png"


def header(data: memoryview) -> Header:
    """Size, and the orientation of an eXIf chunk before the image data.

    One behind the image data is legal but not looked for: else every PNG would have to be read to its end.
    """
    size, kind, width, height = unpack(_IHDR, data, 8)
    if kind != b"IHDR" or size != 13:
        raise ValueError(f"expected an IHDR chunk of 13 bytes first, found {kind!r} of {size} bytes")
    at = 8 + 12 + size
    while True:
        size, kind = unpack(_CHUNK, data, at)
        if kind == b"IDAT" or kind == b"IEND":
            return Header(MIME, width, height)
        if kind == b"eXIf":
            end = at + 8 + size
            if end > len(data):
                raise ShortError(end)
            return Header(MIME, width, height, exif.orientation(data[at + 8 : end]))
        at += 12 + size


def cut(data: memoryview) -> str | None:
    """Complete with an IEND chunk; bytes behind it are let be."""
    at, kind = 8, b""
    while kind != b"IEND":
        size, kind = unpack(_CHUNK, data, at)
        at += 12 + size
        if at > len(data):
            return f"chunk {kind!r} ends at byte {at}, the file at byte {len(data)}"
    return None


_CHUNK = Struct(">I4s")
_IHDR = Struct(">I4sII")
