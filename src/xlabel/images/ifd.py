"""Directories, the grammar of TIFF and of EXIF: read them, and change them by what is added behind.

TIFF 6.0, section 2; BigTIFF (Joris Van Damme, 2007; the rule libtiff follows), which widens counts and
offsets to eight bytes. Offsets count from the first byte of the block, which is a file or an EXIF packet.
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Literal, NamedTuple

from xlabel.images import ShortError, unpack

MAX_ENTRIES = 65_535
"""Classic TIFF's most; BigTIFF's count would allow any number."""
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16


class Form(NamedTuple):
    """How a file writes its numbers. `first` is where the first directory's offset stands."""

    order: str
    first: int
    offset: Struct
    number: Struct
    entry: Struct


class Field(NamedTuple):
    """A directory's entry: its type, how many values, and where they begin."""

    kind: int
    values: int
    at: int


Fields = dict[int, Field]

FORMS = {
    magic: Form(
        order, first, Struct(order + offset), Struct(order + count), Struct(order + "HH" + offset * 2)
    )
    for magic, order, first, offset, count in (
        (b"II*\0", "<", 4, "I", "H"),
        (b"MM\0*", ">", 4, "I", "H"),
        (b"II+\0", "<", 8, "Q", "Q"),
        (b"MM\0+", ">", 8, "Q", "Q"),
    )
}

_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""The types of whole numbers: BYTE, SHORT, LONG, IFD, LONG8, IFD8."""
SIZES = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
"""Bytes of a value, by type. A field of another type is passed over, as the specification asks."""


def form_of(data: memoryview) -> Form:
    """How a block that begins with `data` writes its numbers; ValueError where it is no such block."""
    form = FORMS.get(bytes(data[:4]))
    if form is None:
        raise ValueError(f"expected a TIFF header, found {bytes(data[:4]).hex()}")
    return form


def byte_order(form: Form) -> Literal["little", "big"]:
    """For `int.from_bytes` and `int.to_bytes`."""
    return "little" if form.order == "<" else "big"


def first(form: Form, data: memoryview) -> int:
    """Where the first directory begins."""
    return int(unpack(form.offset, data, form.first)[0])


def directories(form: Form, data: memoryview) -> Iterator[tuple[int, Fields]]:
    """Place and fields of each directory in the chain."""
    at = first(form, data)
    seen = set()
    while at and at not in seen:
        seen.add(at)
        fields, following = directory(form, data, at)
        yield at, fields
        (at,) = unpack(form.offset, data, following)


def directory(form: Form, data: memoryview, at: int) -> tuple[Fields, int]:
    """The fields of the directory at byte `at`, and where the next directory's offset stands."""
    (entries,) = unpack(form.number, data, at)
    if not 1 <= entries <= MAX_ENTRIES:
        raise ValueError(f"a directory of {entries} entries at byte {at}")
    start, size = at + form.number.size, form.entry.size
    end = start + entries * size
    if end > len(data):
        raise ShortError(end)
    fields: Fields = {}
    values = form.entry.iter_unpack(data[start:end])
    for entry, (tag, kind, count, offset) in enumerate(values, start=1):
        if kind in SIZES and tag not in fields:
            within = count * SIZES[kind] <= form.offset.size
            fields[tag] = Field(kind, count, start + entry * size - form.offset.size if within else offset)
    return fields, end


def number(form: Form, data: memoryview, fields: Fields, tag: int) -> int:
    """The field's only value, or 0 where there is no such field of one whole number."""
    field = fields.get(tag)
    if field is None or field.values != 1 or field.kind not in _CODES:
        return 0
    return int(numbers(form, data, field)[0])


def numbers(form: Form, data: memoryview, field: Field) -> tuple[int, ...]:
    """The whole numbers of a field; ValueError where it holds others."""
    if field.kind not in _CODES:
        raise ValueError(f"expected whole numbers at byte {field.at}, found values of type {field.kind}")
    end = field.at + field.values * SIZES[field.kind]
    if end > len(data):  # before a Struct of any size is made
        raise ShortError(end)
    return unpack(Struct(f"{form.order}{field.values}{_CODES[field.kind]}"), data, field.at)


def value(data: memoryview, field: Field) -> memoryview:
    """The bytes of a field's values; ShortError where they go on behind `data`."""
    end = field.at + field.values * SIZES[field.kind]
    if end > len(data):
        raise ShortError(end)
    return data[field.at : end]


def entry(form: Form, tag: int, kind: int, count: int, field: int | bytes) -> bytes:
    """A directory's entry. `field` is an offset, or the value itself where it fits into those bytes."""
    if isinstance(field, int):
        return form.entry.pack(tag, kind, count, field)
    head = form.entry.pack(tag, kind, count, 0)[: -form.offset.size]
    return head + field.ljust(form.offset.size, b"\0")


def pointer(form: Form, tag: int, offset: int) -> bytes:
    """An entry that leads to another directory."""
    return entry(form, tag, LONG if form.offset.size == 4 else LONG8, 1, offset)


def changed(form: Form, data: memoryview, at: int, entries: Mapping[int, bytes | None]) -> bytes:
    """The directory at byte `at` with some entries in place of others of their tags, or of none.

    The directory that follows stays the same; values stay where they are, as offsets do not change. Entries
    that stand out of order, or twice, stay so: readers differ in what they make of these.
    """
    kept, following = raw(form, data, at)
    found = [(tag, one) for tag, one in kept if tag not in entries]
    for tag, one in entries.items():
        if one is not None:
            place = next((at for at, (other, _) in enumerate(found) if other > tag), len(found))
            found.insert(place, (tag, one))
    return _joined(form, [one for _, one in found], following)


def directory_of(form: Form, entries: Mapping[int, bytes]) -> bytes:
    """A directory of these entries, which no other follows."""
    return _joined(form, [entries[tag] for tag in sorted(entries)], bytes(form.offset.size))


def raw(form: Form, data: memoryview, at: int) -> tuple[list[tuple[int, bytes]], bytes]:
    """Tag and bytes of each entry of the directory at byte `at`, and the offset of the one that follows."""
    (entries,) = unpack(form.number, data, at)
    if entries > MAX_ENTRIES:
        raise ValueError(f"a directory of {entries} entries at byte {at}")
    start, size = at + form.number.size, form.entry.size
    end = start + entries * size
    if end + form.offset.size > len(data):
        raise ShortError(end + form.offset.size)
    order = byte_order(form)
    places = range(start, end, size)
    found = [(int.from_bytes(data[one : one + 2], order), bytes(data[one : one + size])) for one in places]
    return found, bytes(data[end : end + form.offset.size])


def _joined(form: Form, entries: list[bytes], following: bytes) -> bytes:
    return form.number.pack(len(entries)) + b"".join(entries) + following
