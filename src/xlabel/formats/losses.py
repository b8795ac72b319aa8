"""What a format cannot hold, found by comparing what is there with what it holds."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xlabel.errors import InputError, LossError
from xlabel.model import Annotation, Category, Dataset, Loss, Sample
from xlabel.model.report import loss_lines

FIELDS = {
    "bbox": "boxes",
    "polygons": "polygons of one part",
    "polygon parts": "polygons of several parts",
    "mask": "masks (RLE)",
    "keypoints": "keypoints with visibility",
    "oriented_box": "oriented boxes",
    "polyline": "open lines",
    "points": "single points",
    "circle": "circles",
    "image labels": "labels without geometry",
    "no category": "annotations without category",
    "crowd": "crowd flags",
    "score": "scores",
    "status": "suggestion, accepted, rejected",
    "caption": "captions",
    "attributes": "attributes of annotations",
    "author": "author, time and source",
    "extra": "other fields of annotations",
    "category extra": "supercategory, skeleton and other fields of categories",
    "unlabelled": "images without labels",
    "split": "train, val and test",
    "id": "ids of images and annotations",
    "area": "areas as stated by the source",
    "image extra": "other fields of images",
    "info": "info, licences and other fields of the whole",
}
"""Every field that a format may hold, with what it means. The order is that of the docs."""

RECORDS = frozenset({"id", "area", "image extra", "info", "category extra", "split"})
"""Fields about the records and not about what a label says: losing them is listed, and refuses nothing."""


def refuse(losses: list[Loss], name: str, on_loss: str) -> None:
    """LossError where labels would lose something and `on_loss` is not "drop"."""
    if on_loss not in ("stop", "drop"):
        raise InputError(f"expected on-loss to be stop or drop, got {on_loss!r}")
    lost = [loss for loss in losses if loss.field not in RECORDS]
    if lost and on_loss == "stop":
        lines = "\n".join(f"  {line}" for line in loss_lines(lost))
        raise LossError(
            f"{name} cannot hold everything, and nothing was written:\n{lines}\n"
            "say --on-loss drop to leave these out, or choose another format (xlabel formats)",
            losses,
        )


def missing(dataset: Dataset, holds: frozenset[str]) -> Iterator[Loss]:
    """What `dataset` has and a format that holds only `holds` would leave out, image by image."""
    for field in dataset_fields(dataset):
        if field not in holds:
            yield Loss("the data set", field)
    for category in dataset.categories:
        if "category extra" not in holds and _category_extra(category):
            yield Loss(f"category {category.name}", "category extra")
    for sample in dataset.samples:
        counts: dict[str, int] = {}
        for field in sample_fields(sample):
            if field not in holds:
                counts[field] = counts.get(field, 0) + 1
        for field, count in counts.items():
            yield Loss(sample.image.key, field, count)


def renumbered(categories: Iterable[Category], numbers: Mapping[str, int]) -> Iterator[Loss]:
    """What a format loses that knows categories by their names: their ids, and those that nothing names.

    `numbers` are the ids that they have when they are read again.
    """
    listed = list(categories)
    changed = sum(numbers.get(category.name, category.id) != category.id for category in listed)
    if changed:
        yield Loss("the data set", "id", changed)
    for category in listed:
        if category.name not in numbers and not _category_extra(category):
            yield Loss(f"category {category.name}", "category extra")


def dataset_fields(dataset: Dataset) -> Iterable[str]:
    """The fields that the data set as a whole uses."""
    return ["info"] if any((dataset.extra or {}).values()) else []


def sample_fields(sample: Sample) -> Iterator[str]:
    """The fields that an image and its annotations use, once for each use."""
    if sample.split is not None:
        yield "split"
    if sample.image.id is not None:
        yield "id"
    if sample.image.extra:
        yield "image extra"
    if not sample.annotations:
        yield "unlabelled"
    for annotation in sample.annotations:
        yield from annotation_fields(annotation)


def annotation_fields(annotation: Annotation) -> Iterator[str]:
    """The fields that an annotation uses."""
    geometry = geometry_fields(annotation)
    yield from geometry
    if not geometry and annotation.caption is None:
        yield "image labels"
    if annotation.category is None and annotation.caption is None:
        yield "no category"
    for field in _PLAIN:
        if getattr(annotation, field):
            yield field
    for field in _ZERO_COUNTS:
        if getattr(annotation, field) is not None:
            yield field
    if annotation.author is not None or annotation.time is not None or annotation.source is not None:
        yield "author"


def geometry_fields(annotation: Annotation) -> list[str]:
    """The geometries that an annotation has."""
    found = [f for f in ("bbox", "mask", "keypoints") if getattr(annotation, f) is not None]
    if annotation.polygons:
        found.append("polygons" if len(annotation.polygons) == 1 else "polygon parts")
    if annotation.shape is not None:
        found.append(_KINDS[type(annotation.shape).__name__])
    return found


_PLAIN = ("crowd", "attributes", "extra")
_ZERO_COUNTS = ("score", "status", "caption", "area", "id")
_KINDS: dict[str, Any] = {
    "OrientedBox": "oriented_box",
    "Polyline": "polyline",
    "Points": "points",
    "Circle": "circle",
}


def _category_extra(category: Category) -> bool:
    return bool(category.supercategory or category.keypoints or category.skeleton or category.extra)
