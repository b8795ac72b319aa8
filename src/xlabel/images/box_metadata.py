"""EXIF and XMP in boxes of their own at the top of a file: what JPEG XL, JPEG 2000 and HEIF share.

XMP Specification Part 3, 1.2.6 and 2.1; ISO/IEC 18181-2, 9.5 and 9.6. New boxes stand at the end, so that
no offset of the file changes.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from xlabel import images
from xlabel.images import Carriers, Parts, exif, merging, xmp
from xlabel.images.boxes import Box, made, resized
from xlabel.images.splice import Edit, moved


class Home(NamedTuple):
    """The boxes that hold a carrier: their type, and what their content begins with."""

    kind: bytes
    prefix: bytes


EXIF = Home(b"Exif", bytes(4))
"""The prefix says how many more bytes stand before the TIFF header."""
XMP = Home(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"))


def find(data: memoryview, found: Iterable[Box], homes: Iterable[Home]) -> Carriers:
    """The first UserComment and the first XMP, but ours before others."""
    comments: list[tuple[bytes, str]] = []
    texts: list[bytes] = []
    for home in homes:
        for box, start in places(data, found, home):
            if is_exif(home):
                comment = exif.comment(data[start : box.end])
                comments += [] if comment is None else [comment]
            else:
                texts.append(bytes(data[start : box.end]))
    return preferred(comments, texts)


def block(data: memoryview, found: Iterable[Box], homes: Iterable[Home]) -> memoryview | None:
    """The first EXIF block, which `exif.edits` changes too."""
    home = next(filter(is_exif, homes))
    return next((data[start : box.end] for box, start in places(data, found, home)), None)


def preferred(comments: list[tuple[bytes, str]], texts: list[bytes]) -> Carriers:
    """Of what several boxes or items hold: ours, else the first."""
    comments = [one for one in comments if exif.ours(one) is not None] or comments
    texts = [one for one in texts if xmp.has_ours(one)] or texts
    return Carriers(comments[0] if comments else None, texts[0] if texts else None)


def places(data: memoryview, found: Iterable[Box], home: Home) -> Iterator[tuple[Box, int]]:
    """Each box of a home, and where the EXIF block or the packet in it begins."""
    for box in found:
        if box.kind != home.kind:
            continue
        start = box.start + len(home.prefix)
        if home.kind == EXIF.kind:
            start = block_at(data, box.start, box.end)
        elif home.prefix != data[box.start : start] or (
            home.kind == b"xml " and data[start : box.end].tobytes().find(xmp.RDF.encode()) < 0
        ):
            continue
        if start < box.end:
            yield box, start


def block_at(data: memoryview, start: int, end: int) -> int:
    """Where the EXIF block begins in bytes [start, end), which begin with how many are before its header."""
    if end - start < 4:
        return end
    (skipped,) = _UINT32.unpack_from(data, start)
    return min(start + 4 + int(skipped), end)


def size(data: memoryview) -> tuple[int, int]:
    """Stored width and height; ValueError where the file does not say them."""
    header = images.header(data)
    if header is None:
        raise ValueError("no image file")
    return header.width, header.height


def is_exif(home: Home) -> bool:
    return home.kind == EXIF.kind or home.prefix.startswith(b"JpgTiffExif")


def edits(
    data: memoryview, found: list[Box], parts: Parts, homes: Iterable[Home], size: tuple[int, int]
) -> tuple[list[Edit], bytes]:
    """Edits of the boxes that are there, and new boxes for the file's end. NoRoomError as in `Carrying`."""
    changes: list[Edit] = []
    new = b""
    for home in homes:
        if (parts.comment if is_exif(home) else parts.ours) is None:
            continue
        box, start = next(places(data, found, home), (None, 0))
        if box is None:
            new += made(home.kind, home.prefix, fresh(home, parts, size))
            continue
        content = data[start : box.end]
        inner = (
            merging.exif_edits(content, parts.comment)
            if is_exif(home) and parts.comment is not None
            else merging.xmp_edits(bytes(content), parts.ours or xmp.Ours())
        )
        changes += resized(data, box, moved(inner, start))
    return changes, new


def fresh(home: Home, parts: Parts, size: tuple[int, int]) -> bytes:
    """An EXIF block or a packet with nothing but ours."""
    return exif.fresh(parts.comment or b"", size) if is_exif(home) else xmp.packet(parts.ours or xmp.Ours())


def removal(data: memoryview, found: Iterable[Box], homes: Iterable[Home]) -> list[Edit]:
    """What is ours goes; a box that held nothing else goes wholly."""
    changes: list[Edit] = []
    for home in homes:
        for box, start in places(data, found, home):
            content = data[start : box.end]
            kept = merging.without_comment(content) if is_exif(home) else merging.without_ours(bytes(content))
            if kept is None:
                changes.append(Edit(box.at, box.end, b""))
            elif kept != content:
                changes += resized(data, box, [Edit(start, box.end, kept)])
    return changes


_UINT32 = Struct(">I")
