"""YOLO: one .txt an image, one row an object. Ultralytics 8.4 (detect, segment, pose, obb) and Darknet.

Rows are kept as their text in `Annotation.origin`, lines that are no label in `Sample.origin`, and data.yaml,
class files and lists of images in `Dataset.origin`, so that what nobody edited is written byte for byte.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from xlabel.errors import InputError
from xlabel.formats import yolo_rows as rows
from xlabel.formats import yolo_yaml as sets
from xlabel.formats.labels import FileLabels, Ref, peek
from xlabel.formats.named import home
from xlabel.formats.names import seen, spread
from xlabel.formats.pairing import has_ending, stem
from xlabel.formats.untrusted import short
from xlabel.formats.yolo_write import HOLDS, VARIANTS, losses, write
from xlabel.formats.yolo_yaml import label_path
from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model.dataset import Origin

if TYPE_CHECKING:
    from xlabel.formats import Tree

__all__ = ["HOLDS", "IMAGES", "NAME", "TITLE", "VARIANTS", "YoloLabels", "losses", "read", "sniff", "write"]

NAME = "yolo"
TITLE = "YOLO: one .txt an image (Ultralytics, Darknet)"
IMAGES = "images"

_ENDING = (".txt",)
_SPREAD = 200  # files that are looked at to find the task out
_FEW = 20
_MAX_CLASS = 2**31
_KINDS = {"detect": "a box", "segment": "a polygon", "pose": "keypoints", "obb": "an oriented box"}
_EXPECTED = {
    "detect": "class cx cy w h",
    "segment": "a class and at least three points",
    "pose": "a class, a box and as many keypoints as kpt_shape says",
    "obb": "a class and four corners",
}


def sniff(tree: "Tree") -> str | None:
    survey = _survey(tree)
    some = survey.some[:: len(survey.some) // 12 + 1]
    full = [data for path in some if (data := peek(tree, path)).strip()]
    if not full and (found := _first_full(tree)):
        some = found
        full = [data for path in some if (data := peek(tree, path)).strip()]
    right = sum(map(_looks_right, full))
    if not survey.labels or 2 * right < len(full):
        return None
    yaml = sets.describe(sorted(survey.others), tree.files, tree.read, ()).yaml
    if not full and yaml is None:
        return None
    why = seen(survey.labels, ".txt", len(some), right, "rows of numbers")
    return f"{why}, {yaml}" if yaml else why


def read(tree: "Tree", variant: str | None = None) -> "YoloLabels":
    survey = _survey(tree)
    described = sets.describe(sorted(survey.others), tree.files, tree.read, sorted(survey.folders))
    skip = survey.others | described.files.keys() | _strays(tree, survey)

    def rows_of(some: list[str]) -> list[list[str]]:
        return [row for path in some if path not in skip for row in _number_rows(peek(tree, path))]

    reading = rows.find_reading(
        rows_of(survey.some) or rows_of(_first_full(tree)),
        tree.root,
        variant.removeprefix("yolo-") if variant else described.task,
        described.kpt_shape,
        described.yaml is not None,
    )
    return YoloLabels(tree, described, reading, frozenset(skip))


class YoloLabels(FileLabels):
    """The label files of a tree; `notes` is worth knowing, and nothing wrong."""

    suffixes = _ENDING
    needs_sizes = True

    def __init__(
        self, tree: "Tree", described: sets.Described, reading: rows.Reading, skip: frozenset[str]
    ) -> None:
        self._skip = skip
        extra: dict[str, Any] = {}
        if reading.tail:
            extra["tail"] = reading.tail
        if reading.task == "pose":
            extra["kpt_shape"] = list(reading.kpt)
        origin = Origin(format=f"yolo-{reading.task}", files=described.files or None, extra=extra or None)
        super().__init__(tree, origin, described.categories())
        if described.names is None and not {sets.UNREAD, sets.NAMELESS} & {f[1] for f in described.faults}:
            source = f"no names in {described.yaml}" if described.yaml else "no data.yaml or classes.txt"
            self.notes.append(f"{source}: classes are named by their numbers")
        for path, code, message in described.faults:
            self.problem(self.where(path), code, message)
        self._described = described
        self._reading = reading
        self._alone: frozenset[str] = frozenset()
        self._by_number = {category.id: category for category in self.categories}
        self._top = max(self._by_number, default=-1)
        self._by_token = {str(number): category for number, category in self._by_number.items()}

    def is_label(self, path: str) -> bool:
        return path not in self._skip

    def bind(self, keys: Sequence[str]) -> None:
        super().bind(keys)
        self._described = self._described.also(self.pairing.alone)
        self._alone = frozenset(self.pairing.alone)

    def find(self, key: str) -> str | None:
        """A label file that there is not, too, where its place says the split of an image without labels."""
        path = self.pairing.find(key)
        if path is None and self._alone and self._split_alone(key) is not None:
            return _beside(key)
        return path

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = super().load(ref, image)
        if sample is not None:
            return sample
        alone = image.key.rpartition("/")[0] in self._alone
        split = self._split_alone(image.key) if alone else self._described.split(str(ref))
        return None if split is None else Sample(image=image, split=split)

    def _split_alone(self, key: str) -> str | None:
        """The split of an image in a folder that has no labels."""
        return self._described.split(_beside(key)) if key.rpartition("/")[0] in self._alone else None

    def parse(self, data: bytes, path: str, image: Image) -> Sample:
        width, height = image.width, image.height
        if width is None or height is None:
            raise InputError(
                f"{self.where(path)}: YOLO labels are shares of the image, and its size is not known; "
                "give the images with --images, or a size with --placeholder-size WxH"
            )
        lines, notes = self._lines(data, path)
        annotations: list[Annotation] = []
        by_token = self._by_token
        low, high = rows.LOW, rows.HIGH
        short = len(data) <= rows.LONGEST  # so that no row is too long
        quick = self._reading.task == "detect" and b"_" not in data and data.isascii() and short
        for number, line in enumerate(lines, 1):
            if quick:  # what nearly every row of nearly every set is
                try:
                    token, a, b, c, d = line.split()
                    category = by_token[token]
                    cx, cy, w, h = float(a), float(b), float(c), float(d)
                except (ValueError, KeyError):
                    pass
                else:
                    if low <= cx <= high and low <= cy <= high and 0.0 <= w <= high and 0.0 <= h <= high:
                        box = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
                        annotations.append(Annotation(category=category, bbox=box, origin=line))
                        continue
            annotation = self._row(line, (path, number), width, height)
            if annotation is None:
                notes.setdefault("rows", []).append([number, line])
            else:
                annotations.append(annotation)
        if path != label_path(image.key):
            notes |= home(path, image.key)
        split = self._described.split(path)
        return Sample(image=image, annotations=tuple(annotations), split=split, origin=notes)

    def _lines(self, data: bytes, path: str) -> tuple[list[str], dict[str, Any]]:
        """The rows, and what is needed besides to make the same bytes of them."""
        notes: dict[str, Any] = {}
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
            notes["bom"] = True
        try:
            text = data.decode()
        except UnicodeDecodeError:
            notes["encoding"] = "latin-1"
            text = data.decode("latin-1")
            self.problem(self.where(path), "not-utf8", "expected text in UTF-8; save it as UTF-8")
        end = "\r" if "\r" in text and "\n" not in text else "\n"
        if end == "\r":
            notes["eol"] = end
        lines = text.split(end)
        if lines[-1]:
            notes["end"] = False
        else:
            lines.pop()
        if "\0" in text:
            self.problem(self.where(path), "not-text", "expected rows of numbers, got binary data")
            notes["rows"] = [[number, line] for number, line in enumerate(lines, 1)]
            lines = []
        return lines, notes

    def _row(self, line: str, place: tuple[str, int], width: int, height: int) -> Annotation | None:
        """The annotation in a row of any kind, and all that is wrong with it."""
        if len(line) > rows.LONGEST:
            message = (
                f"expected {rows.LONGEST:,} characters at most, got {len(line):,}; is a line end missing?"
            )
            self._fault(place, "row-too-long", message)
            return None
        tokens = line.split()
        if not tokens or tokens[0].startswith("#"):
            return None
        values = rows.numbers(line, tokens)
        if values is None:
            self._fault(place, "not-a-number", f"expected numbers, got {_shown(line)}; correct the row")
            return None
        category = self._category(tokens[0], values[0], place)
        if category is None:
            return None
        reading = self._reading
        kind = rows.kind_of(len(values), reading)
        if kind is None:
            self._fault(
                place,
                "row-length",
                f"expected {_EXPECTED[reading.task]}, got {len(values)} numbers: {_shown(line)}; "
                "correct the row, or say with --from what the set holds",
            )
            return None
        if kind in ("detect", "pose") and (values[3] < 0 or values[4] < 0):
            message = f"expected a width and height of at least 0, got {_shown(line)}; correct the row"
            self._fault(place, "negative-size", message)
            return None
        fields: dict[str, Any] = rows.geometry(values, kind, reading, width, height)
        if rows.has_tail(len(values), kind, reading):
            tail = rows.tail_field(tokens[-1], values[-1], reading)
            if tail is None:
                message = f"{tokens[-1]} may be a score or a track id; write scores with a decimal point"
                self._fault(place, "ambiguous-column", message)
                return None
            fields |= {"score": tail[1]} if tail[0] == "score" else {"attributes": {"track_id": tail[1]}}
        annotation = Annotation(category=category, origin=line, **fields)
        self._doubt(annotation, values, kind, place)
        return annotation

    def _doubt(self, annotation: Annotation, values: list[float], kind: str, place: tuple[str, int]) -> None:
        """List what is wrong with a row that is kept all the same."""
        task = self._reading.task
        if kind != task and not (kind == "detect" and task == "pose" and not self._reading.kpt[0]):
            self._fault(
                place,
                "mixed-tasks",
                f"expected {_EXPECTED[task]}, got {len(values)} numbers; kept as {_KINDS[kind]}, which "
                "training refuses beside the others",
            )
        shares = rows.coordinates(values, kind, self._reading)
        low, high = min(shares), max(shares)
        if low < rows.LOW or high > rows.HIGH:
            worst = high if high > rows.HIGH else low
            message = f"expected shares of the image from 0 to 1, got {worst:g}; kept as it is, check the row"
            self._fault(place, "outside-image", message)
        if annotation.score is not None and not 0 <= annotation.score <= 1:
            message = f"expected a score from 0 to 1, got {annotation.score:g}; kept as it is, check the row"
            self._fault(place, "score-range", message)
        if annotation.keypoints and not {0, 1, 2}.issuperset(annotation.keypoints[2::3]):
            message = "expected a visibility of 0, 1 or 2; kept as it is, check kpt_shape in data.yaml"
            self._fault(place, "bad-visibility", message)

    def _category(self, token: str, value: float, place: tuple[str, int]) -> Category | None:
        found = self._by_token.get(token)
        if found is not None:
            return found
        if not value.is_integer() or not 0 <= value < _MAX_CLASS:
            message = f"expected a class number from 0, got {token[:40]!r}; correct the row"
            self._fault(place, "bad-class", message)
            return None
        index = int(value)
        found = self._by_number.get(index)
        if found is None and self._described.names is not None:
            source = self._described.yaml or "the list of classes"
            message = (
                f"expected a class from 0 to {self._top} that has a name, got {index}; "
                f"is {source} the right one?"
            )
            self._fault(place, "unknown-class", message)
        elif found is None:
            found = Category(id=index, name=str(index))
            self.categories.append(found)
            self._by_number[index] = self._by_token[str(index)] = found
        return found

    def _fault(self, place: tuple[str, int], code: str, message: str) -> None:
        self.problem(self.where(*place), code, message)


class _Survey(NamedTuple):
    """What a tree holds, found in one walk over its names."""

    labels: int
    """Files of labels."""
    folders: set[str]
    top: list[str]
    """The first files of labels that lie in no folder."""
    others: set[str]
    """Files that may describe the set; a `train.txt` is one where it has paths and not rows."""
    some: list[str]
    """Up to `_SPREAD` of the files of labels, from all over."""


@lru_cache(maxsize=1)  # sniff and read ask one after the other
def _survey(tree: "Tree") -> _Survey:
    folders: set[str] = set()
    top: list[str] = []
    others: set[str] = set()

    def is_label(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if not has_ending(name, _ENDING):
            if sets.may_describe(name):
                others.add(path)
            return False
        if sets.is_description(name) or (name in sets.LISTS and not _looks_right(peek(tree, path))):
            others.add(path)
            return False
        folders.add(folder)
        if not folder and len(top) <= _FEW:
            top.append(path)
        return True

    labels, some = spread(tree.files, is_label, _SPREAD)
    return _Survey(labels, folders, top, others, some)


@lru_cache(maxsize=1)  # a set of backgrounds only is read through once, not twice
def _first_full(tree: "Tree") -> list[str]:
    """The first files of labels that are not empty, up to `_FEW`: for sets where those all over are."""
    others = _survey(tree).others
    labels = (path for path in tree.files if has_ending(path, _ENDING) and path not in others)
    return list(islice((path for path in labels if peek(tree, path).strip()), _FEW))


def _strays(tree: "Tree", survey: _Survey) -> set[str]:
    """A few files of other content at the top, where the labels lie in folders."""
    if len(survey.top) > _FEW or len(survey.top) == survey.labels:
        return set()
    return {path for path in survey.top if (data := peek(tree, path)).strip() and not _looks_right(data)}


def _number_rows(data: bytes) -> list[list[str]]:
    lines = data.decode("utf-8-sig", "replace").splitlines()
    found = ((line, line.split()) for line in lines if len(line) <= rows.LONGEST)
    return [tokens for line, tokens in found if len(tokens) > 4 and rows.numbers(line, tokens) is not None]


def _looks_right(data: bytes) -> bool:
    """Whether a file looks like rows of labels: whole classes, and most numbers between 0 and 1."""
    lines = [line for line in data[:20_000].decode("utf-8-sig", "replace").splitlines()[:20] if line.strip()]
    right = 0
    for line in lines:
        tokens = line.split()
        values = rows.numbers(line, tokens) if len(tokens) > 4 else None
        if values and values[0].is_integer() and 0 <= values[0] < _MAX_CLASS:
            inside = sum(rows.LOW <= value <= rows.HIGH or value == 2 for value in values[1:])
            right += 4 * inside >= 3 * (len(values) - 1)
    return bool(lines) and 2 * right >= len(lines)


def _beside(key: str) -> str:
    """A label file that lay beside the image."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{stem(name)}.txt"


def _shown(line: str) -> str:
    return short(" ".join(line.split()))
