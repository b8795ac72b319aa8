"""COCO documents, results lists and panoptic files into samples, one after the other into one data set."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from xlabel.formats.coco_images import (
    category_of,
    category_record,
    image_of,
    image_record,
    is_id,
    is_plain,
    same,
)
from xlabel.formats.coco_joining import fits, join_image, join_labels, joined_category, renewed, renumber
from xlabel.formats.coco_json import BAD, records, value_of
from xlabel.formats.coco_layout import LISTS, File, Place, kept, split_of
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
from xlabel.formats.coco_state import Picture, Reading
from xlabel.formats.untrusted import shortened
from xlabel.model import Annotation, Category, Image, Sample

_decode = msgspec.json.Decoder(Record).decode


def read_document(state: Reading, path: str, top: dict[str, Raw]) -> None:
    """Add a COCO document, panoptic or not."""
    file = File(path=path)
    split = split_of(path)
    lists = {key: _list(state, file, top, key) for key in LISTS}
    raws = lists["annotations"]
    if any(b'"segments_info"' in bytes(raw) for raw in raws[:2]):
        file.kind = "panoptic"
    categories = read_categories(state, file, lists["categories"])
    index = _images(state, file, lists["images"], split)
    if file.kind == "panoptic":
        _panoptic(state, file, raws, index, categories)
    else:
        _annotations(state, file, raws, index, categories)
    extra: dict[str, Any] = {}
    for key, raw in top.items():
        found = UNSET if key in LISTS else value_at(state, raw, key, "bad-field")
        if found is not UNSET:
            extra[key] = found
    file.extra = extra or None
    state.indexes.append((split, index, categories))
    state.end(file)


def read_results(state: Reading, path: str, top: list[Raw]) -> None:
    """Add a list of results: suggestions for images that it names by their ids.

    These are ids of the documents of its split, or of all where none has that split; of those that use an id
    for two images the first counts. An id of none of them is an image of its own.
    """
    file = File(path=path, kind="results")
    split = split_of(path)
    index: dict[Any, int] = {}
    categories: dict[Any, Category] = {}
    for _, images, named in [entry for entry in state.indexes if entry[0] == split] or state.indexes:
        index = images | index
        categories = named | categories
    _annotations(state, file, top, index, categories)
    state.end(file)


def samples(state: Reading) -> list[Sample]:
    """All that has been read."""
    renumber(state)
    latest = {category.id: category for category in state.categories} if state.several else {}
    made = []
    for picture in state.pictures:
        labels = [renewed(label, latest) for label in picture.labels] if latest else picture.labels
        made.append(
            Sample(
                image=picture.image,
                annotations=tuple(labels),
                split=picture.split,
                named=picture.named,
                origin=None if picture.place is None else msgspec.to_builtins(picture.place),
            )
        )
    return made


def value_at(state: Reading, raw: Raw, at: str, code: str) -> Any:
    """Any JSON value, and a problem where it is not as it should be; UNSET where it cannot be kept."""
    found, wrong = value_of(raw)
    if wrong is not None:
        state.problem(at, code, wrong)
    return found


def object_at(state: Reading, file: File, key: str, at: int, raw: Raw) -> dict[str, Any] | None:
    """The record `at` of images or annotations; None, and a problem, where it is none."""
    place, code = _place(file, key, at), "bad-image" if key == "images" else "bad-annotation"
    found = value_at(state, raw, place, code)
    if isinstance(found, dict):
        return found
    if found is not UNSET:
        _junk(file, key, at, found)
        state.problem(place, code, f"expected an object, got {shortened(found)}; it is not read")
    return None


def read_categories(state: Reading, file: File, raws: list[Raw]) -> dict[Any, Category]:
    """The categories of a document by the ids that it gives them."""
    index: dict[Any, Category] = {}
    kept: list[tuple[int | None, Any]] = []
    odd = state.several
    known = {
        (category.name, category.supercategory): place for place, category in enumerate(state.categories)
    }
    for at, raw in enumerate(raws):
        name = f"categories[{at}]"
        found = value_at(state, raw, name, "bad-category")
        if found is UNSET:
            continue
        category, wrong = category_of(found) if isinstance(found, dict) else (None, "expected an object")
        if wrong is not None:
            odd = True
            kept_as = f"; read as {category.name!r}" if category else "; it is kept and not read"
            state.problem(name, "bad-category", wrong + kept_as)
        if category is None:
            kept.append((None, found))
            continue
        raw_id = found["id"]
        if raw_id in index:
            odd = True
            state.problem(
                name,
                "category-id-twice",
                f"id {raw_id!r} is {index[raw_id].name!r} already; give {category.name!r} an id of its own",
            )
        place = known.get((category.name, category.supercategory)) if state.several else None
        if place is not None and state.indexes:
            state.categories[place] = category = joined_category(state.categories[place], category)
        else:
            if category.id in state.category_places or type(raw_id) is not int:
                odd = True
                category = replace(category, id=state.top_category + 1)
            state.add_category(category)
        index.setdefault(raw_id, category)
        kept.append((category.id, found))
        odd = odd or not same(category_record(category, raw_id), found)
    if odd:
        file.categories = kept
    return index


def closer(
    state: Reading,
    file: File,
    at: int,
    raw: Raw,
    index: dict[Any, int],
    categories: dict[Any, Category],
    position: int | None = None,
) -> tuple[int, Annotation, Record, dict[str, Any]] | None:
    """What a record of an annotation says, field by field: position of its image, label, fields, all of it.

    `position` is given where the record itself does not say it. None where it belongs to no image.
    """
    found = object_at(state, file, "annotations", at, raw)
    if found is None:
        return None
    name = _place(file, "annotations", at)
    if position is None:
        image_id = found.get("image_id")
        position = _found(index, image_id)
        if position is None and file.kind == "results" and is_id(image_id):
            position = index[image_id] = _image_by_id(state, file, at, image_id)
        if position is None:
            _junk(file, "annotations", at, found)
            state.problem(
                name,
                "unknown-image",
                f"expected the id of an image in this file as image_id, got {shortened(image_id)}; "
                "the label belongs to no image, correct the id",
            )
            return None
    return position, *label_of(state, file, name, found, categories), found


def label_of(
    state: Reading, file: File, at: str, raw: Mapping[str, Any], categories: dict[Any, Category]
) -> tuple[Annotation, Record]:
    """The label that a record says, and its fields; what is wrong with them is listed for the place `at`."""
    category = _category(state, file, at, raw.get("category_id"), categories)
    annotation, record, problems = baseline_of(raw, category, _status(file))
    for code, message in problems:
        state.problem(at, code, message)
    return annotation, record


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
        annotation = replace(annotation, extra=extra | (annotation.extra or {}))
    return annotation, record, problems


def _place(file: File, key: str, at: int) -> str:
    return f"[{at}]" if file.kind == "results" else f"{key}[{at}]"


def _status(file: File) -> str | None:
    """The status that goes without saying."""
    return "suggestion" if file.kind == "results" else None


def _list(state: Reading, file: File, top: dict[str, Raw], key: str) -> list[Raw]:
    if key not in top:
        file.missing = [*(file.missing or []), key]
        return []
    found = records(top[key])
    if found is None:
        other = value_at(state, top[key], key, "bad-list")
        if other is not UNSET:
            file.odd = {**(file.odd or {}), key: other}
            message = f"expected a list, got {shortened(other)}; it is kept and not read"
            state.problem(key, "bad-list", message)
    return found or []


def _junk(file: File, key: str, at: int, found: Any) -> None:
    file.junk = file.junk or {}
    file.junk.setdefault(key, []).append((at, found))


def _images(state: Reading, file: File, raws: list[Raw], split: str | None) -> dict[Any, int]:
    """The images of a document: positions by the ids that it gives them."""
    index: dict[Any, int] = {}
    folder = file.path[: file.path.rfind("/") + 1]
    ordered = not state.several
    last = ""
    first = len(state.pictures)
    mine: dict[tuple[str, str | None, str], int] = {}
    own: set[str] = set()
    for at, raw in enumerate(raws):
        name = f"images[{at}]"
        found = object_at(state, file, "images", at, raw)
        if found is None:
            ordered = False
            continue
        image, stated, problems = image_of(found)
        for code, message in problems:
            state.problem(name, code, message)
        raw_id = found.get("id")
        place = Place(at=state.image_place + at)
        named = None
        key = image.key
        ordered = ordered and last < key
        last = key
        position = state.names.get((folder, split, key))
        if position is not None and fits(state.pictures[position].image, image) and key not in own:
            join_image(state.pictures[position], image, found, place)
        else:
            if key in own:
                state.problem(name, "image-twice", f"{key!r} has a record already; join the two")
            elif key in state.keys:
                word = split or folder.rstrip("/") or file.path.removesuffix(".json")
                named, image = key, replace(image, key=state.free_key(key, word))
            sample = Sample(image=image, split=stated or split, named=named)
            if not is_plain(found) and (
                None in (image.id, image.width, image.height)
                or not same(image_record(sample, image.id, split, again=True), found)
            ):
                place.record = found
            position = state.add_picture(Picture(image, stated or split, named, place))
            mine[folder, split, key] = position
            if image.id is not None:
                if image.id in state.image_ids:
                    state.clashing_images.append(position)
                    ordered = False
                state.image_ids.add(image.id)
        own.add(key)
        state.keys.add(key)
        if is_id(raw_id) and index.setdefault(raw_id, position) != position:
            twice = f"id {raw_id!r} belongs to an image above; give it one of its own"
            state.problem(name, "image-id-twice", twice)
    state.names |= mine
    file.images = len(raws)
    if ordered:
        for picture in state.pictures[first:]:
            assert picture.place is not None
            picture.place.at = None
    return index


def _annotations(
    state: Reading, file: File, raws: list[Raw], index: dict[Any, int], categories: dict[Any, Category]
) -> None:
    """The annotations of a document or a list of results, into the labels of their images.

    As long as they follow their images' order, their places need not be kept.
    """
    status, pictures, start = _status(file), state.pictures, state.annotation_place
    numbered = state.several or (status is not None and len(raws) > 1)
    forms: dict[int, dict[str, str] | None] = {}
    shared: dict[int, dict[str, Any] | None] = {}
    seen: set[Any] = set()
    last = 0
    for at, raw in enumerate(raws):
        try:
            record = _decode(raw)
        except BAD:
            record = None
        position, odd = -1, None
        if record is not None and is_clean(record):
            category = categories.get(record.category_id)
            if category is not None or record.category_id is UNSET or record.category_id is None:
                position = index.get(record.image_id, -1)
        if position < 0:
            odd = _odd(state, file, at, raw, index, categories)
            position = -1 if odd is None else odd[0]
        if position < last:
            if not numbered:
                _number(pictures, start)
                numbered = True
            if position < 0:
                continue
        last = position
        if record is not None and odd is None:
            code = absent(record)
            if code not in forms:
                forms[code] = form = _form(file, words(code))
                shared[code] = {"form": form} if form else None
            if not numbered:
                origin: Any = shared[code]
            else:
                form = forms[code]
                origin = {"at": start + at, "form": form} if form else start + at
            annotation = annotation_of(record, category, status, origin)
        elif odd is not None:
            _, annotation, place = odd
            place.at = start + at if numbered else None
            annotation = replace(annotation, origin=kept(place))
        identity = annotation.id
        if identity in seen:
            twice = f"id {identity!r} belongs to another annotation; give it one of its own"
            state.problem(_place(file, "annotations", at), "annotation-id-twice", twice)
        elif identity is not None:
            seen.add(identity)
        pictures[position].labels.append(annotation)
    file.annotations = len(raws)
    if state.several:
        join_labels(state, start)


def _odd(
    state: Reading,
    file: File,
    at: int,
    raw: Raw,
    index: dict[Any, int],
    categories: dict[Any, Category],
    position: int | None = None,
) -> tuple[int, Annotation, Place] | None:
    """What `closer` gives, with what it takes to write the record again."""
    within = position is not None
    looked = closer(state, file, at, raw, index, categories, position)
    if looked is None:
        return None
    position, annotation, record, found = looked
    form = _form(file, words(absent(record)))
    spelled = spelling(file.form, form)
    identity = spelled.id if annotation.id is None else annotation.id
    category_id = found.get("category_id") if annotation.category else spelled.category_id
    image_id = UNSET if within else _plain_id(found["image_id"])
    written = record_of(annotation, identity, image_id, category_id, spelled, _status(file))
    again = same(complete(written, annotation), found)
    return position, annotation, Place(form=form) if again else Place(record=found)


def _found(index: Mapping[Any, int], image_id: Any) -> int | None:
    """The image that a record names; 1.0 is 1, true is nothing."""
    return index.get(image_id) if is_id(image_id) or type(image_id) is float else None


def _plain_id(image_id: Any) -> Any:
    return int(image_id) if type(image_id) is float else image_id


def _form(file: File, form: dict[str, str]) -> dict[str, str] | None:
    """What of a form is not usual in the file; the first record says what is usual."""
    if file.form is None:
        file.form = differing(form, {})
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


def _image_by_id(state: Reading, file: File, at: int, image_id: Any) -> int:
    """An image that results name by its id alone; other results of the split may name it too."""
    split = split_of(file.path)
    known = state.unlisted.get((split, image_id))
    if known is not None:
        return known
    key = str(image_id)
    if key in state.keys:
        key = state.free_key(key, "results")
    position = state.unlisted[split, image_id] = state.add_picture(Picture(Image(key=key, id=image_id)))
    if image_id in state.image_ids:
        state.pictures[position].place = Place()
        state.clashing_images.append(position)
        state.problem(
            f"[{at}]",
            "unknown-image",
            f"expected the id of an image of {split or 'its document'}, got {shortened(image_id)}, which "
            "another file uses for an image; it is read as an image of its own, correct the id",
        )
    state.image_ids.add(image_id)
    return position


def _number(pictures: list[Picture], start: int) -> None:
    """Note the places of annotations that have followed their images' order so far."""
    at = start
    for picture in pictures:
        for number, annotation in enumerate(picture.labels):
            origin = annotation.origin
            origin = at if origin is None else {"at": at, **origin}
            picture.labels[number] = replace(annotation, origin=origin)
            at += 1


