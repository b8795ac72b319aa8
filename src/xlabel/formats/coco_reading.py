"""COCO documents, results lists and panoptic files into samples, one after the other into one data set."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from copy import copy
from itertools import combinations
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, field

from xlabel.errors import InputError
from xlabel.formats.coco_images import (
    category_of,
    category_record,
    image_of,
    image_record,
    is_id,
    is_plain,
    same,
)
from xlabel.formats.coco_layout import LISTS, File, Place, kept, split_of, starts
from xlabel.formats.coco_records import (
    Record,
    absent,
    annotation_of,
    complete,
    differing,
    is_clean,
    loose,
    record_of,
    said_of,
    spelling,
    take_back,
    words,
)
from xlabel.formats.untrusted import is_deep, shortened
from xlabel.model import Annotation, Category, Image, Number, Problem, Sample
from xlabel.model.report import counted

BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on text that is not as it should be; a ValidationError is a DecodeError."""

_decode = msgspec.json.Decoder(Record).decode
_anything = msgspec.json.Decoder().decode
_NOTHING: dict[str, Any] = {}
_NOTED = 20  # pairs of documents
_JOINED = (
    "category", "bbox", "polygons", "mask", "keypoints", "shape", "area", "score", "caption", "attributes",
    "author", "time", "extra",
)  # fmt: skip


class Reading(Struct):
    """What has been read so far, of all files."""

    where: str
    """What a person calls the file that is being read."""
    several: bool
    """Whether there are several files: then every record's place is kept."""
    images: list[Image] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    named: list[str | None] = field(default_factory=list)
    image_places: list[Place | None] = field(default_factory=list)
    groups: list[list[Annotation]] = field(default_factory=list)
    categories: list[Category] = field(default_factory=list)
    category_places: dict[int, int] = field(default_factory=dict)
    """Id of each category -> its place among them."""
    top_category: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    names: dict[tuple[str, str | None, str], int] = field(default_factory=dict)
    """Images of the files before: folder, split and name, to their positions."""
    keys: set[str] = field(default_factory=set)
    tried: dict[str, int] = field(default_factory=dict)
    """Key that was taken -> the next number to tell another one apart by."""
    image_ids: set[Any] = field(default_factory=set)
    annotation_ids: dict[Any, tuple[int, int]] = field(default_factory=dict)
    """Of the files before: id to image and position in its group."""
    indexes: list[tuple[str | None, dict[Any, int], dict[Any, Category]]] = field(default_factory=list)
    """Of each document before: split, images and categories by the ids that it gives them."""
    clashing_images: list[int] = field(default_factory=list)
    clashing: list[tuple[int, int]] = field(default_factory=list)
    image_place: int = 0
    annotation_place: int = 0

    def add_category(self, category: Category) -> None:
        """Add a category, which has an id of its own."""
        self.categories.append(category)
        self.category_places[category.id] = len(self.categories) - 1
        self.top_category = max(self.top_category, category.id)

    def problem(self, at: str, code: str, message: str) -> None:
        """List what is wrong with a record, or with the file where `at` is empty."""
        self.problems.append(Problem(f"{self.where}: {at}" if at else self.where, code, message))


