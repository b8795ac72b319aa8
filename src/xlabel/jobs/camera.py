"""What a camera said of a picture: the fields of EXIF, read by Pillow."""

import io
from math import isfinite
from typing import Any

from xlabel.images import embedding
from xlabel.pictures.pillow import reading

IFDS = {"Exif": 0x8769, "GPSInfo": 0x8825, "Interop": 0xA005}
"""The directories of EXIF besides the first, by Pillow's names."""
PASSED_OVER = frozenset(
    "MakerNote UserComment ExifOffset GPSInfo ExifInteroperabilityOffset "
    "StripOffsets StripByteCounts TileOffsets TileByteCounts JpegIFOffset JpegIFByteCount".split()
)
"""What is no word of the camera's that anybody else could read, and what may be our labels."""
OURS = (
    "Software ResolutionUnit XResolution YResolution YCbCrPositioning ExifVersion ComponentsConfiguration "
    "FlashPixVersion ColorSpace ExifImageWidth ExifImageHeight"
).split()
"""What xlabel writes into an image without EXIF, beside the labels: no camera said it.

Only for images that another tool has changed since: what the others held before is known.
"""
LONGEST = 1000
"""Characters or values of a field; more is data, such as a table of colours."""


def camera(path: bytes) -> dict[str, Any]:
    """The EXIF fields of an image that have a name, as Pillow reads and names them; {} where there are none.

    Of a labelled image they are those that it had before, where that can be proved. Fractions are numbers,
    several values a list, bytes that are ASCII text.
    """
    from PIL import ExifTags

    fields: dict[str, Any] = {}
    try:
        with open(path, "rb") as file, reading(io.BytesIO(_unlabelled(file.read()))) as picture:
            exif = picture.getexif()
            parts = [(dict(exif), ExifTags.TAGS)]
            for name, at in IFDS.items():
                tags = ExifTags.GPSTAGS if name == "GPSInfo" else ExifTags.TAGS
                parts.append((exif.get_ifd(at), tags))
    except (OSError, ValueError):
        return {}
    for values, tags in parts:
        for tag, value in values.items():
            name = tags.get(tag, "")
            plain = _plain(value)
            if name and name not in PASSED_OVER and plain is not None:
                fields[name] = plain
    if fields.get("Software") == "xlabel":
        return {name: value for name, value in fields.items() if name not in OURS}
    return fields


def _unlabelled(data: bytes) -> bytes:
    """The image as it was before labels were put into it, or as it is."""
    try:
        newest = embedding.get(data).newest
        restored = embedding.restore(data, newest) if newest else None
    except ValueError:
        return data
    return data if restored is None else b"".join(restored)


def _plain(value: Any) -> Any:
    """A value of EXIF in JSON's words; None where it has none."""
    if isinstance(value, bytes):
        value = value.rstrip(b"\0").decode("ascii", "replace")
        if not value.isprintable() or "\ufffd" in value:
            return None
    if isinstance(value, str):
        text = value.replace("\0", " ").strip()
        return text if text and len(text) <= LONGEST else None
    if isinstance(value, tuple | list):
        values = [_plain(one) for one in value]
        return None if None in values or len(values) > LONGEST else values
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (int(number) if number.is_integer() else number) if isfinite(number) else None
