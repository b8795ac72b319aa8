"""ZIP, stored: PKWARE APPNOTE 6.3.10. The records here also give an .mp4 its ZIP face.

`crc32` is that of zlib, by ISA-L where that is installed: it takes a tenth of the time.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as StructError

from xlabel.bundles import Directory, Index, ReadAt, Trailer
from xlabel.errors import CorruptError

try:
    from isal.isal_zlib import crc32 as crc32
except ImportError:  # no wheel for this machine
    from zlib import crc32 as crc32

NAME = "zip"
MAX_SIZE = 1 << 50
HEAD = b""

LOCAL = Struct("<4s5H3I2H")
CENTRAL = Struct("<4s6H3I5H2I")
END = Struct("<4s4H2IH")
END64 = Struct("<4sQ2H2I4Q")
LOCATOR = Struct("<4sIQI")

PIECE = 1 << 20
LONGEST = CENTRAL.size + 3 * 0xFFFF
"""Bytes of the longest record of a directory."""
MAX32 = 0xFFFF_FFFF
MAX16 = 0xFFFF
MIDNIGHT_1980 = (0, 33)  # no clock time: equal input gives equal bytes
UNIX_FILE = 0o100644 << 16


def prefix(name: bytes, size: int, face: bool = True) -> bytes:
    """Local file header: 30 bytes and the name; 20 more from 4 GiB on."""
    extra = b"" if size < MAX32 else Struct("<2H2Q").pack(1, 16, size, size)
    version = 45 if extra else 10
    short = min(size, MAX32)
    fields = (version, _flags(name), 0, *MIDNIGHT_1980, 0, short, short, len(name), len(extra))
    return LOCAL.pack(b"PK\x03\x04", *fields) + name + extra


def crc_at(face: bool = True) -> int | None:
    return 14


def padding(size: int) -> int:
    return 0


def record(name: bytes, size: int, crc: int, offset: int) -> bytes:
    """Central directory record; zip64 fields only where a number needs them."""
    wide = [number for number in (size, size, offset) if number >= MAX32]
    if size < MAX32 <= offset:
        wide = [offset]
    extra = Struct(f"<2H{len(wide)}Q").pack(1, 8 * len(wide), *wide) if wide else b""
    short = min(size, MAX32)
    return (
        CENTRAL.pack(
            b"PK\x01\x02",
            (3 << 8) | (45 if wide else 20),
            45 if wide else 10,
            _flags(name),
            0,
            *MIDNIGHT_1980,
            crc,
            short,
            short,
            len(name),
            len(extra),
            0,
            0,
            0,
            UNIX_FILE,
            min(offset, MAX32),
        )
        + name
        + extra
    )


def finish(end: int, directory: Directory, face: bool = True) -> Iterator[tuple[int, bytes]]:
    """The central directory behind the last file."""
    frames = len(directory.offsets)
    trailer = Trailer(NAME, directory.pack_id, frames, end, end, frames)
    at = end
    for piece in ending(end, directory, trailer):
        yield at, piece
        at += len(piece)


def ending(at: int, directory: Directory, trailer: Trailer) -> Iterable[bytes]:
    """Central directory, its zip64 end where needed, and its end with the trailer as comment."""
    yield from directory.records()
    count, size = directory.entries, directory.records_size
    if count >= MAX16 or size >= MAX32 or at >= MAX32:
        yield END64.pack(b"PK\x06\x06", END64.size - 12, (3 << 8) | 45, 45, 0, 0, count, count, size, at)
        yield LOCATOR.pack(b"PK\x06\x07", 0, at + size, 1)
    line = trailer.line()
    short = min(count, MAX16)
    yield END.pack(b"PK\x05\x06", 0, 0, short, short, min(size, MAX32), min(at, MAX32), len(line)) + line


def ending_size(at: int, directory: Directory, trailer: Trailer) -> int:
    """Bytes of `ending`."""
    wide = directory.entries >= MAX16 or directory.records_size >= MAX32 or at >= MAX32
    return (
        directory.records_size + (END64.size + LOCATOR.size if wide else 0) + END.size + len(trailer.line())
    )


def index(read: ReadAt, size: int, trailer: Trailer) -> Index:
    """Offsets and names out of the central directory."""
    import numpy as np

    offsets = np.empty(trailer.frames, "u8")
    sizes = np.empty(trailer.frames, "u8")
    names: list[bytes] = []
    at, frame = trailer.index, 0
    try:
        while bytes(read(at, 4)) == b"PK\x01\x02":
            fields = CENTRAL.unpack(read(at, CENTRAL.size))
            length, place = fields[8], fields[16]
            name_size, extra_size = fields[10], fields[11]
            name = bytes(read(at + CENTRAL.size, name_size))
            extra = bytes(read(at + CENTRAL.size + name_size, extra_size))
            at += CENTRAL.size + name_size + extra_size + fields[12]
            length, place = _widened(length, place, extra)
            if not length:
                continue
            header = LOCAL.unpack(read(place, LOCAL.size))
            start = place + LOCAL.size + header[9] + header[10]
            if start + length > size or frame >= trailer.frames:
                raise CorruptError(f"the directory puts {name!r} outside the file; it is damaged")
            offsets[frame], sizes[frame] = start, length
            names.append(name)
            frame += 1
    except StructError:
        raise CorruptError("the ZIP directory breaks off; the file is damaged") from None
    if frame != trailer.frames:
        raise CorruptError(f"expected {trailer.frames} files in the ZIP directory, found {frame}")
    return Index(
        kind=NAME,
        pack_id=trailer.pack_id,
        offsets=offsets,
        sizes=sizes,
        names=lambda: names,
    )


def directory_records(read: ReadAt, at: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, CRC-32 and record of each file in the central directory that begins at an offset."""
    piece, here = bytes(read(at, PIECE)), 0
    while True:
        if len(piece) < here + LONGEST:
            at, here = at + here, 0
            piece = bytes(read(at, PIECE))
        if piece[here : here + 4] != b"PK\x01\x02":
            return
        fields = CENTRAL.unpack_from(piece, here)
        end = here + CENTRAL.size + fields[10] + fields[11] + fields[12]
        name = here + CENTRAL.size
        yield piece[name : name + fields[10]], fields[7], piece[here:end]
        here = end


def name_at(read: ReadAt, at: int) -> bytes:
    """The name in the local file header at an offset; ValueError where there is none."""
    head = bytes(read(at, LOCAL.size))
    if len(head) < LOCAL.size or head[:4] != b"PK\x03\x04":
        raise ValueError(f"expected a local file header at {at:,}")
    return bytes(read(at + LOCAL.size, LOCAL.unpack(head)[9]))


def _widened(size: int, offset: int, extra: bytes) -> tuple[int, int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = Struct("<2H").unpack_from(extra, at)
        if kind == 1:
            numbers = iter(Struct(f"<{length // 8}Q").unpack_from(extra, at + 4))
            if size == MAX32:
                size = next(numbers, size)
                next(numbers, None)
            if offset == MAX32:
                offset = next(numbers, offset)
        at += 4 + length
    return size, offset


def _flags(name: bytes) -> int:
    """Bit 11 says that the name is UTF-8."""
    if name.isascii():
        return 0
    try:
        name.decode()
    except UnicodeDecodeError:
        return 0
    return 0x800
