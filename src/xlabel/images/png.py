"""PNG: size, orientation, and labels in eXIf, XMP and a text chunk.

PNG Specification, Third Edition: 5.3, 11.2.1, 11.3.3 and 11.3.4.8 (eXIf); XMP Specification Part 3, 1.1.5.
"""

import re
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from xlabel.images import (
    Carriers,
    Header,
    NoRoomError,
    Parts,
    ShortError,
    exif,
    merging,
    payload,
    unpack,
    xmp,
)
from xlabel.images.splice import Edit, apply, joined, moved

MIME = "image/png"
DOCUMENT_IN: tuple[str, ...] = ("exif", "text")
EXTENDED = False

MAX_CHUNK = 7_900_000
"""Bytes in a chunk of ours: libpng takes one of more than 8,000,000 for an attack, and reads no picture."""
MAX_TEXT = 1_000_000
"""Bytes in a text chunk of ours: other tools compress it, and Pillow opens no file where it unpacks more."""
KEYWORD = b"xlabel"
XMP_KEYWORD = b"XML:com.adobe.xmp"


def header(data: memoryview) -> Header:
    """Size, and the orientation of an eXIf chunk before the image data.

    One behind the image data is legal but not looked for: else every PNG would have to be read to its end.
    """
    size, kind, width, height = unpack(_IHDR, data, 8)
    if kind != b"IHDR" or size != 13:
        raise ValueError(f"expected an IHDR chunk of 13 bytes first, found {kind!r} of {size} bytes")
    for kind, at, end in chunks(data):
        if kind == b"IDAT":
            break
        if kind == b"eXIf":
            return Header(MIME, width, height, exif.orientation(_content(data, at, end)))
    return Header(MIME, width, height)


def cut(data: memoryview) -> str | None:
    """Complete with an IEND chunk; bytes behind it are let be."""
    for kind, _, end in chunks(data):
        if end > len(data):
            return f"chunk {kind!r} ends at byte {end}, the file at byte {len(data)}"
    return None


def find(data: memoryview) -> Carriers:
    """EXIF, XMP and texts before the image data; behind it only where no payload of ours stands before it.

    Of EXIF and XMP the first counts, and a chunk before a profile in a text, as ImageMagick writes them.
    """
    comments: list[tuple[bytes, str]] = []
    xmps: list[bytes] = []
    texts: list[bytes] = []
    profiles: list[tuple[bytes, bytes]] = []
    header(data)
    for kind, at, end in chunks(data):
        if kind == b"IDAT" and (texts or any(map(exif.ours, comments))):
            break
        if kind == b"eXIf":
            content = _content(data, at, end)
            found = exif.comment(content[merging.block_at(content) :])
            comments += [] if found is None else [found]
        elif kind in _TEXTS:
            content = _content(data, at, end)
            text = _text(kind, content)
            if text.keyword == XMP_KEYWORD:
                xmps += filter(None, [text.value()])
            elif text.keyword in _PROFILES:
                profiles += filter(None, [_profile(text)])
            elif payload.is_payload(text.value(64) or b""):
                texts += filter(None, [text.value()])
    for name, profile in profiles:
        if name == b"xmp":
            xmps.append(profile)
        else:
            view = memoryview(profile)
            found = exif.comment(view[merging.block_at(view) :])
            comments += [] if found is None else [found]
    return Carriers(next(iter(comments), None), next(iter(xmps), None), None, tuple(texts))


