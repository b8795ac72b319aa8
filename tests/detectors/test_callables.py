"""Functions of Python as detectors: what they are given, what they may give, what is told when they fail."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests import finders
from tests.tools import library

from xlabel import detectors
from xlabel.errors import InputError
from xlabel.model import Annotation
from xlabel.model.annotation import OrientedBox

PICTURE = np.zeros((20, 30, 3), np.uint8)
PICTURE[4:10, 6:18] = 255
NONE = float("nan")
DEEP: dict[str, Any] = {}
for _ in range(5000):
    DEEP = {"a": DEEP}
BOX = (1, 2, 3, 4)
HUGE = 10**9


def found(name: str, picture: NDArray[np.uint8] = PICTURE, **options: Any) -> list[Annotation]:
    return detectors.opened(f"tests.finders:{name}", **options).detect([picture])[0]


def given(monkeypatch: pytest.MonkeyPatch, value: object, **options: Any) -> list[Annotation]:
    """What becomes of something that a function gives."""
    monkeypatch.setattr(finders, "nothing", lambda picture: value)
    return found("nothing", **options)


def test_a_function_is_given_a_picture_as_displayed_and_gives_fields_of_annotations() -> None:
    (label,) = found("bright")
    assert (label.bbox, label.score, label.status) == ((6, 4, 12, 6), 0.9, "suggestion")
    assert label.category and label.category.name == "thing"
    assert label.source and (label.source.kind, label.source.name) == ("model", "tests.finders:bright")


def test_annotations_are_suggestions_whatever_they_say() -> None:
    (label,) = found("own")
    assert (label.status, label.author, label.id, label.bbox) == ("suggestion", None, None, (0, 0, 2, 2))


def test_arrays_as_torchvision_has_them_are_things() -> None:
    labels = found("two", categories=["cat", "dog"])
    assert [(a.category and a.category.name, a.bbox, a.score) for a in labels] == [
        ("dog", (1, 2, 4, 6), 0.75),
        ("cat", (2, 2, 4, 4), 0.5),
    ]
    assert len(found("two", categories=["cat", "dog"], min_score=0.6)) == 1
    assert [
        a.category and a.category.name for a in found("two", categories="ab", renamed={"a": "c", "b": ""})
    ] == ["c"]


def test_tensors_masks_and_keypoints_are_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = library("torch")
    mask = torch.zeros(1, 1, 20, 30)
    mask[0, 0, 4:10, 6:18] = 0.9
    points = torch.tensor([[[7.0, 5.0, 1.0], [0.0, 0.0, 0.0]]])
    boxes = torch.tensor([[6.0, 4.0, 18.0, 10.0]], requires_grad=True)
    things = {"boxes": boxes, "labels": torch.tensor([0]), "scores": torch.tensor([0.5])}
    (label,) = given(monkeypatch, [things | {"masks": mask, "keypoints": points}], categories=["a"])
    assert label.bbox == (6, 4, 12, 6) and label.keypoints == (7, 5, 2, 0, 0, 0)
    assert label.polygons is not None and set(label.polygons[0]) == {6, 4, 18, 10}


def test_shapes_and_arrays_as_masks_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"kind": "oriented_box", "corners": [1, 1, 5, 1, 5, 3, 1, 3]}
    (one, other) = given(monkeypatch, [{"shape": shape, "category": "a"}, {"mask": PICTURE[:, :, 0] > 0}])
    assert one.shape == OrientedBox((1, 1, 5, 1, 5, 3, 1, 3))
    assert other.polygons is not None and other.category is None


def test_a_class_is_made_once_and_may_name_its_categories() -> None:
    finders.Cat.made = 0
    detector = detectors.opened("tests.finders:Cat")
    names = [a.category and a.category.name for one in detector.detect([PICTURE, PICTURE]) for a in one]
    assert names == ["dog", "dog"] and finders.Cat.made == 1
    assert [category.name for category in detector.categories] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([{"bbox": (1, 2, 3)}], "expected fields of xlabel.Annotation"),
        ([{"box": (1, 2, 3, 4)}], "got box; it has category, bbox"),
        ([{"bbox": (1, 2, 3, 4), "category": 5}], "expected a name for category 5"),
        ([{"bbox": (1, NONE, 3, 4)}], "expected a label of numbers"),
        ([Annotation(bbox=(1, 2, 3))], "expected a label of numbers"),  # type: ignore[arg-type]
        ({"boxes": [[1, 2, 3, 4]], "labels": [], "scores": []}, "IndexError"),
        ([{"bbox": (10**400, 1, 1, 1)}], "picture of 30 x 20.*the box beyond 1e30"),
        ([{"bbox": BOX, "category": "a\ud800"}], "expected a label of numbers and text.*UnicodeEncodeError"),
        ([{"bbox": BOX, "attributes": DEEP}], "nest deeper than 64"),
        ([{"bbox": BOX, "score": NONE}], "a score from 0 to 1.*nan"),
        ([{"bbox": BOX, "score": float("inf")}], "a score from 0 to 1.*inf"),
        ([{"bbox": BOX, "score": 1.5}], "a score from 0 to 1.*1.5"),
        ([{"bbox": (1, 2, 1e300, 4)}], "picture of 30 x 20.*the box 1, 2, 1e"),
        ([{"bbox": (1, 2, -3, 4)}], "picture of 30 x 20.*the box is -3 x 4"),
        ([{"mask": {"size": (HUGE, HUGE), "counts": [HUGE]}}], f"a mask of {HUGE}x{HUGE} pixels"),
        ([{"mask": np.broadcast_to(True, (HUGE, HUGE))}], f"as large as its picture.*got {HUGE} x {HUGE}"),
        ([{"polygons": [[1]]}], "an outline with an odd count"),
        ([{"polygons": [[1, 2, 3, 4]]}], "2 distinct points"),
        ([{"keypoints": [1, 2]}], "2 numbers of keypoints"),
        (7, "TypeError"),
        (["person"], "got str"),
    ],
)
def test_what_means_nothing_is_told(monkeypatch: pytest.MonkeyPatch, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(monkeypatch, value)


def test_boxes_are_cut_to_the_picture_and_those_outside_are_left_out_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = [(-5, 2, 10, 4), (25, 15, 10, 10), (40, 2, 3, 4), (3, 3, 0, 4), BOX]
    monkeypatch.setattr(finders, "nothing", lambda picture: [{"bbox": box} for box in boxes])
    detector = detectors.opened("tests.finders:nothing")
    for _ in range(2):
        (labels,) = detector.detect([PICTURE])
        assert [label.bbox for label in labels] == [(0, 2, 5, 4), (25, 15, 5, 5), BOX]
    assert detector.notes[1:] == ["4 things outside of their pictures, left out"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tests.finders:missing", "has no attribute 'missing'"),
        ("no_such_module:find", "No module named 'no_such_module'"),
        ("tests.finders:CALLS", "expected a function, found list"),
        ("tests/finders.py", "expected a file NAME.onnx, or package.module:function"),
    ],
)
def test_a_model_that_is_none_is_refused(model: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detectors.opened(model)


def test_a_module_in_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "finder_of_mine.py").write_text("def find(picture): return [{'bbox': (0, 0, *picture.size)}]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (label,) = detectors.opened("finder_of_mine:find").detect([PICTURE])[0]
    assert label.bbox == (0, 0, 30, 20)
