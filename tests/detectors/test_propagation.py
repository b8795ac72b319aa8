"""Things found again in the pictures that follow: in a world of cells that is moved past a window.

A decoder that knows where everything is answers with the thing that it is pointed at, or that a box is of.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from xlabel.detectors.preparing import Frame
from xlabel.detectors.propagation import LEAST, Followed, followed, motion, propagated
from xlabel.detectors.sam import Box, Click, Embedding, Segment, Segmenter
from xlabel.errors import InputError
from xlabel.model import Annotation
from xlabel.model.geometry import encode

ROWS, COLUMNS, CHANNELS, FINE = 20, 24, 32, 4
PIXELS = 16
"""Of a cell. The square has 24 x 24 cells, of which the picture fills 20 rows."""
FRAME = Frame((COLUMNS * PIXELS, ROWS * PIXELS), (COLUMNS * PIXELS,) * 2, (1, 1), (0, 0))
SHEEP, TWIN = (30, 30), (30, 36)
"""Row and column of two things of 4 x 3 cells that look the same."""


def world() -> NDArray[np.float32]:
    cells = np.random.default_rng(0).normal(size=(80, 80, CHANNELS)).astype(np.float32)
    wool = np.random.default_rng(1).normal(size=(4, 3, CHANNELS)).astype(np.float32) * 0.3 + 2
    for row, column in (SHEEP, TWIN):
        cells[row : row + 4, column : column + 3] = wool
    return cells


WORLD = world()
OWNERS = np.zeros((80, 80), np.int64)
for number, (row, column) in enumerate((SHEEP, TWIN), 1):
    OWNERS[row : row + 4, column : column + 3] = number


class Picture:
    """The world from a corner on, with the second sheep moved by itself; what a decoder knows of it."""

    def __init__(self, row: int, column: int, walked: int = 0) -> None:
        cells, owners = WORLD.copy(), OWNERS.copy()
        if walked:
            there, gone = (slice(30, 34), slice(36 + walked, 39 + walked)), (slice(30, 34), slice(36, 39))
            cells[there], owners[there] = WORLD[gone], 2
            left = (slice(30, 34), slice(36, 36 + walked))
            cells[left], owners[left] = WORLD[40:44, 40 : 40 + walked], 0
        window = (slice(row, row + ROWS), slice(column, column + COLUMNS))
        square = np.zeros((1, CHANNELS, COLUMNS, COLUMNS), np.float32)
        square[0, :, :ROWS] = cells[window].transpose(2, 0, 1)
        noise = np.random.default_rng(row * 80 + column).normal(size=square.shape) * 0.2
        self.embedding = Embedding({"image_embeddings": (square + noise).astype(np.float32)}, FRAME)
        self.owners = np.zeros((COLUMNS, COLUMNS), np.int64)
        self.owners[:ROWS] = owners[window]

    def segment(self, number: int) -> Segment:
        fine = np.kron(self.owners == number, np.ones((FINE, FINE))) - 0.5
        return Segment(fine.astype(np.float32), FRAME, 0.9)

    def share(self, number: int, found: Followed | None) -> float:
        """The overlap of what was found with a sheep."""
        if found is None:
            return 0
        one, other = found.segment.logits > 0, self.segment(number).logits > 0
        return float((one & other).sum() / (one | other).sum())


class Knowing:
    """In the place of a segmenter: knows of each picture where everything is."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._known = {id(picture.embedding): picture for picture in pictures}

    def candidates(
        self, embedding: Embedding, points: Sequence[Click] = (), box: Box | None = None
    ) -> list[Segment]:
        picture = self._known[id(embedding)]
        if box is not None:
            left, top, width, height = (round(n / PIXELS) for n in box)
            within = picture.owners[max(0, top) : top + height, max(0, left) : left + width]
            number = int(np.bincount(within.ravel()).argmax()) if within.size else 0
        else:
            (x, y, _), *_ = points
            number = int(picture.owners[int(y / PIXELS), int(x / PIXELS)])
        return [picture.segment(number)]

    def segment(self, embedding: Embedding, points: Sequence[Click] = (), box: Box | None = None) -> Segment:
        return self.candidates(embedding, points, box)[0]


def found_again(
    pictures: Sequence[Picture], things: Sequence[int], least: float = LEAST
) -> Iterator[tuple[Picture, list[Followed | None]]]:
    first, *later = pictures
    ask = Knowing(pictures).candidates
    starts = [first.segment(number) for number in things]
    found = propagated(first.embedding, starts, (picture.embedding for picture in later), ask, least)
    return zip(later, found, strict=True)


