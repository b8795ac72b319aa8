"""HEIF (AVIF, HEIC): size and turns of the primary item, and labels in EXIF and XMP items.

ISO/IEC 23008-12, 6.5 and annex A; MIAF: ISO/IEC 23000-22. Where there is an Exif item, its orientation does
not count: the file's own properties are what is shown.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError

from xlabel.images import (
    Carriers,
    Header,
    NoRoomError,
    Parts,
    ShortError,
    box_metadata,
    boxes,
    exif,
    heif_items,
    merging,
    xmp,
)
from xlabel.images.box_metadata import XMP
from xlabel.images.heif_items import Item, Meta
from xlabel.images.splice import Edit, apply, joined
from xlabel.images.tags import Text

MIME = "image/heif"  # of the family; a header says which of the two below
DOCUMENT_IN: tuple[str, ...] = ("exif", "xmp")
EXTENDED = False
XMP_TYPE = b"application/rdf+xml"
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
}


def header(data: memoryview) -> Header:
    """The primary item's size, after its clean aperture where it has one, and its turns as an orientation."""
    mime = None
    for kind, start, end in boxes.top(data):
        if kind in (b"ftyp", b"meta") and end > len(data):
            raise ShortError(end)
        if kind == b"ftyp":
            mime = _mime(bytes(data[start:end]))
        elif kind == b"meta":
            if mime is None:
                break
            width, height, orientation = _displayed(_primary(data[start:end]))
            return Header(mime, width, height, orientation)
    raise ValueError("no box ftyp before the box meta")


def cut(data: memoryview) -> str | None:
    """Complete with every box within the file, one of them with the media data."""
    for kind, start, end in boxes.top(data, whole=True):
        if kind == b"meta" and end <= len(data) and b"idat" in dict(boxes.inside(data[start + _FULL : end])):
            return boxes.cut(data, b"meta")
    return boxes.cut(data, b"mdat")


def find(data: memoryview) -> Carriers:
    """Exif and XMP items, and an XMP box at the top of the file, which is not sought behind both of ours."""
    found, missing = boxes.begun(data)
    try:
        meta = heif_items.read(data, found)
    except ValueError:
        if missing:
            raise missing from None
        return box_metadata.find(data, found, (XMP,))
    comments, texts = [], []
    for item, content in _metadata(data, meta):
        if item.kind == b"Exif":
            comment = exif.comment(memoryview(content)[_block_at(content) :])
            comments += [] if comment is None else [comment]
        elif not item.encoding:
            texts.append(content)
    texts += (bytes(data[start : box.end]) for box, start in box_metadata.places(data, found, XMP))
    carriers = box_metadata.preferred(comments, texts)
    complete = exif.ours(carriers.comment) and xmp.has_ours(carriers.xmp)
    if missing and not complete:
        raise missing
    return carriers


def block(data: memoryview) -> memoryview | None:
    """That of the first Exif item, those about the picture before others."""
    meta = heif_items.read(data, boxes.listed(data))
    for item, content in _metadata(data, meta):
        if item.kind == b"Exif":
            return memoryview(content)[_block_at(content) :]
    return None


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """Items, whose data stands in a box mdat behind meta; the data of items that are there is copied into it.

    The box meta grows, so that what it names moves: the offsets of items and chunks are made right. Where
    that cannot be done there is no EXIF, and the XMP goes into a box of its own at the end.
    """
    found = boxes.listed(data)
    try:
        meta = heif_items.read(data, found)
    except ValueError as error:
        return _in_box(data, found, parts, error)
    emptied = {item.number for item in meta.items if _emptied(meta, item)}
    for entry in meta.entries:
        if entry.number in emptied:
            continue
        if entry.method == heif_items.IN_FILE and any(not length for _, _, length in entry.extents):
            carrier = "exif" if parts.comment is not None else "xmp"
            raise NoRoomError(carrier, f"the data of item {entry.number} goes on to the end of the file")
    contents = (
        (b"Exif", b"", *_exif_of(data, meta, parts.comment)),
        (b"mime", XMP_TYPE, *_xmp_of(data, found, meta, parts.ours)),
    )
    used = {entry.number for entry in meta.entries} | {item.number for item in meta.items}
    number = max(used | {meta.primary})
    new, fresh = [], {}
    for kind, mime, item, content in contents:
        if content is not None:
            if item is None:
                number += 1
                new.append((number, kind, mime))
            fresh[number if item is None else item.number] = content
    try:
        outside: list[Edit] = []
        if parts.ours is not None and contents[1][3] is None:
            outside, _ = box_metadata.edits(data, found, parts._replace(comment=None), (XMP,), (0, 0))
        inner = heif_items.added(data, meta, new)
        return heif_items.relocated(data, found, meta, outside, inner, meta.entries, fresh)
    except NoRoomError:
        raise
    except ValueError as error:
        return _in_box(data, found, parts, error)


