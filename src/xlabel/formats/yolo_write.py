"""Writing YOLO: what the source had where it still says the same, else rows, splits and names anew."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from xlabel.formats import yolo_rows as rows
from xlabel.formats import yolo_yaml as sets
from xlabel.formats.losses import geometry_fields, missing, sample_fields
from xlabel.formats.pairing import stem
from xlabel.formats.yolo_yaml import image_path, label_path
from xlabel.model import Annotation, Dataset, Loss, Number, OrientedBox, Sample

VARIANTS = ("yolo-detect", "yolo-segment", "yolo-pose", "yolo-obb")
HOLDS = frozenset({"bbox", "polygons", "keypoints", "oriented_box", "score", "unlabelled", "split"})

_GEOMETRY = frozenset(
    {"bbox", "polygons", "polygon parts", "mask", "keypoints", "oriented_box", "polyline", "points", "circle"}
)
_MODEL = ("bbox", "polygons", "keypoints", "shape")
_SPLITS = ("train", "val", "test")


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    plan = _plan(dataset, variant)
    yield from ((path, (text.encode(),)) for path, text in _set_files(dataset, plan))
    seen: set[str] = set()
    for sample in dataset.samples:
        path = plan.path(sample)
        if path is None or path in seen or not _sized(sample):
            continue
        seen.add(path)
        yield path, (_label_file(sample, plan),)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    plan = _plan(dataset, variant)
    yield from missing(dataset, HOLDS | _GEOMETRY | {"attributes"})
    renumbered = sum(1 for category, number in plan.numbers.items() if str(category) != number)
    if renumbered:
        yield Loss("the data set", "id", renumbered)
    first: dict[str, Sample] = {}
    for sample in dataset.samples:
        key = sample.image.key
        path = plan.path(sample)
        if path is None:
            continue
        other = first.setdefault(path, sample) if _sized(sample) else sample
        if other is not sample and _label_file(other, plan) != _label_file(sample, plan):
            yield from _counted(key, sample_fields(sample))  # one label file cannot serve two images
            continue
        yield from _counted(key, _lost(sample, plan))


class _Plan(NamedTuple):
    """How a data set is to be written."""

    reading: rows.Reading
    same: bool
    """Whether the rows were read from files of the same task."""
    numbers: dict[int, str]
    """Category id -> class number."""
    names: dict[int, str]
    path: Callable[[Sample], str | None]
    files: dict[str, str]
    """The source's data.yaml, class files and lists."""
    layout: bool
    """Whether the source was YOLO, of whatever task."""


def _plan(dataset: Dataset, variant: str | None) -> _Plan:
    origin = dataset.origin if dataset.origin is not None and dataset.origin.format in VARIANTS else None
    task = (variant or (origin.format if origin else _task_of(dataset))).removeprefix("yolo-")
    same = origin is not None and origin.format == f"yolo-{task}"
    extra = (origin.extra if origin is not None and same else None) or {}
    numbers, names = _numbers(dataset, origin is not None)
    shape = _kpt_shape(dataset, extra.get("kpt_shape")) if task == "pose" else (0, 2)
    return _Plan(
        reading=rows.Reading(task, _tail(dataset, task, extra.get("tail")), shape),
        same=same,
        numbers=numbers,
        names=names,
        path=_paths(dataset) if origin else _path_anew,
        files=(origin.files if origin else None) or {},
        layout=origin is not None,
    )


def _task_of(dataset: Dataset) -> str:
    """Pose where anything has keypoints, else obb, else segment, else detect."""
    found = "detect"
    for sample in dataset.samples:
        for annotation in sample.annotations:
            if annotation.keypoints:
                return "pose"
            if found != "obb":
                if isinstance(annotation.shape, OrientedBox):
                    found = "obb"
                elif annotation.polygons:
                    found = "segment"
    return found


def _numbers(dataset: Dataset, ours: bool) -> tuple[dict[int, str], dict[int, str]]:
    """Class number of each category id, and the name of each number.

    Ids that are class numbers already stay; others are numbered from 0 in the order of the categories.
    """
    used = {category.id: category for category in dataset.categories}
    for sample in dataset.samples:
        for annotation in sample.annotations:
            category = annotation.category
            if category is not None and category.id not in used:
                used[category.id] = category
    fits = min(used, default=0) >= 0 and (ours or max(used, default=-1) == len(used) - 1)
    index = {i: i if fits else place for place, i in enumerate(used)}
    return {i: str(n) for i, n in index.items()}, {index[i]: category.name for i, category in used.items()}


