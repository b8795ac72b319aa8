"""A row of a YOLO label file and an annotation: numbers out of one, numbers into the other.

Rules: Ultralytics 8.4. Numbers are shares of the image as displayed:
detect `class cx cy w h`, segment `class x1 y1 x2 y2 ...`, obb `class x1 y1 ... x4 y4`,
pose `class cx cy w h` and x, y and perhaps visibility of each keypoint. A last column may be the score.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from xlabel.errors import InputError
from xlabel.model import Annotation, Number, OrientedBox, Points
from xlabel.model.geometry import bbox_of

LOW, HIGH = -0.01, 1.01
"""Ultralytics' tolerance; further out is a problem."""
LONGEST = 1 << 20
"""Characters of a row, as of a polygon of 50,000 points; numbers take thirty times their text in memory."""
LIMIT = 1e9  # a number beyond it means nothing, and its square is still finite
_SAME = 1e-12  # relative; between a number of the source and what was computed back from its pixels
_BOX = (1, 2, 3, 4)

KEPT = {
    "detect": frozenset({"bbox"}),
    "segment": frozenset({"polygons"}),
    "pose": frozenset({"bbox", "keypoints"}),
    "obb": frozenset({"oriented_box"}),
}
"""The geometries that a row of each kind holds."""


class Reading(NamedTuple):
    """How the rows of a set are to be read."""

    task: str
    """detect, segment, pose or obb."""
    tail: str | None = None
    """What an additional last column is: `score` or `track_id`."""
    kpt: tuple[int, int] = (0, 2)
    """Number of keypoints, and numbers of each: 2, or 3 with visibility."""


def find_reading(
    rows: Sequence[Sequence[str]],
    where: str,
    task: str | None,
    kpt: tuple[int, int] | None,
    described: bool,
) -> Reading:
    """How rows are to be read, from some of them.

    `task` and `kpt` are what was said of them, and `described` is whether a data.yaml had the chance to.
    Raises InputError where two readings are left, or none.
    """
    counts = Counter(map(len, rows))
    if task is None and kpt is not None and _has_pose(counts, kpt):
        task = "pose"
    long = Counter({n: count for n, count in counts.items() if n > 6})
    if kpt is not None and long and (task is None or (task == "pose" and not _has_pose(counts, kpt))):
        raise InputError(_no_pose(long, kpt, where))
    if task is None:
        task = "detect" if 2 * long.total() <= counts.total() else _long_task(rows, long, where, described)
    if task == "detect":
        return Reading(task, _sixth([row[5] for row in rows if len(row) == 6], where))
    if task == "pose":
        shape = kpt or _guess_kpt(rows, long, where)
        return Reading(task, "score" if counts[_pose(shape) + 1] else None, shape)
    if task == "obb":
        return Reading(task, "score" if counts[10] > counts[9] else None)
    even = sum(count for n, count in long.items() if n % 2 == 0)
    return Reading(task, "score" if 2 * even > long.total() else None)


def kind_of(count: int, reading: Reading) -> str | None:
    """What a row of that many numbers is, or None where it is nothing known."""
    task, tail, kpt = reading
    if task == "pose" and kpt[0] and count in (_pose(kpt), _pose(kpt) + 1):
        return "pose"
    if task == "obb" and count in (9, 10):
        return "obb"
    if task == "segment" and count >= 7 and (count % 2 or tail == "score"):
        return "segment"
    if count == 5 or (count == 6 and task == "detect"):
        return "detect"
    if task == "detect" and count >= 7 and count % 2 and count != 9:
        return "segment"
    return None


def has_tail(count: int, kind: str, reading: Reading) -> bool:
    """Whether the last of that many numbers is a score or a track."""
    if kind == "pose":
        return count == _pose(reading.kpt) + 1
    return count == {"detect": 6, "obb": 10}.get(kind, count + count % 2)


def numbers(line: str, tokens: Sequence[str]) -> list[float] | None:
    """The numbers of a row, or None where something in it is none that YOLO means."""
    if not tokens or "_" in line or not line.isascii():  # float() takes 1_000 and other scripts' digits
        return None
    try:
        values = list(map(float, tokens))
    except ValueError:
        return None
    total = sum(values)  # NaN where one is NaN, which min() and max() pass over
    return values if total == total and min(values) >= -LIMIT and max(values) <= LIMIT else None