def block(data: memoryview) -> memoryview | None:
    """That of the first eXIf chunk."""
    for kind, at, end in chunks(data):
        if kind == b"eXIf":
            content = _content(data, at, end)
            return content[merging.block_at(content) :]
    return None


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New chunks stand right behind IHDR; EXIF and XMP of others are changed where they stand.

    So they stand before iDOT, in which Apple's software counts from there to the image data.
    """
    size = header(data)
    own_exif = own_xmp = None
    profiles: set[bytes] = set()
    density = (2, 72, 72)
    place = 8 + 12 + 13
    for kind, at, end in chunks(data):
        if kind == b"eXIf":
            own_exif = own_exif or (at, end)
        elif kind == b"pHYs":
            density = _density(_content(data, at, end)) or density
        elif kind in _TEXTS:
            text = _text(kind, _content(data, at, end))
            if text.keyword == XMP_KEYWORD:
                own_xmp = own_xmp or (at, end, text)
            profiles.add(_PROFILES.get(text.keyword, b""))
    if end > len(data):
        raise ShortError(end)
    changes: list[Edit] = []
    new = b""
    if parts.comment is not None:
        if own_exif is not None:
            inner = merging.exif_edits(_content(data, *own_exif), parts.comment)
            changes += _changed(data, *own_exif, inner, "exif", MAX_CHUNK)
        elif b"exif" in profiles:
            raise NoRoomError("exif", "the file's EXIF is a text chunk, which an eXIf chunk would hide")
        else:
            block = exif.fresh(parts.comment, (size.width, size.height), density)
            new += _new(b"eXIf", block, "exif", MAX_CHUNK)
    if parts.ours is not None:
        if own_xmp is not None:
            at, end, text = own_xmp
            if text.packed:
                raise NoRoomError("xmp", "the file's XMP is compressed and left alone")
            inner = merging.xmp_edits(text.stored, parts.ours)
            changes += _changed(data, at, end, moved(inner, text.at), "xmp", MAX_TEXT)
        elif b"xmp" in profiles:
            raise NoRoomError("xmp", "the file's XMP is in a profile of ImageMagick and left alone")
        else:
            new += _new(b"iTXt", XMP_KEYWORD + bytes(5) + xmp.packet(parts.ours), "xmp", MAX_TEXT)
    if parts.text is not None:
        new += _new(b"tEXt", KEYWORD + b"\0" + parts.text, "text", MAX_TEXT)
    return joined([*changes, Edit(place, place, new)])


def removal(data: memoryview) -> list[Edit]:
    """Texts that are payloads, and what is ours in EXIF and XMP, in the form that a tool gave them.

    ImageMagick also writes the UserComment's bytes as numbers, and properties of our namespace, into texts.
    """
    changes = []
    header(data)
    for kind, at, end in chunks(data):
        if kind == b"eXIf" or kind in _TEXTS:
            content = _content(data, at, end)
            left = merging.without_comment(content) if kind == b"eXIf" else _without_ours(kind, content)
            if left is None or left != content:
                changes.append(Edit(at, end, b"" if left is None else _chunk(kind, left)))
    return changes


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """IHDR, PLTE and tRNS, and what is in IDAT, which tools divide into chunks as they like.

    Of an animation also the number of frames, fcTL and fdAT without their sequence numbers; how often it
    plays is not counted. Nor are gamma and colour profile: they leave the pixels as they are.
    """
    for kind, at, end in chunks(data):
        if kind in (b"IHDR", b"PLTE", b"tRNS"):
            found = at, end - 4
        elif kind == b"IDAT":
            found = at + 8, end - 4
        elif kind in (b"fcTL", b"fdAT"):
            found = at + 12, end - 4
        elif kind == b"acTL":
            found = at + 8, at + 12
        else:
            continue
        if end > len(data):
            raise ShortError(end)
        if found[1] > found[0]:
            yield found


def chunks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and end of each chunk up to IEND; ShortError where they go on behind `data`."""
    at, kind = 8, b""
    while kind != b"IEND":
        size, kind = unpack(_CHUNK, data, at)
        yield kind, at, at + 12 + size
        at += 12 + size


_CHUNK = Struct(">I4s")
_IHDR = Struct(">I4sII")
_LONG = Struct(">I")
_PHYS = Struct(">IIB")
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PROFILES = {
    b"Raw profile type exif": b"exif",
    b"Raw profile type APP1": b"exif",
    b"Raw profile type xmp": b"xmp",
}
"""Texts in which ImageMagick and older exiv2 keep EXIF and XMP, in hexadecimal."""
_XMP_IN_APP1 = b"http://ns.adobe.com/xap/1.0/\0"
_SPELT = ", ".join(str(byte) for byte in exif.ASCII + payload.START).encode()
"""How a comment with a payload begins where ImageMagick writes it as numbers."""


