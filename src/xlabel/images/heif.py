"""HEIF (AVIF, HEIC): size and turns of the primary item. ISO/IEC 23008-12, 6.5; MIAF: ISO/IEC 23000-22.

Where there is an Exif item too, its orientation does not count: the file's own properties are what is shown.
"""

from collections.abc import Iterator
from struct import Struct

from xlabel.images import Header, ShortError, boxes

MIME = "image/heif"  # of the family; a header says which of the two below
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
