"""What the docs say of codes is what the code says."""

import re
from pathlib import Path

from xlabel.checks import SEVERITIES
from xlabel.checks.codes import GROUPS, OTHER, RULES, rule

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str) -> list[list[str]]:
    """The cells of the rows that begin with a code, below the heading of problems."""
    text = (DOCS / page).read_text("utf-8").partition("\n## Problems\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in found]


def test_the_docs_list_every_code_with_what_the_code_says_of_it() -> None:
    told = [(f"`{code}`", *known) for code, known in RULES.items()]
    assert [tuple(row) for row in rows("validation.md")] == told
    assert sum(map(len, GROUPS.values())) == len(RULES)


def test_every_problem_that_a_reader_has_is_known() -> None:
    codes = {code for row in rows("formats.md") for code in re.findall(r"`([^`]+)`", row[0])}
    assert codes <= RULES.keys()


def test_a_severity_is_one_of_three_and_codes_of_other_packages_are_errors() -> None:
    assert {known.severity for known in RULES.values()} <= set(SEVERITIES)
    assert rule("somebody-elses") == OTHER
    assert OTHER.severity == "error"