def parse(data: bytes, where: str) -> dict[str, Raw] | list[Raw]:
    """The top level of a JSON document; InputError says the line of what is wrong."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    start = data[:64].lstrip()[:1]
    try:
        if start == b"[":
            return msgspec.json.decode(data, type=list[Raw])
        return msgspec.json.decode(data, type=dict[str, Raw])
    except RecursionError:
        raise InputError(f"{where}: nested too deeply for any label file; is it damaged?") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: expected UTF-8, found other bytes ({error.reason}); save it as UTF-8"
        ) from None
    except msgspec.DecodeError as error:
        raise InputError(f"{where}{_reason(data, str(error))}") from None


def is_document(top: dict[str, Raw] | list[Raw]) -> bool:
    """Whether the top level is that of a COCO document."""
    if not isinstance(top, dict) or sum(key in top for key in LISTS) < 2:
        return False
    return any(bytes(top[key])[:1] == b"[" for key in ("images", "annotations") if key in top)


def is_results(top: dict[str, Raw] | list[Raw]) -> bool:
    """Whether the top level is a list of results, by its first record."""
    if not isinstance(top, list) or not top:
        return False
    try:
        first = _anything(top[0])
    except BAD:
        return False
    tells = ("category_id", "caption", "bbox", "segmentation", "keypoints", "score")
    return isinstance(first, dict) and "image_id" in first and any(key in first for key in tells)


def read_document(state: Reading, path: str, top: dict[str, Raw]) -> None:
    """Add a COCO document, panoptic or not."""
    file = File(path=path)
    split = split_of(path)
    lists = {key: _list(state, file, top, key) for key in LISTS}
    records = lists["annotations"] or []
    if records and any(b'"segments_info"' in bytes(raw) for raw in records[:2]):
        file.kind = "panoptic"
    categories = _categories(state, file, lists["categories"])
    index = _images(state, file, lists["images"] or [], split)
    if file.kind == "panoptic":
        _panoptic(state, file, records, index, categories)
    else:
        _annotations(state, file, records, index, categories, {})
    extra: dict[str, Any] = {}
    for key, raw in top.items():
        if key not in LISTS:
            value = _value(state, raw, key, "bad-field")
            if value is not UNSET:
                extra[key] = value
    file.extra = extra or None
    state.indexes.append((split, index, categories))
    _done(state, file)


def read_results(state: Reading, path: str, top: list[Raw]) -> None:
    """Add a list of results: suggestions for images that it names by their ids."""
    file = File(path=path, kind="results")
    split = split_of(path)
    known = [entry for entry in state.indexes if entry[0] == split] or state.indexes
    index = dict(known[0][1]) if known else {}
    categories = dict(known[0][2]) if known else {}
    _annotations(state, file, top, index, categories, {"status": "suggestion", "numbered": len(top) > 1})
    _done(state, file)


def samples(state: Reading) -> list[Sample]:
    """All that has been read."""
    _renumber(state)
    latest = {category.id: category for category in state.categories} if state.several else {}
    made = []
    for image, split, named, place, group in zip(
        state.images, state.splits, state.named, state.image_places, state.groups, strict=True
    ):
        origin = None if place is None else msgspec.to_builtins(place)
        if latest:
            group = [_renewed(annotation, latest) for annotation in group]
        made.append(Sample(image=image, annotations=tuple(group), split=split, named=named, origin=origin))
    return made


def _renewed(annotation: Annotation, latest: Mapping[int, Category]) -> Annotation:
    """An annotation with what all files say of its category."""
    category = annotation.category
    if category is None or latest[category.id] is category:
        return annotation
    return msgspec.structs.replace(annotation, category=latest[category.id])


def extra_of(files: list[File]) -> dict[str, Any] | None:
    """The top-level fields of all files; where two say different things, what the first one says."""
    extra: dict[str, Any] = {}
    for file in files:
        extra = (file.extra or {}) | extra
    return extra or None


def doubled(state: Reading) -> list[str]:
    """Notes about documents that give images labels which coincide, under ids of their own: both are kept.

    A label coincides with one of the same category and kind whose box is the same to a pixel.
    """
    if not state.several:
        return []
    first = starts(state.files, "annotations")
    counts: Counter[tuple[int, int]] = Counter()
    for group in state.groups:
        by_file: dict[int, list[Annotation]] = {}
        for annotation in group:
            if annotation.category is not None and annotation.bbox is not None:
                by_file.setdefault(bisect_right(first, _at(annotation)) - 1, []).append(annotation)
        counts.update(p for p in combinations(sorted(by_file), 2) if _coincide(by_file[p[0]], by_file[p[1]]))
    return [
        f"{state.files[one].path} and {state.files[other].path} both label {counted(count, 'images')}; "
        "if one is a copy, give the other alone as LABELS"
        for (one, other), count in counts.most_common(_NOTED)
    ]


def baseline_of(
    raw: Mapping[str, Any], category: Category | None, status: str | None
) -> tuple[Annotation, Record, list[tuple[str, str]]]:
    """What a record says, read field by field; `category` is the one that its category_id names."""
    record, extra, problems = loose(raw)
    stated = copy(record)
    take_back(stated)
    annotation = annotation_of(stated, category, status, None)
    if record.xlabel is not UNSET:
        annotation = said_of(annotation, record.xlabel)
    if extra:
        annotation = msgspec.structs.replace(annotation, extra=extra | (annotation.extra or {}))
    return annotation, record, problems


def _reason(data: bytes, error: str) -> str:
    """Where a JSON text breaks off, and what to do."""
    if "truncated" in error or not data.strip():
        return ": the JSON ends in the middle; is the file complete?"
    digits = error.rpartition("byte ")[2].rstrip(")")
    place = int(digits) if digits.isdigit() else 0
    line = data.count(b"\n", 0, place) + 1
    for word in (b"-Infinity", b"Infinity", b"NaN"):
        if data.startswith(word, place) or (place and data.startswith(word, place - 1)):
            return (
                f":{line}: expected a number, got {word.decode()}, which is no JSON; write null in its place"
            )
    found = data[place : place + 20].decode("utf-8", "replace")
    return f":{line}: no JSON from byte {place:,} on ({found!r}); {error[:1].lower()}{error[1:]}"


def _list(state: Reading, file: File, top: dict[str, Raw], key: str) -> list[Raw] | None:
    if key not in top:
        file.missing = [*(file.missing or []), key]
        return None
    try:
        return msgspec.json.decode(top[key], type=list[Raw])
    except BAD:
        value = _value(state, top[key], key, "bad-list")
        if value is not UNSET:
            file.odd = {**(file.odd or {}), key: value}
            state.problem(
                key, "bad-list", f"expected a list, got {shortened(value)}; it is kept and not read"
            )
        return None


def _value(state: Reading, raw: Raw, at: str, code: str) -> Any:
    """Any JSON value; UNSET, and a problem, where it cannot be held."""
    try:
        value = _anything(raw)
    except BAD as error:
        state.problem(
            at, code, f"expected JSON that can be read, got {shortened_raw(raw)} ({error}); left out"
        )
        return UNSET
    if isinstance(value, (dict, list)) and is_deep(value):
        state.problem(at, code, "nested deeper than 64 levels, which no label is; left out")
        return UNSET
    return value


def shortened_raw(raw: Raw) -> str:
    """The beginning of a text, as a message shows it."""
    return bytes(raw)[:40].decode("utf-8", "replace")


def _junk(file: File, key: str, at: int, value: Any) -> None:
    file.junk = file.junk or {}
    file.junk.setdefault(key, []).append((at, value))


def _categories(state: Reading, file: File, raws: list[Raw] | None) -> dict[Any, Category]:
    """The categories of a document by the ids that it gives them."""
    index: dict[Any, Category] = {}
    kept: list[tuple[int | None, Any]] = []
    odd = state.several
    known = {
        (category.name, category.supercategory): place for place, category in enumerate(state.categories)
    }
    for at, raw in enumerate(raws or ()):
        name = f"categories[{at}]"
        value = _value(state, raw, name, "bad-category")
        if value is UNSET:
            continue
        category, wrong = category_of(value) if isinstance(value, dict) else (None, "expected an object")
        if wrong is not None:
            odd = True
            kept_as = f"; read as {category.name!r}" if category else "; it is kept and not read"
            state.problem(name, "bad-category", wrong + kept_as)
        if category is None:
            kept.append((None, value))
            continue
        raw_id = value["id"]
        if raw_id in index:
            odd = True
            state.problem(
                name,
                "category-id-twice",
                f"id {raw_id!r} is {index[raw_id].name!r} already; give {category.name!r} an id of its own",
            )
        place = known.get((category.name, category.supercategory)) if state.several else None
        if place is not None and state.indexes:
            joined = joined_category(state.categories[place], category)
            state.categories[place] = joined
            category = joined
        else:
            if category.id in state.category_places or type(raw_id) is not int:
                odd = True
                category = msgspec.structs.replace(category, id=state.top_category + 1)
            state.add_category(category)
        index.setdefault(raw_id, category)
        kept.append((category.id, value))
        odd = odd or not same(category_record(category, raw_id), value)
    if odd:
        file.categories = kept
    return index


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


def _images(state: Reading, file: File, raws: list[Raw], split: str | None) -> dict[Any, int]:
    """The images of a document: positions by the ids that it gives them."""
    index: dict[Any, int] = {}
    folder = file.path[: file.path.rfind("/") + 1]
    ordered = not state.several
    last = ""
    first = len(state.images)
    mine: dict[tuple[str, str | None, str], int] = {}
    own: set[str] = set()
    for at, raw in enumerate(raws):
        name = f"images[{at}]"
        value = _value(state, raw, name, "bad-image")
        if not isinstance(value, dict):
            if value is not UNSET:
                _junk(file, "images", at, value)
                state.problem(
                    name, "bad-image", f"expected an object, got {shortened(value)}; it is not read"
                )
            ordered = False
            continue
        image, stated, problems = image_of(value)
        for code, message in problems:
            state.problem(name, code, message)
        raw_id = value.get("id")
        place = Place(at=state.image_place + at)
        named = None
        key = image.key
        ordered = ordered and last < key
        last = key
        position = state.names.get((folder, split, key))
        if position is not None and _fits(state.images[position], image) and key not in own:
            _join_image(state, position, image, value, place)
        else:
            if key in own:
                state.problem(name, "image-twice", f"{key!r} has a record already; join the two")
            elif key in state.keys:
                key = _free_key(state, key, split or folder.rstrip("/") or file.path.removesuffix(".json"))
                named, image = image.key, msgspec.structs.replace(image, key=key)
            position = len(state.images)
            mine[folder, split, named or key] = position
            sample = Sample(image=image, split=stated or split, named=named)
            if not is_plain(value) and (
                None in (image.id, image.width, image.height)
                or not same(image_record(sample, image.id, split, again=True), value)
            ):
                place.record = value
            state.images.append(image)
            state.splits.append(stated or split)
            state.named.append(named)
            state.image_places.append(place)
            state.groups.append([])
            if image.id is not None:
                if image.id in state.image_ids:
                    state.clashing_images.append(position)
                state.image_ids.add(image.id)
        own.add(named or key)
        state.keys.add(key)
        if is_id(raw_id) and index.setdefault(raw_id, position) != position:
            twice = f"id {raw_id!r} belongs to an image above; give it one of its own"
            state.problem(name, "image-id-twice", twice)
    state.names |= mine
    file.images = len(raws)
    if ordered:
        for image_place in state.image_places[first:]:
            assert image_place is not None
            image_place.at = None
    return index


def _fits(one: Image, other: Image) -> bool:
    return None in (one.width, other.width) or (one.width, one.height) == (other.width, other.height)


def _join_image(state: Reading, position: int, image: Image, value: dict[str, Any], place: Place) -> None:
    """Note that an image of a file before has a record in this one too."""
    known, first = state.images[position], state.image_places[position]
    if first is None:
        return
    if image.id != known.id:
        place.id = (known.id, image.id)
    sample = Sample(image=known, split=state.splits[position], named=state.named[position])
    if image.id is None or not same(
        image_record(sample, image.id, state.splits[position], again=True), value
    ):
        place.record = value
        if first.record is None:  # tells later what has been edited
            first.record = image_record(sample, known.id, state.splits[position], again=True)
    first.also = [*(first.also or []), place]


def _free_key(state: Reading, key: str, word: str) -> str:
    free = f"{word}/{key}"
    number = state.tried.get(free, 2)
    wanted = free
    while free in state.keys:
        free, number = f"{word}.{number}/{key}", number + 1
    state.tried[wanted] = number
    return free


def _annotations(
    state: Reading,
    file: File,
    raws: list[Raw],
    index: dict[Any, int],
    categories: dict[Any, Category],
    how: Mapping[str, Any],
) -> None:
    """The annotations of a document or a list of results, into the groups of their images.

    As long as they follow their images' order, their places need not be kept. `how`: the status that goes
    without saying, and whether places are kept from the start.
    """
    status: str | None = how.get("status")
    groups, start = state.groups, state.annotation_place
    numbered = state.several or how.get("numbered", False)
    forms: dict[int, dict[str, str] | None] = {}
    shared: dict[int, dict[str, Any] | None] = {}
    seen: set[Any] = set()
    last = -1
    for at, raw in enumerate(raws):
        try:
            record = _decode(raw)
        except BAD:
            record = None
        if record is not None and is_clean(record):
            position = index.get(record.image_id, -1)
            category = categories.get(record.category_id)
            if position >= 0 and (
                category is not None or record.category_id is UNSET or record.category_id is None
            ):
                if position < last and not numbered:
                    _number(groups, start)
                    numbered = True
                last = position
                code = absent(record)
                if code not in forms:
                    forms[code] = form = _form(file, words(code))
                    shared[code] = {"form": form} if form else None
                if not numbered:
                    origin: Any = shared[code]
                else:
                    form = forms[code]
                    origin = {"at": start + at, "form": form} if form else start + at
                identity = record.id
                if identity in seen:
                    _twice(state, at, identity)
                elif identity is not UNSET:
                    seen.add(identity)
                groups[position].append(annotation_of(record, category, status, origin))
                continue
        found = _odd(state, file, at, raw, index, categories, status)
        if found is None:
            if not numbered:
                _number(groups, start)
            numbered = True
            continue
        position, annotation, place = found
        if position < last and not numbered:
            _number(groups, start)
            numbered = True
        last = position
        if annotation.id in seen:
            _twice(state, at, annotation.id)
        elif annotation.id is not None:
            seen.add(annotation.id)
        place.at = start + at if numbered else None
        groups[position].append(msgspec.structs.replace(annotation, origin=kept(place)))
    file.annotations = len(raws)
    if state.several:
        _join(state, start)


def _odd(
    state: Reading,
    file: File,
    at: int,
    raw: Raw,
    index: dict[Any, int],
    categories: dict[Any, Category],
    status: str | None,
    position: int | None = None,
) -> tuple[int, Annotation, Place] | None:
    """An annotation whose record takes a closer look; None where it belongs to no image.

    `position` is that of its image, where the record itself does not say which that is.
    """
    name = f"annotations[{at}]" if file.kind != "results" else f"[{at}]"
    value = _value(state, raw, name, "bad-annotation")
    if value is UNSET:
        return None
    if not isinstance(value, dict):
        _junk(file, "annotations", at, value)
        state.problem(name, "bad-annotation", f"expected an object, got {shortened(value)}; it is not read")
        return None
    within = position is not None
    if position is None:
        image_id = value.get("image_id")
        position = _found(index, image_id)
        if position is None and status is not None and is_id(image_id):
            position = index[image_id] = _image_by_id(state, image_id)
        if position is None:
            _junk(file, "annotations", at, value)
            state.problem(
                name,
                "unknown-image",
                f"expected the id of an image in this file as image_id, got {shortened(image_id)}; "
                "it is kept and belongs to no image",
            )
            return None
    category = _category(state, file, name, value.get("category_id"), categories)
    annotation, record, problems = baseline_of(value, category, status)
    for code, message in problems:
        state.problem(name, code, message)
    form = _form(file, words(absent(record)))
    spelled = spelling(file.form, form)
    identity = spelled.id if annotation.id is None else annotation.id
    category_id = value.get("category_id") if category else spelled.category_id
    image_id = UNSET if within else _plain_id(value["image_id"])
    written = complete(record_of(annotation, identity, image_id, category_id, spelled, status), annotation)
    place = Place(form=form)
    if not same(written, value):
        place = Place(record=value)
    return position, annotation, place


def _found(index: Mapping[Any, int], image_id: Any) -> int | None:
    """The image that a record names; 1.0 is 1, true is nothing."""
    return index.get(image_id) if is_id(image_id) or type(image_id) is float else None


def _plain_id(image_id: Any) -> Any:
    return int(image_id) if type(image_id) is float else image_id


def _form(file: File, form: dict[str, str]) -> dict[str, str] | None:
    """What of a form is not usual in the file; the first record says what is usual."""
    if file.form is None:
        file.form = differing(form, _NOTHING)
    return differing(form, file.form) or None


def _category(
    state: Reading, file: File, name: str, raw_id: Any, categories: dict[Any, Category]
) -> Category | None:
    """The category of that id. A file that lists none goes by the ids, a file that does must list it."""
    if raw_id is None:
        return None
    if is_id(raw_id):
        if raw_id in categories:
            return categories[raw_id]
        listed = file.kind != "results" and "categories" not in (file.missing or ())
        if not listed and type(raw_id) is int:
            categories[raw_id] = _category_by_id(state, file, raw_id)
            return categories[raw_id]
    state.problem(
        name,
        "unknown-category",
        f"expected the id of one of the {len(categories):,} categories as category_id, "
        f"got {shortened(raw_id)}; it is read as a label without category",
    )
    return None


def _category_by_id(state: Reading, file: File, raw_id: int) -> Category:
    """A category that is named by its id alone."""
    place = state.category_places.get(raw_id)
    if place is not None and state.categories[place].name == str(raw_id):
        return state.categories[place]
    category = Category(id=raw_id if place is None else state.top_category + 1, name=str(raw_id))
    state.add_category(category)
    if category.id != raw_id:
        file.categories = [*(file.categories or []), (category.id, {"id": raw_id})]
    return category


def _image_by_id(state: Reading, image_id: Any) -> int:
    """An image that results name by its id alone."""
    key = str(image_id)
    if key in state.keys:
        key = _free_key(state, key, "results")
    state.keys.add(key)
    state.images.append(Image(key=key, id=image_id))
    state.splits.append(None)
    state.named.append(None)
    state.image_places.append(None)
    state.groups.append([])
    return len(state.images) - 1


def _twice(state: Reading, at: int, identity: Any) -> None:
    state.problem(
        f"annotations[{at}]",
        "annotation-id-twice",
        f"id {identity!r} belongs to another annotation; give it one of its own",
    )


def _number(groups: list[list[Annotation]], start: int) -> None:
    """Note the places of annotations that have followed their images' order so far."""
    at = start
    for group in groups:
        for number, annotation in enumerate(group):
            origin = annotation.origin
            origin = at if origin is None else {"at": at, **origin}
            group[number] = msgspec.structs.replace(annotation, origin=origin)
            at += 1


