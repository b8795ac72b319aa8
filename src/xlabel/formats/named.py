"""Label files that say themselves which image they belong to: VOC's `filename`, LabelMe's `imagePath`.

An image's file is found by folder and stem, as everywhere. The name inside decides where two images share a
stem: `a.jpg` and `a.png` may have `a.xml` and `a.png.xml`, or one `a.xml` that names one of them.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats.labels import FileLabels, Ref, peek
from xlabel.formats.names import Seen
from xlabel.formats.pairing import LABEL_FOLDERS, Partners, are_partners, followed, stem
from xlabel.formats.untrusted import is_inside
from xlabel.model import Annotation, Image, Sample
from xlabel.model.geometry import turn, turn_back

Stated = tuple[str | None, int | None, int | None]
"""An image's name, width and height, as far as its label file states them."""

NOTHING: Stated = (None, None, None)


class NamedLabels(FileLabels):
    """A format derives from it and gives `suffixes`, `parse` and `stated`."""

    _twins: frozenset[str] = frozenset()

    @abstractmethod
    def stated(self, data: bytes) -> Stated:
        """What a file says of its image; `NOTHING` where it cannot be read. Lists no problems."""

    def bind(self, keys: Sequence[str]) -> None:
        super().bind(keys)
        self._twins = twins(keys)

    def find(self, key: str) -> str | None:
        path = self.pairing.find(key)
        if path is None or key not in self._twins:
            return path
        own = self.pairing.beside(path, base(key))
        if self._exists(own):
            return own
        name = base(self.stated(peek(self.tree, path))[0] or "")
        other = key[: len(key) - len(base(key))] + name
        same_file = stem(base(key)) in (stem(name), name)
        return None if other != key and same_file and other in self._twins else path

    def image(self, ref: Ref) -> Image | None:
        """The key is the file's path without the words for labels, with the suffix of the name inside."""
        path = str(ref)
        name, width, height = self.stated(peek(self.tree, path))
        folder, _, file = path.rpartition("/")
        parts = [part for part in folder.split("/") if part and part.lower() not in LABEL_FOLDERS]
        suffix = base(name)[len(stem(base(name))) :] if name else ""
        known = stem(file) if not suffix or stem(file).endswith(suffix) else stem(file) + suffix
        return Image(key="/".join([*parts, known]), width=width, height=height)

    def _exists(self, path: str) -> bool:
        try:
            self.tree.read(path)
        except FileNotFoundError:
            return False
        except InputError:
            pass  # there is one, and whoever loads it lists that it cannot be read
        return True


def described(image: Image, stated: Stated, extra: dict[str, Any] | None = None) -> Image:
    """An image as its label file has it: the name and the size that the file states, or the image's own."""
    name, width, height = stated
    key = image.key if name is None or base(name) == base(image.key) else name
    if width is None or height is None:
        width, height = image.width, image.height
    if key == image.key and width == image.width and height == image.height and not extra:
        return image
    return Image(
        key=key,
        width=width,
        height=height,
        orientation=image.orientation,
        id=image.id,
        extra={**(image.extra or {}), **extra} if extra else image.extra,
    )


def base(path: str) -> str:
    """The name of a file; labels written on Windows may have backslashes."""
    return path.replace("\\", "/").rpartition("/")[2]


def twins(keys: Iterable[str]) -> frozenset[str]:
    """Those of the sorted keys that could have one label file with another: `a.jpg`, `a.png`, `a.png.jpg`."""
    found: set[str] = set()
    above: list[tuple[str, str]] = []
    for key in keys:
        name = key[key.rfind("/") + 1 :]
        bare = key[: len(key) - len(name)] + stem(name)
        while above and not key.startswith(above[-1][0] + "."):
            above.pop()
        same = [other for start, other in above if bare in (start, other)]
        if same:
            found.update([key, *same])
        above.append((bare, key))
    return frozenset(found)


def to_displayed(annotation: Annotation, sample: Sample) -> Annotation:
    """An annotation as its label file has it, as it lies in the image as displayed."""
    if not sample.turned:
        return annotation
    assert sample.drawn is not None
    return turn(annotation, sample.image.orientation, *sample.drawn)


