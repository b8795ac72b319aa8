"""What an update has to do with each image: told by names, sizes, times and hashes."""

import hashlib
import os
from collections.abc import Callable, Mapping

import msgspec

from xlabel.jobs.spread import spread
from xlabel.model.manifest import Frame, Seen
from xlabel.model.report import Progress
from xlabel.stores.local import Scan
from xlabel.stores.stats import Stats

Differs = Callable[[Frame, int], Seen | None]
"""How the image at a position differs from a frame, if only in the labels that are embedded in it."""


class Plan(msgspec.Struct):
    """What is to happen: by positions in the scan, and by frame numbers."""

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
    which are as they were then, and learns of those that are looked at. An image that cannot be read is one
    to append, which will say so.
    """
    root = os.fsencode(images.root) + b"/"
    names = list(images.keys.names())
    made = Plan(gone={name: frame.index for name, frame in frames.items()})
    vanished = _vanished(frames, names)
    doubtful: dict[int, os.stat_result] = {}
    for position, name in enumerate(names):
        frame = frames.get(name)
        if frame is None and images.sizes[position] not in vanished:
            made.added.append(position)
            continue
        found = os.stat(root + name)
        if frame is not None and known.same(frame.index, found):
            made.kept[frame.index] = position
            del made.gone[name]
        else:
            doubtful[position] = found
    hashes = _Hashes(root, [names[position] for position in doubtful])
    results = spread(hashes, len(doubtful), workers)
    total, done = sum(images.sizes[position] for position in doubtful), 0
    for (position, found), digest in zip(
        doubtful.items(), (d for part in results for d in part), strict=True
    ):
        name = names[position]
        frame = frames.get(name)
        done += images.sizes[position]
        if progress:
            progress(done, total)
        if frame is None:
            same = vanished[images.sizes[position]]
            if digest in same:
                made.renamed[position] = same.pop(digest)
            else:
                made.added.append(position)
            continue
        noted = before.get(frame.index)
        if digest != (noted.sha256 if noted else frame.sha256):
            now = None if digest == frame.sha256 else differs(frame, position) if digest else None
            if now is None and digest != frame.sha256:
                made.added.append(position)
                continue
            made.seen[frame.index] = now
        made.kept[frame.index] = position
        del made.gone[name]
        known.note(frame.index, found)
    made.added.sort()
    return made


def _vanished(frames: Mapping[bytes, Frame], names: list[bytes]) -> dict[int, dict[str, int]]:
    """Numbers of the frames whose names are no longer there, by their sizes and hashes."""
    here = set(names)
    found: dict[int, dict[str, int]] = {}
    for name, frame in frames.items():
        if name not in here:
            found.setdefault(frame.size, {}).setdefault(frame.sha256, frame.index)
    return found


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
