"""The orders of the review's queue: what comes first and last, and k-centre greedy against a slow one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from xlabel.jobs import queue
from xlabel.jobs.queue import by_disagreement, by_diversity, by_uncertainty, farthest_first, features
from xlabel.model.record import Record

Array = NDArray[np.uint8]


def test_the_highest_is_first_and_what_has_nothing_comes_last_in_its_order() -> None:
    values = [None, 0.0, 1.0, None, 0.5, 1.0]
    records = [None, *(Record(key="a.jpg", uncertainty=value, disagreement=value) for value in values)]
    assert by_uncertainty(records) == by_disagreement(records) == [3, 6, 5, 2, 0, 1, 4]
    assert by_uncertainty([]) == by_diversity([], lambda at: None) == []


@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 99), st.integers(1, 255))
def test_each_is_as_far_as_can_be_from_all_before_it(count: int, done: int, seed: int, top: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, top, (count, 64), dtype=np.uint8)
    covered = random.integers(0, top, (done, 64), dtype=np.uint8)
    order = farthest_first(rows, covered)
    assert sorted(order) == list(range(count))
    whole = rows.astype(int)
    if not done:
        far = ((whole - whole.mean(axis=0)) ** 2).sum(axis=1)
        assert far[order[0]] == pytest.approx(far.min())
    for place, at in enumerate(order):
        before = [*covered.astype(int), *whole[order[:place]]]
        left = order[place:]
        if before:
            nearest = [min(int(((whole[one] - other) ** 2).sum()) for other in before) for one in left]
            assert at == min(one for one, far in zip(left, nearest, strict=True) if far == max(nearest))


def test_of_many_images_the_first_are_exact_and_the_others_follow_by_how_far_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (100, 64), dtype=np.uint8)
    exact = farthest_first(rows, rows[:0])
    monkeypatch.setattr(queue, "EFFORT", 1000)
    order = farthest_first(rows, rows[:0])
    assert sorted(order) == list(range(100)) and order[:10] == exact[:10] and order != exact
    chosen = rows[order[:10]].astype(int)
    far = [int(((chosen - rows[at]) ** 2).sum(axis=1).min()) for at in order[10:]]
    assert far == sorted(far, reverse=True)


def test_other_scenes_come_before_more_of_the_same_and_what_is_done_comes_last() -> None:
    def plain(*colour: int) -> Array:
        return np.full((20, 30, 3), colour, np.uint8)

    day, night, sea = plain(200, 200, 220), plain(10, 10, 30), plain(20, 90, 200)
    pictures = [day, day, day, night, day, sea, night, night]
    records: list[Record | None] = [Record(key=f"{number}.jpg") for number in range(8)]
    assert {tuple(pictures[at][0, 0]) for at in by_diversity(records, pictures.__getitem__)[:3]} == {
        *((200, 200, 220), (10, 10, 30), (20, 90, 200))
    }
    records[3] = Record(key="3.jpg", state="labelled")
    records[0] = None
    order = by_diversity(records, pictures.__getitem__)
    assert order[-1] == 3 and sorted(order) == list(range(8))
    assert {tuple(pictures[at][0, 0]) for at in order[:2]} == {(200, 200, 220), (20, 90, 200)}


def test_images_without_pictures_are_told_apart_by_what_is_on_them() -> None:
    dogs, cats = Record(key="a.jpg", categories={"dog": 5}), Record(key="a.jpg", categories={"cat": 1})
    assert by_diversity([dogs, dogs, cats, dogs], lambda at: None).index(2) < 2


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_colours_are_the_means_of_the_parts(width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height * 4, width * 4, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(picture).resize((4, 4), Image.Resampling.BOX))
    ours = features(None, picture)[:48].astype(int)
    assert abs(ours - small.reshape(-1)).max() <= 1
    assert (features(None, picture)[48:] == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (2, 400)])
def test_a_picture_of_any_size_has_colours(size: tuple[int, int]) -> None:
    assert (features(None, np.full((*size, 3), 77, np.uint8))[:48] == 77).all()
