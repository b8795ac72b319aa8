"""TIFF, classic and BigTIFF (so also DNG and its like): size, orientation, and labels in EXIF and XMP.

TIFF 6.0, sections 2, 7 and 8; XMP Specification Part 3, 1.1.9. All that is added stands behind the file's
end, the new first directory last; of the file itself only the offset of that directory changes. Pages,
strips and tiles stay where they are.
"""

from collections.abc import Iterator
from struct import error as StructError

from xlabel.images import Carriers, Header, NoRoomError, Parts, ShortError, exif, ifd, merging, unpack, xmp
from xlabel.images.splice import Edit, apply, joined

MIME = "image/tiff"
DOCUMENT_IN: tuple[str, ...] = ("exif", "xmp")
EXTENDED = False

WIDTH, HEIGHT, ORIENTATION = 256, 257, 274
DATA = ((273, 279), (324, 325))
"""Offsets and byte counts, of strips and of tiles."""
MAX_CLASSIC = (1 << 32) - 1
"""Bytes of a classic TIFF, whose offsets have 32 bits."""


def header(data: memoryview) -> Header:
    """Size and orientation of the first image."""
    form = ifd.form_of(data)
    fields, _ = ifd.directory(form, data, ifd.first(form, data))
    width, height, orientation = (ifd.number(form, data, fields, tag) for tag in (WIDTH, HEIGHT, ORIENTATION))
    tag = fields.get(ORIENTATION)
    return Header(MIME, width, height, orientation if tag is not None and tag.values == 1 else 1)


def cut(data: memoryview) -> str | None:
    """Complete where each image's directory, fields, strips and tiles lie within the file."""
    form = ifd.form_of(data)
    for at, fields in ifd.directories(form, data):
        end = max((field.at + field.values * ifd.SIZES[field.kind] for field in fields.values()), default=0)
        for offsets, counts in DATA:
            if end <= len(data) and offsets in fields and counts in fields:
                places, sizes = (ifd.numbers(form, data, fields[tag]) for tag in (offsets, counts))
                end = max(map(sum, zip(places, sizes, strict=False)), default=0)
        if end > len(data):
            return f"what the directory at byte {at} names ends at byte {end}, the file at byte {len(data)}"
    return None


def find(data: memoryview) -> Carriers:
    """The first directory's UserComment and XMP; those of further pages are not looked at."""
    form = ifd.form_of(data)
    fields, _ = ifd.directory(form, data, ifd.first(form, data))
    comment = exif.user_comment(form, data, fields)
    packet = fields.get(exif.XMP)
    return Carriers(
        None if comment is None else (bytes(comment), form.order),
        None if packet is None else bytes(ifd.value(data, packet)),
    )


def block(data: memoryview) -> memoryview:
    """The file itself."""
    return data


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """A packet that is there is copied, with ours in it, behind the end; the old one is left unnamed.

    ValueError where a new first directory would be read otherwise than the one that is there.
    """
    _refuse_odd(data)
    packet = None
    if parts.ours is not None:
        there = find(data).xmp
        ours = parts.ours
        packet = xmp.packet(ours) if there is None else b"".join(apply(there, merging.xmp_edits(there, ours)))
    try:
        changes = exif.edits(data, parts.comment, packet)
    except (StructError, OverflowError):
        size = None
    else:
        size = len(data) + len(changes[-1].data)
    if size is None or (size > MAX_CLASSIC and ifd.form_of(data).offset.size == 4):
        added = len(parts.comment or b"") + len(packet or b"")
        raise NoRoomError(
            "exif" if packet is None else "xmp",
            f"{len(data):,} bytes and {added:,} more, a classic TIFF holds {MAX_CLASSIC:,}",
        )
    return changes


