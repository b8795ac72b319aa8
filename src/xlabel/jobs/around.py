"""What stands around the images in a media file, made of its frames again to compare it."""

from array import array
from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from struct import pack
from typing import NamedTuple

from xlabel import bundles
from xlabel.bundles import Kind, Trailer, flatter, mp4, preview
from xlabel.bundles import zip as zipped
from xlabel.bundles.mp4_index import generations
from xlabel.errors import CorruptError
from xlabel.jobs.bundle import Bundle
from xlabel.model.geometry import turned_size
from xlabel.model.manifest import Frame


class _Part(NamedTuple):
    """What one generation has added to a media file."""

    start: int
    """Where it begins; 0 the first."""
    end: int
    first: int
    """The number of its first frame."""
    line: Trailer


def around(
    bundle: Bundle, frames: list[Frame], crcs: "array[int]", face: bool, rate: Fraction
) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of all that is no image, as a bundle's writer makes it of `frames`, deleted ones too.

    `crcs` are of the images. ValueError where the images do not lie as they do in a bundle.
    """
    kind = bundles.kind(bundle.kind)
    empty: dict[bytes, tuple[int, bytes]] = {}
    shown = preview.stored(bundle.read, bundle.size, bundle.trailer()) if bundle.preview else None
    yield 0, kind.HEAD[:-8]  # mdat's length comes with the rest
    for part in _parts(bundle):
        added = frames[part.first : part.line.count]
        end = yield from _between(kind, part, added, face)
        for name, head in _empty(bundle, kind, part, end, face, shown.start if shown else part.line.names):
            empty[name] = end, head
            yield end, head
            end += len(head)
        keys = b"".join(frame.raw_name + b"\0" for frame in added)
        if part.end == bundle.size:
            break
        start = part.start or len(mp4.FTYP)
        yield start, pack(">I4sQ", 1, b"mdat", end - start)
        yield end, mp4.names_head(part.start, len(keys)) + keys
        yield part.line.index + 4, mp4.HIDDEN
    directory = _directory(bundle, kind, frames, crcs, face, rate)
    directory.video, directory.preview = bundle.video, shown.track if shown else None
    directory.start, directory.names, directory.names_size = part.start, lambda: [keys], len(keys)
    records = [kind.record(name, 0, 0, empty[name][0]) for name in bundle.empty_names() if name in empty]
    before = directory.records
    directory.records = lambda: [*before(), *records]
    directory.records_size += sum(map(len, records))
    directory.entries += len(records)
    last = 0
    for offset, data in kind.finish(end, directory, face):
        yield offset, data
        last = max(last, offset + len(data))
    if last != bundle.size:
        raise ValueError(f"expected {last:,} bytes, found {bundle.size:,}")


def holders(frames: list[Frame]) -> dict[int, Frame]:
    """By offset, the frame that the bytes there were written for; renamed or equal ones have them too."""
    first: dict[int, Frame] = {}
    for frame in frames:
        first.setdefault(frame.offset, frame)
    return first


def written_names(bundle: Bundle) -> dict[int, bytes]:
    """By offset, the name that each image file was written under, by the indexes of all generations.

    For those who do not know the deleted frames: a renamed image has its old name before its bytes. What an
    index that is damaged by now would tell is left out.
    """
    names: dict[int, bytes] = {}
    for part in _parts(bundle):
        with suppress(CorruptError, ValueError):
            index = bundles.open_index(bundle.read, part.end, str(bundle.media))
            new = index.offsets >= part.start
            each = zip(index.offsets.tolist(), index.names(), new.tolist(), strict=True)
            for offset, name in ((offset, name) for offset, name, is_new in each if is_new):
                names.setdefault(offset, name)
    return names


def _parts(bundle: Bundle) -> list[_Part]:
    where = str(bundle.media)
    if bundle.kind != mp4.NAME:
        return [_Part(0, bundle.size, 0, bundle.trailer())]
    found: list[_Part] = []
    start = first = 0
    for end, line in reversed(list(generations(bundle.read, bundle.size, where))):
        found.append(_Part(start, end, first, line))
        start, first = end, line.count
    return found


def _between(
    kind: Kind, part: _Part, added: list[Frame], face: bool
) -> Generator[tuple[int, bytes], None, int]:
    """What stands between the images of a part; gives where they end."""
    at = part.start + len(mp4.MDAT) if part.start else len(kind.HEAD)
    for frame in added:
        prefix = len(kind.prefix(frame.raw_name, frame.size, face))
        if frame.offset == at + prefix:
            at += prefix + frame.size
            yield at, bytes(kind.padding(frame.size))
            at += kind.padding(frame.size)
        elif frame.offset > at or (prefix and frame.offset >= part.start):
            raise ValueError(f"frame {frame.index} begins at {frame.offset}, expected {at + prefix}")
    return at


def _empty(
    bundle: Bundle, kind: Kind, part: _Part, at: int, face: bool, end: int
) -> Iterator[tuple[bytes, bytes]]:
    """Name and header of each file of 0 bytes that a part has added, up to `end`."""
    if kind.NAME != mp4.NAME:
        for name in bundle.empty_names():
            yield name, kind.prefix(name, 0, face)
        return
    while face and at < end:
        name = zipped.name_at(bundle.read, at)
        yield name, kind.prefix(name, 0, face)
        at += len(kind.prefix(name, 0, face))
    if at != end:
        raise ValueError(f"{end - at:,} bytes at {at:,} are of no image")


def _directory(
    bundle: Bundle, kind: Kind, frames: list[Frame], crcs: "array[int]", face: bool, rate: Fraction
) -> bundles.Directory:
    """The directory of the frames that are not deleted, without names."""
    mimes: dict[str, int] = {}
    extents: list[tuple[int, int]] = []
    tracks, records = bytearray(), bytearray()
    live = [frame for frame in frames if not frame.deleted]
    recorded = kind.crc_at(face) is not None
    first = holders(frames)
    for frame in live:
        track = mimes.setdefault(frame.mime, len(mimes))
        if track == len(extents):
            extents.append((0, 0))
        if bundle.video is not None:
            extents[track] = (bundle.video.width, bundle.video.height)
        elif frame.width and frame.height:
            size = turned_size(frame.width, frame.height, frame.orientation)
            extents[track] = flatter(extents[track], size)
        tracks.append(track)
        if recorded:
            prefix = len(kind.prefix(first[frame.offset].raw_name, frame.size, face))
            records += kind.record(frame.raw_name, frame.size, crcs[frame.index], frame.offset - prefix)
    return bundles.Directory(
        numbers=array("Q", (frame.index for frame in live)) if len(live) < len(frames) else range(len(live)),
        count=len(frames),
        offsets=array("Q", (frame.offset for frame in live)),
        sizes=array("Q", (frame.size for frame in live)),
        tracks=tracks,
        mimes=list(mimes),
        extents=extents,
        names=list,
        names_size=0,
        records=lambda: [bytes(records)],
        records_size=len(records),
        entries=len(live),
        fps=rate,
        pack_id=str(bundle.pack_id),
    )
