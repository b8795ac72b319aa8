"""What is outlined in one picture found again in those that follow it, with an encoder and a decoder alone.

Pictures are compared by the cells of their embeddings. First the motion of the whole picture is found, by
correlation; then, around where that puts a thing, the place at which its cells look most alike. There the
decoder is asked, by a point and by a box, and that answer counts which looks most like the thing, in its size
and its place. A thing without an answer that is good enough is not found; it is looked for again in the next
picture, where the motion of the whole would have put it. What it looks like on the whole is as in PerSAM
(Zhang et al., 2023): the mean of its cells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xlabel.detectors.preparing import inside
from xlabel.detectors.sam import Box, Click, Embedding, Segment, Segmenter
from xlabel.errors import InputError
from xlabel.model import Annotation
from xlabel.model.geometry import bbox_of, decode

Cells = NDArray[np.float32]
"""Rows x columns x channels, each cell of length 1."""
Cover = NDArray[np.float32]
"""Rows x columns: the share of each cell that is the thing's."""
Offset = NDArray[np.intp]
"""Rows down and columns to the right."""
Ask = Callable[[Embedding, Sequence[Click], Box | None], list[Segment]]
"""`Segmenter.candidates`."""

LEAST = 0.4
"""How sure one has to be of a suggestion; docs/segment.md says what that was measured with."""
AROUND = 8
"""Cells around its expected place in which a thing is looked for."""
SAMPLES = 64
"""Cells of a thing that are compared at most."""
WITHIN = 0.3
"""Share of a thing that is still in the picture, below which it is not looked for."""
LIKE = 0.3
"""Correlation of two pictures below which they show different things."""
FAR = 0.1
"""What a place costs half the thing's size and two cells from where the motion of the picture puts it."""
FINER = 4
"""Pixels of the encoder's square, across and down, that make a point of a label's map."""
SAME = 0.6
"""Overlap above which two answers are the same thing, which only one of two things can be."""


class Followed(NamedTuple):
    """A thing in a picture that follows."""

    segment: Segment
    score: float
    """How sure it is that this is the thing, 0 to 1."""


def followed(
    segmenter: Segmenter, first: Embedding, label: Annotation, following: Iterable[Embedding | None]
) -> Iterator[Followed | None]:
    """For each picture that follows: where the thing is that is labelled in the first; None: not found.

    The next picture is taken from `following` when it is asked for; None stands for one that cannot be had.
    InputError where the label has no place in the picture.
    """
    segment = _outlined(segmenter, first, label)
    return (found for (found,) in propagated(first, [segment], following, segmenter.candidates))


def propagated(
    first: Embedding,
    segments: Sequence[Segment],
    following: Iterable[Embedding | None],
    ask: Ask,
    least: float = LEAST,
) -> Iterator[list[Followed | None]]:
    """The same for several things, which remain several. `ask` is a segmenter's `candidates`.

    What is less sure than `least` is not found.
    """
    before = cells(first)
    things = [_seen(None, _cover(segment, first), before) for segment in segments]
    for embedding in following:
        if embedding is None:
            yield [None] * len(things)
            continue
        now = cells(embedding)
        moved = motion(before, now)
        chosen = _chosen([_answers(thing, moved, embedding, now, ask) for thing in things], least)
        things = [
            thing._replace(corner=thing.corner + moved) if answer is None else _seen(thing, answer.cover, now)
            for thing, answer in zip(things, chosen, strict=True)
        ]
        yield [answer and Followed(answer.segment, answer.sure) for answer in chosen]
        before = now


def cells(embedding: Embedding) -> Cells:
    """What an encoder says of each cell of a picture; the coarsest of its features, without what fills up."""
    feature = min((array[0] for array in embedding.features.values()), key=lambda array: array.shape[-1])
    rows, columns = _grid(embedding)
    found = np.asarray(feature[:, :rows, :columns].transpose(1, 2, 0), np.float32)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-6))


