"""WebP: size of the frame or the canvas, orientation from the EXIF chunk. RFC 9649; VP8: RFC 6386, 9.1."""

from struct import Struct

from xlabel.images import Header, ShortError, exif, unpack

MIME = "image/webp"

EXIF_FLAG = 0x08


def header(data: memoryview) -> Header:
    """Size and orientation.

    Raises ShortError for a file whose flags announce EXIF until the chunk is there: it stands behind the
    image data. An EXIF chunk that the flags do not announce is not looked for, as decoders do not either.
    """
    length, kind, size = unpack(_RIFF, data, 0)
    if kind == b"VP8 ":
        start, width, height = unpack(_VP8, data, 20)
        if start != b"\x9d\x01\x2a":
            raise ValueError(f"expected a VP8 key frame's start code at byte 23, found {start.hex()}")
        return Header(MIME, width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        mark, bits = unpack(_VP8L, data, 20)
        if mark != 0x2F:
            raise ValueError(f"expected VP8L's signature 2F at byte 20, found {mark:02X}")
        return Header(MIME, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        flags, width, height = unpack(_VP8X, data, 20)
        width, height = int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
        turned = _orientation(data, 20 + size + size % 2, 8 + length) if flags & EXIF_FLAG else 1
        return Header(MIME, width, height, turned)
    raise ValueError(f"expected a chunk VP8, VP8L or VP8X at byte 12, found {kind!r}")


def cut(data: memoryview) -> str | None:
    """Complete with as many bytes as the RIFF header states."""
    end = 8 + unpack(_RIFF, data, 0)[0]
    return f"RIFF states {end} bytes, the file has {len(data)}" if end > len(data) else None


_RIFF = Struct("<4xI4x4sI")
_CHUNK = Struct("<4sI")
_VP8 = Struct("<3x3sHH")
_VP8L = Struct("<BI")
_VP8X = Struct("<B3x3s3s")


def _orientation(data: memoryview, at: int, end: int) -> int:
    while at + 8 <= end:
        if at + 8 > len(data):
            raise ShortError(end)
        kind, size = _CHUNK.unpack_from(data, at)
        if kind == b"EXIF":
            if at + 8 + size > len(data) < end:
                raise ShortError(end)
            return exif.orientation(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return 1
