"""TIFF, classic and BigTIFF (so also DNG and its like): the first directory. TIFF 6.0, section 2; BigTIFF.

BigTIFF (Joris Van Damme, 2007; the rule libtiff follows) widens counts and offsets to eight bytes.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from xlabel.images import Header, ShortError, unpack

MIME = "image/tiff"

WIDTH, HEIGHT, ORIENTATION = 256, 257, 274
DATA = ((273, 279), (324, 325))
"""Offsets and byte counts, of strips and of tiles."""
MAX_ENTRIES = 65_535
"""Classic TIFF's most; BigTIFF's count would allow any number."""


def header(data: memoryview) -> Header:
    """Size and orientation of the first image."""
    form = _form(data)
    (first,) = unpack(form.offset, data, form.first)
    fields, _ = _directory(form, data, first)
    width, height, orientation = (_number(form, data, fields, tag) for tag in (WIDTH, HEIGHT, ORIENTATION))
    return Header(MIME, width, height, orientation if 1 <= orientation <= 8 else 1)


def cut(data: memoryview) -> str | None:
    """Complete where each image's directory, fields, strips and tiles lie within the file."""
    form = _form(data)
    for at, fields in _directories(form, data):
        end = max((field.at + field.values * _SIZES[field.kind] for field in fields.values()), default=0)
        for offsets, counts in DATA:
            if end <= len(data) and offsets in fields and counts in fields:
                places, sizes = (_numbers(form, data, fields[tag]) for tag in (offsets, counts))
                end = max(map(sum, zip(places, sizes, strict=False)), default=0)
        if end > len(data):
            return f"what the directory at byte {at} names ends at byte {end}, the file at byte {len(data)}"
    return None


class _Form(NamedTuple):
    """How a file writes its numbers. `first` is where the first directory's offset stands."""

    order: str
    first: int
    offset: Struct
    number: Struct
    entry: Struct


class _Field(NamedTuple):
    """A directory's entry: its type, how many values, and where they begin."""

    kind: int
    values: int
    at: int


_Fields = dict[int, _Field]

_FORMS = {
    magic: _Form(
        order, first, Struct(order + offset), Struct(order + count), Struct(order + "HH" + offset * 2)
    )
    for magic, order, first, offset, count in (
        (b"II*\0", "<", 4, "I", "H"),
        (b"MM\0*", ">", 4, "I", "H"),
        (b"II+\0", "<", 8, "Q", "Q"),
        (b"MM\0+", ">", 8, "Q", "Q"),
    )
}

_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The types of whole numbers: BYTE, SHORT, LONG, LONG8."""
_SIZES = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
"""Bytes of a value, by type. A field of another type is passed over, as the specification asks."""


def _form(data: memoryview) -> _Form:
    return _FORMS[bytes(data[:4])]


def _directories(form: _Form, data: memoryview) -> Iterator[tuple[int, _Fields]]:
    (at,) = unpack(form.offset, data, form.first)
    seen = set()
    while at and at not in seen:
        seen.add(at)
        fields, following = _directory(form, data, at)
        yield at, fields
        (at,) = unpack(form.offset, data, following)


def _directory(form: _Form, data: memoryview, at: int) -> tuple[_Fields, int]:
    """The fields of the directory at byte `at`, and where the next directory's offset stands."""
    (entries,) = unpack(form.number, data, at)
    if not 1 <= entries <= MAX_ENTRIES:
        raise ValueError(f"a directory of {entries} entries at byte {at}")
    start, size = at + form.number.size, form.entry.size
    end = start + entries * size
    if end > len(data):
        raise ShortError(end)
    fields: _Fields = {}
    values = form.entry.iter_unpack(data[start:end])
    for entry, (tag, kind, count, offset) in enumerate(values, start=1):
        if kind in _SIZES and tag not in fields:
            within = count * _SIZES[kind] <= form.offset.size
            fields[tag] = _Field(kind, count, start + entry * size - form.offset.size if within else offset)
    return fields, end


def _number(form: _Form, data: memoryview, fields: _Fields, tag: int) -> int:
    """The field's only value, or 0 where there is no such field of one whole number."""
    field = fields.get(tag)
    if field is None or field.values != 1 or field.kind not in _CODES:
        return 0
    return int(_numbers(form, data, field)[0])


def _numbers(form: _Form, data: memoryview, field: _Field) -> tuple[int, ...]:
    end = field.at + field.values * _SIZES[field.kind]
    if end > len(data):  # before a Struct of any size is made
        raise ShortError(end)
    return unpack(Struct(f"{form.order}{field.values}{_CODES[field.kind]}"), data, field.at)
