"""CSV: one row an annotation, rows kept as text. RFC 4180; what columns are called is in `csv_layout`.

A row that names an image and nothing else says that the image has no labels. `categories.csv` beside the
tables holds what rows cannot say of categories; keras-retinanet's class map (`name,id` without header) is
read in its place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from xlabel.errors import InputError, why
from xlabel.formats import csv_again, csv_categories, csv_new
from xlabel.formats.csv_cells import EXPECTED, READ, READ_IMAGE, Categories, four, number
from xlabel.formats.csv_layout import (
    DIALECTS,
    OURS,
    OWN,
    Plan,
    Table,
    body,
    dialect,
    names_of,
    plan_again,
    recognise,
)
from xlabel.formats.csv_rows import annotation_in, image_in, split_in
from xlabel.formats.csv_text import LONGEST, plain
from xlabel.formats.labels import DocumentLabels, peek
from xlabel.formats.losses import FIELDS, missing
from xlabel.formats.untrusted import short
from xlabel.model import Annotation, Category, Dataset, Image, Loss, Problem, Sample
from xlabel.model.dataset import Origin
from xlabel.model.report import counted

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "csv"
TITLE = "CSV, one row an annotation"
IMAGES = "images"
VARIANTS = tuple(DIALECTS)
HOLDS = frozenset(FIELDS) - {"info"}


def sniff(tree: "Tree") -> str | None:
    """Why the tree looks like CSV labels; the first few tables are looked at."""
    paths = _paths(tree)
    for path in paths[:8]:
        try:
            table = recognise(_head(peek(tree, path)), path, None, _where(tree, path), sure=False)
        except InputError:
            return f"{path}, rows that name images"
        if table is not None:
            kind = "no header" if table.header is None else "columns " + short(", ".join(names_of(table)))
            others = len(paths) - 1
            return f"{path}, {kind}" + (f", and {counted(others, 'other CSV files')}" if others else "")
    return None


def read(tree: "Tree", variant: str | None = None) -> DocumentLabels:
    """The labels of all tables of the tree; other CSV files are left alone.

    Raises InputError where no table is one of labels, and where one leaves open what its numbers mean.
    """
    problems: list[Problem] = []
    texts = dict(_texts(tree, problems))
    found = [recognise(text, path, variant, _where(tree, path)) for path, text in texts.items()]
    tables = [table for table in found if table is not None]
    if not tables:
        raise InputError(
            f"{tree.root}: expected a CSV table with a column for the image and one for its labels "
            f"({', '.join(OWN[:3])}, category, x, y, w, h), found {_found(texts)}; add a header line"
        )
    files, listed = _listed(texts, any(table.header is None for table in tables))
    known = Categories(listed)
    samples: dict[str, _Rows] = {}
    folders = {_folder(table.path) for table in tables}
    start = 0
    for index, table in enumerate(tables):
        folder = _folder(table.path) if len(folders) > 1 else ""
        table = msgspec.structs.replace(table, start=start, folder=folder)
        where = _where(tree, table.path)
        tables[index] = _read_rows(texts[table.path], table, where, known, samples, problems)
        start += tables[index].rows
    other = next((table for table in tables if not plan_again(table).own), None)
    if variant is None and other is not None:
        _expect_pixels(_where(tree, other.path), other.form or "xyxy", samples)
    notes = [msgspec.to_builtins(table) for table in tables]
    origin = Origin(format=dialect(tables), files=files or None, extra={"tables": notes})
    where = _where(tree, tables[0].path) if len(tables) == 1 else tree.root
    made = [rows.sample() for rows in samples.values()]
    return DocumentLabels(where, made, known.categories, origin, problems=problems)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The source's tables again where the data set comes from CSV, else `labels.csv` in our own columns.

    The narrower dialects have a table for each split. An edit that another tool's table has no column for
    adds one at its right end.
    """
    if _is_again(dataset, variant):
        return csv_again.write(dataset)
    return csv_new.write(dataset, variant)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    """What `write` leaves out: next to nothing with our own columns, most with those of other tools."""
    known = DIALECTS.get(variant or "", OURS)
    again = _is_again(dataset, variant)
    if again:
        bare = any(table.header is None for table in csv_again.tables_of(dataset))
        known = DIALECTS["csv-retinanet"] if bare else OURS
    yield from missing(dataset, HOLDS if known.holds is None else known.holds)
    if known.holds is not None:
        yield from csv_new.unheld(dataset, OURS if again and variant is None else known)


def _is_again(dataset: Dataset, variant: str | None) -> bool:
    """Whether the data set comes from CSV, and is to go back as it was."""
    origin = dataset.origin
    if origin is None or origin.format.partition("-")[0] != NAME or not (origin.extra or {}).get("tables"):
        return False
    return variant is None or variant == origin.format


# The files


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


