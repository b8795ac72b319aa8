"""Writing LabelMe: the document that was read with what has changed since, else one as LabelMe writes it."""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from xlabel.formats.labelme_shapes import (
    DOCUMENT_FIELDS,
    SHAPE_FIELDS,
    Part,
    annotation_of,
    encoded,
    geometries_of,
    joined,
    part_of,
    shapes_of,
    stated_of,
    unknown_fields,
    whole,
    words_of,
)
from xlabel.formats.losses import missing, renumbered
from xlabel.formats.named import Places, base, to_displayed, to_drawn, without_origin
from xlabel.model import Annotation, Category, Dataset, Loss, Sample
from xlabel.model.geometry import bbox_of

NAME = "labelme"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(
    {
        "bbox",
        "polygons",
        "polygon parts",
        "mask",
        "oriented_box",
        "polyline",
        "points",
        "circle",
        "image labels",
        "attributes",
        "extra",
        "unlabelled",
        "image extra",
    }
)

VERSION = "5.5.0"
"""Of LabelMe, as the files say whose text is ours."""

_SAYS = ("description", "flags", "attributes")
_WIDER = {"line": "linestrip", "point": "points"}
_CLOSE = 0.01
"""Pixels by which a box may miss the bounds of a polygon or mask and say nothing of its own."""


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    again = dataset.origin is not None and dataset.origin.format == NAME
    places = Places(dataset.samples if again else (), ".json", "")
    for sample in dataset.samples:
        if not again:
            sample = without_origin(sample)
        path = places.of(sample)
        if sample.origin is not None or sample.annotations or not again:
            yield path, [msgspec.json.format(msgspec.json.encode(_document(sample)), indent=2)]


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    yield from missing(dataset, HOLDS)
    numbers: dict[str, int] = {}
    for sample in dataset.samples:
        key = sample.image.key
        for name in _named(sample):
            numbers.setdefault(name, len(numbers) + 1)
        if any(name in DOCUMENT_FIELDS for name in sample.image.extra or {}):
            yield Loss(key, "image extra")
        counts: dict[str, int] = {}
        seen: set[object] = set()
        for annotation in sample.annotations:
            for field in _left_out(annotation, seen):
                counts[field] = counts.get(field, 0) + 1
        for field, count in counts.items():
            yield Loss(key, field, count)
    if dataset.origin is None or dataset.origin.format != NAME:
        yield from renumbered(dataset.categories, numbers)


def _document(sample: Sample) -> dict[str, Any]:
    """A sample's file as data: the document that was read, with what has changed since."""
    origin = sample.origin.get("document") if isinstance(sample.origin, dict) else None
    old: dict[str, Any] = origin if isinstance(origin, dict) else {}
    image = sample.image
    width, height = sample.drawn or (image.width, image.height)
    labels = [a for a in sample.annotations if _is_flag(a)]
    new = dict(old) or {
        "version": VERSION,
        "flags": {},
        "shapes": None,
        "imagePath": base(image.key),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    path = old.get("imagePath")
    if isinstance(path, str) and path not in ("", sample.named) and base(path) != base(image.key):
        new["imagePath"] = path[: len(path) - len(base(path))] + base(image.key)
    try:
        _, stated_width, stated_height = stated_of(new)
    except ValueError:
        stated_width = stated_height = None
    if stated_width is not None and (stated_width, stated_height) != (width, height):
        new |= {"imageHeight": height, "imageWidth": width}
    flags = old.get("flags")
    said = {a.category.name: True for a in labels if a.category is not None}
    if isinstance(flags, dict):
        new["flags"] = {name: _flag(name, value, said) for name, value in flags.items()}
        new["flags"] |= {name: True for name in said if name not in flags}
    elif said or not old:
        new["flags"] = said
    _update(new, unknown_fields(old, DOCUMENT_FIELDS), image.extra or {}, DOCUMENT_FIELDS)
    new["shapes"] = _all_shapes(sample, old.get("shapes"))
    return new


def _flag(name: str, value: Any, said: Mapping[str, bool]) -> Any:
    """A flag as it was, unless its label has come or gone."""
    return value if not name or (value is True) == (name in said) else name in said


def _update(
    record: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any], known: tuple[str, ...]
) -> None:
    """Makes the fields of a record that have no word here those of `new`."""
    if old != new:
        for name in old:
            if name not in new:
                del record[name]
        record |= {name: value for name, value in new.items() if name not in known and old.get(name) != value}


