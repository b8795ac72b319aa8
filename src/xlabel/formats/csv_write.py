"""CSV tables of a data set: the source's own again, with what was edited, or new ones."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from xlabel.errors import InputError
from xlabel.formats.csv_cells import (
    WRITE,
    Box,
    Categories,
    box_numbers,
    identity_text,
    is_bare,
    is_meant,
    json,
    whole,
)
from xlabel.formats.csv_layout import (
    FORMS,
    HEADERS,
    OWN,
    OWN_BOXES,
    PREFIX,
    Plan,
    Table,
    plan_again,
    plan_of,
)
from xlabel.formats.csv_rows import (
    Texts,
    annotation_in,
    box_in,
    category_in,
    category_texts,
    image_in,
    split_in,
)
from xlabel.formats.csv_text import join, line_end, plain, quoted, rows, split
from xlabel.formats.named import to_displayed, to_drawn
from xlabel.formats.splits import NAMES
from xlabel.formats.untrusted import is_inside
from xlabel.model import Annotation, Category, Dataset, Loss, Sample
from xlabel.model.geometry import bbox_of

CATEGORIES = "categories.csv"
_COLUMNS = ("id", "name", "supercategory", "keypoints", "skeleton", "extra")
_JSON: dict[str, Any] = {
    "keypoints": tuple[str, ...],
    "skeleton": tuple[tuple[int, int], ...],
    "extra": dict[str, Any],
}
_LAST = 2**62
"""The place of rows that the source did not have."""
_BATCH = 2000


class _Edit(msgspec.Struct, frozen=True):
    """A row that is not as the source had it: the source's cells, if any, and what they have to say."""

    cells: list[str] | None
    texts: dict[str, str]
    """By column of ours."""
    unknown: dict[str, str]
    """By column of another tool's."""
    bbox: Box | None


class _Sheet(msgspec.Struct):
    """A table while it is filled."""

    table: Table
    plan: Plan
    entries: list[tuple[int, str | _Edit, Texts]] = []
    """A row's place, the row, and what it calls its category."""
    added: set[str] = set()
    """Columns of ours that an edit needs and the table lacks."""


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


# New tables