def _texts(tree: "Tree", problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Paths and texts of the tables; one that cannot be read is a problem."""
    for path in _paths(tree):
        where = _where(tree, path)
        try:
            data = tree.read(path)
        except InputError as error:
            problems.append(Problem(where, "unreadable", why(error, path)))
            continue
        yield path, _decode(data, where, problems)


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
        return f"{path} that begins with {short(text.strip().partition(chr(10))[0].strip())}"
    return "no .csv or .tsv file"


def _listed(texts: dict[str, str], bare: bool) -> tuple[dict[str, str], list[Category]]:
    """The file that lists the categories, if there is one: path and text, and what it says."""
    for path, text in texts.items():
        if path == csv_categories.NAME or bare:
            listed = csv_categories.read(text)
            if listed is not None:
                return {path: text}, listed
    return {}, []


# The rows


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
        labels = tuple(self.annotations)
        return Sample(image=self.image, annotations=labels, split=self.split, origin=self.origin)


def _read_rows(
    text: str,
    table: Table,
    where: str,
    known: Categories,
    samples: dict[str, _Rows],
    problems: list[Problem],
) -> Table:
    """Read the rows of a table into `samples`; the table with their number and what labels do not hold."""
    plan = plan_again(table)
    count, named, folder = len(plan.names), plan.roles["image"], table.folder
    wide, high = plan.roles.get("width", -1), plan.roles.get("height", -1)
    sizes = wide >= 0 and high >= 0
    row, behind = table.start, int(table.bom) + len(table.header or "")
    before: _Rows | None = None
    odd: list[tuple[int, str]] = []
    for line, raw, cells, stop in body(text, table):
        behind = stop
        try:
            if cells is None or len(cells) != count or "\0" in raw:
                raise ValueError(_malformed(raw, cells, count))
            if '"' in raw:
                cells = [plain(cell) for cell in cells]
            key = folder + cells[named]
            rows = samples.get(key)
            near = rows is None or (rows is before and "text" not in rows.origin)
            origin = raw if near else [row, raw]
            new = rows is None
            if rows is None:
                rows = _first(cells, plan, table, row)
            annotation = annotation_in(cells, plan, known, origin)
            if new:
                if annotation is None:
                    rows.image = image_in(cells, plan, table, True)
                    rows.origin["text"] = raw
                samples[key] = rows
            elif annotation is None or "text" in rows.origin:
                problems.append(_needless(f"{where}:{line}", key))
                needless = (row, raw) if annotation is None else (rows.origin["row"], rows.origin.pop("text"))
                odd.append(needless)
            if sizes and rows.sized is not None and (cells[wide], cells[high]) != rows.sized:
                problems.append(_two_sizes(f"{where}:{line}", key, rows.sized, (cells[wide], cells[high])))
                rows.sized = None
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f"{where}:{line}", "bad-row", _message(error, cells, plan)))
            odd.append((row, raw))
            annotation = rows = None
        if rows is not None and annotation is not None:
            rows.annotations.append(annotation)
        before = rows
        row += 1
    tail = text[behind:]
    rest = None if tail == table.end else tail
    return msgspec.structs.replace(table, rows=row - table.start, tail=rest, odd=tuple(odd) or None)


def _first(cells: Sequence[str], plan: Plan, table: Table, row: int) -> _Rows:
    """An image as its first row has it."""
    if not cells[plan.roles["image"]]:
        raise ValueError("expected the name of an image, got an empty cell; fill it in")
    wide, high = plan.roles.get("width", -1), plan.roles.get("height", -1)
    sized = (cells[wide], cells[high]) if wide >= 0 and high >= 0 else None
    return _Rows(image_in(cells, plan, table, False), split_in(cells, plan, table), row, sized)


def _expect_pixels(where: str, form: str, samples: dict[str, _Rows]) -> None:
    """Refuse another tool's boxes that all lie between 0 and 1: they are parts of the image's size."""
    parts = False
    for rows in samples.values():
        for annotation in rows.annotations:
            if annotation.bbox is not None:
                x, y, w, h = annotation.bbox
                if x + w > 1 or y + h > 1 or x < 0 or y < 0:
                    return
                parts = parts or isinstance(x + y + w + h, float)
    if parts:
        raise InputError(
            f"{where}: boxes can be pixels (say so with --from csv-{form}) or parts of the image's "
            "size, as all numbers lie from 0 to 1; multiply those by the images' width and height"
        )


def _malformed(raw: str, cells: list[str] | None, count: int) -> str:
    if cells is None and len(raw) > LONGEST:
        return f"expected a row of {LONGEST:,} characters at most, got {len(raw):,}; is a line end missing?"
    if cells is None:
        return "expected a quoted cell to end with a quote before the next delimiter; double quotes inside it"
    if len(cells) != count:
        return f"expected {count} cells, got {len(cells)}; put cells that hold a delimiter in quotes"
    return "expected text, got a NUL byte; remove it"


def _message(error: Exception, cells: Sequence[str] | None, plan: Plan) -> str:
    """What is wrong with a row: the error's own sentence, or the first cell that cannot be read."""
    if str(error).startswith("expected "):
        return str(error)
    readers: dict[str, Callable[[str], Any]] = {**READ, **READ_IMAGE}
    columns: list[tuple[int, Callable[[str], Any], str]] = [(i, number, "a number") for i in plan.box or ()]
    if plan.cell is not None:
        columns.append((plan.cell, four, "[x, y, w, h]"))
    columns += [(i, readers[r], EXPECTED.get(r, "a number")) for r, i in plan.roles.items() if r in readers]
    for column, reader, expected in columns:
        text = cells[column] if cells is not None else ""
        try:
            if text or column in (plan.box or ()):
                reader(text)
        except (ValueError, RecursionError):
            name = plan.names[column]
            return f"expected {expected} in column {name}, got {short(text)}; correct or remove the row"
    return f"expected cells that can be read, got an error ({error}); correct or remove the row"


def _needless(where: str, key: str) -> Problem:
    message = f"expected {short(key)} to have labels or a row that says it has none, got both; remove one"
    return Problem(where, "empty-row", message)


def _two_sizes(where: str, key: str, first: tuple[str, str], other: tuple[str, str]) -> Problem:
    message = (
        f"expected {'x'.join(first)} for {short(key)} as in its first row, got {'x'.join(other)}; "
        "correct one of the two"
    )
    return Problem(where, "size-twice", message)
