"""CSV: one row an annotation, columns found by their header, rows kept as text. RFC 4180 for the quoting.

Our own columns are `OWN`. A table of another tool is known by the words of its header (`_WORDS`, `_BOXES`) or,
without header, by the look of its columns (`_BARE`): the TensorFlow object detection and Roboflow tables,
keras-retinanet's, Kaggle's `bbox` column, Make Sense's, and plain `image,label`. What four numbers mean is
never guessed: the header says it, or one reading alone fits every row, or the table is refused. A row that
names an image and nothing else says that the image has no labels. `categories.csv` beside the tables holds
what rows cannot say of categories; keras-retinanet's class map (`name,id` without header) is read in its place.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from xlabel.errors import InputError
from xlabel.formats.labels import DocumentLabels
from xlabel.formats.losses import FIELDS, missing
from xlabel.images import SUFFIXES
from xlabel.model import RLE, Annotation, Category, Dataset, Image, Loss, Number, Problem, Sample, Shape
from xlabel.model.annotation import Circle, OrientedBox
from xlabel.model.dataset import Origin

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "csv"
TITLE = "CSV, one row an annotation"
VARIANTS = ("csv-tensorflow", "csv-retinanet", "csv-classes", "csv-xywh", "csv-xyxy", "csv-cxcywh")
HOLDS = frozenset(FIELDS) - {"info"}

OWN = (
    "image", "width", "height", "image_id", "split", "image_extra",
    "id", "category", "category_id", "supercategory",
    "x", "y", "w", "h", "polygons", "mask", "keypoints", "shape", "crowd", "area", "score", "status", "caption",
    "attributes", "author", "time", "extra",
)  # fmt: skip
"""Our own columns in their order; a table has those of them that it uses."""

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
"""Words in a path or a cell that name a split, and the name that it gets."""

LIMIT = 2**53
"""Numbers as large as this are refused: a double no longer tells them apart."""

_HOLDS = {
    "csv-tensorflow": frozenset({"bbox", "split", "category extra"}),
    "csv-retinanet": frozenset({"bbox", "split", "unlabelled"}),
    "csv-classes": frozenset({"image labels", "split", "unlabelled", "category extra"}),
}
_HEADERS = {
    "csv-tensorflow": ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"),
    "csv-retinanet": ("image", "x1", "y1", "x2", "y2", "class"),
    "csv-classes": ("image", "label"),
}
_FORMS = {"csv-xywh": "xywh", "csv-xyxy": "xyxy", "csv-cxcywh": "cxcywh", "csv-retinanet": "xyxy"}
_MEANINGS = {
    "xywh": "corner and size (x, y, w, h: --from csv-xywh)",
    "xyxy": "two corners (x1, y1, x2, y2: --from csv-xyxy)",
    "cxcywh": "centre and size (cx, cy, w, h: --from csv-cxcywh)",
}
_CATEGORIES = "categories.csv"
_CATEGORY_COLUMNS = ("id", "name", "supercategory", "keypoints", "skeleton", "extra")
_LAST = 2**62  # the place of rows that the source did not have
_PREFIX = "xlabel_"  # of a column that is added to another tool's table

# What other tools call columns, in letters and digits alone; of several that are there the first is taken.
_WORDS = {
    "image": (
        "filename", "imagepath", "filepath", "imagename", "image", "path", "imagefile", "file", "img", "imgpath",
        "imgname", "imageid", "imgid",
    ),
    "width": ("imagewidth", "imgwidth", "imgw", "width"),
    "height": ("imageheight", "imgheight", "imgh", "height"),
    "image_id": ("imageid", "imgid"),
    "split": ("split", "subset"),
    "id": ("id", "annotationid", "annid"),
    "category": ("category", "categoryname", "class", "classname", "label", "labelname"),
    "category_id": ("categoryid", "classid", "labelid"),
    "supercategory": ("supercategory",),
    "crowd": ("iscrowd",),
    "area": ("area",),
    "score": ("score", "confidence"),
}  # fmt: skip

# The four columns of a box and what they are; "" where the words leave it open.
_BOXES = (
    (("xlabelx", "xlabely", "xlabelw", "xlabelh"), "xywh"),
    (("xmin", "ymin", "xmax", "ymax"), "xyxy"),
    (("x0", "y0", "x1", "y1"), "xyxy"),
    (("x1", "y1", "x2", "y2"), "xyxy"),
    (("left", "top", "right", "bottom"), "xyxy"),
    (("bboxxmin", "bboxymin", "bboxxmax", "bboxymax"), "xyxy"),
    (("bboxx1", "bboxy1", "bboxx2", "bboxy2"), "xyxy"),
    (("bboxx", "bboxy", "bboxwidth", "bboxheight"), "xywh"),
    (("bboxx", "bboxy", "bboxw", "bboxh"), "xywh"),
    (("xmin", "ymin", "w", "h"), "xywh"),
    (("xmin", "ymin", "width", "height"), "xywh"),
    (("left", "top", "w", "h"), "xywh"),
    (("left", "top", "width", "height"), "xywh"),
    (("cx", "cy", "w", "h"), "cxcywh"),
    (("cx", "cy", "width", "height"), "cxcywh"),
    (("xcenter", "ycenter", "w", "h"), "cxcywh"),
    (("xcenter", "ycenter", "width", "height"), "cxcywh"),
    (("x", "y", "w", "h"), ""),
    (("x", "y", "width", "height"), ""),
)
_OWN_BOXES = {"xywh": ("x", "y", "w", "h"), "xyxy": ("xmin", "ymin", "xmax", "ymax"), "cxcywh": ("cx", "cy", "w", "h")}

# Tables without header: their columns, and what is seen in them (i: image, n: number, c: category).
_BARE = (
    (("image", "x1", "y1", "x2", "y2", "class"), "innnnc"),
    (
        ("label_name", "bbox_x", "bbox_y", "bbox_width", "bbox_height",
         "image_name", "image_width", "image_height"),
        "cnnnninn",
    ),
)  # fmt: skip


class Table(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a table is laid out: what it takes to read its rows again and to write more of them."""

    path: str
    delimiter: str = ","
    end: str = "\n"
    """What ends a line."""
    header: str | None = None
    """The header line's text; None where there is none."""
    columns: tuple[str, ...] | None = None
    """Names of the columns where no header says them."""
    form: str | None = None
    """What the numbers of a box are: xywh, xyxy or cxcywh."""
    bom: bool = False
    split: str | None = None
    """The split that the file's or folder's name tells."""
    folder: str = ""
    """What the names of images lack: tables in several folders name the images beside them."""
    start: int = 0
    """How many rows the tables before this one have."""
    rows: int = 0
    tail: str | None = None
    """What stands behind the last row where it is not one line end."""


class _Plan(msgspec.Struct, frozen=True):
    """Which column of a table holds what."""

    names: tuple[str, ...]
    roles: dict[str, int]
    box: tuple[int, int, int, int] | None
    cell: int | None
    """A column that holds all of a box: "[x, y, w, h]"."""
    form: str
    own: bool
    unknown: tuple[int, ...]
    fields: tuple[tuple[int, str, Callable[[str], Any]], ...]
    """The columns that one function makes a field of the annotation: column, field, function."""


