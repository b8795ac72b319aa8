"""Models of ultralytics that choose their things themselves, with real weights and with random numbers."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import agree
from tests.detectors.test_yolo8 import BLANK, MIN_SCORE, SIZE
from tests.tools import library

from xlabel import detectors
from xlabel.detectors.naming import stated
from xlabel.errors import InputError


@pytest.mark.parametrize("photograph", ["bus", "zidane", "testimg"])
@pytest.mark.parametrize("name", ["yolo11n", "yolo11n-seg"])
def test_things_are_those_of_ultralytics_own_code(name: str, photograph: str) -> None:
    model = weights.package("isat-plugin-auto-annotate") / f"ISAT_plugin_auto_annotate/{name}.onnx"
    picture = theirs.photographs()[photograph]
    session = onnxruntime.InferenceSession(model)
    names = stated(session.get_modelmeta().custom_metadata_map) or {}
    output, *prototypes = session.run(None, {"images": theirs.letterboxed(picture)[0]})
    rows = theirs.suppressed(output, MIN_SCORE, 0, end2end=True)
    expected = theirs.scaled(rows, picture, names)
    (found,) = detectors.opened(str(model), min_score=MIN_SCORE).detect([picture])
    agree(found, expected)
    if prototypes:
        tensor = library("torch").tensor
        boxes = tensor([thing.box for thing in expected])
        masks = theirs.ultralytics().ops.process_mask_native(
            tensor(prototypes[0][0]), rows[:, 6:], boxes, picture.shape[:2]
        )
        theirs.same_masks(found, masks.numpy())


def rows(extra: NDArray[np.float64], *, corners: bool) -> NDArray[np.float32]:
    """Random rows of a box, a falling score, a category and the rest; behind twenty of them come zeros."""
    random = np.random.default_rng(4)
    centres, sides = random.uniform(90, 550, (20, 2)), random.uniform(20, 200, (20, 2))
    boxes = [centres - sides / 2, centres + sides / 2] if corners else [centres, sides]
    scores, classes = np.linspace(0.95, 0.05, 20)[:, None], random.integers(0, 3, (20, 1))
    found = np.zeros((1, 300, 6 + extra.shape[1]), np.float32)
    found[0, :20] = np.concatenate([*boxes, scores, classes, extra], axis=1)
    return found


def test_boxes_need_no_metadata_but_names(tmp_path: Path) -> None:
    output = rows(np.zeros((20, 0)), corners=True)
    model = theirs.exported(tmp_path / "v10.onnx", {"output0": output})
    (found,) = detectors.opened(model, categories="abc", min_score=MIN_SCORE).detect([BLANK])
    chosen = theirs.suppressed(output, MIN_SCORE, 0, end2end=True)
    agree(found, theirs.scaled(chosen, BLANK, dict(enumerate("abc"))), pixels=0.1)


def test_keypoints_are_those_of_ultralytics_own_code(tmp_path: Path) -> None:
    points = np.random.default_rng(5).uniform(0, 640, (20, 17, 3))
    points[:, :, 2] /= 640
    output = rows(points.reshape(20, -1), corners=True)
    metadata = {"task": "pose", "kpt_shape": [17, 3], "names": ["a", "b", "c"]}
    model = theirs.exported(tmp_path / "pose.onnx", {"output0": output}, **metadata)
    (found,) = detectors.opened(model, min_score=MIN_SCORE).detect([BLANK])
    chosen = theirs.suppressed(output, MIN_SCORE, 0, end2end=True)
    agree(found, theirs.scaled(chosen, BLANK, dict(enumerate("abc"))), pixels=0.1)
    expected = theirs.ultralytics().ops.scale_coords((640, 640), chosen[:, 6:].reshape(-1, 17, 3), SIZE[::-1])
    for annotation, keypoints in zip(found, expected.numpy(), strict=True):
        theirs.same_keypoints(annotation, keypoints, SIZE)


def test_oriented_boxes_are_those_of_ultralytics_own_code(tmp_path: Path) -> None:
    output = rows(np.random.default_rng(6).uniform(-np.pi / 4, np.pi * 3 / 4, (20, 1)), corners=False)
    metadata = {"task": "obb", "names": ["a", "b", "c"]}
    model = theirs.exported(tmp_path / "obb.onnx", {"output0": output}, **metadata)
    (found,) = detectors.opened(model, min_score=MIN_SCORE).detect([BLANK])
    chosen = theirs.suppressed(output, MIN_SCORE, 0, end2end=True)
    boxes = theirs.ultralytics().ops.scale_boxes((640, 640), chosen[:, :4].clone(), SIZE[::-1], xywh=True)
    for annotation, box, row in zip(found, boxes.numpy(), chosen.numpy(), strict=True):
        assert annotation.category and annotation.category.name == "abc"[int(row[5])]
        theirs.same_oriented(annotation, box, row[6])


def test_numbers_that_may_mean_something_else_are_refused(tmp_path: Path) -> None:
    shares = rows(np.zeros((20, 0)), corners=True)
    shares[:, :, :4] /= 640
    between = rows(np.zeros((20, 0)), corners=True)
    between[:, :, 5] += 0.5
    for number, output in enumerate((shares, between, np.zeros((1, 300, 6), np.float32))):
        model = theirs.exported(tmp_path / f"{number}.onnx", {"output0": output}, names=["a", "b", "c"])
        with pytest.raises(InputError, match="1 x 300 x 6"):
            detectors.opened(model)
