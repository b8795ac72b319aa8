"""Modules that a table names have what their folder's protocol asks for.

A new module gets a line in `NAMES`. Where it lacks a function, or has one of other types, `mypy` says which.
"""

from importlib import import_module
from types import ModuleType
from typing import cast

import pytest

from xlabel import bundles, formats, images
from xlabel.bundles import Kind, mp4, tar, zip
from xlabel.detectors import layouts
from xlabel.detectors.layouts import (
    Layout,
    centerface,
    detr,
    fastestdet,
    gfl,
    rfdetr,
    rtdetr,
    rtdetr_ultralytics,
    tensorflow,
    torchvision,
    u2net,
    yolo5,
    yolo8,
    yolo8_oriented,
    yolo8_pose,
    yolo8_segment,
    yolo_chosen,
    yolox,
)
from xlabel.formats import Format, coco, csv, embedded, labelme, native, parquet, voc, yolo
from xlabel.images import Carrying, Container, bmp, gif, heif, jp2, jpeg, jxl, png, tiff, webp
from xlabel.stores import azure, file, gcs, hf, s3, sftp, transport
from xlabel.stores.transport import Store


def as_format(module: Format) -> str:
    return cast(ModuleType, module).__name__


def as_container(module: Container) -> str:
    return cast(ModuleType, module).__name__


def as_carrying(module: Carrying) -> str:
    return cast(ModuleType, module).__name__


def as_kind(module: Kind) -> str:
    return cast(ModuleType, module).__name__


def as_layout(module: Layout) -> str:
    return cast(ModuleType, module).__name__


def as_store(module: Store) -> str:
    return cast(ModuleType, module).__name__


NAMES = {
    "formats": [
        as_format(coco),
        as_format(yolo),
        as_format(voc),
        as_format(labelme),
        as_format(csv),
        as_format(native),
        as_format(parquet),
        as_format(embedded),
    ],
    "containers": [
        as_container(jpeg),
        as_container(png),
        as_container(webp),
        as_container(tiff),
        as_container(heif),
        as_container(gif),
        as_container(bmp),
        as_container(jxl),
        as_container(jp2),
    ],
    "containers that take labels": [
        as_carrying(jpeg),
        as_carrying(png),
        as_carrying(webp),
        as_carrying(tiff),
        as_carrying(heif),
        as_carrying(gif),
        as_carrying(jxl),
        as_carrying(jp2),
    ],
    "kinds of bundles": [as_kind(mp4), as_kind(tar), as_kind(zip)],
    "layouts of detectors": [
        as_layout(yolo8),
        as_layout(yolo8_segment),
        as_layout(yolo8_pose),
        as_layout(yolo8_oriented),
        as_layout(rtdetr_ultralytics),
        as_layout(yolo_chosen),
        as_layout(yolo5),
        as_layout(yolox),
        as_layout(rtdetr),
        as_layout(torchvision),
        as_layout(rfdetr),
        as_layout(detr),
        as_layout(tensorflow),
        as_layout(centerface),
        as_layout(gfl),
        as_layout(u2net),
        as_layout(fastestdet),
    ],
    "stores": [as_store(file), as_store(s3), as_store(azure), as_store(gcs), as_store(sftp), as_store(hf)],
}
CONTAINERS = [f"xlabel.images.{name}" for name in images.SIGNATURES]
TABLES = {
    "formats": [row.module for row in (formats.FORMATS | formats.INSIDE).values()],
    "containers": CONTAINERS,
    "containers that take labels": [name for name in CONTAINERS if hasattr(import_module(name), "edits")],
    "kinds of bundles": list(bundles.KINDS.values()),
    "layouts of detectors": list(layouts.LAYOUTS.values()),
    "stores": list(transport.STORES.values()),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_types_of_each_module_in_a_table_are_checked(name: str) -> None:
    assert NAMES[name] == TABLES[name], f"give each of the {name} in the table its line in NAMES above"
