"""MP4: ISO/IEC 14496-12 (boxes) and -14 (mp4v). Image files are the samples, as they are.

    ftyp | mdat: ([local header] image)* | uuid: keys | moov | free: [ZIP directory] trailer

Without the ZIP face the gaps and the directory are absent. A sample's presentation time is its frame number.
An update writes all but `ftyp` once more behind the end, for what is new, with a `moov` of all live frames,
which takes effect when the type of the old one becomes `skip`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain, compress, groupby, pairwise
from struct import pack, unpack

from xlabel.bundles import Directory, Index, ReadAt, Trailer
from xlabel.bundles import zip as zipped
from xlabel.bundles.tar import big_endian
from xlabel.model.manifest import Video

NAME = "mp4"
MAX_SIZE = 0xFFFF_FFFF  # sample sizes have 32 bits
NAMES_UUID = bytes.fromhex("786c6162 656c 4b6579 73c2 a9f0017e5b".replace(" ", ""))
MORE_NAMES_UUID = bytes.fromhex("786c6162 656c 4b6579 73c2 a9f0017e5c".replace(" ", ""))
"""Of keys that an update adds; a u64 before them is where that update begins in the file."""

UNITY = pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
UNDETERMINED = 0x55C4  # the language code "und"
OBJECT_TYPES = {"image/jpeg": 0x6C, "image/png": 0x6D}
"""Media types that mp4v knows: MPEG-4 Registration Authority, object types."""
SAMPLE_ENTRIES = {"image/tiff": b"tiff", "image/jp2": b"mjp2"}
"""Other media types with a visual sample entry of their own; the rest is timed metadata."""
CODED = {"h264": (b"avc1", b"avcC"), "av1": (b"av01", b"av1C")}
"""Codecs of video: their sample entries and configuration boxes (ISO/IEC 14496-15; AV1 in ISOBMFF)."""
VIDEO_TYPES = {"h264": "video/H264", "av1": "video/AV1"}
"""Their media types, as the manifest has them for each frame."""
IMAGES, PREVIEW = b"xlabel images\0", b"xlabel preview\0"
"""Names of the handlers of tracks: that of a preview is none of the frames'."""


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box: size and type before its content; the size takes 64 bits where 32 do not do."""
    size = 8 + sum(map(len, parts))
    head = pack(">I4s", size, kind) if size <= MAX_SIZE else pack(">I4sQ", 1, kind, size + 8)
    return b"".join((head, *parts))


def box_size(head: bytes) -> int:
    """Bytes of the box that begins with these 16, its head included."""
    short, _, long = unpack(">I4sQ", head)
    return int(long if short == 1 else short)


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box with a version and flags."""
    return box(kind, pack(">I", version << 24 | flags), *parts)


SHOWN, HIDDEN = b"moov", b"skip"
"""What the type of an index becomes that another one takes the place of. In a `free` box, which means the
same, ffmpeg would still find it (libavformat/mov.c, mov_read_default)."""
FTYP = box(b"ftyp", b"isom", pack(">I", 512), b"isomiso2mp41")
MDAT = pack(">I4sQ", 1, b"mdat", 16)
HEAD = FTYP + MDAT
COLOUR = box(b"colr", b"nclx", pack(">HHHB", 1, 13, 6, 0))
"""Of video: primaries of BT.709, transfer of sRGB, matrix of BT.601, limited range (ITU-T H.273)."""


def prefix(name: bytes, size: int, face: bool) -> bytes:
    return zipped.prefix(name, size) if face else b""


def crc_at(face: bool) -> int | None:
    return zipped.crc_at() if face else None


def padding(size: int) -> int:
    return 0


def record(name: bytes, size: int, crc: int, offset: int) -> bytes:
    return zipped.record(name, size, crc, offset)


