"""Images become a lossy video, or get a preview: decoded, encoded in threads, and packets in a file.

The encoders let go of Python's lock, and so does Pillow; what they give does not depend on the threads.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeVar
from warnings import catch_warnings

import msgspec
import numpy as np

from xlabel import images as imaging
from xlabel.bundles import Playable, mp4, read_trailer, video
from xlabel.bundles.preview import stored
from xlabel.bundles.preview import track as preview_track
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs.frames import Item, Making, Packer
from xlabel.jobs.labels import Found
from xlabel.model import Problem, Report
from xlabel.model.manifest import Preview, Video
from xlabel.model.report import Progress, size_text
from xlabel.pictures import pillow
from xlabel.stores.local import Scan, read_header
from xlabel.stores.paths import Paths, key_of

A = TypeVar("A")
B = TypeVar("B")

WIDTH = 320
"""Pixels of a preview, whose height follows from the images'."""
TALLEST = 640
WIDE = (4, 3)
"""Sides of a preview of images whose sides have several ratios."""
PREVIEW_CRF = 28
PREVIEW_GOP = 20


class Coded(NamedTuple):
    """Images as packets of a video."""

    images: Scan
    """Those that could be decoded, with the sizes of their packets."""
    video: Video
    spool: Path
    starts: array[int]
    """Where each packet begins in the file `spool`."""
    psnr: array[float]
    """dB, for each."""
    originals: list[str]
    """SHA-256 of each image file."""
    bytes: int
    """Of the image files."""
    size: tuple[int, int]
    """Width and height of each frame."""


class _Source(NamedTuple):
    """An image file that was read and decoded."""

    name: bytes
    size: int
    sha256: str
    picture: video.Picture


def encode(
    images: Scan,
    codec: str,
    crf: int,
    fps: Fraction,
    spool: Path,
    threads: int,
    progress: Progress | None = None,
) -> Coded:
    """Encode the images of a folder, in the order of their keys, into the file `spool`.

    InputError where they are no sequence of one size, or say more than a video holds. Images that cannot be
    decoded are problems, and left out.
    """
    width, height = _one_size(images)
    _refuse_one_stem(images)
    step = video.chunk(width, height, video.GOP)
    total = sum(images.sizes)
    names: list[bytes] = []
    coded = Coded(
        msgspec.structs.replace(images, sizes=array("Q")),
        Video(codec=codec, crf=crf, gop=video.GOP, width=0, height=0, config=b""),
        spool,
        array("Q"),
        array("d"),
        [],
        0,
        (width, height),
    )
    made: Video | None = None
    place = taken = 0

    def encoded(sources: list[_Source]) -> tuple[list[_Source], video.Encoded, list[float]]:
        pictures = [source.picture for source in sources]
        result = video.encode(pictures, codec, crf, video.GOP, fps)
        back = video.decode(result.video, result.packets, (width, height))
        return sources, result, [video.psnr(*pair) for pair in zip(pictures, back, strict=True)]

    with _pool(threads) as pool, open(spool, "wb") as out:
        sources = _sound(
            _ahead(
                pool,
                lambda name: _source(images.root, name, (width, height)),
                images.keys.names(),
                2 * threads,
            ),
            images,
        )
        for group, result, ratios in _ahead(pool, encoded, _grouped(sources, step), threads):
            if made is not None and result.video != made:
                raise RuntimeError(f"the {codec} encoder changed its configuration within a video")
            made = result.video
            for source, packet in zip(group, result.packets, strict=True):
                out.write(packet)
                coded.starts.append(place)
                coded.images.sizes.append(len(packet))
                coded.originals.append(source.sha256)
                names.append(source.name)
                place += len(packet)
                taken += source.size
            coded.psnr.extend(ratios)
            if progress:
                progress(taken, total)
    if made is None:
        raise InputError(f"{images.root}: expected images to make a video of, none of them can be decoded")
    kept = msgspec.structs.replace(coded.images, keys=Paths(names))
    return coded._replace(images=kept, video=made, bytes=taken)


