"""EXIF: the orientation in a TIFF-shaped packet. CIPA DC-008 (Exif 3.0) 4.6.4; TIFF 6.0, section 2."""

from struct import Struct

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
SHORT, LONG = 3, 4


def orientation(tiff: memoryview) -> int:
    r"""The Orientation tag, 1 to 8, of a packet that begins with the TIFF header.

    1 where there is no tag, where its value is illegal and where the packet is broken or cut off: a picture
    is not refused for its metadata. Only the first directory is read. A leading `Exif\0\0`, which belongs
    to JPEG but is also written into other containers, is passed over.
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
            return value if values == 1 and kind in (SHORT, LONG) and 1 <= value <= 8 else 1
    return 1


_ORDERS = {
    # a SHORT stands in the first two of the four value bytes: the low half in Intel's order, else the high
    b"II*\0": (Struct("<I"), Struct("<H"), Struct("<HHII"), 0),
    b"MM\0*": (Struct(">I"), Struct(">H"), Struct(">HHII"), 16),
}