def _panoptic(
    state: Reading, file: File, raws: list[Raw], index: dict[Any, int], categories: dict[Any, Category]
) -> None:
    """The segments of a panoptic file as annotations; their masks are in PNG files, and are not read."""
    message = (
        "a panoptic file: its segments are read with category, box and area; their masks are in PNG files "
    )
    state.problem("", "panoptic", message + "and are not read")
    segments = state.annotation_place
    for at, raw in enumerate(raws):
        shell = object_at(state, file, "annotations", at, raw)
        if shell is None:
            continue
        position = _found(index, shell.get("image_id"))
        place = None if position is None else _place_in(state, state.pictures[position].place)
        inside = shell.get("segments_info")
        if position is None or place is None or place.panoptic or not isinstance(inside, list):
            _junk(file, "annotations", at, shell)
            message = "expected an image of this file and segments_info; it is not read"
            state.problem(f"annotations[{at}]", "bad-annotation", message)
            continue
        del shell["segments_info"]
        place.panoptic = Place(at=at, record=shell)
        for segment in inside:
            text = msgspec.Raw(msgspec.json.encode(segment))
            found = _odd(state, file, at, text, index, categories, position)
            if found is None:
                continue
            _, annotation, own = found
            own.at = segments
            state.pictures[position].labels.append(replace(annotation, origin=kept(own)))
            segments += 1
    file.annotations = segments - state.annotation_place
    join_labels(state, state.annotation_place, by_image=True)  # a segment's id is its color in the PNG


def _place_in(state: Reading, place: Place | None) -> Place | None:
    """Of an image's places, the one in the file that is being read."""
    others = (place.also or ()) if place is not None else ()
    return next((o for o in others if o.at is not None and o.at >= state.image_place), place)
