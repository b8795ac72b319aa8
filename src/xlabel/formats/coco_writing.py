"""A data set as COCO documents: those that it was read from, or one of its own."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from xlabel.formats.coco_images import category_of, category_record, image_of, image_record, is_id, rewritten
from xlabel.formats.coco_joining import extra_of, joined_category
from xlabel.formats.coco_layout import FILE, LISTS, File, Place, files_of, places, split_of, starts
from xlabel.formats.coco_reading import baseline_of
from xlabel.formats.coco_records import DERIVED, Record, Spelling, box_record, complete, record_of, spelling
from xlabel.formats.pairing import stem
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
    "source": ("xlabel",),
}


class _Image(Struct):
    """An image's record in a file; it had one before where there is a place."""

    at: float
    position: int
    sample: Sample
    place: Place | None
    id: Any
    first: dict[str, Any] | None = None
    """Its record in the first of several files."""


class _Label(Struct, gc=False):
    """An annotation's record in a file."""

    at: float
    annotation: Annotation
    place: Place | None
    sample: Sample
    image_id: Any
    turned: bool
    """Whether the document has it as it lies on the stored matrix."""


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
    image_start: int
    label_start: int
    images: list[_Image] = field(default_factory=list)
    image_ids: dict[int, Any] = field(default_factory=dict)
    """By the position of the sample."""
    labels: list[_Label] = field(default_factory=list)
    categories: list[tuple[Category | None, Any, Any]] = field(default_factory=list)
    """The list of categories, with the id in the file, and the record that they had."""
    listed: dict[tuple[int, str], tuple[Category, Any]] = field(default_factory=dict)
    """By id and name in the model: the category, and the id in the file."""
    taken: set[Any] = field(default_factory=set)
    """Ids of categories in the file."""
    top: int = 0
    """The highest of these that is a number."""
    by_object: dict[int, Any] = field(default_factory=dict)
    """Ids in the file of the category objects that have been met."""
    named: bool = False
    """Whether a document without list of categories has come to need one."""
    spellings: dict[Any, Spelling] = field(default_factory=dict)