def tail_field(token: str, value: float, reading: Reading) -> tuple[str, Number] | None:
    """What a last column says: (`score` or `track_id`, its number); None where it may be both."""
    whole = value.is_integer()
    if reading.tail == "track_id" and whole:
        return "track_id", int(value)
    if reading.tail == "score" or _has_point(token) or not whole:
        return "score", value
    return ("track_id", int(value)) if value > 1 else None


def coordinates(values: Sequence[float], kind: str, reading: Reading) -> list[float]:
    """Those of a row's numbers that lie between 0 and 1: neither class, visibility nor the last column."""
    end = len(values) - has_tail(len(values), kind, reading)
    if kind == "pose" and reading.kpt[1] == 3:
        return [value for i, value in enumerate(values[:end]) if i in _BOX or (i > 4 and i % 3 != 1)]
    return list(values[1:end])


def geometry(
    values: Sequence[float], kind: str, reading: Reading, width: int, height: int
) -> dict[str, object]:
    """What a row says, as fields of an annotation, in pixels."""
    if kind == "detect":
        return {"bbox": _box(values, width, height)}
    if kind == "pose":
        return {
            "bbox": _box(values, width, height),
            "keypoints": _keypoints(values, reading.kpt, width, height),
        }
    end = 9 if kind == "obb" else len(values) - has_tail(len(values), kind, reading)
    points = list(values[1:end])
    points[::2] = [x * width for x in points[::2]]
    points[1::2] = [y * height for y in points[1::2]]
    if kind == "obb":
        return {"shape": OrientedBox(corners=tuple(points))}  # type: ignore[arg-type]
    return {"polygons": (tuple(points),)}


def shares(
    annotation: Annotation, kind: str, reading: Reading, width: int | None, height: int | None
) -> list[float] | None:
    """The numbers of a row behind its class, without the last column; None where it has no such geometry."""
    if not width or not height:
        return None
    if kind == "segment":
        parts = [part for part in annotation.polygons or () if len(part) >= 6 and len(part) % 2 == 0]
        return _normal(_joined(parts), width, height) if parts else None
    if kind == "obb":
        if isinstance(annotation.shape, OrientedBox):
            return _normal(annotation.shape.corners, width, height)
        return _normal(_corners(annotation.bbox), width, height) if annotation.bbox else None
    box = annotation.bbox or (None if isinstance(annotation.shape, Points) else bbox_of(annotation))
    if box is None:
        return None
    x, y, w, h = box
    values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    return values + _pose_shares(annotation, reading.kpt, width, height) if kind == "pose" else values


def row_text(origin: str | None, number: str, values: Sequence[float], tail: Number | None) -> str:
    """A row of a class, these numbers and a last column; those that `origin` already has keep its text.

    A score is a float and has a decimal point, a track id is an int and has none.
    """
    tokens = [number, *map(number_text, values)]
    if tail is not None:
        text = number_text(tail)
        tokens.append(text + ".0" if isinstance(tail, float) and "." not in text else text)
    if origin is None:
        return " ".join(tokens)
    old = origin.split()
    end = "\r" if origin.endswith("\r") else ""
    was = numbers(origin, old)
    if was is None or len(old) != len(tokens):
        return " ".join(tokens) + end
    exact = [float(number), *values] + ([] if tail is None else [float(tail)])
    for i, (before, value) in enumerate(zip(was, exact, strict=True)):
        if abs(before - value) <= _SAME * max(1.0, abs(value)):
            tokens[i] = old[i]
    return origin if tokens == old else " ".join(tokens) + end


def number_text(value: float) -> str:
    """Ten significant digits, without exponent.

    That is a millionth of a pixel in an image of 10,000, and no noise of doubles.
    """
    text = f"{value:.10g}"
    if "e" not in text:
        return text
    return f"{value:.15f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.0f}"


def _pose(kpt: tuple[int, int]) -> int:
    return 5 + kpt[0] * kpt[1]


def _has_pose(counts: Counter[int], kpt: tuple[int, int]) -> bool:
    return bool(counts[_pose(kpt)] or counts[_pose(kpt) + 1])


def _no_pose(long: Counter[int], kpt: tuple[int, int], where: str) -> str:
    """That no row has as many numbers as `kpt_shape` says, and what to do."""
    found = ", ".join(str(count) for count in sorted(long)[:5])
    usual = max(long, key=lambda count: (long[count], -count))
    shapes = [f"[{(usual - 5) // size}, {size}]" for size in (3, 2) if (usual - 5) % size == 0]
    fits = f" ({usual} numbers are kpt_shape: {' or '.join(shapes)})" if shapes else ""
    return (
        f"{where}: kpt_shape: [{kpt[0]}, {kpt[1]}] in data.yaml means rows of {_pose(kpt)} numbers, "
        f"found rows of {found}; correct kpt_shape{fits}, or say --from yolo-segment where they are polygons"
    )


