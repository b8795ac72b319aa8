"""COCO's records and the model's annotations. Data format: cocodataset.org/#format-data; LVIS; pycocotools.

A record is decoded into `Record` where it is as it should be, and field by field where it is not. What the
standard fields cannot say stands in the record's object `xlabel`. How a record spells what is absent (a field
left out, null, an empty list) is its form: words by field, and only those that differ from `Spelling`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from xlabel.formats.untrusted import shortened
from xlabel.model import RLE, Annotation, Category, OrientedBox, Shape, Source
from xlabel.model.geometry import area_of, bbox_of, rle_counts

LIMIT = 10**15
"""Numbers beyond this are no pixels of any image, and are refused."""

Number = Annotated[int, Meta(ge=-LIMIT, le=LIMIT)] | Annotated[float, Meta(ge=-LIMIT, le=LIMIT)]
Box = tuple[Number, Number, Number, Number]
Id = int | str


class Mask(RLE, frozen=True, forbid_unknown_fields=True, gc=False):
    """A mask in a record."""


class Said(Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """`xlabel` in an annotation's record: what COCO has no word for."""

    origin: Any = UNSET
    derived: tuple[str, ...] | UnsetType = UNSET
    """Fields that stand there for other readers, and that the label itself does not state."""
    shape: Shape | UnsetType = UNSET
    mask: Mask | UnsetType = UNSET
    """Where the segmentation is polygons, and there is a mask besides."""
    status: str | UnsetType | None = UNSET
    author: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    source: Source | UnsetType = UNSET
    extra: dict[str, Any] | UnsetType = UNSET
    """Other fields whose names COCO has taken."""


