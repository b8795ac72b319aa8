"""From image files to frames: read, hash, look into the header, find the labels, write, describe.

A `Packer` belongs to one process. It prepares a batch of images without knowing its place in the bundle, asks
for one, and writes. All numbers that depend on other batches come with the grant, so that one process or
several give the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from fcntl import LOCK_EX, LOCK_UN, flock
from struct import pack_into
from typing import NamedTuple

import msgspec

from xlabel import images
from xlabel.bundles import Kind, flatter
from xlabel.bundles.zip import crc32
from xlabel.errors import InputError
from xlabel.formats.labels import Ref
from xlabel.jobs.labels import Found, inside_differs, load
from xlabel.jobs.records import Records
from xlabel.model import Category, Problem, Sample
from xlabel.model.manifest import Frame, name_bytes
from xlabel.pictures import hashing
from xlabel.stores.local import Scan
from xlabel.stores.paths import is_utf8, key_of

BATCH = 1 << 20
"""Bytes of images that are handled at a time."""
BATCH_FILES = 256
PIECE = 1 << 16
"""Bytes that are written at a time. For a larger piece the system looks for as large a piece of free memory,
and once memory is in small pieces that costs more than the writing."""
LARGE = 64 << 20
"""Files from this size on are read in pieces, and twice: to hash them, and to copy them."""
UNKNOWN = "application/octet-stream"

_json = msgspec.json.Encoder()


class Ask(msgspec.Struct):
    """What a prepared batch needs."""

    frames: int
    size: int
    """Bytes in the media file, prefixes and padding included, were each file stored."""
    image_ids: int
    annotation_ids: int
    categories: list[Category]
    """Those that this process met for the first time."""
    contents: list[tuple[str, int]]
    """sha256 and bytes of each file, where equal files are stored once."""


class Grant(msgspec.Struct):
    """A batch's place in the bundle."""

    offset: int
    index: int
    image_id: int
    annotation_id: int
    category_ids: dict[int, int]
    """New ids, by the ids that this process gave."""
    stored: list[int | None]
    """For each of `Ask.contents`: where an equal file lies already, or None."""


class Described(msgspec.Struct):
    """What a written batch adds to the other files of the bundle."""

    frames: bytes
    images: bytes
    annotations: bytes
    names: bytes
    records: bytes
    offsets: list[int]
    sizes: list[int]
    mimes: list[str]
    extents: dict[str, tuple[int, int]]
    annotation_count: int
    labelled: int
    used: int
    """Label records that belong to one of the images."""
    unread: list[Ref]
    """Those that belong to one and could not be read."""
    turned: list[str]
    """Keys of images whose labels were drawn on the stored matrix."""
    problems: list[Problem]


class Item(msgspec.Struct):
    """An image file that has been read."""

    name: bytes
    key: str
    size: int
    at: int
    """Where its prefix begins in the buffer."""
    prefix: int
    """Bytes of the prefix."""
    sha256: str
    crc: int
    header: images.Header | None
    sample: Sample
    prints: dict[str, str]
    """Fingerprints, by their names."""
    psnr: float | None = None
    """Of a packet of video: how near it is to its image."""
    original: str | None = None
    """Of a packet of video: the SHA-256 of its image file."""