class _Categories:
    """The categories while rows name them."""

    def __init__(self, listed: Iterable[Category] = ()) -> None:
        self.categories = list(listed)
        self._by_text: dict[tuple[str, str, str], Category] = {}
        self._by_name: dict[str, Category] = {}
        self._by_id: dict[int, Category] = {}
        for category in self.categories:
            self._by_name.setdefault(category.name, category)
            self._by_id.setdefault(category.id, category)

    def get(self, name: str, number: str = "", parent: str = "") -> Category:
        """The category that a row names; `number` is the text of its id."""
        found = self._by_text.get((name, number, parent))
        if found is None:
            found = self._by_text[name, number, parent] = self._find(name, number, parent)
        return found

    def _find(self, name: str, number: str, parent: str) -> Category:
        if not number:
            if name in self._by_name:
                return self._by_name[name]
            identity = len(self.categories) + 1
            while identity in self._by_id:
                identity += 1
        else:
            identity = _whole(number)
            found = self._by_id.get(identity)
            if found is not None:
                if name and found.name != name:
                    raise ValueError(
                        f"expected {_short(found.name)} for category {identity} as before, got {_short(name)}; "
                        "give each category an id of its own"
                    )
                return found
        made = Category(id=identity, name=name or number, supercategory=parent or None)
        self.categories.append(made)
        self._by_id[identity] = made
        self._by_name.setdefault(made.name, made)
        return made


class _Rows:
    """An image while its rows are read."""

    __slots__ = ("annotations", "image", "origin", "sized", "split")

    def __init__(self, image: Image, split: str | None, row: int, sized: tuple[str, str] | None) -> None:
        self.image = image
        self.split = split
        self.origin: dict[str, Any] = {"row": row}
        self.sized = sized
        self.annotations: list[Annotation] = []

    def sample(self) -> Sample:
        return Sample(
            image=self.image, annotations=tuple(self.annotations), split=self.split, origin=self.origin
        )


def sniff(tree: "Tree") -> str | None:
    """Why the tree looks like CSV labels; the first few tables are looked at."""
    paths = _paths(tree)
    for path in paths[:8]:
        try:
            table = _recognise(_head(tree.read(path)), path, None, _where(tree, path), sure=False)
        except FileNotFoundError:
            continue
        except InputError:
            return f"{path}, rows that name images"
        if table is not None:
            kind = "no header" if table.header is None else "columns " + _short(", ".join(_names(table)))
            return f"{len(paths)} CSV files, {kind}" if len(paths) > 1 else f"{path}, {kind}"
    return None


def read(tree: "Tree", variant: str | None = None) -> DocumentLabels:
    """The labels of all tables of the tree; other CSV files are left alone.

    Raises InputError where no table is one of labels, and where one leaves open what its numbers mean.
    """
    problems: list[Problem] = []
    texts = {path: _decode(tree.read(path), _where(tree, path), problems) for path in _paths(tree)}
    tables = []
    for path, text in texts.items():
        table = _recognise(text, path, variant, _where(tree, path))
        if table is not None:
            tables.append(table)
    if not tables:
        raise InputError(
            f"{tree.root}: expected a CSV table with a column for the image and one for its labels "
            f"({', '.join(OWN[:3])}, category, x, y, w, h), found {_found(texts)}; add a header line"
        )
    files, listed = _listed(texts, any(table.header is None for table in tables))
    known = _Categories(listed)
    samples: dict[str, _Rows] = {}
    folders = {_folder(table.path) for table in tables}
    start = 0
    for index, table in enumerate(tables):
        folder = _folder(table.path) if len(folders) > 1 else ""
        table = msgspec.structs.replace(table, start=start, folder=folder)
        where = _where(tree, table.path)
        tables[index] = _read_rows(texts[table.path], table, where, known, samples, problems)
        start += tables[index].rows
        if not variant:
            _expect_pixels(table, where, samples)
    origin = Origin(
        format=_dialect(tables), files=files or None, extra={"tables": [msgspec.to_builtins(t) for t in tables]}
    )
    where = _where(tree, tables[0].path) if len(tables) == 1 else tree.root
    made = [rows.sample() for rows in samples.values()]
    return DocumentLabels(where, made, known.categories, origin, problems=problems)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The source's tables again where the data set comes from CSV, else `labels.csv` in our own columns.

    The narrower dialects have a table for each split. An edit that another tool's table has no column for adds
    one at the right end.
    """
    yield from _write_again(dataset) if _is_again(dataset, variant) else _write_new(dataset, variant)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    """What `write` leaves out: next to nothing with our own columns, most with those of other tools."""
    dialect = variant or ""
    if _is_again(dataset, variant):
        dialect = "csv-retinanet" if any(table.header is None for table in _tables(dataset)) else ""
    yield from missing(dataset, _HOLDS.get(dialect, HOLDS))
    if dialect not in _HOLDS:
        return
    for sample in dataset.samples:
        if sample.split is not None and sample.split not in SPLITS.values():
            yield Loss(sample.image.key, "split")
    if dialect != "csv-retinanet":
        return
    seen: set[str] = set()
    for category in dataset.categories:
        if category.name in seen:
            yield Loss(f"category {category.name}", "category extra")
        seen.add(category.name)


# Reading: the file


def _paths(tree: "Tree") -> list[str]:
    return [path for path in tree.files if path.lower().endswith((".csv", ".tsv"))]


def _where(tree: "Tree", path: str) -> str:
    return str(PurePosixPath(tree.root) / path)


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _head(data: bytes) -> str:
    """The first lines, enough for a header and some rows."""
    cut = data[:65_536]
    if len(cut) < len(data):
        cut = cut[: cut.rfind(b"\n") + 1] or cut
    return cut.decode("utf-8", "replace")


def _decode(data: bytes, where: str, problems: list[Problem]) -> str:
    """The text of a file; a line that is not UTF-8 is a problem and becomes empty."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        lines = data.split(b"\n")
    for index, line in enumerate(lines):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            lines[index] = b""
            found = line[error.start]
            message = f"expected UTF-8 text, found the byte 0x{found:02x}; save the table as UTF-8"
            problems.append(Problem(f"{where}:{index + 1}", "not-utf8", message))
    return b"\n".join(lines).decode()


def _found(texts: dict[str, str]) -> str:
    for path, text in texts.items():
        return f"{path} that begins with {_short(text.strip().partition(chr(10))[0].strip())}"
    return "no .csv or .tsv file"


def _line_end(text: str) -> str:
    ends = text.count("\n")
    if not ends:
        return "\r" if "\r" in text else "\n"
    return "\r\n" if text.count("\r\n") == ends else "\n"


def _rows(text: str, at: int, end: str, delimiter: str) -> Iterator[tuple[int, str, list[str] | None, int]]:
    """Line, text, cells as they are quoted (None where a quote is astray) and end of each row.

    Blank lines belong to the text of the row that follows them.
    """
    line, start, size = 1, at, len(text)
    while at < size:
        stop = text.find(end, at)
        stop = size if stop < 0 else stop
        bare = text[at:stop].rstrip("\r")
        lines = 1
        if bare:
            cells: list[str] | None
            if '"' in bare:
                cells, stop = _quoted(text, at, stop, end, delimiter)
                lines += text.count(end, at, stop)
            else:
                cells = bare.split(delimiter)
            yield line, text[start:stop], cells, stop
            start = stop + len(end)
        line += lines
        at = stop + len(end)


