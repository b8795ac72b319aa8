"""COCO's records of images and categories, and the model's."""

from collections.abc import Mapping
from typing import Any

import msgspec

from xlabel.model import Category, Image, Sample

KNOWN = frozenset({"id", "file_name", "width", "height", "xlabel"})
WIDEST = 1 << 31
"""Sides of images are below this."""

_encode = msgspec.json.Encoder(order="sorted").encode
_CATEGORY = {"supercategory": str, "keypoints": tuple[str, ...], "skeleton": tuple[tuple[int, int], ...]}


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON, whatever the order of fields; 1, 1.0 and true are three."""
    return _encode(one) == _encode(other)


def image_of(raw: Mapping[str, Any]) -> tuple[Image, str | None, list[tuple[str, str]]]:
    """An image as its record says it, its split, and problems (code, message)."""
    problems: list[tuple[str, str]] = []
    identity, name = raw.get("id"), raw.get("file_name")
    if not is_id(identity):
        problems.append(
            ("bad-id", f"expected a whole number or a text as id of an image, got {identity!r:.60}")
        )
        identity = None
    if not isinstance(name, str) or not name or "\0" in name:
        problems.append(
            (
                "no-file-name",
                f"expected a file_name, got {name!r:.60}; the image goes by its id, {identity!r}",
            )
        )
        name = str(identity) or "unnamed"
    said = raw.get("xlabel")
    said = said if isinstance(said, dict) else {}
    orientation, split = said.get("orientation"), said.get("split")
    extra = {key: value for key, value in raw.items() if key not in KNOWN or (key == "xlabel" and not said)}
    more = said.get("extra")
    image = Image(
        key=name,
        width=_side(raw, "width", problems),
        height=_side(raw, "height", problems),
        orientation=orientation if type(orientation) is int and 1 <= orientation <= 8 else 1,
        id=identity,
        extra=(extra | more if isinstance(more, dict) else extra) or None,
    )
    return image, split if isinstance(split, str) else None, problems


def is_plain(raw: Mapping[str, Any]) -> bool:
    """Whether a record of an image is one that `image_record` would write again as it is."""
    return (
        is_id(raw.get("id"))
        and type(raw.get("file_name")) is str
        and type(raw.get("width")) is int
        and type(raw.get("height")) is int
        and raw["file_name"] != ""
        and "\0" not in raw["file_name"]
        and 0 < raw["width"] < WIDEST
        and 0 < raw["height"] < WIDEST
        and "xlabel" not in raw
    )


def image_record(
    sample: Sample, identity: Any, split: str | None = None, *, again: bool = False
) -> dict[str, Any]:
    """The record of an image; `split` is what goes without saying.

    `again`: as its document had it, by its own name and size, and without the orientation, which the image
    file has told.
    """
    image = sample.image
    name, width, height = image.key, image.width, image.height
    if again:
        name = name if sample.named is None else sample.named
        width, height = sample.drawn or (width, height)
    record: dict[str, Any] = {"id": identity, "file_name": name}
    if width is not None:
        record["width"] = width
    if height is not None:
        record["height"] = height
    said: dict[str, Any] = {}
    if not again and image.orientation != 1:
        said["orientation"] = image.orientation
    if sample.split != split:
        said["split"] = sample.split
    taken: dict[str, Any] = {}
    for key, value in (image.extra or {}).items():
        # What others call xlabel stays where it was, as long as we have nothing to say there.
        (taken if key in KNOWN and (key != "xlabel" or said or isinstance(value, dict)) else record)[key] = (
            value
        )
    if taken:
        said["extra"] = taken
    if said:
        record["xlabel"] = said
    return record


def rewritten(
    raw: Mapping[str, Any], sample: Sample, split: str | None, first: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A record as it stood, with what has been edited since.

    `first` is the image's record in the first of several files, which is what the model has taken over. A
    size that it does not state has come from the image file, and is no edit.
    """
    before, stated, _ = image_of(raw if first is None else first)
    now = image_record(sample, raw.get("id"), split, again=True)
    record = dict(raw)
    name = sample.image.key if sample.named is None else sample.named
    if before.key != name:
        record["file_name"] = name
    for side in ("width", "height"):
        if getattr(before, side) is not None and side in now and getattr(before, side) != now[side]:
            record[side] = now[side]
    if before.extra != sample.image.extra:
        for key in before.extra or ():
            record.pop(key, None)
        record |= {key: value for key, value in now.items() if key not in KNOWN}
    if (stated or split) != sample.split:
        said = raw.get("xlabel")
        record["xlabel"] = {**(said if isinstance(said, dict) else {}), "split": sample.split}
    return record


def category_of(raw: Mapping[str, Any]) -> tuple[Category | None, str | None]:
    """A category as its record says it, and what is wrong; None where there is no id to know it by."""
    identity, name = raw.get("id"), raw.get("name")
    if type(identity) is not int or not isinstance(name, str):
        wrong = f"expected a whole number as id and a text as name, got {identity!r:.60} and {name!r:.60}"
        if not is_id(identity):
            return None, wrong
        number = identity if type(identity) is int else 0
        return Category(id=number, name=name if isinstance(name, str) else str(identity)), wrong
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in raw.items():
        if key in _CATEGORY:
            try:
                fields[key] = msgspec.convert(value, _CATEGORY[key])
            except msgspec.ValidationError:
                if value is not None:
                    extra[key] = value
        elif key not in ("id", "name"):
            extra[key] = value
    return Category(id=identity, name=name, extra=extra or None, **fields), None


def category_record(category: Category, identity: Any) -> dict[str, Any]:
    """The record of a category."""
    record: dict[str, Any] = {"id": identity, "name": category.name}
    for field in _CATEGORY:
        value = getattr(category, field)
        if value is not None:
            record[field] = value
    for key, value in (category.extra or {}).items():
        record.setdefault(key, value)
    return record


def is_id(value: Any) -> bool:
    """Whether a value is an id: a whole number or a text."""
    return type(value) is int or type(value) is str


def _side(raw: Mapping[str, Any], side: str, problems: list[tuple[str, str]]) -> int | None:
    value = raw.get(side)
    if type(value) is float and value.is_integer():
        value = int(value)
    if value is None or (type(value) is int and 0 < value < WIDEST):
        return value
    problems.append(("bad-size", f"expected a whole number of pixels as {side}, got {value!r:.60}"))
    return None
