"""Labels inside the image files, as one more format: each image is its own label file.

Reading takes the newest whole copy of the document in an image; see docs/embedding_spec.md. Writing is
`xlabel embed`, since it needs the images: as a format of label files there is nothing to write.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from xlabel.errors import InputError
from xlabel.formats import foreign
from xlabel.formats.labels import Ref
from xlabel.formats.losses import FIELDS
from xlabel.images import Buffer, Carriers, Header, embedding, header, payload
from xlabel.images.embedding import Copy, Found
from xlabel.model import Annotation, Category, Dataset, Image, Loss, Problem, Sample
from xlabel.model import document as documents
from xlabel.model.dataset import Origin
from xlabel.model.document import Document
from xlabel.model.report import counted

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "embedded"
TITLE = "Labels inside the images (EXIF, XMP, comments)"
IMAGES = ""
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(FIELDS) - {"info"}

SIDECAR = ".xlabel"
"""What the name of an image ends with beside which its labels stand, where it cannot hold them."""
OTHERS = "written by others"
"""What the origin of a sample names whose labels are others' text in EXIF: coco, labelme or boxes."""
LOOKED = 300
"""So many images, from all over, tell whether images hold labels."""


def sniff(tree: "Tree") -> str | None:
    """How many images hold labels, of those that are looked at."""
    keys = tree.pictures
    some = _some(keys)
    labelled = sum(_holds(tree, key) for key in some)
    seen = f"{counted(len(keys), 'images')}, {labelled:,} of {len(some):,} with labels inside"
    return seen if labelled else None


def holds_some(tree: "Tree", keys: Sequence[str]) -> bool:
    """Whether any of the images that are looked at holds labels."""
    return any(_holds(tree, key) for key in _some(keys))


