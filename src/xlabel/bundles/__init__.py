"""Many image files in one: how each kind of bundle frames them, and the index that finds them again.

A bundle is written in one pass: a head, then for each image a prefix, the image file as it is and padding,
then the index. The prefix of an image does not depend on its place, so that several processes can prepare
images at once. The last `TRAILER` bytes of every kind are a line of text that says where the index begins.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import msgspec

from xlabel.errors import CorruptError, InputError
from xlabel.model.manifest import Video

KINDS = {
    "mp4": "xlabel.bundles.mp4",
    "tar": "xlabel.bundles.tar",
    "zip": "xlabel.bundles.zip",
}
FACE_LIMIT = 1_000_000
"""Frames above which an .mp4 is no ZIP besides: each reader of a ZIP takes in its whole directory."""

TRAILER = 160
"""Bytes of the line that ends every bundle."""

Write = Callable[[bytes], object]
ReadAt = Callable[[int, int], memoryview]
"""(offset, size) -> that many bytes of the media file, fewer at its end."""


class Directory(msgspec.Struct, kw_only=True):
    """What a bundle's index is made of: one entry a live frame, in frame order."""

    numbers: range | array[int]
    """The frames' numbers: all below `count`, but for those of deleted frames."""
    count: int
    """Frame numbers that have been given."""
    start: int = 0
    """Where what this generation adds begins in the media file: 0, or behind the one before."""
    offsets: array[int]
    sizes: array[int]
    tracks: bytearray
    """Position in `mimes` of each frame's media type."""
    mimes: list[str]
    extents: list[tuple[int, int]]
    """Width and height of the flattest image, for each of `mimes`; see `flatter`."""
    names: Callable[[], Iterable[bytes]]
    """The keys of the frames that this generation adds, each followed by a NUL, in pieces."""
    names_size: int
    records: Callable[[], Iterable[bytes]]
    """What `Kind.record` gave for each entry, in pieces."""
    records_size: int
    entries: int
    """Entries that have a record: the frames, and files of 0 bytes."""
    fps: Fraction
    pack_id: str
    video: Video | None = None
    """How the frames are encoded, where they are no image files; .mp4 only."""
    preview: Playable | None = None
    """A track for players that show no images; .mp4 only."""


class Playable(msgspec.Struct, frozen=True):
    """A preview track: its samples, which stand behind all images, and its `trak` box."""

    pieces: Callable[[], Iterable[bytes]]
    track: Callable[[int, int, Fraction], bytes]
    """(track id, offset of the first sample, frames a second) -> the box."""


class Kind(Protocol):
    """What a bundle kind's module offers. `face` says whether an .mp4 is a ZIP besides; others ignore it."""

    NAME: str
    MAX_SIZE: int
    """Bytes of the largest file that it can hold."""
    HEAD: bytes

    def prefix(self, name: bytes, size: int, face: bool) -> bytes:
        """What stands before a file, with zeros where its CRC-32 goes."""

    def crc_at(self, face: bool) -> int | None:
        """Where in the prefix the file's CRC-32 goes (4 bytes, little-endian); None where there is none."""

    def padding(self, size: int) -> int:
        """How many zero bytes follow a file of that size."""

    def record(self, name: bytes, size: int, crc: int, offset: int) -> bytes:
        """The file's entry in a directory at the end, its prefix standing at `offset`; may be empty."""

    def finish(self, end: int, directory: Directory, face: bool) -> Iterable[tuple[int, bytes]]:
        """(offset, bytes) to write once all files are in, which end at `end`; rising but for corrections."""

    def index(self, read: ReadAt, size: int, trailer: Trailer) -> Index:
        """The frames of a media file of that size. Raises CorruptError."""


class Trailer(msgspec.Struct, frozen=True):
    """The last line of a bundle. `index` and `names` are offsets; what stands there is the kind's affair."""

    kind: str
    pack_id: str
    frames: int
    """Live ones."""
    index: int
    names: int
    count: int
    """Frame numbers that have been given."""

    def line(self) -> bytes:
        text = (
            f"xlabel 1 {self.kind} pack {self.pack_id} frames {self.frames} "
            f"index {self.index} names {self.names}"
        )
        if self.count != self.frames:
            text += f" of {self.count}"
        return text.encode("ascii").ljust(TRAILER - 1) + b"\n"


class Index(msgspec.Struct, kw_only=True):
    """Where the live frames are: numpy arrays of N offsets and sizes (bytes, unsigned), in frame order."""

    kind: str
    pack_id: str | None
    offsets: Any
    sizes: Any
    names: Callable[[], list[bytes]]
    """Reads the files' names, which need not be UTF-8, in frame order."""
    numbers: Any = None
    """The frames' numbers, a numpy array; None where they are 0 to N - 1."""


def flatter(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Of two sizes (width, height) that with less height; (0, 0) is no size.

    An .mp4 states it for a track of many sizes: ffmpeg takes a JPEG of less than 3/4 of the stated height for
    half of an interlaced picture, and joins it with the next (libavcodec/mjpegdec.c, ff_mjpeg_decode_sof).
    """
    return min((size for size in (one, other) if size[1]), key=lambda size: size[::-1], default=(0, 0))


@cache
def kind(name: str) -> Kind:
    """The module of a bundle kind: mp4, tar or zip."""
    return cast(Kind, import_module(KINDS[name]))


def kind_of(path: str) -> str:
    """The kind that a media file's suffix stands for; InputError names those that there are."""
    suffix = path.rpartition(".")[2].lower() if "." in path else ""
    if suffix not in KINDS:
        known = ", ".join("." + name for name in KINDS)
        raise InputError(
            f"{path}: expected a bundle ending in {known}, got {'.' + suffix if suffix else 'none'}"
        )
    return suffix


def read_trailer(read: ReadAt, size: int, where: str) -> Trailer:
    """The last line of a bundle of that size; CorruptError where it is not one of ours."""
    words = bytes(read(max(0, size - TRAILER), TRAILER)).split()
    try:
        if words[:2] != [b"xlabel", b"1"] or words[2].decode() not in KINDS:
            raise ValueError
        said = {words[n]: words[n + 1] for n in range(3, len(words), 2)}
        pack_id = said.pop(b"pack").decode("ascii")
        frames, index, names = (int(said.pop(word)) for word in (b"frames", b"index", b"names"))
        count = int(said.pop(b"of", frames))
        if len(pack_id) != 32 or said:
            raise ValueError
    except (IndexError, KeyError, ValueError):
        raise CorruptError(
            f"{where}: expected the last line of an xlabel bundle, found something else; "
            "is it cut off, or was it written by another tool?"
        ) from None
    if not (0 <= index < size and 0 <= names < size and 0 <= frames <= count <= size):
        raise CorruptError(f"{where}: its last line points outside the file; it is damaged")
    return Trailer(words[2].decode(), pack_id, frames, index, names, count)


def settled(read: ReadAt, size: int, where: str) -> int:
    """Bytes of a media file up to the end of its newest whole generation, by the file alone.

    What stands behind is of an update that was cut off. CorruptError where there is no whole one.
    """
    from xlabel.bundles import mp4

    if bytes(read(4, 4)) == b"ftyp":
        return mp4.settled(read, size, where)
    read_trailer(read, size, where)
    return size


def open_index(read: ReadAt, size: int, where: str) -> Index:
    """The frames of a bundle of any kind by its own index, without a manifest."""
    trailer = read_trailer(read, size, where)
    try:
        return kind(trailer.kind).index(read, size, trailer)
    except CorruptError as error:
        raise CorruptError(f"{where}: {error}") from None