def _quoted(text: str, at: int, stop: int, end: str, delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of the row at `at`, whose line ends at `stop`, and where the row ends."""
    cells: list[str] = []
    line = stop
    while True:
        if text.startswith('"', at):
            close = text.find('"', at + 1)
            while close >= 0 and text.startswith('"', close + 1):
                close = text.find('"', close + 2)
            if close < 0:
                return None, line
            cut = close + 1
            if cut > stop:
                stop = text.find(end, cut)
                stop = len(text) if stop < 0 else stop
            if cut < stop and not text.startswith(delimiter, cut) and text[cut:stop].strip("\r"):
                return None, line
        else:
            cut = text.find(delimiter, at, stop)
            cut = stop if cut < 0 else cut
        if not text.startswith(delimiter, cut) or cut >= stop:
            cells.append(text[at:cut].rstrip("\r"))
            return cells, stop
        cells.append(text[at:cut])
        at = cut + 1


def _cells(raw: str, delimiter: str) -> list[str]:
    """The cells of a row's text, still quoted; none where a quote is astray."""
    bare = raw.strip("\r\n")
    if '"' not in bare:
        return bare.split(delimiter)
    return next(_rows(bare, 0, _line_end(bare), delimiter))[2] or []


def _plain(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _body(text: str, table: Table) -> Iterator[tuple[int, str, list[str] | None, int]]:
    """The rows below the header."""
    rows = _rows(text, int(table.bom), table.end, table.delimiter)
    if table.header is not None:
        next(rows)
    return rows


# Reading: what the header says


def _recognise(text: str, path: str, variant: str | None, where: str, sure: bool = True) -> Table | None:
    """The layout of a table of labels, None where the text is none.

    Raises InputError where it is one and may be read in two ways; not `sure`: rows are not looked at.
    """
    bom = text.startswith("\ufeff")
    end = _line_end(text)
    for delimiter in sorted(",;\t", key=text.partition(end)[0].count, reverse=True):
        row = next(_rows(text, int(bom), end, delimiter), None)
        if row is None or not row[2]:
            continue
        cells = tuple(map(_plain, row[2]))
        plan = None if variant == "csv-retinanet" else _plan_of(cells, _FORMS.get(variant or ""))
        if plan is not None:
            table = Table(path, delimiter, end, header=row[1], form=plan.form or None, bom=bom, split=_split_of(path))
            return _settled(table, plan, text, where) if sure else table
        for names, kinds in _BARE:
            if _looks(cells, kinds):
                form = _FORMS.get(variant or "")
                plan = _plan_of(names, form)
                assert plan is not None
                table = Table(
                    path, delimiter, end, columns=names, form=plan.form, bom=bom, split=_split_of(path)
                )
                return _consistent(table, plan, text, where) if sure and not form else table
        if len(cells) > 1 and any(map(_is_image, cells)):
            raise InputError(
                f"{where}:{row[0]}: expected a header or path,x1,y1,x2,y2,class, found {_short(row[1])}; "
                "add a line that names the columns (image,category,x,y,w,h)"
            )
    return None


def _plan_of(names: tuple[str, ...], form: str | None = None) -> _Plan | None:
    """Which column holds what; None where none names images, or none says anything of them."""
    at: dict[str, int] = {}
    for index, name in enumerate(names):
        at.setdefault("".join(filter(str.isalnum, name.lower())), index)
    words, meaning = next((box for box in _BOXES if all(word in at for word in box[0])), ((), ""))
    columns = [at[word] for word in words]
    cell = None if words else at.get("bbox")
    own = _is_own(names, at, columns) and cell is None
    used = set(columns) if cell is None else {cell}
    roles: dict[str, int] = {}
    for role in OWN:
        known = (_bare_name(_PREFIX + role), _bare_name(role)) if own else _WORDS.get(role, ())
        tries = known if own else (_bare_name(_PREFIX + role), *known)
        column = next((at[word] for word in tries if word in at and at[word] not in used), None)
        if column is not None and role not in "xywh":
            roles[role] = column
            used.add(column)
    if "image" not in roles and "id" in roles:
        roles["image"] = roles.pop("id")
    says = columns or cell is not None or "category" in roles or "category_id" in roles
    if "image" not in roles or not (says or (own and set(names) <= set(OWN))):
        return None
    if own or set(names) == {"image_id", "width", "height", "bbox", "source"}:
        meaning = meaning or "xywh"  # our own columns, and Kaggle's wheat table, are documented
    return _Plan(
        names=names,
        roles=roles,
        box=(columns[0], columns[1], columns[2], columns[3]) if columns else None,
        cell=cell,
        form=form or meaning,
        own=own,
        unknown=tuple(i for i in range(len(names)) if i not in used),
        fields=tuple((i, role, _READ[role]) for role, i in roles.items() if role in _READ),
    )


def _is_own(names: tuple[str, ...], at: dict[str, int], box: list[int]) -> bool:
    """Whether the columns go by our own names."""
    if "image" not in names or (box and tuple(names[i] for i in box) not in _OWN_BOXES.values()):
        return False
    others = (_WORDS["image"][:4], _WORDS["category"][1:], _WORDS["category_id"][1:])
    return not any(word in at for words in others for word in words)


def _bare_name(name: str) -> str:
    return name.replace("_", "")


def _plan_again(table: Table) -> _Plan:
    plan = _plan_of(_names(table), table.form)
    if plan is None:
        raise InputError(f"{table.path}: expected a header of labels, found {_short(table.header or '')}")
    return plan


def _settled(table: Table, plan: _Plan, text: str, where: str) -> Table:
    """The table with the one meaning of its boxes that fits every row."""
    if table.form or (plan.box is None and plan.cell is None):
        return table
    forms = ("xywh", "cxcywh") if plan.box else ("xywh", "xyxy")
    fits = list(forms)
    for row in _numbers(text, table, plan):
        fits = [form for form in fits if not _misfits(form, *row)]
        if not fits:
            break
    if len(fits) == 1:
        return msgspec.structs.replace(table, form=fits[0])
    names = ", ".join(plan.names[i] for i in plan.box or (plan.cell or 0,))
    raise InputError(
        f"{where}: {names} can be {' or '.join(_MEANINGS[form] for form in forms)}, and "
        f"{'every row fits both' if fits else 'some rows fit neither'}; say which"
    )


def _consistent(table: Table, plan: _Plan, text: str, where: str) -> Table:
    """The table, if its boxes without header fit the dialect that it looks like."""
    if plan.form == "xyxy" and any(_misfits("xyxy", *row) for row in _numbers(text, table, plan)):
        raise InputError(
            f"{where}: the numbers can be {_MEANINGS['xywh']} or, turned inside out in some rows, "
            f"{_MEANINGS['xyxy']}; say which"
        )
    return table


def _numbers(text: str, table: Table, plan: _Plan) -> Iterator[tuple[Any, ...]]:
    """The four numbers of each row that has them, then the image's size or None."""
    sized = [plan.roles[name] for name in ("width", "height") if name in plan.roles]
    for _, _, cells, _ in _body(text, table):
        if cells and len(cells) == len(plan.names):
            try:
                plain = [_plain(cell) for cell in cells]
                numbers = _box_numbers(plain, plan)
                if numbers is not None:
                    yield (*numbers, *([_number(plain[i]) for i in sized] if len(sized) == 2 else (None, None)))
            except (ValueError, RecursionError):
                continue


def _misfits(form: str, a: float, b: float, c: float, d: float, width: float | None, height: float | None) -> bool:
    """Whether a box of this form has a negative size or leaves the image by more than a pixel."""
    left, top, right, bottom = a, b, c, d
    if form == "xywh":
        right, bottom = a + c, b + d
    elif form == "cxcywh":
        left, top, right, bottom = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    outside = width is not None and height is not None and (right > width + 1 or bottom > height + 1)
    return right < left or bottom < top or left < -1 or top < -1 or outside


def _looks(cells: tuple[str, ...], kinds: str) -> bool:
    """Whether cells are of these kinds; numbers may be empty, as they are where an image has no labels."""
    return len(cells) == len(kinds) and all(map(_is_kind, cells, kinds))


def _is_kind(cell: str, kind: str) -> bool:
    return _is_image(cell) if kind == "i" else kind == "c" or not cell or _is_number(cell)


def _is_image(text: str) -> bool:
    return "." in text and text.rpartition(".")[2].lower() in SUFFIXES


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _names(table: Table) -> tuple[str, ...]:
    if table.header is None:
        return table.columns or ()
    return tuple(map(_plain, _cells(table.header, table.delimiter)))


def _dialect(tables: list[Table]) -> str:
    """The variant that all tables are in, or the plain name."""
    kinds = {
        next((dialect for dialect, header in _HEADERS.items() if _names(table) == header), NAME)
        for table in tables
    }
    return kinds.pop() if len(kinds) == 1 else NAME


def _split_of(path: str) -> str | None:
    """The split that a path names: `train.csv`, `valid/_annotations.csv`, `test_labels.csv`."""
    words = "".join(c if c.isalnum() else " " for c in path.lower().rpartition(".")[0]).split()
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None


# Reading: categories


def _listed(texts: dict[str, str], bare: bool) -> tuple[dict[str, str], list[Category]]:
    """The file that lists the categories, if there is one: path and text, and what it says."""
    for path, text in texts.items():
        if path == _CATEGORIES or bare:
            listed = _read_categories(text)
            if listed is not None:
                return {path: text}, listed
    return {}, []


def _read_categories(text: str) -> list[Category] | None:
    """What a list of categories says; None where it is none, or not wholly to be read."""
    text = text.removeprefix("\ufeff")
    rows = [[_plain(c) for c in cells or ()] for _, _, cells, _ in _rows(text, 0, _line_end(text), ",")]
    try:
        if rows and rows[0][:2] == ["id", "name"]:
            made = [_category(dict(zip(rows[0], cells, strict=True))) for cells in rows[1:]]
        else:
            made = [Category(id=_whole(number), name=name) for name, number in rows]
    except (ValueError, RecursionError):
        return None
    return made if made and len({category.id for category in made}) == len(made) else None


def _category(cells: dict[str, str]) -> Category:
    json = {
        name: msgspec.json.decode(cells[name], type=kind)
        for name, kind in _CATEGORY_JSON.items()
        if cells.get(name)
    }
    return Category(
        id=_whole(cells["id"]), name=cells["name"], supercategory=cells.get("supercategory") or None, **json
    )


_CATEGORY_JSON: dict[str, Any] = {
    "keypoints": tuple[str, ...],
    "skeleton": tuple[tuple[int, int], ...],
    "extra": dict[str, Any],
}


# Reading: rows


def _read_rows(
    text: str,
    table: Table,
    where: str,
    known: _Categories,
    samples: dict[str, _Rows],
    problems: list[Problem],
) -> Table:
    """Read the rows of a table into `samples`; the table with their number and what stands behind them."""
    plan = _plan_again(table)
    count, named, folder = len(plan.names), plan.roles["image"], table.folder
    wide, high = plan.roles.get("width", -1), plan.roles.get("height", -1)
    sizes = wide >= 0 and high >= 0
    row, behind = table.start, int(table.bom) + len(table.header or "")
    before: _Rows | None = None
    for line, raw, cells, stop in _body(text, table):
        behind = stop
        try:
            if cells is None or len(cells) != count or "\0" in raw:
                raise ValueError(_malformed(cells, count))
            if '"' in raw:
                cells = [_plain(cell) for cell in cells]
            key = folder + cells[named]
            rows = samples.get(key)
            origin = raw if rows is None or rows is before else [row, raw]
            annotation = _annotation(cells, plan, known, None, origin)
            if rows is None:
                rows = samples[key] = _first(cells, plan, table, key, row, annotation is None)
                if annotation is None:
                    rows.origin["text"] = raw
            elif annotation is None or "text" in rows.origin:
                message = f"expected one row for {_short(key)}, which this or another row says has no labels; remove it"
                problems.append(Problem(f"{where}:{line}", "empty-row", message))
                if annotation is None:
                    continue
                del rows.origin["text"]
            if sizes and rows.sized is not None and (cells[wide], cells[high]) != rows.sized:
                problems.append(_two_sizes(f"{where}:{line}", key, rows.sized, (cells[wide], cells[high])))
                rows.sized = None
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f"{where}:{line}", "bad-row", _message(error, cells, plan)))
            continue
        if annotation is not None:
            rows.annotations.append(annotation)
        before = rows
        row += 1
    tail = text[behind:]
    return msgspec.structs.replace(table, rows=row - table.start, tail=None if tail == table.end else tail)


