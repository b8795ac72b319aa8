"""Writing YOLO: what the source had where it still says the same, else rows, splits and names anew.

A data set may be read anew at each walk over its samples, so there is one walk to write it, and one before
that where the task and the classes have to be found out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from xlabel.formats import yolo_rows as rows
from xlabel.formats import yolo_yaml as sets
from xlabel.formats.losses import geometry_fields, missing, sample_fields
from xlabel.formats.named import home_of, learn, new_home, stated_path
from xlabel.formats.names import Seen, lines
from xlabel.formats.pairing import Partners, stem
from xlabel.formats.splits import NAMES, SPLITS
from xlabel.formats.untrusted import is_inside
from xlabel.formats.yolo_yaml import image_folder, label_path
from xlabel.model import Annotation, Category, Dataset, Loss, Number, OrientedBox, Points, Sample
from xlabel.model.geometry import bbox_of

VARIANTS: tuple[str, ...] = ("yolo-detect", "yolo-segment", "yolo-pose", "yolo-obb")
HOLDS = frozenset({"bbox", "polygons", "keypoints", "oriented_box", "score", "unlabelled", "split"})

_GEOMETRY = frozenset(
    {"bbox", "polygons", "polygon parts", "mask", "keypoints", "oriented_box", "polyline", "points", "circle"}
)
_MODEL = ("bbox", "polygons", "keypoints", "shape")

Places = dict[tuple[str, str | None], bytearray]
"""Folder of labels and split -> names of the images, as far as lists may need them, each with a NUL."""


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    plan = _plan(dataset, variant)
    listed = any(path.endswith(".txt") for path in plan.files)
    places: Places = {}
    bare: Places = {}
    partners = Partners()
    seen = Seen()
    last = None
    for sample in dataset.samples:
        path = plan.path(sample)
        images, _, name = sample.image.key.rpartition("/")
        if path is None:
            names = bare.setdefault((images, sample.split), bytearray())
        elif _sized(sample):
            folder = path.rpartition("/")[0]
            names = places.setdefault((folder, sample.split), bytearray())
            if images != last:
                partners.note(images, folder)
                last = images
        else:
            continue
        if listed or sample.split is not None:
            names += f"{name}\0".encode("utf-8", "surrogatepass")
        if path is not None and seen.add(path):
            yield path, (_label_file(sample, plan),)
    homes = {folder for folder, _ in places}
    for (images, split), names in bare.items():  # images without label file have a split all the same
        near = partners.of(images)
        places.setdefault((images if near is None else near, split), bytearray()).extend(names)
    for path, text in _set_files(dataset.categories, plan, places, homes):
        yield path, (text.encode(),)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    plan = _plan(dataset, variant)
    holds = HOLDS | _GEOMETRY | {"attributes"}
    categories = dataset.categories
    if plan.reading.task == "pose":  # data.yaml has their names
        categories = [replace(category, keypoints=None) for category in categories]
    yield from missing(replace(dataset, samples=[], categories=categories), holds)
    renumbered = sum(str(category) != number for category, number in plan.numbers.items())
    if renumbered:
        yield Loss("the data set", "id", renumbered)
    seen: set[int] = set()
    shared: set[int] = set()
    for sample in dataset.samples:
        yield from missing(Dataset(samples=[sample]), holds)
        yield from _counted(sample.image.key, _lost(sample, plan))
        path = plan.path(sample)
        if path is not None and _sized(sample):
            (shared if hash(path) in seen else seen).add(hash(path))
    if shared:
        yield from _displaced(dataset, plan, shared)


def _displaced(dataset: Dataset, plan: "_Plan", shared: set[int]) -> Iterator[Loss]:
    """All labels of images whose label file is another image's: `a.png`, where `a.jpg` has others."""
    first: dict[str, bytes] = {}
    for sample in dataset.samples:
        path = plan.path(sample)
        if path is not None and _sized(sample) and hash(path) in shared:
            text = _label_file(sample, plan)
            if first.setdefault(path, text) != text:
                yield from _counted(sample.image.key, sample_fields(sample))


class _Plan(NamedTuple):
    """How a data set is to be written."""

    reading: rows.Reading
    same: bool
    """Whether the rows were read from files of the same task."""
    layout: bool
    """Whether the source was YOLO, of whatever task."""
    numbers: dict[int, str]
    """Category id -> class number; where the source was YOLO, as far as met."""
    names: dict[int, str]
    path: Callable[[Sample], str | None]
    files: dict[str, str]
    """The source's data.yaml, class files and lists."""


