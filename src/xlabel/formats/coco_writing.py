"""A data set as COCO documents: those that it was read from, or one of its own."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import batched
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from xlabel.formats.coco_images import category_of, category_record, image_of, image_record, rewritten
from xlabel.formats.coco_layout import FILE, File, Place, files_of, places, split_of, starts
from xlabel.formats.coco_reading import baseline_of, extra_of, joined_category
from xlabel.formats.coco_records import DERIVED, Record, Spelling, complete, record_of, spelling
from xlabel.model import Annotation, Category, Dataset, Sample
from xlabel.model.geometry import turn, turn_back

_LAST = float("inf")
_BATCH = 4096
_encoder = msgspec.json.Encoder()

# Which fields of a record say what of an annotation.
_SAYING = {
    "bbox": ("bbox",),
    "polygons": ("segmentation",),
    "mask": ("segmentation",),
    "keypoints": ("keypoints", "num_keypoints"),
    "shape": ("xlabel", "segmentation", "bbox", "area"),
    "crowd": ("iscrowd",),
    "area": ("area",),
    "score": ("score",),
    "status": ("xlabel",),
    "caption": ("caption",),
    "attributes": ("attributes",),
    "author": ("xlabel",),
    "time": ("xlabel",),
}


class _Image(Struct):
    """An image's record in a file."""

    at: float
    sample: Sample
    place: Place
    id: Any


class _Label(Struct, gc=False):
    """An annotation's record in a file."""

    at: float
    annotation: Annotation
    place: Place | None
    sample: Sample
    image_id: Any


class _Ids(Struct):
    """Hands out ids; where `seen` is given they are made unique."""

    free: int
    seen: set[Any] | None

    def of(self, identity: Any) -> Any:
        """The id itself, or a new one where it is None or taken."""
        if identity is None or (self.seen is not None and identity in self.seen):
            identity, self.free = self.free, self.free + 1
        if self.seen is not None:
            self.seen.add(identity)
        return identity


class _Document(Struct):
    """A file while it is put together."""

    file: File
    extra: dict[str, Any]
    images: list[_Image] = field(default_factory=list)
    image_ids: dict[int, Any] = field(default_factory=dict)
    """By the position of the sample."""
    labels: list[_Label] = field(default_factory=list)
    categories: list[tuple[Category | None, Any]] = field(default_factory=list)
    """What is in the list of categories, with the record (where there is one)."""
    listed: dict[int, tuple[Category, Any]] = field(default_factory=dict)
    """By the id in the model: the category, and the id in the file."""
    by_object: dict[int, Any] = field(default_factory=dict)
    """Ids in the file of category objects that have been met."""
    spellings: dict[tuple[tuple[str, str], ...], Spelling] = field(default_factory=dict)

    @property
    def status(self) -> str | None:
        """The status that goes without saying."""
        return "suggestion" if self.file.kind == "results" else None


