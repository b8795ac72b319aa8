"""A page of findings that needs nothing but itself: no network, no other file."""

from importlib.resources import files
from typing import Any

import msgspec


class Shown(msgspec.Struct, kw_only=True):
    """A picture with a finding's annotation in it; coordinates are pixels of the image as displayed."""

    src: str
    """The picture, as a data URI."""
    width: int
    height: int
    view: tuple[float, float, float, float]
    """x, y, width and height of what is shown: the image, and what hangs over its edges."""
    hits: list[tuple[Any, ...]]
    """What is wrong: ("box", x, y, w, h), ("outline", x1, y1, ...), ("line", ...), ("points", ...),
    ("circle", x, y, r) or ("mask", data URI, width, height)."""
    others: list[tuple[Any, ...]]
    """The other annotations of the image, in the same way."""
    ring: tuple[float, float, float] | None = None
    """A circle around what is too small to be seen: x, y, radius."""


class Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A finding as the page shows it."""

    code: str
    severity: str
    place: str
    message: str
    advice: str
    picture: int | None = None
    """Which of the pictures belongs to it."""


class Code(msgspec.Struct):
    """A code with findings."""

    code: str
    severity: str
    means: str
    count: int


class Page(msgspec.Struct, kw_only=True):
    """All that a page shows."""

    source: str
    looked: str
    """What was looked at, as a sentence."""
    capped: str
    """What the page leaves out, as a sentence."""
    severities: dict[str, int]
    codes: list[Code]
    total: int
    findings: list[Line]
    pictures: list[Shown]


def html(page: Page) -> str:
    """The text of the page."""
    data = msgspec.json.encode(page).decode().replace("<", "\\u003c")  # no </script> in any name
    return files("xlabel.checks").joinpath("page.html").read_text("utf-8").replace("@DATA@", data)
