"""The categories of CSV tables: what `categories.csv` or a class map beside them says, and the way back."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from xlabel.errors import InputError
from xlabel.formats.csv_cells import Categories, json, whole
from xlabel.formats.csv_rows import Texts
from xlabel.formats.csv_text import join, line_end, plain, rows
from xlabel.formats.untrusted import is_inside
from xlabel.model import Category, Dataset

NAME = "categories.csv"
_COLUMNS = ("id", "name", "supercategory", "keypoints", "skeleton", "extra")
_JSON: dict[str, Any] = {
    "keypoints": tuple[str, ...],
    "skeleton": tuple[tuple[int, int], ...],
    "extra": dict[str, Any],
}


def read(text: str) -> list[Category] | None:
    """What a list of categories says; None where the text is none, or not wholly to be read."""
    text = text.removeprefix("\ufeff")
    found = [[plain(c) for c in cells or ()] for _, _, cells, _ in rows(text, 0, line_end(text), ",")]
    try:
        if found and found[0][:2] == ["id", "name"]:
            made = [_category(dict(zip(found[0], cells, strict=True))) for cells in found[1:]]
        else:
            made = [Category(id=whole(number), name=name) for name, number in found]
    except (ValueError, RecursionError):
        return None
    return made if made and len({category.id for category in made}) == len(made) else None


def again(dataset: Dataset, named: Iterable[Texts]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The list of categories: the source's where it still holds, a new one where rows do not tell all.

    `named` is how the rows call their categories, in their order. Raises InputError where the source's path
    leads out of the target.
    """
    files = dataset.origin.files if dataset.origin is not None else None
    path, text = next(iter((files or {}).items()), (NAME, ""))
    if not is_inside(path):
        raise InputError(f"the data set's origin: expected a path below the target, got {path!r}")
    if _told(read(text) or (), named) != dataset.categories:
        simple = all(c == Category(id=c.id, name=c.name) for c in dataset.categories)
        bare = text and not text.removeprefix("\ufeff").startswith("id,name")
        if bare and simple:
            text = "".join(join([c.name, str(c.id)], ",") + "\n" for c in dataset.categories)
        else:
            path, text = NAME, _text(dataset.categories)
    if text:
        yield path, [text.encode()]


def anew(categories: Sequence[Category], named: Iterable[Texts]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The list of categories where rows do not tell all."""
    if _told((), named) != categories:
        yield NAME, [_text(categories).encode()]


def class_map(categories: Iterable[Category]) -> bytes:
    """keras-retinanet's list of names with numbers from 0."""
    unique = dict.fromkeys(category.name for category in categories)
    return "".join(join([name, str(at)], ",") + "\n" for at, name in enumerate(unique)).encode()


def _told(listed: Sequence[Category], named: Iterable[Texts]) -> list[Category]:
    """The categories as they are when a list and these rows are read."""
    known = Categories(listed)
    for texts in dict.fromkeys(named):
        if texts[0] or texts[1]:
            with suppress(ValueError):
                known.get(*texts)
    return known.categories


def _category(cells: dict[str, str]) -> Category:
    parent = cells.get("supercategory") or None
    more = {
        name: msgspec.json.decode(cells[name], type=kind) for name, kind in _JSON.items() if cells.get(name)
    }
    return Category(id=whole(cells["id"]), name=cells["name"], supercategory=parent, **more)


def _text(categories: Sequence[Category]) -> str:
    found = [
        [str(c.id), c.name, c.supercategory or "", json(c.keypoints), json(c.skeleton), json(c.extra)]
        for c in categories
    ]
    used = [i for i in range(len(_COLUMNS)) if i < 2 or any(row[i] for row in found)]
    return "".join(join([row[i] for i in used], ",") + "\n" for row in [list(_COLUMNS), *found])
