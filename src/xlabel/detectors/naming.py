"""What the numbers of a model's categories are called: by its metadata, by whoever runs it, by its layout."""

from collections.abc import Mapping, Sequence

from xlabel.detectors import coco
from xlabel.detectors.layouts import Plan
from xlabel.detectors.layouts.ultralytics import literal
from xlabel.errors import InputError
from xlabel.model import Category

SHOWN = 200
"""Characters of a model's own words that are shown."""


def named(
    model: str,
    metadata: Mapping[str, str],
    plan: Plan,
    given: Sequence[str] | Mapping[int, str] | None,
    renamed: Mapping[str, str],
) -> dict[int, Category]:
    """The category of each of a model's numbers that is wanted.

    InputError where nothing says what they are called, where there are fewer names than categories, and where
    a name that is to be changed is none of them.
    """
    names = _given(plan, given) or stated(metadata) or (dict(plan.names) if plan.names else None)
    if names is None:
        count = f"{plan.classes} categories" if plan.classes else "categories"
        raise InputError(
            f"{model}: expected the names of its {count} in its metadata, found none; give them with "
            "--categories a,b,c or --categories FILE, or where they are COCO's with --categories coco"
        )
    in_order = None if isinstance(given, Mapping) else given
    if in_order is not None and plan.classes not in (None, len(in_order)):
        raise InputError(
            f"{model}: expected {plan.classes} names of categories, as many as it has scores for, "
            f"got {len(in_order)}"
        )
    in_a_row = plan.first == 0 and not plan.names and set(names) == set(range(len(names)))
    if given is None and in_a_row and plan.classes not in (None, len(names)):
        raise InputError(
            f"{model}: expected as many names of categories in its metadata as it has scores for, "
            f"{plan.classes}, found {len(names)}; give them with --categories"
        )
    unknown = [name for name in renamed if name not in names.values()]
    if unknown:
        raise InputError(
            f"{model}: expected categories of the model to rename, got {', '.join(map(repr, unknown))}; "
            f"it has {listed(list(names.values()))}"
        )
    first: dict[str, int] = {}
    categories = {}
    for number, name in names.items():
        told = renamed.get(name, name)
        if told:
            categories[number] = Category(
                id=first.setdefault(told, number), name=told, keypoints=plan.keypoints, skeleton=plan.skeleton
            )
    return categories


def stated(metadata: Mapping[str, str]) -> dict[int, str] | None:
    """The names in a model's metadata: a dict or a list as Python writes them, or `character`, one a line."""
    if "names" not in metadata and metadata.get("character"):
        return dict(enumerate(metadata["character"].splitlines()))
    found = literal(metadata, "names")
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    names = {int(number): str(name) for number, name in pairs if str(number).isdecimal()}
    return names or None


def licence(metadata: Mapping[str, str]) -> str | None:
    """What a model's metadata states as its licence, shortened."""
    text = next(
        (metadata[key] for key in ("license", "licence", "License", "LICENSE") if metadata.get(key)), ""
    )
    return shortened(text) or None


def shortened(text: str) -> str:
    """Somebody else's text in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """Names for a message, shortened."""
    return shortened(", ".join(names))


def _given(plan: Plan, given: Sequence[str] | Mapping[int, str] | None) -> dict[int, str] | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return dict(given)
    if plan.first and list(given) == list(coco.NAMES.values()):
        return dict(coco.NAMES)  # models that begin at 1 number them with COCO's gaps
    return dict(enumerate(given, plan.first))