def finish(end: int, directory: Directory, face: bool) -> Iterator[tuple[int, bytes]]:
    """Preview, keys, index and ZIP directory; last the head of mdat, which closes the file."""
    behind = end
    for piece in directory.preview.pieces() if directory.preview else ():
        yield end, piece
        end += len(piece)
    at = names = end
    start = directory.start or len(FTYP)
    head = names_head(directory.start, directory.names_size)
    yield at, head
    at += len(head)
    for piece in directory.names():
        yield at, piece
        at += len(piece)
    moov = movie(directory, behind)
    yield at, moov
    trailer = Trailer(NAME, directory.pack_id, len(directory.offsets), at, names, directory.count)
    at += len(moov)
    if face:
        size = zipped.ending_size(at + 16, directory, trailer)
        yield at, _long_head(b"free", size)
        at += 16
        for piece in zipped.ending(at, directory, trailer):
            yield at, piece
            at += len(piece)
    else:
        yield at, box(b"free", trailer.line())
    yield start, pack(">I4sQ", 1, b"mdat", end - start)


def names_head(start: int, size: int) -> bytes:
    """What stands before `size` bytes of keys, of a generation that begins at `start`."""
    identity = MORE_NAMES_UUID + pack(">Q", start) if start else NAMES_UUID
    # ffmpeg gives up a file that ends within the first bytes of a uuid box (mov_read_uuid), and not of this
    return _long_head(HIDDEN if start else b"uuid", size + len(identity)) + identity


def movie(directory: Directory, behind: int = 0) -> bytes:
    """The moov box: one track for each media type, the ones that players know first, and the preview.

    `behind` is where the samples of the preview begin.
    """
    unit, scale = directory.fps.denominator, directory.fps.numerator
    tracks = []
    for number, position in enumerate(_track_order(directory.mimes), start=1):
        mask = directory.tracks.translate(bytes(position == value for value in range(256)))
        only = len(directory.mimes) == 1
        frames = directory.numbers if only else array("Q", compress(directory.numbers, mask))
        sizes = directory.sizes if only else _picked(directory.sizes, mask)
        offsets = directory.offsets if only else _picked(directory.offsets, mask)
        tracks.append(
            track(
                number,
                directory.mimes[position],
                directory.extents[position],
                frames,
                (unit, scale),
                sample_tables(frames, sizes, offsets, unit, directory.video.gop if directory.video else 0),
                coded_entry(directory.video) if directory.video else None,
            )
        )
    if directory.preview:
        tracks.append(directory.preview.track(len(tracks) + 1, behind, directory.fps))
    header = full_box(
        b"mvhd",
        1,
        0,
        pack(">QQIQ", 0, 0, scale, directory.count * unit),
        pack(">IH10x", 0x10000, 0x100),
        UNITY,
        pack(">24xI", len(tracks) + 1),
    )
    return box(b"moov", header, *tracks)


def index(read: ReadAt, size: int, trailer: Trailer) -> Index:
    from xlabel.bundles.mp4_index import read_index

    return read_index(read, size, trailer)


def settled(read: ReadAt, size: int, where: str) -> int:
    from xlabel.bundles.mp4_index import settled as found

    return found(read, size, where)


def _track_order(mimes: list[str]) -> list[int]:
    first = [*OBJECT_TYPES, *SAMPLE_ENTRIES]
    rank = {mime: place for place, mime in enumerate(first)}
    return sorted(range(len(mimes)), key=lambda i: (rank.get(mimes[i], len(first)), mimes[i]))


def _picked(numbers: array[int], mask: bytearray) -> array[int]:
    return array(numbers.typecode, compress(numbers, mask))


