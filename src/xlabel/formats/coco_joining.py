"""What several COCO files say of one thing, made one; and one id that they use for two things, made two."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import msgspec
from msgspec.structs import replace

from xlabel.formats.coco_images import image_record, same
from xlabel.formats.coco_layout import File, Place, kept, starts
from xlabel.formats.coco_state import Picture, Reading
from xlabel.model import Annotation, Category, Image, Number, Sample
from xlabel.model.report import counted

_NOTED = 20  # pairs of documents
_JOINED = (
    "category", "bbox", "polygons", "mask", "keypoints", "shape", "area", "score", "caption", "attributes",
    "author", "time", "source", "extra",
)  # fmt: skip


def extra_of(files: list[File]) -> dict[str, Any] | None:
    """The top-level fields of all files; where two say different things, what the first one says."""
    extra: dict[str, Any] = {}
    for file in files:
        extra = (file.extra or {}) | extra
    return extra or None


def joined_category(one: Category, other: Category) -> Category:
    """What two files say of a category; the first one counts where they differ."""
    return Category(
        id=one.id,
        name=one.name,
        supercategory=one.supercategory,
        keypoints=other.keypoints if one.keypoints is None else one.keypoints,
        skeleton=other.skeleton if one.skeleton is None else one.skeleton,
        extra=(other.extra or {}) | (one.extra or {}) or None,
    )


def fits(one: Image, other: Image) -> bool:
    """Whether two records can be of one image, by their sizes."""
    return None in (one.width, other.width) or (one.width, one.height) == (other.width, other.height)


def join_image(picture: Picture, image: Image, value: dict[str, Any], place: Place) -> None:
    """Note that an image of a file before has a record, `value`, in this one too."""
    known, first = picture.image, picture.place
    if first is None:
        return
    if image.id != known.id:
        place.id = (known.id, image.id)
    sample = Sample(image=known, split=picture.split, named=picture.named)
    if image.id is None or not same(image_record(sample, image.id, picture.split, again=True), value):
        place.record = value
        if first.record is None:  # tells later what has been edited
            first.record = image_record(sample, known.id, picture.split, again=True)
    first.also = [*(first.also or []), place]


def join_labels(state: Reading, start: int, *, by_image: bool = False) -> None:
    """Make one of the labels that files have of the same thing, and note ids that they both use.

    `start` is the place of the first label of the file that has been read last, whose ids are unique within
    an image alone where `by_image` says so.
    """
    fresh: dict[Any, tuple[int, int]] = {}
    for position, picture in enumerate(state.pictures):
        labels: list[Annotation] = []
        for annotation in picture.labels:
            identity = annotation.id
            if identity is not None and _at(annotation) >= start:
                known = state.annotation_ids.get(identity)
                if known is None:
                    here = position, len(labels)
                    if fresh.setdefault(identity, here) != here and by_image:
                        state.clashing.append(here)
                else:
                    joined = _joined(labels[known[1]], annotation) if known[0] == position else None
                    if joined is not None:
                        labels[known[1]] = joined
                        continue
                    state.clashing.append((position, len(labels)))
            labels.append(annotation)
        picture.labels = labels
    state.annotation_ids |= fresh


def renumber(state: Reading) -> None:
    """Give new ids where two files use one id for two things; the old ones stay in the origins."""
    free = _free(state.image_ids)
    for position in state.clashing_images:
        picture = state.pictures[position]
        image, place = picture.image, picture.place
        assert place is not None
        place.id = (free, image.id)
        picture.image = replace(image, id=free)
        for other in place.also or ():
            other.id = (free, image.id if other.id is None else other.id[1])
        free += 1
    free = _free(state.annotation_ids)
    for position, number in state.clashing:
        labels = state.pictures[position].labels
        place = _as_place(labels[number].origin)
        place.id = (free, labels[number].id)
        labels[number] = replace(labels[number], id=free, origin=kept(place))
        free += 1


def renewed(annotation: Annotation, latest: Mapping[int, Category]) -> Annotation:
    """An annotation with what all files say of its category."""
    category = annotation.category
    if category is None or latest[category.id] is category:
        return annotation
    return replace(annotation, category=latest[category.id])


def doubled(state: Reading) -> list[str]:
    """Notes about documents that give images labels which coincide, under ids of their own: both are kept.

    A label coincides with one of the same category and kind whose box is the same to a pixel.
    """
    if not state.several:
        return []
    first = starts(state.files, "annotations")
    counts: Counter[tuple[int, int]] = Counter()
    for picture in state.pictures:
        by_file: dict[int, list[Annotation]] = {}
        for annotation in picture.labels:
            if annotation.category is not None and annotation.bbox is not None:
                by_file.setdefault(bisect_right(first, _at(annotation)) - 1, []).append(annotation)
        counts.update(p for p in combinations(sorted(by_file), 2) if _coincide(by_file[p[0]], by_file[p[1]]))
    return [
        f"{state.files[one].path} and {state.files[other].path} both label {counted(count, 'images')}; "
        "if one is a copy, give the other alone as LABELS"
        for (one, other), count in counts.most_common(_NOTED)
    ]


def _joined(one: Annotation, other: Annotation) -> Annotation | None:
    """Two labels with the same id of the same image as one, where they contradict each other in nothing."""
    joined: dict[str, Any] = {}
    only_one: list[str] = []
    only_other: list[str] = []
    for name in _JOINED:
        a, b = getattr(one, name), getattr(other, name)
        if name == "category" and a is not None and b is not None and a.id == b.id:
            continue
        if a is not None and b is not None and a != b:
            return None
        if a is None and b is not None:
            joined[name] = b
            only_other.append(name)
        elif b is None and a is not None:
            only_one.append(name)
    shared = sum(
        getattr(one, name) is not None and getattr(other, name) is not None
        for name in ("category", "bbox", "polygons", "mask")
    )
    if one.crowd != other.crowd or one.status != other.status or shared < 2:
        return None
    first, second = _as_place(one.origin), _as_place(other.origin)
    for place in (first, *(first.also or ())):
        place.without = (*(place.without or ()), *only_other) or None
    second.without = tuple(only_one) or None
    first.also = [*(first.also or []), second]
    return replace(one, origin=kept(first), **joined)


def _free(taken: Iterable[Any]) -> int:
    """A number above all ids that are numbers."""
    return max((identity for identity in taken if isinstance(identity, int)), default=0) + 1


def _as_place(origin: Any) -> Place:
    return msgspec.convert({"at": origin} if isinstance(origin, int) else origin or {}, Place)


def _at(annotation: Annotation) -> int:
    origin = annotation.origin
    at = origin.get("at") if isinstance(origin, dict) else origin
    return at if isinstance(at, int) else -1


def _coincide(ones: list[Annotation], others: list[Annotation]) -> bool:
    """Whether any of some labels is also among others."""
    boxes: dict[Any, list[tuple[Number, ...]]] = {}
    for annotation in ones:
        boxes.setdefault(_sort_of(annotation), []).append(annotation.bbox or ())
    return any(
        all(abs(a - b) <= 1 for a, b in zip(box, annotation.bbox or (), strict=True))
        for annotation in others
        for box in boxes.get(_sort_of(annotation), ())
    )


def _sort_of(annotation: Annotation) -> tuple[Any, ...]:
    category = annotation.category
    return category and category.id, annotation.keypoints is None, annotation.status
