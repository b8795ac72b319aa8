"""Sources of labels: images whose labels are known, by number, or an annotation file that describes them."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from xlabel import bundles
from xlabel.errors import InputError
from xlabel.formats import unified_reading
from xlabel.images import Buffer
from xlabel.jobs import labels as labelling
from xlabel.jobs.numbered import Files, Frames
from xlabel.jobs.opening import open_bundle
from xlabel.jobs.selection import Place, select
from xlabel.model import Image, Sample
from xlabel.model.manifest import ANNOTATIONS


class Source(Protocol):
    """Images with labels, by their number."""

    def __len__(self) -> int: ...

    def key(self, number: int) -> str:
        """The key of an image."""

    def opened(self, number: int) -> AbstractContextManager[Buffer]:
        """What gives the bytes of the image file; InputError where the source has none."""

    def sample(self, number: int, image: Image) -> Sample | None:
        """Its labels; None where nobody has labelled it, or where they cannot be read."""


def source_of(place: Path) -> Source:
    """What is at a place: a bundle, an annotation file or labelled images; InputError where none of these."""
    if not place.exists():
        raise InputError(f"{place}: expected a bundle, an annotation file or labelled images, found nothing")
    if place.is_file() and place.suffix.lower() == ".json":
        try:
            return BundleSource(open_bundle(place.parent, place))
        except InputError:
            return DescribedSource(place)
    if place.is_dir() and not (place / ANNOTATIONS).is_file():
        return FolderSource(place)
    if place.is_dir() or place.suffix[1:].lower() in bundles.KINDS:
        return BundleSource(open_bundle(place))
    return FolderSource(place)


class FolderSource(Files):
    """A folder of images, with labels inside or beside them."""

    def __init__(self, place: Place) -> None:
        super().__init__(select(place))
        found = labelling.find(self._selected, None, None)
        self._labels = [] if found is None else [held for held in (found.labels, found.inside) if held]
        for labels in self._labels:
            labels.bind(self._selected.keys)

    def sample(self, number: int, image: Image) -> Sample | None:
        for labels in self._labels:
            sample, _ = labelling.load(labels, image)
            stale = any(problem.code == "stale-labels" for problem in labels.problems)
            labels.problems.clear()
            if sample.origin is not None and not stale:
                return sample
        return None


class BundleSource(Frames):
    """The frames of a bundle, with the labels of its annotation file, or those inside the images."""

    def sample(self, number: int, image: Image) -> Sample | None:
        if self._bundle.described:
            sample = self._bundle[number]
            return sample if _is_labelled(sample) else None
        return self._inside.load_from(self._bundle.image_bytes(number), image)


class DescribedSource:
    """An annotation file without its bundle: labels, the SHA-256 of the images, and fingerprints of some."""

    def __init__(self, path: Path) -> None:
        read = unified_reading.read(path.read_bytes(), str(path))
        self._where = str(path)
        self._samples = read.dataset.samples
        self._frames = read.frames
        self._fingerprints = read.prints
        self.has_pixels = any("pixels" in prints for prints in read.prints)
        """Whether it has fingerprints of decoded pixels."""

    def __len__(self) -> int:
        return len(self._samples)

    def key(self, number: int) -> str:
        return self._samples[number].image.key

    def sha256(self, number: int) -> bytes:
        """The first half of an image's SHA-256; nothing where the file has none."""
        return bytes.fromhex(self._frames[number].sha256)[:16] if self._frames else b""

    def fingerprint(self, number: int, name: str) -> bytes:
        """The image's fingerprint stream, pixels or perceptual; nothing where the file has none."""
        return bytes.fromhex(self._fingerprints[number].get(name, ""))

    def labelled(self, number: int) -> bool:
        """Whether somebody has labelled an image."""
        return _is_labelled(self._samples[number])

    def opened(self, number: int) -> AbstractContextManager[Buffer]:
        raise InputError(f"{self._where}: has no images")

    def sample(self, number: int, image: Image) -> Sample | None:
        sample = self._samples[number]
        return sample if _is_labelled(sample) else None


def _is_labelled(sample: Sample) -> bool:
    """Whether somebody has looked at an image: a negative has no annotations, but a record."""
    return bool(sample.annotations) or sample.origin is not None
