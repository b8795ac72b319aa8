"""YOLOX with real weights, against the code of the package that they are in."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import Thing, agree, things
from tests.detectors.constant import constant

from xlabel import detectors
from xlabel.errors import InputError

MIN_SCORE, IOU, SIDE = 0.3, 0.45, 416


@pytest.fixture(scope="module")
def model() -> Path:
    return weights.package("ddddocr") / "ddddocr/common_det.onnx"


@pytest.fixture(scope="module")
def code() -> Any:
    return theirs.ddddocr()


def ran(model: Path, code: Any, picture: theirs.Picture) -> tuple[NDArray[np.float32], float]:
    """The model's output for a picture that ddddocr prepares, and how much smaller it makes it."""
    prepared, ratio = code.preproc(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (SIDE, SIDE))
    (output,) = onnxruntime.InferenceSession(model).run(None, {"images": prepared[None]})
    return output, ratio


def chosen(code: Any, rows: NDArray[np.float32], ratio: float, picture: theirs.Picture) -> list[Thing]:
    """What ddddocr makes of rows in pixels."""
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1) / ratio
    kept = code.multiclass_nms(corners, rows[:, 4:5] * rows[:, 5:], IOU, MIN_SCORE)
    height, width = picture.shape[:2]
    return things(["text"] * len(kept), kept[:, 4], kept[:, :4].clip(0, (width, height, width, height)))


@pytest.mark.parametrize("name", ["bus", "testimg"])
def test_boxes_are_those_of_the_code_in_its_package(model: Path, code: Any, name: str) -> None:
    picture = theirs.photographs()[name]
    output, ratio = ran(model, code, picture)
    expected = chosen(code, code.demo_postprocess(output, (SIDE, SIDE))[0], ratio, picture)
    detector = detectors.opened(str(model), categories=["text"], min_score=MIN_SCORE, iou=IOU)
    agree(detector.detect([picture])[0], expected)


def test_boxes_that_the_model_has_decoded_are_taken_as_they_are(
    model: Path, code: Any, tmp_path: Path
) -> None:
    picture = theirs.photographs()["bus"]
    output, ratio = ran(model, code, picture)
    decoded = code.demo_postprocess(output, (SIDE, SIDE))
    path = constant(tmp_path / "decoded.onnx", [1, 3, SIDE, SIDE], {"output": decoded})
    detector = detectors.opened(path, categories=["text"], min_score=MIN_SCORE, iou=IOU)
    agree(detector.detect([picture])[0], chosen(code, decoded[0], ratio, picture))


def test_yolov6_which_wants_its_pictures_otherwise_is_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(1).uniform(0, 1, (1, 8400, 7)).astype(np.float32)
    random[:, :, :4] *= 640
    random[:, :, 4] = 1
    model = constant(tmp_path / "v6.onnx", [1, 3, 640, 640], {"outputs": random})
    with pytest.raises(InputError, match="1 x 8400 x 7"):
        detectors.opened(model, categories=["a", "b"])
