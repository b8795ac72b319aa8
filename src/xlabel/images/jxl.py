"""JPEG XL: size, orientation, and labels in EXIF and XMP. ISO/IEC 18181-1, D.2 and D.3; ISO/IEC 18181-2.

The orientation is the codestream's, to which the standard gives precedence over an Exif box, and which
decoders show. Metadata that was compressed with Brotli is neither read nor changed.
"""

from collections.abc import Iterator

from xlabel.images import Carriers, Header, NoRoomError, Parts, ShortError, box_metadata, boxes
from xlabel.images.box_metadata import EXIF, Home
from xlabel.images.boxes import Box
from xlabel.images.splice import Edit, joined

MIME = "image/jxl"
DOCUMENT_IN: tuple[str, ...] = ("exif", "xmp")
EXTENDED = False
HOMES = (EXIF, Home(b"xml ", b""))

SIGNATURE = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n" + boxes.made(b"ftyp", b"jxl \0\0\0\0jxl ")
"""What a file with boxes begins with."""
LONGEST = 12
"""Bytes of a codestream that hold the size and the orientation, at the most (89 bits)."""
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
"""Width to height."""


def header(data: memoryview) -> Header:
    """Size as coded, before the orientation, and the orientation."""
    if data[:2] == SIGNATURE:
        return _codestream(data[:LONGEST], len(data))
    stream = b""
    for kind, start, end in boxes.top(data):
        if kind == b"jxlc" or kind == b"jxlp":
            if kind == b"jxlp":
                start += 4  # the part's number
            part = data[start : min(end, start + LONGEST - len(stream))]
            stream += part
            if kind == b"jxlc" or len(stream) >= LONGEST or end > len(data):
                return _codestream(memoryview(stream), len(data))
    raise ValueError("no codestream in the boxes")


def cut(data: memoryview) -> str | None:
    """Complete with every box within the file and a last part of the codestream.

    A bare codestream has no mark at its end: it is taken as complete.
    """
    if data[:2] == SIGNATURE:
        return None
    reason = boxes.cut(data, b"jxlc", b"jxlp")
    if reason:
        return reason
    parts = [data[start] for kind, start, _ in boxes.top(data, whole=True) if kind == b"jxlp"]
    # the highest bit of a part's number marks the last one
    return "no last part of the codestream" if parts and not max(parts) & 0x80 else None


def find(data: memoryview) -> Carriers:
    """The Exif and xml boxes, which may stand behind the codestream; nothing in a bare codestream."""
    return Carriers() if data[:2] == SIGNATURE else box_metadata.find(data, boxes.listed(data), HOMES)


def block(data: memoryview) -> memoryview | None:
    """That of the first Exif box."""
    return None if data[:2] == SIGNATURE else box_metadata.block(data, boxes.listed(data), HOMES)


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New boxes stand at the end; a bare codestream gets boxes around it.

    An Exif or xml box from which a JPEG is to be reconstructed is left alone, as is a compressed one.
    """
    bare = data[:2] == SIGNATURE
    found = [] if bare else boxes.listed(data)
    for carrier, part, home in zip(("exif", "xmp"), parts, HOMES, strict=False):
        if part is not None:
            _untouchable(data, found, carrier, home)
    changes, new = box_metadata.edits(data, found, parts, HOMES, box_metadata.size(data))
    if bare:
        changes = [Edit(0, 0, CONTAINER + boxes.head(b"jxlc", len(data)))]
    else:
        changes = boxes.closed(data, found, changes)
    return joined([*changes, Edit(len(data), len(data), new)])


def removal(data: memoryview) -> list[Edit]:
    """A bare codestream that got boxes keeps them."""
    return [] if data[:2] == SIGNATURE else joined(box_metadata.removal(data, boxes.listed(data), HOMES))


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """The codestream, put together of its parts where it has several; the same with boxes and bare."""
    if data[:2] == SIGNATURE:
        yield 0, len(data)
        return
    for box in boxes.listed(data):
        if box.kind == b"jxlc":
            yield box.start, box.end
        elif box.kind == b"jxlp":
            yield min(box.start + 4, box.end), box.end


def _untouchable(data: memoryview, found: list[Box], carrier: str, home: Home) -> None:
    for box in found:
        if box.kind == b"brob" and data[box.start : box.start + 4] == home.kind:
            raise NoRoomError(carrier, f"the file's {carrier.upper()} is compressed and left alone")
    there = any(box_metadata.places(data, found, home))
    if there and any(box.kind == b"jbrd" for box in found):
        raise NoRoomError(carrier, f"the file's {carrier.upper()} is part of the JPEG in it and left alone")


class _Bits:
    """Numbers of so many bits, lowest first, from the beginning of a codestream."""

    def __init__(self, data: memoryview, given: int) -> None:
        self.value = int.from_bytes(data, "little")
        self.left = 8 * len(data)
        self.given = given

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise ShortError(self.given + (7 - self.left) // 8)
        taken = self.value & (1 << count) - 1
        self.value >>= count
        return taken


def _codestream(data: memoryview, given: int) -> Header:
    bits = _Bits(data, given)
    if bits.take(16) != int.from_bytes(SIGNATURE, "little"):
        raise ValueError(f"expected a codestream to begin with FF0A, found {bytes(data[:2]).hex().upper()}")
    small = bits.take(1)
    height = _side(bits, small)
    ratio = RATIOS.get(bits.take(3))
    width = height * ratio[0] // ratio[1] if ratio else _side(bits, small)
    all_default = bits.take(1)
    extra_fields = not all_default and bits.take(1)
    return Header(MIME, width, height, 1 + bits.take(3) if extra_fields else 1)


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (1 + bits.take(5))
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])
