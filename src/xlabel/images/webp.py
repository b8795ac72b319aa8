"""WebP: size, orientation, and labels in EXIF and XMP. RFC 9649; VP8: RFC 6386, 9.1."""

from collections.abc import Iterator
from struct import Struct

from xlabel.images import Carriers, Header, NoRoomError, Parts, ShortError, exif, merging, unpack, xmp
from xlabel.images.splice import Edit, growth, joined, moved

MIME = "image/webp"
DOCUMENT_IN: tuple[str, ...] = ("exif", "xmp")
EXTENDED = False

MAX_CHUNK = 7_900_000
"""Bytes in a chunk of ours: as many as a PNG takes, so that tools can carry it there."""
EXIF_FLAG, XMP_FLAG, ALPHA_FLAG, ANIMATION_FLAG = 0x08, 0x04, 0x10, 0x02


def header(data: memoryview) -> Header:
    """Size and orientation.

    Raises ShortError for a file whose flags announce EXIF until the chunk is there: it stands behind the
    image data. An EXIF chunk that the flags do not announce is not looked for, as decoders do not either.
    """
    kind, width, height, flags = _frame(data)
    turned = 1
    if flags & EXIF_FLAG and kind == b"VP8X":
        for name, at, end in _chunks(data):
            if name == b"EXIF":
                if end > len(data) < _end(data):
                    raise ShortError(_end(data))
                turned = exif.orientation(data[at + 8 : end])
                break
    return Header(MIME, width, height, turned)


def cut(data: memoryview) -> str | None:
    """Complete with as many bytes as the RIFF header states."""
    end = _end(data)
    return f"RIFF states {end} bytes, the file has {len(data)}" if end > len(data) else None


def find(data: memoryview) -> Carriers:
    """The first EXIF and XMP chunks that the flags announce."""
    kind, _, _, flags = _frame(data)
    sought = {name for name, flag in _FLAGS.items() if kind == b"VP8X" and flags & flag}
    found: dict[bytes, memoryview] = {}
    for name, at, end in _chunks(data) if sought else ():
        if name in sought:
            found.setdefault(name, _content(data, at, end))
            if found.keys() == sought:
                break
    block, packet = found.get(b"EXIF"), found.get(b"XMP ")
    comment = None if block is None else exif.comment(block[merging.block_at(block) :])
    return Carriers(comment, None if packet is None else bytes(packet))


def block(data: memoryview) -> memoryview | None:
    """That of the EXIF chunk that the flags announce."""
    kind, _, _, flags = _frame(data)
    there = _announced(list(_chunks(data)), b"EXIF", flags) if kind == b"VP8X" else None
    content = None if there is None else _content(data, *there[1:])
    return None if content is None else content[merging.block_at(content) :]


def edits(data: memoryview, parts: Parts) -> list[Edit]:
    """New chunks stand behind the image data, EXIF before XMP; a file of the simple format gets VP8X.

    ValueError also where bytes stand behind the last chunk, since readers then take the file for broken.
    """
    size = header(data)
    kind, _, _, flags = _frame(data)
    chunks = list(_chunks(data))
    stop = _past(chunks[-1]) if chunks else 0
    if not stop == _end(data) == len(data):
        raise ValueError(
            f"the RIFF header states {_end(data)} bytes, the last chunk ends at byte {stop}, "
            f"the file at byte {len(data)}"
        )
    images = [chunk for chunk in chunks if chunk[0] in _IMAGE]
    if not images:
        raise ValueError("no image data")
    changes: list[Edit] = []
    if parts.comment is not None:
        there = _announced(chunks, b"EXIF", flags)
        flags |= EXIF_FLAG
        if there is None:
            block = exif.fresh(parts.comment, (size.width, size.height))
            changes.append(_new(_past(images[-1]), b"EXIF", block))
        else:
            inner = merging.exif_edits(_content(data, *there[1:]), parts.comment)
            changes += _changed(data, there, inner)
    if parts.ours is not None:
        there = _announced(chunks, b"XMP ", flags)
        flags |= XMP_FLAG
        if there is None:
            behind = max(_past(chunk) for chunk in chunks if chunk[0] in _IMAGE | {b"EXIF"})
            changes.append(_new(behind, b"XMP ", xmp.packet(parts.ours)))
        else:
            inner = merging.xmp_edits(bytes(_content(data, *there[1:])), parts.ours)
            changes += _changed(data, there, inner)
    if kind == b"VP8X":
        changes.append(Edit(20, 21, bytes([flags])))
    else:
        sides = ((side - 1).to_bytes(3, "little") for side in (size.width, size.height))
        changes.append(Edit(12, 12, _chunk(b"VP8X", _VP8X.pack(flags, *sides))))
    return _with_length(data, changes)


def removal(data: memoryview) -> list[Edit]:
    """What is ours in EXIF and XMP, and their flags where the chunk goes.

    A still picture that needs no VP8X any more becomes a file of the simple format.
    """
    kind, width, height, flags = _frame(data)
    changes: list[Edit] = []
    chunks = list(_chunks(data))
    gone = []
    for chunk in chunks:
        name, at, end = chunk
        if name in _FLAGS:
            content = _content(data, at, end)
            is_exif = name == b"EXIF"
            left = merging.without_comment(content) if is_exif else merging.without_ours(bytes(content))
            if left is None:
                gone.append(chunk)
                changes.append(Edit(at, _past(chunk), b""))
            elif left != content:
                changes.append(Edit(at, _past(chunk), _chunk(name, left)))
    if kind == b"VP8X" and gone:
        kept = [chunk for chunk in chunks if chunk not in gone]
        for name in {chunk[0] for chunk in gone} - {chunk[0] for chunk in kept}:
            flags &= ~_FLAGS[name]
        simple = len(kept) == 2 and kept[1][0] in (b"VP8 ", b"VP8L") and _past(kept[0]) == kept[1][1]
        if simple and _still(data, kept[1][1])[1:] == (width, height, flags):
            changes.append(Edit(12, _past(kept[0]), b""))
        else:
            changes.append(Edit(20, 21, bytes([flags])))
    return _with_length(data, changes) if changes else []