def removal(data: memoryview) -> list[Edit]:
    """Items that hold nothing but ours go, with their data where a box mdat holds nothing else.

    Elsewhere ours is overwritten, by zeros in EXIF and by blanks in XMP.
    """
    found = boxes.listed(data)
    outside = box_metadata.removal(data, found, (XMP,))
    try:
        meta = heif_items.read(data, found)
    except ValueError:
        if all(edit.stop == len(data) for edit in outside):
            return outside
        raise
    entries = {entry.number: entry for entry in meta.entries}
    gone: dict[int, list[tuple[int, int]]] = {}
    for item, content in _metadata(data, meta):
        kept = _without(item, content)
        places = heif_items.ranges(meta, entries[item.number], len(data))
        if kept is None:
            gone[item.number] = places
            del entries[item.number]
        elif kept != content:
            outside += _over(places, kept)
    outside += _blanked(found, [place for places in gone.values() for place in places])
    inner = heif_items.dropped(data, meta, set(gone))
    return heif_items.relocated(data, found, meta, outside, inner, [*entries.values()], {})


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """The data of all items but Exif, XMP and links, by their numbers, each behind what decodes it.

    That is size, clean aperture and the decoder's configuration; turns and colour space do not count, nor
    what only describes. Of an image sequence the samples of each track. Raises ValueError where items share
    their data so often that it would be more than eight times the file.
    """
    found = boxes.listed(data)
    meta = heif_items.read(data, found)
    entries = {entry.number: entry for entry in meta.entries}
    properties = _properties(data, meta)
    most = 8 * len(data)
    for item in sorted(meta.items):
        if item.kind in (b"Exif", b"mime", b"uri "):
            continue
        places = list(properties.get(item.number, []))
        if item.number in entries and entries[item.number].method in (heif_items.IN_FILE, heif_items.IN_IDAT):
            places += heif_items.ranges(meta, entries[item.number], len(data))
        most -= sum(stop - start for start, stop in places)
        if most < 0:
            raise ValueError(f"item {item.number} shares its data again and again")
        yield from places
    for start, stop in heif_items.samples(data, found):
        most -= stop - start
        if most < 0:
            raise ValueError("samples share their data again and again")
        yield start, stop


_FULL = 4  # bytes of version and flags before a "full box"'s own content
_ORIENTATIONS = ((1, 8, 3, 6), (2, 5, 4, 7))
"""By whether the image is first mirrored left to right, then by its quarter turns anticlockwise."""

_UINT16, _UINT32 = Struct(">H"), Struct(">I")
_ISPE = Struct(">4xII")
_CLAP = Struct(">IIII")


def _mime(ftyp: bytes) -> str:
    """By the first brand that tells: the major one, else the first compatible one."""
    brands = [ftyp[:4], *(ftyp[at : at + 4] for at in range(8, len(ftyp), 4))]
    for brand in brands:
        if brand in BRANDS:
            return BRANDS[brand]
    raise ValueError(f"expected a brand of AVIF or HEIC, found {b' '.join(brands[:9])!r}")


def _primary(meta: memoryview) -> list[tuple[bytes, memoryview]]:
    """The primary item's properties, type and content, in their order."""
    found = dict(boxes.inside(meta[_FULL:]))
    for kind in (b"pitm", b"iprp"):
        if kind not in found:
            raise ValueError(f"no box {kind.decode()} in the box meta")
    pitm = found[b"pitm"]
    (item,) = (_UINT32 if pitm[0] else _UINT16).unpack_from(pitm, _FULL)
    properties: list[tuple[bytes, memoryview]] = []
    numbers: list[int] = []
    for kind, content in boxes.inside(found[b"iprp"]):
        if kind == b"ipco":
            properties = list(boxes.inside(content))
        elif kind == b"ipma":
            numbers += (number for owner, number in _associations(content) if owner == item)
    if max(numbers, default=0) > len(properties):
        raise ValueError(f"the primary item has property {max(numbers)} of {len(properties)}")
    return [properties[number - 1] for number in numbers if number]


