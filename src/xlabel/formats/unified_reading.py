"""The annotation file of a bundle, which is COCO that says more: read whole, or an image at a time.

See docs/dataset_spec.md.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from xlabel.errors import CorruptError, InputError
from xlabel.formats.coco_images import image_of, is_id
from xlabel.formats.coco_json import BAD, beginning, parse, records, value_of
from xlabel.formats.coco_layout import LISTS, File
from xlabel.formats.coco_reading import closer, label_of, object_at, read_categories
from xlabel.formats.coco_records import Record, annotation_of, is_clean, said_of, take_back
from xlabel.formats.coco_state import Reading
from xlabel.formats.unified_writing import PLACED
from xlabel.model import Annotation, Category, Dataset, Image, OrientedBox, Problem, Sample
from xlabel.model.dataset import Origin
from xlabel.model.geometry import bbox_of
from xlabel.model.manifest import VERSION, Frame, Seen

_DIGITS = {"stream": 32, "pixels": 32, "perceptual": 64}
"""Of the fingerprints of an image, docs/embedding_spec.md."""
_OURS = frozenset({"pack_id", "bundle", "frames"})

_decode = msgspec.json.Decoder(Record).decode


class Unified(Struct):
    """An annotation file that has been read."""

    dataset: Dataset
    """Samples in the order of the file."""
    frames: list[Frame] | None
    """Where each image lies in the bundle; None where the file does not say it of all of them."""
    prints: list[dict[str, str]]
    """The fingerprints of each image, by their names, as far as the file has them."""
    seen: list[Seen | None]
    """What each image file is now, where it differs from its frame in embedded labels."""
    section: dict[str, Any]
    """The file's own object `xlabel`."""
    unmatched: list[Sample]
    """Labels that had no image."""
    problems: list[Problem]


class Top(Struct):
    """What an annotation file says of the whole."""

    categories: list[Category]
    by_id: dict[Any, Category]
    """Categories by the ids that the file's annotations have."""
    extra: dict[str, Any] | None
    """Top-level fields of the source."""
    section: dict[str, Any]
    """The file's own object `xlabel`."""
    unmatched: list[Sample]
    """Labels that had no image."""
    origin: Origin | None
    problems: list[Problem]


class Described(NamedTuple):
    """What an annotation file says of one image."""

    sample: Sample
    frame: Frame | None
    prints: dict[str, str]
    """Its fingerprints, by their names."""
    seen: Seen | None
    problems: list[Problem]


def is_ours(top: object) -> bool:
    """Whether the top level of a JSON document is that of an annotation file.

    What another tool calls `xlabel` has neither a whole number as version nor the name or id of a pack.
    """
    if not isinstance(top, dict) or "xlabel" not in top:
        return False
    section, _ = value_of(top["xlabel"])
    return isinstance(section, dict) and (
        type(section.get("version")) is int or not _OURS.isdisjoint(section)
    )


def read(data: bytes, where: str) -> Unified:
    """The data set in an annotation file; InputError where it is none."""
    fields = parse(data, where)
    if not isinstance(fields, dict) or "xlabel" not in fields or "images" not in fields:
        raise InputError(
            f'{where}: expected an annotation file of xlabel, with "images" and "xlabel"; pack again'
        )
    top, state = _top(fields, where)
    file = File(path=where)
    samples, frames, prints, seen, index = _images(state, file, _list(fields, "images", where))
    groups: list[list[Annotation]] = [[] for _ in samples]
    _annotations(state, file, _list(fields, "annotations", where), index, top.by_id, groups)
    samples = [
        replace(sample, annotations=tuple(group)) if group else sample
        for sample, group in zip(samples, groups, strict=True)
    ]
    dataset = Dataset(samples=samples, categories=top.categories, extra=top.extra, origin=top.origin)
    return Unified(dataset, frames, prints, seen, top.section, top.unmatched, state.problems)


def read_top(tail: bytes, where: str) -> Top:
    """What an annotation file says of the whole, by its text from the end of its annotations on."""
    fields = parse(b"{" + tail.lstrip(b"],\n"), where)
    if not isinstance(fields, dict) or "xlabel" not in fields:
        raise InputError(
            f'{where}: expected an annotation file of xlabel, with "xlabel" at its end; pack again'
        )
    return _top(fields, where)[0]


def described(top: Top, image: bytes, annotations: bytes, where: str) -> Described:
    """One image by its record and those of its annotations, joined as they are in the file."""
    state, file = Reading(where=where, several=False), File(path=where)
    samples, frames, prints, seen, index = _images(state, file, [Raw(image)])
    if not samples:
        raise CorruptError(f"{where}: {state.problems[0].message}; pack again")
    group: list[Annotation] = []
    if annotations:
        raws = [Raw(line) for line in annotations.split(b",\n")]
        _annotations(state, file, raws, index, top.by_id, [group])
    sample = replace(samples[0], annotations=tuple(group)) if group else samples[0]
    return Described(sample, frames[0] if frames else None, prints[0], seen[0], state.problems)