def _kpt_shape(dataset: Dataset, stated: Any) -> tuple[int, int]:
    most = max(
        (len(a.keypoints) // 3 for sample in dataset.samples for a in sample.annotations if a.keypoints),
        default=0,
    )
    count, size = stated or (0, 3)
    return max(count, most), size


def _tail(dataset: Dataset, task: str, stated: str | None) -> str | None:
    if task != "detect" or stated:
        return stated
    top = 0
    for sample in dataset.samples:
        for annotation in sample.annotations:
            if annotation.score is not None:
                return "score"
            if annotation.attributes:
                top = max(top, _track(annotation) or 0)
    return "track_id" if top > 1 else None  # a column of 0 and 1 would read as scores as well


def _track(annotation: Annotation) -> int | None:
    track = (annotation.attributes or {}).get("track_id")
    return track if type(track) is int and 0 <= track <= rows.LIMIT else None


def _path_anew(sample: Sample) -> str:
    """A key below `images` has its labels below `labels`; another one is taken as lying below `images`."""
    path = label_path(sample.image.key)
    folder = path.rpartition("/")[0]
    return path if "labels" in folder.split("/") else "labels/" + path


def _paths(dataset: Dataset) -> Callable[[Sample], str | None]:
    """Where the label file of an image was, or would have been."""
    partners: dict[str, str] = {}
    for sample in dataset.samples:
        path = (sample.origin or {}).get("path")
        if path is not None:
            partners.setdefault(sample.image.key.rpartition("/")[0], path.rpartition("/")[0])

    def path_of(sample: Sample) -> str | None:
        if sample.origin is None and not sample.annotations:
            return None
        path: str | None = (sample.origin or {}).get("path")
        if path is not None:
            return path
        key = sample.image.key
        folder, _, name = key.rpartition("/")
        if sample.origin is None and folder in partners:
            return (partners[folder] + "/" if partners[folder] else "") + stem(name) + ".txt"
        return label_path(key)

    return path_of


def _label_file(sample: Sample, plan: _Plan) -> bytes:
    notes = (sample.origin if plan.same else None) or {}
    lines = _lines(sample, plan)
    if "rows" in notes:
        lines = _with_rows(lines, notes["rows"])
    end: str = notes.get("eol", "\n")
    text = end.join(lines)
    if lines and notes.get("end", True):
        text += end
    data: bytes = text.encode(notes.get("encoding", "utf-8"), "replace")
    return b"\xef\xbb\xbf" + data if notes.get("bom") else data


def _with_rows(lines: list[str], others: Sequence[tuple[int, str]]) -> list[str]:
    """The rows of labels with the other lines of the file where they stood."""
    result: list[str] = []
    rest = iter(lines)
    for number, line in others:
        while len(result) < number - 1 and (row := next(rest, None)) is not None:
            result.append(row)
        result.append(line)
    return [*result, *rest]


def _lines(sample: Sample, plan: _Plan) -> list[str]:
    numbers = plan.numbers
    width, height = sample.image.width or 0, sample.image.height or 0
    quick = plan.same and plan.reading.task == "detect" and plan.reading.tail != "track_id"
    bare = not plan.same and plan.reading == rows.Reading("detect") and width and height
    lines: list[str] = []
    for annotation in sample.annotations:
        if quick and annotation.score is None and not annotation.crowd:
            try:
                token, a, b, c, d = annotation.origin.split()
                w, h = float(c), float(d)
                box = ((float(a) - w / 2) * width, (float(b) - h / 2) * height, w * width, h * height)
                if annotation.bbox == box and token == numbers[annotation.category.id]:  # type: ignore[union-attr]
                    lines.append(annotation.origin)
                    continue
            except (ValueError, AttributeError):  # not such a row: no text, no category, a score
                pass
        elif bare and annotation.bbox and annotation.category and not annotation.crowd:
            x, y, w, h = annotation.bbox
            cx, cy, w, h = (x + w / 2) / width, (y + h / 2) / height, w / width, h / height
            line = f"{numbers[annotation.category.id]} {cx:.10g} {cy:.10g} {w:.10g} {h:.10g}"
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
    number = plan.numbers[annotation.category.id]
    return rows.row_text(_origin(annotation, plan), number, values, tail)


def _says_the_same(annotation: Annotation, plan: _Plan, width: int, height: int) -> bool:
    """Whether the row that an annotation came from still says exactly what the annotation says."""
    origin = _origin(annotation, plan)
    if origin is None or annotation.category is None or annotation.crowd:
        return False
    tokens = origin.split()
    values = rows.numbers(origin, tokens) or []
    kind = rows.kind_of(len(values), plan.reading)
    if kind is None or values[0] != float(plan.numbers[annotation.category.id]):
        return False
    tail = values[-1] if rows.has_tail(len(values), kind, plan.reading) else None
    if tail != _last(annotation, kind, plan.reading):
        return False
    said = rows.geometry(values, kind, plan.reading, width, height)
    return all(getattr(annotation, field) == said.get(field) for field in _MODEL)


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
    if sample.split is not None and sample.split not in _SPLITS:
        yield "split"
    width, height = sample.image.width or 0, sample.image.height or 0
    for annotation in sample.annotations:
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


def _derivable(annotation: Annotation, kind: str) -> bool:
    """Whether the box is, to a pixel, the one around the outline that is written."""
    outline = (
        Annotation(polygons=annotation.polygons) if kind == "segment" else Annotation(shape=annotation.shape)
    )
    around = rows.bounds(outline)
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


def _set_files(dataset: Dataset, plan: _Plan) -> Iterator[tuple[str, str]]:
    """data.yaml, class files and lists: the source's while they say the same, else anew."""
    old, reading = plan.files, plan.reading
    paths = [(path, sample) for sample in dataset.samples if (path := plan.path(sample)) is not None]
    described = sets.describe_again(old, sorted({path.rpartition("/")[0] for path, _ in paths}))
    named = plan.names == described.names if described.names is not None else _by_number(plan.names)
    split = all(described.split(path) == sample.split for path, sample in paths)
    task = plan.same and described.task in (None, reading.task)
    task = task and (reading.task != "pose" or described.kpt_shape in (None, reading.kpt))
    if plan.layout and named and split and task:
        yield from old.items()
        return
    yaml = described.yaml if described.yaml and described.yaml.endswith((".yaml", ".yml")) else None
    classes = set(sets.class_files(list(old)))
    lists: dict[str, str] = {}
    if yaml or not (plan.layout and split and task and classes):
        yaml = yaml or "data.yaml"
        changes: dict[str, Any] = {}
        drop = {"nc"}
        if not split or yaml not in old:
            changes, lists = _splits(paths, yaml.rpartition("/")[0])
            drop |= {*sets.SPLITS, "path"}
        if not task or yaml not in old:
            changes["task"] = reading.task
            drop |= {"kpt_shape", "kpt_names", "flip_idx"} - set(_keypoint_entries(dataset, plan))
        changes |= _keypoint_entries(dataset, plan) | {"names": _names_entry(plan.names)}
        yield yaml, sets.yaml_text(old.get(yaml), changes, drop)
        yield from lists.items()
    for path, text in old.items():
        if path in classes:
            yield path, text if named else _class_file(plan.names)
        elif path != yaml and path not in lists and split:
            yield path, text if named else sets.darknet_text(text, len(plan.names))


def _keypoint_entries(dataset: Dataset, plan: _Plan) -> dict[str, Any]:
    if plan.reading.task != "pose":
        return {}
    names = {int(plan.numbers[c.id]): list(c.keypoints) for c in dataset.categories if c.keypoints}
    return {"kpt_shape": list(plan.reading.kpt)} | ({"kpt_names": names} if names else {})


def _by_number(names: dict[int, str]) -> bool:
    return all(name == str(number) for number, name in names.items())


def _names_entry(names: dict[int, str]) -> list[str] | dict[int, str]:
    ordered = dict(sorted(names.items()))
    return list(ordered.values()) if list(ordered) == list(range(len(ordered))) else ordered


def _class_file(names: dict[int, str]) -> str:
    top = max(names, default=-1)
    return "".join(" ".join(names.get(i, "").split()) + "\n" for i in range(top + 1))


def _splits(paths: Sequence[tuple[str, Sample]], base: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Entries of data.yaml for the splits, and the lists of images that they name.

    A split that has a folder of its own is named by it. Without splits, all is given as train and as val,
    which reads back as no split at all.
    """
    up = "../" * len([part for part in base.split("/") if part])
    groups: dict[str | None, set[str]] = {}
    for path, sample in paths:
        groups.setdefault(sample.split if sample.split in _SPLITS else None, set()).add(
            image_path(path, sample.image.key).rpartition("/")[0]
        )
    if not groups.keys() - {None}:
        folder = up + (_common(groups.get(None, set())) or ".")
        return {"train": folder, "val": folder}, {}
    entries: dict[str, Any] = {}
    lists: dict[str, str] = {}
    for split in ("train", "val", "test"):
        if split not in groups:
            continue
        folder = _common(groups[split])
        rest = {other for name, folders in groups.items() if name != split for other in folders}
        if folder and not any(other == folder or other.startswith(folder + "/") for other in rest):
            entries[split] = up + folder
            continue
        entries[split] = f"{split}.txt"
        lines = (f"./{up}{image_path(p, s.image.key)}\n" for p, s in paths if s.split == split)
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
