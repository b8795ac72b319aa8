"""JPEG 2000: size from the image header box or the bare codestream. ISO/IEC 15444-1, A.5.1 and I.5.3."""

from struct import Struct

from xlabel.images import Header, ShortError, boxes, unpack

MIME = "image/jp2"

SOC = b"\xff\x4f"
EOC = b"\xff\xd9"


def header(data: memoryview) -> Header:
    """Size. The orientation is 1: decoders do not look into the box that some tools put EXIF in."""
    if data[:2] == SOC:
        right, bottom, left, top = unpack(_SIZ, data, 8)
        return Header(MIME, right - left, bottom - top)
    for kind, start, end in boxes.top(data):
        if kind == b"jp2h":
            if end > len(data):
                raise ShortError(end)
            return _image_header(data[start:end])
        if kind == b"jp2c":
            break
    raise ValueError("no header box before the codestream")


def cut(data: memoryview) -> str | None:
    """Complete with every box within the file and an end-of-codestream marker where no box states its end."""
    if data[:2] != SOC:
        reason = boxes.cut(data, b"jp2c")
        if reason:
            return reason
    # bit stuffing keeps the marker's bytes out of the packets; what follows it is let be
    if data[-2:] == EOC or bytes(data).rfind(EOC) >= 0:
        return None
    return "no end-of-codestream marker"


_SIZ = Struct(">IIII")
_IHDR = Struct(">II")


def _image_header(content: memoryview) -> Header:
    for kind, inner in boxes.inside(content):
        if kind == b"ihdr":
            height, width = _IHDR.unpack_from(inner)
            return Header(MIME, width, height)
    raise ValueError("no image header box in the header box")
