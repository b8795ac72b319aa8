"""Known pictures: an index over images whose labels are known, by what they look like to the bit and nearly.

Two passes, both spread over processes: the first hashes the compressed image data of each file, the second,
made only once something has to be found by its pixels, decodes them. An image takes about 1 kB of memory.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from xlabel import images
from xlabel.errors import CorruptError, InputError
from xlabel.formats.embedded import document_in
from xlabel.images import Buffer, Header, fingerprint
from xlabel.jobs.selection import Place
from xlabel.jobs.sources import DescribedSource, Source, source_of
from xlabel.jobs.spread import spread
from xlabel.model import Image, Sample
from xlabel.model.geometry import TURNS, turned_size, undoing
from xlabel.pictures import arrays, hashing, matching, squares
from xlabel.pictures.matching import Decoded

NEAR = 60
"""Of the 256 bits of a perceptual hash, how many may differ for a picture to be looked at closely."""
NAMESAKES = 4
LOOKED = 64
"""So many pictures are looked at closely for one."""
KEPT = 16
"""Decoded pictures that are kept, since those that are alike follow each other."""
PIECE = 1 << 20
"""Numbers of squares that are compared at a time."""
EMPTY = bytes(16)
"""In place of a digest that there is not."""


class UndecodedError(Exception):
    """All images of a source would have to be decoded."""


class Frame(NamedTuple):
    """The size of a picture as displayed, and its EXIF orientation."""

    width: int
    height: int
    orientation: int

    @classmethod
    def of(cls, width: int, height: int, orientation: int) -> "Frame":
        """By the stored size."""
        return cls(*turned_size(width, height, orientation), orientation)

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as stored."""
        return turned_size(self.width, self.height, self.orientation)