def write(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(path, chunks) of each document."""
    known = files_of(dataset.origin)
    if not known and not isinstance(dataset.samples, list):
        yield FILE, _streamed(dataset)
        return
    dataset = replace(dataset, samples=list(dataset.samples))
    files = known or [File(path=FILE)]
    documents = [
        _Document(*parts)
        for parts in zip(
            files,
            _extras(dataset, files),
            starts(files, "images"),
            starts(files, "annotations"),
            strict=True,
        )
    ]
    _place_images(dataset, documents, bool(known))
    _place_labels(dataset, documents, bool(known))
    read = _as_read(documents)
    for document in documents:
        _place_categories(dataset, document, len(documents) == 1, read)
    given = (a.id for s in dataset.samples for a in s.annotations if type(a.id) is int)
    ids = _Ids(max(given, default=0) + 1, None if known else set())
    for document in documents:
        yield document.file.path, _chunks(document, ids, read)


def _extras(dataset: Dataset, files: list[File]) -> list[dict[str, Any]]:
    """The top-level fields of each file: its own, with what has been edited since."""
    now = {key: value for key, value in (dataset.extra or {}).items() if key not in LISTS}
    if len(files) == 1:
        return [now]
    before = extra_of(files) or {}
    extras = [dict(file.extra or {}) for file in files]
    for key in {**before, **now}:
        if key in now and key in before and now[key] == before[key]:
            continue
        for extra in [extra for extra in extras if key in extra] or extras[:1]:
            extra.pop(key, None)
            if key in now:
                extra[key] = now[key]
    return extras


def _place_images(dataset: Dataset, documents: list[_Document], again: bool) -> None:
    """Give each image its records, in the order of the documents."""
    given = (s.image.id for s in dataset.samples if type(s.image.id) is int)
    ids = _Ids(max(given, default=0) + 1, None if again else set())
    first = [document.image_start for document in documents]
    labels = [document.label_start for document in documents]
    for position, sample in enumerate(dataset.samples):
        own = _records(sample) if again else []
        if own:
            for place in own:
                identity = _image_id(sample, place)
                if identity is None and place.record is None:
                    identity = ids.of(None)
                at = _LAST if place.at is None else place.at
                image = _Image(at, position, sample, place, identity, own[0].record)
                _add(documents[_file_at(place.at, first)], image)
        elif not again or _needs_record(sample, documents, labels):
            document = documents[_file_for(sample, documents)]
            _add(document, _Image(_LAST, position, sample, None, ids.of(sample.image.id)))
    for document in documents:
        document.images = _ordered(document.images)


def _add(document: _Document, image: _Image) -> None:
    document.images.append(image)
    document.image_ids[image.position] = image.id


def _ordered(images: list[_Image]) -> list[_Image]:
    """By their places; where none is kept, the document had them by name. New ones come last."""
    old = [image for image in images if image.place is not None]
    new = [image for image in images if image.place is None]
    if all(image.at == _LAST for image in old):
        old.sort(key=lambda image: image.sample.named or image.sample.image.key)
    else:
        old.sort(key=lambda image: image.at)
    return old + new


def _image_id(sample: Sample, place: Place) -> Any:
    """The id that an image has in a file with a record of it."""
    identity = sample.image.id
    if place.id is not None and place.id[0] == identity:
        identity = place.id[1]
    if place.record is not None and image_of(place.record)[0].id == identity:
        return place.record.get("id")
    return identity


def _records(sample: Sample) -> list[Place]:
    """Where documents have records of an image; none where only results name it, by an id that was taken."""
    own = places(sample.origin) if sample.origin is not None else []
    return [] if len(own) == 1 and own[0].id is not None and own[0].at is None else own


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
    first = [document.label_start for document in documents]
    for position in _in_order(dataset, documents):
        sample = dataset.samples[position]
        home = next((d for d in documents if position in d.image_ids), documents[0])
        home_id = home.image_ids.get(position)
        if home_id is None:
            renumbered = again and sample.origin is not None
            home_id = _image_id(sample, places(sample.origin)[0]) if renumbered else sample.image.id
        turned = again and sample.origin is not None and sample.turned
        for annotation in sample.annotations:
            origin = annotation.origin if again else None
            if origin is None:
                home.labels.append(_Label(_LAST, annotation, None, sample, home_id, turned))
                continue
            for place in places(origin):
                document = home if place.at is None else documents[_file_at(place.at, first)]
                at = _LAST if place.at is None else place.at
                image_id = document.image_ids.get(position, home_id)
                document.labels.append(_Label(at, annotation, place, sample, image_id, turned))
    for document in documents:
        if any(label.at != _LAST for label in document.labels):
            document.labels.sort(key=lambda label: label.at)


def _in_order(dataset: Dataset, documents: list[_Document]) -> Iterable[int]:
    """Positions of the samples as the first document has them; in others every place is kept."""
    order = {image.position: n for n, image in enumerate(documents[0].images)}
    end = len(order)
    return sorted(range(len(dataset.samples)), key=lambda position: order.get(position, end))


def _as_read(documents: list[_Document]) -> dict[int, Category]:
    """What all files together said of each category when they were read."""
    read: dict[int, Category] = {}
    for document in documents:
        for identity, raw in document.file.categories or ():
            category = category_of(raw)[0] if isinstance(raw, dict) else None
            if category is not None and identity is not None:
                category = replace(category, id=identity)
                known = read.get(identity)
                read[identity] = category if known is None else joined_category(known, category)
    return read


def _place_categories(dataset: Dataset, document: _Document, alone: bool, read: dict[int, Category]) -> None:
    """Give a document its list of categories: its own, and those that have come since."""
    file = document.file
    records = {i: raw for i, raw in file.categories or () if i is not None and isinstance(raw, dict)}
    if file.kind == "results" or "categories" in (file.missing or ()):
        for category in dataset.categories:
            identity = records.get(category.id, {}).get("id", category.id)
            _know(document, category, identity)
        return
    by_id: dict[int, Category] = {}
    for category in dataset.categories:
        by_id.setdefault(category.id, category)
    for identity, raw in file.categories or ():
        if identity is None:
            document.categories.append((None, None, raw))
        elif identity in by_id and isinstance(raw, dict):
            _list(document, by_id[identity], raw.get("id"), raw)
    if file.categories is None or alone:
        for category in dataset.categories:
            if category.id not in records or by_id[category.id] is not category:
                _list(document, category, _free(document, category), None)


def _list(document: _Document, category: Category, identity: Any, raw: Any) -> None:
    document.categories.append((category, identity, raw))
    document.by_object[id(category)] = identity
    _know(document, category, identity)


def _know(document: _Document, category: Category, identity: Any) -> None:
    document.listed.setdefault((category.id, category.name), (category, identity))
    if isinstance(identity, (int, str)):
        document.taken.add(identity)
        document.top = max(document.top, identity) if isinstance(identity, int) else document.top


def _free(document: _Document, category: Category) -> int:
    return category.id if category.id not in document.taken else document.top + 1


def _category_id(document: _Document, category: Category) -> Any:
    """The id in the file of an annotation's category, which is listed now if it was not."""
    found = document.by_object.get(id(category), UNSET)
    if found is not UNSET:
        return found
    known = document.listed.get((category.id, category.name))
    if known is None:
        wanted = (category.name, category.supercategory)
        same = (pair for pair in document.listed.values() if (pair[0].name, pair[0].supercategory) == wanted)
        known = next(same, None)
    if known is None:
        identity: Any = _free(document, category)
        _list(document, category, identity, None)
    else:
        identity = document.by_object[id(category)] = known[1]
        if "categories" in (document.file.missing or ()) and category.name != str(identity):
            document.named = True
    return identity


def _streamed(dataset: Dataset) -> Iterator[bytes]:
    """The text of a new document, written while its samples are read; images stand behind annotations."""
    ids = _Ids(1, None)
    images: list[bytes] = []
    yield b"{"
    for key, value in (dataset.extra or {}).items():
        yield _encoder.encode(key) + b":" + _encoder.encode(value) + b",\n"
    yield b'"annotations":[\n'
    comma = b""
    batch: list[Any] = []
    for number, sample in enumerate(dataset.samples, start=1):
        images.append(_encoder.encode(image_record(sample, number)))
        for annotation in sample.annotations:
            category = None if annotation.category is None else annotation.category.id
            identity = ids.of(None)
            batch.append(
                box_record(annotation, identity, number, category)
                or complete(record_of(annotation, identity, number, category), annotation)
            )
        if len(batch) >= _BATCH:
            yield comma + b"".join(_lines(batch))
            comma = b",\n"
            batch.clear()
    yield (comma if batch else b"") + b"".join(_lines(batch)) + b'\n],\n"images":[\n' + b",\n".join(images)
    categories = (category_record(category, category.id) for category in dataset.categories)
    yield b'\n],\n"categories":[\n' + b"".join(_lines(categories)) + b"\n]}\n"


def _chunks(document: _Document, ids: _Ids, read: dict[int, Category]) -> Iterator[bytes]:
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
    labels = _panoptic_records if file.kind == "panoptic" else _label_records
    lists = (_image_records(document), labels(document, ids), _category_records(document, read))
    for key, records in zip(LISTS, lists, strict=True):
        lines = _lines(records)
        start = next(lines, None)
        if start is None and key in (file.missing or ()):
            continue
        yield comma + _encoder.encode(key) + b":"
        comma = b",\n"
        if start is None:
            yield _encoder.encode((file.odd or {}).get(key, []))
        else:
            yield b"[\n" + start
            yield from lines
            yield b"\n]"
    yield b"}\n"


def _lines(records: Iterable[Any]) -> Iterator[bytes]:
    comma = b""
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        # A line end in a text is escaped, so that those left are between the records.
        yield comma + _encoder.encode_lines(batch)[:-1].replace(b"\n", b",\n")
        comma = b",\n"


def _image_records(document: _Document) -> Iterator[Any]:
    split = split_of(document.file.path)
    records = ((image.at, _image_record(image, split)) for image in document.images)
    return _with_junk(records, document, "images", document.image_start)


def _image_record(image: _Image, split: str | None) -> dict[str, Any]:
    if image.place is None:
        return image_record(image.sample, image.id, split)
    if image.place.record is None:
        return image_record(image.sample, image.id, split, again=True)
    record = rewritten(image.place.record, image.sample, split, image.first)
    if record.get("id") != image.id:
        record["id"] = image.id
    return record


def _label_records(document: _Document, ids: _Ids) -> Iterator[Any]:
    start = document.label_start
    records = ((label.at, _label_record(document, label, ids)) for label in document.labels)
    return _with_junk(records, document, "annotations", start)


def _with_junk(
    records: Iterator[tuple[float, Any]], document: _Document, key: str, start: int
) -> Iterator[Any]:
    """Records (with their places), and between them those that the model has no place for."""
    junk = (document.file.junk or {}).get(key)
    if junk:
        records = merge(records, sorted(((start + at, raw) for at, raw in junk), key=_at), key=_at)
    return (record for _, record in records)


def _at(pair: tuple[float, Any]) -> float:
    return pair[0]


def _label_record(document: _Document, label: _Label, ids: _Ids) -> Record | dict[str, Any]:
    """The record of an annotation, as it stood wherever that is still true."""
    annotation, place, sample = label.annotation, label.place, label.sample
    file = document.file
    status = "suggestion" if file.kind == "results" else None
    spelled = _spelling(document, place)
    if place is not None and place.without:
        annotation = replace(annotation, **dict.fromkeys(set(place.without) & _OPTIONAL))
    if place is not None and place.record is not None:
        return _again(document, label, annotation, place.record, status)
    if label.turned:
        assert sample.drawn is not None
        annotation = turn_back(annotation, sample.image.orientation, *sample.drawn)
    identity = annotation.id
    if place is not None and place.id is not None and place.id[0] == identity:
        identity = place.id[1]
    if identity is not None:
        identity = ids.of(identity)
    elif spelled.id is DERIVED:
        identity = ids.of(None)
    else:
        identity = spelled.id
    category = annotation.category
    category_id = spelled.category_id if category is None else _category_id(document, category)
    record = record_of(annotation, identity, label.image_id, category_id, spelled, status)
    return complete(record, annotation)


def _spelling(document: _Document, place: Place | None) -> Spelling:
    form = place.form if place is not None else None
    key = tuple(form.items()) if form else None
    found = document.spellings.get(key)
    if found is None:
        found = document.spellings[key] = spelling(document.file.form, form)
    return found


def _again(
    document: _Document, label: _Label, annotation: Annotation, raw: dict[str, Any], status: str | None
) -> dict[str, Any]:
    """A record as it stood, with what has been edited since."""
    place, sample, category = label.place, label.sample, annotation.category
    before, _, _ = baseline_of(raw, None, status)
    drawn = before
    if label.turned:
        assert sample.drawn is not None
        before = _turned(before, sample)
        drawn = turn_back(annotation, sample.image.orientation, *sample.drawn)
    else:
        drawn = annotation
    identity = annotation.id
    if place is not None and place.id is not None and place.id[0] == identity:
        identity = place.id[1]
    record = dict(raw)
    if identity is not None and identity != before.id:
        record["id"] = identity
    if document.file.kind != "panoptic" and record.get("image_id") != label.image_id:
        record["image_id"] = label.image_id
    named = raw.get("category_id")
    if category is not None and _category_id(document, category) != named:
        record["category_id"] = _category_id(document, category)
    elif category is None and is_id(named) and named in document.taken:
        record["category_id"] = None
    changed = [name for name in _SAYING if getattr(before, name) != getattr(annotation, name)]
    more = before.extra != annotation.extra
    if changed or more:
        new: dict[str, Any] = msgspec.to_builtins(
            complete(
                record_of(drawn, identity, label.image_id, None, _spelling(document, None), status), drawn
            )
        )
        for key in {key for name in changed for key in _SAYING[name]} | ({"xlabel"} if more else set()):
            if key in new:
                record[key] = new[key]
            elif key != "xlabel" or more or "xlabel" not in (before.extra or {}):
                record.pop(key, None)
        if more:
            for key in before.extra or ():
                record.pop(key, None)
            record |= {key: value for key, value in new.items() if key in (annotation.extra or {})}
    return record


def _panoptic_records(document: _Document, ids: _Ids) -> Iterator[Any]:
    """An image's record with its segments."""
    segments: dict[int, list[Any]] = {}
    for label in document.labels:
        record = _label_record(document, label, ids)
        if isinstance(record, Record):
            record.image_id = UNSET
        elif label.place is None or label.place.record is None:
            record.pop("image_id", None)
        segments.setdefault(id(label.sample), []).append(record)
    shells: list[tuple[float, Any]] = []
    for image in document.images:
        inside = segments.get(id(image.sample), [])
        place = image.place.panoptic if image.place is not None else None
        if place is None and not inside:
            continue
        shell = dict(place.record or {}) if place is not None else {}
        if not shell:
            shell["file_name"] = stem(image.sample.named or image.sample.image.key) + ".png"
        if shell.get("image_id") != image.id:
            shell["image_id"] = image.id
        at = _LAST if place is None or place.at is None else place.at
        shells.append((at, {**shell, "segments_info": inside}))
    shells.sort(key=_at)
    return _with_junk(iter(shells), document, "annotations", 0)


def _category_records(document: _Document, read: dict[int, Category]) -> Iterator[Any]:
    """The list of categories, each as it stood, with what has been edited since."""
    if document.named:
        document.categories = [(category, identity, None) for category, identity in document.listed.values()]
    for category, identity, raw in document.categories:
        if category is None:
            yield raw
            continue
        now = category_record(category, identity)
        before = read.get(category.id)
        if before is None or raw is None:
            yield now
            continue
        then = category_record(before, identity)
        record = {key: value for key, value in raw.items() if key in now or key not in then}
        yield record | {key: now[key] for key in now if key not in then or then[key] != now[key]}


def _turned(annotation: Annotation, sample: Sample) -> Annotation:
    """An annotation as the file has it, as it lies in the displayed image."""
    assert sample.drawn is not None
    try:
        return turn(annotation, sample.image.orientation, *sample.drawn)
    except ValueError:  # a mask that cannot be decoded
        return turn(replace(annotation, mask=None), sample.image.orientation, *sample.drawn)


_OPTIONAL = frozenset(Annotation.__struct_fields__) - {"crowd"}
