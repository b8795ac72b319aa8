"""How a CSV table is laid out: which column holds what, found out by the header or by the look of the rows.

The words are those of our own columns (`OWN`), of the TensorFlow object detection and Roboflow tables, of
Kaggle's and Make Sense's, and whatever is near to them; keras-retinanet's tables and older ones of Make Sense
have no header. What four numbers mean is never guessed: the header says it, or one reading alone fits every
row, or the table is refused.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from xlabel.errors import InputError
from xlabel.formats.csv_cells import READ, Box, box, four, number
from xlabel.formats.csv_text import Row, line_end, plain, rows, split
from xlabel.formats.splits import SPLITS
from xlabel.formats.untrusted import short
from xlabel.images import IMAGE_SUFFIXES
from xlabel.model import Number

OWN = (
    "image", "width", "height", "image_id", "split", "image_extra",
    "id", "category", "category_id", "supercategory",
    "x", "y", "w", "h", "polygons", "mask", "keypoints", "shape", "crowd", "area", "score", "status",
    "caption", "attributes", "author", "time", "source", "extra",
)  # fmt: skip
"""Our own columns in their order; a table has those of them that it uses."""

OWN_BOXES = {
    "xywh": ("x", "y", "w", "h"),
    "xyxy": ("xmin", "ymin", "xmax", "ymax"),
    "cxcywh": ("cx", "cy", "w", "h"),
}
PREFIX = "xlabel_"
"""Of the name of one of our columns in another tool's table."""
EXIF = "exif_"
"""Of the names of columns with what the camera said: fields of the object `exif` of an image's extra."""


class Dialect(NamedTuple):
    """How the tables of a variant are written, where that is not as ours are."""

    form: str | None = None
    """What the numbers of a box are, where the columns' names leave it open."""
    columns: tuple[str, ...] = ()
    """All columns; empty: ours, as many as are used."""
    header: bool = True
    holds: frozenset[str] | None = None
    """Of `xlabel.formats.losses.FIELDS` what rows can say; None: as ours."""


DIALECTS = {
    "csv-tensorflow": Dialect(
        columns=("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"),
        holds=frozenset({"bbox", "split", "category extra"}),
    ),
    "csv-retinanet": Dialect(
        form="xyxy",
        columns=("image", "x1", "y1", "x2", "y2", "class"),
        header=False,
        holds=frozenset({"bbox", "split", "unlabelled"}),
    ),
    "csv-classes": Dialect(
        columns=("image", "label"),
        holds=frozenset({"image labels", "split", "unlabelled", "category extra"}),
    ),
    "csv-xywh": Dialect("xywh"),
    "csv-xyxy": Dialect("xyxy"),
    "csv-cxcywh": Dialect("cxcywh"),
}
OURS = Dialect()

_MEANINGS = {
    "xywh": "corner and size (x, y, w, h: --from csv-xywh)",
    "xyxy": "two corners (x1, y1, x2, y2: --from csv-xyxy)",
    "cxcywh": "centre and size (cx, cy, w, h: --from csv-cxcywh)",
}

