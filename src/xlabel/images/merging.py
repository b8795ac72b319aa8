"""EXIF blocks and XMP packets that a container holds in its chunks: ours merged into them, and taken out."""

from struct import error as StructError

from xlabel.images import NoRoomError, exif, xmp
from xlabel.images.splice import Edit, apply, moved
from xlabel.images.tags import Text


def block_at(content: memoryview) -> int:
    r"""Where the TIFF header begins: behind the `Exif\0\0` of JPEG, which some tools write elsewhere too."""
    return len(exif.PREFIX) if content[: len(exif.PREFIX)] == exif.PREFIX else 0


def exif_edits(content: memoryview, comment: bytes | Text, size: tuple[int, int] | None = None) -> list[Edit]:
    """The edits that give a chunk with EXIF a text; `size` as `exif.edits` takes it."""
    at = block_at(content)
    try:
        return moved(exif.edits(content[at:], comment, size=size), at)
    except _BROKEN as error:
        raise NoRoomError("exif", f"the file's EXIF is broken and left alone: {error}") from None


def xmp_edits(packet: bytes, ours: xmp.Ours) -> list[Edit]:
    """The edits that put what is ours into a packet."""
    try:
        return xmp.edits(packet, ours)
    except _BROKEN as error:
        raise NoRoomError("xmp", f"the file's XMP is left alone: {error}") from None


def without_comment(content: memoryview) -> bytes | None:
    """A chunk's EXIF without our UserComment, the same where it has none; None where nothing else is left."""
    at = block_at(content)
    if exif.ours(exif.comment(content[at:])) is None:
        return bytes(content)
    inner = exif.removal(content[at:])
    return None if inner is None else b"".join(apply(content, moved(inner, at)))


def without_ours(packet: bytes) -> bytes | None:
    """A packet without what is ours, the same where it has nothing; None where nothing else is left."""
    if not xmp.has_ours(packet):
        return packet
    inner = xmp.removal(packet)
    return None if inner is None else b"".join(apply(packet, inner))


_BROKEN = (ValueError, LookupError, ArithmeticError, StructError, RecursionError)
"""What mangled EXIF or XMP of others may end in."""