def _top(fields: Mapping[str, Raw], where: str) -> tuple[Top, Reading]:
    """What a file says of the whole, and its reading so far."""
    state, file = Reading(where=where, several=False), File(path=where)
    section = _section(fields["xlabel"], where)
    by_id = read_categories(state, file, _list(fields, "categories", where))
    extra = {key: _field(raw, key, where) for key, raw in fields.items() if key not in (*LISTS, "xlabel")}
    extra |= section.get("extra") or {}
    unmatched = [
        found
        for at, item in enumerate(section.get("unmatched") or ())
        if (found := _as_sample(state, file, f"xlabel.unmatched[{at}]", item, by_id)) is not None
    ]
    if unmatched:
        section["unmatched"] = unmatched
    origin = _origin(state, section.get("origin"))
    return Top(state.categories, by_id, extra or None, section, unmatched, origin, state.problems), state


def _field(raw: Raw, key: str, where: str) -> Any:
    found, wrong = value_of(raw)
    if found is UNSET:
        raise InputError(f"{where}: {key}: {wrong}; or pack again")
    return found


def _section(raw: Raw, where: str) -> dict[str, Any]:
    section = _field(raw, "xlabel", where)
    if not isinstance(section, dict):
        raise InputError(f"{where}: expected an object as xlabel, got {beginning(raw)}; pack again")
    version = section.get("version", VERSION)
    if type(version) is not int or version > VERSION:
        raise CorruptError(
            f"{where}: is of version {version!r:.20}, this xlabel reads up to {VERSION}; upgrade xlabel"
        )
    for key, kind in (("extra", dict), ("unmatched", list)):
        if not isinstance(section.get(key) or kind(), kind):
            raise InputError(f"{where}: xlabel.{key}: expected {kind.__name__}; pack again")
    return section


def _origin(state: Reading, raw: Any) -> Origin | None:
    if raw is None:
        return None
    try:
        return msgspec.convert(raw, Origin)
    except msgspec.ValidationError as error:
        state.problem("xlabel.origin", "bad-origin", f"{error}; it is left out")
        return None


def _list(top: Mapping[str, Raw], key: str, where: str) -> list[Raw]:
    found = records(top[key]) if key in top else []
    if found is None:
        raise InputError(f"{where}: {key}: expected a list, got {beginning(top[key])}; pack again")
    return found


def _images(
    state: Reading, file: File, raws: list[Raw]
) -> tuple[list[Sample], list[Frame] | None, list[dict[str, str]], list[Seen | None], dict[Any, int]]:
    """What the file says of the images, and their positions by the ids that it gives them."""
    samples: list[Sample] = []
    frames: list[Frame | None] = []
    prints: list[dict[str, str]] = []
    seen: list[Seen | None] = []
    index: dict[Any, int] = {}
    for at, raw in enumerate(raws):
        found = object_at(state, file, "images", at, raw)
        if found is None:
            continue
        sample, wrong = _sample(found)
        for code, message in wrong:
            state.problem(f"images[{at}]", code, message)
        if is_id(found.get("id")):
            index.setdefault(found["id"], len(samples))
        samples.append(sample)
        frames.append(_frame(found, sample.image))
        prints.append(_prints(found))
        seen.append(_seen(found))
    every = [frame for frame in frames if frame is not None]
    return samples, every if every and len(every) == len(frames) else None, prints, seen, index


