"""A thing found again in pictures that follow, beside where its colour is."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests import mobile_sam, weights
from tests.detectors import brightness

from xlabel.detectors import propagation, sam
from xlabel.errors import InputError
from xlabel.model import Annotation
from xlabel.model.geometry import bounds, iou

CLIP = "object_detection/test_images/ducky/test"


def test_a_rubber_duck_is_found_again_until_it_is_gone() -> None:
    clip = weights.package("custom-obj-detector") / CLIP
    segmenter = sam.opened(str(mobile_sam.folder()))
    frames = [np.asarray(Image.open(clip / f"out{number}.jpg").convert("RGB")) for number in (1, 3, 5)]
    first, *following = (segmenter.encode(frame) for frame in (*frames, weights.photograph("coffee")))
    clicked = segmenter.segment(first, [(370, 370, True)])
    label = Annotation(polygons=sam.polygons(clicked))
    *there, gone = propagation.followed(segmenter, first, label, following)
    for found, frame in zip(there, frames[1:], strict=True):
        assert found is not None
        box = bounds([number for part in sam.polygons(found.segment) for number in part])
        assert box is not None
        assert iou(box, yellow(frame)) > 0.7  # the lower edge lies in the shade
        assert propagation.LEAST < found.score <= 1
    assert gone is None


def test_a_label_without_a_place_in_the_picture_cannot_be_followed(tmp_path: Path) -> None:
    segmenter = sam.opened(str(brightness.model(tmp_path)))
    embedding = segmenter.encode(np.zeros((48, 64, 3), np.uint8))
    for label in (Annotation(id=3), Annotation(id=3, polygons=((-9, -9, -5, -9, -5, -5),))):
        with pytest.raises(InputError, match="expected"):
            next(propagation.followed(segmenter, embedding, label, [embedding]))


def yellow(picture: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """The box around what is as yellow as the duck; single pixels elsewhere do not count."""
    red, green, blue = (picture[:, :, at].astype(int) for at in range(3))
    bright = Image.fromarray(np.uint8(255) * ((red > 150) & (green > 110) & (blue < green // 2)))
    most = bright.reduce(4).point(lambda value: 255 * (value > 128))
    left, top, right, bottom = (4 * side for side in most.getbbox() or (0, 0, 0, 0))
    return left, top, right - left, bottom - top
