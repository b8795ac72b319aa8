"""The review's queue: which images are worth a person's look first. docs/active_learning.md.

Each order is a function of the records of images, None for one of which nothing is known yet, and gives their
positions. What has nothing to be ordered by comes last; what is equal stays in the order that it has.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from xlabel.model.record import TODO, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features = NDArray[np.uint8]

ORDERS = ("uncertainty", "disagreement", "diversity")
GRID = 4
"""A picture is compared by the mean colours of so many by so many parts ..."""
BUCKETS = 16
"""... and by the counts of its labels' categories, which share so many places."""
STEP = 64
"""By so much a feature grows when the labels of a category double."""
COVERED = 1000
"""Of the images that are done, so many from all over stand for all."""
EFFORT = 400_000_000
"""Distances that are computed; of more images only the first are in the exact order."""

Records = Sequence[Record | None]


def by_uncertainty(records: Records) -> list[int]:
    """The images with the most doubtful suggestions first."""
    return _highest(record.uncertainty if record else None for record in records)


def by_disagreement(records: Records) -> list[int]:
    """The images on which two models, or a model and people, differ most first."""
    return _highest(record.disagreement if record else None for record in records)


def by_diversity(records: Records, picture: Callable[[int], "NDArray[Any] | None"]) -> list[int]:
    """The images first that are least like all before them; those that are done come last.

    `picture` gives a small picture of an image by its position, height x width x 3 of 8 bits; None where
    there is none. Begins with the image that is least like those that are done, or without any with the most
    ordinary one. Of n images the first `EFFORT` / n are in the exact order, the others follow by how little
    they are like these.
    """
    import numpy as np

    todo = [at for at, record in enumerate(records) if record is None or record.state == TODO]
    done = [at for at, record in enumerate(records) if record is not None and record.state != TODO]
    some = done[:: -(-len(done) // COVERED)] if done else []

    def rows(places: list[int]) -> "Features":
        found = [features(records[at], picture(at)) for at in places]
        return np.array(found, np.uint8).reshape(-1, 3 * GRID * GRID + BUCKETS)

    return [todo[at] for at in farthest_first(rows(todo), rows(some))] + done


def features(record: Record | None, picture: "NDArray[Any] | None") -> "Features":
    """What tells images apart at a glance, as small whole numbers: colours, and how much of what is on it."""
    import numpy as np

    found = np.full(3 * GRID * GRID + BUCKETS, 128, np.uint8)
    if picture is not None and picture.size:
        found[:-BUCKETS] = _colours(picture).reshape(-1)
    counts = np.zeros(BUCKETS)
    for name, count in (record.categories if record else {}).items():
        counts[crc32(name.encode(errors="surrogatepass")) % BUCKETS] += count
    found[-BUCKETS:] = (STEP * np.log2(1 + counts)).clip(0, 255).round()
    return found


def farthest_first(rows: "Features", covered: "Features") -> list[int]:
    """The rows, each as far as can be from all before it and from those that are covered.

    The same everywhere: distances are squares of whole numbers, which have no rounding.
    """
    import numpy as np

    if not len(rows):
        return []
    points = rows.astype(np.float32)  # exact up to 2**24, as 64 numbers of 8 bits are, and fast
    squares = (points * points).sum(axis=1)
    nearest = np.full(len(rows), np.inf, np.float32)
    for point in covered.astype(np.float32):
        np.minimum(nearest, _distances(points, squares, point), out=nearest)
    at = int(nearest.argmax()) if len(covered) else _most_ordinary(rows)
    order = []
    for _ in range(min(len(rows), max(1, EFFORT // len(rows)))):
        order.append(at)
        np.minimum(nearest, _distances(points, squares, points[at]), out=nearest)
        nearest[at] = -1
        at = int(nearest.argmax())
    left = np.argsort(-nearest, kind="stable")[: len(rows) - len(order)]
    return order + [int(at) for at in left]


def _highest(values: Iterable[float | None]) -> list[int]:
    ranks = [1.0 if value is None else -value for value in values]
    return sorted(range(len(ranks)), key=ranks.__getitem__)


def _colours(picture: "NDArray[Any]") -> "NDArray[Any]":
    """Mean colours of the parts of a picture, which has a pixel or more."""
    import numpy as np

    for axis in (0, 1):
        if (side := picture.shape[axis]) < GRID:
            picture = picture.repeat(-(-GRID // side), axis)
        side = picture.shape[axis]
        starts = np.arange(GRID) * side // GRID
        sums = np.add.reduceat(picture, starts, axis, dtype=np.float64)
        sizes = np.diff(starts, append=side).reshape([-1 if at == axis else 1 for at in range(3)])
        picture = sums / sizes
    return np.asarray(picture.round())


def _distances(points: "NDArray[Any]", squares: "NDArray[Any]", point: "NDArray[Any]") -> "NDArray[Any]":
    """The squared distances of all points to one."""
    return squares + (point * point).sum() - 2 * (points @ point)  # type: ignore[no-any-return]


def _most_ordinary(rows: "Features") -> int:
    """The row that is nearest to the mean of all."""
    import numpy as np

    whole = rows.astype(np.int64)
    return int((len(whole) * (whole * whole).sum(axis=1) - 2 * (whole @ whole.sum(axis=0))).argmin())
