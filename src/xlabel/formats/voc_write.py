"""Writing VOC: the text that was read with what has changed since, else a file in the usual layout."""

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from xlabel.formats import imagesets, markup, splits
from xlabel.formats.losses import missing, renumbered
from xlabel.formats.named import Places, base, to_displayed, to_drawn, without_origin
from xlabel.formats.untrusted import is_inside
from xlabel.formats.voc_labelmap import LABELMAP, can_name, is_labelmap, with_names
from xlabel.formats.voc_objects import (
    OWN_TAGS,
    annotation_of,
    bounds_of,
    fields_of,
    folders_of,
    object_text,
    page_of,
    robndbox_of,
    stated_of,
)
from xlabel.model import Annotation, Category, Dataset, Loss, OrientedBox, Sample
from xlabel.model.dataset import Origin

NAME = "voc"
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

_NEED_NOT_BE = ("folder", "filename", "size")
_HEAD = ("folder", "path", "source", "owner")


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
                name in OWN_TAGS or not markup.is_said(name, value)
                for name, value in (a.attributes or {}).items()
            )
            for a in named
        )
        if attributes:
            yield Loss(key, "attributes", attributes)
        crooked = sum(isinstance(a.shape, OrientedBox) and robndbox_of(a.shape) is None for a in named)
        if crooked:
            yield Loss(key, "oriented_box", crooked)
    if dataset.origin is None or dataset.origin.format != NAME:
        listed = (category.name for category in dataset.categories if can_name(category.name))
        numbers = {name: number for number, name in enumerate(dict.fromkeys((*listed, *met)), 1)}
        yield from renumbered(dataset.categories, numbers)


def text_anew(sample: Sample, objects: list[str]) -> str:
    """A file in the usual layout."""
    head = _head(sample)
    attributes = "".join(markup.attribute(key, value) for key, value in head.items() if key[0] == "@")
    lines = [markup.element(tag, value, "\n\t", "\t") for tag, value in head.items() if tag[0] != "@"]
    return "\n\t".join([f"<annotation{attributes}>", *lines, *objects]) + "\n</annotation>\n"


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
        yield LABELMAP, [with_names("# label:color_rgb:parts:actions\n", names).encode()]


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
        if is_labelmap(path):
            yield path, with_names(text, names)


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
    return text_anew(sample, [object_text(to_drawn(annotation, sample)) for annotation in named]), "utf-8"


def _again(sample: Sample, pieces: list[str]) -> str:
    """The file as it was read, with what has changed since."""
    named = [a for a in sample.annotations if _is_written(a)]
    objects = [a.origin if isinstance(a.origin, str) else object_text(to_drawn(a, sample)) for a in named]
    text = _joined(pieces, objects)
    page = page_of(text)
    said = [annotation for child in page.root if (annotation := _said_by(child)) is not None]
    if len(said) != len(named) or not all(
        _same(to_displayed(old, sample), new) for old, new in zip(said, named, strict=True)
    ):
        text = _joined(pieces, [_object_again(annotation, sample) for annotation in named])
        page = page_of(text)
    old, head = _old_head(page.root, sample), _head(sample)
    new = {tag: value for tag, value in head.items() if tag in old or tag not in _NEED_NOT_BE}
    new |= {tag: value for tag, value in (sample.image.extra or {}).items() if old.get(tag) == value}
    if old == new:
        return text
    if not markup.same_tag(old, new):
        raise ValueError("the tag itself has changed")
    return text[: text.startswith("\ufeff")] + markup.edited(page, old, new)


def _said_by(element: Element) -> Annotation | None:
    try:
        return annotation_of(element, _nameless) if element.tag == "object" else None
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
        and (old.attributes == new.attributes or fields_of(old) == fields_of(new))
        and old.polygons == new.polygons
        and old.shape == new.shape
    )


def _object_again(annotation: Annotation, sample: Sample) -> str:
    own = to_drawn(annotation, sample)
    try:
        page = markup.parse(annotation.origin) if isinstance(annotation.origin, str) else None
        old = _said_by(page.root) if page is not None else None
        if page is not None and old is not None:
            if _same(to_displayed(old, sample), annotation):
                return str(annotation.origin)
            if markup.same_tag(fields_of(old), fields_of(own)):
                return markup.edited(page, fields_of(old), fields_of(own))
    except ValueError:
        pass  # an origin that is no object
    return object_text(own)


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
    page = page_of(text)
    xml, at = page.xml, page.spans[-1][1] if page.spans else page.close
    if not xml.startswith(b"</", page.close):
        raise ValueError("an empty tag has no room for objects")
    gap, tail = (markup.gap_of(page), "") if page.spans else ("\n\t", "\n")
    added = "".join(gap + text for text in objects) + tail
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + xml[:at].decode() + added + xml[at:].decode()


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
    if "folder" in head and "folder" not in (image.extra or {}) and head["folder"] in folders_of(image.key):
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
            _, width, height = stated_of(root)
        except ValueError:
            width = height = None
        if width is None or height is None:
            width, height = sample.drawn or (image.width, image.height)  # it states none, and need not
        stated = {} if width is None or height is None else {"width": width, "height": height}
        if stated or rest:
            head["size"] = {**stated, **rest}
    return head


def _is_written(annotation: Annotation) -> bool:
    """Whether there is an object for an annotation: it has a name, and a box or nothing but the name."""
    if annotation.category is None:
        return False
    if annotation.bbox is not None or isinstance(annotation.shape, OrientedBox):
        return True
    others = (annotation.polygons, annotation.mask, annotation.keypoints, annotation.shape)
    if all(other is None for other in others):
        return annotation.caption is None
    return bounds_of(annotation) is not None
