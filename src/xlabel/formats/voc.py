"""Pascal VOC: an XML file an image. VOC2012 development kit, annex A; labelImg and roLabelImg as they write.

Numbers pass unchanged: VOC is by its paper 1-based with inclusive corners, its tools write 0-based ones, and
no file says which. A box is (xmin, ymin, xmax - xmin, ymax - ymin). `<robndbox>` (cx, cy, w, h, and an angle
in radians, clockwise as seen) is an oriented box, `<polygon>` (x1, y1, ... or pt) a polygon, and an object
with none of them is a label of the whole image.

What an object says besides is its attributes; flags that say nothing (`<pose>Unspecified</pose>`,
`<truncated>0</truncated>`, `<difficult>0</difficult>`, `<occluded>0</occluded>`) are none. The first three
are written for each object, because the usual evaluation scripts fail without them.

A file that was read is kept as its text: the sample's origin has the pieces around the objects, an
annotation's origin has its object. What would be written anew with the same text is not kept.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from msgspec.structs import replace

from xlabel.errors import InputError, why
from xlabel.formats import imagesets, markup, splits
from xlabel.formats.exact import add, minus
from xlabel.formats.labels import Ref, peek
from xlabel.formats.losses import missing, renumbered
from xlabel.formats.named import (
    NOTHING,
    NamedLabels,
    Places,
    Stated,
    base,
    described,
    home,
    to_displayed,
    to_drawn,
    without_origin,
)
from xlabel.formats.names import seen, spread
from xlabel.formats.pairing import has_ending
from xlabel.formats.untrusted import is_inside
from xlabel.model import (
    Annotation,
    Category,
    Dataset,
    Image,
    Loss,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Problem,
    Sample,
)
from xlabel.model.dataset import Origin, is_stored
from xlabel.model.geometry import bbox_of

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "voc"
TITLE = "Pascal VOC XML"
IMAGES = "JPEGImages"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(
    {
        "bbox",
        "polygons",
        "polygon parts",
        "oriented_box",
        "image labels",
        "attributes",
        "unlabelled",
        "split",
    }
)

"""Fields of images are held as elements, but not all: null, empty lists and lists of one are none."""

FOLDER = "Annotations/"
"""Where the files of images go whose labels came from elsewhere."""
LABELMAP = "labelmap.txt"
"""Class names in their order, as CVAT and datumaro write and want it: `name:colour:parts:actions`."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = ("cx", "cy", "w", "h", "angle")
_USUAL: dict[str, Any] = {"pose": "Unspecified", "truncated": 0, "difficult": 0}
_QUIET: dict[str, tuple[Any, ...]] = {
    "pose": ("Unspecified", ""),
    "truncated": (0, ""),
    "difficult": (0, ""),
    "occluded": (0, ""),
}
_OWN = frozenset({"name", "bndbox", "robndbox", "polygon"})
_NEED_NOT_BE = ("folder", "filename", "size")
_HEAD = ("folder", "path", "source", "owner")


