"""JPEG and MPO: size, orientation, and labels in Exif, XMP and a comment.

ITU-T T.81, B.1 and B.2; CIPA DC-008 (Exif), 4.7; XMP Specification Part 3, 1.1.3; CIPA DC-007 (MPF), 5.2.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from struct import Struct
from typing import NamedTuple, TypeVar

from xlabel.images import (
    Carriers,
    Header,
    NoRoomError,
    Parts,
    ShortError,
    exif,
    ifd,
    merging,
    payload,
    unpack,
    xmp,
)
from xlabel.images.splice import Edit, growth, joined, moved

MIME = "image/jpeg"
DOCUMENT_IN: tuple[str, ...] = ("exif", "text")
EXTENDED = True

MAX_SEGMENT = 65_533
"""Bytes in a segment: its length is 16 bits wide and counts itself."""
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MAX_XMP = 65_502
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
MAX_EXTENSION = 65_400
"""Bytes of an Extended XMP in one segment."""
MAX_EXTENDED = 10_000_000
"""Bytes of an Extended XMP: whoever wants to see the picture has to read past it."""
MPF = b"MPF\0"

T = TypeVar("T")

SOI, EOI, SOS, APP0, APP1, APP2, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15; the three between are DHT, JPG and DAC."""
BARE = frozenset(range(0xD0, 0xD8)) | {0x01, SOI}
"""RST0 to RST7, TEM, SOI: no length follows."""
METADATA = frozenset(range(APP0, APP0 + 16)) - {APP14} | {COM}
"""All that is not of the picture; APP14 (Adobe) says its colours."""


def header(data: memoryview) -> Header:
    """The first frame's size and the first Exif segment's orientation.

    A height of 0, which a DNL marker behind the scan would set, is refused.
    """
    return _header(data)


def cut(data: memoryview) -> str | None:
    """Complete with an end-of-image marker behind the first scan; what follows it (MPO, video) is let be.

    The thumbnail in the Exif segment has such a marker too, so the segments are walked to the scan first.
    """
    layout = _layout(data)
    _, end = layout.kept[-1]
    if not layout.scanned:
        return f"no image data before the end-of-image marker at byte {end - len(END)}"
    if data[-2:] != END and bytes(data[end:]).rfind(END) < 0:
        return f"no end-of-image marker behind the scan at byte {end}"
    return None


def find(data: memoryview) -> Carriers:
    """The first Exif and XMP segments, the Extended XMP that belongs to them, and comments like ours."""
    layout = _layout(data)
    comment = packet = extended = None
    for at, end in layout.exif:
        comment = comment or exif.comment(data[at + 10 : end])
    for at, end in layout.xmp[:1]:
        packet = bytes(data[at + 4 + len(XMP) : end])
    if packet and layout.extensions:
        extended = _extended(packet, [data[at + 39 : end] for at, end in layout.extensions])
    return Carriers(comment, packet, extended, tuple([bytes(data[at + 4 : end]) for at, end in layout.texts]))


