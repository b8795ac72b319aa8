"""Masks as polygons: the outlines of their pixels, exactly, and simplified.

Coordinates are continuous, as everywhere: a single pixel at column 3, row 5 is the square from 3, 5 to 4, 6.
Pixels that touch at a corner only are one part, as for OpenCV's findContours. Lines are made simpler as by
Douglas and Peucker (Cartographica 10, 1973): no corner that is left out lies further off than a tolerance.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xlabel.model.annotation import Number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[np.bool_]
    Ring = NDArray[np.int64]
    Line = NDArray[np.float64]

TOLERANCE = 1.0
"""Pixels by which a polygon may leave the outline, unless told otherwise: the stairs of a slope are less."""


class Part(NamedTuple):
    """Pixels that hang together: the ring around them, and those around the holes in them.

    A ring is n x 2 whole numbers, x and y of its corners, clockwise on the screen, the first not repeated.
    Its area is the number of pixels within.
    """

    ring: "Ring"
    holes: list["Ring"]


def polygons(
    mask: "Bits", tolerance: float = TOLERANCE, *, smallest: float = 0, most: int | None = None
) -> tuple[tuple[Number, ...], ...]:
    """A mask, height x width, as the polygons of an annotation: x1, y1, x2, y2, ... of each part.

    The largest part comes first; `most` is how many are given at most. Parts of fewer than `smallest` pixels
    are left out, and such holes are filled. Other holes are cut in: the polygon goes to the hole along a
    line, around it, and back along the same line, so that area and pixels are right for every reader.
    """
    found = sorted(parts(mask, smallest), key=lambda part: -area(part.ring))[:most]
    rings = iter(simplified([ring for part in found for ring in (part.ring, *part.holes)], tolerance))
    return tuple(_joined(Part(next(rings), [next(rings) for _ in part.holes])) for part in found)


def parts(mask: "Bits", smallest: float = 0) -> list[Part]:
    """The parts of a mask, from the topmost on; without parts and holes of fewer than `smallest` pixels."""
    found: dict[int, Part] = {}
    for number, (ring, around) in enumerate(_traced(mask)):
        if area(ring) < smallest:
            continue
        if around is None:
            found[number] = Part(ring, [])
        elif around in found:
            found[around].holes.append(ring)
    return list(found.values())


def simplified(rings: "list[Ring]", tolerance: float) -> "list[Ring]":
    """The rings without the corners that a tolerance lets go; the first, and two others, always stay.

    All lines between corners that stay are looked at together: each gets the corner that is furthest from it.
    """
    if not rings or not tolerance:
        return rings
    closed = np.concatenate([part for ring in rings for part in (ring, ring[:1])])
    ends = np.cumsum([len(ring) + 1 for ring in rings])
    starts = ends - [len(ring) + 1 for ring in rings]
    kept = np.sort(np.concatenate((starts, ends - 1)))
    limit = np.full(len(rings), float(tolerance))
    owner = np.repeat(np.arange(len(rings)), ends - starts)
    while True:
        line = np.repeat(np.arange(len(kept) - 1), np.diff(kept))
        off = _distances(closed[:-1], closed[kept[line]], closed[kept[line + 1]])
        most = np.maximum.reduceat(off, kept[:-1])
        furthest = np.flatnonzero((off == most[line]) & (off > limit[owner[:-1]]))
        if furthest.size:
            kept = np.sort(np.concatenate((kept, furthest[np.unique(line[furthest], return_index=True)[1]])))
            continue
        thin = np.bincount(owner[kept]) < 4
        if not thin.any():
            return [ring[:-1] for ring in np.split(closed[kept], np.searchsorted(kept, ends[:-1]))]
        limit[thin] /= 2


def area(ring: "Ring") -> float:
    """Square pixels within a ring."""
    x, y = ring.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _traced(mask: "Bits") -> "list[tuple[Ring, int | None]]":
    """All rings of a mask, from the topmost on, and for a hole the number of the ring around it.

    A ring begins with the leftmost of its topmost corners. Corners of outlines are where an odd number of
    four pixels is set, or two that touch there, which counts twice. In a row of corners each second one is
    joined to the one before it, and in a column too.
    """
    height, width = mask.shape
    wide = np.zeros((height + 2, width + 2), dtype=np.uint8)
    wide[1:-1, 1:-1] = mask != 0
    across = wide[:, 1:] ^ wide[:, :-1]
    touching = across[1:] & across[:-1] & (wide[1:, 1:] ^ wide[:-1, 1:])
    y, x = np.divmod(np.flatnonzero((across[1:] ^ across[:-1]) | touching), width + 1)
    times = touching[y, x] + 1
    second = np.zeros(times.sum(), dtype=np.uint8)
    second[(np.cumsum(times) - 1)[times == 2]] = 1
    falling = np.repeat(touching[y, x] & wide[y, x], times)  # the upper left pixel and the lower right one
    y, x = np.repeat(y, times), np.repeat(x, times)
    # Of two corners in one place the first ends the line from the left, and that goes down where they fall.
    column = np.lexsort((second ^ falling, y, x))
    beside = np.arange(len(x)) ^ 1
    above = np.empty_like(column)
    above[column] = column[beside]
    loops = _loops(beside.tolist(), above.tolist())
    corners = np.stack((x, y), axis=1)
    hole = [not wide[y[loop[0]] + 1, x[loop[0]] + 1] for loop in loops]
    around: list[int | None] = [None] * len(loops)
    if any(hole):
        owner = np.empty(len(x), dtype=np.intp)
        owner[np.concatenate(loops)] = np.repeat(np.arange(len(loops)), [len(loop) for loop in loops])
        first = corners[[loop[0] for loop in loops]]
        for number, over in enumerate(_over(first, corners[::2], corners[1::2], owner[::2])):
            if hole[number]:
                around[number] = around[over] if hole[over] else over
    return [(corners[loop], number) for loop, number in zip(loops, around, strict=True)]


def _over(points: "Ring", left: "Ring", right: "Ring", owner: "NDArray[np.intp]") -> list[int]:
    """The owner of the line next above each point, of horizontal lines from left to right ends."""
    long = right[:, 0] - left[:, 0]
    x = np.arange(long.sum()) - np.repeat(np.cumsum(long) - long - left[:, 0], long)
    rows = left[:, 1].max() + 1
    place = x * rows + np.repeat(left[:, 1], long)
    order = np.argsort(place)
    found = np.searchsorted(place[order], points[:, 0] * rows + points[:, 1]) - 1
    numbers: list[int] = np.repeat(owner, long)[order[found]].tolist()
    return numbers


def _loops(beside: list[int], above: list[int]) -> list[list[int]]:
    """Corners in the order in which one comes by them, a step to the side and a step up or down in turn."""
    seen = bytearray(len(beside))
    loops: list[list[int]] = []
    for start in range(0, len(beside), 2):
        if seen[start]:
            continue
        loop: list[int] = []
        at = start
        while not seen[at]:
            other = beside[at]
            seen[at] = seen[other] = 1
            loop += (at, other)
            at = above[other]
        loops.append(loop)
    return loops


def _joined(part: Part) -> tuple[Number, ...]:
    """One line around a part, and into its holes, the leftmost first: each reaches what is left of it."""
    line: Line = part.ring.astype(np.float64)
    for hole in sorted(part.holes, key=lambda hole: int(hole[:, 0].min())):
        line = _cut_in(line, hole)
    return tuple(int(number) if number == int(number) else number for number in line.ravel().tolist())


def _cut_in(line: "Line", hole: "Ring") -> "Line":
    """The line with a way to the hole: from its leftmost corner straight to the left."""
    hole = np.roll(hole, -int(hole[:, 0].argmin()), axis=0)
    x, y = hole[0]
    x1, y1 = line.T
    x2, y2 = np.roll(line, -1, axis=0).T
    crossed = np.flatnonzero((y1 <= y) != (y2 <= y))
    at = x1[crossed] + (y - y1[crossed]) * (x2 - x1)[crossed] / (y2 - y1)[crossed]
    crossed, at = crossed[at <= x], at[at <= x]
    if not crossed.size:  # simplified, the outline leaves the hole outside
        return line
    nearest = int(at.argmax())
    gate = np.array([[at[nearest], y]])
    way = np.concatenate((gate, hole[:1], hole[::-1], gate))
    return np.insert(line, crossed[nearest] + 1, way, axis=0)


def _distances(points: "Ring", start: "Ring", end: "Ring") -> "Line":
    """How far points are from the lines from start to end."""
    x, y = (points - start).T.astype(np.float64)
    along, down = (end - start).T.astype(np.float64)
    length = along * along + down * down
    share = ((x * along + y * down) / np.where(length, length, 1)).clip(0, 1)
    found: Line = np.hypot(x - share * along, y - share * down)
    return found