def read(tree: "Tree", variant: str | None = None) -> "EmbeddedLabels":
    return EmbeddedLabels(tree)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Nothing where the labels came out of the images, which hold them still; else InputError."""
    if dataset.origin is None or dataset.origin.format != NAME:
        raise InputError("labels go into images by `xlabel embed IMAGES LABELS`, not as files")
    return iter(())


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    return iter(())


def document_in(data: Buffer) -> Document | None:
    """The newest whole document in an image file; None where there is none that can be read."""
    try:
        newest = embedding.get(data).newest
        return documents.decode(newest.document) if newest else None
    except ValueError:
        return None


class EmbeddedLabels:
    """The labels of images, read when asked for."""

    needs_sizes = False

    def __init__(self, tree: "Tree") -> None:
        self.tree = tree
        self.origin = Origin(format=NAME)
        self.extra: dict[str, object] | None = None
        self.categories: list[Category] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._named: dict[tuple[str, str | None], Category] = {}
        self._ids: set[int] = set()

    def bind(self, keys: Sequence[str]) -> None:
        """Each image is its own record."""

    def find(self, key: str) -> str:
        return key

    def load(self, ref: Ref, image: Image) -> Sample | None:
        try:
            held = self.tree.look(str(ref), _held)
        except FileNotFoundError:
            return None
        except ValueError:  # no image, or one that cannot hold labels
            return self._beside(str(ref), image)
        return self._inside(held, image)

    def load_from(self, data: Buffer, image: Image) -> Sample | None:
        """The same out of the image's own bytes."""
        try:
            return self._inside(_held(data), image)
        except ValueError:
            return self._beside(image.key, image)

    def _inside(self, held: "_Held", image: Image) -> Sample | None:
        if held.found.copies:
            return self._sample(held.found, image)
        for text in held.texts:
            read = foreign.read(text, held.sized(image))
            if read is not None:
                kind, annotations = read
                joined = tuple(map(self._joined, annotations))
                return Sample(image=image, annotations=joined, origin={OTHERS: kind})
        return self._beside(image.key, image)

    def _beside(self, key: str, image: Image) -> Sample | None:
        """The labels in the file beside an image that cannot hold them, or not so many."""
        try:
            wrapped = payload.unwrap(self.tree.read(key + SIDECAR))
        except FileNotFoundError:
            return None
        except ValueError as error:
            where = f"{self.tree.root}/{key}{SIDECAR}"
            self.problems.append(Problem(where, "unreadable-labels", f"{error}; embed the labels again"))
            return None
        return self._sample(Found([Copy("sidecar", wrapped, None)], Carriers()), image)

    def refs(self) -> Iterator[str]:
        return iter(self.tree.pictures)

    def image(self, ref: Ref) -> Image:
        return Image(key=str(ref))

    def _sample(self, found: Found, image: Image) -> Sample | None:
        where = f"{self.tree.root}/{image.key}"
        newest = found.newest
        for fault in found.faults():
            code = "copies-disagree" if newest else "unreadable-labels"
            self.problems.append(Problem(where, code, f"{fault}; embed its labels again"))
        if newest is None:
            return None
        try:
            document = documents.decode(newest.document)
        except ValueError as error:
            self.problems.append(Problem(where, "unreadable-labels", f"{error}; embed its labels again"))
            return None
        sample = documents.sample(document, image.key)
        stated = sample.image
        if image.width is not None and _turn_of(stated) != _turn_of(image):
            self.problems.append(
                Problem(
                    where,
                    "stale-labels",
                    f"labelled at {_described(stated)}, the image is {_described(image)} now; "
                    "coordinates are kept as they are, see xlabel validate",
                )
            )
        merged = msgspec.structs.replace(
            stated,
            width=image.width or stated.width,
            height=image.height or stated.height,
            orientation=image.orientation if image.width else stated.orientation,
        )
        return msgspec.structs.replace(
            sample,
            image=merged,
            annotations=tuple(self._joined(annotation) for annotation in sample.annotations),
            origin={"revision": newest.revision, "time": newest.time, **documents.fingerprints(document)},
        )

    def _joined(self, annotation: Annotation) -> Annotation:
        """An annotation with the category that images share, known by its name."""
        category = annotation.category
        if category is None:
            return annotation
        key = category.name, category.supercategory
        known = self._named.get(key)
        if known is None:
            number = category.id if category.id not in self._ids else max(self._ids) + 1
            known = category if number == category.id else msgspec.structs.replace(category, id=number)
            self._named[key] = known
            self._ids.add(number)
            self.categories.append(known)
        return annotation if known is category else msgspec.structs.replace(annotation, category=known)


def _some(keys: Sequence[str]) -> list[str]:
    """A few hundred images from all over, or all where there are no more."""
    return [keys[at * len(keys) // LOOKED] for at in range(LOOKED)] if len(keys) > LOOKED else list(keys)


class _Held(NamedTuple):
    """What an image file holds of labels, and the texts in which others may have written some."""

    found: Found
    texts: list[str]
    header: Header | None

    def sized(self, image: Image) -> Image:
        """The image with its size, which texts of others may contradict."""
        if image.width is not None or self.header is None:
            return image
        width, height = self.header.displayed
        return msgspec.structs.replace(image, width=width, height=height, orientation=self.header.orientation)


def _held(data: Buffer) -> _Held:
    found = embedding.get(data)
    texts = [] if found.copies else embedding.others(data)
    return _Held(found, texts, header(data) if texts else None)


def _holds(tree: "Tree", key: str) -> bool:
    try:
        held = tree.look(key, _held)
        image = held.sized(Image(key=key))
        return bool(held.found.copies) or any(foreign.read(text, image) for text in held.texts)
    except (ValueError, FileNotFoundError, InputError):
        return False


def _turn_of(image: Image) -> tuple[int | None, int | None, int]:
    return image.width, image.height, image.orientation


def _described(image: Image) -> str:
    turned = f" (orientation {image.orientation})" if image.orientation != 1 else ""
    return f"{image.width}x{image.height}{turned}"
