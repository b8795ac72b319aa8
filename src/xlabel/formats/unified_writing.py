"""The annotation file of a bundle, written piece by piece, by several processes. docs/dataset_spec.md.

`head`, records of images, `between`, records of annotations, `tail`; a line a record, records joined by a
comma and a line end. What COCO has no word for is in the objects `xlabel` of images and annotations, and of
the whole, which is the last thing in the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from xlabel.formats.coco_images import KNOWN, category_record
from xlabel.formats.coco_layout import LISTS
from xlabel.formats.coco_records import Said, box_record, complete, record_of
from xlabel.model import Annotation, Category, Sample
from xlabel.model.manifest import Frame, Seen

PLACED = ("frame_index", "offset", "size", "sha256")
"""What an image's record says of its place in the bundle."""

_BOX = ("area",)
_NEW_BOX = ("id", "area")
_encoder = msgspec.json.Encoder()


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


def image_record(
    sample: Sample,
    image_id: int | str,
    frame: Frame | None,
    prints: Mapping[str, str] | None = None,
    seen: Seen | None = None,
) -> bytes:
    """The record of an image, with its place in the bundle and its fingerprints where it has some."""
    return _encoder.encode(_image_record(sample, image_id, frame, prints, seen))


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


def _lines(records: Iterable[Any]) -> bytes:
    # A line end in a text is escaped, so that those left are between the records.
    return _encoder.encode_lines(records)[:-1].replace(b"\n", b",\n")


def _image_record(
    sample: Sample,
    image_id: Any,
    frame: Frame | None,
    prints: Mapping[str, str] | None = None,
    seen: Seen | None = None,
) -> dict[str, Any]:
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
        if frame.psnr is not None:
            said["psnr"] = frame.psnr
        if frame.original is not None:
            said["original"] = frame.original
    said |= prints or {}
    if seen is not None:
        said["file"] = seen
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
