"""CSV tables that were read before: the source's text again, and new text for what was edited since."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats import csv_categories
from xlabel.formats.csv_cells import WRITE, Box, box_numbers, is_meant, json
from xlabel.formats.csv_layout import EXIF, OWN, PREFIX, Plan, Table, chunks, plan_again
from xlabel.formats.csv_rows import (
    Texts,
    annotation_in,
    box_in,
    category_in,
    category_texts,
    image_in,
    image_texts,
    split_in,
    stated_size,
)
from xlabel.formats.csv_text import plain, quoted, split
from xlabel.formats.named import to_displayed, to_drawn
from xlabel.formats.splits import NAMES
from xlabel.formats.untrusted import is_inside
from xlabel.model import Annotation, Category, Dataset, Sample

_LAST = 2**62
"""The place of rows that the source did not have."""
_NOT_ADDED = frozenset({"width", "height", "supercategory"})
"""Columns that no edit adds to a table."""


class _Row(Struct, gc=False):
    """A row of a table that is being filled."""

    place: int
    text: str
    named: Texts = ("", "", "")
    """What it calls its category."""
    more: dict[str, str] | None = None
    """What it says that the table has no column for, by column of ours."""


class _Sheet(Struct):
    """A table while it is filled."""

    table: Table
    plan: Plan
    rows: list[_Row] = field(default_factory=list)


def write(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(path, chunks) of the source's tables and of its list of categories."""
    sheets = [_Sheet(table, plan_again(table)) for table in tables_of(dataset)]
    starts = [sheet.table.start for sheet in sheets]
    names = [category.name for category in dataset.categories]
    ambiguous = len(set(names)) < len(names)
    for place, text in (row for sheet in sheets for row in sheet.table.odd or ()):
        sheets[bisect_right(starts, place) - 1].rows.append(_Row(place, text))
    for sample in dataset.samples:
        home = _home(sample, sheets[len(starts) - 1].table)
        if home is not None:
            _enter(sample, home, sheets[bisect_right(starts, home) - 1], sheets, starts, ambiguous)
        elif sample.annotations:
            _enter(sample, None, _sheet_for(sample.split, sheets), sheets, starts, ambiguous)
    kept = [sheet for sheet in sheets if sheet.rows or not sheet.table.rows] or sheets[:1]
    kept.sort(key=lambda sheet: sheet.table.path.encode())
    for sheet in kept:
        sheet.rows.sort(key=attrgetter("place"))
        yield sheet.table.path, _chunks(sheet)
    yield from csv_categories.again(dataset, (row.named for sheet in kept for row in sheet.rows))


def tables_of(dataset: Dataset) -> list[Table]:
    """The tables that a data set comes from. InputError where its origin does not describe them."""
    notes = dataset.origin.extra["tables"] if dataset.origin and dataset.origin.extra else []
    try:
        tables = msgspec.convert(notes, list[Table])
    except msgspec.ValidationError as error:
        raise InputError(
            f"the data set's origin: expected a description of CSV tables, got {error}"
        ) from error
    for table in tables:
        if (
            not is_inside(table.path)
            or table.delimiter not in tuple(",;\t")
            or table.end not in ("\n", "\r\n", "\r")
        ):
            raise InputError(
                f"the data set's origin: expected a description of a CSV table, got {table!r:.200}"
            )
    return tables


def _home(sample: Sample, last: Table) -> int | None:
    """The place of the sample's first row in the source, None where it had none."""
    row = sample.origin.get("row") if isinstance(sample.origin, dict) else None
    return row if isinstance(row, int) and 0 <= row < last.start + last.rows else None


def _sheet_for(split_name: str | None, sheets: list[_Sheet]) -> _Sheet:
    """The table for images of a split: one that can say it, by its name or in a column, or a new one."""
    for sheet in sheets:
        if sheet.table.split == split_name or (split_name is not None and "split" in sheet.plan.roles):
            return sheet
    if split_name is not None and split_name not in NAMES:
        return sheets[0]
    taken = {sheet.table.path for sheet in sheets}
    name = split_name or "labels"
    paths = (f"{name}.csv" if number == 1 else f"{name}_{number}.csv" for number in count(1))
    path = next(path for path in paths if path not in taken)
    table = replace(
        sheets[0].table, path=path, split=split_name, folder="", start=_LAST, rows=0, tail=None, odd=None
    )
    sheets.append(_Sheet(table, sheets[0].plan))
    return sheets[-1]


