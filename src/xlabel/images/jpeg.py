"""JPEG and MPO: size from the frame header, orientation from Exif. ITU-T T.81, B.1, B.2; CIPA DC-008, 4.7."""

import re
from collections.abc import Iterator
from struct import Struct

from xlabel.images import Header, ShortError, exif, unpack

MIME = "image/jpeg"

SOI, EOI, SOS, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15; the three between are DHT, JPG and DAC."""
BARE = frozenset(range(0xD0, 0xD8)) | {0x01, SOI}
"""RST0 to RST7, TEM, SOI: no length follows."""


def header(data: memoryview) -> Header:
    """The first frame's size and the first Exif segment's orientation.

    A height of 0, which a DNL marker behind the scan would set, is refused.
    """
    packet = None
    for marker, at, end in segments(data):
        if marker in FRAMES:
            height, width = unpack(_SIZE, data, at + 5)
            return Header(MIME, width, height, exif.orientation(packet) if packet is not None else 1)
        if marker in (SOS, EOI):
            raise ValueError(f"no frame header before the marker FF{marker:02X} at byte {at}")
        if marker == APP1 and packet is None and data[at + 4 : at + 10] == exif.PREFIX:
            packet = data[at + 4 : end]
    raise AssertionError("the walk ends at SOS or EOI")


def cut(data: memoryview) -> str | None:
    """Complete with an end-of-image marker behind the first scan; what follows it (MPO, video) is let be.

    The thumbnail in the Exif segment has such a marker too, so the segments are walked to the scan first.
    """
    for marker, at, end in segments(data):
        if marker == EOI:
            return f"no image data before the end-of-image marker at byte {at}"
        if marker == SOS:
            if len(data) < end:
                raise ShortError(end)
            if data[-2:] != END and bytes(data[end:]).rfind(END) < 0:
                return f"no end-of-image marker behind the scan at byte {end}"
    return None


_SEGMENT = Struct(">BBH")
_SIZE = Struct(">HH")
_MARKER = re.compile(rb"\xff[^\x00\xff]")


def segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Marker, place and end of each segment up to the first SOS or EOI; fill bytes and junk are passed over.

    Raises ShortError where they go on behind `data`.
    """
    at, size, marker = 2, len(data), SOI
    while marker not in (SOS, EOI):
        if at + 4 > size:
            if data[at : at + 2] != END:  # which may be the last two bytes there are
                raise ShortError(at + 4)
            marker, end = EOI, at + 2
        else:
            prefix, marker, length = _SEGMENT.unpack_from(data, at)
            if prefix != 0xFF or marker == 0xFF or marker == 0:
                found = _MARKER.search(data, at)
                if found is None:
                    raise ShortError(size + 4)
                at, marker = found.start(), SOI
                continue
            if marker in BARE or marker == EOI:
                end = at + 2
            elif length < 2:
                raise ValueError(f"a segment FF{marker:02X} of length {length} at byte {at}")
            else:
                end = at + 2 + length
        yield marker, at, end
        at = end