class VocLabels(NamedLabels):
    """One XML file an image, and ImageSets for the splits."""

    suffixes = (".xml",)

    def __init__(self, tree: "Tree") -> None:
        files, problems = _described_files(tree)
        super().__init__(tree, Origin(format=NAME, files=files or None), _categories(files))
        self._splits, more = imagesets.splits(files, self.where)
        self._flags = imagesets.flags(files)
        self.problems += problems + more
        self._last: tuple[bytes, str, str, markup.Page] | None = None
        self._listed = self._only_listed(files)

    def bind(self, keys: Sequence[str]) -> None:
        super().bind(keys)
        self._listed = {}
        files = self.origin.files or {}
        if not any(map(imagesets.is_list, files)):
            return
        known = imagesets.known_ids(files, filter(None, map(self.pairing.find, keys)))
        for prefix, ids in imagesets.absent(imagesets.listed(files), known):
            self.problem(
                self.where(f"{prefix}{imagesets.FOLDER}"),
                "absent-image",
                f"expected images for all names, got none for {len(ids)}, the first is {ids[0]!r}; "
                "add the images or remove the names",
            )
        self._keep_strange(files, known)

    def _only_listed(self, files: dict[str, str]) -> dict[str, str]:
        """Images that a split's list names and that have no label file: that file's path -> key."""
        if not any(map(imagesets.is_list, files)):
            return {}
        known = imagesets.known_ids(files, super().refs())
        self._keep_strange(files, known)
        absent = imagesets.absent(imagesets.listed(files), known)
        left = [(prefix, name) for prefix, ids in absent for name in ids]
        first = next(iter(super().refs()), None) if left else None
        named = super().image(first) if first is not None else None
        suffix = PurePosixPath(named.key).suffix if named is not None else ""
        return {
            f"{prefix}{FOLDER}{name}.xml": f"{prefix}{name}{suffix or '.jpg'}"
            for prefix, name in left
            if is_inside(prefix + name)
        }

    def _keep_strange(self, files: dict[str, str], known: imagesets.Ids) -> None:
        """Note the lines of lists that name no image."""
        strange = imagesets.strange(files, known)
        self.origin = replace(self.origin, extra={"strange": strange} if strange else None)

    def refs(self) -> Iterator[str]:
        """All label files; as long as nobody says which images there are, those that lists name too."""
        yield from super().refs()
        yield from self._listed

    def image(self, ref: Ref) -> Image | None:
        key = self._listed.get(str(ref))
        return super().image(ref) if key is None else Image(key=key)

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = super().load(ref, image)
        split = imagesets.split_of(self._splits, str(ref)) if self._splits else None
        if sample is None:
            return Sample(image=image, split=split) if split is not None or ref in self._listed else None
        unlike = imagesets.unlike(self._flags, sample, str(ref)) if self._flags else None
        if unlike and isinstance(sample.origin, dict):
            sample = replace(sample, origin={**sample.origin, imagesets.UNLIKE: unlike})
        return sample if split is None else replace(sample, split=split)

    def parse(self, data: bytes, path: str, image: Image) -> Sample:
        try:
            mark, encoding, page = self._page(data)
        except ValueError as error:
            self._report(path, None, error)
            return Sample(image=image)
        try:
            stated = _stated(page.root)
        except ValueError as error:
            self._report(path, None, error)
            stated = (markup.text_of(page.root, "filename"), None, None)
        turned = is_stored(image, stated[1:])
        annotations, objects, pieces = self._objects(page, path, turned)
        origin: dict[str, Any] = {**home(path, image.key), "text": [mark + pieces[0], *pieces[1:]]}
        if encoding != "utf-8":
            origin["encoding"] = encoding
        here = described(image, stated, _extra(page.root, image.key))
        sample = Sample(image=here, annotations=tuple(annotations), origin=origin)
        usual = not mark and encoding == "utf-8" and not any(a.origin for a in annotations)
        if usual and here.key == image.key and not turned and _anew(sample, objects).encode() == page.xml:
            del origin["text"]
        return sample

    def _objects(
        self, page: markup.Page, path: str, turned: bool
    ) -> tuple[list[Annotation], list[str], list[str]]:
        """The annotations of a page, the text of each, and the pieces of text around these."""
        annotations: list[Annotation] = []
        objects: list[str] = []
        pieces: list[str] = []
        xml, start = page.xml, 0
        line = counted = 0

        def line_of(place: int) -> int:
            nonlocal line, counted
            line, counted = line + xml.count(b"\n", counted, place), place
            return line + 1

        for element, (begin, end) in zip(page.root, page.spans, strict=True):
            if element.tag != "object":
                continue
            try:
                annotation = _annotation(element, self.category)
            except ValueError as error:
                self._report(path, line_of(begin), error)
                continue
            if annotation.bbox is not None and (annotation.bbox[2] < 0 or annotation.bbox[3] < 0):
                self._report(path, line_of(begin), _inverted(annotation.bbox))
            text = xml[begin:end].decode()
            if turned or _object(annotation) != text:
                annotation = replace(annotation, origin=text)
            annotations.append(annotation)
            objects.append(text)
            pieces.append(xml[start:begin].decode())
            start = end
        pieces.append(xml[start:].decode())
        return annotations, objects, pieces

    def stated(self, data: bytes) -> Stated:
        try:
            return _stated(self._page(data)[2].root)
        except ValueError:
            return NOTHING

    def _page(self, data: bytes) -> tuple[str, str, markup.Page]:
        if self._last is None or self._last[0] != data:
            mark, text, encoding = markup.decoded(data)
            self._last = (data, mark, encoding, _annotated(text))
        return self._last[1:]

    def _report(self, path: str, line: int | None, error: ValueError) -> None:
        code, message = error.args
        self.problem(self.where(path, line), code, message)


