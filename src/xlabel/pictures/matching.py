"""Whether two pictures are the same, and how the one came from the other: turned, cropped, resized.

A match is *exact* where every decoded pixel is equal, and *reproduced* where doing the same to the one
picture again gives exactly the other. It is *alike* where no part of it differs more than a compression makes
it, and *seen* where it looks the same from afar; two frames of a video may be both. Pictures are arrays of
height x width x channels, as stored, before any EXIF orientation.
"""

import io
from collections.abc import Callable
from math import isinf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from xxhash import xxh3_128

from xlabel.images import Buffer
from xlabel.model.geometry import TURNS, turned, turned_size
from xlabel.pictures import arrays
from xlabel.pictures.arrays import Array
from xlabel.pictures.pillow import opened
from xlabel.pictures.registration import drift
from xlabel.pictures.resizing import resized

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]

EXACT, REPRODUCED, ALIKE, SEEN = "exact", "reproduced", "alike", "seen"
DIFFERENT = 20.0
"""Mean difference of a tile, out of 255, beyond which two pictures show different things there."""
APART = 8.0
"""Mean difference of all tiles beyond which pictures are not alike."""
NOISE = 24.0
"""Mean difference of a tile of full size that a compression still makes."""
BIAS = 1.0
"""Mean of all differences that it makes: it makes a picture neither darker nor brighter."""
WORTH = 3
"""So many times as much is still worth trying to reproduce: fur and leaves differ by the filter alone."""
AWRY = 0.6
"""Pixels out of `arrays.LOOKS` by which a corner may lie wrong: a quarter of a per cent of the picture. A
resize moves it by half of that at most, a cut of a third of a per cent all round by more."""
SMALLEST = 32
"""Pixels a side; a smaller picture is found in too many others."""
LEAST_SCALE = 8
"""A picture that was made smaller than this part of another is no proof of it."""