def block(data: memoryview) -> memoryview | None:
    """That of the first Exif segment."""
    found = _layout(data).exif
    return data[found[0][0] + 10 : found[0][1]] if found else None


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New segments stand behind JFIF and Exif, so before the MPF segment, whose offsets count from itself."""
    layout = _layout(data)
    changes: list[Edit] = []
    new = [b"", b"", b""]
    if parts.comment is not None:
        if not layout.exif:
            block = exif.fresh(parts.comment, layout.size, layout.density)
            new[0] = _new("exif", APP1, exif.PREFIX + block)
        else:
            at, end = layout.exif[0]
            if any(bytes(data[start + 10 : start + 14]) not in ifd.FORMS for start, _ in layout.exif[1:]):
                raise NoRoomError("exif", "the file's EXIF goes on in a further segment and is left alone")
            inner = merging.exif_edits(data[at + 4 : end], parts.comment, layout.size)
            changes += _resized(data, at, at + 4, inner, "exif", MAX_SEGMENT)
    ours = parts.ours
    extension: list[bytes] = []
    if ours is not None:
        if parts.extended is not None:
            guid, extension = _extension(parts.extended)
            ours = ours._replace(extended=guid)
        if not layout.xmp:
            new[1] = _new("xmp", APP1, XMP + xmp.packet(ours), MAX_XMP + len(XMP))
        else:
            at, end = layout.xmp[0]
            start = at + 4 + len(XMP)
            inner = merging.xmp_edits(bytes(data[start:end]), ours)
            changes += _resized(data, at, start, inner, "xmp", MAX_XMP + len(XMP))
        new[1] += b"".join(extension)
    if parts.text is not None:
        new[2] = _new("text", COM, parts.text)
    changes.append(Edit(layout.place, layout.place, b"".join(new)))
    return _with_mpf(data, layout, joined(changes))


def removal(data: memoryview) -> list[Edit]:
    """Our comment, and what is ours in Exif and XMP; a segment that held nothing else goes wholly."""
    layout = _layout(data)
    changes: list[Edit] = []
    guid = None
    for at, end in layout.exif:
        block = data[at + 10 : end]
        if exif.ours(exif.comment(block)) is not None:
            inner = exif.removal(block)
            changes += [Edit(at, end, b"")] if inner is None else moved(inner, at + 10)
    for at, end in layout.xmp:
        start = at + 4 + len(XMP)
        packet = bytes(data[start:end])
        if xmp.has_ours(packet):
            found = _extended(packet, [data[a + 39 : e] for a, e in layout.extensions])
            if xmp.has_ours(found):
                guid = xmp.extension(packet)
            inner = xmp.removal(packet, guid)
            changes += [Edit(at, end, b"")] if inner is None else _resized(data, at, start, inner, "xmp")
    for at, end in layout.extensions:
        if guid is not None and data[at + 39 : at + 71] == guid:
            changes.append(Edit(at, end, b""))
    changes += (Edit(at, end, b"") for at, end in layout.texts)
    return _with_mpf(data, layout, joined(changes))


def stream(data: memoryview) -> list[tuple[int, int]]:
    """All segments but the comments and the application segments, of which APP14 (Adobe) says the colours.

    Fill bytes between segments are not counted, since tools drop them; the start-of-image marker is. Ends
    with the first image: further pictures and trailers behind it are not counted.
    """
    layout = _layout(data)
    *kept, (start, stop) = layout.kept
    return [*kept, (start, _past_scans(data, stop) if layout.scanned else stop)]


_NO_MARKER = frozenset({0x00, 0xFF})
_NO_LENGTH = BARE | {EOI}
_SEGMENT = Struct(">BBH")
_SIZE = Struct(">HH")
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_NEXT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker behind a scan: within one, restart markers and stuffed zeros are all that follows FF."""
_JFIF = Struct(">BHH")
_LENGTH = Struct(">H")


def _kept_by_head(read: Callable[[memoryview], tuple[T, int]]) -> Callable[[memoryview], T]:
    """What `read` finds in a file's first bytes, as many as it says, is kept until a file begins otherwise.

    The same file is asked several times, and files that one program has written often begin alike.
    """
    last: tuple[memoryview, T] | None = None

    def kept(data: memoryview) -> T:
        nonlocal last
        whole = data.obj
        if type(whole) is not bytes or len(whole) != len(data):
            return read(data)[0]
        if last is not None:
            head, found = last
            if whole is head.obj or whole.startswith(head):
                return found
        found, size = read(data)
        last = data[:size], found
        return found

    return kept


@_kept_by_head
def _header(data: memoryview) -> tuple[Header, int]:
    packet = None
    for marker, at, end in segments(data):
        if marker in FRAMES:
            height, width = unpack(_SIZE, data, at + 5)
            turned = exif.orientation(packet) if packet is not None else 1
            return Header(MIME, width, height, turned), at + 5 + _SIZE.size
        if marker in (SOS, EOI):
            raise ValueError(f"no frame header before the marker FF{marker:02X} at byte {at}")
        if marker == APP1 and packet is None and data[at + 4 : at + 10] == exif.PREFIX:
            packet = data[at + 4 : end]
    raise AssertionError("the walk ends at SOS or EOI")


