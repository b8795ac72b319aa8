"""The annotation file of a bundle: COCO that says more, and that COCO readers read. docs/dataset_spec.md.

It is written piece by piece, by several processes: `head`, records of images, `between`, records of
annotations, `tail`; a line a record, records joined by a comma and a line end. What COCO has no word for is
in the objects `xlabel` of images and annotations, and of the whole, which is the last thing in the file.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from xlabel.errors import CorruptError, InputError
from xlabel.formats.coco_images import KNOWN, category_of, category_record, image_of
from xlabel.formats.coco_layout import LISTS
from xlabel.formats.coco_reading import BAD, baseline_of, parse, shortened_raw
from xlabel.formats.coco_records import (
    Record,
    Said,
    annotation_of,
    box_record,
    complete,
    is_clean,
    record_of,
    said_of,
    take_back,
)
from xlabel.formats.untrusted import is_deep
from xlabel.model import Annotation, Category, Dataset, Image, OrientedBox, Problem, Sample
from xlabel.model.dataset import Origin
from xlabel.model.geometry import bbox_of
from xlabel.model.manifest import VERSION, Frame

PLACED = ("frame_index", "offset", "size", "sha256")
"""What an image's record says of its place in the bundle."""

_OURS = frozenset({"pack_id", "bundle", "frames"})

_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Record).decode
_anything = msgspec.json.Decoder().decode
_BOX = ("area",)
_NEW_BOX = ("id", "area")


class Unified(Struct):
    """An annotation file that has been read."""

    dataset: Dataset
    """Samples in the order of the file."""
    frames: list[Frame] | None
    """Where each image lies in the bundle; None where the file does not say it of all of them."""
    section: dict[str, Any]
    """The file's own object `xlabel`."""
    unmatched: list[Sample]
    """Labels that had no image."""
    problems: list[Problem]


def head() -> bytes:
    """The beginning of the file, up to the records of images."""
    return b'{"images":[\n'


def between() -> bytes:
    """What parts the records of images from those of annotations."""
    return b'\n],\n"annotations":[\n'


def tail(
    categories: Sequence[Category], extra: Mapping[str, Any] | None, section: Mapping[str, Any]
) -> bytes:
    """The end of the file, from behind the last record of an annotation.

    `section` becomes the object `xlabel`, with `pack_id` last, so that the end of a file tells which pack it
    is of. Samples in its `unmatched` become records. Without categories there is no list of them, so that
    readers of captions are content.
    """
    parts = [b"\n]"]
    if categories:
        records = [category_record(category, category.id) for category in categories]
        parts.append(b'"categories":[\n' + _lines(records) + b"\n]")
    own = {key: value for key, value in section.items() if key != "pack_id"}
    taken = {}
    for key, value in (extra or {}).items():
        if key in LISTS or key == "xlabel":
            taken[key] = value
        else:
            parts.append(_encoder.encode(key) + b":" + _encoder.encode(value))
    if taken:
        own = {"extra": taken} | own
    if "unmatched" in own:
        own["unmatched"] = [
            _unmatched(item) if isinstance(item, Sample) else item for item in own["unmatched"]
        ]
    if "pack_id" in section:
        own["pack_id"] = section["pack_id"]
    parts.append(b'"xlabel":' + _encoder.encode(own))
    return b",\n".join(parts) + b"}\n"


def image_record(sample: Sample, image_id: int | str, frame: Frame | None) -> bytes:
    """The record of an image, with its place in the bundle where it has one."""
    return _encoder.encode(_image_record(sample, image_id, frame))


def annotation_records(
    sample: Sample, image_id: int | str, first_id: int, category_ids: Mapping[int, int] | None = None
) -> tuple[bytes, int]:
    """The records of an image's annotations, joined, and the next free id.

    An annotation without id gets one, from `first_id` on. `category_ids` are the ids to write, by those of
    the model; what is not in there is written as it is.
    """
    records: list[Any] = []
    for annotation in sample.annotations:
        identity: Any = annotation.id
        if identity is None:
            identity, first_id = first_id, first_id + 1
        category = annotation.category
        category_id = None if category is None else category.id
        if category_ids is not None and category_id is not None:
            category_id = category_ids.get(category_id, category_id)
        records.append(_annotation_record(annotation, identity, image_id, category_id))
    return _lines(records), first_id


def is_ours(top: object) -> bool:
    """Whether the top level of a JSON document is that of an annotation file.

    What another tool calls `xlabel` has neither a whole number as version nor the name or id of a pack.
    """
    if not isinstance(top, dict) or "xlabel" not in top:
        return False
    try:
        section = _anything(top["xlabel"])
    except BAD:
        return False
    return isinstance(section, dict) and (
        type(section.get("version")) is int or not _OURS.isdisjoint(section)
    )