class _Survey(NamedTuple):
    """What the annotations of a data set are like."""

    task: str
    categories: dict[int, Category]
    tail: str | None
    keypoints: int


def _plan(dataset: Dataset, variant: str | None) -> _Plan:
    origin = dataset.origin
    if origin is None or origin.format not in VARIANTS or any(c.id < 0 for c in dataset.categories):
        return _plan_anew(dataset, variant)
    task = (variant or origin.format).removeprefix("yolo-")
    same = origin.format == f"yolo-{task}"
    if same:
        extra = origin.extra or {}
        tail = extra.get("tail")
        if tail not in ("score", "track_id"):
            tail = "score" if task == "detect" else None
        reading = rows.Reading(task, tail, _kpt_shape(extra.get("kpt_shape")))
    else:
        reading = _reading(task, _survey(dataset))
    files = {path: text for path, text in (origin.files or {}).items() if is_inside(path)}
    return _Plan(reading, same, True, {}, {}, _paths(dataset), files)


def _plan_anew(dataset: Dataset, variant: str | None) -> _Plan:
    """Class numbers that the ids are already stay; others count from 0 in the order of the categories."""
    found = _survey(dataset)
    task = variant.removeprefix("yolo-") if variant else found.task
    ids = list(found.categories)
    fits = sorted(ids) == list(range(len(ids)))
    numbers = {i: i if fits else place for place, i in enumerate(ids)}
    return _Plan(
        reading=_reading(task, found),
        same=False,
        layout=False,
        numbers={i: str(number) for i, number in numbers.items()},
        names={numbers[i]: category.name for i, category in found.categories.items()},
        path=_path_anew,
        files={},
    )


def _reading(task: str, found: _Survey) -> rows.Reading:
    """How rows are written."""
    return rows.Reading(task, found.tail if task == "detect" else None, (found.keypoints, 3))