def _is_flag(annotation: Annotation) -> bool:
    """Whether an annotation is about the whole image."""
    return (
        annotation.bbox is None
        and not annotation.polygons
        and annotation.mask is None
        and annotation.shape is None
        and annotation.keypoints is None
        and annotation.caption is None
    )


def _all_shapes(sample: Sample, slots: Any) -> list[Any]:
    """The shapes of a sample, where they were, and those that could not be read between them."""
    last = max((group for a in sample.annotations if (group := _group_of(a)) is not None), default=0)
    taken: set[Part] = set()
    lists: list[list[Any]] = []
    for annotation in sample.annotations:
        if annotation.category is None or _is_flag(annotation):
            continue
        group = _group_of(annotation)
        if group is None and _has_parts(annotation):
            group = last = last + 1
        shapes = _shapes_again(annotation, group, sample)
        part = part_of(shapes[0]) if shapes else None
        if part in taken:
            last += 1
            shapes = _shapes_again(annotation, last, sample)
        elif part is not None:
            taken.add(part)
        if shapes:
            lists.append(shapes)
    if not isinstance(slots, list):
        return [shape for shapes in lists for shape in shapes]
    numbers = {slot for slot in slots if type(slot) is int}
    if numbers != set(range(len(lists))):
        broken = [shape for slot in slots if isinstance(slot, list) for shape in slot]
        return [*(shape for shapes in lists for shape in shapes), *broken]
    left = {at: iter(shapes) for at, shapes in enumerate(lists)}
    ends = {at: index for index, at in enumerate(slots) if type(at) is int}
    found: list[Any] = []
    for index, slot in enumerate(slots):
        if type(slot) is int:
            found += left[slot] if ends[slot] == index else islice(left[slot], 1)
        elif isinstance(slot, list):
            found += slot
    return found


def _group_of(annotation: Annotation) -> int | None:
    """The group that an annotation has, or that its parts were joined by."""
    group = (annotation.attributes or {}).get("group_id")
    if group is None and _has_parts(annotation):
        group = next((old.get("group_id") for old in _origins(annotation)), None)
    return whole(group)


def _has_parts(annotation: Annotation) -> bool:
    return sum(kind == "polygon" for kind, _, _ in geometries_of(annotation)) > 1


def _origins(annotation: Annotation) -> list[dict[str, Any]]:
    origin = annotation.origin
    olds = origin if isinstance(origin, list) else [origin]
    return olds if all(isinstance(old, dict) for old in olds) else []


def _shapes_again(annotation: Annotation, group: int | None, sample: Sample) -> list[dict[str, Any]]:
    """The shapes that an annotation was read from, with what has changed since."""
    own = to_drawn(annotation, sample)
    olds = _origins(annotation)
    if not olds:
        return shapes_of(own, group)
    points = [part for _, part, _ in geometries_of(own)] if annotation.mask is None else []
    filled = [
        {**old, "points": part} if part is not None and old.get("points", 0) is None else old
        for old, part in zip(olds, [*points, *([None] * len(olds))], strict=False)
    ]
    was = _read_again(filled, sample)
    if was is None:
        return shapes_of(own, group)
    same_place = _place(was) == _place(annotation)
    same_group = whole(filled[0].get("group_id")) == group
    if same_place and same_group and _says(was) == _says(annotation):
        return filled
    anew = [words_of(own, group) for _ in filled] if same_place else shapes_of(own, group)
    return [
        _edited(old, was, annotation, new, same_place)
        for old, new in zip([*filled, *({} for _ in anew)], anew, strict=False)
    ]


def _read_again(shapes: list[dict[str, Any]], sample: Sample) -> Annotation | None:
    """The annotation that these shapes are, if they are one."""
    size = sample.drawn or (sample.image.width, sample.image.height)
    try:
        parts = [annotation_of(shape, size, _nameless) for shape in shapes]
        of = {part_of(shape) for shape in shapes}
    except ValueError:
        return None
    if len(parts) > 1 and (len(of) > 1 or None in of):
        return None
    return to_displayed(reduce(joined, parts), sample)