def _first(cells: list[str], plan: _Plan, table: Table, key: str, row: int, empty: bool) -> _Rows:
    """An image as its first row has it."""
    roles = plan.roles
    if not cells[roles["image"]]:
        raise ValueError("expected the name of an image, got an empty cell; fill it in")
    wide, high = roles.get("width", -1), roles.get("height", -1)
    image = Image(
        key=key,
        width=_size(cells[wide]) if wide >= 0 else None,
        height=_size(cells[high]) if high >= 0 else None,
        id=_identity(cells[roles["image_id"]]) if "image_id" in roles else None,
        extra=_image_extra(cells, plan, empty),
    )
    sized = (cells[wide], cells[high]) if wide >= 0 and high >= 0 else None
    return _Rows(image, _split(cells, plan, table), row, sized)


def _image_extra(cells: list[str], plan: _Plan, empty: bool) -> dict[str, Any] | None:
    column = plan.roles.get("image_extra")
    extra = _json_object(cells[column]) if column is not None and cells[column] else None
    if empty:
        unknown = {plan.names[i]: cells[i] for i in plan.unknown if cells[i]}
        extra = {**(extra or {}), **unknown} if unknown else extra
    return extra


def _split(cells: list[str], plan: _Plan, table: Table) -> str | None:
    text = cells[plan.roles["split"]] if "split" in plan.roles else ""
    return SPLITS.get(text.lower(), text) if text else table.split


def _annotation(
    cells: Sequence[str], plan: _Plan, known: _Categories | None, category: Category | None, origin: Any
) -> Annotation | None:
    """What a row says of its image, None where it says nothing; `category` where none is looked up."""
    bbox = _bbox(cells, plan)
    if known is not None:
        texts = _category_texts(cells, plan.roles)
        category = known.get(*texts) if texts[0] or texts[1] else None
    if not plan.fields and not plan.unknown:
        if bbox is None and category is None:
            return None
        return Annotation(category=category, bbox=bbox, origin=origin)
    fields: dict[str, Any] = {}
    for column, field, reader in plan.fields:
        if cells[column]:
            fields[field] = reader(cells[column])
    if bbox is None and category is None and not fields:
        return None
    for column in plan.unknown:
        if cells[column]:
            fields["extra"] = {**fields.get("extra", {}), plan.names[column]: cells[column]}
    return Annotation(category=category, bbox=bbox, origin=origin, **fields)


def _category_texts(cells: Sequence[str], roles: dict[str, int]) -> tuple[str, str, str]:
    """Name, id and supercategory, empty where there are none."""
    name, number, parent = roles.get("category"), roles.get("category_id"), roles.get("supercategory")
    return (
        "" if name is None else cells[name],
        "" if number is None else cells[number],
        "" if parent is None else cells[parent],
    )