class Known:
    """An index over a source. Numbers are those of its images."""

    def __init__(self, source: Source, workers: int | None = None) -> None:
        self.source = source
        self._workers = workers
        self._sizes = array("I")
        self._orientations = bytearray()
        self._labelled = bytearray()
        streams, hashes, names = bytearray(), bytearray(), bytearray()
        for entries in spread(_Hashing(source), len(source), workers):
            for entry in entries:
                header = entry.header
                self._sizes.extend((header.width, header.height) if header else (0, 0))
                self._orientations.append(header.orientation if header else 0)
                self._labelled.append(entry.labelled)
                streams += entry.stream or EMPTY
                hashes += entry.sha256 or EMPTY
        for number in range(len(source)):
            names += _named(source.key(number))
        self._streams, self._hashes, self._names = _Index(streams), _Index(hashes), _Index(names)
        self.has_pixels = self.has_pictures or (isinstance(source, DescribedSource) and source.has_pixels)
        """Whether images can be found by their pixels."""
        self._may_decode = True
        self._pixels: _Index | None = None
        self._perceptual: NDArray[np.uint64] = np.zeros((0, 4), dtype=np.uint64)
        self._blocks: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._ends: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._recent: OrderedDict[int, Decoded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._orientations)

    @property
    def has_pictures(self) -> bool:
        """Whether there are images, and not only what is said of them."""
        return any(self._orientations)

    def key(self, number: int) -> str:
        """The key of an image."""
        return self.source.key(number)

    def labelled(self, number: int) -> bool:
        """Whether its labels are known, and are of the image as it is."""
        return bool(self._labelled[number])

    def frame(self, number: int) -> Frame | None:
        """Size and orientation of its file as it is displayed; None where there is no file that says them."""
        width, height = self._sizes[2 * number : 2 * number + 2]
        orientation = self._orientations[number]
        return Frame.of(width, height, orientation) if orientation else None

    def sample(self, number: int) -> Sample | None:
        """Its labels, with the size and orientation of its file."""
        return self.source.sample(number, _image(self.key(number), self.frame(number)))

    def picture(self, number: int) -> Decoded | None:
        """Its decoded picture; None where there is none, or it cannot be decoded."""
        if not self.has_pictures:
            return None
        found = self._recent.get(number)
        if found is None:
            try:
                with self.source.opened(number) as data:
                    found = matching.decode(data)
            except (ValueError, OSError, CorruptError):
                return None
            self._recent[number] = found
            if len(self._recent) > KEPT:
                self._recent.popitem(last=False)
        return found

    @property
    def decoded(self) -> bool:
        """Whether images can be found by their pixels at once."""
        return self._pixels is not None

    def decode(self) -> None:
        """Decode all images, so that others are found by their pixels; before processes are started."""
        self._decoded()

    @contextmanager
    def undecoded(self) -> Iterator[None]:
        """Raise UndecodedError within, where all images would have to be decoded."""
        self._may_decode = False
        try:
            yield
        finally:
            self._may_decode = True

    def of_stream(self, digest: str | None) -> list[int]:
        """The images with this fingerprint of their compressed data."""
        return [] if digest is None else self._streams.find(bytes.fromhex(digest))

    def of_bytes(self, data: Buffer) -> list[int]:
        """The images that are, byte for byte, these."""
        return self._hashes.find(hashlib.sha256(data).digest()[:16]) if len(self._hashes) else []

    def of_name(self, key: str) -> list[int]:
        """The images of this name, whatever folder and ending; none where there are more than a few."""
        found = self._names.find(_named(key))
        return found if len(found) <= NAMESAKES else []

    def of_pixels(self, picture: Decoded) -> dict[int, int]:
        """The images with these pixels, each with the turn that makes them so."""
        pixels = self._decoded()
        return {
            number: turn
            for turn in reversed(TURNS)
            for number in pixels.find(matching.key(picture, undoing(turn)))
        }

    def of_fingerprint(self, data: Buffer) -> dict[int, int]:
        """The images of these pixels, as `of_pixels`, where a source has only the fingerprints of its pixels.

        ValueError where the file cannot be decoded.
        """
        if self.has_pictures or not self.has_pixels:
            return {}
        pixels = self._decoded()
        return {
            number: turn
            for turn, digest in reversed([*hashing.turns(data)])
            for number in pixels.find(bytes.fromhex(digest))
        }

    def look(self, number: int) -> str | None:
        """The perceptual hash of an image, where a source has that of it and no picture."""
        if self.has_pictures:
            return None
        self._decoded()
        look = self._perceptual[number]
        return look.tobytes().hex() if look.any() else None

    def alike(self, picture: Decoded) -> list[int]:
        """The images that look nearly like this one, turned or not, nearest first."""
        self._decoded()
        if not len(self._perceptual):
            return []
        gap = np.full(len(self._perceptual), 256)
        for hashed in perceptual(picture, TURNS):
            bits = np.bitwise_count(self._perceptual ^ np.frombuffer(hashed, dtype="<u8")).sum(axis=1)
            gap = np.minimum(gap, bits)
        near = np.argsort(gap, kind="stable")[:LOOKED]
        return [int(number) for number in near if gap[number] <= NEAR]

    def around(self, picture: Decoded) -> list[int]:
        """The images that parts of this one stand in, those with the most parts first."""
        self._decoded()
        if not len(self._blocks):
            return []
        hashes = squares.everywhere(picture.first)
        if not len(hashes):
            return []
        wanted = np.zeros(1 << 22, dtype=bool)
        wanted[hashes >> np.uint64(42)] = True
        counts = np.zeros(len(self._ends), dtype=np.int64)
        for start in range(0, len(self._blocks), PIECE):
            piece = self._blocks[start : start + PIECE]
            maybe = np.flatnonzero(wanted[piece >> np.uint64(42)])
            at = np.searchsorted(hashes, piece[maybe]).clip(max=len(hashes) - 1)
            places = maybe[hashes[at] == piece[maybe]] + start
            np.add.at(counts, np.searchsorted(self._ends, places, "right"), 1)
        best = np.argsort(-counts, kind="stable")[:LOOKED]
        return [int(number) for number in best if counts[number]]

    def _decoded(self) -> "_Index":
        if self._pixels is None:
            if not self._may_decode:
                raise UndecodedError
            digests, looks, parts = bytearray(), bytearray(), bytearray()
            ends = array("q")
            for made in spread(_Decoding(self.source), len(self), self._workers):
                for pixels, look, part in made:
                    digests += pixels or EMPTY
                    looks += look or bytes(32)
                    parts += part
                    ends.append(len(parts) // 8)
            self._perceptual = np.frombuffer(looks, dtype="<u8").reshape(-1, 4)
            self._blocks = np.frombuffer(parts, dtype="<u8")
            self._ends = np.frombuffer(ends, dtype=np.int64)
            self._pixels = _Index(digests)
        return self._pixels


def known(place: Place, workers: int | None = None) -> Known:
    """The index over a bundle, an annotation file, or a folder of images with labels inside or beside them.

    InputError where there is none of these, or nothing in it that images could be told by.
    """
    source = source_of(Path(place))
    found = Known(source, workers)
    if not (found.has_pixels or len(found._hashes) or len(found._streams)):
        raise InputError(f"{place}: has neither images nor fingerprints of them; give the images as well")
    return found


def perceptual(picture: Decoded, turns: tuple[int, ...] = (1,)) -> list[bytes]:
    """The perceptual hash of the first frame, turned in each of some ways: 32 bytes each."""
    return [bytes.fromhex(text) for text in arrays.perceptual(picture.first, turns)]


class _Index:
    """Numbers by digests of 16 bytes, which stand in a row; `EMPTY` is not found."""

    def __init__(self, digests: bytearray) -> None:
        pairs = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
        order = np.lexsort((pairs[:, 1], pairs[:, 0])).astype(np.uint32)
        self._owners = order[pairs[order].any(axis=1)]
        self._pairs = pairs[self._owners]

    def __len__(self) -> int:
        return len(self._owners)

    def find(self, digest: bytes) -> list[int]:
        first, second = np.frombuffer(digest, dtype="<u8")
        start, stop = (int(np.searchsorted(self._pairs[:, 0], first, side)) for side in ("left", "right"))
        held = self._owners[start:stop][self._pairs[start:stop, 1] == second]
        return sorted(int(number) for number in held)


class _Entry(msgspec.Struct):
    header: Header | None
    labelled: bool
    stream: bytes
    sha256: bytes = b""


class _Hashing:
    """What can be said of images without decoding them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, start: int, stop: int) -> list[_Entry]:
        return [self._entry(number) for number in range(start, stop)]

    def _entry(self, number: int) -> _Entry:
        source = self._source
        if isinstance(source, DescribedSource):
            return _Entry(
                None, source.labelled(number), source.fingerprint(number, "stream"), source.sha256(number)
            )
        try:
            with source.opened(number) as data:
                header = images.header(data)
                stream = fingerprint.stream(data)
                frame = Frame.of(header.width, header.height, header.orientation) if header else None
                sample = source.sample(number, _image(source.key(number), frame))
                labelled = sample is not None and not _outdated(data, sample, stream, header)
        except (ValueError, OSError, InputError):
            return _Entry(None, False, b"")
        return _Entry(header, labelled, bytes.fromhex(stream or ""))


class _Decoding:
    """What only decoding gives: the pixels' digest, how they look, and parts of them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, start: int, stop: int) -> list[tuple[bytes, bytes, bytes]]:
        return [self._looked(number) for number in range(start, stop)]

    def _looked(self, number: int) -> tuple[bytes, bytes, bytes]:
        if isinstance(self._source, DescribedSource):
            return (
                self._source.fingerprint(number, "pixels"),
                self._source.fingerprint(number, "perceptual"),
                b"",
            )
        try:
            with self._source.opened(number) as data:
                picture = matching.decode(data)
        except (ValueError, OSError, InputError):
            return b"", b"", b""
        return matching.key(picture), perceptual(picture)[0], squares.grid(picture.first).tobytes()


def _image(key: str, frame: Frame | None) -> Image:
    if frame is None:
        return Image(key=key)
    return Image(key=key, width=frame.width, height=frame.height, orientation=frame.orientation)


def _named(key: str) -> bytes:
    """The digest of a name without folder and ending."""
    name = key.rpartition("/")[2]
    return xxh3_128_digest((name.rpartition(".")[0] or name).encode())


def _outdated(data: Buffer, sample: Sample, stream: str | None, header: Header | None) -> bool:
    """Whether labels that an image itself holds are not of the picture that it is now."""
    if not isinstance(sample.origin, dict) or "revision" not in sample.origin:
        return False
    held = document_in(data)  # none where they stand in a file beside it, of which the source has told
    if held is None or header is None:
        return False
    picture = held.image
    if picture.stream is not None and picture.stream != stream:
        return True
    return (picture.width, picture.height, picture.orientation) != (*header.displayed, header.orientation)
