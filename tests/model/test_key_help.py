"""The help has all keys, as people write them."""

import pytest

from xlabel.model.key_help import GROUPS, groups, readable
from xlabel.model.keys import ACTIONS, bindings


def test_every_action_is_in_one_group() -> None:
    names = " ".join(GROUPS.values()).split()
    for action in ACTIONS:
        fitting = [name for name in names if action == name or (name[-1] == "_" and action.startswith(name))]
        assert len(fitting) == 1, action
    assert all(any(action.startswith(name) for action in ACTIONS) for name in names)


def test_what_has_no_key_is_left_out_and_chosen_keys_are_shown() -> None:
    rows = groups(bindings({"brush": (), "undo": ("Ctrl+u",)}))
    assert "the tool that paints and erases masks" not in {row.says for row in rows["Tools"]}
    assert (("Ctrl+U",), ACTIONS["undo"].says) in rows["Labels"]


@pytest.mark.parametrize(
    ("combination", "text"),
    [("Ctrl+z", "Ctrl+Z"), ("+", "+"), ("Ctrl++", "Ctrl++"), ("Shift+ArrowLeft", "Shift+←"), ("Tab", "Tab")],
)
def test_combinations_are_readable(combination: str, text: str) -> None:
    assert readable(combination) == text
