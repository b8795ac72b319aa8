"""Reading a pack: its frames by number or by key, their bytes and their labels."""

import mmap
from collections.abc import Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from xlabel import bundles
from xlabel.errors import CorruptError, InputError
from xlabel.formats import unified_reading
from xlabel.jobs.generations import Made
from xlabel.model import Annotation, Image, Sample
from xlabel.model.manifest import (
    ANNOTATIONS,
    Frame,
    Manifest,
    Preview,
    Video,
    empty_names,
    name_bytes,
    parse,
)
from xlabel.stores.snapshot import PIECE, Kept

T = TypeVar("T")


class Bundle:
    """A pack that is open for reading. `len()`, `bundle[3]`, `bundle["a/b.jpg"]` and iteration give samples.

    The media is opened by its own index; keys and labels are read when first asked for. All files are those
    that were there when it was opened, also after they have been replaced.
    """

    def __init__(
        self,
        media: Kept,
        annotations: Kept | None,
        manifest: Kept | None,
        size: int | None = None,
        generation: int = 1,
    ) -> None:
        """`size`: of the media, where it may have grown since by an update that is not wanted."""
        self.generation = generation
        """How often the pack was updated, and 1; 1 without an annotation file."""
        self.media = media.path
        self.annotation_file = annotations
        self.manifest_file = manifest
        self._file = media
        where = str(self.media)
        self.size = bundles.settled(self._read_any, media.size, where) if size is None else size
        if self.size > media.size:
            raise CorruptError(
                f"{where}: expected {self.size:,} bytes, the file ends at {media.size:,}; it is cut off, "
                "fetch it again"
            )
        self._index = bundles.open_index(self._mapped(), self.size, where)
        self._manifest: Manifest | None = None
        self._keys: list[str] | None = None
        self._numbers: dict[str, int] | None = None
        self._unified: unified_reading.Unified | None = None

    @property
    def still_there(self) -> bool:
        """Whether its files are still those that their names lead to."""
        files = (self._file, self.annotation_file, self.manifest_file)
        return all(file is None or file.still_there for file in files)

    @property
    def media_bytes(self) -> int:
        """Bytes of the media file as it is now; more than `size` where an update has begun."""
        return self._file.size

    @property
    def newest_is_later(self) -> bool:
        """Whether the media file has a later generation than this one."""
        try:
            return self.media_bytes > self.size and self.newest > self.size
        except CorruptError:
            return False

    @property
    def newest(self) -> int:
        """Bytes of the media file up to the end of its newest whole generation; `size` in most cases."""
        return bundles.settled(self._read_any, self._file.size, str(self.media))

    @property
    def made(self) -> Made:
        """The generation, as a log knows it."""
        return Made(self.generation, str(self.pack_id))

    @property
    def has_face(self) -> bool:
        """Whether an .mp4 is a ZIP besides."""
        tail = bytes(self.read(self.size - bundles.TRAILER - 22, 22))
        return self.kind == "mp4" and tail[:4] == b"PK\x05\x06"

    @property
    def kind(self) -> str:
        """`mp4`, `tar` or `zip`."""
        return self._index.kind

    @property
    def pack_id(self) -> str | None:
        """What names the pack in all of its files."""
        return self._index.pack_id

    @property
    def offsets(self) -> Any:
        """Where each image begins in the media file: N unsigned integers, a numpy array."""
        return self._index.offsets

    @property
    def sizes(self) -> Any:
        """Bytes of each image: N unsigned integers, a numpy array."""
        return self._index.sizes

    @property
    def numbers(self) -> Any:
        """The frame number of each image: N integers, a numpy array. Those of deleted frames are left out."""
        import numpy as np

        return np.arange(len(self)) if self._index.numbers is None else self._index.numbers

    @property
    def keys(self) -> list[str]:
        """The images' keys, in frame order."""
        if self._keys is None:
            self._keys = [name.decode("utf-8", "backslashreplace") for name in self.raw_names()]
        return self._keys

    def raw_names(self) -> list[bytes]:
        """The images' paths as the file system had them, in frame order; read anew each time."""
        return self._index.names()

    @property
    def described(self) -> bool:
        """Whether an annotation file belongs to the bundle."""
        return self.annotation_file is not None

    @property
    def unified(self) -> unified_reading.Unified:
        """The whole annotation file. InputError where there is none."""
        if self._unified is None:
            file = self.annotation_file
            if file is None:
                raise InputError(
                    f"{self.media}: no {ANNOTATIONS} of its pack beside it, so no labels to read"
                )
            path = file.path
            read = unified_reading.read(file.whole(), str(path))
            if read.section.get("pack_id") != self.pack_id:
                raise CorruptError(
                    f"{path}: is no longer of pack {self.pack_id}; it was edited, open the bundle again"
                )
            count = len(read.dataset.samples)
            if count != len(self):
                raise CorruptError(
                    f"{path}: has {count} images, the bundle {len(self)} frames; they are not of one pack"
                )
            self._unified = read
        return self._unified

    def trailer(self, size: int | None = None) -> bundles.Trailer:
        """The last line of the media, or of its first `size` bytes where those were an earlier generation."""
        return bundles.read_trailer(self.read, self.size if size is None else size, str(self.media))

    @property
    def manifest(self) -> Manifest | None:
        """The manifest beside the bundle, which may be another bundle's; None where there is none."""
        if self._manifest is None and self.manifest_file is not None:
            self._manifest = parse(self.manifest_file.whole(), str(self.manifest_file.path))
        return self._manifest

    def take_manifest(self, later: Manifest) -> None:
        """Take the manifest of a later generation for one of this: frames were added since, or deleted."""
        count = self.trailer().count
        there = {int(number) for number in self.numbers}
        frames = [
            msgspec.structs.replace(frame, deleted=frame.index not in there) for frame in later.frames[:count]
        ]
        self._manifest = msgspec.structs.replace(later, frames=frames, pack_id=self.pack_id or "")

    def said(self, name: str, kind: type[T], default: T) -> T:
        """A field of the annotation file's own section; the default where there is none of either."""
        section = self.unified.section if self.described else {}
        try:
            return msgspec.convert(section.get(name, default), kind)
        except msgspec.ValidationError as error:
            raise CorruptError(f"{ANNOTATIONS}: xlabel.{name}: {error}; put the right one back") from None

    def empty_names(self) -> list[bytes]:
        """Names of the files of 0 bytes, as whichever JSON file there is has them."""
        try:
            if self.described:
                coded = self.said("empty_bytes", dict[str, str], {})
                return empty_names(self.said("empty", list[str], []), coded)
            if self.manifest is not None and self.manifest.pack_id == self.pack_id:
                return empty_names(self.manifest.empty, self.manifest.empty_bytes)
        except ValueError as error:
            raise CorruptError(f"{self.media.parent}: {error}; pack again") from None
        return []

    def bare_frames(self) -> list[Frame]:
        """The frames as the media file alone tells them: without size of the image, type and hash."""
        return [
            Frame(
                index=int(number),
                key=key,
                offset=int(offset),
                size=int(size),
                width=None,
                height=None,
                sha256="",
                mime="",
                name_bytes=name_bytes(name),
            )
            for number, key, name, offset, size in zip(
                self.numbers, self.keys, self.raw_names(), self.offsets, self.sizes, strict=True
            )
        ]

    def number(self, key: str) -> int:
        """The frame number of a key; KeyError where there is none."""
        if self._numbers is None:
            self._numbers = {key: number for number, key in enumerate(self.keys)}
        return self._numbers[key]

    def image_bytes(self, frame: int | str) -> bytes:
        """The image file of a frame, as it was packed.

        >>> len(bundle.image_bytes("harbour/001.jpg"))
        30248
        """
        if self.video is not None:
            raise InputError(
                f"{self.media}: holds lossy video, no image files; picture({frame!r}) decodes a frame, "
                "`xlabel unpack` all of them"
            )
        return self._packed(self._number(frame))

    def picture(self, frame: int | str) -> Any:
        """The pixels of a frame as displayed: height x width x 3, RGB, 8 bits, a numpy array.

        Of a video only what it takes is decoded: `gop` frames at most. InputError where there is no picture.

        >>> bundle.picture("harbour/001.jpg").shape
        (360, 640, 3)
        """
        from xlabel.pictures.pillow import displayed

        number = self._number(frame)
        if self.video is None:
            try:
                return displayed(self._packed(number))
            except ValueError as error:
                raise InputError(f"{self.media}: frame {number}: {error}") from None
        return next(self.pictures(number, number + 1))

    def pictures(self, start: int, stop: int) -> Iterator[Any]:
        """The pictures of the frames from `start` up to `stop` of a video, decoded once each."""
        from xlabel.bundles.video import decode

        made = self.video
        if made is None:
            yield from map(self.picture, range(start, stop))
            return
        image = self.image(start)
        if image.width is None or image.height is None:
            raise CorruptError(f"{self.annotation_file}: frame {start} has no size; pack again")
        for first in range(start - start % made.gop, stop, made.gop):
            last = min(first + made.gop, stop)
            packets = map(self._packed, range(first, last))
            try:
                for number, picture in enumerate(decode(made, packets, (image.width, image.height)), first):
                    if number >= start:
                        yield picture
            except CorruptError as error:
                raise CorruptError(f"{self.media}: frames {first} to {last - 1}: {error}") from None

    @cached_property
    def video(self) -> Video | None:
        """How the frames were encoded, where they are no image files but lossy video."""
        if self.described:
            return self.said("video", Video | None, None)  # type: ignore[arg-type]
        return self._own_manifest.video if self._own_manifest else None

    @property
    def preview(self) -> Preview | None:
        """What is known of the preview track; None where there is none."""
        if self.described:
            return self.said("preview", Preview | None, None)  # type: ignore[arg-type]
        return self._own_manifest.preview if self._own_manifest else None

    @property
    def _own_manifest(self) -> Manifest | None:
        manifest = self.manifest
        return manifest if manifest is not None and manifest.pack_id == self.pack_id else None

    def _packed(self, number: int) -> bytes:
        """The bytes of a frame: an image file, or a packet of video."""
        offset, size = int(self._index.offsets[number]), int(self._index.sizes[number])
        data = self._file.read(offset, size) if offset + size <= self.size else b""
        if len(data) != size:
            raise CorruptError(
                f"{self.media}: frame {number} should be {size:,} bytes at {offset:,}, "
                f"the file ends at {self.size:,}; it is damaged"
            )
        return data

    def annotations(self, frame: int | str) -> tuple[Annotation, ...]:
        """The labels of a frame."""
        return self[frame].annotations

    def image(self, frame: int | str) -> Image:
        """Key, size and orientation of a frame's image."""
        return self[frame].image

    def read(self, offset: int, size: int) -> memoryview:
        """Bytes of the media file, fewer at its end."""
        if not 0 <= offset < self.size:
            return memoryview(b"")
        return memoryview(self._file.read(offset, max(0, min(size, self.size - offset))))

    def expect(self, offset: int, size: int) -> None:
        """Say that bytes of the media file will be read soon, so that the system can begin."""
        self._file.expect(offset, size)

    def pieces(self, offset: int, size: int) -> Iterator[memoryview]:
        """Bytes of the media file a few megabytes at a time, as far as they are there."""
        end = offset + size
        while offset < end and (piece := self.read(offset, min(PIECE, end - offset))):
            yield piece
            offset += len(piece)

    def __len__(self) -> int:
        return len(self._index.offsets)

    def __getitem__(self, frame: int | str) -> Sample:
        return self.unified.dataset.samples[self._number(frame)]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.unified.dataset.samples)

    def __contains__(self, key: str) -> bool:
        try:
            self.number(key)
        except KeyError:
            return False
        return True

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        for file in (self._file, self.annotation_file, self.manifest_file):
            if file is not None:
                file.close()

    def _number(self, frame: int | str) -> int:
        if isinstance(frame, str):
            return self.number(frame)
        number = frame + len(self) if frame < 0 else frame
        if not 0 <= number < len(self):
            raise IndexError(f"expected a frame number below {len(self)}, got {frame}")
        return number

    def _read_any(self, offset: int, size: int) -> memoryview:
        """Bytes of the media file, also behind `self.size`, where an update may cut them off at any time."""
        return memoryview(self._file.read(offset, size))

    def _mapped(self) -> bundles.ReadAt:
        """Bytes of the media file as views, for indexes that are used where they lie."""
        if not self.size:
            return lambda offset, size: memoryview(b"")
        mapped = memoryview(mmap.mmap(self._file.fileno(), self.size, prot=mmap.PROT_READ))
        return lambda offset, size: mapped[offset : offset + size]
