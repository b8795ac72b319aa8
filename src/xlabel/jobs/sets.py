"""What is validated: images with their labels, in files or in a bundle, or labels alone."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from xlabel import bundles
from xlabel.checks import Finding, finding
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels, document_in
from xlabel.formats.labels import DocumentLabels, FileLabels, Labels, Ref
from xlabel.images import Buffer
from xlabel.jobs import labels as labelling
from xlabel.jobs.binding import beside
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.labels import Found
from xlabel.jobs.numbered import Files, Frames
from xlabel.jobs.opening import open_bundle
from xlabel.jobs.selection import select
from xlabel.model import Image, Problem, Sample
from xlabel.model.document import Document
from xlabel.stores.local import Folder, Scan, scan
from xlabel.stores.paths import key_of

T = TypeVar("T")


class Set(Protocol):
    """Images by number, with their labels. One object belongs to one process."""

    def __len__(self) -> int: ...

    def key(self, number: int) -> str:
        """The key of an image."""

    def where(self, number: int) -> str:
        """What a person calls its file."""

    def opened(self, number: int) -> AbstractContextManager[Buffer]:
        """What gives the bytes of its file."""

    def held(self, number: int, data: Buffer) -> Document | None:
        """The document in its file, or beside it where it cannot hold one."""

    def sample(self, number: int, image: Image, data: Buffer) -> tuple[Sample, Ref | None]:
        """Its labels, and the record that holds them where that cannot be read."""

    def inside(self, image: Image, data: Buffer) -> Sample | None:
        """The labels in the file, where `sample` gives others."""

    def label_file(self, image: Image) -> str | None:
        """The file that the labels are in, where that is not the image's own."""

    def problems(self) -> list[Problem]:
        """What was wrong with the labels that were read since the last call."""


