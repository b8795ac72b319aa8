"""What the table of layouts promises, and what is said of a model that has none of them."""

from pathlib import Path

import numpy as np
import pytest
from tests.detectors import theirs
from tests.detectors.constant import constant
from tests.detectors.proofs import PROOFS, table

from xlabel import detectors
from xlabel.detectors import layouts
from xlabel.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "prelabel.md"


def test_every_layout_has_a_proof() -> None:
    assert [layouts.get(name).NAME for name in layouts.LAYOUTS] == list(layouts.LAYOUTS)
    assert PROOFS.keys() == layouts.LAYOUTS.keys()


def test_the_table_of_layouts_is_that_of_the_code_and_its_proofs() -> None:
    assert table() in PAGE.read_text("utf-8"), "python -m tests.detectors.proofs prints the table"


def turned(path: Path) -> str:
    """A YOLOv8 whose output somebody has turned; a YOLOX with a category less looks alike."""
    random = np.random.default_rng(0)
    rows = random.uniform(0, 1, (1, 8400, 7)) ** 9
    rows[:, :, :4] = random.uniform(0, 640, (1, 8400, 4))
    return constant(path / "turned.onnx", [1, 3, 640, 640], {"output": rows.astype(np.float32)})


@pytest.mark.parametrize(("names", "layout"), [("abc", "yolo8"), ("ab", "yolox")])
def test_where_shapes_leave_two_readings_the_number_of_names_decides(
    tmp_path: Path, names: str, layout: str
) -> None:
    assert f"read as {layout} " in detectors.opened(turned(tmp_path), categories=names).notes[0]


def test_where_nothing_decides_names_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give them with --categories"):
        detectors.opened(turned(tmp_path))


def test_names_in_the_metadata_that_are_too_few_are_not_taken_for_all(tmp_path: Path) -> None:
    outputs = {"output0": np.zeros((1, 9, 8400), np.float32)}
    model = theirs.exported(tmp_path / "a.onnx", outputs, names=["a", "b"], task="detect")
    with pytest.raises(InputError, match="as it has scores for, 5, found 2"):
        detectors.opened(model)


def test_rows_that_begin_as_if_they_were_chosen_are_not_where_they_are_as_many_as_the_cells(
    tmp_path: Path,
) -> None:
    rows = np.random.default_rng(0).uniform(0, 1, (1, 25200, 6)).astype(np.float32)
    rows[:, :, :4] *= 640
    model = theirs.exported(tmp_path / "v5.onnx", {"output0": rows}, names=["a"], task="detect")
    assert "read as yolo5 " in detectors.opened(model).notes[0]