def _prints(found: dict[str, Any]) -> dict[str, str]:
    said = found.get("xlabel")
    given = said if isinstance(said, dict) else {}
    return {
        name: text
        for name, digits in _DIGITS.items()
        if isinstance(text := given.get(name), str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", text)
    }


def _seen(found: dict[str, Any]) -> Seen | None:
    said = found.get("xlabel")
    if not isinstance(said, dict) or "file" not in said:
        return None
    try:
        return msgspec.convert(said["file"], Seen)
    except msgspec.ValidationError:
        return None


def _sample(found: dict[str, Any]) -> tuple[Sample, list[tuple[str, str]]]:
    said = found.get("xlabel")
    said = said if isinstance(said, dict) else {}
    bare = {key: item for key, item in found.items() if key not in PLACED or "frame_index" not in found}
    image, split, problems = image_of(bare)
    identity = said.get("id", image.id)
    derived = said.get("derived")
    if (isinstance(derived, list) and "id" in derived) or not isinstance(identity, (int, str)):
        identity = None
    if identity != image.id:
        image = replace(image, id=identity)
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


def _frame(found: dict[str, Any], image: Image) -> Frame | None:
    said = found.get("xlabel")
    said = said if isinstance(said, dict) else {}
    if "frame_index" not in found:
        return None
    try:
        frame = msgspec.convert(
            {
                "index": found["frame_index"],
                "key": image.key,
                "offset": found.get("offset"),
                "size": found.get("size"),
                "width": image.width,
                "height": image.height,
                "sha256": found.get("sha256"),
                "mime": said.get("mime", "application/octet-stream"),
                "orientation": image.orientation,
                "placeholder": said.get("placeholder", False),
                "name_bytes": said.get("name_bytes"),
                "psnr": said.get("psnr"),
                "original": said.get("original"),
            },
            Frame,
        )
        base64.b64decode(frame.name_bytes or "", validate=True)
    except (msgspec.ValidationError, ValueError):
        return None
    return frame


def _annotations(
    state: Reading,
    file: File,
    raws: list[Raw],
    index: dict[Any, int],
    categories: dict[Any, Category],
    groups: Sequence[list[Annotation]],
) -> None:
    """Put the annotations into the groups of their images."""
    for at, raw in enumerate(raws):
        try:
            record: Record | None = _decode(raw)
        except BAD:
            record = None
        annotation, position = None, -1
        bbox: Any = None
        outline: Any = None
        if record is not None and (record.xlabel is UNSET or record.xlabel.shape is UNSET):
            category = categories.get(record.category_id)
            if category is not None or record.category_id is None:
                position = index.get(record.image_id, -1)
            if position >= 0:
                bbox = record.bbox
                annotation = _annotation(record, category)
        if record is None or annotation is None:
            looked = closer(state, file, at, raw, index, categories)
            if looked is None:
                continue
            position, annotation, record, _ = looked
            annotation = _with_origin(annotation, record)
            bbox, outline = record.bbox, record.segmentation
        named = () if record.xlabel is UNSET else record.xlabel.derived
        if named and ("bbox" in named or "segmentation" in named):
            _tell_ignored(
                state,
                f"annotations[{at}]",
                annotation,
                bbox if "bbox" in named else None,
                outline if "segmentation" in named else None,
            )
        groups[position].append(annotation)


def _tell_ignored(state: Reading, at: str, annotation: Annotation, bbox: Any, segmentation: Any) -> None:
    """List a derived box or outline that is not what its geometry makes: it was edited, and is not read."""
    changed = []
    made = bbox_of(annotation)
    if bbox and made is not None and not _alike(bbox, made):
        changed.append("bbox")
    if segmentation and isinstance(annotation.shape, OrientedBox):
        outline = segmentation[0] if isinstance(segmentation, tuple) else ()
        if not _alike(outline, annotation.shape.corners):
            changed.append("segmentation")
    if changed:
        message = (
            f"{' and '.join(changed)} is not what the geometry makes of it, from which it is derived; edit "
            "that, or take the name out of xlabel.derived"
        )
        state.problem(at, "derived-changed", message)


def _alike(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return len(ours) == len(theirs) and all(
        abs(a - b) <= 1e-6 * max(1, abs(b)) for a, b in zip(ours, theirs, strict=True)
    )


def _annotation(record: Record, category: Category | None) -> Annotation | None:
    """The annotation of a record that is in order; None where it takes a closer look."""
    said = record.xlabel
    if said is UNSET:
        return annotation_of(record, category, None, None) if is_clean(record) else None
    record.xlabel = UNSET
    clean = said.mask is UNSET and is_clean(record)
    record.xlabel = said
    if not clean:
        return None
    take_back(record)
    origin = None if said.origin is UNSET else said.origin
    annotation = annotation_of(record, category, None, origin)
    if (
        said.status is UNSET
        and said.author is UNSET
        and said.time is UNSET
        and said.source is UNSET
        and said.extra is UNSET
    ):
        return annotation
    return said_of(annotation, said)


def _with_origin(annotation: Annotation, record: Record) -> Annotation:
    if record.xlabel is UNSET or record.xlabel.origin is UNSET:
        return annotation
    return replace(annotation, origin=record.xlabel.origin)


def _as_sample(
    state: Reading, file: File, at: str, item: Any, categories: dict[Any, Category]
) -> Sample | None:
    """A sample out of its records in the section."""
    image = item.get("image") if isinstance(item, dict) else None
    inside = item.get("annotations", []) if isinstance(item, dict) else None
    if not isinstance(image, dict) or not isinstance(inside, list):
        state.problem(at, "bad-record", "expected an image and annotations; it is left out")
        return None
    sample, wrong = _sample(image)
    for code, message in wrong:
        if code != "bad-id":
            state.problem(at, code, message)
    looked = [label_of(state, file, at, raw, categories) for raw in inside if isinstance(raw, dict)]
    return replace(sample, annotations=tuple(_with_origin(*pair) for pair in looked))
