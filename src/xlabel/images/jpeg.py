"""JPEG and MPO: size from the frame header, orientation from Exif. ITU-T T.81, B.1, B.2; CIPA DC-008, 4.7."""

import re
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
    at = 2
    while True:
        marker, at, end = _segment(data, at)
        if marker in FRAMES:
            height, width = unpack(_SIZE, data, at + 5)
            return Header(MIME, width, height, exif.orientation(packet) if packet is not None else 1)
        if marker in (SOS, EOI):
            raise ValueError(f"no frame header before the marker FF{marker:02X} at byte {at}")
        if marker == APP1 and packet is None and data[at + 4 : at + 10] == exif.PREFIX:
            packet = data[at + 4 : end]
        at = end


def cut(data: memoryview) -> str | None:
    """Complete with an end-of-image marker behind the first scan; what follows it (MPO, video) is let be.

    The thumbnail in the Exif segment has such a marker too, so the segments are walked to the scan first.
    """
    marker, at = 0, 2
    while marker != SOS:
        marker, start, at = _segment(data, at)
        if marker == EOI:
            return f"no image data before the end-of-image marker at byte {start}"
    if len(data) < at:
        raise ShortError(at)
    if data[-2:] == END or bytes(data[at:]).rfind(END) >= 0:
        return None
    return f"no end-of-image marker behind the scan at byte {at}"


_SEGMENT = Struct(">BBH")
_SIZE = Struct(">HH")
_MARKER = re.compile(rb"\xff[^\x00\xff]")


def _segment(data: memoryview, at: int) -> tuple[int, int, int]:
    """Marker, place and end of the first segment at or behind `at`; fill bytes and junk are passed over."""
    if at + 4 > len(data):
        # an end-of-image marker may be the last two bytes there are
        if data[at : at + 2] == END:
            return EOI, at, at + 2
        raise ShortError(at + 4)
    prefix, marker, length = _SEGMENT.unpack_from(data, at)
    if prefix != 0xFF or marker == 0xFF or marker == 0:
        found = _MARKER.search(data, at)
        if found is None:
            raise ShortError(len(data) + 4)
        return _segment(data, found.start())
    if marker in BARE or marker == EOI:
        return marker, at, at + 2
    if length < 2:
        raise ValueError(f"a segment FF{marker:02X} of length {length} at byte {at}")
    return marker, at, at + 2 + length