def motion(before: Cells, now: Cells) -> Offset:
    """By how many rows and columns most of a picture has moved: where the cells of both correlate most.

    By none where they hardly do anywhere: then these are pictures of different things.
    """
    rows, columns = (2 * max(sides) for sides in zip(before.shape[:2], now.shape[:2], strict=True))
    spectra, places, energy = [], [], 1.0
    for found in (before, now):
        some = found[:, :, ::4]  # of 256 channels 64 say as much
        some = some - some.mean((0, 1))
        spectra.append(np.fft.rfft2(some, (rows, columns), (0, 1)))
        places.append(np.fft.rfft2(np.ones(found.shape[:2]), (rows, columns)))
        energy *= float((some**2).sum()) / places[-1][0, 0].real
    alike = np.fft.irfft2((spectra[1] * spectra[0].conj()).sum(2), (rows, columns))
    common = np.fft.irfft2(places[1] * places[0].conj(), (rows, columns))
    # Of little that is common to both pictures little can be said.
    alike /= np.maximum(common, WITHIN * before.shape[0] * before.shape[1])
    down, right = np.unravel_index(alike.argmax(), alike.shape)
    if alike[down, right] <= LIKE * energy**0.5:
        return np.zeros(2, np.intp)
    return np.array([(down + rows // 2) % rows - rows // 2, (right + columns // 2) % columns - columns // 2])


class _Thing(NamedTuple):
    """What is known of a thing, from where it was seen last."""

    cover: Cover
    """Of the cells around it only."""
    corner: Offset
    """Row and column of the first of them; beyond the picture where it has left that."""
    places: Offset
    """n x 2: some of its cells, from the corner on."""
    look: NDArray[np.float32]
    """n x channels: what they look like."""
    first: NDArray[np.float32]
    """What it looks like on the whole where it was outlined."""
    last: NDArray[np.float32]
    """The same of late."""


class _Answer(NamedTuple):
    segment: Segment
    cover: Cover
    sure: float


def _seen(thing: _Thing | None, cover: Cover, now: Cells) -> _Thing:
    """A thing where it has just been found; `thing` is what was known of it."""
    down, right = np.nonzero(cover)
    top, left = down.min(), right.min()
    patch = cover[top : down.max() + 1, left : right.max() + 1]
    places = np.argwhere(patch > 0.5) if (patch > 0.5).any() else np.argwhere(patch >= 0.9 * patch.max())
    places = places[np.linspace(0, len(places) - 1, min(SAMPLES, len(places))).astype(np.intp)]
    corner = np.array([top, left])
    at = places + corner
    look = _look(cover, now)
    last = look if thing is None else _unit(thing.last + look)
    return _Thing(
        patch, corner, places, now[at[:, 0], at[:, 1]], look if thing is None else thing.first, last
    )


def _answers(thing: _Thing, moved: Offset, embedding: Embedding, now: Cells, ask: Ask) -> list[_Answer]:
    """What the decoder says of a thing at its place."""
    found = _found(thing, moved, now)
    if found is None:
        return []
    corner, alike = found
    wanted = _put(thing.cover, corner, now.shape[:2])
    if not wanted.any():
        return []
    usual = _unit(thing.first + thing.last)
    point, box = _prompts(wanted, now @ usual, embedding)
    answers = []
    for segment in (*ask(embedding, [point], None), *ask(embedding, [], box)):
        cover = _cover(segment, embedding)
        if cover.any():
            looks = float(_look(cover, now) @ (thing.first + thing.last)) / 2
            fits = min(max(segment.score, 0), 1) * max(looks, 0) * max(alike, 0)
            answers.append(_Answer(segment, cover, fits * _alike_in_place(cover, wanted)))
    return answers


def _chosen(answers: list[list[_Answer]], least: float) -> list[_Answer | None]:
    """The answer for each thing: the surest, but for those that a surer thing has; None where none is."""
    chosen: list[_Answer | None] = [None] * len(answers)
    ordered = sorted(
        ((number, answer) for number, some in enumerate(answers) for answer in some if answer.sure >= least),
        key=lambda one: -one[1].sure,
    )
    for number, answer in ordered:
        taken = any(other is not None and _overlap(answer.segment, other.segment) > SAME for other in chosen)
        if chosen[number] is None and not taken:
            chosen[number] = answer
    return chosen


def _found(thing: _Thing, moved: Offset, now: Cells) -> tuple[Offset, float] | None:
    """Where the corner of a thing is now, and how much its cells look alike there; None where it has left."""
    around = np.arange(-AROUND, AROUND + 1)
    offsets = np.array(list(product(around, around)))
    spots = (thing.places + thing.corner + moved) + offsets[:, None]
    shape = np.array(now.shape[:2])
    within = ((spots >= 0) & (spots < shape)).all(axis=2)
    share = within.mean(axis=1)
    if (
        share[np.abs(offsets).max(axis=1) <= 1].max() < WITHIN
    ):  # carried out of the picture: others stay there
        return None
    there = now[tuple(np.moveaxis(spots.clip(0, shape - 1), 2, 0))]
    alike = (np.einsum("onc,nc->on", there, thing.look) * within).sum(axis=1) / np.maximum(
        within.sum(axis=1), 1
    )
    near = _size(thing.cover) / 2 + 2
    value = alike - FAR * (offsets**2).sum(axis=1) / near**2
    value[share < WITHIN] = -np.inf
    best = int(value.argmax())
    return thing.corner + moved + offsets[best], float(alike[best])


def _prompts(wanted: Cover, usual: NDArray[np.float32], embedding: Embedding) -> tuple[Click, Box]:
    """A point well inside of where a thing is expected, where it looks most as usual; and a box around it."""
    frame = embedding.frame
    columns, rows = _whole(embedding)
    cell = np.array(frame.size) / (columns, rows)
    inner = np.where(wanted >= 0.9 * wanted.max(), usual, -np.inf)
    row, column = np.unravel_index(inner.argmax(), inner.shape)
    x, y = frame.back((np.array([column, row]) + 0.5) * cell).tolist()
    down, right = np.nonzero(wanted > 0.2 * wanted.max())
    edges = np.array([(right.min(), down.min()), (right.max() + 1, down.max() + 1)]) * cell
    (left, top), (far, low) = frame.back(edges).tolist()
    return (x, y, True), (left, top, far - left, low - top)


def _alike_in_place(cover: Cover, wanted: Cover) -> float:
    """How well an answer has the size and the place that were expected, 0 to 1."""
    one, other = _size(cover) ** 2, _size(wanted) ** 2
    off = np.linalg.norm(_centre(cover) - _centre(wanted)) / (np.sqrt(other) / 2 + 1)
    return float(min(one / other, other / one) * np.exp(-(off**2) / 2))


def _outlined(segmenter: Segmenter, embedding: Embedding, label: Annotation) -> Segment:
    """The thing of a label: its mask, its polygons, or what the decoder finds in its box."""
    frame = embedding.frame
    sheet = Image.new("L", frame.size)
    if label.mask is not None:
        sheet.paste(
            Image.fromarray(decode(label.mask)).convert("L").resize(inside(frame), Image.Resampling.BOX)
        )
    elif label.polygons is not None:
        for part in label.polygons:
            if len(part) >= 6:
                points = (
                    np.array(part).reshape(-1, 2) * frame.scale + frame.offset - 0.5
                )  # of middles of pixels
                ImageDraw.Draw(sheet).polygon(points.ravel().tolist(), fill=255)
    else:
        box = bbox_of(label)
        if box is None:
            raise InputError(f"label {label.id}: expected one with a place in the image, found none")
        return _some(segmenter.segment(embedding, (), box), label)
    small = np.asarray(sheet.reduce(FINER), np.float32) / np.float32(255) - np.float32(0.5)
    return _some(Segment(small, frame, 1.0), label)


def _some(segment: Segment, label: Annotation) -> Segment:
    if not (segment.logits > 0).any():
        raise InputError(f"label {label.id}: expected one that is larger than a dot, found nothing of it")
    return segment


def _look(cover: Cover, now: Cells) -> NDArray[np.float32]:
    """What a thing looks like on the whole: the mean of its cells."""
    mostly = np.where(cover > 0.5, cover, 0)
    weights = mostly if mostly.any() else cover
    return _unit(np.einsum("rc,rcf->f", weights, now))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)


def _size(cover: Cover) -> float:
    """The side of a square as large as a thing, in cells; a third of a cell is the least that counts."""
    return float(np.sqrt(max(float(cover.sum()), 0.3)))


def _centre(cover: Cover) -> NDArray[np.float64]:
    rows, columns = np.indices(cover.shape)
    return np.asarray(np.array([(rows * cover).sum(), (columns * cover).sum()]) / cover.sum())


def _overlap(one: Segment, other: Segment) -> float:
    """Intersection over union."""
    first, second = one.logits > 0, other.logits > 0
    return float((first & second).sum() / max(1, (first | second).sum()))


def _put(cover: Cover, corner: Offset, shape: tuple[int, int]) -> Cover:
    """A cover of few cells at its place among all, as far as they are in the picture."""
    whole = np.zeros(shape, np.float32)
    at = np.argwhere(cover > 0)
    spots = at + corner
    within = ((spots >= 0) & (spots < shape)).all(axis=1)
    whole[tuple(spots[within].T)] = cover[tuple(at[within].T)]
    return whole


def _cover(segment: Segment, embedding: Embedding) -> Cover:
    """The share of each cell of a picture that a segment has."""
    image = Image.fromarray((segment.logits > 0).astype(np.float32))
    whole = np.asarray(image.resize(_whole(embedding), Image.Resampling.BOX))
    rows, columns = _grid(embedding)
    return whole[:rows, :columns]


def _whole(embedding: Embedding) -> tuple[int, int]:
    """Columns and rows of cells of the encoder's square."""
    rows, columns = min(array.shape[2:] for array in embedding.features.values())
    return columns, rows


def _grid(embedding: Embedding) -> tuple[int, int]:
    """Rows and columns of cells that have something of the picture."""
    columns, rows = _whole(embedding)
    width, height = inside(embedding.frame)
    across, down = embedding.frame.size
    return -(-height * rows // down), -(-width * columns // across)