def _associations(ipma: memoryview) -> Iterator[tuple[int, int]]:
    """Item and number of a property, counted from 1; 0 is none."""
    owner = _UINT32 if ipma[0] else _UINT16
    wide = ipma[3] & 1
    (count,) = _UINT32.unpack_from(ipma, _FULL)
    at = _FULL + 4
    for _ in range(count):
        (item,) = owner.unpack_from(ipma, at)
        at += owner.size
        numbers = ipma[at]
        at += 1
        for _ in range(numbers):
            # the highest bit says whether the property is essential
            yield item, (_UINT16.unpack_from(ipma, at)[0] & 0x7FFF if wide else ipma[at] & 0x7F)
            at += 2 if wide else 1


def _displayed(properties: list[tuple[bytes, memoryview]]) -> tuple[int, int, int]:
    """Width, height and orientation; the turns are applied in the order in which they stand."""
    size = None
    mirrored = turns = 0
    for kind, content in properties:
        if kind == b"ispe" and size is None:
            size = _ISPE.unpack_from(content)
        elif kind == b"clap":
            size = _clean(content)
        elif kind == b"irot":
            turns += content[0] & 3
        elif kind == b"imir":
            # axis 1 swaps left and right, axis 0 top and bottom; a mirror reverses the turns before it
            turns = -turns if content[0] & 1 else 2 - turns
            mirrored ^= 1
    if size is None:
        raise ValueError("the primary item states no size")
    return *size, _ORIENTATIONS[mirrored][turns % 4]


def _clean(clap: memoryview) -> tuple[int, int]:
    width, width_divisor, height, height_divisor = _CLAP.unpack_from(clap)
    return width // width_divisor, height // height_divisor


def _metadata(data: memoryview, meta: Meta) -> Iterator[tuple[Item, bytes]]:
    """Exif and XMP items with their data; those about the primary item come first."""
    about = {number for box, number in meta.references if box.kind == b"cdsc" and _leads(data, box, meta)}
    entries = {entry.number: entry for entry in meta.entries}
    wanted = [
        item
        for item in meta.items
        if item.number in entries and _is_metadata(item) and not _emptied(meta, item)
    ]
    most = 2 * len(data)
    for item in sorted(wanted, key=lambda item: item.number not in about):
        try:
            places = heif_items.ranges(meta, entries[item.number], len(data))
        except ValueError:  # in another file, or in another item
            continue
        most -= sum(stop - start for start, stop in places)
        if most < 0:
            raise ValueError("items with metadata share their data again and again")
        yield item, b"".join(data[start:stop] for start, stop in places)


def _is_metadata(item: Item) -> bool:
    return item.kind == b"Exif" or (item.kind, item.mime) == (b"mime", XMP_TYPE)


def _emptied(meta: Meta, item: Item) -> bool:
    """Whether an item of metadata has no data: ExifTool leaves it so, by lengths of 0, when it deletes all.

    By the standard such a length goes on to the end of the file, which metadata does not.
    """
    if not _is_metadata(item):
        return False
    extents = [entry.extents for entry in meta.entries if entry.number == item.number]
    return bool(extents) and all(not length for found in extents for _, _, length in found)


def _leads(data: memoryview, box: boxes.Box, meta: Meta) -> bool:
    """Whether a reference leads to the primary item."""
    width = 4 if meta.wide else 2
    return meta.primary.to_bytes(4, "big")[-width:] in [
        bytes(data[at : at + width]) for at in range(box.start + width + 2, box.end, width)
    ]


def _exif_of(data: memoryview, meta: Meta, comment: bytes | Text | None) -> tuple[Item | None, bytes | None]:
    """The item that is to hold the comment, None for a new one, and its data."""
    if comment is None:
        return None, None
    for item, content in _metadata(data, meta):
        if item.kind == b"Exif":
            at = _block_at(content)
            block = memoryview(content)[at:]
            return item, content[:at] + b"".join(apply(block, merging.exif_edits(block, comment)))
    emptied = (item for item in meta.items if item.kind == b"Exif" and _emptied(meta, item))
    return next(emptied, None), bytes(4) + exif.fresh(comment, box_metadata.size(data))


