"""`labels.toml`: categories, colours, keys and attributes that a team has agreed on. docs/labels_toml.md."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import msgspec

from xlabel.errors import InputError
from xlabel.model.annotation import Category, Number
from xlabel.model.keys import CATEGORY, bindings, combination
from xlabel.model.nearest import nearest

NAME = "labels.toml"
"""The file's name, in the folder of the images."""


class Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a label, and how."""

    name: str
    type: Literal["choice", "boolean", "number", "text"] | None = None
    """If not given: a choice where there are `choices`, else text."""
    choices: tuple[str, ...] = ()
    min: Number | None = None
    max: Number | None = None
    default: str | bool | Number | None = None
    """What a new label has."""

    @property
    def kind(self) -> str:
        """The type that is given, or follows."""
        return self.type or ("choice" if self.choices else "text")


class CategoryRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A category, and how the page shows it."""

    name: str
    id: int | None = None
    supercategory: str | None = None
    colour: str | None = None
    """`#rrggbb` or `#rgb`."""
    key: str | None = None
    keypoints: tuple[str, ...] | None = None
    skeleton: tuple[tuple[int, int], ...] | None = None
    """Pairs of keypoints that are joined, counted from 1."""
    attributes: tuple[Attribute, ...] = ()
    """Of labels of this category only."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a `labels.toml` says; one that is not there says nothing."""

    categories: tuple[CategoryRow, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    """Of labels of every category."""
    keys: dict[str, str | tuple[str, ...]] = {}
    """Of each action, its combinations in place of the default ones."""


def read(data: bytes, where: str = NAME) -> Settings:
    """The settings in a file's bytes. InputError says where something is wrong, and what to do."""
    try:
        settings = msgspec.toml.decode(data, type=Settings)
    except msgspec.ValidationError as error:
        _refuse(where, *_translated(str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(where, "", f"expected TOML, found something else: {error}")
    for place, message in _faults(settings):
        _refuse(where, place, message)
    return settings


def categories(settings: Settings) -> list[Category]:
    """The categories in their order; those without an id get the next that is free, from 0."""
    taken = {row.id for row in settings.categories}
    found, free = [], 0
    for row in settings.categories:
        number = row.id
        if number is None:
            while free in taken:
                free += 1
            number, free = free, free + 1
        found.append(
            Category(
                id=number,
                name=row.name,
                supercategory=row.supercategory,
                keypoints=row.keypoints,
                skeleton=row.skeleton,
            )
        )
    return found


def attributes_of(settings: Settings, category: str | None) -> tuple[Attribute, ...]:
    """The attributes that labels of a category may have: its own, then those of all."""
    own = next((row.attributes for row in settings.categories if row.name == category), ())
    return (*own, *settings.attributes)


def actions(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The combinations of each action."""
    chosen = {action: (keys,) if isinstance(keys, str) else keys for action, keys in settings.keys.items()}
    return bindings(chosen, _own_keys(settings))


def shortcuts(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """Combination -> category: the categories' own keys, and for the others those by number."""
    found = _own_keys(settings)
    by_number = [keys for action, keys in actions(settings).items() if action.startswith(CATEGORY) and keys]
    others = [name for name in dict.fromkeys(names) if name not in found.values()]
    return found | {key: name for name, keys in zip(others, by_number, strict=False) for key in keys}


def misfit(attribute: Attribute, value: Any) -> str | None:
    """What is wrong with a value of an attribute, as "expected ..., found ..."; None where nothing is."""
    found = f"found {value!r}"
    match attribute.kind:
        case "choice" if value not in attribute.choices:
            return f"expected one of {', '.join(attribute.choices)}, {found}"
        case "boolean" if not isinstance(value, bool):
            return f"expected true or false, {found}"
        case "number" if isinstance(value, bool) or not isinstance(value, int | float):
            return f"expected a number, {found}"
        case "number" if not (_low(attribute) <= value <= _high(attribute)):
            least = "" if attribute.min is None else f" from {attribute.min}"
            most = "" if attribute.max is None else f" up to {attribute.max}"
            return f"expected a number{least}{most}, {found}"
        case "text" if not isinstance(value, str):
            return f"expected a text, {found}"
    return None


def _low(attribute: Attribute) -> Number:
    return -math.inf if attribute.min is None else attribute.min


def _high(attribute: Attribute) -> Number:
    return math.inf if attribute.max is None else attribute.max


def _own_keys(settings: Settings) -> dict[str, str]:
    return {combination(row.key): row.name for row in settings.categories if row.key}


Fault = tuple[str, str]
"""A place, and what is wrong there."""
_COLOUR = re.compile("#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3}")


def _faults(settings: Settings) -> list[Fault]:
    found: list[Fault] = []
    names: set[tuple[str, str | None]] = set()
    ids: set[int] = set()
    keys: dict[str, str] = {}
    for number, row in enumerate(settings.categories, 1):
        place = f"category {number} ({row.name})"
        if not row.name:
            found.append((place, "expected a name, found an empty one"))
        if (row.name, row.supercategory) in names:
            found.append((place, f"expected each name once, found {row.name!r} again"))
        if row.id is not None and (row.id in ids or row.id < 0):
            found.append((f"{place}, id", f"expected a number from 0 that no other has, found {row.id}"))
        if row.colour is not None and not _COLOUR.fullmatch(row.colour):
            found.append((f"{place}, colour", f"expected a colour such as '#e6194b', found {row.colour!r}"))
        found += _key_faults(f"{place}, key", row, keys)
        count = len(row.keypoints or ())
        for one, other in row.skeleton or ():
            if not (0 < one <= count and 0 < other <= count):
                expected = (
                    f"expected pairs of keypoints from 1 to {count}" if count else "expected keypoints, too"
                )
                found.append((f"{place}, skeleton", f"{expected}, found [{one}, {other}]"))
        found += _attribute_faults(
            f"{place}, ", row.attributes, {known.name for known in settings.attributes}
        )
        names.add((row.name, row.supercategory))
        ids |= {row.id} if row.id is not None else set()
    found += _attribute_faults("", settings.attributes, set())
    if not found:
        try:
            actions(settings)
        except ValueError as error:
            found.append(("keys", f"{error}; all actions and keys are in docs/labels_toml.md"))
    return found


def _key_faults(place: str, row: CategoryRow, keys: dict[str, str]) -> list[Fault]:
    if row.key is None:
        return []
    try:
        other = keys.setdefault(combination(row.key), row.name)
    except ValueError as error:
        return [(place, str(error))]
    return (
        []
        if other == row.name
        else [(place, f"expected one category a key, found {row.key} of {other}, too")]
    )


def _attribute_faults(before: str, attributes: Sequence[Attribute], others: set[str]) -> list[Fault]:
    found: list[Fault] = []
    seen = set(others)
    for number, attribute in enumerate(attributes, 1):
        place = f"{before}attribute {number} ({attribute.name})"
        if attribute.name in seen:
            found.append((place, f"expected each name once, found {attribute.name!r} again"))
        seen.add(attribute.name)
        if attribute.kind == "choice" and not attribute.choices:
            found.append((place, "expected choices, found none"))
        if attribute.kind != "choice" and attribute.choices:
            found.append((place, f"expected choices of a choice only, found a {attribute.kind}"))
        ranged = attribute.min is not None or attribute.max is not None
        if ranged and attribute.kind != "number":
            found.append((place, f"expected min and max of a number only, found a {attribute.kind}"))
        if ranged and _low(attribute) > _high(attribute):
            found.append((place, f"expected min below max, found {attribute.min} and {attribute.max}"))
        if attribute.default is not None and (wrong := misfit(attribute, attribute.default)):
            found.append((f"{place}, default", wrong))
    return found


_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
_MEMBERS: dict[str, type[msgspec.Struct]] = {"category": CategoryRow, "attribute": Attribute}


def _translated(message: str) -> Fault:
    """A message of msgspec's in our words: "Expected `str`, got `int` - at `$.categories[0].name`"."""
    said, _, path = message.partition(" - at `$")
    place = path.strip("`.").replace("[...]", "").replace(".", ", ")
    place = re.sub(r"(categor|attribute)[a-z]*\[([0-9]+)\]", _counted, place)
    if unknown := re.search(r"unknown field `(.*)`", said):
        table = _MEMBERS.get(place.rpartition(", ")[2].partition(" ")[0], Settings)
        members = ", ".join(nearest(unknown[1], table.__struct_fields__))
        return place, f"expected one of {members}, found {unknown[1]!r}"
    if missing := re.search(r"missing required field `(.*)`", said):
        return place, f"expected a {missing[1]}, found none"
    if "enum value" in said:
        return place, f"expected choice, boolean, number or text, found {said.rpartition(' ')[2]}"
    expected, _, found = said.partition(", got ")
    for word, ours in _WORDS.items():
        expected = re.sub(rf"\b{word}\b", ours, expected)
        found = re.sub(rf"\b{word}\b", ours, found)
    expected = expected.replace(" | null", "").replace(" | ", " or ").replace("`", "")
    return place, f"{expected[:1].lower()}{expected[1:]}, found {found.replace('`', '')}"


def _counted(found: re.Match[str]) -> str:
    return f"{'category' if found[1] == 'categor' else found[1]} {int(found[2]) + 1}"


def _refuse(where: str, place: str, message: str) -> NoReturn:
    raise InputError(f"{where}: {place}{': ' if place else ''}{message}")