def to_drawn(annotation: Annotation, sample: Sample) -> Annotation:
    """The way back: an annotation as the label file of a sample has to say it."""
    if not sample.turned:
        return annotation
    assert sample.drawn is not None
    return turn_back(annotation, sample.image.orientation, *sample.drawn)


def without_origin(sample: Sample) -> Sample:
    """A sample of another format: what that one kept for itself means nothing here."""
    annotations = tuple(replace(a, origin=None) if a.origin is not None else a for a in sample.annotations)
    return replace(sample, annotations=annotations, origin=None, drawn=None, named=None)


def home(path: str, key: str) -> dict[str, str]:
    """What an origin keeps of a label file's place: its path, and its image's folder where that is another.

    By the latter it is told later whether the image still lies where it lay; see `home_of`.
    """
    images = folder_of(key)
    return {"path": path} if are_partners(images, folder_of(path)) else {"path": path, "of": images}


def home_of(sample: Sample, path: str | None) -> str | None:
    """The label file that a sample was read from, by the path in its origin.

    None where the image has been moved to another folder since: its labels go with it.
    """
    return path if path is not None and _before(sample, path) == folder_of(sample.image.key) else None


def stated_path(sample: Sample, suffix: str) -> str | None:
    """The path in a sample's origin, where it is one of a label file at all."""
    path = sample.origin.get("path") if isinstance(sample.origin, dict) else None
    return path if isinstance(path, str) and path.lower().endswith(suffix) and is_inside(path) else None


def learn(partners: Partners, sample: Sample, path: str | None) -> None:
    """Note which folder of labels goes with the folder that a sample's image lay in when it was read."""
    images = None if path is None else _before(sample, path)
    if path is not None and images is not None:
        partners.note(images, folder_of(path))


def new_home(sample: Sample, suffix: str, partners: Partners) -> str | None:
    """The folder for the labels of an image that is new or was moved; None where nothing tells."""
    images = folder_of(sample.image.key)
    folder = partners.of(images)
    path = stated_path(sample, suffix)
    return followed(folder_of(path), images) if folder is None and path is not None else folder


def folder_of(path: str) -> str:
    """The folder of a path, without slash at its end."""
    return path.rpartition("/")[0]


def _before(sample: Sample, path: str) -> str | None:
    """The folder that an image lay in when its label file was read; None where that was another one."""
    before = sample.origin.get("of") if isinstance(sample.origin, dict) else None
    if isinstance(before, str):
        return before
    images = folder_of(sample.image.key)
    return images if are_partners(images, folder_of(path)) else None


class Places:
    """Where label files go: to their old place, else beside those of the same folder; never two in one."""

    def __init__(self, samples: Iterable[Sample], suffix: str, folder: str) -> None:
        """`samples` are those that may have an old place; `folder` is for those that have no neighbours."""
        self._suffix = suffix
        self._folder = folder
        self._taken = Seen()
        self._partners = Partners()
        self._numbers: dict[str, int] = {}
        for sample in samples:
            learn(self._partners, sample, stated_path(sample, suffix))

    def of(self, sample: Sample) -> str:
        """A path for the sample's label file that no other sample has."""
        key, path = sample.image.key, home_of(sample, stated_path(sample, self._suffix))
        name = base(key)
        folder = folder_of(path) if path is not None else new_home(sample, self._suffix, self._partners)
        if folder is None:
            folder = folder_of(self._folder + key)
        start = folder + "/" if folder else ""
        choices = [start + stem(name) + self._suffix, start + name + self._suffix]
        if path is not None and stem(base(path)) in (stem(name), name):
            choices.insert(0, path)
        choices.append(self._folder + key + self._suffix)
        for choice in choices:
            if self._taken.add(choice):
                return choice
        number = self._numbers.get(key, 2)
        while not self._taken.add(choice := f"{self._folder}{key}.{number}{self._suffix}"):
            number += 1
        self._numbers[key] = number + 1
        return choice
