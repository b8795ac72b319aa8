"""A thing found again in photographs, by MobileSAM: a rubber duck. Where it is OpenCV says by its colour."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from tests import mobile_sam, weights

from xlabel.detectors import sam
from xlabel.detectors.propagation import followed, propagated
from xlabel.detectors.sam import Embedding, Segmenter
from xlabel.model import Annotation

DUCK = (370, 375)
"""In the first picture of the clip."""
ALONE, MIRRORED = (1, 3, 5, 7), (13, 14, 15)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return sam.opened(str(mobile_sam.folder()))


@pytest.fixture(scope="module")
def clip(segmenter: Segmenter) -> dict[int, Embedding]:
    return {number: segmenter.encode(frame(number)) for number in ALONE + MIRRORED}


def frame(number: int) -> NDArray[np.uint8]:
    """A picture of a clip of a rubber duck: the camera moves, and a mirror comes with a second duck in it."""
    folder = weights.package("custom-obj-detector") / "object_detection" / "test_images" / "ducky" / "test"
    with Image.open(folder / f"out{number}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    first, second = (coco.encode(np.asfortranarray(bits, dtype=np.uint8)) for bits in (one, other))
    return float(coco.iou([first], [second], [0])[0, 0])


def yellow(number: int) -> list[tuple[NDArray[np.bool_], tuple[float, float]]]:
    """The ducks of a picture by their colour, as OpenCV has it, and their middles."""
    hue, saturation, value = cv2.split(cv2.cvtColor(frame(number), cv2.COLOR_RGB2HSV).astype(np.int32))
    body = (hue > 16) & (hue < 40) & (saturation > 70) & (value > 100)
    beak = ((hue <= 16) | (hue > 172)) & (saturation > 150) & (value > 110)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    closed = cv2.morphologyEx((body | beak).astype(np.uint8), cv2.MORPH_CLOSE, disc)
    clean = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, parts, stats, middles = cv2.connectedComponentsWithStats(clean)
    return [
        (parts == part, (float(middles[part][0]), float(middles[part][1])))
        for part in range(1, count)
        if stats[part][cv2.CC_STAT_AREA] > 400
    ]


def nearest(number: int, place: tuple[float, float]) -> tuple[NDArray[np.bool_], tuple[float, float]]:
    return min(yellow(number), key=lambda one: np.hypot(one[1][0] - place[0], one[1][1] - place[1]))


def test_one_click_on_a_duck_finds_it_in_the_next_pictures(
    segmenter: Segmenter, clip: dict[int, Embedding]
) -> None:
    first, *later = ALONE
    label = Annotation(polygons=sam.polygons(segmenter.segment(clip[first], [(*DUCK, True)])))
    place: tuple[float, float] = DUCK
    following = (clip[number] for number in later)
    for number, found in zip(later, followed(segmenter, clip[first], label, following), strict=True):
        assert found is not None, number
        expected, place = nearest(number, place)
        assert overlap(sam.mask(found.segment), expected) > 0.8, number


def test_a_duck_and_the_one_in_the_mirror_stay_two(segmenter: Segmenter, clip: dict[int, Embedding]) -> None:
    first, *later = MIRRORED
    places = [(531.0, 284.0), (213.0, 354.0)]
    starts = [segmenter.segment(clip[first], [(*place, True)]) for place in places]
    following = (clip[number] for number in later)
    every = propagated(clip[first], starts, following, segmenter.candidates)
    for number, things in zip(later, every, strict=True):
        masks = [sam.mask(found.segment) for found in things if found is not None]
        assert len(masks) == 2, number
        expected = [nearest(number, place) for place in places]
        places = [middle for _, middle in expected]
        assert all(overlap(one, other) > 0.5 for one, (other, _) in zip(masks, expected, strict=True))


def test_what_is_not_in_a_picture_is_not_found(segmenter: Segmenter, clip: dict[int, Embedding]) -> None:
    start = segmenter.segment(clip[1], [(*DUCK, True)])
    other = segmenter.encode(weights.photograph("astronaut"))
    (none,), (duck,) = propagated(clip[1], [start], [other, clip[3]], segmenter.candidates)
    assert none is None
    assert duck is not None  # that it was gone in between is no reason to give it up