class Record(Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """An annotation of COCO, LVIS or a results list, without fields of others."""

    id: Id | UnsetType = UNSET
    image_id: Id | UnsetType = UNSET
    category_id: int | UnsetType | None = UNSET
    segmentation: tuple[tuple[Number, ...], ...] | Mask | UnsetType | None = UNSET
    area: Number | UnsetType | None = UNSET
    bbox: Box | UnsetType | None = UNSET
    iscrowd: Annotated[int, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    keypoints: tuple[Number, ...] | UnsetType | None = UNSET
    num_keypoints: int | UnsetType | None = UNSET
    score: Number | UnsetType | None = UNSET
    caption: str | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET
    xlabel: Said | UnsetType = UNSET


class Derived(Struct, frozen=True):
    """Says that an absent value is written out of what is there."""


DERIVED: Final = Derived()
WORDS: dict[str, Any] = {"missing": UNSET, "null": None, "empty": (), "written": DERIVED}
"""What a form may say of a field."""


class Spelling(Struct, frozen=True):
    """What is written of a field that the annotation does not have."""

    id: Any = DERIVED
    category_id: Any = None
    bbox: Any = DERIVED
    segmentation: Any = UNSET
    area: Any = DERIVED
    iscrowd: Any = DERIVED
    keypoints: Any = UNSET
    num_keypoints: Any = DERIVED
    score: Any = UNSET
    caption: Any = UNSET
    attributes: Any = UNSET


STANDARD = Spelling()
FIELDS = Spelling.__struct_fields__
STANDARD_WORDS = {f: w for f in FIELDS for w in WORDS if WORDS[w] is getattr(STANDARD, f)}
_SHIFT = {field: 2 * place for place, field in enumerate(FIELDS)}
_LARGEST = 1e300
_DIGITS = ("", "missing", "null", "written")

_MISSING = {field: 1 << shift for field, shift in _SHIFT.items()}
_NULL = {field: 2 << shift for field, shift in _SHIFT.items()}
_EMPTY_SEGMENTATION = 3 << _SHIFT["segmentation"]
_NOT_CROWD = 3 << _SHIFT["iscrowd"]
_COUNTED = 3 << _SHIFT["num_keypoints"]
_NO_RARE = sum(_MISSING[field] for field in ("keypoints", "score", "caption", "attributes"))
_RARE = ("keypoints", "score", "caption", "attributes")

_CORE = frozenset(Record.__struct_fields__) - {"score", "caption", "attributes"}
_DERIVED = frozenset({"id", "segmentation", "bbox", "area"})
_SOFT: dict[str, Any] = {"score": Number, "caption": str, "attributes": dict}


def annotation_of(record: Record, category: Category | None, status: str | None, origin: Any) -> Annotation:
    """The label that a record says; what is not written stays absent."""
    segmentation = record.segmentation
    polygons = segmentation if type(segmentation) is tuple and segmentation else None
    if (
        record.keypoints is UNSET
        and record.score is UNSET
        and record.attributes is UNSET
        and record.caption is UNSET
        and segmentation.__class__ is not Mask
    ):
        return Annotation(
            category=category,
            bbox=record.bbox or None,
            polygons=polygons,
            crowd=record.iscrowd == 1,
            area=None if record.area is UNSET else record.area,
            status=status,
            id=None if record.id is UNSET else record.id,
            origin=origin,
        )
    return Annotation(
        category=category,
        bbox=record.bbox or None,
        polygons=polygons,
        mask=RLE(segmentation.size, segmentation.counts) if isinstance(segmentation, Mask) else None,
        keypoints=_given(record.keypoints),
        crowd=record.iscrowd == 1,
        area=_given(record.area),
        score=_given(record.score),
        status=status,
        caption=_given(record.caption),
        attributes=_given(record.attributes),
        id=_given(record.id),
        origin=origin,
    )


def take_back(record: Record) -> None:
    """Take out of a record what, as its `xlabel` says, only stands there for other readers."""
    said = record.xlabel
    if said is UNSET or not said.derived:
        return
    for name in said.derived:
        if name in _DERIVED:
            setattr(record, name, UNSET)


def said_of(annotation: Annotation, said: Said) -> Annotation:
    """An annotation with what its record's `xlabel` adds, but for the origin."""
    changes: dict[str, Any] = {}
    for name in ("shape", "author", "time", "source", "status"):
        value = getattr(said, name)
        if value is not UNSET:
            changes[name] = value
    if said.mask:
        changes["mask"] = RLE(said.mask.size, said.mask.counts)
    if said.extra:
        changes["extra"] = {**(annotation.extra or {}), **said.extra}
    return msgspec.structs.replace(annotation, **changes)


def is_clean(record: Record) -> bool:
    """Whether the record's fields agree with each other, so that the model and a form say all of it."""
    if record.xlabel is not UNSET:
        return False
    segmentation = record.segmentation
    if segmentation:
        if isinstance(segmentation, Mask):
            try:
                rle_counts(segmentation)
            except ValueError:
                return False
        else:
            for part in segmentation:
                if len(part) < 6 or len(part) % 2:
                    return False
    keypoints = record.keypoints
    if keypoints is UNSET or keypoints is None:
        return record.num_keypoints is UNSET
    number = record.num_keypoints
    return not len(keypoints) % 3 and (number is UNSET or number is None or number == labelled(keypoints))


def absent(record: Record) -> int:
    """How a clean record spells what it does not have, as a number for `words`."""
    code = 0
    if record.id is UNSET:
        code = _MISSING["id"]
    if not record.category_id and record.category_id != 0:
        code |= _MISSING["category_id"] if record.category_id is UNSET else _NULL["category_id"]
    if not record.bbox:
        code |= _MISSING["bbox"] if record.bbox is UNSET else _NULL["bbox"]
    segmentation = record.segmentation
    if not segmentation:
        code |= (
            _MISSING["segmentation"]
            if segmentation is UNSET
            else _NULL["segmentation"]
            if segmentation is None
            else _EMPTY_SEGMENTATION
        )
    if record.area is UNSET:
        code |= _MISSING["area"]
    elif record.area is None:
        code |= _NULL["area"]
    if record.iscrowd == 0:
        code |= _NOT_CROWD
    elif record.iscrowd != 1:
        code |= _MISSING["iscrowd"] if record.iscrowd is UNSET else _NULL["iscrowd"]
    if (
        record.keypoints is UNSET
        and record.score is UNSET
        and record.caption is UNSET
        and record.attributes is UNSET
    ):
        return code | _NO_RARE
    for field in _RARE:
        value = getattr(record, field)
        code |= _MISSING[field] if value is UNSET else _NULL[field] if value is None else 0
    if record.keypoints is not UNSET and record.keypoints is not None:
        number = record.num_keypoints
        code |= (
            _MISSING["num_keypoints"]
            if number is UNSET
            else _NULL["num_keypoints"]
            if number is None
            else _COUNTED
        )
    return code


def words(code: int) -> dict[str, str]:
    """The spelling of each absent field."""
    found: dict[str, str] = {}
    for field, shift in _SHIFT.items():
        digit = code >> shift & 3
        if digit:
            found[field] = "empty" if field == "segmentation" and digit == 3 else _DIGITS[digit]
    return found


def differing(form: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    """What of a form is not as the usual one says, or the standard."""
    return {field: word for field, word in form.items() if word != usual.get(field, STANDARD_WORDS[field])}


def spelling(*forms: Mapping[str, str] | None) -> Spelling:
    """What forms say together, the last word counting; anything unknown in them is passed over."""
    values: dict[str, Any] = {}
    for form in forms:
        for field, word in (form or {}).items():
            if field in FIELDS and word in WORDS and (word != "empty" or field == "segmentation"):
                values[field] = WORDS[word]
    return Spelling(**values) if values else STANDARD


def box_record(
    annotation: Annotation, identity: Any, image_id: Any, category_id: Any, said: Said | UnsetType = UNSET
) -> Record | None:
    """The record of an annotation that is a box and says nothing more; None for any other.

    Nearly all annotations of nearly all sets are such, and need no more than this to be written. `said` is
    what stands in `xlabel`.
    """
    bbox = annotation.bbox
    if (
        bbox is None
        or annotation.area is not None
        or annotation.polygons is not None
        or annotation.mask is not None
        or annotation.keypoints is not None
        or annotation.shape is not None
        or annotation.score is not None
        or annotation.status is not None
        or annotation.caption is not None
        or annotation.attributes is not None
        or annotation.author is not None
        or annotation.time is not None
        or annotation.source is not None
        or annotation.extra is not None
    ):
        return None
    area = bbox[2] * bbox[3]
    if not -_LARGEST < area < _LARGEST:
        return None
    return Record(
        id=identity,
        image_id=image_id,
        category_id=category_id,
        bbox=bbox,
        area=area,
        iscrowd=1 if annotation.crowd else 0,
        xlabel=said,
    )


def record_of(
    annotation: Annotation,
    identity: Any,
    image_id: Any,
    category_id: Any,
    spelled: Spelling = STANDARD,
    status: str | None = None,
    origin: Any = UNSET,
    *,
    marked: bool = False,
) -> Record:
    """The record of an annotation, but for `extra`; `complete` adds that.

    `identity` and `category_id` are what to write. `status` is what goes without saying. `marked`: all that
    is derived is named in `xlabel`, and not only what is derived from a shape.
    """
    shape, polygons, mask = annotation.shape, annotation.polygons, annotation.mask
    derived = ["id"] if marked and annotation.id is None else []
    marked = marked or shape is not None
    segmentation: Any = polygons or (None if mask is None else Mask(mask.size, mask.counts))
    if segmentation is None:
        segmentation = spelled.segmentation
        if isinstance(shape, OrientedBox):
            segmentation = (shape.corners,)
            derived.append("segmentation")
    bbox: Any = annotation.bbox
    if bbox is None:
        bbox = spelled.bbox
        if bbox is DERIVED:
            bbox = bbox_of(annotation) or UNSET
            if marked and bbox is not UNSET:
                derived.append("bbox")
    area: Any = annotation.area
    if area is None:
        area = spelled.area
        if area is DERIVED:
            area = area_of(annotation)
            if area is None:
                area = UNSET
            elif marked:
                derived.append("area")
    crowd: Any = 1 if annotation.crowd else spelled.iscrowd
    record = Record(
        id=identity,
        image_id=image_id,
        category_id=category_id,
        segmentation=segmentation,
        area=area,
        bbox=bbox,
        iscrowd=0 if crowd is DERIVED else crowd,
    )
    if annotation.keypoints is not None:
        record.keypoints = annotation.keypoints
        number = spelled.num_keypoints
        record.num_keypoints = labelled(annotation.keypoints) if number is DERIVED else number
    elif spelled.keypoints is None:
        record.keypoints = None
    record.score = spelled.score if annotation.score is None else annotation.score
    record.caption = spelled.caption if annotation.caption is None else annotation.caption
    record.attributes = spelled.attributes if annotation.attributes is None else annotation.attributes
    if (
        derived
        or origin is not UNSET
        or shape is not None
        or annotation.status != status
        or annotation.author is not None
        or annotation.time is not None
        or annotation.source is not None
        or (polygons and mask is not None)
    ):
        record.xlabel = _said(annotation, status, origin, tuple(derived))
    return record


def complete(record: Record, annotation: Annotation) -> Record | dict[str, Any]:
    """A record with the fields that the model has no word for."""
    extra = annotation.extra
    if not extra:
        return record
    built: dict[str, Any] = msgspec.to_builtins(record)
    taken: dict[str, Any] = {}
    for key, value in extra.items():
        (built if _is_free(key, value, built) else taken)[key] = value
    if taken:
        built["xlabel"] = {**built.get("xlabel", {}), "extra": taken}
    return built


def loose(raw: Mapping[str, Any]) -> tuple[Record, dict[str, Any], list[tuple[str, str]]]:
    """What can be read of any record: its fields, those of others, and problems (code, message)."""
    record = Record()
    extra: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for key, value in raw.items():
        if key not in _TYPES:
            extra[key] = value
            continue
        try:
            setattr(record, key, _READ[key](value) if key in _READ else msgspec.convert(value, _TYPES[key]))
        except (msgspec.ValidationError, ValueError) as error:
            if key in _SOFT or key == "xlabel":
                extra[key] = value
            elif key not in ("image_id", "category_id", "num_keypoints"):
                if key == "segmentation":
                    record.segmentation = _sound(value)
                code, expected = _EXPECTED[key]
                problems.append((code, f"expected {expected}, got {shortened(value)}{_reason(error)}"))
    if record.keypoints and record.num_keypoints:
        record.num_keypoints = labelled(record.keypoints)
    return record, extra, problems


def labelled(keypoints: tuple[Any, ...]) -> int:
    """How many keypoints are labelled: those with v > 0."""
    return sum(1 for v in keypoints[2::3] if v > 0)


def _given(value: Any) -> Any:
    return None if value is UNSET else value


def _said(annotation: Annotation, status: str | None, origin: Any, derived: tuple[str, ...]) -> Said:
    said = Said(origin=origin)
    if derived:
        said.derived = derived
    if annotation.shape is not None:
        said.shape = annotation.shape
    if annotation.polygons and annotation.mask is not None:
        said.mask = Mask(annotation.mask.size, annotation.mask.counts)
    if annotation.status != status:
        said.status = annotation.status
    if annotation.author is not None:
        said.author = annotation.author
    if annotation.time is not None:
        said.time = annotation.time
    if annotation.source is not None:
        said.source = annotation.source
    return said


def _is_free(key: str, value: Any, built: Mapping[str, Any]) -> bool:
    """Whether a field of others can stand in the record without being taken for one of COCO's."""
    if key in built or key in _CORE:
        return False
    if key in _SOFT:
        try:
            msgspec.convert(value, _SOFT[key] | None)
        except msgspec.ValidationError:
            return True
        return False
    return True


def _segmentation(value: Any) -> Any:
    if isinstance(value, dict):
        mask = msgspec.convert({k: v for k, v in value.items() if k in ("size", "counts")}, Mask)
        rle_counts(mask)
        return mask
    if isinstance(value, list) and value and not isinstance(value[0], list):
        value = [value]
    parts = msgspec.convert(value, _TYPES["segmentation"])
    if any(not _is_part(part) for part in parts or ()):
        raise ValueError
    return parts


def _sound(value: Any) -> Any:
    """The sound parts of a segmentation that is not sound as a whole."""
    if not isinstance(value, list):
        return UNSET
    found = []
    for raw in value:
        try:
            part = msgspec.convert(raw, tuple[Number, ...])
        except msgspec.ValidationError:
            continue
        if _is_part(part):
            found.append(part)
    return tuple(found) or UNSET


def _is_part(part: tuple[Any, ...]) -> bool:
    return len(part) >= 6 and len(part) % 2 == 0


def _keypoints(value: Any) -> Any:
    keypoints = msgspec.convert(value, _TYPES["keypoints"])
    if len(keypoints or ()) % 3:
        raise ValueError
    return keypoints


def _crowd(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else msgspec.convert(value, _TYPES["iscrowd"])


def _identity(value: Any) -> Any:
    return UNSET if value is None else msgspec.convert(value, Id)


def _xlabel(value: Any) -> Any:
    said = msgspec.convert(value, Said)
    if said.mask:
        rle_counts(said.mask)
    if said.shape:
        msgspec.convert(msgspec.to_builtins(said.shape), dict[str, tuple[Number, ...] | Number | str])
    return said


def _reason(error: Exception) -> str:
    return f"; {error}" if type(error) is ValueError and str(error) else ""


_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Record)}
_READ = {
    "id": _identity,
    "segmentation": _segmentation,
    "keypoints": _keypoints,
    "iscrowd": _crowd,
    "xlabel": _xlabel,
}
_EXPECTED = {
    "id": ("bad-id", "a whole number or a text as id"),
    "segmentation": (
        "bad-segmentation",
        "polygons of 6 or more numbers (x1, y1, x2, y2, ...), or a mask with size [height, width] and counts",
    ),
    "area": ("bad-area", "a number as area"),
    "bbox": ("bad-bbox", "four numbers as bbox (x, y, width, height)"),
    "iscrowd": ("bad-iscrowd", "0 or 1 as iscrowd"),
    "keypoints": ("bad-keypoints", "x, y, v for each keypoint"),
}