class _Text(NamedTuple):
    """A text chunk's content; what is broken has no keyword."""

    keyword: bytes
    at: int
    """Where in the content the text begins."""
    packed: bool
    stored: bytes

    def value(self, most: int = MAX_CHUNK) -> bytes | None:
        """The text, or its first bytes; None where it cannot be unpacked, or is longer than `MAX_CHUNK`."""
        if not self.packed:
            return self.stored[:most]
        unpacker = zlib.decompressobj()
        try:
            found = unpacker.decompress(self.stored, most)
        except zlib.error:
            return None
        return found if unpacker.eof or most < MAX_CHUNK else None


def _text(kind: bytes, content: memoryview) -> _Text:
    found = _FORMS[kind].match(content)
    if found is None:
        return _Text(b"", 0, False, b"")
    packed = kind == b"zTXt" or (kind == b"iTXt" and found["packed"] != b"\0")
    return _Text(found["keyword"], found.end(), packed, bytes(content[found.end() :]))


_FORMS = {
    b"tEXt": re.compile(rb"(?P<keyword>[^\0]{1,79})\0"),
    b"zTXt": re.compile(rb"(?P<keyword>[^\0]{1,79})\0\0"),
    b"iTXt": re.compile(rb"(?P<keyword>[^\0]{1,79})\0(?P<packed>[\0\1])\0[^\0]*\0[^\0]*\0"),
}
"""What stands before the text."""


def _profile(text: _Text) -> tuple[bytes, bytes] | None:
    """Kind and bytes of a profile in a text: its name, its length and its bytes in hexadecimal, by lines."""
    try:
        _, _, digits = (text.value() or b"").strip().split(None, 2)
        found = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    if found.startswith(_XMP_IN_APP1):
        return b"xmp", found[len(_XMP_IN_APP1) :]
    return _PROFILES[text.keyword], found


def _without_ours(kind: bytes, content: memoryview) -> bytes | None:
    """The content of a text chunk without what is ours, None where the chunk goes."""
    text = _text(kind, content)
    left: bytes | None
    if text.keyword == XMP_KEYWORD:
        old = text.value() or b""
        left = merging.without_ours(old)
    elif text.keyword in _PROFILES and (profile := _profile(text)) is not None:
        name, old = profile
        left = merging.without_ours(old) if name == b"xmp" else merging.without_comment(memoryview(old))
        if left is not None and left != old:
            left = b"\n%b\n%8d\n%b\n" % (name, len(left), left.hex().encode())
    else:
        start = text.value(len(_SPELT)) or b""
        ours = payload.is_payload(start) or start == _SPELT or text.keyword.startswith(b"xlabel:")
        return None if ours else bytes(content)
    if left is None or left == old:
        return None if left is None else bytes(content)
    return bytes(content[: text.at]) + (zlib.compress(left, 9) if text.packed else left)


def _content(data: memoryview, at: int, end: int) -> memoryview:
    if end > len(data):
        raise ShortError(end)
    return data[at + 8 : end - 4]


def _density(content: memoryview) -> tuple[int, int, int] | None:
    """Pixels an inch, as `exif.fresh` takes them, of a pHYs chunk that says how many a metre has."""
    if len(content) != _PHYS.size:
        return None
    across, down, unit = _PHYS.unpack(content)
    found = 2, round(across * 0.0254), round(down * 0.0254)
    return found if unit == 1 and all(found) else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return b"%b%b%b%b" % (_LONG.pack(len(content)), kind, content, _LONG.pack(zlib.crc32(kind + content)))


def _new(kind: bytes, content: bytes, carrier: str, most: int) -> bytes:
    _fits(len(content), carrier, most)
    return _chunk(kind, content)


def _changed(data: memoryview, at: int, end: int, inner: list[Edit], carrier: str, most: int) -> list[Edit]:
    """The edits of a chunk's content, and those that make its length and its check right."""
    crc, size = zlib.crc32(data[at + 4 : at + 8]), 0
    for piece in apply(data[at + 8 : end - 4], inner):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
    _fits(size, carrier, most)
    length, check = Edit(at, at + 4, _LONG.pack(size)), Edit(end - 4, end, _LONG.pack(crc))
    return [length, *moved(inner, at + 8), check]


def _fits(size: int, carrier: str, most: int) -> None:
    if size > most:
        raise NoRoomError(carrier, f"a chunk of {size:,} bytes, more than the {most:,} that readers take")