class VideoPacker(Packer):
    """Packs the packets of a video instead of the images that they were made from."""

    def __init__(self, coded: Coded, found: Found | None, making: Making, media: str) -> None:
        super().__init__(coded.images, found, making, media)
        self._coded = coded
        self._numbers = {name: number for number, name in enumerate(coded.images.keys.names())}
        self._packets = open(coded.spool, "rb", buffering=0)  # noqa: SIM115

    def close(self) -> None:
        super().close()
        self._packets.close()

    def _read(self, name: bytes, size: int, at: int) -> Item | None:
        coded, key = self._coded, key_of(name)
        number = self._numbers[name]
        packet = os.pread(self._packets.fileno(), size, coded.starts[number])
        self._view[at : at + size] = packet
        self._check_name(name, key)
        path = self._root + name
        found, _ = read_header(path)
        data = memoryview(_file(path)) if self._reads_labels else None
        sample = self._sample(key, found, data)
        image = msgspec.structs.replace(sample.image, orientation=1)
        drawn = None if sample.turned else sample.drawn
        made = coded.video
        return Item(
            name,
            key,
            size,
            at,
            0,
            hashlib.sha256(packet).hexdigest(),
            0,
            imaging.Header(mp4.VIDEO_TYPES[made.codec], made.width, made.height),
            msgspec.structs.replace(sample, image=image, drawn=drawn),
            {},
            coded.psnr[number],
            coded.originals[number],
        )

    @property
    def _reads_labels(self) -> bool:
        return any(isinstance(labels, EmbeddedLabels) for labels in (self._labels, self._inside))


def note(coded: Coded, report: Report) -> None:
    """Say that a video is lossy, how much, and what it is worth."""
    made, size = coded.video, sum(coded.images.sizes)
    worst = min(range(len(coded.psnr)), key=coded.psnr.__getitem__)
    report.notes.append(
        f"LOSSY {made.codec} video, crf {made.crf}, a key frame every {made.gop} frames: PSNR "
        f"{fmean(coded.psnr):.1f} dB on average, {coded.psnr[worst]:.1f} at worst "
        f"({coded.images.keys[worst]})"
    )
    share = f"{size_text(size)} of {size_text(coded.bytes)}; the image files themselves are not in it"
    if size >= coded.bytes:
        share += ", and they are smaller: pack without --video"
    report.notes.append(share)
    width, height = coded.size
    if (width, height) != (made.width, made.height):
        report.notes.append(
            f"frames are {width} x {height} and odd: the video is {made.width} x {made.height}, its last "
            "column or row repeated; xlabel cuts it off again, other readers show it"
        )


def preview(
    media: Path, places: list[tuple[int, int]], images: Scan, fps: Fraction, spool: Path, threads: int
) -> tuple[Video, array[int]]:
    """Encode small pictures of all frames of a bundle into the file `spool`; gives the packets' sizes too.

    What cannot be decoded is grey.
    """
    size = _preview_size(images)
    sizes = array("Q")
    made: Video | None = None
    step = video.chunk(*size, PREVIEW_GOP)
    with _pool(threads) as pool, open(spool, "wb") as out, open(media, "rb") as file:

        def small(place: tuple[int, int]) -> video.Picture:
            return _small(os.pread(file.fileno(), place[1], place[0]), size)

        def encoded(pictures: list[video.Picture]) -> video.Encoded:
            return video.encode(pictures, "h264", PREVIEW_CRF, PREVIEW_GOP, fps)

        pictures = _ahead(pool, small, places, 4 * threads)
        for result in _ahead(pool, encoded, _grouped(pictures, step), threads):
            made = result.video
            for packet in result.packets:
                out.write(packet)
                sizes.append(len(packet))
    assert made is not None
    return made, sizes


