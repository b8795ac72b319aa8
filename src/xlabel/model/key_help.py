"""The keys of the review page as a person reads them: in groups, with what they do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xlabel.model.keys import ACTIONS

GROUPS = {
    "Images": "next previous next_todo accept_all repeat reject_image",
    "Labels": "category_ accept reject cycle cycle_back deselect nudge_ push_ delete undo redo",
    "Tools": "select box polygon keypoints oriented_box brush sam",
    "View": "zoom_in zoom_out zoom_fit hide_labels crosshair "
    "darker brighter less_contrast more_contrast plain",
    "Page": "search help",
}
"""Of each group its actions; `nudge_` stands for all that begin so."""
GRID = (
    (("Arrows",), "go to another image; with Shift select on the way"),
    (("Space",), "select the image, or no longer"),
    (("Ctrl+A",), "select all images that fit"),
    (("Enter",), "open the image"),
)
"""Keys of the grid, which are the same everywhere, as in a file manager."""
SIGNS = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"}


class Row(NamedTuple):
    """Keys that do one thing, or things of one kind."""

    keys: tuple[str, ...]
    says: str


def groups(bound: Mapping[str, Sequence[str]]) -> dict[str, list[Row]]:
    """The rows of each group, from the combinations of each action; what has no key is left out."""
    found: dict[str, list[Row]] = {}
    for group, names in GROUPS.items():
        rows = [_row(name, bound) for name in names.split()]
        found[group] = [row for row in rows if row.keys]
    return found | {"Grid": [Row(*row) for row in GRID]}


def readable(combination: str) -> str:
    """A combination as it is written for people: `Ctrl+z` is Ctrl+Z."""
    before, plus, key = combination[:-1].rpartition("+")
    key += combination[-1]
    return before + plus + SIGNS.get(key, key.upper() if len(key) == 1 else key)


def _row(name: str, bound: Mapping[str, Sequence[str]]) -> Row:
    actions = [
        action for action in ACTIONS if action == name or (name[-1] == "_" and action.startswith(name))
    ]
    keys = [readable(key) for action in actions for key in bound.get(action, ())]
    if len(keys) > 4:  # the digits
        keys = [f"{keys[0]} – {keys[-1]}"]
    elif len(keys) == len(SIGNS) and all(key[-1] in SIGNS.values() for key in keys):
        keys = [f"{keys[0][:-1]}Arrows"]
    return Row(
        tuple(keys), ACTIONS[actions[0]].says.replace("category 1 of those", "category 1, 2, … of those")
    )
