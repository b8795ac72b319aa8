"""Labels of many images, found by image: the two shapes that label formats have.

`FileLabels` has one small file an image and reads it when asked, so that millions cost no memory;
`DocumentLabels` has all of them in one file, read at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

import msgspec

from xlabel.errors import InputError
from xlabel.formats.pairing import Pairing, has_ending, match_names
from xlabel.model import Annotation, Category, Image, Problem, Sample
from xlabel.model.dataset import Origin, is_stored
from xlabel.model.geometry import turn

if TYPE_CHECKING:
    from xlabel.formats import Tree

Ref = str | int
"""A record of labels: a path for `FileLabels`, a position for `DocumentLabels`."""


class Labels(Protocol):
    """What every reader gives. One object belongs to one process and reads one image at a time."""

    origin: Origin
    extra: dict[str, object] | None
    """Top-level fields of the source: `info`, `licenses`, ..."""
    categories: list[Category]
    """Grows while samples are read where the source names categories only as it goes."""
    problems: list[Problem]
    """What was wrong so far. The caller may take and clear it after each `load`."""
    notes: list[str]
    """Worth knowing, and nothing wrong."""
    needs_sizes: bool
    """Whether the labels mean nothing without the size of their image."""

    def bind(self, keys: Sequence[str]) -> None:
        """Say which images there are, before the first `find`. `keys` is sorted by UTF-8 bytes."""

    def find(self, key: str) -> Ref | None:
        """The record of an image. A path may turn out not to exist: then `load` gives None."""

    def load(self, ref: Ref, image: Image) -> Sample | None:
        """The labels in a record, as labels of this image (size and orientation as displayed)."""

    def refs(self) -> Iterable[Ref]:
        """All records in the source's order."""

    def image(self, ref: Ref) -> Image | None:
        """What the record itself knows of its image; width and height None where it states none."""


def peek(tree: "Tree", path: str) -> bytes:
    """A file's content, for finding out what it is; nothing where the system does not give it.

    Whoever reads its labels lists that; one such file among many does not keep the others from being read.
    """
    try:
        return tree.read(path)
    except (FileNotFoundError, InputError):
        return b""


class FileLabels(ABC):
    """One label file an image. A format derives from it and gives `suffixes` and `parse`."""

    suffixes: tuple[str, ...] = ()
    """Endings of label files, lower case and with dot; those of files may be in any case."""
    needs_sizes = False

    def __init__(self, tree: "Tree", origin: Origin, categories: list[Category] | None = None) -> None:
        self.tree = tree
        self.origin = origin
        self.extra: dict[str, object] | None = None
        self.categories = categories if categories is not None else []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.pairing = Pairing(self._files)
        for path, counts in self.pairing.passed_over.items():
            message = (
                f"expected one label file for an image, got {counts} too, which counts; remove one of the two"
            )
            self.problem(self.where(path), "labels-twice", message)
        self._named = {category.name: category for category in self.categories}

    @abstractmethod
    def parse(self, data: bytes, path: str, image: Image) -> Sample:
        """The labels in one file. `sample.image` has the size that the file states, or the image's own.

        What is wrong goes to `self.problems`, and the rest of the file is still read.
        """

    def category(self, name: str) -> Category:
        """The category of that name; a new one, numbered from 1, where the file is first to name it."""
        found = self._named.get(name)
        if found is None:
            found = Category(id=len(self.categories) + 1, name=name)
            self.categories.append(found)
            self._named[name] = found
        return found

    def problem(self, where: str, code: str, message: str) -> None:
        """List something that is wrong with a label file; `where` is its path, with `:line`."""
        self.problems.append(Problem(where, code, message))

    def where(self, path: str, line: int | None = None) -> str:
        """A label file's path as the user knows it."""
        place = f"{self.tree.root}/{path}"
        return place if line is None else f"{place}:{line}"

    def bind(self, keys: Sequence[str]) -> None:
        self.pairing.bind(keys)

    def find(self, key: str) -> str | None:
        return self.pairing.find(key)

    def load(self, ref: Ref, image: Image) -> Sample | None:
        path = str(ref)
        try:
            data = self.tree.read(path)
        except FileNotFoundError:
            return None
        return settle(self.parse(data, path, image), image, self.where(path), self.problems)

    def refs(self) -> Iterator[str]:
        return self._files()

    def _files(self) -> Iterator[str]:
        suffixes = self.suffixes
        return (path for path in self.tree.files if has_ending(path, suffixes) and self.is_label(path))

    def is_label(self, path: str) -> bool:
        """Whether a file with the right ending holds labels of an image (classes.txt does not)."""
        return True

    def image(self, ref: Ref) -> Image | None:
        return Image(key=str(PurePosixPath(str(ref)).with_suffix("")))