class Subject(NamedTuple):
    """What is validated."""

    where: str
    """What a person calls it."""
    images: Set | None
    """None where there are only labels."""
    found: Found | None
    """Label files; None in a bundle."""
    keys: Sequence[str] = ()
    whole: bool = False
    """Whether these are all images that the labels are about."""
    orphans: tuple[Finding, ...] = ()
    """Labels without image that are known beforehand."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    size: int = 0
    """Bytes of all images."""


def subject_of(place: str, labels: Path | None, name: str | None) -> Subject:
    """What is at a place: images, else a bundle, else labels; `name` is the format of the labels.

    Where `labels` are given they are those of images. InputError where it is none of these.
    """
    path = Path(place)
    if labels is not None:
        selected = select(place)
        return _of_files(selected, _found(selected, labels, name), whole=path.is_dir())
    if path.is_dir():
        selected = scan(path)
        if len(selected.keys):
            return _of_files(selected, _found(selected, None, name), whole=True)
        if any(entry.suffix[1:].lower() in bundles.KINDS for entry in path.iterdir()):
            return _of_bundle(open_bundle(path))
        return _of_labels(path, name)
    if path.suffix[1:].lower() in bundles.KINDS:
        return _of_bundle(open_bundle(path))
    if path.is_file() and not Folder(path).pictures:
        return _of_labels(path, name)
    selected = replace(select(place), others=1)  # the label file may lie beside the image
    return _of_files(selected, _found(selected, None, name), whole=False)


def _found(selected: Scan, labels: Path | None, name: str | None) -> Found:
    found = labelling.find(selected, labels, name)
    if found is None:
        raise InputError(f"{selected.root}: expected labels of the format {name}, found none")
    return found


def _of_bundle(bundle: Bundle) -> Subject:
    where = str(bundle.media)
    if bundle.video is not None:
        bundle.close()
        raise InputError(f"{where}: holds lossy video, no image files; unpack it, and validate what it gives")
    if not bundle.described:
        note = "no annotation file beside the bundle: only labels inside the images are looked at"
        return Subject(where, BundleSet(bundle), None, notes=(note,), size=bundle.size)
    read = bundle.unified
    orphans = tuple(
        finding("label-without-image", where, f"labels of {sample.image.key}", image=sample.image.key)
        for sample in read.unmatched
    )
    empty = tuple(
        finding("empty-file", where, f"{key_of(name)} has 0 bytes", image=key_of(name))
        for name in bundle.empty_names()
    )
    return Subject(
        where,
        BundleSet(bundle),
        None,
        orphans=(*orphans, *empty, *_mismatches(read.dataset.samples, where)),
        problems=tuple(read.problems),
        size=bundle.size,
    )


def _mismatches(samples: Sequence[Sample], where: str) -> Iterator[Finding]:
    """Samples of a bundle whose labels state another size than their image has."""
    for sample in samples:
        image = sample.image
        if sample.drawn is not None and image.width and not sample.turned:
            width, height = sample.drawn
            message = f"the labels say {width}x{height}, the image is {image.width}x{image.height}"
            yield finding("size-mismatch", where, message, image=image.key)


def _of_labels(path: Path, name: str | None) -> Subject:
    """Labels with the images that lie near them."""
    if not path.exists():
        raise InputError(f"{path}: expected images, labels or a bundle, found nothing there")
    labels, tree = labelling.given(path, name)
    near = labelling.images_near(path)
    if near is not None and len(near.keys):
        selected = scan(near.root)
        labels.bind(selected.keys)
        if any(labels.find(key) is not None for key in selected.keys):
            return _of_files(selected, Found(labels, tree.root, labelling.Layout(), str(path)), whole=True)
    if labels.needs_sizes:
        raise InputError(
            f"{path}: these labels are shares of their images, whose sizes are needed; none lie beside them, "
            "give the folder that holds both"
        )
    note = "no images lie beside the labels: only the labels are looked at"
    return Subject(tree.root, None, Found(labels, tree.root, labelling.Layout(), str(path)), notes=(note,))


def _of_files(selected: Scan, found: Found, whole: bool) -> Subject:
    labels = found.labels
    labels.bind(selected.keys)
    problems = (*selected.problems, *labels.problems)
    labels.problems.clear()
    notes: tuple[str, ...] = tuple(labels.notes)
    if not isinstance(labels, EmbeddedLabels):
        notes = (f"labels read as {labels.origin.format} from {found.place}", *notes)
    return Subject(
        selected.root,
        FileSet(selected, found),
        found,
        keys=selected.keys,
        whole=whole,
        problems=problems,
        notes=notes,
        size=sum(selected.sizes),
    )


class FileSet(Files):
    """Image files with the labels inside or beside them, or given."""

    def __init__(self, selected: Scan, found: Found) -> None:
        super().__init__(selected)
        self._labels = found.labels
        self._other = found.inside if isinstance(found.inside, EmbeddedLabels) else None

    def held(self, number: int, data: Buffer) -> Document | None:
        return document_in(data) or beside(self.path(number))

    def sample(self, number: int, image: Image, data: Buffer) -> tuple[Sample, Ref | None]:
        return labelling.load(self._labels, image, data)

    def inside(self, image: Image, data: Buffer) -> Sample | None:
        return self._other.load_from(data, image) if self._other else None

    def label_file(self, image: Image) -> str | None:
        return path_of(self._labels, image)

    def problems(self) -> list[Problem]:
        return [*_taken(self._labels), *(_taken(self._other) if self._other else ())]


class BundleSet(Frames):
    """The frames of a bundle with the labels of its annotation file, or those inside the images."""

    def held(self, number: int, data: Buffer) -> Document | None:
        return document_in(data)

    def sample(self, number: int, image: Image, data: Buffer) -> tuple[Sample, Ref | None]:
        if self._bundle.described:
            held = self._bundle[number]
            return replace(held, image=image) if image.width else held, None
        return labelling.load(self._inside, image, data)

    def inside(self, image: Image, data: Buffer) -> Sample | None:
        return self._inside.load_from(data, image) if self._bundle.described else None

    def label_file(self, image: Image) -> str | None:
        return None

    def problems(self) -> list[Problem]:
        return _taken(self._inside)


def path_of(labels: Labels, image: Image) -> str | None:
    """The path of the file that holds an image's labels; None where the image itself does."""
    ref = labels.find(image.key)
    if isinstance(labels, FileLabels):
        return None if ref is None else labels.where(str(ref))
    return labels.where if isinstance(labels, DocumentLabels) else None


def _taken(labels: Labels) -> list[Problem]:
    taken = labels.problems[:]
    labels.problems.clear()
    return taken
