"""TIFF, classic and BigTIFF (so also DNG and its like): the first directory. TIFF 6.0, sections 2, 7, 8."""

from xlabel.images import Header, ifd

MIME = "image/tiff"

WIDTH, HEIGHT, ORIENTATION = 256, 257, 274
DATA = ((273, 279), (324, 325))
"""Offsets and byte counts, of strips and of tiles."""


def header(data: memoryview) -> Header:
    """Size and orientation of the first image."""
    form = ifd.form_of(data)
    fields, _ = ifd.directory(form, data, ifd.first(form, data))
    width, height, orientation = (ifd.number(form, data, fields, tag) for tag in (WIDTH, HEIGHT, ORIENTATION))
    return Header(MIME, width, height, orientation if 1 <= orientation <= 8 else 1)


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
