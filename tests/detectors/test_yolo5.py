"""YOLOv5 with real weights that TensorFlow exported, and with random numbers, against its own code."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import agree
from tests.detectors.test_yolo8 import BLANK, IOU, MIN_SCORE, SIZE
from tests.tools import library

from xlabel import detectors


def suppressed(rows: NDArray[np.float32], masks: int = 0) -> Any:
    """What YOLOv5's own code keeps, with the NMS of cv2 in the place of torchvision's."""
    torch = library("torch")

    def nms(boxes: Any, scores: Any, share: float) -> Any:
        sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        return torch.tensor(cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0, share)).long()

    around = {
        "torch": torch,
        "time": time,
        "np": np,
        "torchvision": SimpleNamespace(ops=SimpleNamespace(nms=nms)),
    }
    file = weights.package("yolov5") / "yolov5/utils/general.py"
    code = theirs.functions(file, ("non_max_suppression", "xywh2xyxy"), around)
    (kept,) = code.non_max_suppression(torch.tensor(rows), MIN_SCORE, IOU, nm=masks)
    return kept


@pytest.mark.parametrize("name", ["bus", "zidane", "testimg"])
def test_boxes_of_tensorflows_export_are_those_of_its_own_code(name: str) -> None:
    folder = weights.package("object-detect") / "object_detect"
    names = (folder / "__init__.py").read_text("utf-8").split("'''")[1].split("\n")
    picture = theirs.photographs()[name]
    session = onnxruntime.InferenceSession(folder / "yolo5.onnx")
    prepared, _ = theirs.letterboxed(picture, 320)
    (output,) = session.run(None, {"input_1": prepared.transpose(0, 2, 3, 1)})
    output[:, :, :4] *= 320
    detector = detectors.opened(str(folder / "yolo5.onnx"), categories=names, min_score=MIN_SCORE, iou=IOU)
    expected = theirs.scaled(suppressed(output), picture, dict(enumerate(names)), side=320)
    agree(detector.detect([picture])[0], expected)


def rows(classes: int, extra: int) -> NDArray[np.float32]:
    """Random rows for pictures of 640 x 640: boxes, objectness, scores that are mostly low, the rest."""
    random = np.random.default_rng(3)
    count = 3 * 8400
    centres, sides = random.uniform(90, 550, (count, 2)), random.uniform(60, 200, (count, 2))
    scores = random.uniform(0, 1, (count, 1 + classes)) ** 100
    return np.concatenate([centres, sides, scores, random.normal(0, 1, (count, extra))], 1)[None].astype("f")


def test_boxes_in_pixels_are_those_of_its_own_code(tmp_path: Path) -> None:
    output = rows(2, 0)
    output[:, :, 4:7] **= 0.2
    grids = {f"grid{n}": np.zeros((1, 3, 80 >> n, 80 >> n, 7), np.float32) for n in range(3)}
    model = theirs.exported(tmp_path / "v7.onnx", {"output": output, **grids}, names=["a", "b"])
    (found,) = detectors.opened(model, min_score=MIN_SCORE, iou=IOU).detect([BLANK])
    agree(found, theirs.scaled(suppressed(output), BLANK, {0: "a", 1: "b"}), pixels=0.1)


def test_masks_are_those_of_its_own_code(tmp_path: Path) -> None:
    output = rows(2, 32)
    output[:, :, 4], output[:, :, 5:7] = 1, output[:, :, 5:7] ** 4
    random = np.random.default_rng(8).normal(0, 1, (32, 5, 5)).astype(np.float32)
    prototypes = np.stack([cv2.resize(one, (160, 160), interpolation=cv2.INTER_CUBIC) for one in random])[
        None
    ]
    outputs = {"output0": output, "output1": prototypes}
    model = theirs.exported(tmp_path / "seg.onnx", outputs, names=["a", "b"])
    (found,) = detectors.opened(model, min_score=MIN_SCORE, iou=IOU).detect([BLANK])
    kept = suppressed(output, 32)
    expected = theirs.scaled(kept, BLANK, {0: "a", 1: "b"})
    agree(found, expected, pixels=0.1)
    tensor = library("torch").tensor
    code = weights.module(weights.package("yolov5") / "yolov5/utils/segment/general.py")
    boxes = tensor([thing.box for thing in expected])
    masks = code.process_mask_native(tensor(prototypes[0]), kept[:, 6:], boxes, SIZE[::-1])
    theirs.same_masks(found, masks.byte().numpy(), 0.93)
