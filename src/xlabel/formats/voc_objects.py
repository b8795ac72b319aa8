"""What an XML file of VOC says: name and size of its image, and its objects, as annotations and back.

Numbers pass unchanged: VOC is by its paper 1-based with inclusive corners, its tools write 0-based ones, and
no file says which. A box is (xmin, ymin, xmax - xmin, ymax - ymin). `<robndbox>` (cx, cy, w, h, and an angle
in radians, clockwise as seen) is an oriented box, `<polygon>` (x1, y1, ... or pt) a polygon, and an object
with none of them is a label of the whole image.

What an object says besides is its attributes; flags that say nothing (`<pose>Unspecified</pose>`,
`<truncated>0</truncated>`, `<difficult>0</difficult>`, `<occluded>0</occluded>`) are none. The first three
are written for each object, because the usual evaluation scripts fail without them.
"""

import math
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from msgspec.structs import replace

from xlabel.formats import markup
from xlabel.formats.exact import add, minus
from xlabel.formats.named import Stated, base
from xlabel.model import Annotation, Category, Number, OrientedBox, Points, Polyline
from xlabel.model.geometry import bbox_of

OWN_TAGS = frozenset({"name", "bndbox", "robndbox", "polygon"})

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = ("cx", "cy", "w", "h", "angle")
_USUAL: dict[str, Any] = {"pose": "Unspecified", "truncated": 0, "difficult": 0}
_QUIET: dict[str, tuple[Any, ...]] = {
    "pose": ("Unspecified", ""),
    "truncated": (0, ""),
    "difficult": (0, ""),
    "occluded": (0, ""),
}


def page_of(text: str) -> markup.Page:
    page = markup.parse(text)
    if page.root.tag != "annotation":
        raise ValueError(
            "not-voc",
            f"expected an <annotation>, got <{page.root.tag[:40]}>; is this file a label file of VOC?",
        )
    return page


def stated_of(root: Element) -> Stated:
    """Name and size; sizes of 0, as labelImg writes where it knows none, say nothing."""
    size = root.find("size")
    name = markup.text_of(root, "filename") or None
    if size is None:
        return name, None, None
    width, height = _side(size, "width"), _side(size, "height")
    return (name, width, height) if width and height else (name, None, None)


def folders_of(key: str) -> tuple[str, ...]:
    """What a file may call its image's folder."""
    folder = key.rpartition("/")[0]
    return base(folder), folder, ""


def annotation_of(element: Element, category: Callable[[str], Category]) -> Annotation:
    """An object; ValueError(code, message) where it cannot be read."""
    name = ""
    bbox = shape = None
    polygons: list[tuple[Number, ...]] = []
    attributes: dict[str, Any] = {f"@{key}": markup.typed(value) for key, value in element.attrib.items()}
    seen: set[str] = set()
    for child in element:
        tag = child.tag
        if tag == "name":
            name = name or (child.text or "").strip()
        elif tag == "bndbox" and "bndbox" not in seen:
            bbox, rest = _box(child)
            if rest:
                attributes["bndbox"] = rest
        elif tag == "robndbox" and "robndbox" not in seen:
            shape = _oriented(child)
        elif tag == "polygon":
            polygons.append(_polygon(child))
        elif tag in ("bndbox", "robndbox"):
            raise ValueError("two-boxes", f"expected one <{tag}>, got two; make them two objects")
        else:
            markup.collect(attributes, tag, markup.value_of(child), seen)
        seen.add(tag)
    if not name:
        raise ValueError("no-name", "expected a <name>, got none; name the object or remove it")
    for tag, quiet in _QUIET.items():
        if tag in attributes and attributes[tag] in quiet:
            del attributes[tag]
    if attributes.get("type") == ("robndbox" if shape is not None else "bndbox"):
        del attributes["type"]
    return Annotation(
        category=category(name),
        bbox=bbox,
        polygons=tuple(polygons) or None,
        shape=shape,
        attributes=attributes or None,
    )


def object_text(annotation: Annotation) -> str:
    return markup.element("object", fields_of(annotation), "\n\t", "\t")


def fields_of(annotation: Annotation) -> dict[str, Any]:
    """The children of an object, in their usual order."""
    assert annotation.category is not None
    rotated = robndbox_of(annotation.shape) if isinstance(annotation.shape, OrientedBox) else None
    bbox = annotation.bbox if annotation.bbox is not None or rotated is not None else bounds_of(annotation)
    found: dict[str, Any] = {"name": markup.said(annotation.category.name)}
    if bbox is not None or rotated is not None:
        found |= _USUAL
    rest: Any = None
    for name, value in (annotation.attributes or {}).items():
        if name == "bndbox":
            rest = value
        elif name not in OWN_TAGS and (
            markup.is_said(name, value) or (isinstance(value, str) and markup.is_tag(name))
        ):
            if value is True or value is False:
                found[name] = int(value) if name in _QUIET else value
            else:
                found[name] = value
    if found.get("occluded") in (0, ""):
        del found["occluded"]
    if bbox is not None:
        x, y, w, h = bbox
        found["bndbox"] = {"xmin": x, "ymin": y, "xmax": add(x, w), "ymax": add(y, h)}
        if isinstance(rest, dict):
            found["bndbox"] |= {k: v for k, v in rest.items() if k not in _CORNERS and markup.is_said(k, v)}
    if rotated is not None:
        found.setdefault("type", "robndbox")
        found["robndbox"] = dict(zip(_ROTATED, rotated, strict=True))
    if annotation.polygons:
        parts = [_points(part) for part in annotation.polygons]
        found["polygon"] = parts if len(parts) > 1 else parts[0]
    return found


