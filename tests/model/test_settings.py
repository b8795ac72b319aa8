"""labels.toml: its page's example, what follows from it, and errors that say where and what to do."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.errors import InputError
from xlabel.model.keys import ACTIONS, MODIFIERS, NAMED, bindings, combination
from xlabel.model.settings import (
    Attribute,
    CategoryRow,
    Settings,
    actions,
    attributes_of,
    categories,
    misfit,
    read,
    shortcuts,
)

PAGE = (Path(__file__).parents[2] / "docs" / "labels_toml.md").read_text("utf-8")
EXAMPLE = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]


def test_the_example_of_the_page_says_what_toml_says() -> None:
    settings, plain = read(EXAMPLE.encode()), tomllib.loads(EXAMPLE)
    assert [row.name for row in settings.categories] == [row["name"] for row in plain["categories"]]
    assert set(plain) == set(Settings.__struct_fields__)
    assert set().union(*plain["categories"]) == set(CategoryRow.__struct_fields__)
    pose = plain["categories"][0]["attributes"]
    assert set().union(*plain["attributes"], *pose) == set(Attribute.__struct_fields__)


def test_what_follows_from_the_example() -> None:
    settings = read(EXAMPLE.encode())
    person, light, car = categories(settings)
    assert (person.id, light.id, car.id) == (1, 0, 2)
    assert person.keypoints == ("head", "left hand", "right hand") and person.skeleton == ((1, 2), (1, 3))
    assert shortcuts(settings, ["dog", "person", "car"]) == {
        "1": "person",
        "t": "traffic light",
        "2": "dog",
        "3": "car",
    }
    assert [attribute.name for attribute in attributes_of(settings, "person")] == [
        *("pose", "occluded", "certainty", "remark")
    ]
    assert [attribute.kind for attribute in attributes_of(settings, "person")] == [
        *("choice", "boolean", "number", "text")
    ]
    assert len(attributes_of(settings, "dog")) == 3
    bound = actions(settings)
    assert (bound["accept"], bound["next"], bound["sam"], bound["undo"]) == (
        ("y",),
        ("n", "Space"),
        (),
        ("Ctrl+z",),
    )


def test_the_page_lists_all_members_and_all_actions() -> None:
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall("`(.*?)`", row)
    }
    members = {*CategoryRow.__struct_fields__, *Attribute.__struct_fields__}
    assert told == members | set(ACTIONS)
    rows = re.findall(r"^\| `(\w+)` \| (`.*`) \| (.*) \|$", PAGE.partition("\n## Keys\n")[2], re.MULTILINE)
    assert [(name, tuple(re.findall("`(.*?)`", keys)), says) for name, keys, says in rows] == [
        (name, action.keys, action.says) for name, action in ACTIONS.items()
    ]
    assert all(name in PAGE for name in (*NAMED[:-12], *MODIFIERS))


def test_nothing_said_is_no_category_and_the_default_keys() -> None:
    settings = read(b"")
    assert settings == Settings() and categories(settings) == []
    assert actions(settings) == {name: action.keys for name, action in ACTIONS.items()}
    names = [f"c{number}" for number in range(12)]
    assert shortcuts(settings, names) == {str(number): f"c{number - 1}" for number in range(1, 10)}


A = '[[categories]]\nname = "a"\n'
T = '[[attributes]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a =", "expected TOML, found something else: Invalid value"),
        ("\xff", "expected TOML, found something else: "),
        ("keyz = 3", "expected one of keys, categories, attributes, found 'keyz'"),
        ("categories = 3", "categories: expected a list, found a whole number"),
        ("[[categories]]\nid = 3", "category 1: expected a name, found none"),
        ('[[categories]]\nname = ""', "category 1 (): expected a name, found an empty one"),
        (A + A, "category 2 (a): expected each name once, found 'a' again"),
        (A + "id = true", "category 1, id: expected a whole number, found true or false"),
        (A + "id = -1", "category 1 (a), id: expected a number from 0 that no other has, found -1"),
        (
            A + 'id = 1\n[[categories]]\nname = "b"\nid = 1',
            "category 2 (b), id: expected a number from 0 that no other has, found 1",
        ),
        (A + 'color = "red"', "category 1: expected one of colour, "),
        (A + 'colour = "red"', "category 1 (a), colour: expected a colour such as '#e6194b', found 'red'"),
        (
            A + 'key = "ctl+a"',
            "category 1 (a), key: expected one of Ctrl, Alt, Meta, Shift before a, found 'ctl'",
        ),
        (A + 'key = "b"', "keys: expected one action a key, found b for a category and for box"),
        (
            A + 'key = "t"\n[[categories]]\nname = "b"\nkey = "T"',
            "category 2 (b), key: expected one category a key",
        ),
        (A + "skeleton = [[1, 2]]", "category 1 (a), skeleton: expected keypoints, too, found [1, 2]"),
        (
            A + 'keypoints = ["x"]\nskeleton = [[1, 2]]',
            "category 1 (a), skeleton: expected pairs of keypoints from 1 to 1",
        ),
        (A + "skeleton = [[1]]", "category 1, skeleton[0]: expected a list of length 2, found 1"),
        (A + '[[categories.attributes]]\nnam = "b"', "category 1, attribute 1: expected one of name, "),
        (
            A + '[[categories.attributes]]\nname = "a"\n' + T,
            "category 1 (a), attribute 1 (a): expected each name once",
        ),
        (T + T, "attribute 2 (a): expected each name once, found 'a' again"),
        (T + 'type = "bool"', "attribute 1, type: expected choice, boolean, number or text, found 'bool'"),
        (T + 'type = "choice"', "attribute 1 (a): expected choices, found none"),
        (
            T + 'type = "text"\nchoices = ["b"]',
            "attribute 1 (a): expected choices of a choice only, found a text",
        ),
        (T + "min = 3", "attribute 1 (a): expected min and max of a number only, found a text"),
        (T + 'type = "number"\nmin = 3\nmax = 2', "attribute 1 (a): expected min below max, found 3 and 2"),
        (
            T + 'type = "number"\nmin = 3\ndefault = 2',
            "attribute 1 (a), default: expected a number from 3, found 2",
        ),
        (T + 'choices = ["b"]\ndefault = "c"', "attribute 1 (a), default: expected one of b, found 'c'"),
        ('[keys]\nnxt = "n"', "keys: expected an action such as next, "),
        ('[keys]\nbox = "v"', "keys: expected one action a key, found v for select and for box"),
        ('[keys]\nbox = "Esc"', "keys: expected a character or a key's name such as Escape "),
        ('[keys]\nbox = "Shift+?"', "keys: expected what Shift and ? type, such as ?, found 'Shift+?'"),
        ("[keys]\nbox = 3", "keys: expected a text or a list, found a whole number"),
    ],
)
def test_an_error_says_where_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(text.encode("latin-1"), "images/labels.toml")
    assert str(error.value).startswith(f"images/labels.toml: {message}")


@given(st.text() | st.binary() | st.from_regex(r'\[\[categories\]\]\n[a-z]+ = ("."|[0-9]|\[[0-9, ]*\])'))
def test_whatever_is_in_the_file_is_settings_or_an_error(text: str | bytes) -> None:
    try:
        read(text if isinstance(text, bytes) else text.encode())
    except InputError as error:
        assert str(error).startswith("labels.toml: ")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        *(
            ("N", "n"),
            ("ctrl+Z", "Ctrl+z"),
            ("shift+CTRL+z", "Ctrl+Shift+z"),
            ("+", "+"),
            ("Ctrl++", "Ctrl++"),
        ),
        *(("?", "?"), ("Shift+ArrowUp", "Shift+ArrowUp"), ("Meta+alt+F5", "Alt+Meta+F5"), ("é", "é")),
    ],
)
def test_a_combination_has_one_form(text: str, same: str) -> None:
    assert combination(text) == same == combination(same)


@pytest.mark.parametrize("text", ["", " ", "ab", "+a", "a+b", "Ctrl+", "Ctrl", "Shift+1", "\n", "+++"])
def test_what_is_no_combination_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, found "):
        combination(text)


def test_an_action_for_a_selection_may_have_the_key_of_one_without() -> None:
    bound = bindings({"nudge_up": ["u"]})
    assert bound["nudge_up"] == bound["next_todo"] == ("u",)
    with pytest.raises(ValueError, match="found u for nudge_up and for nudge_down"):
        bindings({"nudge_up": ["u"], "nudge_down": ["U"]})


def test_a_category_by_number_leaves_its_key_to_a_category_but_one_that_was_chosen_does_not() -> None:
    assert bindings({}, own=["1"])["category_1"] == ()
    with pytest.raises(ValueError, match="found F1 for a category and for category_1"):
        bindings({"category_1": ["F1"]}, own=["F1"])


@pytest.mark.parametrize(
    ("attribute", "fits", "others"),
    [
        (Attribute(name="a", choices=("b", "c")), ["b"], ["d", 3, None]),
        (Attribute(name="a", type="boolean"), [True], [1, "true", None]),
        (Attribute(name="a", type="number", min=0, max=1.5), [0, 1.5], [True, -1, 2, float("nan"), "1"]),
        (Attribute(name="a", type="number"), [-1e9], ["1"]),
        (Attribute(name="a"), ["", "b"], [1, None]),
    ],
    ids=lambda value: value.kind if isinstance(value, Attribute) else "",
)
def test_a_value_fits_its_attribute_or_is_told_why_not(
    attribute: Attribute, fits: list[object], others: list[object]
) -> None:
    assert [misfit(attribute, value) for value in fits] == [None] * len(fits)
    assert all((misfit(attribute, value) or "").startswith("expected ") for value in others)
