"""Category names that nobody can tell apart."""

import pytest

from xlabel.checks import names

ALIKE = ["Car car", "car car/", "car cars", "traffic/light traffic-light traffic_Light", "Straße strasse"]
DIFFERENT = ["bus bu", "glass glas", "car cat", "gas ga", "wall-brick wall-stone"]


def words(text: str) -> list[str]:
    """The names in a text; a slash stands for a space."""
    return [word.replace("/", " ") for word in text.split()]


@pytest.mark.parametrize("group", [words(text) for text in ALIKE], ids=ALIKE)
def test_names_that_differ_in_little_are_alike(group: list[str]) -> None:
    assert list(names.alike((name, None) for name in [*group, "dog"])) == [sorted(group)]


@pytest.mark.parametrize("different", [words(text) for text in DIFFERENT], ids=DIFFERENT)
def test_names_that_differ_in_more_are_not(different: list[str]) -> None:
    assert list(names.alike((name, None) for name in different)) == []


def test_one_name_under_two_supercategories_is_one_name() -> None:
    assert list(names.alike([("other", "street"), ("other", "food")])) == []
    assert names.told(["Car", "car"], {"car": 1200}) == "'Car' (0 annotations) and 'car' (1,200 annotations)"