def _block_at(content: bytes) -> int:
    """Where the EXIF block begins in an item's data."""
    return box_metadata.block_at(memoryview(content), 0, len(content))


def _xmp_of(
    data: memoryview, found: list[boxes.Box], meta: Meta, ours: xmp.Ours | None
) -> tuple[Item | None, bytes | None]:
    """The same for the XMP; no data where it goes into the box that is there."""
    if ours is None:
        return None, None
    for item, content in _metadata(data, meta):
        if item.kind == b"mime":
            if item.encoding:
                raise NoRoomError("xmp", "the file's XMP is compressed and left alone")
            return item, b"".join(apply(content, merging.xmp_edits(content, ours)))
    if any(box_metadata.places(data, found, XMP)):
        return None, None
    emptied = (item for item in meta.items if item.kind == b"mime" and _emptied(meta, item))
    return next((item for item in emptied if not item.encoding), None), xmp.packet(ours)


def _in_box(data: memoryview, found: list[boxes.Box], parts: Parts, why: ValueError) -> list[Edit]:
    """The XMP in a box of its own, where items are not to be touched."""
    if parts.comment is not None:
        raise NoRoomError("exif", f"no item can be added: {why}")
    changes, new = box_metadata.edits(data, found, parts, (XMP,), (0, 0))
    if changes:
        raise NoRoomError("xmp", f"the file's XMP box cannot be changed: {why}")
    last = boxes.closed(data, found, changes)
    return joined([*last, Edit(len(data), len(data), new)])


def _without(item: Item, content: bytes) -> bytes | None:
    """An item's data without what is ours, as long as it was; None where nothing else is in it."""
    if item.kind == b"Exif":
        at = _block_at(content)
        block = merging.without_comment(memoryview(content)[at:])
        return None if block is None else (content[:at] + block).ljust(len(content), b"\0")
    kept = content if item.encoding else merging.without_ours(content)
    return None if kept is None else kept.ljust(len(content))


def _over(places: list[tuple[int, int]], content: bytes) -> list[Edit]:
    """The edits that write a content over ranges of its length."""
    changes = []
    done = 0
    for start, stop in places:
        changes.append(Edit(start, stop, content[done : done + stop - start]))
        done += stop - start
    return changes


def _blanked(found: list[boxes.Box], places: list[tuple[int, int]]) -> list[Edit]:
    """The edits that take out ranges with the boxes mdat that they fill, or make them zero in others."""
    changes = []
    left = sorted(set(places), reverse=True)
    for box in found:
        own = []
        while left and left[-1][0] < box.end:
            own.append(left.pop())
        filled = sum(stop - start for start, stop in own) == box.end - box.start
        if box.kind == b"mdat" and own and filled and own[-1][1] == box.end:
            changes.append(Edit(box.at, box.end, b""))
        else:
            changes += [Edit(start, stop, bytes(stop - start)) for start, stop in own]
    return changes


_CODED = frozenset({b"ispe", b"clap", b"av1C", b"hvcC", b"lhvC", b"vvcC", b"avcC", b"jpgC", b"a1op", b"lsel"})


def _properties(data: memoryview, meta: Meta) -> dict[int, list[tuple[int, int]]]:
    """Where the properties stand that change what an item's data decodes to, by its number."""
    found: dict[int, list[tuple[int, int]]] = {}
    if b"iprp" not in meta.children:
        return found
    properties: list[boxes.Box] = []
    for box in boxes.within(data, meta.children[b"iprp"].start, meta.children[b"iprp"].end):
        if box.kind == b"ipco":
            properties = list(boxes.within(data, box.start, box.end))
        elif box.kind == b"ipma":
            try:
                pairs = list(_associations(data[box.start : box.end]))
            except (LookupError, StructError):
                raise ValueError("the table of properties is cut off") from None
            for owner, number in pairs:
                if 0 < number <= len(properties) and properties[number - 1].kind in _CODED:
                    one = properties[number - 1]
                    found.setdefault(owner, []).append((one.start, one.end))
    return found