def _long_task(rows: Sequence[Sequence[str]], long: Counter[int], where: str, described: bool) -> str:
    """The task of rows of more than 6 numbers, where nothing says it."""
    if set(long) <= {9, 10}:
        raise InputError(
            f"{where}: rows of {max(long)} numbers are polygons of four corners (yolo-segment) or oriented "
            "boxes (yolo-obb); say which with --from"
        )
    if len(long) == 1:
        count = next(iter(long))
        if not described and _visibilities(rows, count):
            return "pose"
        if count % 2 == 0:
            raise InputError(
                f"{where}: rows of {count} numbers fit no task; for keypoints give kpt_shape in data.yaml "
                "or --from yolo-pose, for polygons with scores --from yolo-segment"
            )
    return "segment"


def _visibilities(rows: Sequence[Sequence[str]], count: int) -> bool:
    """Whether rows can only be keypoints of three numbers: each third is 0, 1 or 2, as no polygon has it."""
    if count < 8 or (count - 5) % 3:
        return False
    seen = {token for row in rows if len(row) == count for token in row[7::3]}
    values = {float(token) for token in seen}
    return values <= {0.0, 1.0, 2.0} and (count % 2 == 0 or 2.0 in values)


def _guess_kpt(rows: Sequence[Sequence[str]], long: Counter[int], where: str) -> tuple[int, int]:
    if not long:
        return (0, 2)
    count = long.most_common(1)[0][0]
    third = {float(token) for row in rows if len(row) == count for token in row[7::3]}
    if (count - 5) % 3 == 0 and third <= {0.0, 1.0, 2.0}:
        return (count - 5) // 3, 3
    if count % 2:
        return (count - 5) // 2, 2
    raise InputError(
        f"{where}: rows of {count} numbers, which are no keypoints with visibility 0, 1 or 2; "
        "give kpt_shape: [number of keypoints, 2 or 3] in data.yaml"
    )


def _sixth(column: Sequence[str], where: str) -> str | None:
    if not column:
        return None
    if any(_has_point(token) for token in column):
        return "score"
    if any(float(token) > 1 for token in column):
        return "track_id"
    raise InputError(
        f"{where}: the sixth column is 0 or 1 throughout, which may be scores or track ids; "
        "write scores with a decimal point (1.0), or number the tracks beyond 1"
    )


def _has_point(token: str) -> bool:
    return "." in token or "e" in token or "E" in token


def _box(values: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    _, cx, cy, w, h, *_ = values
    return (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height


def _keypoints(values: Sequence[float], kpt: tuple[int, int], width: int, height: int) -> tuple[Number, ...]:
    count, size = kpt
    result: list[Number] = []
    for i in range(5, 5 + count * size, size):
        x, y = values[i], values[i + 1]
        if size == 3:
            v = values[i + 2]
            result += (x * width, y * height, int(v) if v.is_integer() else v)
        else:
            result += (x * width, y * height, 0 if x < 0 or y < 0 or x == y == 0 else 2)
    return tuple(result)


def _pose_shares(annotation: Annotation, kpt: tuple[int, int], width: int, height: int) -> list[float]:
    count, size = kpt
    points = annotation.keypoints or ()
    result: list[float] = []
    for i in range(0, 3 * count, 3):
        x, y, v = points[i : i + 3] if i + 2 < len(points) else (0, 0, 0)
        result += (x / width, y / height) if size == 2 else (x / width, y / height, v)
    return result


def _normal(points: Sequence[Number], width: int, height: int) -> list[float]:
    values: list[float] = list(points)
    values[::2] = [x / width for x in values[::2]]
    values[1::2] = [y / height for y in values[1::2]]
    return values


def _joined(parts: Sequence[Sequence[Number]]) -> list[Number]:
    """Several parts as one outline of the same area: bridges of no width, each walked there and back."""
    if len(parts) == 1:
        return list(parts[0])
    points: list[Number] = []
    for part in parts:
        points += part
        points += part[:2]
    for part in parts[-2:0:-1]:
        points += part[:2]
    return points


def _corners(box: tuple[Number, Number, Number, Number] | None) -> tuple[Number, ...]:
    x, y, w, h = box or (0, 0, 0, 0)
    return x, y, x + w, y, x + w, y + h, x, y + h