def sniff(tree: "Tree") -> str | None:
    number, some = spread(tree.files, lambda path: has_ending(path, VocLabels.suffixes), 5)
    right = sum(_looks_right(peek(tree, path)) for path in some)
    return seen(number, ".xml", len(some), right, "<annotation>") if right else None


def read(tree: "Tree", variant: str | None = None) -> VocLabels:
    return VocLabels(tree)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    if dataset.origin is None or dataset.origin.format != NAME:
        yield from _write_anew(dataset)
        return
    places = Places(dataset.samples, ".xml", FOLDER)
    listed: list[tuple[str, Sample]] = []
    for sample in dataset.samples:
        path = places.of(sample)
        listed.append((path, sample))
        if sample.origin is not None or sample.annotations:
            text, encoding = _written(sample)
            yield path, [text.encode(encoding, "xmlcharrefreplace")]
    for path, text in _written_files(dataset, listed, dataset.origin):
        yield path, [text.encode()]


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    yield from missing(dataset, HOLDS | {"image extra"})
    for category in dataset.categories:
        if markup.said(category.name) != category.name:
            yield Loss(f"category {category.name}", "category extra")
    met: dict[str, None] = {}
    for sample in dataset.samples:
        key = sample.image.key
        if sample.split is not None and sample.split not in splits.NAMES:
            yield Loss(key, "split")
        if not all(_is_extra(name, value) for name, value in (sample.image.extra or {}).items()):
            yield Loss(key, "image extra")
        named = [a for a in sample.annotations if _is_written(a)]
        met |= dict.fromkeys(a.category.name for a in named if a.category is not None)
        attributes = sum(
            any(
                name in _OWN or not markup.is_said(name, value)
                for name, value in (a.attributes or {}).items()
            )
            for a in named
        )
        if attributes:
            yield Loss(key, "attributes", attributes)
        crooked = sum(isinstance(a.shape, OrientedBox) and _rotated(a.shape) is None for a in named)
        if crooked:
            yield Loss(key, "oriented_box", crooked)
    if dataset.origin is None or dataset.origin.format != NAME:
        listed = (category.name for category in dataset.categories if _is_listed(category.name))
        numbers = {name: number for number, name in enumerate(dict.fromkeys((*listed, *met)), 1)}
        yield from renumbered(dataset.categories, numbers)


# --- The whole set ------------------------------------------------------------------------------------------


def _described_files(tree: "Tree") -> tuple[dict[str, str], list[Problem]]:
    """The ImageSets and the label map as text."""
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for path in tree.files:
        if imagesets.is_list(path) or base(path) == LABELMAP:
            where = f"{tree.root.rstrip('/')}/{path}"
            try:
                files[path] = tree.read(path).decode()
            except InputError as error:
                problems.append(Problem(where, "unreadable", why(error, path)))
            except UnicodeDecodeError:
                message = "expected UTF-8, got other bytes; save the file as UTF-8. It is left out"
                problems.append(Problem(where, "bad-encoding", message))
    return files, problems


def _categories(files: Mapping[str, str]) -> list[Category]:
    """The classes of the label map, in its order."""
    text = next((text for path, text in files.items() if base(path) == LABELMAP), "")
    names = dict.fromkeys(name for line in text.split("\n") if (name := _mapped(line)))
    return [Category(id=number, name=name) for number, name in enumerate(names, 1)]


def _is_listed(name: str) -> bool:
    """Whether a label map can name a class."""
    return bool(name) and name == _mapped(name) == markup.said(name)


def _mapped(line: str) -> str:
    """The class that a line of a label map names."""
    return line.lstrip("\ufeff").split("#")[0].split(":")[0].strip()