def track(
    number: int,
    mime: str,
    extent: tuple[int, int],
    frames: range | array[int],
    clock: tuple[int, int],
    tables: bytes,
    coded: bytes | None = None,
    name: bytes = IMAGES,
) -> bytes:
    """A trak box; `coded` is the sample entry of a video, where it is one."""
    unit, scale = clock
    visual = coded is not None or mime in OBJECT_TYPES or mime in SAMPLE_ENTRIES
    width, height = (min(side, 0xFFFF) for side in extent) if visual else (0, 0)
    start = frames[0] * unit
    length = (frames[-1] + 1 - frames[0]) * unit
    header = full_box(
        b"tkhd",
        1,
        7,
        pack(">QQI4xQ8xHHH2x", 0, 0, number, start + length, 0, 0, 0),
        UNITY,
        pack(">II", width << 16, height << 16),
    )
    edits = b""
    if start:  # an empty edit holds the track back until its first frame
        entries = pack(">QqI", start, -1, 0x10000) + pack(">QqI", length, 0, 0x10000)
        edits = box(b"edts", full_box(b"elst", 1, 0, pack(">I", 2), entries))
    entry = _sample_entry(mime, width, height) if coded is None else coded
    media = box(
        b"mdia",
        full_box(b"mdhd", 1, 0, pack(">QQIQHH", 0, 0, scale, length, UNDETERMINED, 0)),
        full_box(b"hdlr", 0, 0, pack(">I4s12x", 0, b"vide" if visual else b"meta"), name),
        box(
            b"minf",
            full_box(b"vmhd", 0, 1, bytes(8)) if visual else full_box(b"nmhd", 0, 0),
            box(b"dinf", full_box(b"dref", 0, 0, pack(">I", 1), full_box(b"url ", 0, 1))),
            box(b"stbl", full_box(b"stsd", 0, 0, pack(">I", 1), entry), tables),
        ),
    )
    return box(b"trak", header, edits, media)


def sample_tables(
    frames: range | array[int], sizes: array[int], offsets: array[int], unit: int, gop: int = 0
) -> bytes:
    """Times, chunks (one sample each, since prefixes stand between them), sizes and offsets.

    With `gop`, only every so many samples can be decoded by itself.
    """
    if isinstance(frames, range):
        runs = [(len(frames), unit)]
    else:
        steps = chain((later - earlier for earlier, later in pairwise(frames)), (1,))
        runs = [(sum(1 for _ in same), step * unit) for step, same in groupby(steps)]
    count = pack(">I", len(sizes))
    alone = array("I", range(1, len(sizes) + 1, gop)) if gop > 1 else ()
    sync = full_box(b"stss", 0, 0, pack(">I", len(alone)), big_endian(alone)) if alone else b""
    return b"".join(
        (
            full_box(b"stts", 0, 0, pack(">I", len(runs)), b"".join(pack(">II", *run) for run in runs)),
            full_box(b"stsc", 0, 0, pack(">IIII", 1, 1, 1, 1)),
            full_box(b"stsz", 0, 0, pack(">I", 0), count, big_endian(array("I", sizes))),
            full_box(b"co64", 0, 0, count, big_endian(offsets)),
            sync,
        )
    )


def coded_entry(video: Video) -> bytes:
    """The sample entry of a video."""
    kind, config = CODED[video.codec]
    return box(kind, _visual(video.width, video.height), box(config, video.config), COLOUR)


def _visual(width: int, height: int) -> bytes:
    return pack(">6xH16xHHII4xH32xHh", 1, width, height, 0x480000, 0x480000, 1, 24, -1)


def _sample_entry(mime: str, width: int, height: int) -> bytes:
    reserved = pack(">6xH", 1)
    if mime not in OBJECT_TYPES and mime not in SAMPLE_ENTRIES:
        return box(b"mett", reserved, b"\0", mime.encode("ascii") + b"\0")
    visual = _visual(width, height)
    if mime in SAMPLE_ENTRIES:
        return box(SAMPLE_ENTRIES[mime], visual)
    return box(b"mp4v", visual, _elementary_stream(OBJECT_TYPES[mime]))


def _elementary_stream(object_type: int) -> bytes:
    """esds: ISO/IEC 14496-1 7.2.6.5 to 7.2.6.7."""
    decoder = _descriptor(4, pack(">BB3xII", object_type, 0x11, 0, 0))
    return full_box(b"esds", 0, 0, _descriptor(3, pack(">HB", 0, 0) + decoder + _descriptor(6, b"\x02")))


def _descriptor(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def _long_head(kind: bytes, content: int) -> bytes:
    """The head of a box whose content is written in pieces; 16 bytes, 64-bit size."""
    return pack(">I4sQ", 1, kind, 16 + content)
