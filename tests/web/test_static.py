"""The page's own files: types that fit, few bytes, nothing of anybody else's."""

import gzip
import re
from pathlib import Path

import pytest
from tests.stores.servers import program
from tests.tools import ROOT, run

STATIC = ROOT / "src" / "xlabel" / "web" / "static"
SERVED = sorted(path for path in STATIC.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))
MOST = 60_000


def test_the_types_of_all_modules_fit() -> None:
    tsc = program("tsc", "tsc", ROOT / ".npm" / "node_modules" / ".bin")
    run(tsc, "--project", ROOT / "tests" / "web" / "tsconfig.json")


def test_all_of_the_page_is_small() -> None:
    """Compressed together, modules first; one by one they are a fifth larger."""
    ordered = sorted(SERVED, key=lambda path: path.suffix != ".js")
    assert len(gzip.compress(b"".join(path.read_bytes() for path in ordered))) < MOST


@pytest.mark.parametrize("path", SERVED, ids=lambda path: path.name)
def test_a_file_makes_no_markup_of_text_and_asks_nobody_else(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert set(re.findall(r"\w+://[^\s\"')]+", text)) <= {"http://www.w3.org/2000/svg"}