def _write_anew(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The files of a set that came from elsewhere, while its samples are read."""
    places = Places((), ".xml", FOLDER)
    lists = imagesets.Lists()
    for sample in map(without_origin, dataset.samples):
        path = places.of(sample)
        lists.add(path, sample.split)
        text, encoding = _written(sample)
        yield path, [text.encode(encoding, "xmlcharrefreplace")]
    yield from lists.files()
    if dataset.categories:
        names = [category.name for category in dataset.categories]
        yield LABELMAP, [_labelmap("# label:color_rgb:parts:actions\n", names).encode()]


def _written_files(
    dataset: Dataset, listed: list[tuple[str, Sample]], origin: Origin
) -> Iterator[tuple[str, str]]:
    files = {path: text for path, text in (origin.files or {}).items() if is_inside(path)}
    strange = (origin.extra or {}).get("strange")
    gone = {
        prefix: [line for line in lines if isinstance(line, str)]
        for prefix, lines in (strange.items() if isinstance(strange, dict) else ())
        if isinstance(lines, list)
    }
    lists = {path: text for path, text in files.items() if imagesets.is_list(path)}
    yield from imagesets.written(lists, listed, gone)
    names = [category.name for category in dataset.categories]
    for path, text in files.items():
        if base(path) == LABELMAP:
            yield path, _labelmap(text, names)


def _labelmap(text: str, names: list[str]) -> str:
    """A label map with the lines for `names`, as they were where they were there."""
    old = text.split("\n")
    lines = [line for line in old if not _mapped(line) or _mapped(line) in names]
    there = {_mapped(line) for line in lines}
    new = [
        name for name in dict.fromkeys(map(markup.said, names)) if name == _mapped(name) and name not in there
    ]
    if lines == old and not new:
        return text
    while lines and not lines[-1].strip():
        lines.pop()
    return "".join(line + "\n" for line in (*lines, *(f"{name}:::" for name in new)))


def _looks_right(data: bytes) -> bool:
    if len(data) > 10_000_000 or b"<annotation" not in data[:4096].replace(b"\0", b""):
        return False
    try:
        root = _annotated(markup.decoded(data)[1]).root
    except ValueError:
        return False
    is_other = root.find("imagesize") is not None  # MIT's LabelMe has the same root
    return not is_other and any(root.find(tag) is not None for tag in ("object", "size", "filename"))


# --- Reading ------------------------------------------------------------------------------------------------


def _stated(root: Element) -> Stated:
    """Name and size; sizes of 0, as labelImg writes where it knows none, say nothing."""
    size = root.find("size")
    name = markup.text_of(root, "filename") or None
    if size is None:
        return name, None, None
    width, height = _side(size, "width"), _side(size, "height")
    return (name, width, height) if width and height else (name, None, None)


def _side(size: Element, tag: str) -> int | None:
    text = markup.text_of(size, tag)
    if not text:
        return None
    number = markup.number_of(text)
    if number is None or number < 0 or number != int(number):
        raise ValueError("bad-size", f"expected a {tag} in pixels, got {text[:40]!r}; correct the <size>")
    return int(number)


def _extra(root: Element, key: str) -> dict[str, Any]:
    """What the file says of its image besides name and size."""
    extra = markup.children(root, ("object", "filename", "size"))
    size = root.find("size")
    rest = markup.children(size, ("width", "height")) if size is not None else None
    if rest:
        extra["size"] = rest
    if "folder" in extra and extra["folder"] in _folders(key):
        del extra["folder"]
    return extra


def _folders(key: str) -> tuple[str, ...]:
    """What a file may call its image's folder."""
    folder = key.rpartition("/")[0]
    return base(folder), folder, ""


def _annotation(element: Element, category: Callable[[str], Category]) -> Annotation:
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


def _box(element: Element) -> tuple[tuple[Number, Number, Number, Number], dict[str, Any]]:
    xmin, ymin, xmax, ymax = _numbers(element, _CORNERS)
    rest = markup.children(element, _CORNERS) if len(element) > 4 or element.attrib else {}
    return (xmin, ymin, minus(xmax, xmin), minus(ymax, ymin)), rest


def _inverted(box: tuple[Number, Number, Number, Number]) -> ValueError:
    x, y, w, h = box
    stated = f"{x}, {y}, {add(x, w)}, {add(y, h)}"
    return ValueError(
        "inverted-box",
        f"expected xmin <= xmax and ymin <= ymax, got {stated}; it is kept as it is, swap the corners",
    )


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


# --- Writing ------------------------------------------------------------------------------------------------


def _written(sample: Sample) -> tuple[str, str]:
    """The text of a sample's file, and the encoding."""
    origin = sample.origin
    if isinstance(origin, dict):
        pieces, encoding = origin.get("text"), origin.get("encoding", "utf-8")
        if isinstance(pieces, list) and all(isinstance(piece, str) for piece in pieces) and pieces:
            try:
                if markup.is_text(encoding):
                    return _again(sample, pieces), encoding
            except ValueError:
                pass  # the origin is none of ours, or no longer: the file is written anew
    named = [a for a in sample.annotations if _is_written(a)]
    return _anew(sample, [_object(to_drawn(annotation, sample)) for annotation in named]), "utf-8"


def _again(sample: Sample, pieces: list[str]) -> str:
    """The file as it was read, with what has changed since."""
    named = [a for a in sample.annotations if _is_written(a)]
    objects = [a.origin if isinstance(a.origin, str) else _object(to_drawn(a, sample)) for a in named]
    text = _joined(pieces, objects)
    page = _annotated(text)
    said = [annotation for child in page.root if (annotation := _annotation_of(child)) is not None]
    if len(said) != len(named) or not all(
        _same(to_displayed(old, sample), new) for old, new in zip(said, named, strict=True)
    ):
        text = _joined(pieces, [_object_again(annotation, sample) for annotation in named])
        page = _annotated(text)
    old, head = _old_head(page.root, sample), _head(sample)
    new = {tag: value for tag, value in head.items() if tag in old or tag not in _NEED_NOT_BE}
    new |= {tag: value for tag, value in (sample.image.extra or {}).items() if old.get(tag) == value}
    if old == new:
        return text
    if not markup.same_tag(old, new):
        raise ValueError("the tag itself has changed")
    return text[: text.startswith("\ufeff")] + markup.edited(page, old, new)


def _annotated(text: str) -> markup.Page:
    page = markup.parse(text)
    if page.root.tag != "annotation":
        raise ValueError(
            "not-voc",
            f"expected an <annotation>, got <{page.root.tag[:40]}>; is this file a label file of VOC?",
        )
    return page


def _annotation_of(element: Element) -> Annotation | None:
    try:
        return _annotation(element, _nameless) if element.tag == "object" else None
    except ValueError:
        return None


def _nameless(name: str) -> Category:
    return Category(id=0, name=name)


def _same(old: Annotation, new: Annotation) -> bool:
    """Whether two annotations say the same in what VOC can say."""
    assert old.category is not None and new.category is not None
    return (
        old.bbox == new.bbox
        and old.category.name == new.category.name
        and (old.attributes == new.attributes or _fields(old) == _fields(new))
        and old.polygons == new.polygons
        and old.shape == new.shape
    )


def _object_again(annotation: Annotation, sample: Sample) -> str:
    own = to_drawn(annotation, sample)
    try:
        page = markup.parse(annotation.origin) if isinstance(annotation.origin, str) else None
        old = _annotation_of(page.root) if page is not None else None
        if page is not None and old is not None:
            if _same(to_displayed(old, sample), annotation):
                return str(annotation.origin)
            if markup.same_tag(_fields(old), _fields(own)):
                return markup.edited(page, _fields(old), _fields(own))
    except ValueError:
        pass  # an origin that is no object
    return _object(own)


def _joined(pieces: list[str], objects: list[str]) -> str:
    """Objects between the pieces of their file; more or fewer than there were get and leave no gaps."""
    first, last = pieces[0], pieces[-1]
    if len(objects) == len(pieces) - 1:
        return first + "".join(text + piece for text, piece in zip(objects, pieces[1:], strict=True))
    if len(pieces) == 1:
        return _inserted(first, objects)
    between = pieces[1:-1]
    if not objects:
        return first.rstrip() + "".join(piece.rstrip() for piece in between if piece.strip()) + last
    used = between[: len(objects) - 1]
    used += [first[len(first.rstrip()) :]] * (len(objects) - 1 - len(used))
    kept = "".join(piece.rstrip() for piece in between[len(objects) - 1 :] if piece.strip())
    return first + "".join(text + gap for text, gap in zip(objects, (*used, kept), strict=True)) + last


def _inserted(text: str, objects: list[str]) -> str:
    """A file without objects, with some."""
    page = _annotated(text)
    xml, at = page.xml, page.spans[-1][1] if page.spans else page.close
    if not xml.startswith(b"</", page.close):
        raise ValueError("an empty tag has no room for objects")
    gap, tail = (markup.gap_of(page), "") if page.spans else ("\n\t", "\n")
    added = "".join(gap + text for text in objects) + tail
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + xml[:at].decode() + added + xml[at:].decode()


def _anew(sample: Sample, objects: list[str]) -> str:
    """A file in the usual layout."""
    head = _head(sample)
    attributes = "".join(markup.attribute(key, value) for key, value in head.items() if key[0] == "@")
    lines = [markup.element(tag, value, "\n\t", "\t") for tag, value in head.items() if tag[0] != "@"]
    return "\n\t".join([f"<annotation{attributes}>", *lines, *objects]) + "\n</annotation>\n"


def _head(sample: Sample) -> dict[str, Any]:
    """What a file says of its image, as elements."""
    image = sample.image
    extra = {k: v for k, v in (image.extra or {}).items() if _is_extra(k, v)}
    folder = extra.pop("folder", base(image.key.rpartition("/")[0]))
    size = extra.pop("size", {})
    rest = size if isinstance(size, dict) else {}
    width, height = sample.drawn or (image.width, image.height)
    head: dict[str, Any] = {key: extra.pop(key) for key in list(extra) if key[0] == "@"}
    if folder:
        head["folder"] = folder
    head["filename"] = sample.named or base(image.key)
    head |= {tag: extra.pop(tag) for tag in _HEAD if tag in extra}
    if (width is not None and height is not None) or rest:
        stated = {} if width is None or height is None else {"width": width, "height": height}
        head["size"] = {**stated, **rest}
    return head | extra


def _is_extra(name: str, value: Any) -> bool:
    return name not in ("object", "filename") and markup.is_said(name, value)


def _old_head(root: Element, sample: Sample) -> dict[str, Any]:
    """What a file says of its image, in the words of `_head` where both mean the same."""
    image = sample.image
    head = markup.children(root, ("object", "size"))
    if "folder" in head and "folder" not in (image.extra or {}) and head["folder"] in _folders(image.key):
        head["folder"] = base(image.key.rpartition("/")[0])
        if not head["folder"]:
            del head["folder"]
    name = markup.text_of(root, "filename")
    if name is not None:
        same = not name or (sample.named is None and base(name) == base(image.key))
        head["filename"] = (sample.named or base(image.key)) if same else name
    size = root.find("size")
    if size is not None:
        rest = markup.children(size, ("width", "height"))
        try:
            _, width, height = _stated(root)
        except ValueError:
            width = height = None
        if width is None or height is None:
            width, height = sample.drawn or (image.width, image.height)  # it states none, and need not
        stated = {} if width is None or height is None else {"width": width, "height": height}
        if stated or rest:
            head["size"] = {**stated, **rest}
    return head


def _object(annotation: Annotation) -> str:
    return markup.element("object", _fields(annotation), "\n\t", "\t")


def _fields(annotation: Annotation) -> dict[str, Any]:
    """The children of an object, in their usual order."""
    assert annotation.category is not None
    rotated = _rotated(annotation.shape) if isinstance(annotation.shape, OrientedBox) else None
    bbox = annotation.bbox if annotation.bbox is not None or rotated is not None else _around(annotation)
    found: dict[str, Any] = {"name": markup.said(annotation.category.name)}
    if bbox is not None or rotated is not None:
        found |= _USUAL
    rest: Any = None
    for name, value in (annotation.attributes or {}).items():
        if name == "bndbox":
            rest = value
        elif name not in _OWN and (
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


def _around(annotation: Annotation) -> tuple[Number, Number, Number, Number] | None:
    """The box of what VOC has no word for; a line and a point have none."""
    if isinstance(annotation.shape, Polyline | Points):
        annotation = replace(annotation, shape=None)
    return bbox_of(annotation)


def _is_written(annotation: Annotation) -> bool:
    """Whether there is an object for an annotation: it has a name, and a box or nothing but the name."""
    if annotation.category is None:
        return False
    if annotation.bbox is not None or isinstance(annotation.shape, OrientedBox):
        return True
    others = (annotation.polygons, annotation.mask, annotation.keypoints, annotation.shape)
    if all(other is None for other in others):
        return annotation.caption is None
    return _around(annotation) is not None


def _points(part: tuple[Number, ...]) -> dict[str, Number]:
    return {f"{'xy'[index % 2]}{index // 2 + 1}": number for index, number in enumerate(part)}


def _rotated(box: OrientedBox) -> tuple[float, float, float, float, float] | None:
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