class _Layout(NamedTuple):
    """Where the segments are that labels go into or must not disturb; (start, end) of each."""

    place: int
    """Of new segments."""
    size: tuple[int, int]
    """Stored width and height."""
    density: tuple[int, int, int]
    """Resolution as `exif.fresh` takes it."""
    exif: list[tuple[int, int]]
    xmp: list[tuple[int, int]]
    extensions: list[tuple[int, int]]
    texts: list[tuple[int, int]]
    """Comments like ours."""
    mpf: tuple[int, int] | None
    kept: list[tuple[int, int]]
    """What is of the picture, up to the first scan."""
    scanned: bool
    """Whether there is a scan behind."""


@_kept_by_head
def _layout(data: memoryview) -> tuple[_Layout, int]:
    """All that the segments up to the first scan say."""
    size, density, mpf = (0, 0), (2, 72, 72), None
    blocks, packets, extensions, texts = [], [], [], []
    kept = []
    begun, stop = 0, 2
    place, whole = 2, len(data)
    leading = True
    for marker, at, end in segments(data):
        if end > whole:
            raise ShortError(end)
        if marker not in METADATA:
            if at != stop:
                kept.append((begun, stop))
                begun = at
            stop = end
            if marker in FRAMES:
                height, width = _SIZE.unpack_from(data, at + 5)
                size = width, height
            leading = False
            continue
        start = bytes(data[at + 4 : at + 68])
        if marker == COM:
            if payload.is_payload(start):
                texts.append((at, end))
        elif marker == APP0 and start.startswith(b"JFIF\0") and end - at >= 16:
            unit, across, down = _JFIF.unpack_from(data, at + 11)
            if unit in (1, 2) and across and down:
                density = (unit + 1, across, down)
        elif marker == APP1 and start.startswith(exif.PREFIX):
            blocks.append((at, end))
        elif marker == APP1 and start.startswith(XMP):
            packets.append((at, end))
        elif marker == APP1 and start.startswith(EXTENSION):
            extensions.append((at, end))
        elif marker == APP2 and start.startswith(MPF) and mpf is None:
            mpf = (at, end)
        leading = leading and marker in (APP0, APP1) and not start.startswith((XMP, EXTENSION))
        if leading:
            place = end
    kept.append((begun, stop))
    layout = _Layout(place, size, density, blocks, packets, extensions, texts, mpf, kept, marker == SOS)
    return layout, stop


def _new(carrier: str, marker: int, content: bytes, most: int = MAX_SEGMENT) -> bytes:
    if len(content) > most:
        raise NoRoomError(carrier, f"a segment of {len(content):,} bytes, a JPEG's holds {most:,}")
    return b"\xff%c%b%b" % (marker, _LENGTH.pack(len(content) + 2), content)


def _resized(
    data: memoryview, at: int, start: int, inner: list[Edit], carrier: str, most: int = MAX_SEGMENT
) -> list[Edit]:
    """Edits of a segment's content, which begins at byte `start`, with its length made right."""
    (length,) = _LENGTH.unpack_from(data, at + 2)
    length += growth(inner)
    if length - 2 > most:
        raise NoRoomError(carrier, f"a segment of {length - 2:,} bytes, a JPEG's holds {most:,}")
    return [Edit(at + 2, at + 4, _LENGTH.pack(length)), *moved(inner, start)]


def _extended(packet: bytes | None, segments: list[memoryview]) -> bytes | None:
    """The Extended XMP that a packet names, put together of its segments; None where some are missing."""
    guid = None
    if packet and b"HasExtendedXMP" in packet:
        try:
            guid = xmp.extension(packet)
        except ValueError:
            return None
    pieces = {}
    total = 0
    for segment in segments:
        if guid is not None and len(segment) >= 40 and segment[:32] == guid:
            total, offset = _PLACE.unpack_from(segment, 32)
            pieces[offset] = bytes(segment[40:])
    whole = b"".join(pieces[offset] for offset in sorted(pieces))
    return whole if guid is not None and len(whole) == total else None


_PLACE = Struct(">II")