def _bbox(cells: Sequence[str], plan: _Plan) -> tuple[Number, Number, Number, Number] | None:
    numbers = _box_numbers(cells, plan)
    if numbers is None:
        return None
    a, b, c, d = numbers
    if plan.form == "xyxy":
        return a, b, c - a, d - b
    if plan.form == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d


def _box_numbers(cells: Sequence[str], plan: _Plan) -> tuple[Number, Number, Number, Number] | None:
    """The four numbers as they stand; None where there is no box."""
    if plan.box is not None:
        i, j, k, l = plan.box  # noqa: E741
        if cells[i] or cells[j] or cells[k] or cells[l]:
            return _number(cells[i]), _number(cells[j]), _number(cells[k]), _number(cells[l])
    elif plan.cell is not None and cells[plan.cell]:
        a, b, c, d = cells[plan.cell].strip(" []").split(",")
        return _number(a), _number(b), _number(c), _number(d)
    return None


def _number(text: str) -> Number:
    value: Number
    try:
        value = int(text)
    except ValueError:
        value = float(text)
    if not -LIMIT < value < LIMIT or "_" in text:  # false for NaN too
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = _number(text)
    if value != int(value):
        raise ValueError(text)
    return int(value)


def _size(text: str) -> int | None:
    value = _whole(text) if text else None
    if value is not None and value <= 0:
        raise ValueError(text)
    return value


def _identity(text: str) -> int | str | None:
    """An id: a whole number, text, or text in JSON's quotes where it would pass for something else."""
    if text.lstrip("-").isdecimal() and len(text) < 19 and str(int(text)) == text:
        return int(text)
    if text.startswith('"'):
        try:
            return msgspec.json.decode(text, type=str)
        except ValueError:
            return text
    return text or None


def _flag(text: str) -> bool:
    try:
        return {"0": False, "1": True, "false": False, "true": True}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _status(text: str) -> str:
    if text not in ("suggestion", "accepted", "rejected"):
        raise ValueError(text)
    return text


def _polygons(text: str) -> tuple[tuple[Number, ...], ...]:
    polygons = _decode_polygons(text)
    if any(len(polygon) % 2 for polygon in polygons):
        raise ValueError(text)
    return polygons


def _keypoints(text: str) -> tuple[Number, ...]:
    keypoints = _decode_numbers(text)
    if len(keypoints) % 3:
        raise ValueError(text)
    return keypoints


def _shape(text: str) -> Shape:
    shape = _decode_shape(text)
    if isinstance(shape, Circle):
        values: tuple[Number, ...] = (shape.x, shape.y, shape.radius)
    else:
        values = shape.corners if isinstance(shape, OrientedBox) else shape.points
        if len(values) % 2:
            raise ValueError(text)
    if not all(-LIMIT < value < LIMIT for value in values):
        raise ValueError(text)
    return shape


_Within = Annotated[int, msgspec.Meta(gt=-LIMIT, lt=LIMIT)] | Annotated[float, msgspec.Meta(gt=-LIMIT, lt=LIMIT)]
_decode_numbers = msgspec.json.Decoder(tuple[_Within, ...]).decode
_decode_polygons = msgspec.json.Decoder(tuple[tuple[_Within, ...], ...]).decode
_decode_shape = msgspec.json.Decoder(Shape).decode
_decode_mask = msgspec.json.Decoder(RLE).decode
_json_object = msgspec.json.Decoder(dict[str, Any]).decode

_READ: dict[str, Callable[[str], Any]] = {
    "id": _identity,
    "polygons": _polygons,
    "mask": _decode_mask,
    "keypoints": _keypoints,
    "shape": _shape,
    "crowd": _flag,
    "area": _number,
    "score": _number,
    "status": _status,
    "caption": str,
    "attributes": _json_object,
    "author": str,
    "time": str,
    "extra": _json_object,
}
_EXPECTED = {
    "image_id": "an id",
    "image_extra": "a JSON object",
    "polygons": "JSON like [[x1,y1,x2,y2,x3,y3]]",
    "mask": 'JSON like {"size":[height,width],"counts":"..."}',
    "keypoints": "JSON like [x1,y1,v1,x2,y2,v2]",
    "shape": 'JSON like {"kind":"circle","x":5,"y":5,"radius":2}',
    "crowd": "0 or 1",
    "status": "suggestion, accepted or rejected",
    "attributes": "a JSON object",
    "extra": "a JSON object",
    "category_id": "a whole number",
    "width": "a whole number above 0",
    "height": "a whole number above 0",
}


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _malformed(cells: list[str] | None, count: int) -> str:
    if cells is None:
        return "expected a quoted cell to end with a quote before the next delimiter; write quotes inside it twice"
    if len(cells) != count:
        return f"expected {count} cells, got {len(cells)}; put cells that hold a delimiter in quotes"
    return "expected text, got a NUL byte; remove it"


def _message(error: Exception, cells: list[str] | None, plan: _Plan) -> str:
    """What is wrong with a row: the error's own sentence, or the first cell that cannot be read."""
    if str(error).startswith("expected "):
        return str(error)
    readers: dict[str, Callable[[str], Any]] = {
        **_READ, "width": _size, "height": _size, "category_id": _whole, "image_extra": _json_object,
    }  # fmt: skip
    columns = [(i, _number, "a number") for i in plan.box or ()]
    if plan.cell is not None:
        columns.append((plan.cell, lambda text: [_number(n) for n in text.strip(" []").split(",", 3)], "[x, y, w, h]"))
    columns += [
        (i, readers[role], _EXPECTED.get(role, "a number")) for role, i in plan.roles.items() if role in readers
    ]
    for column, reader, expected in columns:
        text = (cells or [])[column]
        try:
            if text or column in (plan.box or ()):
                reader(text)
        except (ValueError, RecursionError):
            return f"expected {expected} in column {plan.names[column]}, got {_short(text)}; correct or remove the row"
    return f"expected cells that can be read, got an error ({error}); correct or remove the row"


def _two_sizes(where: str, key: str, first: tuple[str, str], other: tuple[str, str]) -> Problem:
    message = (
        f"expected {'x'.join(first)} for {_short(key)} as in its first row, got {'x'.join(other)}; correct one of them"
    )
    return Problem(where, "size-twice", message)


def _expect_pixels(table: Table, where: str, samples: dict[str, _Rows]) -> None:
    """Refuse another tool's table whose boxes all lie between 0 and 1: they are parts of the image's size."""
    if _plan_again(table).own:
        return
    small = False
    for rows in samples.values():
        for annotation in rows.annotations:
            if annotation.bbox is not None:
                x, y, w, h = annotation.bbox
                if x + w > 1 or y + h > 1 or x < 0 or y < 0:
                    return
                small = small or isinstance(x + y + w + h, float)
    if small:
        raise InputError(
            f"{where}: boxes can be in pixels (--from csv-{table.form}), or parts of the image's size as all "
            "numbers lie from 0 to 1: multiply those by the images' width and height"
        )


# Writing


def _is_again(dataset: Dataset, variant: str | None) -> bool:
    """Whether the data set comes from CSV, and is to go back as it was."""
    origin = dataset.origin
    if origin is None or origin.format.partition("-")[0] != NAME or "tables" not in (origin.extra or {}):
        return False
    return variant is None or variant == origin.format


