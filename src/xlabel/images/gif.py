"""GIF: size, and labels in a comment and in XMP.

GIF89a Specification, sections 17 to 27; XMP Specification Part 3, 1.1.2.
"""

import json
from collections.abc import Iterator
from struct import Struct

from xlabel.images import Carriers, Header, NoRoomError, Parts, ShortError, merging, payload, unpack, xmp
from xlabel.images.splice import Edit, joined, moved

MIME = "image/gif"
DOCUMENT_IN: tuple[str, ...] = ("text", "xmp")
EXTENDED = False

MAX_BLOCK = 1_000_000
"""Bytes in a comment or a packet of ours; ImageMagick takes minutes over much larger ones."""
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
COMMENT, APPLICATION = 0xFE, 0xFF
XMP = b"\x0bXMP DataXMP"
LOOPS = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")
"""Extensions that say how often an animation plays."""
MAGIC = b"\1" + bytes(range(255, -1, -1)) + b"\0"
"""Stands behind a packet, so that whoever takes its text for sub-blocks comes out at the extension's end."""


def header(data: memoryview) -> Header:
    """The logical screen's size. A GIF has no orientation."""
    width, height = unpack(_SCREEN, data, 6)
    return Header(MIME, width, height)


def cut(data: memoryview) -> str | None:
    """Complete with a trailer behind the last block; bytes behind it are let be."""
    for _ in blocks(data):
        pass
    return None


def find(data: memoryview) -> Carriers:
    """The XMP and the comments before the first image. Of a comment only the payloads in it count."""
    packet = None
    texts: list[bytes] = []
    for kind, at, end in _extensions(data, _first(data)):
        if kind == COMMENT:
            text = _unblocked(data, at + 2)
            texts += (text[start:stop] for start, stop in _payloads(text))
        elif kind == APPLICATION and packet is None:
            packet = _packet(data, at, end)
    return Carriers(xmp=packet, texts=tuple(texts))


def block(data: memoryview) -> None:
    """None: GIF has no EXIF."""


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New extensions stand before all others but a loop extension, which some readers want first.

    So of several comments ours is not the last, which is the one that ImageMagick keeps: it shall not cost
    others theirs. A file of version 87a, which knows no extensions, becomes one of 89a.
    """
    header(data)
    place = _first(data)
    own = None
    leading = True
    for kind, at, end in blocks(data):
        leading = leading and kind == APPLICATION and _is_loop(data, at)
        if leading:
            place = end
        if kind == APPLICATION and own is None and data[at + 2 : at + 14] == XMP:
            own = at, end
    changes: list[Edit] = []
    new = b""
    if parts.ours is not None:
        if own is None:
            packet = xmp.packet(parts.ours)
            _fits(len(packet), "xmp")
            new += b"".join((bytes([EXTENSION, APPLICATION]), XMP, packet, MAGIC))
        else:
            changes += _xmp_edits(data, *own, parts.ours)
    if parts.text is not None:
        _fits(len(parts.text), "text")
        new += _comment(parts.text)
    if data[4] == ord("7"):
        changes.append(Edit(4, 5, b"9"))
    return joined([*changes, Edit(place, place, new)])


def removal(data: memoryview) -> list[Edit]:
    """Payloads in comments, and what is ours in XMP. The version stays."""
    changes = []
    for kind, at, end in blocks(data):
        if kind == COMMENT:
            text = _unblocked(data, at + 2)
            left = _without_payloads(text)
            if left != text:
                changes.append(Edit(at, end, _comment(left) if left else b""))
        elif kind == APPLICATION and (packet := _packet(data, at, end)) is not None:
            rest = merging.without_ours(packet)
            if rest is None:
                changes.append(Edit(at, end, b""))
            elif rest != packet:
                changes.append(Edit(at + 14, end, rest + MAGIC))
    return changes


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """All from the logical screen on but comments and application extensions, up to the trailer.

    So how often an animation plays, which is such an extension, is not counted.
    """
    begun = 6
    for kind, at, end in blocks(data):
        if kind in (COMMENT, APPLICATION, TRAILER):
            if at > begun:
                yield begun, at
            begun = end


def blocks(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Kind, place and end of each block up to the trailer; of an extension, the kind is its label.

    Raises ShortError where they go on behind `data`.
    """
    at, kind = _first(data), 0
    while kind != TRAILER:
        for label, start, end in _extensions(data, at):
            yield label, start, end
            at = end
        start = at
        (kind,) = unpack(_BYTE, data, start)
        if kind == IMAGE:
            at = _past_blocks(data, at + 11 + _table(unpack(_BYTE, data, at + 9)[0]))
        elif kind == TRAILER:
            at += 1
        else:
            raise ValueError(f"expected a block at byte {at}, found {kind:02X}")
        yield kind, start, at


