"""The keys of the review page: what each does, and which an action has once somebody chose others.

A combination is what a keyboard event of a browser says: `key`, with Ctrl, Alt, Meta and Shift before it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xlabel.model.nearest import nearest

CATEGORY = "category_"
"""Begins the actions that choose a category by its number."""
MODIFIERS = ("Ctrl", "Alt", "Meta", "Shift")
NAMED = (
    *"Enter Escape Tab Space Delete Backspace Insert Home End PageUp PageDown".split(),
    *"ArrowLeft ArrowRight ArrowUp ArrowDown F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12".split(),
)
"""Keys by their names; all others are the one character that they type."""


class Action(NamedTuple):
    """Something that a key does."""

    keys: tuple[str, ...]
    says: str
    selected: bool = False
    """It needs a selected label, and then goes before an action on the same key that needs none."""


ACTIONS = {
    "next": Action(("n", "ArrowRight"), "the next image"),
    "previous": Action(("p", "ArrowLeft"), "the previous image"),
    "next_todo": Action(("u",), "the next image without labels, or with an undecided suggestion"),
    "repeat": Action(("r",), "the previous image's labels here, too"),
    "accept_all": Action(("Enter",), "accept all suggestions, mark as reviewed, go on to the next one to do"),
    "accept": Action(("a",), "accept a suggestion"),
    "reject": Action(("x",), "reject a suggestion"),
    "reject_image": Action(("Shift+x",), "reject the image, with a comment"),
    "cycle": Action(("Tab",), "select the next label"),
    "cycle_back": Action(("Shift+Tab",), "select the previous label"),
    "deselect": Action(("Escape",), "select nothing, or leave what is being drawn"),
    "nudge_left": Action(("ArrowLeft",), "move the selected label by 1 pixel", selected=True),
    "nudge_right": Action(("ArrowRight",), "the same to the right", selected=True),
    "nudge_up": Action(("ArrowUp",), "the same upwards", selected=True),
    "nudge_down": Action(("ArrowDown",), "the same downwards", selected=True),
    "push_left": Action(("Shift+ArrowLeft",), "move the selected label by 10 pixels", selected=True),
    "push_right": Action(("Shift+ArrowRight",), "the same to the right", selected=True),
    "push_up": Action(("Shift+ArrowUp",), "the same upwards", selected=True),
    "push_down": Action(("Shift+ArrowDown",), "the same downwards", selected=True),
    "delete": Action(("Delete", "Backspace"), "delete the selected label", selected=True),
    "undo": Action(("Ctrl+z",), "take the last change back"),
    "redo": Action(("Ctrl+y", "Ctrl+Shift+z"), "make it again"),
    "select": Action(("v",), "the tool that selects and moves"),
    "box": Action(("b",), "the tool that draws boxes"),
    "polygon": Action(("g",), "the tool that draws polygons"),
    "keypoints": Action(("k",), "the tool that sets keypoints"),
    "oriented_box": Action(("o",), "the tool that draws oriented boxes"),
    "brush": Action(("m",), "the tool that paints and erases masks"),
    "sam": Action(("s",), "the tool that outlines what is clicked on"),
    "hide_labels": Action(("h",), "hide all labels, or show them again"),
    "zoom_in": Action(("+", "="), "nearer"),
    "zoom_out": Action(("-",), "further away"),
    "zoom_fit": Action(("0",), "the whole image"),
    "crosshair": Action(("c",), "lines through the pointer, or none"),
    "darker": Action(("[",), "less brightness"),
    "brighter": Action(("]",), "more brightness"),
    "less_contrast": Action(("{",), "less contrast"),
    "more_contrast": Action(("}",), "more contrast"),
    "plain": Action(("\\",), "brightness and contrast as in the file"),
    "search": Action(("/",), "write an expression"),
    "help": Action(("?",), "all keys"),
    **{
        f"{CATEGORY}{number}": Action(
            (str(number),), f"category {number} of those without a key of their own"
        )
        for number in range(1, 10)
    },
}


def combination(text: str) -> str:
    """A combination in one form: `ctrl+Z` is `Ctrl+z`. ValueError where it is none.

    Upper and lower case of a letter are the same key. Shift stands before letters and named keys; what it
    makes of another key is a key of its own: `?`.
    """
    *before, key = [*text[:-2].split("+"), "+"] if text.endswith("++") else text.split("+")
    if text == "+":
        before, key = [], "+"
    modifiers = []
    for word in before:
        known = next((name for name in MODIFIERS if name.lower() == word.lower()), None)
        if known is None:
            raise ValueError(f"expected one of {', '.join(MODIFIERS)} before {key}, found {word!r}")
        modifiers.append(known)
    if len(key) == 1 and key.isprintable() and not key.isspace():
        if "Shift" in modifiers and not key.isalpha():
            raise ValueError(f"expected what Shift and {key} type, such as ?, found {text!r}")
        key = key.lower()
    elif key not in NAMED:
        likely = " ".join(nearest(key, NAMED)[:3])
        raise ValueError(f"expected a character or a key's name such as {likely}, found {text!r}")
    return "+".join((*(name for name in MODIFIERS if name in modifiers), key))


def bindings(chosen: Mapping[str, Iterable[str]], own: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """The combinations of each action: those that were chosen for it, else its default ones.

    `own` are combinations of categories: a category by number leaves those to them. ValueError where an
    action is not known, or where two want the same combination.
    """
    for action in chosen:
        if action not in ACTIONS:
            likely = ", ".join(nearest(action, ACTIONS)[:3])
            raise ValueError(f"expected an action such as {likely}, found {action!r}")
    taken = {(key, False): "a category" for key in own}
    bound: dict[str, tuple[str, ...]] = {}
    for action, known in ACTIONS.items():
        keys = tuple(dict.fromkeys(map(combination, chosen.get(action, known.keys))))
        if action.startswith(CATEGORY) and action not in chosen:
            keys = tuple(key for key in keys if taken.get((key, False)) != "a category")
        for key in keys:
            other = taken.setdefault((key, known.selected), action)
            if other != action:
                raise ValueError(f"expected one action a key, found {key} for {other} and for {action}")
        bound[action] = keys
    return bound