def _tables(dataset: Dataset) -> list[Table]:
    notes = dataset.origin.extra["tables"] if dataset.origin and dataset.origin.extra else []
    try:
        return msgspec.convert(notes, list[Table])
    except msgspec.ValidationError as error:
        raise InputError(f"the notes of the CSV tables in the data set's origin are not to be read: {error}") from error


class _Sheet(msgspec.Struct):
    """A table while it is filled: each entry is a row's place, its text or what to make it of, its category."""

    table: Table
    plan: _Plan
    entries: list[tuple[int, "str | _Edit", tuple[str, str, str]]]
    """A row's place, the row, and what it calls its category."""
    added: dict[str, None]
    """Columns of ours that an edit needs and the table lacks."""


class _Edit(msgspec.Struct, frozen=True):
    """A row that is not as the source had it: the source's cells, if any, and what they have to say."""

    cells: list[str] | None
    values: dict[str, str]
    bbox: tuple[Number, Number, Number, Number] | None


def _write_new(dataset: Dataset, variant: str | None) -> Iterator[tuple[str, Iterable[bytes]]]:
    narrow = variant if variant in _HEADERS else None
    names = _HEADERS[narrow] if narrow else _used(dataset, _FORMS.get(variant or "", "xywh"))
    plan = _plan_of(names, _FORMS.get(variant or ""))
    assert plan is not None
    groups: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        split = sample.split if narrow and sample.split in SPLITS.values() else None
        groups.setdefault(f"{split or 'labels'}.csv", []).append(sample)
    paths = sorted(groups) or ["labels.csv"]
    for path in paths:
        table = Table(path, header=None if narrow == "csv-retinanet" else ",".join(names))
        yield path, _chunks(table, _new_lines(groups.get(path, []), plan, narrow))
    if narrow == "csv-retinanet":
        unique = dict.fromkeys(category.name for category in dataset.categories)
        yield "classes.csv", [_line([name, str(i)], ",").encode() + b"\n" for i, name in enumerate(unique)]
        return
    known = _Categories()
    written = (a for path in paths for s in groups.get(path, []) for a in s.annotations if _fits(a, narrow))
    _name_all(known, (_category_of(annotation.category, plan.roles) for annotation in written))
    if known.categories != dataset.categories:
        yield _CATEGORIES, [_categories_text(dataset.categories).encode()]


def _used(dataset: Dataset, form: str) -> tuple[str, ...]:
    """Those of our own columns that the data set needs."""
    found = {"image"}
    pending = [*_WRITE.keys() - {"category_id", "supercategory"}, "bbox"]
    for sample in dataset.samples:
        found.update(name for name, text in _image_texts(sample, sample.image.key, None, _shown(sample)).items() if text)
        for annotation in sample.annotations:
            new = [field for field in pending if getattr(annotation, field) not in (None, False)]
            if not new and "crowd" in pending and _is_bare(annotation):
                new = ["crowd"]
            if new:
                found.update(new)
                pending = [field for field in pending if field not in found]
    if "category" in found:
        found.add("category_id")
    if "bbox" in found:
        found.update("xywh")
    box = dict(zip("xywh", _OWN_BOXES[form], strict=True))
    return tuple(box.get(name, name) for name in OWN if name in found)


def _new_lines(samples: Iterable[Sample], plan: _Plan, variant: str | None) -> Iterator[str]:
    """The rows of samples that no table had before."""
    getters = [(column, _WRITE[role]) for role, column in plan.roles.items() if role in _WRITE]
    once = plan.roles.get("image_extra")
    for sample in samples:
        row = [""] * len(plan.names)
        for role, text in _image_texts(sample, sample.image.key, None, _shown(sample)).items():
            if role in plan.roles:
                row[plan.roles[role]] = text
        if not sample.annotations and variant != "csv-tensorflow":
            yield _line(row, ",")
        for annotation in sample.annotations:
            if not _fits(annotation, variant):
                continue
            cells = row.copy()
            for column, get in getters:
                cells[column] = get(annotation)
            if plan.box is not None and annotation.bbox is not None:
                for column, number in zip(plan.box, _corners(annotation.bbox, plan.form), strict=True):
                    cells[column] = repr(number)
            yield _line(cells, ",")
            if once is not None:
                row[once] = ""


def _fits(annotation: Annotation, variant: str | None) -> bool:
    """Whether a row of this dialect can say anything of the annotation."""
    if variant is None:
        return True
    return annotation.category is not None and (annotation.bbox is not None or variant == "csv-classes")


