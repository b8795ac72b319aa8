"""New CSV tables: one in our own columns, or one for each split in those of another tool."""

from collections.abc import Iterable, Iterator

from xlabel.formats import csv_categories
from xlabel.formats.csv_cells import WRITE, box_numbers, is_bare
from xlabel.formats.csv_layout import (
    DIALECTS,
    EXIF,
    OURS,
    OWN,
    OWN_BOXES,
    Dialect,
    Plan,
    Table,
    chunks,
    plan_of,
)
from xlabel.formats.csv_rows import category_texts, image_texts
from xlabel.formats.csv_text import join
from xlabel.formats.splits import NAMES
from xlabel.model import Annotation, Category, Dataset, Loss, Sample
from xlabel.model.geometry import bbox_of


def write(dataset: Dataset, variant: str | None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(path, chunks) of each table, and of the list of categories where rows do not tell all of them."""
    dialect = DIALECTS.get(variant or "", OURS)
    used, named = _survey(dataset, dialect)
    names = dialect.columns or _own_columns(used, dialect.form or "xywh")
    plan = plan_of(names, dialect.form)
    assert plan is not None
    for path in sorted(named):
        table = Table(path, header=",".join(names) if dialect.header else None)
        yield path, chunks(table, _lines(dataset, path, plan, dialect))
    if not dialect.header:
        yield "classes.csv", [csv_categories.class_map(dataset.categories)]
        return
    texts = (category_texts(c, plan.roles) for path in sorted(named) for c in named[path].values())
    yield from csv_categories.anew(dataset.categories, texts)


def unheld(dataset: Dataset, dialect: Dialect) -> Iterator[Loss]:
    """What another tool's table leaves out besides fields.

    That is splits that no path tells, images whose labels have no row in it, and all but one of equal names.
    """
    for sample in dataset.samples:
        if sample.annotations and not any(_fits(annotation, dialect) for annotation in sample.annotations):
            yield Loss(sample.image.key, "unlabelled")
        if sample.split is not None and sample.split not in NAMES:
            yield Loss(sample.image.key, "split")
    seen: set[str] = set()
    for category in dataset.categories:
        if category.name in seen:
            yield Loss(f"category {category.name}", "category extra")
        seen.add(category.name)


def _survey(dataset: Dataset, dialect: Dialect) -> tuple[set[str], dict[str, dict[int, Category]]]:
    """The columns that are used, and for each table with rows its categories in the order of their first."""
    used = {"image"}
    pending = ["bbox", *(field for field in WRITE if field not in ("category_id", "supercategory"))]
    named: dict[str, dict[int, Category]] = {}
    for sample in dataset.samples:
        fitting = [annotation for annotation in sample.annotations if _fits(annotation, dialect)]
        if not (fitting or _is_negative(sample, dialect)):
            continue
        used.update(name for name, text in image_texts(sample, sample.image.key).items() if text)
        categories = named.setdefault(_path(sample.split, dialect), {})
        for annotation in fitting:
            new = [field for field in pending if getattr(annotation, field) not in (None, False)]
            if new or is_bare(annotation):
                used.update(new or ["crowd"])
                pending = [field for field in pending if field not in used]
            category = annotation.category
            if category is not None and category.id not in categories:
                categories[category.id] = category
    return used, named or {_path(None, dialect): {}}


def _path(split: str | None, dialect: Dialect) -> str:
    """The table for the images of a split; a table of ours has a column for it."""
    return f"{split}.csv" if dialect.columns and split in NAMES else "labels.csv"


def _own_columns(used: set[str], form: str) -> tuple[str, ...]:
    box = dict(zip("xywh", OWN_BOXES[form], strict=True))
    also = {"category": ["category_id"], "bbox": list("xywh")}
    names = used.union(*(also[name] for name in used & also.keys()))
    camera = sorted(name for name in used if name.startswith(EXIF))
    return (*(box.get(name, name) for name in OWN if name in names), *camera)


def _lines(dataset: Dataset, path: str, plan: Plan, dialect: Dialect) -> Iterator[str]:
    """The rows of a table."""
    getters = [(column, WRITE[role]) for role, column in plan.roles.items() if role in WRITE]
    once = plan.roles.get("image_extra")
    for sample in dataset.samples:
        if _path(sample.split, dialect) != path:
            continue
        row = [""] * len(plan.names)
        for role, text in image_texts(sample, sample.image.key).items():
            if role in plan.roles:
                row[plan.roles[role]] = text
        if _is_negative(sample, dialect):
            yield join(row, ",")
        for annotation in sample.annotations:
            if not _fits(annotation, dialect):
                continue
            cells = row.copy()
            for column, get in getters:
                cells[column] = get(annotation)
            bbox = bbox_of(annotation) if dialect.columns else annotation.bbox
            if plan.box is not None and bbox is not None:
                for column, number in zip(plan.box, box_numbers(bbox, plan.form), strict=True):
                    cells[column] = repr(number)
            yield join(cells, ",")
            if once is not None:
                row[once] = ""


def _is_negative(sample: Sample, dialect: Dialect) -> bool:
    """Whether an image without labels has a row that says so."""
    return not sample.annotations and (dialect.holds is None or "unlabelled" in dialect.holds)


def _fits(annotation: Annotation, dialect: Dialect) -> bool:
    """Whether a row can say anything of the annotation."""
    if dialect.holds is None:
        return True
    return annotation.category is not None and (
        "bbox" not in dialect.holds or bbox_of(annotation) is not None
    )
