"""Data sets as hypothesis draws them: small, whole, and with every field of the model in some of them."""

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    OrientedBox,
    Points,
    Polyline,
    Sample,
    Shape,
    Source,
)

KEYPOINTS = ("head", "tail")
SPLITS = ("train", "val", "test")

_visible = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs"))
words = st.text(_visible | st.sampled_from(" ,;\"'\\<&{"), min_size=1, max_size=8).filter(
    lambda t: t == t.strip()
)
"""Text that a person might write: any script, quotes and delimiters, no space at its ends."""


@st.composite
def numbers(draw: st.DrawFn, top: int) -> int | float:
    """A coordinate from 0 to `top`: whole, or with up to three decimals."""
    whole = draw(st.integers(0, top))
    if whole == top or draw(st.booleans()):
        return whole
    return float(f"{whole}.{draw(st.integers(1, 999)):03d}")


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> tuple[Any, Any, Any, Any]:
    """A box inside an image, at least a pixel wide."""
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    if draw(st.booleans()):
        return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    return (
        x + 0.25,
        y + 0.125,
        draw(st.integers(1, width - x)) - 0.5,
        draw(st.integers(1, height - y)) - 0.375,
    )


@st.composite
def polygons(draw: st.DrawFn, width: int, height: int) -> tuple[int | float, ...]:
    """A polygon of three to five points."""
    points = draw(st.lists(st.tuples(numbers(width), numbers(height)), min_size=3, max_size=5, unique=True))
    return tuple(number for point in points for number in point)


@st.composite
def masks(draw: st.DrawFn, width: int, height: int) -> RLE:
    """A mask of the image's size by its plain run lengths."""
    total = width * height
    cuts = sorted(draw(st.sets(st.integers(1, total - 1), min_size=1, max_size=4))) if total > 1 else []
    edges = [0, *cuts, total]
    return RLE((height, width), tuple(b - a for a, b in pairwise(edges)))


@st.composite
def shapes(draw: st.DrawFn, width: int, height: int) -> Shape:
    """Any geometry that COCO has no word for."""
    kind = draw(st.sampled_from(("oriented", "line", "points", "circle")))
    left, top, w, h = draw(boxes(width, height))
    middle, centre = left + w / 2, top + h / 2
    if kind == "circle":
        return Circle(middle, centre, min(w, h) / 2)
    if kind == "oriented":
        return OrientedBox((middle, top, left + w, centre, middle, top + h, left, centre))
    x, y = draw(numbers(width)), draw(numbers(height))
    points = (x, y, *draw(st.tuples(numbers(width), numbers(height))))
    return Polyline(points) if kind == "line" else Points(points)


@st.composite
def annotations(draw: st.DrawFn, image: Image, categories: list[Category]) -> Annotation:
    """A label, with any mix of geometries and of what may be said of it."""
    width, height = image.width or 1, image.height or 1
    given: dict[str, Any] = {}
    category = draw(st.sampled_from(categories))
    kinds = draw(
        st.sampled_from(
            (
                ("bbox",),
                ("bbox", "polygons"),
                ("bbox", "mask"),
                ("bbox", "keypoints"),
                ("bbox", "polygons", "keypoints"),
                ("polygons",),
                ("mask",),
                ("shape",),
                (),
                ("caption",),
            )
        )
    )
    if "bbox" in kinds:
        given["bbox"] = draw(boxes(width, height))
    if "polygons" in kinds:
        given["polygons"] = tuple(draw(st.lists(polygons(width, height), min_size=1, max_size=2)))
    if "mask" in kinds:
        given["mask"] = draw(masks(width, height))
        given["crowd"] = draw(st.booleans())
    if "keypoints" in kinds and category.keypoints:
        given["keypoints"] = tuple(
            number
            for _ in KEYPOINTS
            for number in (draw(numbers(width)), draw(numbers(height)), draw(st.integers(1, 2)))
        )
    if "shape" in kinds:
        given["shape"] = draw(shapes(width, height))
    if "caption" in kinds:
        return Annotation(caption=draw(words))
    said = {
        "area": st.integers(1, 10**6) | st.just(2.5),
        "score": st.sampled_from((0.25, 0.5, 0.875, 1)),
        "status": st.sampled_from(("suggestion", "accepted", "rejected")),
        "attributes": st.dictionaries(
            words, st.booleans() | st.integers(-9, 9) | words, min_size=1, max_size=2
        ),
        "author": words,
        "time": st.just("2026-11-20T12:00:00Z"),
        "source": st.builds(Source, kind=st.just("model"), name=words, hash=words)
        | st.just(Source(kind="human")),
        "extra": st.dictionaries(
            words.map("x-".__add__), st.none() | words | st.lists(st.integers()), min_size=1
        ),
    }
    for name in draw(st.sets(st.sampled_from(sorted(said)), max_size=3)):
        given[name] = draw(said[name])
    return Annotation(category=category, **given)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Up to four images in some folders, with up to three labels each."""
    posed = draw(st.booleans())
    names = draw(st.lists(words, min_size=1, max_size=3, unique=True))
    ids = draw(st.lists(st.integers(0, 99), min_size=len(names), max_size=len(names), unique=True))
    categories = [
        Category(
            id=number,
            name=name,
            supercategory=draw(st.none() | words),
            keypoints=KEYPOINTS if posed else None,
            skeleton=((1, 2),) if posed else None,
        )
        for number, name in zip(ids, names, strict=True)
    ]
    stems = draw(st.lists(st.text("abcxyz0189-_é", min_size=1, max_size=6), max_size=4, unique=True))
    folder = draw(st.sampled_from(("", "day/", "day/night/")))
    split_up = draw(st.booleans())
    samples = []
    for stem in sorted(stems, key=str.encode):
        key = folder + stem + ".jpg"
        size = draw(st.integers(2, 300)), draw(st.integers(2, 300))
        image = Image(key=key, width=size[0], height=size[1])
        labels = draw(st.lists(annotations(image, categories), max_size=3))
        split = draw(st.sampled_from(SPLITS)) if split_up else None
        samples.append(Sample(image=image, annotations=tuple(labels), split=split))
    extra = {"info": {"description": draw(words)}} if draw(st.booleans()) else None
    return Dataset(samples=samples, categories=categories, extra=extra)