def anew(dataset: Dataset, variant: str | None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Tables in our own columns, or in those of a narrower dialect with a table for each split."""
    narrow = variant if variant in HEADERS else None
    used, named = _survey(dataset, narrow)
    names = HEADERS[narrow] if narrow else _own_columns(used, FORMS.get(variant or "", "xywh"))
    plan = plan_of(names, FORMS.get(variant or ""))
    assert plan is not None
    for path in sorted(named):
        table = Table(path, header=None if narrow == "csv-retinanet" else ",".join(names))
        yield path, _chunks(table, _new_lines(dataset, path, plan, narrow))
    if narrow == "csv-retinanet":
        unique = dict.fromkeys(category.name for category in dataset.categories)
        yield "classes.csv", ["".join(join([n, str(i)], ",") + "\n" for i, n in enumerate(unique)).encode()]
        return
    known = Categories()
    _name_all(known, (category_texts(c, plan.roles) for path in sorted(named) for c in named[path].values()))
    if known.categories != dataset.categories:
        yield CATEGORIES, [_categories_text(dataset.categories).encode()]


def unheld(dataset: Dataset, narrow: str | None) -> Iterator[Loss]:
    """What a narrower dialect leaves out besides fields.

    That is splits that no path tells, images whose labels have no row in it, and all but one of equal names.
    """
    for sample in dataset.samples:
        if sample.annotations and not any(_fits(annotation, narrow) for annotation in sample.annotations):
            yield Loss(sample.image.key, "unlabelled")
        if sample.split is not None and sample.split not in NAMES:
            yield Loss(sample.image.key, "split")
    seen: set[str] = set()
    for category in dataset.categories:
        if category.name in seen:
            yield Loss(f"category {category.name}", "category extra")
        seen.add(category.name)


def _survey(dataset: Dataset, narrow: str | None) -> tuple[set[str], dict[str, dict[int, Category]]]:
    """The columns that are used, and for each table with rows its categories in the order of their first."""
    used = {"image"}
    pending = ["bbox", *(field for field in WRITE if field not in ("category_id", "supercategory"))]
    named: dict[str, dict[int, Category]] = {}
    for sample in dataset.samples:
        fitting = [annotation for annotation in sample.annotations if _fits(annotation, narrow)]
        if not (fitting or (not sample.annotations and narrow != "csv-tensorflow")):
            continue
        used.update(name for name, text in _image_texts(sample, sample.image.key).items() if text)
        categories = named.setdefault(_path(sample, narrow), {})
        for annotation in fitting:
            new = [field for field in pending if getattr(annotation, field) not in (None, False)]
            if new or is_bare(annotation):
                used.update(new or ["crowd"])
                pending = [field for field in pending if field not in used]
            category = annotation.category
            if category is not None and category.id not in categories:
                categories[category.id] = category
    return used, named or {_path(None, narrow): {}}


def _path(sample: Sample | None, narrow: str | None) -> str:
    """The table that a sample goes to."""
    told = sample is not None and narrow is not None and sample.split in NAMES
    return f"{sample.split}.csv" if told and sample is not None else "labels.csv"


def _own_columns(used: set[str], form: str) -> tuple[str, ...]:
    box = dict(zip("xywh", OWN_BOXES[form], strict=True))
    also = {"category": ["category_id"], "bbox": list("xywh")}
    names = used.union(*(also[name] for name in used & also.keys()))
    return tuple(box.get(name, name) for name in OWN if name in names)


def _new_lines(dataset: Dataset, path: str, plan: Plan, narrow: str | None) -> Iterator[str]:
    """The rows of a table that was not there before."""
    getters = [(column, WRITE[role]) for role, column in plan.roles.items() if role in WRITE]
    once = plan.roles.get("image_extra")
    for sample in dataset.samples:
        if _path(sample, narrow) != path:
            continue
        row = [""] * len(plan.names)
        for role, text in _image_texts(sample, sample.image.key).items():
            if role in plan.roles:
                row[plan.roles[role]] = text
        if not sample.annotations and narrow != "csv-tensorflow":
            yield join(row, ",")
        for annotation in sample.annotations:
            if not _fits(annotation, narrow):
                continue
            cells = row.copy()
            for column, get in getters:
                cells[column] = get(annotation)
            bbox = bbox_of(annotation) if narrow else annotation.bbox
            if plan.box is not None and bbox is not None:
                for column, number in zip(plan.box, box_numbers(bbox, plan.form), strict=True):
                    cells[column] = repr(number)
            yield join(cells, ",")
            if once is not None:
                row[once] = ""


def _fits(annotation: Annotation, narrow: str | None) -> bool:
    """Whether a row of this dialect can say anything of the annotation."""
    if narrow is None:
        return True
    return annotation.category is not None and (narrow == "csv-classes" or bbox_of(annotation) is not None)


# The source's tables


def again(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The source's tables, with the text of what was not edited."""
    sheets = [_Sheet(table, plan_again(table)) for table in tables_of(dataset)]
    starts = [sheet.table.start for sheet in sheets]
    names = [category.name for category in dataset.categories]
    ambiguous = len(set(names)) < len(names)
    for sample in dataset.samples:
        home = _home(sample, sheets[len(starts) - 1].table)
        if home is not None:
            _enter(sample, home, sheets[bisect_right(starts, home) - 1], sheets, starts, ambiguous)
        elif sample.annotations:
            _enter(sample, None, _sheet_for(sample.split, sheets), sheets, starts, ambiguous)
    kept = [sheet for sheet in sheets if sheet.entries or not sheet.table.rows] or sheets[:1]
    kept.sort(key=lambda sheet: sheet.table.path.encode())
    for sheet in kept:
        sheet.entries.sort(key=itemgetter(0))
        table, lines = _filled(sheet)
        yield table.path, _chunks(table, lines)
    yield from _categories_again(dataset, kept)


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
    path = next(p for p in _paths_for(split_name) if p not in taken)
    table = msgspec.structs.replace(
        sheets[0].table, path=path, split=split_name, folder="", start=_LAST, rows=0, tail=None
    )
    sheets.append(_Sheet(table, sheets[0].plan))
    return sheets[-1]


def _paths_for(split_name: str | None) -> Iterator[str]:
    yield f"{split_name or 'labels'}.csv"
    number = 2
    while True:
        yield f"{split_name or 'labels'}_{number}.csv"
        number += 1


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
            first.entries.append((place, empty, ("", "", "")))
        else:
            _edit(sample, None, target, place, _base(known, first, target), ambiguous, True)
    for index, (annotation, (row, raw)) in enumerate(zip(sample.annotations, sources, strict=True)):
        source = first
        if row is not None and 0 <= row < _LAST:
            source = sheets[bisect_right(starts, row) - 1]
            place = row if target is first else place
        sheet = source if target is first else target
        if same and raw is not None:
            cells = split(raw, source.table.delimiter)
            if '"' in raw:
                cells = [plain(cell) for cell in cells]
            if _is_same(cells, source.plan, annotation, sample):
                sheet.entries.append((place, raw, category_in(cells, source.plan.roles)))
                continue
        _edit(sample, annotation, sheet, place, _base(raw, source, sheet), ambiguous, index == 0)


def _source(origin: Any) -> tuple[int | None, str | None]:
    """The place, where it is not behind the row before, and the text of an annotation's row in the source."""
    if isinstance(origin, str):
        return None, origin
    if isinstance(origin, list) and len(origin) == 2:
        row, raw = origin
        if isinstance(row, int) and isinstance(raw, str):
            return row, raw
    return None, None


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
    cells = [plain(cell) for cell in split(known or "", first.table.delimiter)]
    if len(cells) == len(first.plan.names) and split_in(cells, first.plan, first.table) == sample.split:
        return first
    return _sheet_for(sample.split, sheets)


def _is_image_same(raw: str, sheet: _Sheet, sample: Sample) -> bool:
    """Whether a row says of the image what the sample says."""
    cells = [plain(cell) for cell in split(raw, sheet.table.delimiter)]
    if len(cells) != len(sheet.plan.names):
        return False
    try:
        said = image_in(cells, sheet.plan, sheet.table, not sample.annotations)
    except (ValueError, RecursionError):
        return False
    width, height = _stated(sample)
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
    name = (sample.named or sample.image.key).removeprefix(table.folder)
    texts = _image_texts(sample, name, table.split)
    if not first:
        texts["image_extra"] = ""
    extra = sample.image.extra if annotation is None else annotation.extra
    bbox = None
    if annotation is not None:
        annotation = to_drawn(annotation, sample)
        bbox = annotation.bbox
        texts.update((role, get(annotation)) for role, get in WRITE.items())
    unknown = {}
    for column in plan.unknown:
        value = (extra or {}).get(plan.names[column])
        if value and isinstance(value, str):
            unknown[plan.names[column]] = value
    if unknown:
        left = {key: value for key, value in (extra or {}).items() if key not in unknown}
        texts["image_extra" if annotation is None else "extra"] = json(left or None)
    category = annotation.category if annotation is not None else None
    sheet.entries.append((place, _Edit(cells, texts, unknown, bbox), category_texts(category, plan.roles)))
    if table.header is None:
        return
    if bbox is not None and plan.box is None and plan.cell is None:
        sheet.added.update("xywh")
    skipped = {"width", "height", "supercategory"}
    if "category_id" in plan.roles:
        skipped.add("category")
    elif not ambiguous:
        skipped.add("category_id")
    sheet.added.update(r for r, text in texts.items() if text and r not in plan.roles and r not in skipped)


def _filled(sheet: _Sheet) -> tuple[Table, Iterator[str]]:
    """A table's layout and its rows, with the columns that were added."""
    table, plan = sheet.table, sheet.plan
    added = [name for name in OWN if name in sheet.added]
    if table.header is not None and added:
        titles = "".join(table.delimiter + (name if plan.own else PREFIX + name) for name in added)
        header = table.header.rstrip("\r")
        table = msgspec.structs.replace(table, header=header + titles + table.header[len(header) :])
        plan = plan_again(table)
    return table, _lines(sheet, table, plan, len(added))


def _lines(sheet: _Sheet, table: Table, plan: Plan, added: int) -> Iterator[str]:
    behind = table.delimiter * added
    end = "\r" if table.end == "\n" and (table.header or "").endswith("\r") else ""
    for _, row, _ in sheet.entries:
        if isinstance(row, _Edit):
            yield _edited(row, table, plan) + end
        elif added:
            bare = row.rstrip("\r")
            yield bare + behind + row[len(bare) :]
        else:
            yield row


def _edited(edit: _Edit, table: Table, plan: Plan) -> str:
    """A row's text: the source's cells, and new ones where they say something else."""
    cells = list(edit.cells or [])
    cells += [""] * (len(plan.names) - len(cells))
    old = [plain(cell) for cell in cells]

    def put(column: int, text: str) -> None:
        cells[column] = quoted(text, table.delimiter, cells[column])

    for role, column in plan.roles.items():
        stays = edit.cells is not None and role in ("width", "height") and not old[column]
        text = edit.texts.get(role, "")
        if not stays and not is_meant(role, old[column], text):
            put(column, text)
    for column in plan.unknown:
        text = edit.unknown.get(plan.names[column], "")
        if text != old[column]:
            put(column, text)
    if _box_or_none(old, plan) != edit.bbox:
        numbers = [] if edit.bbox is None else list(map(repr, box_numbers(edit.bbox, plan.form)))
        if plan.cell is not None:
            put(plan.cell, f"[{', '.join(numbers)}]" if numbers else "")
        for column, text in zip(plan.box or (), numbers or [""] * 4, strict=False):
            if not is_meant("area", old[column], text):
                put(column, text)
    return table.delimiter.join(cells)


def _box_or_none(cells: Sequence[str], plan: Plan) -> Box | None:
    try:
        return box_in(cells, plan)
    except ValueError:
        return None


def _image_texts(sample: Sample, name: str, split_name: str | None = None) -> dict[str, str]:
    """What the columns of the image say; `split_name` is what the table's name says already."""
    image = sample.image
    width, height = _stated(sample)
    return {
        "image": name,
        "width": "" if width is None else str(width),
        "height": "" if height is None else str(height),
        "image_id": identity_text(image.id),
        "split": sample.split if sample.split is not None and sample.split != split_name else "",
        "image_extra": json(image.extra),
    }


def _stated(sample: Sample) -> tuple[int | None, int | None]:
    """The image's size as the source states it."""
    return sample.drawn or (sample.image.width, sample.image.height)


def _chunks(table: Table, lines: Iterator[str]) -> Iterator[bytes]:
    """A table's bytes, some thousand rows at a time."""
    between = ""
    if table.bom:
        yield "\ufeff".encode()
    if table.header is not None:
        yield table.header.encode()
        between = table.end
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield (between + table.end.join(batch)).encode()
            between = table.end
            batch.clear()
    if batch:
        yield (between + table.end.join(batch)).encode()
        between = table.end
    yield (between if table.tail is None else table.tail).encode()


# Categories


def read_categories(text: str) -> list[Category] | None:
    """What a list of categories says; None where the text is none, or not wholly to be read."""
    text = text.removeprefix("\ufeff")
    found = [[plain(c) for c in cells or ()] for _, _, cells, _ in rows(text, 0, line_end(text), ",")]
    try:
        if found and found[0][:2] == ["id", "name"]:
            made = [_category(dict(zip(found[0], cells, strict=True))) for cells in found[1:]]
        else:
            made = [Category(id=whole(number), name=name) for name, number in found]
    except (ValueError, RecursionError):
        return None
    return made if made and len({category.id for category in made}) == len(made) else None


def _category(cells: dict[str, str]) -> Category:
    parent = cells.get("supercategory") or None
    more = {
        name: msgspec.json.decode(cells[name], type=kind) for name, kind in _JSON.items() if cells.get(name)
    }
    return Category(id=whole(cells["id"]), name=cells["name"], supercategory=parent, **more)


def _categories_text(categories: Sequence[Category]) -> str:
    found = [
        [str(c.id), c.name, c.supercategory or "", json(c.keypoints), json(c.skeleton), json(c.extra)]
        for c in categories
    ]
    used = [i for i in range(len(_COLUMNS)) if i < 2 or any(row[i] for row in found)]
    return "".join(join([row[i] for i in used], ",") + "\n" for row in [list(_COLUMNS), *found])


def _categories_again(dataset: Dataset, sheets: list[_Sheet]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The list of categories: the source's where it still holds, a new one where the rows do not tell all."""
    files = dataset.origin.files if dataset.origin is not None else None
    path, text = next(iter((files or {}).items()), (CATEGORIES, ""))
    if not is_inside(path):
        raise InputError(f"the data set's origin: expected a path below the target, got {path!r}")
    known = Categories(read_categories(text) or ())
    _name_all(known, (texts for sheet in sheets for _, _, texts in sheet.entries))
    if known.categories != dataset.categories:
        simple = all(c == Category(id=c.id, name=c.name) for c in dataset.categories)
        bare = text and not text.removeprefix("\ufeff").startswith("id,name")
        if bare and simple:
            text = "".join(join([c.name, str(c.id)], ",") + "\n" for c in dataset.categories)
        else:
            path, text = CATEGORIES, _categories_text(dataset.categories)
    if text:
        yield path, [text.encode()]


def _name_all(known: Categories, found: Iterable[Texts]) -> None:
    """Have the rows name their categories, as they will when they are read."""
    for texts in found:
        if texts[0] or texts[1]:
            try:
                known.get(*texts)
            except ValueError:
                continue