def _extension(document: bytes) -> tuple[bytes, list[bytes]]:
    """The GUID of a packet with a document, and the segments that hold it."""
    whole = xmp.packet(xmp.Ours(document=document))
    if len(whole) > MAX_EXTENDED:
        raise NoRoomError("extended xmp", f"{len(whole):,} bytes, more than {MAX_EXTENDED:,}")
    guid = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper().encode()
    pieces = []
    for offset in range(0, len(whole), MAX_EXTENSION):
        piece = whole[offset : offset + MAX_EXTENSION]
        content = EXTENSION + guid + _PLACE.pack(len(whole), offset) + piece
        pieces.append(_new("extended xmp", APP1, content))
    return guid, pieces


def _with_mpf(data: memoryview, layout: _Layout, changes: list[Edit]) -> list[Edit]:
    """The edits, and with them the first image's size and the offsets to further ones that the MPF states."""
    if layout.mpf is None:
        return changes
    at, end = layout.mpf
    zero = at + 4 + len(MPF)  # offsets count from here
    block = data[zero:end]
    try:
        form = ifd.form_of(block)
        fields, _ = ifd.directory(form, block, ifd.first(form, block))
        entries = ifd.value(block, fields[_MP_ENTRY])
    except (ValueError, LookupError):
        return changes
    if form.offset.size != 4:
        return changes
    patches = []
    for entry in range(fields[_MP_ENTRY].at, fields[_MP_ENTRY].at + len(entries) - 15, 16):
        size, offset = Struct(form.order + "II").unpack_from(block, entry + 4)
        if not offset:
            shift, place, value = growth(changes), zero + entry + 4, size
        else:
            behind = (edit for edit in changes if end <= edit.start <= zero + offset)
            shift, place, value = growth(behind), zero + entry + 8, offset
        if shift and 0 < value + shift <= len(data) + growth(changes):
            patches.append(Edit(place, place + 4, form.offset.pack(value + shift)))
    return joined([*changes, *patches])


_MP_ENTRY = 0xB002


def _past_scans(data: memoryview, at: int) -> int:
    """Behind the end-of-image marker of the image whose first scan begins at byte `at`, or of the file."""
    if data[-2:] == END and not _has_end(data[at:-2]):
        return len(data)
    while (found := _NEXT.search(data, at)) is not None:
        if data[found.start() + 1] == EOI:
            return found.end()
        (length,) = unpack(_LENGTH, data, found.end())  # a table or the next scan's header
        at = found.end() + length
    return len(data)


def _has_end(data: memoryview) -> bool:
    """Whether the bytes of an end-of-image marker stand somewhere.

    numpy finds them in a sixth of a search's time, but takes as long to import as to search 1,000 pictures.
    """
    if "numpy" not in sys.modules and next(_searched) < 1000:
        return bytes(data).rfind(END) >= 0
    import numpy as np

    for start in (0, 1):
        pairs = (len(data) - start) // 2
        if pairs > 0:
            found = np.frombuffer(data, "<u2", pairs, start) == 0xD9FF
            if found[found.argmax()]:
                return True
    return False


_searched = count()


def segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Marker, place and end of each segment up to the first SOS or EOI; fill bytes and junk are passed over.

    Raises ShortError where they go on behind `data`.
    """
    at, size, marker = 2, len(data), SOI
    unpack = _SEGMENT.unpack_from
    while marker != SOS and marker != EOI:
        if at + 4 > size:
            if data[at : at + 2] != END:  # which may be the last two bytes there are
                raise ShortError(at + 4)
            marker, end = EOI, at + 2
        else:
            prefix, marker, length = unpack(data, at)
            if prefix != 0xFF or marker in _NO_MARKER:
                found = _MARKER.search(data, at)
                if found is None:
                    raise ShortError(size + 4)
                at, marker = found.start(), SOI
                continue
            if marker in _NO_LENGTH:
                end = at + 2
            elif length < 2:
                raise ValueError(f"a segment FF{marker:02X} of length {length} at byte {at}")
            else:
                end = at + 2 + length
        yield marker, at, end
        at = end