def bounds_of(annotation: Annotation) -> tuple[Number, Number, Number, Number] | None:
    """The box of what VOC has no word for; a line and a point have none."""
    if isinstance(annotation.shape, Polyline | Points):
        annotation = replace(annotation, shape=None)
    return bbox_of(annotation)


def robndbox_of(box: OrientedBox) -> tuple[float, float, float, float, float] | None:
    """cx, cy, w, h, angle of corners that make a rectangle, going round clockwise; None of others."""
    x1, y1, x2, y2, x3, y3, x4, y4 = box.corners
    w, h = math.hypot(x2 - x1, y2 - y1), math.hypot(x4 - x1, y4 - y1)
    tolerance = 1e-6 * max(w, h, 1)
    if not math.isfinite(w + h) or abs(x1 + x3 - x2 - x4) > tolerance or abs(y1 + y3 - y2 - y4) > tolerance:
        return None
    cross = (x2 - x1) * (y4 - y1) - (y2 - y1) * (x4 - x1)
    if abs((x2 - x1) * (x4 - x1) + (y2 - y1) * (y4 - y1)) > tolerance * max(w, h) or cross < 0:
        return None
    angle = math.atan2(y2 - y1, x2 - x1) if w else math.atan2(x1 - x4, y4 - y1)
    return (x1 + x3) / 2, (y1 + y3) / 2, w, h, angle


# --- An object as an annotation ----------------------------------------------------------------------------


def _side(size: Element, tag: str) -> int | None:
    text = markup.text_of(size, tag)
    if not text:
        return None
    number = markup.number_of(text)
    if number is None or number < 0 or number != int(number):
        raise ValueError("bad-size", f"expected a {tag} in pixels, got {text[:40]!r}; correct the <size>")
    return int(number)


def _box(element: Element) -> tuple[tuple[Number, Number, Number, Number], dict[str, Any]]:
    xmin, ymin, xmax, ymax = _numbers(element, _CORNERS)
    rest = markup.children(element, _CORNERS) if len(element) > 4 or element.attrib else {}
    return (xmin, ymin, minus(xmax, xmin), minus(ymax, ymin)), rest


def _oriented(element: Element) -> OrientedBox:
    """Corners in roLabelImg's order: the top left one of the box before it was turned, then clockwise."""
    cx, cy, w, h, angle = _numbers(element, _ROTATED)
    cos, sin = math.cos(angle), math.sin(angle)
    corners: list[float] = []
    for dx, dy in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)):
        corners += (cx + dx * cos - dy * sin, cy + dx * sin + dy * cos)
    a, b, c, d, e, f, g, i = corners
    return OrientedBox((a, b, c, d, e, f, g, i))


def _polygon(element: Element) -> tuple[Number, ...]:
    """x1, y1, x2, y2, ... or pt elements with x and y; what else is in it is left alone."""
    axes: dict[str, list[Number]] = {"x": [], "y": []}
    for child in element.iter():
        tag = child.tag
        if tag[0] in axes and (tag[1:].isdigit() or len(tag) == 1) and not len(child):
            number = markup.number_of(child.text or "")
            if number is None:
                raise ValueError(
                    "bad-polygon",
                    f"expected a number in <{tag}>, got {(child.text or '')[:40]!r}; correct it",
                )
            axes[tag[0]].append(number)
    xs, ys = axes.values()
    if len(xs) != len(ys) or len(xs) < 3:
        raise ValueError(
            "bad-polygon",
            f"expected three points or more, got {len(xs)} x and {len(ys)} y; correct the polygon",
        )
    return tuple(number for point in zip(xs, ys, strict=True) for number in point)


def _numbers(element: Element, tags: tuple[str, ...]) -> list[Number]:
    texts = {child.tag: child.text or "" for child in element}
    found: list[Number] = []
    for tag in tags:
        number = markup.number_of(texts.get(tag, ""))
        if number is None:
            raise ValueError(
                "bad-box",
                f"expected numbers {', '.join(tags)} in <{element.tag}>, got {texts.get(tag, 'none')[:40]!r} "
                f"for {tag}; correct or remove the object",
            )
        found.append(number)
    return found


# --- An annotation as an object ----------------------------------------------------------------------------


def _points(part: tuple[Number, ...]) -> dict[str, Number]:
    return {f"{'xy'[index % 2]}{index // 2 + 1}": number for index, number in enumerate(part)}