def batches(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Positions [start, stop) of images that are handled together."""
    start = total = 0
    for position, size in enumerate(sizes):
        if position > start and (total + size > BATCH or position - start >= BATCH_FILES):
            yield start, position
            start, total = position, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


class Making(NamedTuple):
    """How a bundle is made."""

    kind: Kind
    face: bool
    """With the ZIP face of an .mp4."""
    noted: bool
    """Somebody notes down the hash of each file."""
    placeholders: bool = False
    """The images are marked as placeholders."""
    pixels: bool = False
    """The fingerprints of an image that need decoding are taken too."""

    @property
    def shared(self) -> bool:
        """Whether equal files are stored once: where each name need not have bytes of its own."""
        return self.kind.NAME == "mp4" and not self.face


class Packer:
    """Prepares and writes batches; see the module."""

    def __init__(
        self,
        scan: Scan,
        found: Found | None,
        making: Making,
        media: str,
        category_ids: Mapping[int, int] | None = None,
    ) -> None:
        """`media` is where the bundle is written; `category_ids` of categories that are known."""
        self._root = os.fsencode(scan.root) + b"/"
        self._scan = scan
        self._labels = labels = found.labels if found else None
        self._inside = found.inside if found else None
        self._kind = making.kind
        self._face = making.face
        self._crc_at = making.kind.crc_at(making.face)
        self._shared = making.shared
        self._hashed = making.noted or making.shared
        self._placeholders = making.placeholders
        self._pixels = making.pixels
        self._media = media
        self._out: int | None = None
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._items: list[Item] = []
        self._problems: list[Problem] = []
        self._used = 0
        self._unread: list[Ref] = []
        self._known = len(labels.categories) if labels else 0
        self._category_ids = dict(category_ids or {})
        self._grant = Grant(0, 0, 0, 0, {}, [])

    def prepare(self, start: int, stop: int) -> Ask:
        """Read and hash the images of a batch, and find their labels."""
        names = self._scan.keys.raw(start, stop)
        sizes = self._scan.sizes[start:stop]
        self._items = []
        self._problems = []
        self._used = 0
        self._unread = []
        self._reserve(names, sizes)
        at = 0
        for name, size in zip(names, sizes, strict=True):
            item = self._read(name, size, at)
            if item is not None:
                self._items.append(item)
                at += item.prefix + size + self._kind.padding(size)
        samples = [item.sample for item in self._items]
        fresh: list[Category] = []
        if self._labels is not None:
            fresh = self._labels.categories[self._known :]
            self._known += len(fresh)
            self._problems += self._labels.problems
            self._labels.problems.clear()
        return Ask(
            frames=len(samples),
            size=at,
            image_ids=sum(sample.image.id is None for sample in samples),
            annotation_ids=sum(a.id is None for sample in samples for a in sample.annotations),
            categories=fresh,
            contents=[(item.sha256, item.size) for item in self._items] if self._shared else [],
        )

    def store(self, grant: Grant) -> list[int]:
        """Write the batch at its place; gives the offset of each image, for `describe`."""
        self._category_ids |= grant.category_ids
        self._grant = grant
        if self._out is None:
            self._out = os.open(self._media, os.O_WRONLY | os.O_CLOEXEC)
        flock(self._out, LOCK_EX)  # two writers of one file would spin on its lock, and this one sleeps
        try:
            return self._write(grant)
        finally:
            flock(self._out, LOCK_UN)

    def close(self) -> None:
        """Let go of the media file, where this process has written to it."""
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def _reserve(self, names: list[bytes], sizes: Sequence[int]) -> None:
        need = sum(size + len(name) + 2048 for name, size in zip(names, sizes, strict=True) if size < LARGE)
        if need > len(self._buffer):
            self._view.release()
            self._buffer = bytearray(need)
            self._view = memoryview(self._buffer)

    def _read(self, name: bytes, size: int, at: int) -> Item | None:
        key = key_of(name)
        prefix = self._kind.prefix(name, size, self._face)
        start = at + len(prefix)
        view = self._view
        data = None
        prints: dict[str, str] = {}
        try:
            if size > self._kind.MAX_SIZE:
                raise ValueError(
                    f"{size:,} bytes are more than .{self._kind.NAME} holds; pack to .tar or .zip"
                )
            fd = os.open(self._root + name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                if size >= LARGE:
                    digest, crc, header, problem, prints = _read_large(fd, size, self._pixels)
                else:
                    if os.readv(fd, [view[start : start + size + 1]]) != size:
                        raise ValueError(_changed(size))
                    data = view[start : start + size]
                    digest = hashlib.sha256(data).hexdigest() if self._hashed else ""
                    crc = crc32(data) if self._crc_at is not None else 0
                    header, problem = _look(data)
                    prints = hashing.fingerprints(data, decoded=True) if self._pixels else {}
                    view[at:start] = prefix
            finally:
                os.close(fd)
        except OSError as error:
            self._problem(key, "unreadable", f"cannot be read: {error.strerror}; it is not in the bundle")
            return None
        except ValueError as error:
            self._problem(key, "unreadable", f"{error}; it is not in the bundle")
            return None
        if self._crc_at is not None and size < LARGE:
            pack_into("<I", self._buffer, at + self._crc_at, crc)
        if problem:
            self._problem(key, problem[0], problem[1])
        self._check_name(name, key)
        sample = self._sample(key, header, data)
        return Item(name, key, size, at, len(prefix), digest, crc, header, sample, prints)

    def _sample(self, key: str, header: images.Header | None, data: memoryview | None) -> Sample:
        image = images.image_of(key, header)
        if self._labels is None:
            return Sample(image=image)
        sample, unread = load(self._labels, image, data)
        if unread is not None:
            self._unread.append(unread)
        self._used += sample.origin is not None
        if self._inside is not None and (differs := inside_differs(sample, self._inside, data)):
            self._problem(key, "labels-disagree", differs)
        return sample

    def _write(self, grant: Grant) -> list[int]:
        """Write the bytes; gives the offset of each image."""
        places: list[int] = []
        run_start, run_at = 0, grant.offset
        at = 0
        for position, item in enumerate(self._items):
            stored = grant.stored[position] if grant.stored else None
            whole = item.prefix + item.size + self._kind.padding(item.size)
            if stored is not None:  # an equal file lies there already: leave these bytes out
                self._pwrite(self._view[run_start:at], run_at)
                run_at += at - run_start
                places.append(stored)
                at = run_start = item.at + whole
                continue
            places.append(run_at + (item.at - run_start) + item.prefix)
            if item.size >= LARGE:  # always alone in its batch
                self._copy_large(item, places[-1])
                at = run_start = item.at + whole
                continue
            end = item.at + whole
            padding = self._kind.padding(item.size)
            if padding:
                self._view[end - padding : end] = bytes(padding)
            at = end
        self._pwrite(self._view[run_start:at], run_at)
        return places

    def _copy_large(self, item: Item, offset: int) -> None:
        prefix = bytearray(self._kind.prefix(item.name, item.size, self._face))
        if self._crc_at is not None:
            pack_into("<I", prefix, self._crc_at, item.crc)
        self._pwrite(memoryview(prefix), offset - item.prefix)
        digest = hashlib.sha256()
        place = offset
        for piece in self._pieces(item):
            digest.update(piece)
            self._pwrite(memoryview(piece), place)
            place += len(piece)
        if digest.hexdigest() != item.sha256:
            raise InputError(f"{self._scan.root}/{item.key}: changed while it was read; pack again")
        self._pwrite(memoryview(bytes(self._kind.padding(item.size))), place)

    def _pieces(self, item: Item) -> Iterator[bytes]:
        try:
            with open(self._root + item.name, "rb", buffering=0) as file:
                left = item.size
                while left and (piece := file.read(min(left, 1 << 20))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise InputError(
                f"{self._scan.root}/{item.key}: cannot be read again: {error.strerror}; pack again"
            ) from None

    def _pwrite(self, data: memoryview, offset: int) -> None:
        assert self._out is not None
        while len(data):
            done = os.pwrite(self._out, data[: PIECE - offset % PIECE], offset)
            data, offset = data[done:], offset + done

    def describe(self, places: list[int]) -> Described:
        """What the batch that was stored last adds to the other files."""
        grant = self._grant
        frames, directory = [], []
        mimes: list[str] = []
        extents: dict[str, tuple[int, int]] = {}
        records = Records(grant.image_id, grant.annotation_id)
        ids: Mapping[int, int] | None = self._category_ids or None
        for index, (item, offset) in enumerate(zip(self._items, places, strict=True), start=grant.index):
            image = item.sample.image
            mime = item.header.mime if item.header else UNKNOWN
            frame = Frame(
                index=index,
                key=item.key,
                offset=offset,
                size=item.size,
                width=image.width,
                height=image.height,
                sha256=item.sha256,
                mime=mime,
                orientation=image.orientation,
                placeholder=self._placeholders,
                name_bytes=name_bytes(item.name),
                psnr=item.psnr,
                original=item.original,
            )
            frames.append(_json.encode(frame))
            records.add(item.sample, frame, ids, item.prints)
            record = self._kind.record(item.name, item.size, item.crc, offset - item.prefix)
            if record and self._crc_at is not None:
                directory.append(record)
            mimes.append(mime)
            if item.header:
                extents[mime] = flatter(extents.get(mime, (0, 0)), (item.header.width, item.header.height))
        pictures, annotations = records.take()
        return Described(
            frames=b",\n".join(frames),
            images=pictures,
            annotations=annotations,
            names=b"".join(item.name + b"\0" for item in self._items),
            records=b"".join(directory),
            offsets=places,
            sizes=[item.size for item in self._items],
            mimes=mimes,
            extents=extents,
            annotation_count=records.annotations,
            labelled=records.labelled,
            used=self._used,
            unread=self._unread,
            turned=records.turned,
            problems=self._problems,
        )

    def _check_name(self, name: bytes, key: str) -> None:
        if wrong := name_problem(name, key):
            self._problem(key, *wrong)

    def _problem(self, key: str, code: str, message: str) -> None:
        self._problems.append(Problem(f"{self._scan.root}/{key}", code, message))


def name_problem(name: bytes, key: str) -> tuple[str, str] | None:
    """Code and message of what is wrong with the name of an image."""
    if not name.isascii() and not is_utf8(name):
        return "name-not-utf8", "its name is not UTF-8; rename it so that others can read it"
    if not key.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in key):
        return "control-character", "its name holds a control character; rename it"
    return None


def _look(data: memoryview) -> tuple[images.Header | None, tuple[str, str] | None]:
    """The header of a whole image file, and the problem (code, message) that it has."""
    try:
        header = images.header(data)
    except ValueError as error:
        return None, ("undecodable", f"{error}; kept as a frame without size")
    if header is None:
        return None, ("undecodable", "no image format that xlabel knows; kept as a frame without size")
    reason = images.cut(data)
    return header, ("cut-off", f"the image is cut off: {reason}; fetch it again") if reason else None


def _read_large(
    fd: int, size: int, pixels: bool
) -> tuple[str, int, images.Header | None, tuple[str, str] | None, dict[str, str]]:
    """Hash, CRC, header, problem and fingerprints of a large file, read in pieces."""
    import mmap

    digest, crc, total = hashlib.sha256(), 0, 0
    while piece := os.read(fd, 1 << 20):
        digest.update(piece)
        crc = crc32(piece, crc)
        total += len(piece)
    if total != size:
        raise ValueError(_changed(size))
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
        header, problem = _look(view)
        prints = hashing.fingerprints(view, decoded=True) if pixels else {}
    return digest.hexdigest(), crc, header, problem, prints


def _changed(size: int) -> str:
    return f"expected {size:,} bytes, found another number: it changed while it was read"
