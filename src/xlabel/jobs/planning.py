"""What an update has to do with each image: told by names, sizes, times and hashes."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping

import msgspec

from xlabel.jobs.spread import spread
from xlabel.model.manifest import Frame, Seen
from xlabel.model.report import Progress
from xlabel.stores.local import Scan
from xlabel.stores.stats import Stats, look

Differs = Callable[[Frame, int], Seen | None]
"""How the image at a position differs from a frame, if only in the labels that are embedded in it."""


class Plan(msgspec.Struct):
    """What is to happen: by positions in the scan, and by frame numbers."""

    looked: Stats
    """What the files that were read were before, by positions."""
    kept: dict[int, int] = msgspec.field(default_factory=dict)
    """Frame number -> position of its image."""
    seen: dict[int, Seen | None] = msgspec.field(default_factory=dict)
    """Of kept frames whose files are not what they were: how they differ from the frame now, if they do."""
    renamed: dict[int, int] = msgspec.field(default_factory=dict)
    """Position -> number of the frame whose bytes the image has."""
    added: list[int] = msgspec.field(default_factory=list)
    """Positions of images that are appended; those that have changed are among them."""
    gone: dict[bytes, int] = msgspec.field(default_factory=dict)
    """Name -> number of each frame that is deleted; renamed and changed ones are among them."""


def plan(
    images: Scan,
    frames: Mapping[bytes, Frame],
    before: Mapping[int, Seen],
    known: Stats,
    differs: Differs,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Compare a folder of images with the live frames of a bundle, which are by name.

    `before`, by frame number, is how files differed from their frames when they were last seen; `known` tells
    which are as they were then, and learns of those that are looked at. An image with the bytes of a frame of
    another name is renamed only where that frame is deleted. One that cannot be read is one to append, which
    will say so.
    """
    root = os.fsencode(images.root) + b"/"
    names = list(images.keys.names())
    looked = Stats(len(names))
    made = Plan(looked=looked, gone={name: frame.index for name, frame in frames.items()})
    doubtful: list[int] = []
    fresh: list[int] = []
    for position, name in enumerate(names):
        frame = frames.get(name)
        found = look(root + name) if frame is not None else None
        if frame is None or found is None:
            fresh.append(position)
        elif known.same(frame.index, found):
            made.kept[frame.index] = position
            del made.gone[name]
        else:
            looked.note(position, found)
            doubtful.append(position)
    hashed = _hashed(images, names, doubtful, workers, progress)
    digests: dict[int, str] = {}
    for position, digest in hashed:
        name = names[position]
        frame = frames[name]
        noted = before.get(frame.index)
        if digest != (noted.sha256 if noted else frame.sha256):
            now = None if digest == frame.sha256 else differs(frame, position) if digest else None
            if now is None and digest != frame.sha256:
                digests[position] = digest
                continue
            made.seen[frame.index] = now
        made.kept[frame.index] = position
        del made.gone[name]
        known.take(frame.index, looked, position)
    left = _contents(frames, made.gone)
    possible = [position for position in fresh if images.sizes[position] in left]
    for position in possible:
        looked.note(position, look(root + names[position]))
    digests |= _hashed(images, names, possible, workers, progress)
    for position in sorted({*fresh, *digests}):
        same = left.get(images.sizes[position], {})
        number = same.pop(digests.get(position, ""), None)
        if number is None:
            made.added.append(position)
        else:
            made.renamed[position] = number
    return made


def _contents(frames: Mapping[bytes, Frame], gone: Mapping[bytes, int]) -> dict[int, dict[str, int]]:
    """Numbers of the frames that are deleted, by their sizes and hashes."""
    found: dict[int, dict[str, int]] = {}
    for name in gone:
        frame = frames[name]
        found.setdefault(frame.size, {}).setdefault(frame.sha256, frame.index)
    return found


def _hashed(
    images: Scan, names: list[bytes], positions: list[int], workers: int | None, progress: Progress | None
) -> Iterator[tuple[int, str]]:
    """sha256 of the images at some positions; empty where one cannot be read."""
    hashes = _Hashes(os.fsencode(images.root) + b"/", [names[position] for position in positions])
    total, done = sum(images.sizes[position] for position in positions), 0
    results = (digest for part in spread(hashes, len(positions), workers) for digest in part)
    for position, digest in zip(positions, results, strict=True):
        done += images.sizes[position]
        if progress:
            progress(done, total)
        yield position, digest


class _Hashes:
    """sha256 of a range of files; empty where one cannot be read."""

    def __init__(self, root: bytes, names: list[bytes]) -> None:
        self._root = root
        self._names = names

    def __call__(self, start: int, stop: int) -> list[str]:
        return [self._hash(name) for name in self._names[start:stop]]

    def _hash(self, name: bytes) -> str:
        try:
            with open(self._root + name, "rb", buffering=0) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""
