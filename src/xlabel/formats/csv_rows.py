"""A row of a CSV table and the annotation and image that it speaks of."""

from collections.abc import Sequence
from typing import Any

from xlabel.formats.csv_cells import (
    Box,
    Categories,
    box,
    exif_text,
    exif_value,
    identity,
    identity_text,
    json,
    read_object,
    size,
    split_name,
)
from xlabel.formats.csv_layout import EXIF, Plan, Table, box_cells
from xlabel.model import Annotation, Category, Image, Sample

Texts = tuple[str, str, str]
"""What a row calls its category: name, id and supercategory, empty where it says nothing."""


def annotation_in(
    cells: Sequence[str], plan: Plan, known: Categories | None, origin: Any, category: Category | None = None
) -> Annotation | None:
    """What a row says of its image, None where it says nothing; without `known`, the category is given."""
    bbox = box_in(cells, plan)
    fields: dict[str, Any] = {}
    for column, field, reader in plan.fields:
        if cells[column]:
            fields[field] = reader(cells[column])
    if known is not None:  # last, so that a row that cannot be read names no category
        texts = category_in(cells, plan.roles)
        category = known.get(*texts) if texts[0] or texts[1] else None
    if bbox is None and category is None and not fields:
        return None
    for column in plan.unknown:
        if cells[column]:
            fields["extra"] = {**fields.get("extra", {}), plan.names[column]: cells[column]}
    return Annotation(category=category, bbox=bbox, origin=origin, **fields)


def image_in(cells: Sequence[str], plan: Plan, table: Table, empty: bool) -> Image:
    """The image of a row; `empty`: it says nothing else, so that unknown columns are about the image."""
    roles = plan.roles
    return Image(
        key=table.folder + cells[roles["image"]],
        width=size(cells[roles["width"]]) if "width" in roles else None,
        height=size(cells[roles["height"]]) if "height" in roles else None,
        id=identity(cells[roles["image_id"]]) if "image_id" in roles else None,
        extra=image_extra_in(cells, plan, empty),
    )


def image_extra_in(cells: Sequence[str], plan: Plan, empty: bool) -> dict[str, Any] | None:
    """Other fields of a row's image."""
    column = plan.roles.get("image_extra")
    extra: dict[str, Any] | None = None
    if column is not None and cells[column]:
        extra = read_object(cells[column])
    unknown: dict[str, Any] = {plan.names[i]: cells[i] for i in plan.unknown if cells[i]} if empty else {}
    camera = {
        role.removeprefix(EXIF): exif_value(cells[i])
        for role, i in plan.roles.items()
        if role.startswith(EXIF) and cells[i]
    }
    if camera:
        unknown["exif"] = camera
    return {**(extra or {}), **unknown} if unknown else extra


def split_in(cells: Sequence[str], plan: Plan, table: Table) -> str | None:
    """The split of a row: what its cell says, else what the table's name says."""
    column = plan.roles.get("split")
    return split_name(cells[column]) if column is not None and cells[column] else table.split


def category_in(cells: Sequence[str], roles: dict[str, int]) -> Texts:
    """What a row calls its category."""
    name, number, parent = roles.get("category"), roles.get("category_id"), roles.get("supercategory")
    return (
        "" if name is None else cells[name],
        "" if number is None else cells[number],
        "" if parent is None else cells[parent],
    )


def category_texts(category: Category | None, roles: dict[str, int]) -> Texts:
    """What a row of a table with these columns has to call a category."""
    if category is None:
        return "", "", ""
    return (
        category.name if "category" in roles else "",
        str(category.id) if "category_id" in roles else "",
        (category.supercategory or "") if "supercategory" in roles else "",
    )


def box_in(cells: Sequence[str], plan: Plan) -> Box | None:
    """The box of a row."""
    numbers = box_cells(cells, plan)
    return None if numbers is None else box(numbers, plan.form)


def image_texts(sample: Sample, name: str, split: str | None = None, *, apart: bool = True) -> dict[str, str]:
    """What the columns of the image say; `split` is what the table's name says already.

    `apart`: what the camera said has columns of its own, and is no part of `image_extra`.
    """
    image = sample.image
    width, height = stated_size(sample)
    extra = dict(image.extra) if image.extra else image.extra
    camera = extra.pop("exif") if apart and extra and _is_flat(extra.get("exif")) else {}
    return {
        "image": name,
        "width": "" if width is None else str(width),
        "height": "" if height is None else str(height),
        "image_id": identity_text(image.id),
        "split": sample.split if sample.split is not None and sample.split != split else "",
        "image_extra": json(extra or None if camera else extra),
        **{EXIF + field: exif_text(value) for field, value in camera.items()},
    }


def _is_flat(camera: object) -> bool:
    """Whether columns hold all of it."""
    return isinstance(camera, dict) and all(
        isinstance(field, str) and field.isalnum() and value is not None for field, value in camera.items()
    )


def stated_size(sample: Sample) -> tuple[int | None, int | None]:
    """The image's width and height as the source states them."""
    return sample.drawn or (sample.image.width, sample.image.height)
