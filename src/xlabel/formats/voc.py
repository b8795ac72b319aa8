"""Pascal VOC: an XML file an image. VOC2012 development kit, annex A; labelImg and roLabelImg as they write.

A file that was read is kept as its text: the sample's origin has the pieces around the objects, an
annotation's origin has its object. What would be written anew with the same text is not kept.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from msgspec.structs import replace

from xlabel.errors import InputError, why
from xlabel.formats import imagesets, markup
from xlabel.formats.exact import add
from xlabel.formats.labels import Ref, peek
from xlabel.formats.named import NOTHING, NamedLabels, Stated, described, home
from xlabel.formats.names import seen, spread
from xlabel.formats.pairing import has_ending
from xlabel.formats.untrusted import is_inside
from xlabel.formats.voc_labelmap import categories_of, is_labelmap
from xlabel.formats.voc_objects import annotation_of, folders_of, object_text, page_of, stated_of
from xlabel.formats.voc_write import FOLDER, HOLDS, NAME, VARIANTS, losses, text_anew, write
from xlabel.model import Annotation, Image, Number, Problem, Sample
from xlabel.model.dataset import Origin, is_stored

if TYPE_CHECKING:
    from xlabel.formats import Tree

__all__ = ["HOLDS", "IMAGES", "NAME", "TITLE", "VARIANTS", "VocLabels", "losses", "read", "sniff", "write"]

TITLE = "Pascal VOC XML"
IMAGES = "JPEGImages"


class VocLabels(NamedLabels):
    """One XML file an image, and ImageSets for the splits."""

    suffixes = (".xml",)

    def __init__(self, tree: "Tree") -> None:
        files, problems = _described_files(tree)
        super().__init__(tree, Origin(format=NAME, files=files or None), categories_of(files))
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
            stated = stated_of(page.root)
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
        if usual and here.key == image.key and not turned and text_anew(sample, objects).encode() == page.xml:
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
                annotation = annotation_of(element, self.category)
            except ValueError as error:
                self._report(path, line_of(begin), error)
                continue
            if annotation.bbox is not None and (annotation.bbox[2] < 0 or annotation.bbox[3] < 0):
                self._report(path, line_of(begin), _inverted(annotation.bbox))
            text = xml[begin:end].decode()
            if turned or object_text(annotation) != text:
                annotation = replace(annotation, origin=text)
            annotations.append(annotation)
            objects.append(text)
            pieces.append(xml[start:begin].decode())
            start = end
        pieces.append(xml[start:].decode())
        return annotations, objects, pieces

    def stated(self, data: bytes) -> Stated:
        try:
            return stated_of(self._page(data)[2].root)
        except ValueError:
            return NOTHING

    def _page(self, data: bytes) -> tuple[str, str, markup.Page]:
        if self._last is None or self._last[0] != data:
            mark, text, encoding = markup.decoded(data)
            self._last = (data, mark, encoding, page_of(text))
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


def _described_files(tree: "Tree") -> tuple[dict[str, str], list[Problem]]:
    """The ImageSets and the label map as text."""
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for path in tree.files:
        if imagesets.is_list(path) or is_labelmap(path):
            where = f"{tree.root.rstrip('/')}/{path}"
            try:
                files[path] = tree.read(path).decode()
            except InputError as error:
                problems.append(Problem(where, "unreadable", why(error, path)))
            except UnicodeDecodeError:
                message = "expected UTF-8, got other bytes; save the file as UTF-8. It is left out"
                problems.append(Problem(where, "bad-encoding", message))
    return files, problems


def _looks_right(data: bytes) -> bool:
    if len(data) > 10_000_000 or b"<annotation" not in data[:4096].replace(b"\0", b""):
        return False
    try:
        root = page_of(markup.decoded(data)[1]).root
    except ValueError:
        return False
    is_other = root.find("imagesize") is not None  # MIT's LabelMe has the same root
    return not is_other and any(root.find(tag) is not None for tag in ("object", "size", "filename"))


def _extra(root: Element, key: str) -> dict[str, Any]:
    """What the file says of its image besides name and size."""
    extra = markup.children(root, ("object", "filename", "size"))
    size = root.find("size")
    rest = markup.children(size, ("width", "height")) if size is not None else None
    if rest:
        extra["size"] = rest
    if "folder" in extra and extra["folder"] in folders_of(key):
        del extra["folder"]
    return extra


def _inverted(box: tuple[Number, Number, Number, Number]) -> ValueError:
    x, y, w, h = box
    stated = f"{x}, {y}, {add(x, w)}, {add(y, h)}"
    return ValueError(
        "inverted-box",
        f"expected xmin <= xmax and ymin <= ymax, got {stated}; it is kept as it is, swap the corners",
    )
