"""JPEG 2000: size, and labels in EXIF and XMP. ISO/IEC 15444-1, A.5.1, I.5.3 and I.7.2.

The XMP box is XMP Specification Part 3's, 1.2.6; the EXIF box that of the JPEG 2000 SIG, which exiftool and
exiv2 read. A bare codestream has no boxes.
"""

from collections.abc import Iterator
from struct import Struct

from xlabel.images import Carriers, Header, Parts, ShortError, box_metadata, boxes, unpack
from xlabel.images.box_metadata import XMP, Home
from xlabel.images.splice import Edit, joined

MIME = "image/jp2"
DOCUMENT_IN: tuple[str, ...] = ("exif", "xmp")
EXTENDED = False
HOMES = (Home(b"uuid", b"JpgTiffExif->JP2"), XMP)

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


def find(data: memoryview) -> Carriers:
    """The EXIF and XMP boxes, which may stand behind the codestream; nothing in a bare codestream."""
    return Carriers() if data[:2] == SOC else box_metadata.find(data, boxes.listed(data), HOMES)


def block(data: memoryview) -> memoryview | None:
    """That of the first EXIF box."""
    return None if data[:2] == SOC else box_metadata.block(data, boxes.listed(data), HOMES)


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New boxes stand at the end. ValueError for a bare codestream."""
    if data[:2] == SOC:
        raise ValueError("a bare JPEG 2000 codestream holds no labels; put it into a .jp2 file first")
    found = boxes.listed(data)
    changes, new = box_metadata.edits(data, found, parts, HOMES, box_metadata.size(data))
    return joined([*boxes.closed(data, found, changes), Edit(len(data), len(data), new)])


def removal(data: memoryview) -> list[Edit]:
    return [] if data[:2] == SOC else joined(box_metadata.removal(data, boxes.listed(data), HOMES))


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """The codestreams, and of the header box size, palette and what the channels are.

    Colour space, resolution and capture data, which tools write as metadata, do not count.
    """
    if data[:2] == SOC:
        yield 0, len(data)
        return
    for box in boxes.listed(data):
        if box.kind == b"jp2h":
            for inner in boxes.within(data, box.start, box.end):
                if inner.kind in _PICTURE:
                    yield inner.start, inner.end
        elif box.kind == b"jp2c":
            yield box.start, box.end


_PICTURE = frozenset({b"ihdr", b"bpcc", b"pclr", b"cmap", b"cdef"})
_SIZ = Struct(">IIII")
_IHDR = Struct(">II")


def _image_header(content: memoryview) -> Header:
    for kind, inner in boxes.inside(content):
        if kind == b"ihdr":
            height, width = _IHDR.unpack_from(inner)
            return Header(MIME, width, height)
    raise ValueError("no image header box in the header box")