_SCREEN = Struct("<HH")
_BYTE = Struct("B")
_json = json.JSONDecoder()


def _first(data: memoryview) -> int:
    """Where the first block begins: behind the logical screen and its colour table."""
    return 13 + _table(unpack(_BYTE, data, 10)[0])


def _extensions(data: memoryview, at: int) -> Iterator[tuple[int, int, int]]:
    """Label, place and end of each extension from byte `at` on, up to another block."""
    while unpack(_BYTE, data, at)[0] == EXTENSION:
        (label,) = unpack(_BYTE, data, at + 1)
        if label in (IMAGE, TRAILER):
            raise ValueError(f"an extension labelled {label:02X} at byte {at}")
        end = _past_blocks(data, at + 2)
        yield label, at, end
        at = end


def _table(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_blocks(data: memoryview, at: int) -> int:
    """Where the sub-blocks from `at` end."""
    whole = len(data)
    while at < whole:
        size = data[at]
        at += 1 + size
        if not size:
            return at
    raise ShortError(at + 1)


def _unblocked(data: memoryview, at: int) -> bytes:
    """What is in the sub-blocks from `at`, whose end is known to be there."""
    pieces = []
    while size := data[at]:
        pieces.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    return b"".join(pieces)


def _comment(text: bytes) -> bytes:
    pieces = [text[at : at + 255] for at in range(0, len(text), 255)]
    return b"".join((bytes([EXTENSION, COMMENT]), *(bytes([len(piece)]) + piece for piece in pieces), b"\0"))


def _payloads(text: bytes) -> Iterator[tuple[int, int]]:
    """Where payloads stand in a comment: tools join comments, with a line end between them or without one."""
    at, decoded = 0, text.decode("latin-1")
    while (at := text.find(payload.START, at)) >= 0:
        try:
            _, end = _json.raw_decode(decoded, at)
        except (ValueError, RecursionError):  # broken, which is for the reader of the payload to say
            end = len(text) if (line := text.find(b"\n", at)) < 0 else line
        yield at, end
        at = end


def _without_payloads(text: bytes) -> bytes:
    for start, end in reversed(list(_payloads(text))):
        before, behind = text[:start], text[end:]
        text = before + behind[1:] if behind[:1] == b"\n" else before.removesuffix(b"\n") + behind
    return text


def _packet(data: memoryview, at: int, end: int) -> bytes | None:
    """The packet of an extension with XMP that ends as the specification says."""
    if data[at + 2 : at + 14] != XMP or end - at < 14 + len(MAGIC) or data[end - len(MAGIC) : end] != MAGIC:
        return None
    return bytes(data[at + 14 : end - len(MAGIC)])


def _is_loop(data: memoryview, at: int) -> bool:
    return bytes(data[at + 2 : at + 14]) in LOOPS


def _xmp_edits(data: memoryview, at: int, end: int, ours: xmp.Ours) -> list[Edit]:
    packet = _packet(data, at, end)
    if packet is None:
        raise NoRoomError("xmp", "the file's XMP does not end as it should and is left alone")
    inner = merging.xmp_edits(packet, ours)
    _fits(len(packet) + sum(len(edit.data) for edit in inner), "xmp")
    return moved(inner, at + 14)


def _fits(size: int, carrier: str) -> None:
    if size > MAX_BLOCK:
        raise NoRoomError(carrier, f"{size:,} bytes, more than the {MAX_BLOCK:,} that readers take")
