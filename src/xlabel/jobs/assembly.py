"""Puts batches together into the three files: places, ids and categories in order, then the indexes."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from xlabel.bundles import Directory, Kind, Playable, flatter, mp4
from xlabel.errors import InputError
from xlabel.formats.labels import Ref
from xlabel.formats.unified_reading import Top
from xlabel.formats.unified_writing import tail
from xlabel.jobs.frames import Ask, Described, Grant, Making
from xlabel.jobs.records import UNSEALED, AnnotationFile, Lines
from xlabel.model import Category, Problem
from xlabel.model.manifest import VERSION, Video
from xlabel.stores.local import write_at
from xlabel.stores.transaction import Transaction

FPS = 10
"""Frames a second where nobody says how many."""

FOLLOWS = frozenset({"generation", "sha256", "media_size", "bundle", "pack_id"})
"""Fields of an annotation file's section that follow from frames, labels and media; they stand at its end."""

_json = msgspec.json.Encoder()


class Categories:
    """The ids of categories over all processes: an id that is free is kept, else the next one is given."""

    def __init__(self, known: list[Category]) -> None:
        self.all = list(known)
        self._ids = {category.id for category in known}
        self._named = {category.name: category.id for category in known}

    def numbered(self, fresh: list[Category]) -> dict[int, int]:
        """Ids of categories that a process met for the first time, by the ids that it gave them."""
        ids: dict[int, int] = {}
        for category in fresh:
            known = self._named.get(category.name)
            if known is None:
                known = category.id if category.id not in self._ids else max(self._ids) + 1
                self.all.append(msgspec.structs.replace(category, id=known))
                self._ids.add(known)
                self._named[category.name] = known
            ids[category.id] = known
        return ids


class Counted(msgspec.Struct):
    """What went into the bundle."""

    frames: int = 0
    annotations: int = 0
    labelled: int = 0
    used: int = 0
    """Label records that belong to an image."""
    unread: list[Ref] = msgspec.field(default_factory=list)
    """Those that belong to one and could not be read."""
    turned: list[str] = msgspec.field(default_factory=list)
    """Keys of images whose labels were drawn on the stored matrix."""
    bytes: int = 0
    """Of the image files, before equal ones were joined."""


class Base(msgspec.Struct, frozen=True):
    """The bundle that an update adds to; an .mp4."""

    size: int
    """Bytes of the media file: what is new goes behind them."""
    count: int
    """Frame numbers that have been given."""
    shared: dict[bytes, int] = msgspec.field(default_factory=dict)
    """sha256 of each image file -> its offset."""


