"""Labels after other people's tools: what became of each image is told rightly, what can be put back is."""

import os

import pytest
from tests.scenes import near, seen
from tests.survival.matrix import HEAD, Row, line, rows, table
from tests.survival.operations import OPERATIONS
from tests.tools import ROOT, tool

PAGE = ROOT / "docs" / "survival.md"
RIGHT = ("intact", "renewed", "restored", "carried over")


@pytest.fixture(scope="module", params=OPERATIONS)
def container(request: pytest.FixtureRequest) -> str:
    """Each container in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def found(container: str, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Its rows, of those operations whose tools are installed."""
    if container == "jxl":
        tool("cjxl")
    absent = sorted({name for operation in OPERATIONS[container] for name in operation.missing})
    if absent and "survival" in os.environ.get("XLABEL_MUST_RUN", "").split(","):
        pytest.fail(f"not installed: {', '.join(absent)}")
    operations = [operation for operation in OPERATIONS[container] if not operation.missing]
    return rows(container, tmp_path_factory.mktemp(container), operations)


def expected(row: Row) -> tuple[str, str]:
    """The state and the kind that are right, by what was done and what another decoder sees."""
    effect = row.operation.effect
    if row.same is None and not row.kept and not row.verdict.proved:
        return "stripped", "namesake"  # nothing can decode it
    if effect:
        return ("stale" if row.kept else "stripped"), effect
    if row.same is False:
        return ("stale" if row.kept else "stripped"), "recompressed"
    return ("intact", "") if row.kept else ("stripped", "stripped")


def test_each_image_is_told_to_be_what_it_is(found: list[Row]) -> None:
    for row in found:
        state, kind = expected(row)
        verdict = row.verdict
        assert verdict.state == state, (row.operation.name, verdict)
        if verdict.kind == "ambiguous":  # a proposal, which says what it would be
            assert not verdict.proved
            assert kind in verdict.what, (row.operation.name, verdict)
        elif kind:
            assert verdict.kind == kind, (row.operation.name, verdict)


def test_each_image_with_unchanged_pixels_has_its_labels_back(found: list[Row]) -> None:
    unchanged = [row for row in found if row.same]
    for row in unchanged:
        assert row.outcome in RIGHT, (row.operation.name, row.verdict)
        assert row.box is not None


def test_no_image_has_labels_that_lie_beside_the_thing(found: list[Row]) -> None:
    for row in found:
        if row.operation.name.endswith(" L"):
            continue  # the thing is no longer magenta
        if row.outcome in RIGHT and row.same is not None:
            assert near(row.box, seen(row.path), by=3), (row.operation.name, row.box, row.verdict)
        elif row.outcome == "proposed" and not row.kept:
            assert row.box is None, row.operation.name


def test_the_page_is_what_the_tools_do(container: str, found: list[Row]) -> None:
    text = PAGE.read_text()
    assert text.startswith(HEAD), "print it anew: python -m tests.survival.matrix > docs/survival.md"
    missing = [line(row) for row in found if line(row) not in text.split("\n")]
    assert not missing, f"{container}: print the page anew"
    if len(found) == len(OPERATIONS[container]):
        assert "\n".join(table(container, found)) in text