def read(data: bytes, where: str) -> Unified:
    """The data set in an annotation file; InputError where it is none."""
    top = parse(data, where)
    if not isinstance(top, dict) or "xlabel" not in top or "images" not in top:
        raise InputError(
            f'{where}: expected an annotation file of xlabel, with "images" and "xlabel"; pack again'
        )
    problems: list[Problem] = []
    section = _section(top["xlabel"], where)
    categories = _categories(top.get("categories"), where, problems)
    by_id = {category.id: category for category in reversed(categories)}
    images, frames, index = _images(top["images"], where, problems)
    _annotations(top.get("annotations"), where, problems, images, index, by_id)
    samples = [
        msgspec.structs.replace(sample, annotations=tuple(group)) if group else sample
        for sample, group in images
    ]
    extra = {key: _field(raw, key, where) for key, raw in top.items() if key not in (*LISTS, "xlabel")}
    extra |= section.get("extra") or {}
    unmatched = [
        found
        for at, item in enumerate(section.get("unmatched") or ())
        if (found := _as_sample(item, by_id, f"{where}: xlabel.unmatched[{at}]", problems)) is not None
    ]
    if unmatched:
        section["unmatched"] = unmatched
    origin = _origin(section.get("origin"), where, problems)
    dataset = Dataset(samples=samples, categories=categories, extra=extra or None, origin=origin)
    return Unified(dataset, frames, section, unmatched, problems)


def _lines(records: Iterable[Any]) -> bytes:
    # A line end in a text is escaped, so that those left are between the records.
    return _encoder.encode_lines(records)[:-1].replace(b"\n", b",\n")


def _image_record(sample: Sample, image_id: Any, frame: Frame | None) -> dict[str, Any]:
    image = sample.image
    record: dict[str, Any] = {"id": image_id, "file_name": image.key}
    if frame is not None or image.width is not None:
        record["width"] = image.width
    if frame is not None or image.height is not None:
        record["height"] = image.height
    said: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    for key, value in (image.extra or {}).items():
        (taken if key in KNOWN or key in PLACED else record)[key] = value
    if frame is not None:
        record["frame_index"] = frame.index
        record["offset"] = frame.offset
        record["size"] = frame.size
        record["sha256"] = frame.sha256
        said["mime"] = frame.mime
        if frame.name_bytes is not None:
            said["name_bytes"] = frame.name_bytes
        if frame.placeholder:
            said["placeholder"] = True
    if image.orientation != 1:
        said["orientation"] = image.orientation
    if image.id is None:
        said["derived"] = ("id",)
    elif image.id != image_id:
        said["id"] = image.id
    for name in ("split", "drawn", "named", "origin"):
        value = getattr(sample, name)
        if value is not None:
            said[name] = value
    if taken:
        said["extra"] = taken
    if said:
        record["xlabel"] = said
    return record


def _annotation_record(annotation: Annotation, identity: Any, image_id: Any, category_id: Any) -> Any:
    origin = UNSET if annotation.origin is None else annotation.origin
    said = Said(origin=origin, derived=_NEW_BOX if annotation.id is None else _BOX)
    box = box_record(annotation, identity, image_id, category_id, said)
    if box is not None:
        return box
    record = record_of(annotation, identity, image_id, category_id, origin=origin, marked=True)
    return complete(record, annotation)


def _unmatched(sample: Sample) -> dict[str, Any]:
    """The records of a sample without image, as one object."""
    inside = [
        _annotation_record(
            a, UNSET if a.id is None else a.id, UNSET, None if a.category is None else a.category.id
        )
        for a in sample.annotations
    ]
    return {"image": _image_record(sample, sample.image.id, None), "annotations": inside}


def _field(raw: Raw, key: str, where: str) -> Any:
    try:
        value = _anything(raw)
    except BAD as error:
        raise InputError(f"{where}: {key}: {error}; pack again") from None
    if isinstance(value, (dict, list)) and is_deep(value):
        raise InputError(f"{where}: {key}: nested too deeply; pack again")
    return value


def _section(raw: Raw, where: str) -> dict[str, Any]:
    section = _field(raw, "xlabel", where)
    if not isinstance(section, dict):
        raise InputError(f"{where}: expected an object as xlabel, got {shortened_raw(raw)}; pack again")
    version = section.get("version", VERSION)
    if type(version) is not int or version > VERSION:
        raise CorruptError(
            f"{where}: is of version {version!r:.20}, this xlabel reads up to {VERSION}; upgrade xlabel"
        )
    for key, kind in (("extra", dict), ("unmatched", list)):
        if not isinstance(section.get(key) or kind(), kind):
            raise InputError(f"{where}: xlabel.{key}: expected {kind.__name__}; pack again")
    return section