def test_the_motion_of_a_picture_is_found() -> None:
    def cells(picture: Picture) -> Any:
        return picture.embedding.features["image_embeddings"][0, :, :ROWS].transpose(1, 2, 0)

    start = cells(Picture(20, 20))
    for row, column in ((20, 20), (22, 20), (17, 26), (26, 13)):
        assert motion(start, cells(Picture(row, column))).tolist() == [20 - row, 20 - column]
    assert motion(start, cells(Picture(55, 50))).tolist() == [0, 0]


def test_two_that_look_the_same_stay_themselves_while_the_camera_moves() -> None:
    path = [Picture(20 + step, 20 + 3 * step) for step in range(5)]
    for picture, found in found_again(path, [1, 2]):
        assert [picture.share(number, one) for number, one in zip((1, 2), found, strict=True)] == [1, 1]
        assert all(one is not None and one.score > 0.6 for one in found)


def test_one_of_two_is_followed_also_to_where_the_other_was() -> None:
    path = [Picture(20, 20 - 6 * step) for step in range(2)]  # the camera moves by their distance
    for picture, (one,) in found_again(path, [2]):
        assert picture.share(2, one) == 1


def test_a_thing_that_moves_by_itself_is_followed() -> None:
    path = [Picture(20, 20, walked) for walked in (0, 2, 4)]
    for picture, (still, walking) in found_again(path, [1, 2]):
        assert (picture.share(1, still), picture.share(2, walking)) == (1, 1)


def test_what_has_left_is_not_found_until_it_comes_back_although_its_twin_is_there() -> None:
    pictures = [Picture(20, column) for column in (20, 27, 34, 41, 34, 27, 20)]
    shares = [picture.share(1, one) for picture, (one,) in found_again(pictures, [1])]
    assert shares == [1, 0, 0, 0, 1, 1]


def test_pictures_of_something_else_or_of_nothing_have_nothing_and_change_nothing() -> None:
    pictures = [Picture(20, 20), Picture(55, 50), Picture(20, 22)]
    first, other, last = (picture.embedding for picture in pictures)
    ask = Knowing(pictures).candidates
    none, missing, (one,) = propagated(first, [pictures[0].segment(1)], [other, None, last], ask)
    assert (none, missing) == ([None], [None])
    assert pictures[2].share(1, one) == 1


def test_pictures_are_asked_for_one_by_one() -> None:
    asked: list[int] = []

    def following() -> Iterator[Embedding]:
        for column in (21, 22, 23):
            asked.append(column)
            yield Picture(20, column).embedding

    start = Picture(20, 20)
    found = propagated(start.embedding, [start.segment(1)], following(), lambda *_: [])
    assert asked == []
    assert next(found) == [None]
    assert asked == [21]


def test_what_is_not_sure_enough_is_not_found() -> None:
    pictures = [Picture(20, 20), Picture(20, 21)]
    ((_, (found,)),) = found_again(pictures, [1])
    assert found is not None
    assert 0.6 < found.score < 0.99
    assert [one for _, one in found_again(pictures, [1], least=0.99)] == [[None]]


POLYGON = (
    10 * PIXELS,
    10 * PIXELS,
    13 * PIXELS,
    10 * PIXELS,
    13 * PIXELS,
    14 * PIXELS,
    10 * PIXELS,
    14 * PIXELS,
)
BITS = np.kron(OWNERS[20 : 20 + ROWS, 20 : 20 + COLUMNS] == 1, np.ones((PIXELS, PIXELS)))
LABELS = {
    "polygon": Annotation(polygons=(POLYGON,)),
    "mask": Annotation(mask=encode(BITS)),
    "box": Annotation(bbox=(10 * PIXELS, 10 * PIXELS, 3 * PIXELS, 4 * PIXELS)),
}
"""The first sheep, seen from row 20 and column 20 on."""


@pytest.mark.parametrize("kind", LABELS)
def test_a_label_of_any_kind_is_followed(kind: str) -> None:
    pictures = [Picture(20, 20), Picture(21, 23)]
    first, later = (picture.embedding for picture in pictures)
    segmenter = cast(Segmenter, Knowing(pictures))
    (one,) = followed(segmenter, first, LABELS[kind], [later])
    assert pictures[1].share(1, one) == 1


def test_a_label_of_the_whole_image_or_of_a_dot_is_an_error() -> None:
    picture = Picture(20, 20)
    segmenter = cast(Segmenter, Knowing([picture]))
    with pytest.raises(InputError, match="label 7: expected one with a place in the image"):
        followed(segmenter, picture.embedding, Annotation(id=7), [])
    with pytest.raises(InputError, match="larger than a dot"):
        followed(segmenter, picture.embedding, Annotation(polygons=((5, 5, 5, 5, 5, 5),)), [])