def _enter(
    sample: Sample, home: int | None, first: _Sheet, sheets: list[_Sheet], starts: list[int], ambiguous: bool
) -> None:
    """Put the rows of a sample into their tables, with the source's text where it still says the same."""
    nowhere: tuple[int | None, str | None] = (None, None)
    sources = [_source(a.origin) if home is not None else nowhere for a in sample.annotations]
    empty = sample.origin.get("text") if home is not None and not sources else None
    known = empty if isinstance(empty, str) else next((raw for _, raw in sources if raw is not None), None)
    target = _target(sample, known, first, sheets) if home is not None else first
    same = target is first and known is not None and _is_image_same(known, first, sample)
    place = _LAST if home is None or target is not first else home
    if not sample.annotations:
        if same and isinstance(empty, str):
            first.rows.append(_Row(place, empty))
        else:
            target.rows.append(_row(sample, None, target, place, _base(known, first, target), ambiguous))
    for index, (annotation, (row, raw)) in enumerate(zip(sample.annotations, sources, strict=True)):
        source = first
        if row is not None and 0 <= row < _LAST:
            source = sheets[bisect_right(starts, row) - 1]
            place = row if target is first else place
        sheet = source if target is first else target
        if same and raw is not None:
            cells = _plain(raw, source.table)
            if _is_same(cells, source.plan, annotation, sample):
                sheet.rows.append(_Row(place, raw, category_in(cells, source.plan.roles)))
                continue
        base = _base(raw, source, sheet)
        sheet.rows.append(_row(sample, annotation, sheet, place, base, ambiguous, again=index > 0))


def _source(origin: Any) -> tuple[int | None, str | None]:
    """The place, where it is not behind the row before, and the text of an annotation's row in the source."""
    if isinstance(origin, str):
        return None, origin
    if isinstance(origin, list) and len(origin) == 2:
        row, raw = origin
        if isinstance(row, int) and isinstance(raw, str):
            return row, raw
    return None, None


def _plain(raw: str, table: Table) -> list[str]:
    """What the cells of a row of a table say."""
    cells = split(raw, table.delimiter)
    return [plain(cell) for cell in cells] if '"' in raw else cells


def _base(raw: str | None, source: _Sheet, sheet: _Sheet) -> list[str] | None:
    """The cells of a row of one table, where they can stand in the other."""
    if raw is None or (source.table.delimiter, source.plan) != (sheet.table.delimiter, sheet.plan):
        return None
    cells = split(raw, source.table.delimiter)
    return cells if len(cells) == len(source.plan.names) else None


def _target(sample: Sample, known: str | None, first: _Sheet, sheets: list[_Sheet]) -> _Sheet:
    """The table that a sample's rows go to: the source's, unless that cannot say the split of now."""
    if sample.split == first.table.split or (sample.split is not None and "split" in first.plan.roles):
        return first
    cells = _plain(known or "", first.table)
    if len(cells) == len(first.plan.names) and split_in(cells, first.plan, first.table) == sample.split:
        return first
    return _sheet_for(sample.split, sheets)


def _is_image_same(raw: str, sheet: _Sheet, sample: Sample) -> bool:
    """Whether a row says of the image what the sample says."""
    cells = _plain(raw, sheet.table)
    if len(cells) != len(sheet.plan.names):
        return False
    try:
        said = image_in(cells, sheet.plan, sheet.table, not sample.annotations)
    except (ValueError, RecursionError):
        return False
    width, height = stated_size(sample)
    return (
        said.key == (sample.named or sample.image.key)
        and said.width in (None, width)
        and said.height in (None, height)
        and said.id == sample.image.id
        and said.extra == sample.image.extra
        and split_in(cells, sheet.plan, sheet.table) == sample.split
    )


def _is_same(cells: Sequence[str], plan: Plan, annotation: Annotation, sample: Sample) -> bool:
    """Whether a row says what the annotation says."""
    if len(cells) != len(plan.names):
        return False
    category = annotation.category
    if not _is_named(category_in(cells, plan.roles), category):
        return False
    try:
        said = annotation_in(cells, plan, None, annotation.origin, category)
        return said is not None and to_displayed(said, sample) == annotation
    except (ValueError, RecursionError):
        return False


def _is_named(texts: Texts, category: Category | None) -> bool:
    """Whether a row calls its category so; an empty cell says nothing, unless all are."""
    name, number, parent = texts
    if category is None or not (name or number):
        return category is None and not (name or number)
    if name and name != category.name:
        return False
    if number and not is_meant("category_id", number, str(category.id)):
        return False
    return not parent or parent == category.supercategory