class Assembly:
    """Writes manifest and annotations while batches come in, and the media's index at the end."""

    def __init__(
        self,
        work: Transaction,
        making: Making,
        fps: Fraction,
        manifest: Lines | None,
        annotations: AnnotationFile | None,
        categories: list[Category],
        first_ids: tuple[int, int],
        base: Base | None = None,
    ) -> None:
        """`work` is where keys and ZIP records wait until the images are written.

        `first_ids`: of images and of annotations that have none of their own. `base` is for an update.
        """
        self._kind = making.kind
        self._face = making.face
        self.fps = fps
        self._manifest = manifest
        self._annotations = annotations
        self._image_id, self._annotation_id = first_ids
        self.categories = Categories(categories)
        self.counted = Counted()
        self.problems: list[Problem] = []
        self._start = base.size if base else 0
        self._end = self._start + len(mp4.MDAT) if base else len(making.kind.HEAD)
        self._index = self._next = base.count if base else 0
        self.empty: dict[bytes, bytes] = {}
        """Name of each file of 0 bytes that the bundle has already -> its record in the directory."""
        self._numbers = array("Q")
        self._offsets = array("Q")
        self._sizes = array("Q")
        self._tracks = bytearray()
        self._mimes: list[str] = []
        self._extents: list[tuple[int, int]] = []
        self._shared: dict[bytes, int] = dict(base.shared) if base else {}
        self._hash = pack_hash(making.kind.NAME, making.face, fps)
        self._keys = Lines(work.staged("spool-keys"), joint=b"")
        self._records = Lines(work.staged("spool-records"), joint=b"")

    @property
    def next_number(self) -> int:
        """The number of the next frame."""
        return self._next

    def number_from(self, image_id: int, annotation_id: int) -> None:
        """Say which ids are free from now on."""
        self._image_id, self._annotation_id = image_id, annotation_id

    def grant(self, ask: Ask) -> Grant:
        """The next batch's place."""
        stored, size = self._stored(ask)
        grant = Grant(
            offset=self._end,
            index=self._index,
            image_id=self._image_id,
            annotation_id=self._annotation_id,
            category_ids=self.categories.numbered(ask.categories),
            stored=stored,
        )
        self._end += size
        self._index += ask.frames
        self._image_id += ask.image_ids
        self._annotation_id += ask.annotation_ids
        return grant

    def add_frames(self, lines: bytes) -> None:
        """Add records of frames, joined, to the manifest."""
        if lines:
            self._hash.update(lines.replace(b",\n{", b"\n{") + b"\n")
        if self._manifest is not None:
            self._manifest.add(lines)

    def accept(self, batch: Described) -> None:
        """Take in what a batch, the next in order, says of itself."""
        self.keep(batch, range(self._next, self._next + len(batch.offsets)))
        self._next += len(batch.offsets)
        self._keys.add(batch.names)

    def keep(self, batch: Described, numbers: Sequence[int]) -> None:
        """Take in a batch of frames whose numbers are given, and whose keys are in the bundle already."""
        self.add_frames(batch.frames)
        if batch.offsets:
            self._numbers.extend(numbers)
            self._offsets.extend(batch.offsets)
            self._sizes.extend(batch.sizes)
            self._tracks += bytes(map(self._track, batch.mimes))
            for mime, extent in batch.extents.items():
                track = self._track(mime)
                self._extents[track] = flatter(self._extents[track], extent)
        if self._annotations is not None:
            self._annotations.add(batch.images, batch.annotations)
        self._records.add(batch.records)
        self.problems += batch.problems
        self.counted.frames += len(batch.offsets)
        self.counted.annotations += batch.annotation_count
        self.counted.labelled += batch.labelled
        self.counted.used += batch.used
        self.counted.unread += batch.unread
        self.counted.turned += batch.turned
        self.counted.bytes += sum(batch.sizes)

    @property
    def pack_id(self) -> str:
        """Names this pack: it follows from the frames and how they are bundled."""
        return self._hash.hexdigest()[:32]

    @property
    def places(self) -> list[tuple[int, int]]:
        """(offset, size) of each frame so far."""
        return list(zip(self._offsets, self._sizes, strict=True))

    def finish_media(
        self, path: Path, empty: list[bytes], video: Video | None = None, preview: Playable | None = None
    ) -> None:
        """Write the files of 0 bytes (they are no frames) and the index."""
        with open(path, "r+b", buffering=0) as out:
            entries = len(self._offsets)
            for name in empty:
                prefix = self._kind.prefix(name, 0, self._face)
                if name in self.empty:
                    self._records.add(self.empty[name])
                    entries += 1
                elif prefix:
                    self._records.add(self._kind.record(name, 0, 0, self._end))
                    write_at(out.fileno(), prefix, self._end)
                    self._end += len(prefix)
                    entries += 1
            directory = Directory(
                numbers=self._numbers if len(self._numbers) != self._next else range(self._next),
                count=self._next,
                start=self._start,
                offsets=self._offsets,
                sizes=self._sizes,
                tracks=self._tracks,
                mimes=self._mimes,
                extents=self._extents,
                names=self._keys.pieces,
                names_size=self._keys.size,
                records=self._records.pieces,
                records_size=self._records.size,
                entries=entries,
                fps=self.fps,
                pack_id=self.pack_id,
                video=video,
                preview=preview,
            )
            for offset, data in self._kind.finish(self._end, directory, self._face):
                write_at(out.fileno(), data, offset)

    def finish_json(
        self,
        media: str,
        size: int,
        generation: int,
        section: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        problems: list[Any],
    ) -> None:
        """Write what stands behind the frames of the manifest, and behind the labels of the annotation file.

        `size` is that of the media file. `section` is the annotation file's own but for `FOLLOWS`, which is
        filled in here.
        """
        own = {name: said for name, said in section.items() if name not in FOLLOWS}
        numbered = {"generation": generation} if generation > 1 else {}
        seal = {"sha256": UNSEALED}
        if self._manifest is not None:
            empty, other = (
                {name: own[name] for name in names if name in own}
                for names in (("empty", "empty_bytes"), ("video", "preview"))
            )
            said = empty | {"problems": problems} | other | numbered | {"media_size": size} | seal
            self._manifest.end(b"\n]," + _json.encode(said | {"pack_id": self.pack_id})[1:] + b"\n")
        if self._annotations is not None:
            own |= numbered | seal | {"media_size": size, "bundle": media, "pack_id": self.pack_id}
            self._annotations.finish(self.categories.all, extra, own)

    def _stored(self, ask: Ask) -> tuple[list[int | None], int]:
        """Where each file lies already, and how many bytes the batch needs without those."""
        if not ask.contents:
            return [], ask.size
        stored: list[int | None] = []
        at = self._end
        for sha256, size in ask.contents:
            digest = bytes.fromhex(sha256)
            known = self._shared.get(digest)
            stored.append(known)
            if known is None:
                self._shared[digest] = at
                at += size
        return stored, at - self._end

    def _track(self, mime: str) -> int:
        try:
            return self._mimes.index(mime)
        except ValueError:
            self._mimes.append(mime)
            self._extents.append((0, 0))
            return len(self._mimes) - 1

    def close(self) -> None:
        """Let go of all files."""
        for file in (self._keys, self._records, self._manifest, self._annotations):
            if file is not None:
                file.close()


def says_the_same(
    top: Top, categories: list[Category], extra: Mapping[str, Any] | None, section: Mapping[str, Any]
) -> bool:
    """Whether an annotation file says of the whole already what `finish_json` would write, frames apart."""
    own = {name: said for name, said in top.section.items() if name not in FOLLOWS}
    return tail(top.categories, top.extra, own) == tail(categories, extra, section)


def manifest_file(path: Path, media: str, kind: Kind, fps: Fraction) -> Lines:
    """frame_manifest.json up to its frames."""
    head = {"version": VERSION, "bundle": media, "kind": kind.NAME, "fps": fps_number(fps)}
    return Lines(path, _json.encode(head)[:-1] + b',"frames":[\n')


def frame_rate(fps: float) -> Fraction:
    """Frames a second as a fraction that a media header can hold; InputError where it cannot."""
    try:
        rate = Fraction(str(fps)).limit_denominator(1001)
        if rate > 0 and rate.numerator <= 1_000_000:
            return rate
    except ValueError:
        pass
    raise InputError(f"expected frames a second above 0 and up to 1,000,000, got {fps}")


def pack_hash(kind: str, face: bool, fps: Fraction) -> "hashlib._Hash":
    """What the frames' records, a line each, are added to; its first 32 digits are the pack id."""
    return hashlib.sha256(f"xlabel {VERSION} {kind}{'+zip' if face else ''} {fps}\n".encode())


def fps_number(fps: Fraction) -> int | float:
    """Frames a second as JSON has them."""
    return fps.numerator if fps.denominator == 1 else float(fps)
