"""EXIF: orientation and UserComment of a TIFF-shaped block. CIPA DC-008 (Exif 3.0), 4.6; TIFF 6.0, section 2.

A comment is added behind the block: a copy of the Exif directory that names it, and the place that led to the
old directory. Nothing else moves, so that offsets which only the camera's maker knows stay right.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

from xlabel.images import ifd, payload, tags
from xlabel.images.splice import Edit
from xlabel.images.tags import Text

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
USER_COMMENT = tags.USER_COMMENT
EXIF = 0x8769
"""The pointer to the Exif directory."""
XMP = 700
"""XMP in a TIFF file's own first directory."""
SOFTWARE = 0x0131
MAKER = b"xlabel\0\0"
"""What a block says that held nothing before, so that it can go as a whole."""
ASCII = b"ASCII\0\0\0"
SHORT, LONG = ifd.SHORT, ifd.LONG


def orientation(tiff: memoryview) -> int:
    r"""The Orientation tag of a packet that begins with the TIFF header; 1 to 8 are legal.

    1 where there is no tag, where it is of an illegal type and where the packet is broken or cut off: a
    picture is not refused for its metadata. Only the first directory is read. A leading `Exif\0\0`, which
    belongs to JPEG but is also written into other containers, is passed over.
    """
    if tiff[:6] == PREFIX:
        tiff = tiff[6:]
    order = _ORDERS.get(bytes(tiff[:4]))
    if order is None or len(tiff) < 8:
        return 1
    offset, count, entry, shift = order
    (start,) = offset.unpack_from(tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (entries,) = count.unpack_from(tiff, start)
    there = min(entries, (len(tiff) - start - 2) // entry.size)
    for tag, kind, values, value in entry.iter_unpack(tiff[start + 2 : start + 2 + there * entry.size]):
        if tag == ORIENTATION:
            if kind == SHORT:
                value = value >> shift & 0xFFFF
            return value if values == 1 and kind in (SHORT, LONG) else 1
    return 1


def comment(block: memoryview) -> tuple[bytes, str] | None:
    """The bytes of the UserComment, its code of eight bytes included, and the block's byte order ("<", ">").

    It stands in the Exif directory; some tools put it into the first one, where it is found too. None where
    there is none, and where the block is broken.
    """
    try:
        form = ifd.form_of(block)
        fields, _ = ifd.directory(form, block, ifd.first(form, block))
        found = user_comment(form, block, fields)
        return None if found is None else (bytes(found), form.order)
    except (ValueError, LookupError):
        return None


def user_comment(form: ifd.Form, block: memoryview, fields: ifd.Fields) -> memoryview | None:
    """The same by the fields of the first directory; ShortError where it goes on behind `block`."""
    at = ifd.number(form, block, fields, EXIF)
    exif = ifd.directory(form, block, at)[0] if at else {}
    found = exif.get(USER_COMMENT) or fields.get(USER_COMMENT)
    return None if found is None else ifd.value(block, found)


def text(value: bytes, order: str) -> str | None:
    """The text in a UserComment, whatever its code; None where it is blank or no text.

    UNICODE is UTF-16 in the block's byte order by practice; other orders and UTF-8 are recognised, and so is
    a comment without a code.
    """
    code, rest = value[:8], value[8:]
    if code == b"UNICODE\0":
        found = _utf16(rest, order)
    elif code in (ASCII, b"JIS\0\0\0\0\0", bytes(8)) or code.rstrip(b"\0 ") in (b"", b"ASCII"):
        found = _decoded(rest, "shift_jis" if code.startswith(b"JIS") else "latin-1")
    else:
        found = _decoded(value, "latin-1")
    found = None if found is None else found.strip("\0 \t\r\n\ufeff")
    return found or None


def ours(comment: tuple[bytes, str] | None) -> bytes | None:
    """The payload in a UserComment, whatever code a tool has given it; None where there is none."""
    if comment is None:
        return None
    value, order = comment
    plain = value.startswith(ASCII)
    found = value[len(ASCII) :] if plain else (text(value, order) or "").encode()
    return found if payload.is_payload(found) else None


def read(block: memoryview, tag: int) -> str | None:
    """The text in a tag of the first or the Exif directory; None where there is none, or it is blank.

    ValueError where the block is broken.
    """
    form = ifd.form_of(block)
    fields, _ = ifd.directory(form, block, ifd.first(form, block))
    at = ifd.number(form, block, fields, EXIF)
    found = (ifd.directory(form, block, at)[0] if at else {}).get(tag) or fields.get(tag)
    if found is None:
        return None
    stored = bytes(ifd.value(block, found))
    if tag == USER_COMMENT:
        return text(stored, form.order)
    if tags.is_wide(tag):
        return stored.decode("utf-16-le", "replace").rstrip("\0") or None
    return _decoded(stored, "latin-1") or None


def edits(
    block: memoryview,
    comment: bytes | Text | None,
    xmp: bytes | None = None,
    size: tuple[int, int] | None = None,
) -> list[Edit]:
    """The edits that give a block a UserComment or another text, and where it is a TIFF file, XMP.

    `size`, of a JPEG as stored, goes into an Exif directory that has to be made, with all else that the
    standard asks of one.

    All but the patch of one pointer stands behind the block's end. Raises ValueError where the block is
    broken, struct.error where it would need offsets that it cannot write.
    """
    form = ifd.form_of(block)
    first = ifd.first(form, block)
    fields, _ = ifd.directory(form, block, first)
    end = len(block)
    added = bytearray(end % 2)
    patches: list[Edit] = []
    entries: dict[int, bytes | None] = {}

    def place(data: bytes) -> int:
        at = end + len(added)
        added.extend(data + bytes(len(data) % 2))
        return at

    if comment is not None:
        tag, kind, value = _stored(comment, form.order)
        within = len(value) <= form.offset.size
        own = ifd.entry(form, tag, kind, len(value), value if within else place(value))
        link = fields.get(EXIF)
        if isinstance(comment, Text) and comment.main:
            entries[tag] = own
        elif link is None:
            own_directory = ifd.directory_of(form, {tag: own, **_required(form, size)})
            entries[EXIF] = ifd.pointer(form, EXIF, place(own_directory))
        else:
            new = place(_lone(form, block, _exif_at(form, block, fields), {tag: own}))
            if xmp is None and link.kind != SHORT:
                width = ifd.SIZES[link.kind]
                patches.append(Edit(link.at, link.at + width, new.to_bytes(width, ifd.byte_order(form))))
            else:
                entries[EXIF] = ifd.pointer(form, EXIF, new)
    if xmp is not None:
        entries[XMP] = ifd.entry(form, XMP, ifd.BYTE, len(xmp), place(xmp))
    if entries:
        new = place(ifd.changed(form, block, first, entries))
        patches.append(Edit(form.first, form.first + form.offset.size, form.offset.pack(new)))
    return [*patches, Edit(end, end, bytes(added))]


def removal(block: memoryview, tags: frozenset[int] = frozenset({USER_COMMENT})) -> list[Edit] | None:
    """The edits that take the UserComment out of a block, or the XMP of a TIFF file, or both, by their tags.

    Their bytes become zero. A comment that is not ours stays, and one that ours replaced comes back. None
    where nothing would be left but what `fresh` writes.
    """
    form = ifd.form_of(block)
    first = ifd.first(form, block)
    fields, _ = ifd.directory(form, block, first)
    changes: list[Edit] = []
    gone = {XMP} & tags & fields.keys()
    exif: ifd.Fields = {}
    held = None
    if USER_COMMENT in tags and EXIF in fields:
        at = _exif_at(form, block, fields)
        exif, _ = ifd.directory(form, block, at)
        held = _held(form, block, exif)
        if held is not None:
            before = payload.replaced(held)
            if USER_COMMENT in fields and bytes(ifd.value(block, fields[USER_COMMENT])) == before:
                before = None  # it stood there, and stands there
            if before is not None and len(before) <= exif[USER_COMMENT].values:
                changes += _put_back(form, block, at, exif[USER_COMMENT], before)
            elif _made_here(form, block, exif):
                gone.add(EXIF)
                changes += [Edit(at, end := _end(form, block, at), bytes(end - at))]
                changes.append(_blank(exif[USER_COMMENT]))
            else:
                short = _lone(form, block, at, {USER_COMMENT: None})
                changes.append(Edit(at, end := _end(form, block, at), short.ljust(end - at, b"\0")))
                changes.append(_blank(exif[USER_COMMENT]))
    own = fields.get(SOFTWARE)
    if own is not None and bytes(ifd.value(block, own)) == MAKER:
        alone = fields.keys() <= _FRESH and exif.keys() <= _FRESH_EXIF | {USER_COMMENT}
        if alone and (held is None or payload.replaced(held) is None):
            return None
        gone.add(SOFTWARE)
    if USER_COMMENT in tags and _held(form, block, fields) is not None:
        gone.add(USER_COMMENT)
    for tag in gone - {EXIF}:
        if fields[tag].values * ifd.SIZES[fields[tag].kind] > form.offset.size:
            changes.append(_blank(fields[tag]))
    if gone:
        changes.append(_without(form, block, first, gone))
    return sorted(changes)


def fresh(comment: bytes | Text, size: tuple[int, int], density: tuple[int, int, int] = (2, 72, 72)) -> bytes:
    """A whole block with a UserComment or another text, and what the standard asks of a JPEG's beside it.

    `size` is the stored width and height, `density` the resolution's unit (2 inch, 3 centimetre) and the
    resolution across and down.
    """
    if isinstance(comment, Text):
        return _with_text(comment, size, density)
    before, behind = _around_count(size, density)
    return b"%b%b%b%b" % (before, _LONG.pack(len(comment)), behind, comment)


EXIF_VERSION, COMPONENTS, FLASHPIX_VERSION, COLOR_SPACE = 0x9000, 0x9101, 0xA000, 0xA001
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _YCBCR_POSITIONING = 0x011A, 0x011B, 0x0128, 0x0213
_IMAGE_WIDTH, _IMAGE_HEIGHT = 0xA002, 0xA003
_FRESH = frozenset({SOFTWARE, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _YCBCR_POSITIONING, EXIF})
_FRESH_EXIF = frozenset(
    {EXIF_VERSION, COMPONENTS, FLASHPIX_VERSION, COLOR_SPACE, _IMAGE_WIDTH, _IMAGE_HEIGHT}
)
_SHORT, _LONG, _DENSITY = Struct("<H"), Struct("<I"), Struct("<4I")


def _exif_at(form: ifd.Form, block: memoryview, fields: ifd.Fields) -> int:
    at = ifd.number(form, block, fields, EXIF)
    if not at:
        raise ValueError("the pointer to the Exif directory is none")
    return at


def _stored(comment: bytes | Text, order: str) -> tuple[int, int, bytes]:
    """Tag, type and bytes."""
    if isinstance(comment, Text):
        return comment.tag, *comment.value(order)
    return USER_COMMENT, ifd.UNDEFINED, comment


def _with_text(given: Text, size: tuple[int, int], density: tuple[int, int, int]) -> bytes:
    """A block with a text that is not ours, so without a word of who made it."""
    form = ifd.FORMS[b"II*\0"]
    tag, kind, value = _stored(given, form.order)
    own = _required(form, size)
    first = 8
    values = first + 2 + (5 + given.main) * 12 + 4
    exif = values + 16
    end = exif + 2 + (len(own) + (not given.main)) * 12 + 4
    within = len(value) <= form.offset.size
    held = {tag: ifd.entry(form, tag, kind, len(value), value if within else end)}
    unit, across, down = density
    main = {
        _X_RESOLUTION: ifd.entry(form, _X_RESOLUTION, ifd.RATIONAL, 1, values),
        _Y_RESOLUTION: ifd.entry(form, _Y_RESOLUTION, ifd.RATIONAL, 1, values + 8),
        _RESOLUTION_UNIT: ifd.entry(form, _RESOLUTION_UNIT, ifd.SHORT, 1, _SHORT.pack(unit)),
        _YCBCR_POSITIONING: ifd.entry(form, _YCBCR_POSITIONING, ifd.SHORT, 1, b"\1\0"),
        EXIF: ifd.pointer(form, EXIF, exif),
    }
    parts = (
        b"II*\0" + form.offset.pack(first),
        ifd.directory_of(form, main | held if given.main else main),
        _DENSITY.pack(across, 1, down, 1),
        ifd.directory_of(form, own if given.main else own | held),
        b"" if within else value,
    )
    return b"".join(parts)


def _required(form: ifd.Form, size: tuple[int, int] | None) -> dict[int, bytes]:
    """The entries that the standard asks of an Exif directory; of a JPEG's where there is a size."""
    entries = {
        EXIF_VERSION: ifd.entry(form, EXIF_VERSION, ifd.UNDEFINED, 4, b"0232"),
        FLASHPIX_VERSION: ifd.entry(form, FLASHPIX_VERSION, ifd.UNDEFINED, 4, b"0100"),
        COLOR_SPACE: ifd.entry(form, COLOR_SPACE, ifd.SHORT, 1, b"\xff\xff"),  # uncalibrated
    }
    if size is not None:
        entries |= {
            COMPONENTS: ifd.entry(form, COMPONENTS, ifd.UNDEFINED, 4, b"\1\2\3\0"),
            _IMAGE_WIDTH: ifd.entry(form, _IMAGE_WIDTH, ifd.LONG, 1, size[0]),
            _IMAGE_HEIGHT: ifd.entry(form, _IMAGE_HEIGHT, ifd.LONG, 1, size[1]),
        }
    return entries


def _made_here(form: ifd.Form, block: memoryview, exif: ifd.Fields) -> bool:
    """Whether an Exif directory holds just what `edits` puts into one that it makes."""
    if exif.keys() - {USER_COMMENT} not in (_required(form, None).keys(), _FRESH_EXIF):
        return False
    stated = {EXIF_VERSION: b"0232", FLASHPIX_VERSION: b"0100", COLOR_SPACE: b"\xff\xff"}
    return all(ifd.value(block, exif[tag]) == value for tag, value in stated.items())


def _held(form: ifd.Form, block: memoryview, fields: ifd.Fields) -> bytes | None:
    """Our payload in the UserComment of a directory."""
    field = fields.get(USER_COMMENT)
    return None if field is None else ours((bytes(ifd.value(block, field)), form.order))


def _put_back(form: ifd.Form, block: memoryview, at: int, field: ifd.Field, before: bytes) -> list[Edit]:
    """The comment that ours replaced, in the place of ours."""
    size = field.values * ifd.SIZES[field.kind]
    value = before if len(before) <= form.offset.size else field.at
    own = ifd.entry(form, USER_COMMENT, ifd.UNDEFINED, len(before), value)
    text = before if isinstance(value, int) else b""
    return sorted(
        [
            Edit(at, _end(form, block, at), _lone(form, block, at, {USER_COMMENT: own})[: -form.offset.size]),
            Edit(field.at, field.at + size, text.ljust(size, b"\0")),
        ]
    )


def _lone(form: ifd.Form, block: memoryview, at: int, entries: Mapping[int, bytes | None]) -> bytes:
    """The Exif directory at byte `at`, changed. None follows it, whatever stands where its offset should be.

    piexif has a value there already.
    """
    return ifd.changed(form, block, at, entries)[: -form.offset.size] + bytes(form.offset.size)


def _without(form: ifd.Form, block: memoryview, at: int, tags: set[int]) -> Edit:
    """The directory at byte `at` made shorter by some entries, in its place."""
    end = _end(form, block, at)
    short = ifd.changed(form, block, at, dict.fromkeys(tags))
    return Edit(at, end, short.ljust(end - at, b"\0"))


def _end(form: ifd.Form, block: memoryview, at: int) -> int:
    """Of the entries of the directory at byte `at`, before the offset of the one that follows."""
    entries, _ = ifd.raw(form, block, at)
    return at + form.number.size + len(entries) * form.entry.size


def _blank(field: ifd.Field) -> Edit:
    size = field.values * ifd.SIZES[field.kind]
    return Edit(field.at, field.at + size, bytes(size))


def _decoded(data: bytes, other: str) -> str | None:
    for encoding in ("utf-8", other):
        try:
            return data.rstrip(b"\0").decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _utf16(data: bytes, order: str) -> str | None:
    orders = ("utf-16-le", "utf-16-be") if order == "<" else ("utf-16-be", "utf-16-le")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        orders = ("utf-16-le", "utf-16-be") if data[:1] == b"\xff" else ("utf-16-be", "utf-16-le")
    readings = []
    for encoding in orders:
        try:
            readings.append(data[: len(data) // 2 * 2].decode(encoding))
        except UnicodeDecodeError:
            continue
    for reading in readings:  # most of any text that labels are in is ASCII
        if sum(character < "\x80" for character in reading) * 2 >= len(reading):
            return reading
    return _decoded(data, "latin-1") if not readings or data[:1] in (b"{", b"[") else readings[0]


@lru_cache(maxsize=64)
def _around_count(size: tuple[int, int], density: tuple[int, int, int]) -> tuple[bytes, bytes]:
    """All of a fresh block but the comment and its count: what stands before the count and behind it."""
    unit, across, down = density
    block = bytearray(_TEMPLATE)
    _SHORT.pack_into(block, _PLACES[_RESOLUTION_UNIT], unit)
    _DENSITY.pack_into(block, _PLACES[_X_RESOLUTION], across, 1, down, 1)
    _LONG.pack_into(block, _PLACES[_IMAGE_WIDTH], size[0])
    _LONG.pack_into(block, _PLACES[_IMAGE_HEIGHT], size[1])
    count = _PLACES[USER_COMMENT]
    return bytes(block[:count]), bytes(block[count + _LONG.size :])


def _template() -> tuple[bytes, dict[int, int]]:
    """All of a fresh block but the comment, and where the values and counts stand that `fresh` fills in."""
    form = ifd.FORMS[b"II*\0"]
    first = 8
    values = first + 2 + 6 * 12 + 4
    exif = values + len(MAKER) + 16
    end = exif + 2 + 7 * 12 + 4
    main = {
        SOFTWARE: ifd.entry(form, SOFTWARE, ifd.ASCII, len(MAKER), values),
        _X_RESOLUTION: ifd.entry(form, _X_RESOLUTION, ifd.RATIONAL, 1, values + len(MAKER)),
        _Y_RESOLUTION: ifd.entry(form, _Y_RESOLUTION, ifd.RATIONAL, 1, values + len(MAKER) + 8),
        _RESOLUTION_UNIT: ifd.entry(form, _RESOLUTION_UNIT, ifd.SHORT, 1, b""),
        _YCBCR_POSITIONING: ifd.entry(form, _YCBCR_POSITIONING, ifd.SHORT, 1, b"\1\0"),
        EXIF: ifd.pointer(form, EXIF, exif),
    }
    own = {USER_COMMENT: ifd.entry(form, USER_COMMENT, ifd.UNDEFINED, 0, end), **_required(form, (0, 0))}
    head = b"II*\0" + form.offset.pack(first) + ifd.directory_of(form, main) + MAKER + bytes(16)
    head += ifd.directory_of(form, own)
    assert len(head) == end
    places = {_X_RESOLUTION: values + len(MAKER)}
    places[_RESOLUTION_UNIT] = first + 2 + sorted(main).index(_RESOLUTION_UNIT) * 12 + 8
    for tag in (_IMAGE_WIDTH, _IMAGE_HEIGHT):
        places[tag] = exif + 2 + sorted(own).index(tag) * 12 + 8
    places[USER_COMMENT] = exif + 2 + sorted(own).index(USER_COMMENT) * 12 + 4
    return head, places


_TEMPLATE, _PLACES = _template()


_ORDERS = {
    # a SHORT stands in the first two of the four value bytes: the low half in Intel's order, else the high
    b"II*\0": (Struct("<I"), Struct("<H"), Struct("<HHII"), 0),
    b"MM\0*": (Struct(">I"), Struct(">H"), Struct(">HHII"), 16),
}