# What other tools call columns, in letters and digits alone; of several that are there the first is taken.
_WORDS = {
    "image": (
        "filename", "imagepath", "filepath", "imagename", "image", "path", "imagefile", "file", "img",
        "imgpath", "imgname", "imageid", "imgid",
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
_BATCH = 2000
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
    odd: tuple[tuple[int, str], ...] | None = None
    """Place and text of rows that no label has: those that cannot be read, or say what others deny."""


class Plan(msgspec.Struct, frozen=True):
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


def recognise(text: str, path: str, variant: str | None, where: str, sure: bool = True) -> Table | None:
    """The layout of a table of labels, None where the text is none; unless `sure`, rows are not looked at.

    Raises InputError where it is one and may be read in two ways.
    """
    bom = text.startswith("\ufeff")
    end = line_end(text)
    form = DIALECTS.get(variant or "", OURS).form
    for delimiter in sorted(",;\t", key=text.partition(end)[0].count, reverse=True):
        row = next(rows(text, int(bom), end, delimiter), None)
        if row is None or row[2] is None:
            continue
        cells = tuple(map(plain, row[2]))
        plan = None if variant == "csv-retinanet" else plan_of(cells, form)
        base = Table(path, delimiter, end, bom=bom, split=split_of(path))
        if plan is not None:
            table = msgspec.structs.replace(base, header=row[1], form=plan.form or None)
            return _settled(table, plan, text, where) if sure else table
        for columns, kinds in _BARE:
            if len(cells) == len(kinds) and all(map(_is_kind, cells, kinds)):
                if form and form != "xyxy" and kinds == "innnnc":
                    columns = ("image", "x", "y", "w", "h", "class")
                plan = _plan(columns, form)
                table = msgspec.structs.replace(base, columns=columns, form=plan.form)
                return _consistent(table, plan, text, where) if sure and not form else table
        if len(cells) > 1 and any(map(_is_image, cells)):
            raise InputError(
                f"{where}:{row[0]}: expected a header or path,x1,y1,x2,y2,class, found {short(row[1])}; "
                "add a line that names the columns (image,category,x,y,w,h)"
            )
    return None


def plan_of(names: tuple[str, ...], form: str | None = None) -> Plan | None:
    """Which column holds what; None where none names images, or none says anything of them.

    `form` is what the numbers of a box are if their columns' names leave it open.
    """
    at: dict[str, int] = {}
    for index, name in enumerate(names):
        at.setdefault("".join(filter(str.isalnum, name.lower())), index)
    words, meaning = next((known for known in _BOXES if all(word in at for word in known[0])), ((), ""))
    columns = [at[word] for word in words]
    cell = None if words else at.get("bbox")
    own = cell is None and _is_own(names, at, columns)
    used = set(columns) if cell is None else {cell}
    roles: dict[str, int] = {}
    for role in OWN:
        tries = (_bare(PREFIX + role), *((_bare(role),) if own else _WORDS.get(role, ())))
        column = next((at[word] for word in tries if word in at and at[word] not in used), None)
        if column is not None and role not in "xywh":
            roles[role] = column
            used.add(column)
    if "image" not in roles and "id" in roles:
        roles["image"] = roles.pop("id")
    exif = {name: i for i, name in enumerate(names) if own and name.startswith(EXIF)}
    roles |= exif
    used.update(exif.values())
    says = columns or cell is not None or "category" in roles or "category_id" in roles
    if "image" not in roles or not (says or (own and set(names) <= {*OWN, *exif})):
        return None
    if columns or cell is not None:
        said = form if cell is not None or form != "xyxy" else None  # no column called w is a corner
        meaning = meaning or said or ""
        if own or set(names) == {"image_id", "width", "height", "bbox", "source"}:
            meaning = meaning or "xywh"  # as documented, for our own columns and for Kaggle's wheat table
    return Plan(
        names=names,
        roles=roles,
        box=(columns[0], columns[1], columns[2], columns[3]) if columns else None,
        cell=cell,
        form=meaning,
        own=own,
        unknown=tuple(i for i in range(len(names)) if i not in used),
        fields=tuple((i, role, READ[role]) for role, i in roles.items() if role in READ),
    )


def plan_again(table: Table) -> Plan:
    """Which column holds what in a table that was recognised."""
    return _plan(names_of(table), table.form)


def _plan(names: tuple[str, ...], form: str | None) -> Plan:
    plan = plan_of(names, form)
    if plan is None:
        raise InputError(f"expected the columns of a table of labels, found {short(', '.join(names))}")
    return plan


def names_of(table: Table) -> tuple[str, ...]:
    """The names of a table's columns."""
    if table.header is None:
        return table.columns or ()
    return tuple(map(plain, split(table.header, table.delimiter)))


def dialect(tables: Sequence[Table]) -> str:
    """The variant that all tables are in, or the plain name."""
    kinds = set()
    for table in tables:
        names = names_of(table)
        kinds.add(next((name for name, known in DIALECTS.items() if names == known.columns), "csv"))
    return kinds.pop() if len(kinds) == 1 else "csv"


def body(text: str, table: Table) -> Iterator[Row]:
    """The rows below the header."""
    found = rows(text, int(table.bom), table.end, table.delimiter)
    if table.header is not None:
        next(found)
    return found


def chunks(table: Table, lines: Iterable[str]) -> Iterator[bytes]:
    """A table's bytes, some thousand rows at a time; `lines` are its rows."""
    between = ""
    if table.bom:
        yield "\ufeff".encode()
    if table.header is not None:
        yield table.header.encode()
        between = table.end
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        yield (between + table.end.join(batch)).encode()
        between = table.end
    yield (between if table.tail is None else table.tail).encode()


def box_cells(cells: Sequence[str], plan: Plan) -> Box | None:
    """The four numbers of a row as they stand; None where there is no box."""
    if plan.box is not None:
        a, b, c, d = plan.box
        if cells[a] or cells[b] or cells[c] or cells[d]:
            return number(cells[a]), number(cells[b]), number(cells[c]), number(cells[d])
    elif plan.cell is not None and cells[plan.cell]:
        return four(cells[plan.cell])
    return None


def split_of(path: str) -> str | None:
    """The split that a path names: `train.csv`, `valid/_annotations.csv`, `test_labels.csv`."""
    words = "".join(c if c.isalnum() else " " for c in path.lower().rpartition(".")[0]).split()
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def _is_own(names: tuple[str, ...], at: dict[str, int], box_columns: list[int]) -> bool:
    """Whether the columns go by our own names."""
    if "image" not in names or (
        box_columns and tuple(names[i] for i in box_columns) not in OWN_BOXES.values()
    ):
        return False
    others = (_WORDS["image"][:4], _WORDS["category"][1:], _WORDS["category_id"][1:])
    return not any(word in at for words in others for word in words)


def _bare(name: str) -> str:
    return name.replace("_", "")


def _settled(table: Table, plan: Plan, text: str, where: str) -> Table:
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


def _consistent(table: Table, plan: Plan, text: str, where: str) -> Table:
    """The table, if its boxes without header fit the dialect that it looks like."""
    if plan.form == "xyxy" and any(_misfits("xyxy", *row) for row in _numbers(text, table, plan)):
        raise InputError(
            f"{where}: the numbers can be {_MEANINGS['xywh']} or, turned inside out in some rows, "
            f"{_MEANINGS['xyxy']}; say which"
        )
    return table


def _numbers(text: str, table: Table, plan: Plan) -> Iterator[tuple[Box, Number | None, Number | None]]:
    """The four numbers of each row that has them, and the image's size or None."""
    sized = [plan.roles[name] for name in ("width", "height") if name in plan.roles]
    for _, _, cells, _ in body(text, table):
        if cells is None or len(cells) != len(plan.names):
            continue
        try:
            texts = [plain(cell) for cell in cells]
            numbers = box_cells(texts, plan)
            width, height = [number(texts[i]) for i in sized] if len(sized) == 2 else (None, None)
        except ValueError:
            continue
        if numbers is not None:
            yield numbers, width, height


def _misfits(form: str, numbers: Box, width: Number | None, height: Number | None) -> bool:
    """Whether a box of this form has a negative size or leaves the image by more than a pixel."""
    x, y, w, h = box(numbers, form)
    outside = width is not None and height is not None and (x + w > width + 1 or y + h > height + 1)
    return w < 0 or h < 0 or x < -1 or y < -1 or outside


def _is_kind(cell: str, kind: str) -> bool:
    """Whether a cell is of a kind; numbers may be empty, as they are where an image has no labels."""
    return _is_image(cell) if kind == "i" else kind == "c" or not cell or _is_number(cell)


def _is_image(text: str) -> bool:
    return "." in text and text.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def _is_number(text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True