class Decoded(NamedTuple):
    """A decoded image file."""

    frames: list[Array]
    """All pictures of an animation or of a file with several pages."""
    coding: dict[int, list[int]] | None = None
    """The quantisation tables of a JPEG."""
    sampling: int = -1
    """Its chroma sampling as Pillow counts it."""

    @property
    def first(self) -> Array:
        return self.frames[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.first.shape[1], self.first.shape[0]


class Match(NamedTuple):
    """How a picture came from another: turned, then cut out, then resized."""

    proof: str
    """exact, reproduced, alike or seen."""
    turn: int = 1
    """The EXIF orientation that would display the other picture like this one."""
    box: Box | None = None
    """x, y, width, height of what was cut out of the turned picture."""
    size: tuple[int, int] | None = None
    """Width and height that it was resized to."""
    filter: str = ""
    """The way of resizing that reproduces it; see `pictures.resizing`."""


Way = Callable[[Decoded, Decoded], Match | None]


def decode(data: Buffer) -> Decoded:
    """The picture of an image file by Pillow; ValueError where it cannot be decoded.

    What is grey, of a palette, or opaque although it has an alpha channel becomes RGB, so that files that
    store the same colours differently give the same.
    """
    from PIL import ImageSequence

    with opened(data) as image:
        frames = [_plain(frame) for frame in ImageSequence.Iterator(image)]
        tables = getattr(image, "quantization", None)
        sampling = -1
        if tables:
            from PIL.JpegImagePlugin import get_sampling

            sampling = get_sampling(image) if image.mode in ("RGB", "YCbCr") else 0
    return Decoded(frames, tables or None, sampling)


def key(picture: Decoded, turn: int = 1) -> bytes:
    """16 bytes that are equal for equal pixels of all frames, once these are turned."""
    hasher = xxh3_128()
    for frame in picture.frames:
        shown = turned(frame, turn)
        hasher.update(f"{shown.dtype} {shown.shape} ".encode())
        hasher.update(np.ascontiguousarray(shown).data)
    return hasher.digest()


def match(source: Decoded, target: Decoded) -> Match | None:
    """How `target` was made from `source`, or None where it was not, by all that can be seen."""
    return (
        _same(source, target)
        or part(source, target)
        or _best(source, target, (_coded_again, _resized, _cut_out_alike))
    )


def whole(source: Decoded, target: Decoded) -> Match | None:
    """The same where all of `source` is in `target`."""
    return _same(source, target) or _best(source, target, (_coded_again, _resized))


def _best(source: Decoded, target: Decoded, ways: tuple[Way, ...]) -> Match | None:
    """The first of some ways that is more than seen, else the first that is."""
    seen = None
    for way in ways:
        found = way(source, target)
        if found is not None and found.proof != SEEN:
            return found
        seen = seen or found
    return seen


def part(source: Decoded, target: Decoded) -> Match | None:
    """Where the target stands in the source exactly, and only there."""
    if len(source.frames) != len(target.frames) != 1 or min(target.size) < SMALLEST:
        return None
    if not detailed(target):
        return None
    rim = 2 if source.coding and target.coding else 0  # interpolated chroma looks across the edge of a crop
    width, height = target.size
    inner = target.first[rim : height - rim, rim : width - rim]
    for turn in TURNS:
        other = turned(source.first, turn)
        if other.shape[0] < height or other.shape[1] < width or other.shape == target.first.shape:
            continue
        for piece, edge in ((target.first, 0), (inner, rim)) if rim else ((target.first, 0),):
            found = list(arrays.places(piece, other))
            if len(found) == 1:
                x, y = found[0][0] - edge, found[0][1] - edge
                if 0 <= x <= other.shape[1] - width and 0 <= y <= other.shape[0] - height:
                    return Match(EXACT, turn, (x, y, width, height))
    return None


def detailed(picture: Decoded) -> bool:
    """Whether a picture has enough in it to be told from others: it is no empty wall or black frame."""
    grey = arrays.tiles(arrays.grey(picture.first))
    return min(picture.size) >= SMALLEST and bool(np.count_nonzero(grey.std(axis=(1, 3)) > 2) >= 12)


def likeness(one: Array, other: Array) -> str:
    """alike, seen or nothing, for two pictures of one shape."""
    most, mean = arrays.difference(one, other)
    if most > DIFFERENT or mean > APART:
        return ""
    gap = arrays.grey(one) - arrays.grey(other)
    tiles = np.abs(arrays.tiles(gap)).mean(axis=(1, 3))
    lies = _lies(one, other)
    if lies is False:
        return ""
    return ALIKE if lies and tiles.max() <= NOISE and abs(float(gap.mean())) <= BIAS else SEEN


def _lies(one: Array, other: Array) -> bool | None:
    """Whether two pictures that look the same also lie on each other; None where that cannot be told."""
    size = min(arrays.small_size(one), arrays.small_size(other))
    found = drift(arrays.small(one, size), arrays.small(other, size)) * arrays.LOOKS / max(size)
    return None if isinf(found) else found <= AWRY


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one size is the other's scaled, to a pixel of rounding."""
    (width, height), (w, h) = size, other
    return abs(width * h / height - w) <= 1 + width / height or abs(height * w / width - h) <= 1


def _same(source: Decoded, target: Decoded) -> Match | None:
    if sorted(source.size) != sorted(target.size) or len(source.frames) != len(target.frames):
        return None
    wanted = key(target)
    for turn in TURNS:
        if key(source, turn) == wanted:
            return Match(EXACT, turn)
    if source.coding and target.coding:
        for turn in TURNS[1:]:
            if _rounded(turned(source.first, turn), target.first):
                return Match(EXACT, turn)
    return None


def _rounded(one: Array, other: Array) -> bool:
    """Whether two JPEGs differ only by the rounding of their decoder, as after a lossless turn.

    Turned coefficients are decoded in another order, which moves a value by one where it lies halfway, and
    colours by some more where chroma is interpolated. The luma of nearly all pixels is equal, and what is
    not goes up as often as down: a picture that somebody made brighter, or with noise on it, does not.
    """
    if one.shape != other.shape or one.ndim != 3 or one.shape[2] != 3 or one.dtype != np.uint8:
        return False
    gap = one.astype(np.int16) - other
    luma = gap @ np.array([0.299, 0.587, 0.114])
    return bool(
        np.abs(luma).max() <= 2.5 and (np.abs(luma) < 0.75).mean() >= 0.8 and np.abs(luma.mean()) <= 0.05
    )


def _coded_again(source: Decoded, target: Decoded) -> Match | None:
    if sorted(source.size) != sorted(target.size) or len(source.frames) != len(target.frames) != 1:
        return None
    fits = [turn for turn in TURNS if turned(source.first, turn).shape[:2] == target.first.shape[:2]]
    turn = min(fits, key=lambda turn: arrays.difference(turned(source.first, turn), target.first)[1])
    other = turned(source.first, turn)
    if target.coding and _coded(other, target):
        return Match(REPRODUCED, turn)
    looks = likeness(other, target.first)
    return Match(looks, turn) if looks else None


def _resized(source: Decoded, target: Decoded) -> Match | None:
    """A picture that shows the same at another size; each turn is tried by its looks.

    Of a turn that would have stretched it as well only where no turn leaves it in its shape.
    """
    if source.size == target.size:
        return None
    fits = [turn for turn in TURNS if same_shape(turned_size(*source.size, turn), target.size)]
    for turns in (fits, [turn for turn in TURNS if turn not in fits]):
        looks = {turn: arrays.difference(turned(source.first, turn), target.first) for turn in turns}
        if turns and (found := _resized_by(source, target, looks)):
            return found
    return None


def _resized_by(source: Decoded, target: Decoded, looks: dict[int, tuple[float, float]]) -> Match | None:
    """The same by the one of several turns that looks best."""
    turn = min(looks, key=lambda turn: looks[turn][1])
    most, mean = looks[turn]
    other = turned(source.first, turn)
    if mean <= WORTH * APART and (name := _reproducing(other, target)):
        return Match(REPRODUCED, turn, None, target.size, name)
    if mean > APART or most > DIFFERENT or _lies(other, target.first) is False:
        return None
    greys = arrays.small(other, target.size), arrays.grey(target.first)
    proof = likeness(*(arrays.as_bytes(grey)[..., None] for grey in greys))
    return Match(proof or SEEN, turn, None, target.size)


def _reproducing(other: Array, target: Decoded) -> str:
    """The name of the way in which `target` is made of another picture by resizing it, or nothing."""
    width, height = target.size
    if len(target.frames) != 1 or min(width, height) < SMALLEST or other.shape[1] > LEAST_SCALE * width:
        return ""
    if other.dtype != np.uint8 or other.shape[2] not in (3, 4):
        return ""
    for name, made in resized(other, width, height):
        if _coded(made, target) if target.coding else np.array_equal(made, target.first):
            return name
    return ""


def _coded(picture: Array, target: Decoded) -> bool:
    """Whether compressing a picture with a JPEG's tables and sampling gives that JPEG's pixels."""
    from PIL import Image

    made = arrays.image(picture)
    if made is None or target.coding is None or made.mode not in ("RGB", "L"):
        return False
    grey = bool((target.first == target.first[..., :1]).all())
    for mode in ("RGB", "L") if grey else ("RGB",):
        file = io.BytesIO()
        try:
            made.convert(mode).save(
                file, "JPEG", qtables=target.coding, subsampling=target.sampling if mode == "RGB" else -1
            )
        except (ValueError, OSError, TypeError):
            continue
        if np.array_equal(_plain(Image.open(file)), target.first):
            return True
    return False


def _cut_out_alike(source: Decoded, target: Decoded) -> Match | None:
    """Where the target would look like a part of the source, by correlation."""
    width, height = target.size
    if min(target.size) < SMALLEST or not detailed(target):
        return None
    best: tuple[float, int, tuple[int, int]] | None = None
    for turn in TURNS:
        whole = turned(source.first, turn)
        if whole.shape[0] < height or whole.shape[1] < width or whole.shape[:2] == target.first.shape[:2]:
            continue
        score, place = arrays.correlated(arrays.grey(target.first), arrays.grey(whole))
        if best is None or score > best[0]:
            best = score, turn, place
        if score > 0.98:
            break
    if best is None or best[0] < 0.8:
        return None
    _, turn, (x, y) = best
    part = turned(source.first, turn)[y : y + height, x : x + width]
    proof = likeness(part, target.first)
    if not proof:
        return None
    if target.coding and _coded(np.ascontiguousarray(part), target):
        proof = REPRODUCED
    return Match(proof, turn, (x, y, width, height))


def _plain(image: "Image") -> Array:
    """A frame as height x width x channels."""
    mode = image.mode
    if mode in ("P", "PA", "RGBa", "La", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif mode in ("1", "L", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    array = np.asarray(image)
    array = array if array.ndim == 3 else array[:, :, None]
    if image.mode == "RGBA" and (array[..., 3] == 255).all():
        array = np.ascontiguousarray(array[..., :3])
    return array