def _survey(dataset: Dataset) -> _Survey:
    """What the annotations are like. The task is the one that holds most of them.

    Each counts for the richest of its geometries: keypoints (pose), polygons (segment), an oriented box
    (obb), else anything that has a box (detect). Of tasks that hold equally many the first of these is taken.
    """
    met: dict[int, Category] = {}
    counts = dict.fromkeys(("pose", "segment", "obb", "detect"), 0)
    scored = False
    keypoints = track = 0
    for sample in dataset.samples:
        for annotation in sample.annotations:
            category = annotation.category
            if category is not None and category.id not in met:
                met[category.id] = category
            if annotation.keypoints:
                keypoints = max(keypoints, len(annotation.keypoints) // 3)
            if category is not None and not annotation.crowd and (task := _task(annotation)):
                counts[task] += 1
            if annotation.score is not None:
                scored = True
            if annotation.attributes:
                track = max(track, _track(annotation) or 0)
    return _Survey(
        task=max(counts, key=lambda name: counts[name]) if any(counts.values()) else "detect",
        categories={category.id: category for category in dataset.categories} | met,
        tail="score" if scored else "track_id" if track > 1 else None,  # 0 and 1 would read as scores
        keypoints=keypoints,
    )


def _task(annotation: Annotation) -> str | None:
    """The task that holds the richest of an annotation's geometries."""
    if annotation.keypoints:
        return "pose"
    if annotation.polygons:
        return "segment"
    if annotation.shape is None:
        return None if annotation.bbox is None and annotation.mask is None else "detect"
    if isinstance(annotation.shape, OrientedBox):
        return "obb"
    return None if isinstance(annotation.shape, Points) and annotation.bbox is None else "detect"


def _kpt_shape(stated: Any) -> tuple[int, int]:
    match stated:
        case [int(count), 2 | 3 as size] if 0 <= count <= sets.MAX_KEYPOINTS:
            return count, size
    return 0, 3


def _track(annotation: Annotation) -> int | None:
    track = (annotation.attributes or {}).get("track_id")
    return track if type(track) is int and 0 <= track <= rows.LIMIT else None


def _path_anew(sample: Sample) -> str:
    """Ultralytics' rule; an image that is not below a folder `images` is taken to lie in one."""
    key = sample.image.key
    return label_path(key if "/images/" in f"/{key}" else f"images/{key}")


def _paths(dataset: Dataset) -> Callable[[Sample], str | None]:
    """Where the label file of an image was, or goes now that the image has been moved, or would have been."""
    partners: list[Partners] = []

    def path_of(sample: Sample) -> str | None:
        key = sample.image.key
        if sample.origin is not None:
            path = _path(sample)
            if path is not None:
                return path
        elif not sample.annotations:
            return None
        if not partners:  # a new image has its labels beside those of its neighbours
            partners.append(_partners(dataset))
        folder = new_home(sample, ".txt", partners[0])
        if folder is None:
            return label_path(key)
        name = f"{stem(key.rpartition('/')[2])}.txt"
        return f"{folder}/{name}" if folder else name

    return path_of


def _path(sample: Sample) -> str | None:
    """The label file that a sample was read from; None where its image has been moved since."""
    path = stated_path(sample, ".txt")
    return label_path(sample.image.key) if path is None else home_of(sample, path)


def _partners(dataset: Dataset) -> Partners:
    found = Partners()
    for sample in dataset.samples:
        if sample.origin is not None:
            learn(found, sample, stated_path(sample, ".txt") or label_path(sample.image.key))
    return found


def _label_file(sample: Sample, plan: _Plan) -> bytes:
    notes = sample.origin if plan.same and isinstance(sample.origin, dict) else {}
    lines = _lines(sample, plan)
    if "rows" in notes:
        lines = _with_rows(lines, notes["rows"])
    end = "\r" if notes.get("eol") == "\r" else "\n"
    text = end.join(lines)
    if lines and notes.get("end", True):
        text += end
    data = text.encode("latin-1" if notes.get("encoding") == "latin-1" else "utf-8", "replace")
    return b"\xef\xbb\xbf" + data if notes.get("bom") else data


def _with_rows(lines: list[str], others: Any) -> list[str]:
    """The rows of labels with the other lines of the file where they stood."""
    result: list[str] = []
    rest = iter(lines)
    for other in others if isinstance(others, list) else ():
        match other:
            case [int(number), str(line)]:
                while len(result) < number - 1 and (row := next(rest, None)) is not None:
                    result.append(row)
                result.append(line)
    return [*result, *rest]


def _lines(sample: Sample, plan: _Plan) -> list[str]:
    numbers = plan.numbers
    width, height = sample.image.width or 0, sample.image.height or 0
    quick = plan.same and plan.reading.task == "detect" and plan.reading.tail != "track_id"
    bare = not plan.same and plan.reading.task == "detect" and plan.reading.tail is None and width and height
    lines: list[str] = []
    for annotation in sample.annotations:
        if quick and annotation.score is None and not annotation.crowd:
            try:
                token, a, b, c, d = annotation.origin.split()
                w, h = float(c), float(d)
                box = ((float(a) - w / 2) * width, (float(b) - h / 2) * height, w * width, h * height)
                if annotation.bbox == box and token == numbers.get(annotation.category.id):  # type: ignore[union-attr]
                    lines.append(annotation.origin)
                    continue
            except (ValueError, AttributeError):  # not such a row: no text, no category, a score
                pass
        elif bare and annotation.bbox and annotation.category and not annotation.crowd:
            x, y, w, h = annotation.bbox
            cx, cy, w, h = (x + w / 2) / width, (y + h / 2) / height, w / width, h / height
            line = f"{_number(annotation.category, plan)} {cx:.10g} {cy:.10g} {w:.10g} {h:.10g}"
            if "e" not in line:
                lines.append(line)
                continue
        row = _line(annotation, plan, width, height)
        if row is not None:
            lines.append(row)
    return lines


def _line(annotation: Annotation, plan: _Plan, width: int, height: int) -> str | None:
    """The row of an annotation, or None where the format has no row for it."""
    if _says_the_same(annotation, plan, width, height):
        return str(annotation.origin)
    kind = _kind(annotation, plan)
    values = _values(annotation, kind, plan, width, height)
    if values is None or annotation.category is None:
        return None
    tail = _last(annotation, kind, plan.reading)
    number = _number(annotation.category, plan)
    return rows.row_text(_origin(annotation, plan), number, values, tail)


def _says_the_same(annotation: Annotation, plan: _Plan, width: int, height: int) -> bool:
    """Whether the row that an annotation came from still says exactly what the annotation says."""
    origin = _origin(annotation, plan)
    if origin is None or annotation.category is None or annotation.crowd:
        return False
    tokens = origin.split()
    values = rows.numbers(origin, tokens) or []
    kind = rows.kind_of(len(values), plan.reading)
    if kind is None or values[0] != float(_number(annotation.category, plan)):
        return False
    tail = values[-1] if rows.has_tail(len(values), kind, plan.reading) else None
    if tail != _last(annotation, kind, plan.reading):
        return False
    said = rows.geometry(values, kind, plan.reading, width, height)
    return all(getattr(annotation, field) == said.get(field) for field in _MODEL)


def _number(category: Category, plan: _Plan) -> str:
    number = plan.numbers.get(category.id)
    if number is None:  # the source was YOLO, and its class numbers are the ids
        number = plan.numbers[category.id] = str(category.id)
        plan.names.setdefault(category.id, category.name)
    return number


def _origin(annotation: Annotation, plan: _Plan) -> str | None:
    return annotation.origin if plan.same and isinstance(annotation.origin, str) else None


def _values(annotation: Annotation, kind: str, plan: _Plan, width: int, height: int) -> list[float] | None:
    """The numbers of an annotation's row, or None where it has none: a crowd, say, is no object."""
    if annotation.category is None or annotation.crowd or not width or not height:
        return None
    return rows.shares(annotation, kind, plan.reading, width, height)


def _kind(annotation: Annotation, plan: _Plan) -> str:
    """The kind of row: the set's, or that of the row it came from where that one says as much."""
    task, origin = plan.reading.task, _origin(annotation, plan)
    if origin is not None:
        kind = rows.kind_of(len(origin.split()), plan.reading)
        if kind is not None and kind != task and not rows.KEPT[task] & set(geometry_fields(annotation)):
            return kind
    return task


def _last(annotation: Annotation, kind: str, reading: rows.Reading) -> Number | None:
    """The number of the last column, if the row of this annotation has one."""
    if reading.tail == "track_id":
        return _track(annotation) if kind == "detect" else None
    if reading.tail == "score" and kind == reading.task and annotation.score is not None:
        return float(annotation.score)
    return None


def _sized(sample: Sample) -> bool:
    """Whether a label file can be written: not where there are rows and no size to divide by."""
    return bool(not sample.annotations or (sample.image.width and sample.image.height))


def _lost(sample: Sample, plan: _Plan) -> Iterator[str]:
    """Geometry, scores and attributes of an image that its rows do not hold."""
    if sample.split is not None and sample.split not in NAMES:
        yield "split"
    width, height = sample.image.width or 0, sample.image.height or 0
    boxes = plan.reading.task == "detect" and width and height
    for annotation in sample.annotations:
        if boxes and _is_plain_box(annotation):
            continue
        kind = _kind(annotation, plan)
        written = _values(annotation, kind, plan, width, height) is not None
        for field in geometry_fields(annotation):
            kept = field in rows.KEPT[kind] or (field == "bbox" and _derivable(annotation, kind))
            if not written or not kept:
                yield field
        tail = plan.reading.tail if written and _last(annotation, kind, plan.reading) is not None else None
        if annotation.score is not None and tail != "score":
            yield "score"
        if annotation.attributes and (tail != "track_id" or len(annotation.attributes) > 1):
            yield "attributes"


def _is_plain_box(annotation: Annotation) -> bool:
    """Whether it has a box and no other geometry, score or attribute: the usual case, told apart at once."""
    return (
        annotation.bbox is not None
        and annotation.category is not None
        and annotation.polygons is None
        and annotation.mask is None
        and annotation.keypoints is None
        and annotation.shape is None
        and annotation.score is None
        and annotation.attributes is None
        and not annotation.crowd
    )


def _derivable(annotation: Annotation, kind: str) -> bool:
    """Whether the box is, to a pixel, the one around the outline that is written."""
    if kind == "segment":
        around = bbox_of(Annotation(polygons=annotation.polygons))
    else:
        around = bbox_of(Annotation(shape=annotation.shape))
    box = annotation.bbox
    return (
        around is not None
        and box is not None
        and all(abs(a - b) <= 1 for a, b in zip(around, box, strict=True))
    )


def _counted(where: str, fields: Iterable[str]) -> Iterator[Loss]:
    counts: dict[str, int] = {}
    for field in fields:
        counts[field] = counts.get(field, 0) + 1
    return (Loss(where, field, count) for field, count in counts.items())


def _set_files(
    categories: Sequence[Category], plan: _Plan, places: Places, homes: set[str]
) -> Iterator[tuple[str, str]]:
    """data.yaml, class files and lists: the source's while they say the same, else anew.

    `homes` are the folders that hold label files.
    """
    old, reading = plan.files, plan.reading
    names = (
        plan.names | {category.id: category.name for category in categories} if plan.layout else plan.names
    )
    described = sets.describe_again(old, sorted(homes)).also(sorted({f for f, _ in places} - homes))
    named = names == described.names if described.names is not None else _by_number(names)
    split = _splits_kept(described, places)
    task = plan.same and described.task in (None, reading.task)
    task = task and (reading.task != "pose" or described.kpt_shape in (None, reading.kpt))
    if plan.layout and named and split and task:
        yield from old.items()
        return
    known = described.yaml if described.yaml and described.yaml.endswith((".yaml", ".yml")) else None
    yaml = known or "data.yaml"
    classes = set(sets.class_files(list(old)))
    lists: dict[str, str] = {}
    if known or not (plan.layout and split and task and classes):
        keypoints = _keypoint_entries(categories, plan)
        changes: dict[str, Any] = {}
        drop = {"nc"}
        if not split or not known:
            changes, lists = _splits(places, yaml.rpartition("/")[0])
            drop |= {*SPLITS, "path"}
        if not task or not known:
            changes["task"] = reading.task
            drop |= {"kpt_shape", "kpt_names", "flip_idx"} - keypoints.keys()
        changes |= keypoints | {"names": _names_entry(names)}
        yield yaml, sets.yaml_text(old[known] if known else "", changes, drop)
        yield from lists.items()
    for path, text in old.items():
        if path in classes:
            yield path, text if named else _class_file(names)
        elif path != yaml and path not in lists and split:
            yield path, text if named else sets.darknet_text(text, len(names))


def _splits_kept(described: sets.Described, places: Places) -> bool:
    """Whether the files still say the split of every image."""
    for (folder, split), images in places.items():
        if not described.listed:
            if described.folders.get(folder) != split:
                return False
            continue
        for name in _names(images):
            path = f"{stem(name)}.txt"
            if described.split(f"{folder}/{path}" if folder else path) != split:
                return False
    return True


def _names(images: bytearray) -> Iterator[str]:
    return lines(images[:-1].decode("utf-8", "surrogatepass"), "\0") if images else iter(())


def _keypoint_entries(categories: Iterable[Category], plan: _Plan) -> dict[str, Any]:
    if plan.reading.task != "pose" or not plan.reading.kpt[0]:
        return {}
    names = {int(_number(c, plan)): list(c.keypoints) for c in categories if c.keypoints}
    return {"kpt_shape": list(plan.reading.kpt)} | ({"kpt_names": names} if names else {})


def _by_number(names: Mapping[int, str]) -> bool:
    return all(name == str(number) for number, name in names.items())


def _names_entry(names: Mapping[int, str]) -> list[str] | dict[int, str]:
    ordered = dict(sorted(names.items()))
    return list(ordered.values()) if list(ordered) == list(range(len(ordered))) else ordered


def _class_file(names: Mapping[int, str]) -> str:
    top = max(names, default=-1)
    return "".join(" ".join(names.get(i, "").split()) + "\n" for i in range(top + 1))


def _splits(places: Places, base: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Entries of data.yaml for the splits, and the lists of images that they name.

    A split that has a folder of its own is named by it. Without splits, all is given as train and as val,
    which reads back as no split at all.
    """
    up = "../" * (base.count("/") + 1 if base else 0)
    folders: dict[str | None, set[str]] = {}
    for folder, split in places:
        folders.setdefault(split if split in NAMES else None, set()).add(image_folder(folder))
    if not folders.keys() - {None}:
        whole = up + (_common(folders.get(None, ())) or ".")
        return {"train": whole, "val": whole}, {}
    entries: dict[str, Any] = {}
    lists: dict[str, str] = {}
    for split in NAMES:
        if split not in folders:
            continue
        own = _common(folders[split])
        others = {folder for name, some in folders.items() if name != split for folder in some}
        if own and not any(folder == own or folder.startswith(own + "/") for folder in others):
            entries[split] = up + own
            continue
        entries[split] = f"{split}.txt"
        lines = (
            f"./{up}{image_folder(folder)}/{name}\n"
            for (folder, other), images in places.items()
            if other == split
            for name in _names(images)
        )
        lists[f"{base}/{split}.txt" if base else f"{split}.txt"] = "".join(lines)
    return entries, lists


def _common(folders: Iterable[str]) -> str:
    """The deepest folder that is at or above all of these."""
    split = [folder.split("/") for folder in folders]
    if not split:
        return ""
    low, high = min(split), max(split)
    count = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return "/".join(low[:count])