def _edited(
    old: dict[str, Any], was: Annotation, now: Annotation, new: dict[str, Any], same_place: bool
) -> dict[str, Any]:
    """A shape with those fields replaced in which the annotation has changed."""
    if not old:
        return new
    shape = dict(old)
    shape["label"] = new["label"]
    if not same_place:
        if encoded(old.get("points")) != encoded(new["points"]):
            shape["points"] = new["points"]
        if (old.get("shape_type") or "polygon") not in (new["shape_type"], _WIDER.get(new["shape_type"])):
            shape["shape_type"] = new["shape_type"]
        if old.get("mask") is not None or new["mask"] is not None:
            shape["mask"] = new["mask"]
    if whole(old.get("group_id")) != new["group_id"]:
        shape["group_id"] = new["group_id"]
    if was.attributes != now.attributes:
        for name in _SAYS:
            if (old.get(name) or None) != (new.get(name) or None):
                shape[name] = new.get(name)
    _update(shape, was.extra or {}, now.extra or {}, SHAPE_FIELDS)
    return shape


def _nameless(name: str) -> Category:
    return Category(id=0, name=name)


def _place(annotation: Annotation) -> tuple[Any, ...]:
    return annotation.bbox, annotation.polygons, annotation.mask, annotation.shape


def _says(annotation: Annotation) -> tuple[Any, ...]:
    name = annotation.category.name if annotation.category is not None else None
    return name, annotation.attributes or None, annotation.extra or None


def _named(sample: Sample) -> Iterator[str]:
    """The labels in a sample's file, in the order in which they are read again."""
    flags = [a for a in sample.annotations if _is_flag(a)]
    shapes = [a for a in sample.annotations if a.bbox or a.polygons or a.mask is not None or a.shape]
    return (a.category.name for a in (*flags, *shapes) if a.category is not None)


def _left_out(annotation: Annotation, seen: set[object]) -> Iterator[str]:
    """Fields of an annotation that are held by LabelMe, but not in this case."""
    if annotation.category is None:
        return
    if _is_flag(annotation):
        name = annotation.category.name
        if name in seen or not name:
            yield "image labels"
        seen.add(name)
        for field in ("attributes", "extra"):
            if getattr(annotation, field):
                yield field
        return
    if any(name in SHAPE_FIELDS for name in annotation.extra or {}):
        yield "extra"
    parts = len(annotation.polygons or ())
    group = whole((annotation.attributes or {}).get("group_id"))
    if group is not None and parts:
        part = next(map(part_of, shapes_of(annotation, group)), None)
        if part is not None and (parts > 1 or part in seen):
            yield "attributes"
        seen.add(part)
    written = {kind for kind, _, _ in geometries_of(annotation)} if _has_several(annotation) else None
    if written is None:
        return
    if annotation.mask is not None and "mask" not in written:
        yield "mask"
    if annotation.polygons and "polygon" not in written:
        yield "polygons" if parts == 1 else "polygon parts"
    if annotation.shape is not None and written & {"mask", "polygon", "rectangle"}:
        yield {"OrientedBox": "oriented_box"}.get(
            type(annotation.shape).__name__, type(annotation.shape).__name__.lower()
        )
    if annotation.bbox is not None and "rectangle" not in written and not _is_bounds(annotation):
        yield "bbox"


def _has_several(annotation: Annotation) -> bool:
    fields = (annotation.bbox, annotation.polygons, annotation.mask, annotation.shape)
    return sum(field is not None for field in fields) > 1 or bool(annotation.polygons or annotation.mask)


def _is_bounds(annotation: Annotation) -> bool:
    """Whether the box is the one around the rest of the geometry, and so says nothing of its own."""
    around = bbox_of(replace(annotation, bbox=None, keypoints=None))
    assert annotation.bbox is not None
    return around is not None and all(
        abs(a - b) <= _CLOSE for a, b in zip(around, annotation.bbox, strict=True)
    )