def removal(data: memoryview) -> list[Edit]:
    """Our comment and our XMP, whose bytes become zero; from a packet of others ours is taken as blanks.

    Nothing moves, so the file stays as long as it was.
    """
    carriers = find(data)
    tags = set()
    changes: list[Edit] = []
    if exif.ours(carriers.comment) is not None:
        tags.add(exif.USER_COMMENT)
    if carriers.xmp is not None and xmp.has_ours(carriers.xmp):
        inner = xmp.removal(carriers.xmp)
        if inner is None:
            tags.add(exif.XMP)
        else:
            form = ifd.form_of(data)
            fields, _ = ifd.directory(form, data, ifd.first(form, data))
            at = fields[exif.XMP].at
            changes += (Edit(at + e.start, at + e.stop, b" " * (e.stop - e.start)) for e in inner)
    if tags:
        changes += exif.removal(data, frozenset(tags)) or ()
    return joined(changes)


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """Of each page, and of the pictures in it, what strips or tiles decode with, and these themselves.

    The former is tag and value of size, bits, compression, colours and their like, without leading zeros and
    where it is not the default, so that it is the same whether a tool writes it as 16 or 32 bits, or at all;
    and the tables of colours and of JPEG. The orientation does not count. Rewriting leaves all this equal
    where a tool keeps byte order and compression, as exiftool, exiv2 and tiffset do.

    Raises ValueError where strips are named again and again, more than eight times the file.
    """
    form = ifd.form_of(data)
    most = 8 * len(data)
    for at, fields in _pictures(form, data):
        places = _tags(form, data, at)
        for tag in sorted((_NUMBERS.keys() | _TABLES) & fields.keys()):
            values = _values(form, data, fields[tag], tag)
            if values:
                yield places[tag], places[tag] + 2
                yield from values
        for offsets, counts in DATA:
            if offsets not in fields:
                continue
            if counts not in fields:
                raise ValueError(f"the directory at byte {at} does not say how long its strips are")
            most -= 8 * fields[offsets].values
            if most < 0:
                raise ValueError(f"the directory at byte {at} names more strips than the file has room for")
            starts, sizes = (ifd.numbers(form, data, fields[tag]) for tag in (offsets, counts))
            for start, size in zip(starts, sizes, strict=False):
                if start + size > len(data):
                    raise ShortError(start + size)
                most -= size
                if most < 0:
                    raise ValueError(f"the directory at byte {at} names the same bytes again and again")
                if size:
                    yield start, start + size


_NUMBERS: dict[int, int | None] = {
    WIDTH: None,
    HEIGHT: None,
    258: 1,  # BitsPerSample
    259: 1,  # Compression
    262: None,  # PhotometricInterpretation
    266: 1,  # FillOrder
    277: 1,  # SamplesPerPixel
    284: 1,  # PlanarConfiguration
    292: 0,  # T4Options
    293: 0,  # T6Options
    317: 1,  # Predictor
    322: None,  # TileWidth
    323: None,  # TileLength
    338: None,  # ExtraSamples
    339: 1,  # SampleFormat
    530: 2,  # YCbCrSubSampling
}
"""Tags that change what strips decode to, and the value that means the same as no tag."""
_TABLES = frozenset({320, 347})
"""ColorMap and JPEGTables."""
_SUB_IFDS = 330


def _refuse_odd(data: memoryview) -> None:
    """Readers differ on which of two entries of one tag counts, and follow a chain back to its beginning."""
    form = ifd.form_of(data)
    first = at = ifd.first(form, data)
    tags = [tag for tag, _ in ifd.raw(form, data, first)[0]]
    if len(tags) != len(set(tags)):
        raise ValueError("its first directory has two entries of one tag")
    seen = set()
    while at and at not in seen:
        seen.add(at)
        _, following = ifd.directory(form, data, at)
        (at,) = unpack(form.offset, data, following)
    if at == first:
        raise ValueError("its last directory names the first one as the next")


def _pictures(form: ifd.Form, data: memoryview) -> Iterator[tuple[int, ifd.Fields]]:
    """Place and fields of each directory that may name a picture: a page's, then those within the page."""
    pending = [ifd.first(form, data)]
    seen = set()
    while pending:
        at = pending.pop()
        if not at or at in seen:
            continue
        seen.add(at)
        fields, following = ifd.directory(form, data, at)
        yield at, fields
        pending += unpack(form.offset, data, following)
        within = fields.get(_SUB_IFDS)
        if within is not None:
            pending += reversed(ifd.numbers(form, data, within))


def _tags(form: ifd.Form, data: memoryview, at: int) -> dict[int, int]:
    """Where each tag of a directory stands."""
    entries, _ = ifd.raw(form, data, at)
    start = at + form.number.size
    return {tag: start + form.entry.size * number for number, (tag, _) in reversed([*enumerate(entries)])}


def _values(form: ifd.Form, data: memoryview, field: ifd.Field, tag: int) -> list[tuple[int, int]]:
    """Where the digits of a field's numbers stand, or its bytes where it is a table."""
    size = len(ifd.value(data, field))
    if tag in _TABLES:
        return [(field.at, field.at + size)]
    if field.values > ifd.MAX_ENTRIES:
        raise ValueError(f"tag {tag} with {field.values} values")
    numbers = ifd.numbers(form, data, field)
    if all(number == _NUMBERS[tag] for number in numbers):
        return []
    width = ifd.SIZES[field.kind]
    found = []
    for at, number in zip(range(field.at, field.at + size, width), numbers, strict=True):
        digits = max(1, (number.bit_length() + 7) // 8)
        found.append((at, at + digits) if form.order == "<" else (at + width - digits, at + width))
    return found
