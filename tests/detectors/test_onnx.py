"""Models in ONNX files, whatever their layout: how they are opened, run and named, and what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tests.detectors import theirs
from tests.detectors.constant import constant
from tests.tools import xlabel as command

import xlabel
from xlabel import detectors
from xlabel.errors import InputError, MissingExtraError

PICTURE = np.zeros((320, 640, 3), np.uint8)
NAMES = ["cat", "dog"]


def output(*things: tuple[float, ...], pictures: int = 1) -> NDArray[np.float32]:
    """What a YOLOv8 gives that finds these: centre x and y, width, height, score of a cat, of a dog."""
    columns = np.zeros((pictures, 6, 8400), np.float32)
    for at, thing in enumerate(things):
        columns[:, :, at] = thing
    return columns


CAT, DOG = (320, 320, 100, 50, 0.9, 0), (100, 260, 40, 40, 0, 0.5)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return theirs.exported(tmp_path / "pets.onnx", {"output0": output(CAT, DOG)}, names=NAMES, task="detect")


def told(labels: list[xlabel.Annotation]) -> list[tuple[str | None, Any]]:
    return [(label.category.name if label.category else None, label.bbox) for label in labels]


def test_what_a_model_finds_is_in_pixels_of_the_picture(model: str) -> None:
    (found,) = detectors.opened(model).detect([PICTURE])
    assert told(found) == [("cat", (270, 135, 100, 50)), ("dog", (80, 80, 40, 40))]
    assert [label.score for label in found] == pytest.approx([0.9, 0.5])


def test_things_below_the_least_score_are_left_out(model: str) -> None:
    (found,) = detectors.opened(model, min_score=0.6).detect([PICTURE])
    assert told(found) == [("cat", (270, 135, 100, 50))]


def test_a_batch_of_a_fixed_size_is_filled_up(tmp_path: Path) -> None:
    two = {"output0": output(CAT, pictures=2)}
    model = constant(tmp_path / "two.onnx", [2, 3, 640, 640], two)
    detector = detectors.opened(model, categories=NAMES)
    assert detector.most == 2
    assert [len(found) for found in detector.detect([PICTURE] * 3)] == [1, 1, 1]


def test_half_precision_is_taken(tmp_path: Path) -> None:
    half = {"output0": output(CAT).astype(np.float16)}
    model = constant(tmp_path / "half.onnx", [1, 3, 640, 640], half, dtype=TensorProto.FLOAT16)
    (found,) = detectors.opened(model, categories=NAMES).detect([PICTURE])
    assert told(found) == [("cat", (270, 135, 100, 50))]


def test_things_of_categories_that_become_one_are_one_where_they_overlap(tmp_path: Path) -> None:
    twice = {"output0": output(CAT, (320, 320, 100, 50, 0, 0.7))}
    model = theirs.exported(tmp_path / "a.onnx", twice, names=NAMES, task="detect")
    assert len(detectors.opened(model).detect([PICTURE])[0]) == 2
    (found,) = detectors.opened(model, renamed={"cat": "pet", "dog": "pet"}).detect([PICTURE])
    assert told(found) == [("pet", (270, 135, 100, 50))]
    (found,) = detectors.opened(model, renamed={"cat": ""}).detect([PICTURE])
    assert told(found) == [("dog", (270, 135, 100, 50))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ["a"]}, "expected 2 names of categories, as many as it has scores for, got 1"),
        ({"renamed": {"bird": "cat"}}, "got 'bird'; it has cat, dog"),
    ],
)
def test_names_that_do_not_fit_are_refused(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        detectors.opened(model, **options)


def test_a_model_without_names_asks_for_them(tmp_path: Path) -> None:
    model = constant(tmp_path / "a.onnx", [1, 3, 640, 640], {"output0": output(CAT)})
    with pytest.raises(InputError, match=r"names of its 2 categories .* --categories a,b,c"):
        detectors.opened(model)


def test_a_model_of_another_layout_is_refused_with_its_shapes(tmp_path: Path) -> None:
    model = constant(tmp_path / "digits.onnx", [1, 1, 28, 28], {"scores": np.zeros((1, 10), np.float32)})
    done = command("prelabel", tmp_path, "--model", model)
    assert done.returncode == 2
    assert "input picture: float32 1 x 1 x 28 x 28" in done.stderr
    assert "output scores: float32 1 x 10" in done.stderr
    assert "--model package.module:function" in done.stderr


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no file there"):
        detectors.opened(str(tmp_path / "missing.onnx"))
    (tmp_path / "broken.onnx").write_bytes(b"This is no model.")
    with pytest.raises(InputError, match=r"broken\.onnx: expected an ONNX model"):
        detectors.opened(str(tmp_path / "broken.onnx"))


def test_weights_beside_the_file_are_found_and_count_for_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    hashes = set()
    for score in (0.9, 0.8):
        graph = helper.make_graph(
            [helper.make_node("Identity", ["weights"], ["output0"])],
            "large",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 640, 640])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 8400])],
            [numpy_helper.from_array(output((*CAT[:4], score, 0)), "weights")],
        )
        document = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (tmp_path / "large.onnx.data").unlink(missing_ok=True)
        onnx.save(document, path, save_as_external_data=True, location="large.onnx.data")
        detector = detectors.opened(str(path), categories=NAMES)
        assert detector.detect([PICTURE])[0][0].score == pytest.approx(score)
        hashes.add(detector.source.hash)
    assert len(hashes) == 2


def test_what_a_file_says_of_itself_is_shown_in_a_line_of_bounded_length(tmp_path: Path) -> None:
    metadata = {"names": NAMES, "task": "detect", "license": "AGPL\n" * 1000}
    model = theirs.exported(tmp_path / "a.onnx", {"output0": output(CAT)}, **metadata)
    licence = detectors.opened(model).licence
    assert licence is not None and len(licence) == 200 and "\n" not in licence


def test_a_gpu_goes_first_where_there_is_one(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    session = onnxruntime.InferenceSession

    def started(data: object, options: object, providers: list[str]) -> Any:
        asked.append(providers)
        return session(data, options, providers=["CPUExecutionProvider"])

    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", started)
    assert detectors.opened(model).notes[0].endswith("on the CPU")  # which is what became of it here
    assert asked == [["CUDAExecutionProvider", "CPUExecutionProvider"]]


def test_without_onnxruntime_the_extra_is_named(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xlabel\[onnx\]'"):
        detectors.opened(model)