def _write_again(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    sheets = [_Sheet(table, _plan_again(table), [], {}) for table in _tables(dataset)]
    starts = [sheet.table.start for sheet in sheets]
    names = [category.name for category in dataset.categories]
    ambiguous = len(set(names)) < len(names)
    for sample in dataset.samples:
        home = _home(sample, sheets)
        if home is not None or sample.annotations:
            first = _sheet_for(sample.split, sheets) if home is None else sheets[bisect_right(starts, home) - 1]
            _enter(sample, home, first, sheets, starts, ambiguous)
    kept = [sheet for sheet in sheets if sheet.entries or not sheet.table.rows] or sheets[:1]
    kept.sort(key=lambda sheet: sheet.table.path.encode())
    for sheet in kept:
        sheet.entries.sort(key=itemgetter(0))
        yield sheet.table.path, _chunks(*_filled(sheet))
    yield from _categories_again(dataset, kept)


def _home(sample: Sample, sheets: list[_Sheet]) -> int | None:
    """The place of the sample's first row in the source, None where it had none."""
    row = sample.origin.get("row") if isinstance(sample.origin, dict) else None
    last = sheets[-1].table
    return row if isinstance(row, int) and 0 <= row < last.start + last.rows else None


def _sheet_for(split: str | None, sheets: list[_Sheet]) -> _Sheet:
    """The table that new images of a split go to; a new one where the tables tell another split by their name."""
    for sheet in sheets:
        if sheet.table.split == split or (split is not None and "split" in sheet.plan.roles):
            return sheet
    if split is not None and split not in SPLITS.values():
        return sheets[0]
    like = sheets[0].table
    table = msgspec.structs.replace(
        like, path=f"{split or 'labels'}.csv", split=split, folder="", start=_LAST, rows=0, tail=None
    )
    sheets.append(_Sheet(table, sheets[0].plan, [], {}))
    return sheets[-1]


def _enter(
    sample: Sample, home: int | None, first: _Sheet, sheets: list[_Sheet], starts: list[int], ambiguous: bool
) -> None:
    """Put the rows of a sample into their tables, with the source's text where it still says the same."""
    sources = [_source(a.origin) if home is not None else (None, None) for a in sample.annotations]
    empty = None if home is None or sources else sample.origin.get("text")
    known = empty if isinstance(empty, str) else next((raw for _, raw in sources if raw is not None), None)
    target = _target(sample, known, first, sheets)
    same = target is first and known is not None and _is_image_same(known, first, sample)
    place = _LAST if home is None or target is not first else home
    if not sample.annotations:
        if same and known is not None:
            first.entries.append((place, known, ("", "", "")))
        else:
            _edit(sample, None, target, place, _again(known, first, target), ambiguous, True)
    for index, (annotation, (row, raw)) in enumerate(zip(sample.annotations, sources, strict=True)):
        source = first
        if row is not None and 0 <= row < _LAST:
            source = sheets[bisect_right(starts, row) - 1]
            place = row if target is first else place
        sheet = source if target is first else target
        if same and raw is not None:
            plain = [_plain(cell) for cell in _cells(raw, source.table.delimiter)]
            if _is_same(plain, source.plan, annotation, sample):
                sheet.entries.append((place, raw, _category_texts(plain, source.plan.roles)))
                continue
        _edit(sample, annotation, sheet, place, _again(raw, source, sheet), ambiguous, index == 0)


def _source(origin: Any) -> tuple[int | None, str | None]:
    """The place, where it is not behind the row before, and the text of an annotation's row in the source."""
    if isinstance(origin, str):
        return None, origin
    if isinstance(origin, list) and len(origin) == 2 and isinstance(origin[0], int) and isinstance(origin[1], str):
        return origin[0], origin[1]
    return None, None


def _again(raw: str | None, source: _Sheet, sheet: _Sheet) -> list[str] | None:
    """The cells of a row of one table, where they can stand in the other."""
    if raw is None or (source.table.delimiter, source.plan.names) != (sheet.table.delimiter, sheet.plan.names):
        return None
    cells = _cells(raw, source.table.delimiter)
    return cells if len(cells) == len(source.plan.names) else None


def _target(sample: Sample, known: str | None, first: _Sheet, sheets: list[_Sheet]) -> _Sheet:
    """The table that a sample's rows go to: the source's, unless its split is another now that it cannot say."""
    if sample.split == first.table.split or (sample.split is not None and "split" in first.plan.roles):
        return first
    cells = [_plain(cell) for cell in _cells(known or "", first.table.delimiter)]
    if len(cells) == len(first.plan.names) and _split(cells, first.plan, first.table) == sample.split:
        return first
    return _sheet_for(sample.split, sheets)


def _is_image_same(raw: str, sheet: _Sheet, sample: Sample) -> bool:
    """Whether a row says of the image what the sample says."""
    cells = [_plain(cell) for cell in _cells(raw, sheet.table.delimiter)]
    plan, image = sheet.plan, sample.image
    if len(cells) != len(plan.names) or cells[plan.roles["image"]] != _name(sample, sheet.table):
        return False
    try:
        for role, number in zip(("width", "height"), sample.drawn or _shown(sample), strict=True):
            column = plan.roles.get(role)
            if column is not None and cells[column] and _size(cells[column]) != number:
                return False
        identity = _identity(cells[plan.roles["image_id"]]) if "image_id" in plan.roles else None
        return (
            identity == image.id
            and _split(cells, plan, sheet.table) == sample.split
            and _image_extra(cells, plan, not sample.annotations) == image.extra
        )
    except (ValueError, RecursionError):
        return False


def _is_same(cells: list[str], plan: _Plan, annotation: Annotation, sample: Sample) -> bool:
    """Whether a row says what the annotation says."""
    if len(cells) != len(plan.names):
        return False
    try:
        said = _annotation(cells, plan, None, annotation.category, annotation.origin)
    except (ValueError, RecursionError):
        return False
    if said is not None and _is_turned(sample) and sample.drawn is not None:
        said = turn(said, sample.image.orientation, *sample.drawn)
    if said != annotation and not (said is None and _is_bare(annotation)):
        return False
    texts = _category_texts(cells, plan.roles)
    return all(map(_is_meant, ("category", "category_id", "supercategory"), texts, _told(texts, annotation.category)))


def _told(texts: tuple[str, str, str], category: Category | None) -> tuple[str, str, str]:
    """What a row with such cells would say of the category: of a cell that is empty, nothing is asked."""
    if category is None:
        return "", "", ""
    name, number, parent = _category_texts_of(category)
    if not texts[0]:
        return "", number, parent if texts[2] else ""
    return name, number if texts[1] else "", parent if texts[2] else ""


def _is_turned(sample: Sample) -> bool:
    """Whether the labels were drawn on the stored matrix and turned when they were read."""
    image = sample.image
    return image.orientation >= 5 and sample.drawn == (image.height, image.width) and sample.drawn is not None


def _edit(
    sample: Sample,
    annotation: Annotation | None,
    sheet: _Sheet,
    place: int,
    cells: list[str] | None,
    ambiguous: bool,
    first: bool,
) -> None:
    """Put a new or changed row into a table, and note the columns that it lacks."""
    plan, table = sheet.plan, sheet.table
    if annotation is not None and _is_turned(sample):
        back = {6: 8, 8: 6}.get(sample.image.orientation, sample.image.orientation)
        annotation = turn(annotation, back, *_shown(sample, 0))
    values = _image_texts(sample, _name(sample, table), table.split, sample.drawn or _shown(sample))
    if annotation is None:
        unknown = sample.image.extra or {}
    else:
        values.update((role, get(annotation)) for role, get in _WRITE.items())
        unknown = annotation.extra or {}
    taken = {plan.names[i]: unknown[plan.names[i]] for i in plan.unknown if _is_text(unknown.get(plan.names[i]))}
    if taken:
        left = {name: value for name, value in unknown.items() if name not in taken}
        values["image_extra" if annotation is None else "extra"] = _json(left or None)
        values.update((_COLUMN + name, text) for name, text in taken.items())
    if not first:
        values["image_extra"] = ""
    bbox = annotation.bbox if annotation is not None else None
    sheet.entries.append((place, _Edit(cells, values, bbox), _category_of(annotation and annotation.category, plan.roles)))
    if table.header is None:
        return
    if bbox is not None and plan.box is None and plan.cell is None:
        sheet.added.update(dict.fromkeys("xywh"))
    skipped = {"width", "height", "supercategory"}
    if "category_id" in plan.roles:
        skipped.add("category")
    elif not ambiguous:
        skipped.add("category_id")
    sheet.added.update(
        (role, None) for role, text in values.items() if text and role in _ROLES and role not in plan.roles and role not in skipped
    )


def _filled(sheet: _Sheet) -> tuple[Table, Iterator[str]]:
    """A table's layout and its rows, with the columns that were added."""
    table, plan = sheet.table, sheet.plan
    added = [name for name in OWN if name in sheet.added]
    if table.header is not None and added:
        titles = "".join(table.delimiter + (name if plan.own else _PREFIX + name) for name in added)
        header = table.header.rstrip("\r")
        table = msgspec.structs.replace(table, header=header + titles + table.header[len(header) :])
        plan = _plan_again(table)
    return table, _again_lines(sheet.entries, table, plan, len(added))


def _again_lines(
    entries: list[tuple[int, "str | _Edit", tuple[str, str, str]]], table: Table, plan: _Plan, added: int
) -> Iterator[str]:
    behind = table.delimiter * added
    ending = "\r" if table.end == "\n" and (table.header or "").endswith("\r") else ""
    for _, row, _ in entries:
        if isinstance(row, _Edit):
            yield _edited(row, table, plan, added) + ending
        elif added:
            bare = row.rstrip("\r")
            yield bare + behind + row[len(bare) :]
        else:
            yield row


def _edited(edit: _Edit, table: Table, plan: _Plan, added: int) -> str:
    """A row's text: the source's cells, and new ones where they say something else."""
    new = edit.cells is None
    cells = [""] * len(plan.names) if edit.cells is None else [*edit.cells, *[""] * added]
    plain = [_plain(cell) for cell in cells]
    for role, column in plan.roles.items():
        text = edit.values.get(role, "")
        if not (_is_meant(role, plain[column], text) or (not new and role in ("width", "height") and not plain[column])):
            cells[column] = _cell(text, table.delimiter, cells[column])
    for column in plan.unknown:
        text = edit.values.get(_COLUMN + plan.names[column], "")
        if text != plain[column]:
            cells[column] = _cell(text, table.delimiter, cells[column])
    try:
        same = _bbox(plain, plan) == edit.bbox
    except ValueError:
        same = False
    if same:
        return table.delimiter.join(cells)
    texts = [""] * 4 if edit.bbox is None else [repr(number) for number in _corners(edit.bbox, plan.form)]
    if plan.cell is not None:
        text = f"[{', '.join(texts)}]" if edit.bbox is not None else ""
        cells[plan.cell] = _cell(text, table.delimiter, cells[plan.cell])
    for column, text in zip(plan.box or (), texts, strict=False):
        if not _is_meant("area", plain[column], text):
            cells[column] = _cell(text, table.delimiter, cells[column])
    return table.delimiter.join(cells)


def _categories_again(dataset: Dataset, sheets: list[_Sheet]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The list of categories: the source's where it still says the same, a new one where rows do not tell all."""
    files = dataset.origin.files if dataset.origin is not None else None
    path, text = next(iter((files or {}).items()), (_CATEGORIES, ""))
    known = _Categories(_read_categories(text) or ())
    _name_all(known, (texts for sheet in sheets for _, _, texts in sheet.entries))
    if known.categories != dataset.categories:
        bare = text and not text.removeprefix("\ufeff").startswith("id,name")
        if bare and all(category == Category(id=category.id, name=category.name) for category in dataset.categories):
            text = "".join(_line([c.name, str(c.id)], ",") + "\n" for c in dataset.categories)
        else:
            path, text = (_CATEGORIES if bare else path), _categories_text(dataset.categories)
    if text:
        yield path, [text.encode()]


# Writing: what stands in a cell


def _name(sample: Sample, table: Table) -> str:
    return (sample.named or sample.image.key).removeprefix(table.folder)


def _shown(sample: Sample, unknown: Any = None) -> tuple[Any, Any]:
    """The image's size as displayed."""
    image = sample.image
    return (image.width or unknown, image.height or unknown)


def _image_texts(
    sample: Sample, name: str, split: str | None, size: tuple[int | None, int | None]
) -> dict[str, str]:
    """What the columns of the image say; `split` is what the table's name says already."""
    image = sample.image
    width, height = size
    return {
        "image": name,
        "width": "" if width is None else str(width),
        "height": "" if height is None else str(height),
        "image_id": _identity_text(image.id),
        "split": sample.split if sample.split is not None and sample.split != split else "",
        "image_extra": _json(image.extra),
    }


def _identity_text(identity: int | str | None) -> str:
    if identity is None:
        return ""
    text = str(identity)
    return text if _identity(text) == identity else _json(text)


def _json(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_bare(annotation: Annotation) -> bool:
    """Whether an annotation says nothing at all."""
    return annotation == Annotation(origin=annotation.origin)


def _crowd_text(annotation: Annotation) -> str:
    if annotation.crowd:
        return "1"
    return "0" if annotation.category is None and annotation.bbox is None and _is_bare(annotation) else ""


def _category_texts_of(category: Category | None) -> tuple[str, str, str]:
    return ("", "", "") if category is None else (category.name, str(category.id), category.supercategory or "")


def _category_of(category: Category | None, roles: dict[str, int]) -> tuple[str, str, str]:
    """What a row of a table with these columns says of a category."""
    name, number, parent = _category_texts_of(category)
    return (
        name if "category" in roles else "",
        number if "category_id" in roles else "",
        parent if "supercategory" in roles else "",
    )


def _name_all(known: _Categories, rows: Iterable[tuple[str, str, str]]) -> None:
    for texts in rows:
        if texts[0] or texts[1]:
            try:
                known.get(*texts)
            except ValueError:
                continue


_COLUMN = "column "  # before the name of another tool's column, to tell it from ours
_ROLES = frozenset(OWN)
_WRITE: dict[str, Callable[[Annotation], str]] = {
    "id": lambda a: _identity_text(a.id),
    "category": lambda a: a.category.name if a.category is not None else "",
    "category_id": lambda a: str(a.category.id) if a.category is not None else "",
    "supercategory": lambda a: (a.category.supercategory or "") if a.category is not None else "",
    "polygons": lambda a: _json(a.polygons),
    "mask": lambda a: _json(a.mask),
    "keypoints": lambda a: _json(a.keypoints),
    "shape": lambda a: _json(a.shape),
    "crowd": _crowd_text,
    "area": lambda a: "" if a.area is None else repr(a.area),
    "score": lambda a: "" if a.score is None else repr(a.score),
    "status": lambda a: a.status or "",
    "caption": lambda a: a.caption or "",
    "attributes": lambda a: _json(a.attributes),
    "author": lambda a: a.author or "",
    "time": lambda a: a.time or "",
    "extra": lambda a: _json(a.extra),
}


def _is_meant(role: str, old: str, new: str) -> bool:
    """Whether two texts in a column say the same."""
    if old == new:
        return True
    if role == "crowd":
        return {old.lower(), new} <= {"", "0", "false"} or {old.lower(), new} <= {"1", "true"}
    if role == "split":
        return bool(old and new) and SPLITS.get(old.lower(), old) == new
    reader: Callable[[str], Any] | None = (
        _whole if role in ("width", "height", "category_id") else _identity if role == "image_id" else _READ.get(role)
    )
    if not old or not new or reader is None:
        return False
    try:
        return bool(reader(old) == reader(new))
    except (ValueError, RecursionError):
        return False


def _corners(bbox: tuple[Number, Number, Number, Number], form: str) -> tuple[Number, Number, Number, Number]:
    """The four numbers of a box in a table."""
    x, y, w, h = bbox
    if form == "xyxy":
        return x, y, x + w, y + h
    if form == "cxcywh":
        return x + w / 2, y + h / 2, w, h
    return bbox


def _cell(text: str, delimiter: str, old: str = "") -> str:
    """A cell, in quotes where it needs them or had them."""
    if old.startswith('"') or delimiter in text or '"' in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _line(cells: list[str], delimiter: str) -> str:
    line = delimiter.join(cells)
    if '"' in line or "\n" in line or "\r" in line or line.count(delimiter) >= len(cells):
        return delimiter.join([_cell(cell, delimiter) for cell in cells])
    return line


def _categories_text(categories: Sequence[Category]) -> str:
    rows = [
        [str(c.id), c.name, c.supercategory or "", _json(c.keypoints), _json(c.skeleton), _json(c.extra)]
        for c in categories
    ]
    used = [i for i, name in enumerate(_CATEGORY_COLUMNS) if name in ("id", "name") or any(row[i] for row in rows)]
    lines = [_CATEGORY_COLUMNS, *rows]
    return "".join(_line([line[i] for i in used], ",") + "\n" for line in lines)


def _chunks(table: Table, lines: Iterator[str]) -> Iterator[bytes]:
    """A table's bytes, some thousand rows at a time."""
    joined = "" if table.header is None else table.header
    begun = table.header is not None
    batch: list[str] = []
    if table.bom:
        yield "\ufeff".encode()
    if begun:
        yield joined.encode()
    for line in lines:
        batch.append(line)
        if len(batch) == 2000:
            yield ((table.end if begun else "") + table.end.join(batch)).encode()
            begun = True
            batch.clear()
    if batch:
        yield ((table.end if begun else "") + table.end.join(batch)).encode()
        begun = True
    yield (table.end if table.tail is None and begun else table.tail or "").encode()
