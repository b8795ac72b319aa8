"""What the table of layouts promises, and what is said of a model that has none of them."""

from pathlib import Path

from tests.detectors.proofs import PROOFS, table

from xlabel.detectors import layouts

PAGE = Path(__file__).parents[2] / "docs" / "prelabel.md"


def test_every_layout_has_a_proof() -> None:
    assert [layouts.get(name).NAME for name in layouts.LAYOUTS] == list(layouts.LAYOUTS)
    assert PROOFS.keys() == layouts.LAYOUTS.keys()


def test_the_table_of_layouts_is_that_of_the_code_and_its_proofs() -> None:
    assert table() in PAGE.read_text("utf-8"), "python -m tests.detectors.proofs prints the table"