def write(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(path, chunks) of each document."""
    known = files_of(dataset.origin)
    files = known or [File(path=FILE)]
    documents = [_Document(file, extra) for file, extra in zip(files, _extras(dataset, files), strict=True)]
    _place_images(dataset, documents, bool(known))
    _place_labels(dataset, documents, bool(known))
    _place_categories(dataset, documents)
    given = (a.id for s in dataset.samples for a in s.annotations if type(a.id) is int)
    ids = _Ids(max(given, default=0) + 1, None if known else set())
    for document in documents:
        yield document.file.path, _chunks(document, ids)


def _extras(dataset: Dataset, files: list[File]) -> list[dict[str, Any]]:
    """The top-level fields of each file: its own, with what has been edited since."""
    now = {key: value for key, value in (dataset.extra or {}).items() if key not in _LISTS}
    if len(files) == 1:
        return [now]
    before = extra_of(files) or {}
    extras = [dict(file.extra or {}) for file in files]
    for key in before.keys() | now.keys():
        if key in now and key in before and now[key] == before[key]:
            continue
        holders = [extra for extra in extras if key in extra] or extras[:1]
        for extra in holders:
            extra.pop(key, None)
            if key in now:
                extra[key] = now[key]
    return extras


def _place_images(dataset: Dataset, documents: list[_Document], again: bool) -> None:
    """Give each image its records, in the order of the documents."""
    given = (s.image.id for s in dataset.samples if type(s.image.id) is int)
    ids = _Ids(max(given, default=0) + 1, None if again else set())
    first = starts([document.file for document in documents], "images")
    labels = starts([document.file for document in documents], "annotations")
    for position, sample in enumerate(dataset.samples):
        if again and sample.origin is not None:
            for place in places(sample.origin):
                document = documents[_file_at(place.at, first)]
                identity = _image_id(sample, place)
                at = _LAST if place.at is None else place.at
                document.images.append(_Image(at, sample, place, ids.of(identity) if identity is None else identity))
                document.image_ids[position] = document.images[-1].id
        elif not again or _needs_record(sample, documents, labels):
            document = documents[_file_for(sample, documents)]
            document.images.append(_Image(_LAST, sample, Place(), ids.of(sample.image.id)))
            document.image_ids[position] = document.images[-1].id
    for document in documents:
        images = document.images
        if again and images and all(image.at == _LAST for image in images):
            fresh = [image for image in images if image.sample.origin is None]
            images = sorted((i for i in images if i.sample.origin is not None), key=_name)
            document.images = images + fresh
        else:
            images.sort(key=lambda image: image.at)


def _name(image: _Image) -> str:
    return image.sample.named or image.sample.image.key


def _image_id(sample: Sample, place: Place) -> Any:
    """The id in a file of an image that has a record there."""
    identity = sample.image.id
    if place.id is not None and place.id[0] == identity:
        identity = place.id[1]
    if place.record is not None and image_of(place.record)[0].id == identity:
        return place.record.get("id")
    return identity


def _needs_record(sample: Sample, documents: list[_Document], first: Sequence[int]) -> bool:
    """Whether an image that no document has a record of needs one: for labels that are no results."""
    return any(
        documents[_file_at(place.at, first)].file.kind != "results"
        for annotation in sample.annotations
        for place in places(annotation.origin)
    )


def _file_for(sample: Sample, documents: list[_Document]) -> int:
    """The document for an image that is in none: that of its split, else the first."""
    choices = [n for n, document in enumerate(documents) if document.file.kind != "results"] or [0]
    return next((n for n in choices if split_of(documents[n].file.path) == sample.split), choices[0])


def _file_at(at: int | None, first: Sequence[int]) -> int:
    return 0 if at is None else max(0, bisect_right(first, at) - 1)


def _place_labels(dataset: Dataset, documents: list[_Document], again: bool) -> None:
    """Give each annotation its records, in the order of the documents."""
    first = starts([document.file for document in documents], "annotations")
    samples = dataset.samples
    for position in _in_order(dataset, documents):
        sample = samples[position]
        home = next((n for n, document in enumerate(documents) if position in document.image_ids), 0)
        home_id = documents[home].image_ids.get(position, sample.image.id)
        for annotation in sample.annotations:
            origin = annotation.origin if again else None
            if origin is None:
                documents[home].labels.append(_Label(_LAST, annotation, None, sample, home_id))
                continue
            for place in places(origin):
                document = documents[home if place.at is None else _file_at(place.at, first)]
                at = _LAST if place.at is None else place.at
                image_id = document.image_ids.get(position, home_id)
                document.labels.append(_Label(at, annotation, place, sample, image_id))
    for document in documents:
        if any(label.at != _LAST for label in document.labels):
            document.labels.sort(key=lambda label: label.at)


def _in_order(dataset: Dataset, documents: list[_Document]) -> Iterable[int]:
    """Positions of the samples as the first document has them; the places do the rest for others."""
    order = {id(image.sample): n for n, image in enumerate(documents[0].images)}
    end = len(order)
    return sorted(range(len(dataset.samples)), key=lambda n: order.get(id(dataset.samples[n]), end))


def _place_categories(dataset: Dataset, documents: list[_Document]) -> None:
    """Give each document its list of categories."""
    by_id: dict[int, Category] = {}
    for category in dataset.categories:
        by_id.setdefault(category.id, category)
    listed = {i for document in documents for i, _ in document.file.categories or () if i is not None}
    for document in documents:
        if document.file.kind == "results" or "categories" in (document.file.missing or ()):
            renamed = {i: raw for i, raw in document.file.categories or () if isinstance(raw, dict)}
            for category in dataset.categories:
                _list(document, category, renamed.get(category.id, {}).get("id", category.id), None)
            continue
        for model_id, raw in document.file.categories or ():
            category = None if model_id is None else by_id.get(model_id)
            if category is not None and isinstance(raw, dict):
                _list(document, category, raw.get("id"), raw)
            elif model_id is None:
                document.categories.append((None, raw))
        if document.file.categories is None or len(documents) == 1:
            for category in dataset.categories:
                if category.id not in listed or by_id[category.id] is not category:
                    _list(document, category, _free(document, category), None)


def _list(document: _Document, category: Category, identity: Any, raw: Any) -> None:
    document.categories.append((category, {"id": identity} if raw is None else raw))
    document.listed.setdefault(category.id, (category, identity))
    document.by_object[id(category)] = identity


def _free(document: _Document, category: Category) -> int:
    taken = {identity for _, identity in document.listed.values() if type(identity) is int}
    return category.id if category.id not in taken else max(taken) + 1


def _category_id(document: _Document, category: Category) -> Any:
    """The id in the file of an annotation's category, which is listed now if it was not."""
    found = document.by_object.get(id(category), UNSET)
    if found is not UNSET:
        return found
    known = document.listed.get(category.id)
    if known is None or known[0].name != category.name:
        same = (c for c in document.listed.values() if c[0].name == category.name)
        known = next((c for c in same if c[0].supercategory == category.supercategory), None)
    if known is None:
        identity: Any = _free(document, category)
        _list(document, category, identity, None)
    else:
        identity = document.by_object[id(category)] = known[1]
    return identity


def _category_records(document: _Document) -> Iterator[Any]:
    """The list of categories, each as it stood, with what has been edited since."""
    for category, raw in document.categories:
        if category is None:
            yield raw
            continue
        now = category_record(category, raw.get("id"))
        before = category_of(raw)[0]
        if before is None or raw.keys() == {"id"}:
            yield now
            continue
        record = dict(raw)
        before = replace(before, id=category.id)
        if joined_category(before, category) != category or joined_category(category, before) != category:
            then = category_record(before, raw["id"])
            for key in then.keys() - now.keys():
                del record[key]
            record |= {key: value for key, value in now.items() if then.get(key) != value}
        yield record


def _chunks(document: _Document, ids: _Ids) -> Iterator[bytes]:
    """The text of a file, one record a line."""
    file = document.file
    if file.kind == "results":
        yield b"[\n"
        yield from _lines(_label_records(document, ids))
        yield b"\n]\n"
        return
    yield b"{"
    comma = b""
    for key, value in document.extra.items():
        yield comma + _encoder.encode(key) + b":" + _encoder.encode(value)
        comma = b",\n"
    for key in _LISTS:
        if key == "images":
            lines = _lines(_image_records(document))
        elif key == "annotations":
            lines = _lines(_panoptic_records(document, ids) if file.kind == "panoptic" else _label_records(document, ids))
        else:
            lines = _lines(_listed_categories(document))
        start = next(lines, None)
        if start is None and key in (file.missing or ()):
            continue
        yield comma + _encoder.encode(key) + b":"
        comma = b",\n"
        if start is None and key in (file.odd or {}):
            yield _encoder.encode((file.odd or {})[key])
            continue
        yield b"[\n" if start is not None else b"["
        if start is not None:
            yield start
            yield from lines
            yield b"\n"
        yield b"]"
    yield b"}\n"


_LISTS = ("images", "annotations", "categories")


def _lines(records: Iterable[Any]) -> Iterator[bytes]:
    comma = b""
    iterator = iter(records)
    while batch := _some(iterator):
        # A line end in a text is escaped, so that those left are between the records.
        yield comma + _encoder.encode_lines(batch)[:-1].replace(b"\n", b",\n")
        comma = b",\n"


def _some(iterator: Iterator[Any]) -> list[Any]:
    from itertools import islice

    return list(islice(iterator, _BATCH))
