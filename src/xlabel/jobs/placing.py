"""An image of one bundle put into another, byte for byte."""

from collections.abc import Iterable
from hashlib import sha256
from struct import pack_into
from typing import BinaryIO

import msgspec

from xlabel.bundles.zip import crc32
from xlabel.errors import CorruptError
from xlabel.formats.unified_reading import Described
from xlabel.jobs.assembly import Assembly
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.frames import Ask, Making
from xlabel.jobs.seen import as_seen
from xlabel.model.manifest import Frame


def placed(
    bundle: Bundle, position: int, told_of: Described, making: Making, assembly: Assembly, out: BinaryIO
) -> tuple[Frame, bytes]:
    """Write the image at a position of a bundle to its place in another; its frame there, and its ZIP record.

    A file that differs from its frame in embedded labels is written as it was seen. CorruptError where its
    bytes are not what they were.
    """
    kind, face = making.kind, making.face
    old = told_of.frame
    if old is None:
        raise CorruptError(f"{bundle.media}: nothing says where {told_of.sample.image.key} is; pack again")
    name = old.raw_name
    pieces: Iterable[bytes | memoryview] = bundle.pieces(int(bundle.offsets[position]), old.size)
    size, digest = old.size, old.sha256
    if told_of.seen is not None:
        pieces = [as_seen(bundle.image_bytes(position), told_of.sample, told_of.seen)]
        size, digest = told_of.seen.size, told_of.seen.sha256
    prefix = bytearray(kind.prefix(name, size, face))
    padding = kind.padding(size)
    contents = [(digest, size)] if making.shared else []
    grant = assembly.grant(Ask(1, len(prefix) + size + padding, 0, 0, [], contents))
    place, crc = grant.offset + len(prefix), 0
    stored = grant.stored[0] if grant.stored else None
    if stored is None:
        out.seek(place)
        crc = _copied(pieces, size, digest, out, f"{bundle.media}: {old.key}")
        out.write(bytes(padding))
        at = kind.crc_at(face)
        if at is not None:
            pack_into("<I", prefix, at, crc)
        out.seek(grant.offset)
        out.write(prefix)
    else:
        place = stored
    frame = msgspec.structs.replace(old, index=grant.index, offset=place, size=size, sha256=digest)
    return frame, kind.record(name, size, crc, place - len(prefix))


def _copied(pieces: Iterable[bytes | memoryview], size: int, digest: str, out: BinaryIO, where: str) -> int:
    """Write an image; gives its CRC-32. CorruptError where it is not what it was."""
    crc, total, found = 0, 0, sha256()
    for piece in pieces:
        found.update(piece)
        crc = crc32(piece, crc)
        total += len(piece)
        out.write(piece)
    if total != size or found.hexdigest() != digest:
        raise CorruptError(f"{where}: its bytes are not those that were packed; update the pack first")
    return crc