def stream(data: memoryview) -> Iterator[tuple[int, int]]:
    """The chunks VP8, VP8L, ALPH and ANMF; of an animation also the sides of the canvas and its colour.

    How often an animation plays is not counted.
    """
    kind, _, _, flags = _frame(data)
    if kind == b"VP8X" and flags & ANIMATION_FLAG:
        yield 24, 30
    for name, at, end in _chunks(data):
        if name in _IMAGE or name == b"ANIM":
            if end > len(data):
                raise ShortError(end)
            yield at, (min(end, at + 12) if name == b"ANIM" else end)


_RIFF = Struct("<4xI")
_CHUNK = Struct("<4sI")
_VP8 = Struct("<3x3sHH")
_VP8L = Struct("<BI")
_VP8X = Struct("<B3x3s3s")
_LONG = Struct("<I")
_IMAGE = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANMF"})
_FLAGS = {b"EXIF": EXIF_FLAG, b"XMP ": XMP_FLAG}

_Chunk = tuple[bytes, int, int]


def _frame(data: memoryview) -> tuple[bytes, int, int, int]:
    """Kind of the first chunk, width and height, and the flags that VP8X has or would have."""
    kind, size = unpack(_CHUNK, data, 12)
    if kind != b"VP8X":
        return _still(data, 12)
    if size < _VP8X.size:
        raise ValueError(f"a VP8X chunk of {size} bytes")
    flags, width, height = unpack(_VP8X, data, 20)
    return kind, int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1, flags


def _still(data: memoryview, at: int) -> tuple[bytes, int, int, int]:
    """The same of the image in the chunk at byte `at`."""
    kind, _ = unpack(_CHUNK, data, at)
    if kind == b"VP8 ":
        start, width, height = unpack(_VP8, data, at + 8)
        if start != b"\x9d\x01\x2a":
            raise ValueError(f"expected a VP8 key frame's start code at byte {at + 11}, found {start.hex()}")
        return kind, width & 0x3FFF, height & 0x3FFF, 0
    if kind == b"VP8L":
        mark, bits = unpack(_VP8L, data, at + 8)
        if mark != 0x2F:
            raise ValueError(f"expected VP8L's signature 2F at byte {at + 8}, found {mark:02X}")
        return kind, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, ALPHA_FLAG if bits >> 28 & 1 else 0
    raise ValueError(f"expected a chunk VP8, VP8L or VP8X at byte {at}, found {kind!r}")


def _end(data: memoryview) -> int:
    """Where the file ends by its RIFF header."""
    return 8 + int(unpack(_RIFF, data, 0)[0])


def _chunks(data: memoryview) -> Iterator[_Chunk]:
    """Kind, place and end of each chunk, padding not counted, as far as the RIFF header states.

    ShortError names that end: what is sought stands behind the image data.
    """
    at, end = 12, _end(data)
    while at + 8 <= end:
        if at + 8 > len(data):
            raise ShortError(end)
        kind, size = _CHUNK.unpack_from(data, at)
        yield kind, at, at + 8 + size
        at += 8 + size + size % 2


def _past(chunk: _Chunk) -> int:
    """Behind a chunk and its padding."""
    _, at, end = chunk
    return end + (end - at) % 2


def _content(data: memoryview, at: int, end: int) -> memoryview:
    if end > len(data):
        raise ShortError(max(end, _end(data)))
    return data[at + 8 : end]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return b"%b%b%b" % (_CHUNK.pack(kind, len(content)), content, bytes(len(content) % 2))


def _announced(chunks: list[_Chunk], kind: bytes, flags: int) -> _Chunk | None:
    """The first chunk of a kind; NoRoomError where the flags are silent about it, so that readers are too."""
    found = next((chunk for chunk in chunks if chunk[0] == kind), None)
    if found is not None and not flags & _FLAGS[kind]:
        carrier = _carrier(kind)
        raise NoRoomError(carrier, f"the file's flags do not announce its {carrier.upper()}: left alone")
    return found


def _carrier(kind: bytes) -> str:
    return kind.decode().strip().lower()


def _new(at: int, kind: bytes, content: bytes) -> Edit:
    _fits(len(content), kind)
    return Edit(at, at, _chunk(kind, content))


def _changed(data: memoryview, chunk: _Chunk, inner: list[Edit]) -> list[Edit]:
    """The edits of a chunk's content, and those of its length and its padding."""
    kind, at, end = chunk
    size = end - at - 8 + growth(inner)
    _fits(size, kind)
    length, padding = Edit(at + 4, at + 8, _LONG.pack(size)), Edit(end, _past(chunk), bytes(size % 2))
    return [length, *moved(inner, at + 8), padding]


def _with_length(data: memoryview, changes: list[Edit]) -> list[Edit]:
    """The edits, and the one that makes the RIFF header's length right."""
    size = _end(data) - 8 + growth(changes)
    return joined([Edit(4, 8, _LONG.pack(size)), *changes])


def _fits(size: int, kind: bytes) -> None:
    if size > MAX_CHUNK:
        raise NoRoomError(_carrier(kind), f"a chunk of {size:,} bytes, more than {MAX_CHUNK:,}")
