"""The preview of an .mp4 bundle: a small H.264 track, which browsers play that show no images.

It is the last track of the index, and known by the name of its handler. Its samples stand one after the other
behind all images, so that neither bytes nor offsets of the images depend on it.
"""

from __future__ import annotations

import hashlib
from array import array
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from xlabel.bundles import Playable, ReadAt, Trailer, mp4
from xlabel.bundles.mp4_index import boxes, tables, tracks
from xlabel.model.manifest import Video


def track(number: int, made: Video, sizes: array[int], offset: int, fps: Fraction) -> bytes:
    """The `trak` box of a preview whose samples follow each other from `offset` on."""
    offsets = array("Q", accumulate(sizes[:-1], initial=offset))
    frames = range(len(sizes))
    unit = fps.denominator
    return mp4.track(
        number,
        mp4.VIDEO_TYPES[made.codec],
        (made.width, made.height),
        frames,
        (unit, fps.numerator),
        mp4.sample_tables(frames, sizes, offsets, unit, made.gop),
        mp4.coded_entry(made),
        mp4.PREVIEW,
    )


class Stored(NamedTuple):
    """The preview that a media file has."""

    track: Playable
    sha256: str
    """As the manifest states it."""
    start: int
    """Where its first sample begins."""


def stored(read: ReadAt, size: int, trailer: Trailer) -> Stored | None:
    """The preview that a media file has; None where it has none.

    CorruptError where the index cannot be read.
    """
    _, start, end = next(boxes(read, trailer.index, size))
    place = next(tracks(read, start, end, mp4.PREVIEW), None)
    if place is None:
        return None
    found = tables(read, *place)
    samples = list(zip(found.offsets.tolist(), found.sizes.tolist(), strict=True))
    box = bytes(read(place[0] - 8, place[1] - place[0] + 8))
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(read(*sample))
    digest.update(box)
    found_again = Playable(lambda: [bytes(read(*sample)) for sample in samples], lambda *_: box)
    return Stored(found_again, digest.hexdigest(), samples[0][0])
