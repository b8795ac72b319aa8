"""VOC's label map: class names in their order, as CVAT and datumaro write and want it."""

from collections.abc import Mapping

from xlabel.formats import markup
from xlabel.formats.named import base
from xlabel.model import Category

LABELMAP = "labelmap.txt"
"""Its lines are `name:colour:parts:actions`."""


def is_labelmap(path: str) -> bool:
    return base(path) == LABELMAP


def categories_of(files: Mapping[str, str]) -> list[Category]:
    """The classes of the label map, in its order."""
    text = next((text for path, text in files.items() if is_labelmap(path)), "")
    names = dict.fromkeys(name for line in text.split("\n") if (name := _class_in(line)))
    return [Category(id=number, name=name) for number, name in enumerate(names, 1)]


def can_name(name: str) -> bool:
    """Whether a label map can name a class."""
    return bool(name) and name == _class_in(name) == markup.said(name)


def with_names(text: str, names: list[str]) -> str:
    """A label map with the lines for `names`, as they were where they were there."""
    old = text.split("\n")
    lines = [line for line in old if not _class_in(line) or _class_in(line) in names]
    there = {_class_in(line) for line in lines}
    new = [
        name
        for name in dict.fromkeys(map(markup.said, names))
        if name == _class_in(name) and name not in there
    ]
    if lines == old and not new:
        return text
    while lines and not lines[-1].strip():
        lines.pop()
    return "".join(line + "\n" for line in (*lines, *(f"{name}:::" for name in new)))


def _class_in(line: str) -> str:
    """The class that a line of a label map names."""
    return line.lstrip("\ufeff").split("#")[0].split(":")[0].strip()
