"""Functions that find things in pictures, as a user writes them for `xlabel prelabel --model`."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import xlabel

CALLS: list[tuple[int, int]] = []
"""The sizes of the pictures that `bright` was given."""


def bright(picture: Image.Image) -> list[dict[str, Any]]:
    """What is white on black, as a thing."""
    CALLS.append(picture.size)
    box = picture.convert("L").point(lambda value: 255 * (value > 128)).getbbox()
    if box is None:
        return []
    left, top, right, bottom = box
    return [{"category": "thing", "bbox": (left, top, right - left, bottom - top), "score": 0.9}]


bright.licence = "MIT"  # type: ignore[attr-defined]


def slow(picture: Image.Image) -> list[dict[str, Any]]:
    """The same, as long as a small model takes."""
    time.sleep(0.03)
    return bright(picture)


def two(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Two things as torchvision's models tell them."""
    assert picture.ndim == 3
    return {
        "boxes": np.array([[1.0, 2, 5, 8], [2, 2, 6, 6]], np.float32),
        "labels": np.array([1, 0]),
        "scores": np.array([0.75, 0.5]),
    }


def own(picture: Image.Image) -> xlabel.Annotation:
    """An annotation, which says that it is no suggestion."""
    return xlabel.Annotation(bbox=(0, 0, 2, 2), score=0.9, status="accepted", author="me", id=7)


class Cat:
    """A model that is made once."""

    made = 0
    categories = ("cat", "dog")

    def __init__(self) -> None:
        Cat.made += 1

    def __call__(self, picture: Image.Image) -> list[dict[str, Any]]:
        return [{"category": 1, "bbox": [0, 0, 4, 4], "score": np.float32(0.5)}]


def narrow(picture: Image.Image) -> list[dict[str, Any]]:
    """Fails for pictures that are higher than wide."""
    if picture.height > picture.width:
        raise RuntimeError("too high")
    return bright(picture)


def leaving(picture: Image.Image) -> list[dict[str, Any]]:
    """Ends the program at pictures that are higher than wide."""
    if picture.height > picture.width:
        raise SystemExit(3)
    return bright(picture)


def nothing(picture: Image.Image) -> None:
    return None


def nonsense(picture: Image.Image) -> list[dict[str, Any]]:
    return [{"bbox": (1, 2, 3), "colour": "red"}]