def _panoptic(
    state: Reading,
    file: File,
    raws: list[Raw],
    index: dict[Any, int],
    categories: dict[Any, Category],
) -> None:
    """The segments of a panoptic file as annotations; their masks are in PNG files, and are not read."""
    state.problem(
        "",
        "panoptic",
        "a panoptic file: its segments are read with category, box and area; their masks are in PNG files "
        "and are not read",
    )
    segments = state.annotation_place
    for at, raw in enumerate(raws):
        name = f"annotations[{at}]"
        value = _value(state, raw, name, "bad-annotation")
        if value is UNSET:
            continue
        image_id = value.get("image_id") if isinstance(value, dict) else None
        position = _found(index, image_id)
        inside = value.get("segments_info") if isinstance(value, dict) else None
        place = None if position is None else state.image_places[position]
        if (
            position is None
            or not isinstance(inside, list)
            or place is None
            or _place_in(place, state).panoptic
        ):
            _junk(file, "annotations", at, value)
            state.problem(
                name, "bad-annotation", "expected an image of this file and segments_info; it is not read"
            )
            continue
        shell = {key: item for key, item in value.items() if key != "segments_info"}
        _place_in(place, state).panoptic = Place(at=at, record=shell)
        for segment in inside:
            text = msgspec.Raw(msgspec.json.encode(segment))
            found = _odd(state, file, at, text, index, categories, None, position)
            if found is None:
                continue
            _, annotation, own = found
            own.at = segments
            state.groups[position].append(msgspec.structs.replace(annotation, origin=kept(own)))
            segments += 1
    file.annotations = segments - state.annotation_place
    if state.several:
        _join(state, state.annotation_place)