def playable(made: Video, sizes: array[int], spool: Path) -> Playable:
    """The preview track, for the bundle's index."""

    def pieces() -> Iterator[bytes]:
        with open(spool, "rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    def track(number: int, offset: int, fps: Fraction) -> bytes:
        return preview_track(number, made, sizes, offset, fps)

    return Playable(pieces, track)


def stated(media: Path, made: Video) -> Preview:
    """What the JSON files say of the preview of a media file that is written."""
    with open(media, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:

        def read(offset: int, size: int) -> memoryview:
            return memoryview(mapped[offset : offset + size])

        found = stored(read, len(mapped), read_trailer(read, len(mapped), str(media)))
    assert found is not None
    return Preview(**msgspec.structs.asdict(made), sha256=found.sha256)


def picture_names(keys: Iterable[str]) -> list[str]:
    """The names that the pictures of a video's frames get: those of the images, ending in .png."""
    return [_stem(key) + ".png" for key in keys]


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _one_size(images: Scan) -> tuple[int, int]:
    """Width and height of all images as displayed; InputError where they are no sequence of one size."""
    cost = f"pack without --video: the {sum(images.sizes):,} bytes of the images as they are"
    if len(images.keys) < 2:
        raise InputError(f"{images.root}: expected a sequence for --video, got one image; {cost}")
    met: dict[tuple[int, int], str] = {}
    for size, name in _sizes(images):
        met.setdefault(size, key_of(name))
        if len(met) == 2:
            (one, first), (other, second) = met.items()
            raise InputError(
                f"{images.root}: a video has frames of one size, {first} has {one[0]} x {one[1]} pixels "
                f"and {second} {other[0]} x {other[1]}; {cost}"
            )
    if not met:
        raise InputError(f"{images.root}: expected images to make a video of, none of them can be read")
    return next(iter(met))


def _sizes(images: Scan) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Width and height as displayed, and name, of the images whose headers can be read."""
    root = os.fsencode(images.root) + b"/"
    for name in images.keys.names():
        header, _ = read_header(root + name)
        if header is not None:
            yield header.displayed, name


def _refuse_one_stem(images: Scan) -> None:
    """The pictures of a video have names of their own; InputError where two would have one."""
    met: dict[str, str] = {}
    for key in images.keys:
        other = met.setdefault(_stem(key), key)
        if other != key:
            raise InputError(
                f"{images.root}: {other} and {key} would be one picture when the video is unpacked; "
                "rename one of the two, or pack without --video"
            )


def _source(root: str, name: bytes, size: tuple[int, int]) -> _Source | Problem:
    """An image file as a picture, or why it is none. InputError where it says more than a video holds."""
    where = f"{root}/{key_of(name)}"
    try:
        data = _file(os.fsencode(root) + b"/" + name)
        more = pillow.beyond_rgb(data)
        if more:
            raise InputError(f"{where}: has {more}, which a video does not hold; pack without --video")
        picture = pillow.displayed(data)
    except OSError as error:
        return Problem(where, "unreadable", f"cannot be read: {error.strerror}; it is not in the video")
    except ValueError as error:
        return Problem(where, "undecodable", f"{error}; it is not in the video")
    found = (picture.shape[1], picture.shape[0])
    if found != size:
        return Problem(where, "undecodable", f"states {size} pixels, has {found}; it is not in the video")
    return _Source(name, len(data), hashlib.sha256(data).hexdigest(), picture)


def _sound(sources: Iterable[_Source | Problem], images: Scan) -> Iterator[_Source]:
    """Those that are pictures; the others are problems of the scan."""
    for source in sources:
        if isinstance(source, Problem):
            images.problems.append(source)
        else:
            yield source


def _small(data: bytes, size: tuple[int, int]) -> video.Picture:
    try:
        return pillow.fitted(data, size)
    except ValueError:
        return np.full((size[1], size[0], 3), 128, np.uint8)


def _preview_size(images: Scan) -> tuple[int, int]:
    """Width and height of a preview: with the images' ratio where they have one."""
    ratios = {height / width for (width, height), _ in _sizes(images)}
    one = bool(ratios) and max(ratios) - min(ratios) < 0.01
    ratio = min(ratios) if one else WIDE[1] / WIDE[0]
    return WIDTH, min(TALLEST, max(16, round(WIDTH * ratio / 2) * 2))


def _file(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _grouped(things: Iterable[A], count: int) -> Iterator[list[A]]:
    """Lists of so many things; the last may have fewer."""
    left = iter(things)
    while group := list(islice(left, count)):
        yield group


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that decode and encode."""
    # Pillow's warnings are silenced where it decodes, and threads that do so at once would not all put the
    # process's filters back as they were.
    with catch_warnings(), ThreadPoolExecutor(threads) as pool:
        yield pool


def _ahead(pool: ThreadPoolExecutor, work: Callable[[A], B], things: Iterable[A], count: int) -> Iterator[B]:
    """What `work` makes of things, in their order, `count` of them in the making."""
    waiting: deque[Future[B]] = deque()
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
