"""A thing found again in the pictures that follow, by what an encoder of the kind of SAM makes of them.

As in PerSAM (Zhang et al., 2023) the thing is known by the mean of the features on it, and is looked for
where features are like it, here also near where it was. The decoder is asked about the best places; of what
it finds that counts which fits well, looks like the thing, and is about as large.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xlabel.detectors.preparing import Frame, inside
from xlabel.detectors.sam import Embedding, Segment, Segmenter
from xlabel.errors import InputError
from xlabel.model import Annotation
from xlabel.model.geometry import bbox_of, decode

LEAST = 0.7
"""Of a score; what has less is not taken for the thing. See docs/segment.md for what that was chosen by."""
PLACES = 3
"""Asked about in a picture."""
APART = 0.08
"""Shares of the picture's longer side by which places are apart."""
NEAR = 0.4
"""The same by which likeness counts half as much as where the thing was."""
HALF = 0.5
LEARNING = 0.3
"""Share of the thing's features that each picture renews."""

Map = NDArray[np.float32]
"""Rows x columns over an encoder's square, 0 to 1."""
Vector = NDArray[np.float32]


class Followed(NamedTuple):
    """A thing in a picture that follows."""

    segment: Segment
    score: float
    """How sure it is that this is the thing, 0 to 1."""


class _Known(NamedTuple):
    """What is known of the thing."""

    first: Vector
    """Its features in the first picture, of length 1."""
    last: Vector
    """The same as they became."""
    place: tuple[float, float]
    """Of its middle, in shares of the picture."""
    area: float
    """Share of the picture."""


def followed(
    segmenter: Segmenter, first: Embedding, label: Annotation, following: Iterable[Embedding | None]
) -> Iterator[Followed | None]:
    """For each picture that follows: where the thing is that is labelled in the first; None: not found.

    InputError where the label has no geometry, or one that is smaller than a cell of the features.
    """
    known = _known(first, _drawn(segmenter, first, label))
    for embedding in following:
        found = None if embedding is None else _found(segmenter, embedding, known)
        if found is not None and embedding is not None:
            known = _renewed(known, embedding, found)
        yield found


def _drawn(segmenter: Segmenter, embedding: Embedding, label: Annotation) -> Map:
    """Where a label is in the encoder's square; of a box that what the decoder finds in it."""
    frame = embedding.frame
    size = frame.size[0] // 4, frame.size[1] // 4
    if label.mask is not None:
        bits = Image.fromarray(decode(label.mask).astype(np.float32))
        inner = inside(frame)[0] // 4, inside(frame)[1] // 4
        drawn = Image.new("F", size)
        drawn.paste(bits.resize((max(1, inner[0]), max(1, inner[1])), Image.Resampling.BOX), (0, 0))
        return np.asarray(drawn)
    if label.polygons is not None:
        drawn = Image.new("1", size)
        for polygon in label.polygons:
            if len(polygon) >= 6:
                points = (np.array(polygon).reshape(-1, 2) * frame.scale + frame.offset) / 4 - 0.5
                ImageDraw.Draw(drawn).polygon(points.ravel().tolist(), fill=1)
        return np.asarray(drawn, np.float32)
    box = bbox_of(label)
    if box is None:
        raise InputError(f"label {label.id}: expected one with a place in the image, found none")
    return _bits(segmenter.segment(embedding, (), box))


def _known(embedding: Embedding, drawn: Map) -> _Known:
    if not drawn.any():
        raise InputError("expected a label that lies in the picture and is larger than a dot")
    features = _features(embedding)
    vector = _mean(features, drawn)
    rows, columns = drawn.shape
    width, height = _inner(embedding.frame, columns, rows)
    y, x = np.nonzero(drawn > HALF)
    place = (float(x.mean() + 0.5) / width, float(y.mean() + 0.5) / height)
    return _Known(vector, vector, place, float((drawn > HALF).sum()) / (width * height))


def _found(segmenter: Segmenter, embedding: Embedding, known: _Known) -> Followed | None:
    """The thing in a picture, where it is there."""
    features = _features(embedding)
    best: Followed | None = None
    for x, y, near in _places(features, embedding.frame, known):
        for segment in segmenter.candidates(embedding, [(x, y, True)]):
            score = _score(features, segment, known, near)
            if score >= LEAST and (best is None or score > best.score):
                best = Followed(segment, score)
    return best


def _score(features: Map, segment: Segment, known: _Known, near: float) -> float:
    drawn = _bits(segment)
    if not drawn.any():
        return 0
    vector = _mean(features, drawn)
    like = float(vector @ known.first + vector @ known.last) / 2
    width, height = _inner(segment.frame, *drawn.shape[::-1])
    area = float(drawn.sum()) / (width * height)
    large = min(area / known.area, known.area / area)
    return segment.score * max(0.0, like) * float(np.sqrt(large)) * near


def _places(features: Map, frame: Frame, known: _Known) -> Iterator[tuple[float, float, float]]:
    """Where the thing may be, the best first: x and y in pixels of the picture, and how near that is."""
    across, down = frame.picture
    width, height = _inner(frame, features.shape[2], features.shape[1])
    columns, rows = max(1, round(width)), max(1, round(height))
    like = np.tensordot(known.first + known.last, features[:, :rows, :columns], 1) / 2
    x, y = (np.arange(columns) + 0.5) * across / width, (np.arange(rows) + 0.5) * down / height
    longer = max(across, down)
    off = np.hypot(x - known.place[0] * across, (y - known.place[1] * down)[:, None]) / longer
    near = 1 / (1 + (off / NEAR) ** 2)
    left = like * near
    for _ in range(PLACES):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        yield float(x[column]), float(y[row]), float(near[row, column])
        left[np.hypot(x - x[column], (y - y[row])[:, None]) < APART * longer] = -1


def _renewed(known: _Known, embedding: Embedding, found: Followed) -> _Known:
    now = _known(embedding, _bits(found.segment))
    last = known.last * (1 - LEARNING) + now.first * LEARNING
    return now._replace(first=known.first, last=last / np.linalg.norm(last))


def _features(embedding: Embedding) -> Map:
    """Of each cell of the encoder's square, channels x rows x columns, each of length 1."""
    coarse = min(embedding.features.values(), key=lambda array: int(array.shape[-1]))[0]
    return np.asarray(coarse / np.maximum(np.linalg.norm(coarse, axis=0), 1e-6), np.float32)


def _mean(features: Map, drawn: Map) -> Vector:
    """What the features are like on a thing."""
    rows, columns = features.shape[1:]
    share = np.asarray(Image.fromarray(drawn).resize((columns, rows), Image.Resampling.BOX))
    mean = np.tensordot(features, share, 2)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32)


def _inner(frame: Frame, columns: int, rows: int) -> tuple[float, float]:
    """Columns and rows, of those over the encoder's square, that the picture has."""
    width, height = inside(frame)
    return columns * width / frame.size[0], rows * height / frame.size[1]


def _bits(segment: Segment) -> Map:
    return np.asarray(segment.logits > 0, np.float32)