class DocumentLabels:
    """All labels in one document, already read into samples, in the document's order."""

    needs_sizes = False

    def __init__(
        self,
        where: str,
        samples: list[Sample],
        categories: list[Category],
        origin: Origin,
        extra: dict[str, object] | None = None,
        problems: list[Problem] | None = None,
    ) -> None:
        self.where = where
        self.samples = samples
        self.categories = categories
        self.origin = origin
        self.extra = extra
        self.problems = problems if problems is not None else []
        self.notes: list[str] = []
        self._refs: dict[str, int] = {}

    def bind(self, keys: Sequence[str]) -> None:
        names = [sample.image.key for sample in self.samples]
        self._refs, problems = match_names(names, keys, self.where)
        self.problems += problems

    def find(self, key: str) -> int | None:
        return self._refs.get(key)

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = self.samples[int(ref)]
        return settle(sample, image, f"{self.where}: {sample.image.key}", self.problems)

    def refs(self) -> range:
        return range(len(self.samples))

    def image(self, ref: Ref) -> Image | None:
        return self.samples[int(ref)].image


def settle(sample: Sample, image: Image, where: str, problems: list[Problem]) -> Sample:
    """A sample as its label file has it, made one of this image.

    A file that states the stored size with axes swapped (orientation 5 to 8) was drawn on the stored matrix:
    its geometry is turned to the displayed frame; a mask that cannot be is left out, and is a problem. Any
    other contradiction of sizes is a problem, and the coordinates pass unchanged. The stated size is kept in
    `Sample.drawn`, so that the file can be written again.
    """
    stated = sample.image
    same = stated.width == image.width and stated.height == image.height
    named = stated.key == image.key
    if same and named and stated.orientation == image.orientation:
        return sample
    merged = msgspec.structs.replace(
        stated, key=image.key, width=image.width, height=image.height, orientation=image.orientation
    )
    drawn = None if same or not stated.width or not stated.height else (stated.width, stated.height)
    annotations = sample.annotations
    if drawn and image.width and image.height:
        if is_stored(image, drawn):
            annotations = tuple(_turned(a, image.orientation, drawn, where, problems) for a in annotations)
        else:
            problems.append(
                Problem(
                    where,
                    "size-mismatch",
                    f"the labels say {drawn[0]}x{drawn[1]}, the image {image.key} is "
                    f"{image.width}x{image.height}; coordinates are kept as they are, check that they fit",
                )
            )
    return msgspec.structs.replace(
        sample,
        image=merged,
        annotations=annotations,
        drawn=drawn,
        named=None if named else stated.key,
    )


def _turned(
    annotation: Annotation, orientation: int, drawn: tuple[int, int], where: str, problems: list[Problem]
) -> Annotation:
    try:
        return turn(annotation, orientation, *drawn)
    except ValueError as error:
        message = f"a mask cannot be turned as the image is, and is left out: {error}; draw it again"
        problems.append(Problem(where, "not-turned", message))
        return turn(msgspec.structs.replace(annotation, mask=None), orientation, *drawn)
