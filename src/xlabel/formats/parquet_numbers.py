"""Numbers as doubles, and what doubles do not say of them: whether a whole one was written 10 or 10.0.

Read again, a whole number is an `int`, unless its field is named among those whose numbers all are decimal
ones. What neither rule says, and a number that no double holds, is kept as it was, beside the doubles.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from xlabel.model import Annotation, Circle, Number, OrientedBox, Shape

LARGEST = 1 << 53
"""Whole numbers up to this are doubles."""


def spelled(annotation: Annotation) -> tuple[str | None, dict[str, Any]]:
    """The fields of an annotation whose numbers are decimal ones, and the values that doubles do not say."""
    decimal: list[str] = []
    exact: dict[str, Any] = {}
    for name, value, numbers in _fields(annotation):
        types = set(map(type, numbers))
        if types == {float}:
            if any(map(float.is_integer, numbers)):
                decimal.append(name)
        elif types == {int}:
            if max(numbers) > LARGEST or min(numbers) < -LARGEST:
                exact[name] = value
        elif any(
            number.is_integer() if type(number) is float else not is_small(number) for number in numbers
        ):
            exact[name] = value
    return " ".join(decimal) or None, exact


def is_small(number: Number) -> bool:
    """Whether a double holds a number."""
    return type(number) is float or -LARGEST <= number <= LARGEST


def doubles(numbers: Sequence[Number]) -> Sequence[Number] | None:
    """The numbers for a column of doubles; None where one is too large."""
    return numbers if all(map(is_small, numbers)) else None


def whole(numbers: Sequence[float]) -> tuple[Number, ...]:
    """Doubles read again, where nothing says that whole ones were decimal."""
    if any(map(float.is_integer, numbers)):
        return tuple(int(number) if number.is_integer() else number for number in numbers)
    return tuple(numbers)


def whole_visibility(numbers: Sequence[float]) -> tuple[Number, ...]:
    """Keypoints read again whose coordinates are decimal: their visibilities are whole nevertheless."""
    return tuple(
        int(number) if at % 3 == 2 and number.is_integer() else number for at, number in enumerate(numbers)
    )


def shape_numbers(shape: Shape) -> tuple[Number, ...]:
    """The numbers of a shape, in their order; a circle's are x, y and radius."""
    if isinstance(shape, Circle):
        return shape.x, shape.y, shape.radius
    return shape.corners if isinstance(shape, OrientedBox) else shape.points


def _fields(annotation: Annotation) -> Iterable[tuple[str, Any, Sequence[Any]]]:
    """Name of the column, value and numbers of each field that has some."""
    if annotation.bbox is not None:
        yield "bbox", annotation.bbox, annotation.bbox
    if annotation.area is not None:
        yield "area", annotation.area, (annotation.area,)
    if annotation.polygons:
        parts = annotation.polygons
        yield "segmentation", parts, parts[0] if len(parts) == 1 else tuple(chain.from_iterable(parts))
    if annotation.keypoints:
        points = annotation.keypoints
        coordinates = points[0::3] + points[1::3]
        clean = all(type(number) is int for number in points[2::3])
        yield "keypoints", points, coordinates if clean else points
    if annotation.shape is not None:
        numbers = shape_numbers(annotation.shape)
        yield "shape", numbers, numbers
    if annotation.score is not None:
        yield "score", annotation.score, (annotation.score,)
