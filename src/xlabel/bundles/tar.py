"""TAR: POSIX.1-2001 ustar, pax records where a name needs them. An index follows the end of the archive.

Readers stop at the two zero blocks; the index behind them is N offsets and N sizes (u64, big-endian), then
the keys, each ended by a NUL.
"""

from __future__ import annotations

import sys
import tarfile
from array import array
from collections.abc import Iterator

from xlabel.bundles import TRAILER, Directory, Index, ReadAt, Trailer
from xlabel.errors import CorruptError

NAME = "tar"
MAX_SIZE = 1 << 50
HEAD = b""
BLOCK = 512


def prefix(name: bytes, size: int, face: bool = False) -> bytes:
    """The header blocks of a file; no clock time and no owner, so that equal input gives equal bytes."""
    info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def crc_at(face: bool = False) -> int | None:
    return None


def padding(size: int) -> int:
    return -size % BLOCK


def record(name: bytes, size: int, crc: int, offset: int) -> bytes:
    return b""


def finish(end: int, directory: Directory, face: bool = False) -> Iterator[tuple[int, bytes]]:
    """Two zero blocks, the index, and the trailer at the end of the last block."""
    start = end + 2 * BLOCK
    frames = len(directory.offsets)
    yield end, bytes(2 * BLOCK)
    yield start, big_endian(directory.offsets)
    yield start + 8 * frames, big_endian(directory.sizes)
    at = names = start + 16 * frames
    for piece in directory.names():
        yield at, piece
        at += len(piece)
    line = Trailer(NAME, directory.pack_id, frames, start, names, frames).line()
    gap = padding(at - end + len(line))
    yield at, bytes(gap) + line


def index(read: ReadAt, size: int, trailer: Trailer) -> Index:
    import numpy as np

    count = trailer.frames
    if trailer.index + 16 * count > trailer.names:
        raise CorruptError("the index is shorter than its number of frames; the file is damaged")
    table = read(trailer.index, 16 * count)

    def names() -> list[bytes]:
        return split_names(read(trailer.names, size - TRAILER - trailer.names), count)

    return Index(
        kind=NAME,
        pack_id=trailer.pack_id,
        offsets=np.frombuffer(table, ">u8", count),
        sizes=np.frombuffer(table, ">u8", count, 8 * count),
        names=names,
    )


def big_endian(numbers: array[int]) -> bytes:
    """An array's numbers, highest byte first."""
    if sys.byteorder == "big":
        return numbers.tobytes()
    swapped = array(numbers.typecode, numbers)
    swapped.byteswap()
    return swapped.tobytes()


def split_names(data: memoryview, count: int) -> list[bytes]:
    """The first `count` names, each ended by a NUL."""
    names = bytes(data).split(b"\0", count)
    if len(names) <= count:
        raise CorruptError(f"expected {count} names, found {len(names) - 1}; the file is damaged")
    return names[:count]