def _row(
    sample: Sample,
    annotation: Annotation | None,
    sheet: _Sheet,
    place: int,
    cells: list[str] | None,
    ambiguous: bool,
    *,
    again: bool = False,
) -> _Row:
    """A row that the source did not have so; `cells` are those that it had, as they are quoted.

    Without annotation it says that the image has none. `again`: a row before it has told of the image.
    """
    plan, table = sheet.plan, sheet.table
    name = (sample.named or sample.image.key).removeprefix(table.folder)
    apart = any(role.startswith(EXIF) for role in plan.roles)
    texts = image_texts(sample, name, table.split, apart=apart)
    if again:
        texts["image_extra"] = ""
    role, extra, category, bbox = "image_extra", sample.image.extra, None, None
    if annotation is not None:
        annotation = to_drawn(annotation, sample)
        role, extra = "extra", annotation.extra
        category, bbox = annotation.category, annotation.bbox
        texts.update((name, get(annotation)) for name, get in WRITE.items())
    said = {plan.names[column]: (extra or {}).get(plan.names[column]) for column in plan.unknown}
    unknown = {name: text if isinstance(text, str) else "" for name, text in said.items()}
    if any(unknown.values()):
        left = {key: value for key, value in (extra or {}).items() if not unknown.get(key)}
        texts[role] = json(left or None)
    more: dict[str, str] = {}
    if table.header is not None:
        skipped = _NOT_ADDED | ({"category"} if "category_id" in plan.roles else set())
        if "category_id" not in plan.roles and not ambiguous:
            skipped |= {"category_id"}
        more = {r: text for r, text in texts.items() if text and r not in plan.roles and r not in skipped}
        if bbox is not None and plan.box is None and plan.cell is None:
            more |= zip("xywh", map(repr, bbox), strict=True)
    text = _edited(cells, texts, unknown, bbox, table, plan)
    return _Row(place, text, category_texts(category, plan.roles), more or None)


def _edited(
    old: list[str] | None,
    texts: dict[str, str],
    unknown: dict[str, str],
    bbox: Box | None,
    table: Table,
    plan: Plan,
) -> str:
    """A row's text: the source's cells, and new ones where they say something else.

    `texts` are by column of ours, `unknown` by column of another tool's.
    """
    cells = list(old or [""] * len(plan.names))
    before = [plain(cell) for cell in cells]

    def put(column: int, text: str) -> None:
        cells[column] = quoted(text, table.delimiter, cells[column])

    for role, column in plan.roles.items():
        stays = old is not None and role in ("width", "height") and not before[column]
        if not stays and not is_meant(role, before[column], texts.get(role, "")):
            put(column, texts.get(role, ""))
    for column in plan.unknown:
        if unknown[plan.names[column]] != before[column]:
            put(column, unknown[plan.names[column]])
    if _box_or_none(before, plan) != bbox:
        numbers = [] if bbox is None else list(map(repr, box_numbers(bbox, plan.form)))
        if plan.cell is not None:
            put(plan.cell, f"[{', '.join(numbers)}]" if numbers else "")
        for column, text in zip(plan.box or (), numbers or [""] * 4, strict=False):
            if not is_meant("area", before[column], text):
                put(column, text)
    feed = "\r" if table.end == "\n" and (table.header or "").endswith("\r") else ""
    return table.delimiter.join(cells) + feed


def _box_or_none(cells: Sequence[str], plan: Plan) -> Box | None:
    try:
        return box_in(cells, plan)
    except ValueError:
        return None


def _chunks(sheet: _Sheet) -> Iterator[bytes]:
    """A table's bytes, with the columns that its rows need and it does not have at its right end."""
    table = sheet.table
    needed = {name for row in sheet.rows for name in row.more or ()}
    added = [name for name in OWN if name in needed]
    if not added or table.header is None:
        return chunks(table, (row.text for row in sheet.rows))
    titles = {name: name if sheet.plan.own else PREFIX + name for name in added}
    header = _widened(table.header, titles.values(), table.delimiter)
    lines = (
        _widened(row.text, [(row.more or {}).get(name, "") for name in added], table.delimiter)
        for row in sheet.rows
    )
    return chunks(replace(table, header=header), lines)


def _widened(line: str, texts: Iterable[str], delimiter: str) -> str:
    """A line with more cells at its end."""
    bare = line.rstrip("\r")
    return delimiter.join([bare, *(quoted(text, delimiter) for text in texts)]) + line[len(bare) :]