def _origin(raw: Any, where: str, problems: list[Problem]) -> Origin | None:
    if raw is None:
        return None
    try:
        return msgspec.convert(raw, Origin)
    except msgspec.ValidationError as error:
        problems.append(Problem(f"{where}: xlabel.origin", "bad-origin", f"{error}; it is left out"))
        return None


def _records(raw: Raw | None, key: str, where: str) -> list[Raw]:
    if raw is None:
        return []
    try:
        return msgspec.json.decode(raw, type=list[Raw])
    except BAD:
        raise InputError(f"{where}: {key}: expected a list, got {shortened_raw(raw)}; pack again") from None


def _object(raw: Raw, at: str, where: str, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        value = _anything(raw)
        if isinstance(value, dict) and not is_deep(value):
            return value
    except BAD:
        pass
    message = f"expected an object, got {shortened_raw(raw)}; it is left out"
    problems.append(Problem(f"{where}: {at}", "bad-record", message))
    return None


def _categories(raw: Raw | None, where: str, problems: list[Problem]) -> list[Category]:
    categories = []
    for at, text in enumerate(_records(raw, "categories", where)):
        value = _object(text, f"categories[{at}]", where, problems)
        category, wrong = (None, None) if value is None else category_of(value)
        if wrong is not None:
            problems.append(Problem(f"{where}: categories[{at}]", "bad-category", wrong))
        if category is not None:
            categories.append(category)
    return categories


def _images(
    raw: Raw, where: str, problems: list[Problem]
) -> tuple[list[tuple[Sample, list[Annotation]]], list[Frame] | None, dict[Any, list[Annotation]]]:
    """The images with room for their annotations, their frames, and that room by the images' ids."""
    images: list[tuple[Sample, list[Annotation]]] = []
    frames: list[Frame] | None = []
    index: dict[Any, list[Annotation]] = {}
    for at, text in enumerate(_records(raw, "images", where)):
        value = _object(text, f"images[{at}]", where, problems)
        if value is None:
            continue
        sample, wrong = _sample(value)
        problems += [Problem(f"{where}: images[{at}]", code, message) for code, message in wrong]
        group: list[Annotation] = []
        images.append((sample, group))
        if isinstance(value.get("id"), (int, str)):
            index.setdefault(value["id"], group)
        frame = None if frames is None else _frame(value, sample.image)
        if frame is None or frames is None:
            frames = None
        else:
            frames.append(frame)
    return images, frames or None, index


def _sample(value: dict[str, Any]) -> tuple[Sample, list[tuple[str, str]]]:
    said = value.get("xlabel")
    said = said if isinstance(said, dict) else {}
    bare = {key: item for key, item in value.items() if key not in PLACED or "frame_index" not in value}
    image, split, problems = image_of(bare)
    identity = said.get("id", image.id)
    derived = said.get("derived")
    if (isinstance(derived, list) and "id" in derived) or not isinstance(identity, (int, str)):
        identity = None
    if identity != image.id:
        image = msgspec.structs.replace(image, id=identity)
    drawn, named = said.get("drawn"), said.get("named")
    pair = isinstance(drawn, list) and len(drawn) == 2 and all(type(side) is int for side in drawn)
    sample = Sample(
        image=image,
        split=split,
        drawn=(drawn[0], drawn[1]) if pair and drawn else None,
        named=named if isinstance(named, str) else None,
        origin=said.get("origin"),
    )
    return sample, problems


def _frame(value: dict[str, Any], image: Image) -> Frame | None:
    said = value.get("xlabel")
    said = said if isinstance(said, dict) else {}
    if "frame_index" not in value:
        return None
    try:
        frame = msgspec.convert(
            {
                "index": value["frame_index"],
                "key": image.key,
                "offset": value.get("offset"),
                "size": value.get("size"),
                "width": image.width,
                "height": image.height,
                "sha256": value.get("sha256"),
                "mime": said.get("mime", "application/octet-stream"),
                "orientation": image.orientation,
                "placeholder": said.get("placeholder", False),
                "name_bytes": said.get("name_bytes"),
            },
            Frame,
        )
        base64.b64decode(frame.name_bytes or "", validate=True)
    except (msgspec.ValidationError, binascii.Error, ValueError):
        return None
    return frame


def _annotations(
    raw: Raw | None,
    where: str,
    problems: list[Problem],
    images: Sequence[Any],
    index: Mapping[Any, list[Annotation]],
    categories: Mapping[Any, Category],
) -> None:
    """Put the annotations where they belong."""
    for at, text in enumerate(_records(raw, "annotations", where)):
        try:
            record: Record | None = _decode(text)
        except BAD:
            record = None
        if record is not None and (record.xlabel is UNSET or record.xlabel.shape is UNSET):
            group = index.get(record.image_id)
            category = categories.get(record.category_id) if record.category_id is not None else None
            if group is not None and (category is not None or record.category_id is None):
                bbox, said = record.bbox, record.xlabel
                annotation = _annotation(record, category)
                if annotation is not None:
                    derived = () if said is UNSET else said.derived
                    if derived and "bbox" in derived and bbox:
                        _tell_ignored(bbox, None, annotation, f"{where}: annotations[{at}]", problems)
                    group.append(annotation)
                    continue
        value = _object(text, f"annotations[{at}]", where, problems)
        if value is None:
            continue
        found = value.get("image_id")
        group = index.get(found) if isinstance(found, (int, str)) else None
        if group is None:
            message = f"expected the id of an image as image_id, got {found!r:.60}; it is left out"
            problems.append(Problem(f"{where}: annotations[{at}]", "unknown-image", message))
            continue
        place = f"{where}: annotations[{at}]"
        annotation = _loose(value, categories, place, problems)
        said_there = value.get("xlabel")
        named = said_there.get("derived") if isinstance(said_there, dict) else None
        if isinstance(named, list):
            stated = [value.get(name) if name in named else None for name in ("bbox", "segmentation")]
            _tell_ignored(stated[0], stated[1], annotation, place, problems)
        group.append(annotation)


def _tell_ignored(
    bbox: Any, segmentation: Any, annotation: Annotation, place: str, problems: list[Problem]
) -> None:
    """List a derived box or outline that is not what its geometry makes: it was edited, and is not read."""
    changed = []
    made = bbox_of(annotation)
    if bbox is not None and made is not None and not _alike(bbox, made):
        changed.append("bbox")
    if segmentation is not None and isinstance(annotation.shape, OrientedBox):
        outline = segmentation[0] if isinstance(segmentation, list) and segmentation else None
        if not _alike(outline, annotation.shape.corners):
            changed.append("segmentation")
    if changed:
        message = (
            f"{' and '.join(changed)} is not what the geometry makes of it, from which it is derived; edit "
            "that, or take the name out of xlabel.derived"
        )
        problems.append(Problem(place, "derived-changed", message))


def _alike(ours: Any, theirs: Sequence[Any]) -> bool:
    numbers = isinstance(ours, (list, tuple)) and all(isinstance(n, (int, float)) for n in ours)
    if not numbers or len(ours) != len(theirs):
        return False
    return all(abs(a - b) <= 1e-6 * max(1, abs(b)) for a, b in zip(ours, theirs, strict=True))


def _annotation(record: Record, category: Category | None) -> Annotation | None:
    """The annotation of a record that is in order; None where it takes a closer look."""
    said = record.xlabel
    if said is UNSET:
        return annotation_of(record, category, None, None) if is_clean(record) else None
    record.xlabel = UNSET
    if said.mask is not UNSET or not is_clean(record):
        return None
    record.xlabel = said
    take_back(record)
    origin = None if said.origin is UNSET else said.origin
    annotation = annotation_of(record, category, None, origin)
    if said.status is UNSET and said.author is UNSET and said.time is UNSET and said.extra is UNSET:
        return annotation
    return said_of(annotation, said)


def _loose(
    value: dict[str, Any], categories: Mapping[Any, Category], where: str, problems: list[Problem]
) -> Annotation:
    named = value.get("category_id")
    category = categories.get(named) if isinstance(named, int) else None
    if named is not None and category is None:
        message = f"expected the id of a category as category_id, got {named!r:.60}; it is read without one"
        problems.append(Problem(where, "unknown-category", message))
    annotation, record, wrong = baseline_of(value, category, None)
    problems += [Problem(where, code, message) for code, message in wrong]
    if record.xlabel is not UNSET and record.xlabel.origin is not UNSET:
        annotation = msgspec.structs.replace(annotation, origin=record.xlabel.origin)
    return annotation


def _as_sample(
    item: Any, categories: Mapping[Any, Category], where: str, problems: list[Problem]
) -> Sample | None:
    """A sample out of its records in the section."""
    image = item.get("image") if isinstance(item, dict) else None
    inside = item.get("annotations", []) if isinstance(item, dict) else None
    if not isinstance(image, dict) or not isinstance(inside, list):
        problems.append(Problem(where, "bad-record", "expected an image and annotations; it is left out"))
        return None
    sample, wrong = _sample(image)
    problems += [Problem(where, code, message) for code, message in wrong if code != "bad-id"]
    annotations = [_loose(value, categories, where, problems) for value in inside if isinstance(value, dict)]
    return msgspec.structs.replace(sample, annotations=tuple(annotations))
