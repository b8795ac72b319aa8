"""Names of categories as a person gives them: as they are, or in a file."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from xlabel.detectors import coco
from xlabel.errors import InputError
from xlabel.formats.yolo_yaml import load_yaml

Names = str | Sequence[str] | Mapping[int, str]
Renaming = str | Mapping[str, str]

WANTED = "a name a line, a data.yaml with names, a JSON list, or COCO's categories"


def names_of(given: Names | None) -> Sequence[str] | Mapping[int, str] | None:
    """`a,b,c`, or what a file holds: names in their order, or by number; those of COCO for `coco`."""
    if not isinstance(given, str):
        return given
    if given == "coco":
        return list(coco.NAMES.values())
    if not os.path.isfile(given):
        if os.sep in given:
            raise InputError(f"{given}: expected names of categories a,b,c or a file of them, found no file")
        return [name.strip() for name in given.split(",")]
    text = _text(given)
    try:
        if given.lower().endswith((".yaml", ".yml")):
            return _names(load_yaml(text).get("names"), given)
        if given.lower().endswith(".json"):
            return _names(json.loads(text), given)
    except ValueError as error:
        raise InputError(f"{given}: expected {WANTED}: {error}") from None
    return [line.strip() for line in text.strip().splitlines()]


def renaming_of(given: Renaming | None) -> dict[str, str]:
    """`old=new,...`, or a file with one a line. An empty new name leaves things of the old one out."""
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    lines = _text(given).splitlines() if os.path.isfile(given) else given.split(",")
    renamed = {}
    for line in lines:
        old, equals, new = line.partition("=")
        if line.strip() and not equals:
            raise InputError(f"expected old=new,... or a file with one a line, got {line.strip()!r}")
        if line.strip():
            renamed[old.strip()] = new.strip()
    return renamed


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected {WANTED}: {error}") from None


def _names(found: Any, path: str) -> Sequence[str] | Mapping[int, str]:
    if isinstance(found, dict) and isinstance(found.get("categories"), list):
        found = {
            record["id"]: record["name"] for record in found["categories"] if {"id", "name"} <= record.keys()
        }
    if isinstance(found, list) and found and all(isinstance(name, str) for name in found):
        return found
    if isinstance(found, dict) and found and all(str(number).isdecimal() for number in found):
        return {int(number): str(name) for number, name in found.items()}
    raise InputError(f"{path}: expected {WANTED}, found none of them")