def _place_in(place: Place, state: Reading) -> Place:
    """Of an image's places, the one in the file that is being read."""
    for other in place.also or ():
        if other.at is not None and other.at >= state.image_place:
            return other
    return place


def _join(state: Reading, start: int) -> None:
    """Make one of the labels that two files have of the same thing, and note ids that they both use."""
    fresh: dict[Any, tuple[int, int]] = {}
    for position, group in enumerate(state.groups):
        number = 0
        while number < len(group):
            annotation = group[number]
            identity = annotation.id
            if identity is None or _at(annotation) < start:
                number += 1
                continue
            known = state.annotation_ids.get(identity)
            if known is None:
                fresh.setdefault(identity, (position, number))
            else:
                joined = (
                    _joined(state.groups[known[0]][known[1]], annotation) if known[0] == position else None
                )
                if joined is not None:
                    state.groups[known[0]][known[1]] = joined
                    del group[number]
                    continue
                state.clashing.append((position, number))
            number += 1
    state.annotation_ids |= fresh


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


def _at(annotation: Annotation) -> int:
    origin = annotation.origin
    at = origin.get("at") if isinstance(origin, dict) else origin
    return at if isinstance(at, int) else -1


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
    shared = sum(getattr(one, name) is not None for name in ("category", "bbox", "polygons", "mask")) - len(
        {"category", "bbox", "polygons", "mask"} & set(only_one)
    )
    if one.crowd != other.crowd or one.status != other.status or shared < 2:
        return None
    first, second = _as_place(one.origin), _as_place(other.origin)
    for place in (first, *(first.also or ())):
        place.without = (*(place.without or ()), *only_other) or None
    second.without = tuple(only_one) or None
    first.also = [*(first.also or []), second]
    return msgspec.structs.replace(one, origin=kept(first), **joined)


def _as_place(origin: Any) -> Place:
    return msgspec.convert({"at": origin} if isinstance(origin, int) else origin or {}, Place)


def _renumber(state: Reading) -> None:
    """Give new ids where two files use one id for two things; the old ones stay in the origins."""
    if state.clashing_images:
        free = max((i for i in state.image_ids if isinstance(i, int)), default=0) + 1
        for position in state.clashing_images:
            image, place = state.images[position], state.image_places[position]
            assert place is not None
            place.id = (free, image.id)
            state.images[position] = msgspec.structs.replace(image, id=free)
            for other in place.also or ():
                other.id = (free, image.id if other.id is None else other.id[1])
            free += 1
    if state.clashing:
        free = max((i for i in state.annotation_ids if isinstance(i, int)), default=0) + 1
        for position, number in state.clashing:
            annotation = state.groups[position][number]
            place = _as_place(annotation.origin)
            place.id = (free, annotation.id)
            state.groups[position][number] = msgspec.structs.replace(annotation, id=free, origin=kept(place))
            free += 1


def _done(state: Reading, file: File) -> None:
    state.files.append(file)
    state.image_place += file.images
    state.annotation_place += file.annotations
