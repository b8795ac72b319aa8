"""Label files that say themselves which image they belong to: VOC's `filename`, LabelMe's `imagePath`.

An image's file is found by folder and stem, as everywhere. The name inside decides where two images share a
stem: `a.jpg` and `a.png` may have `a.xml` and `a.png.xml`, or one `a.xml` that names one of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from xlabel.formats.labels import FileLabels, Ref
from xlabel.formats.pairing import LABEL_FOLDERS, stem
from xlabel.model import Annotation, Image, Sample
from xlabel.model.geometry import turn, turn_back

Stated = tuple[str | None, int | None, int | None]
"""An image's name, width and height, as far as its label file states them."""

NOTHING: Stated = (None, None, None)


class NamedLabels(FileLabels):
    """A format derives from it and gives `suffixes`, `parse` and `stated`."""

    _twins: frozenset[str] = frozenset()

    def stated(self, data: bytes) -> Stated:
        """What a file says of its image; `NOTHING` where it cannot be read. Lists no problems."""
        raise NotImplementedError

    def bind(self, keys: Sequence[str]) -> None:
        super().bind(keys)
        self._twins = twins(keys)

    def find(self, key: str) -> str | None:
        path = self.pairing.find(key)
        if path is None or key not in self._twins:
            return path
        own = path[: path.rfind("/") + 1] + base(key) + path[path.rfind(".") :]
        if self._read(own) is not None:
            return own
        data = self._read(path)
        name = base(self.stated(data)[0] or "") if data is not None else ""
        other = key[: len(key) - len(base(key))] + name
        same_file = stem(base(key)) in (stem(name), name)
        return None if other != key and same_file and other in self._twins else path

    def image(self, ref: Ref) -> Image | None:
        """The key is the file's path without the words for labels, with the suffix of the name inside."""
        path = str(ref)
        data = self._read(path)
        name, width, height = self.stated(data) if data is not None else NOTHING
        folder, _, file = path.rpartition("/")
        parts = [part for part in folder.split("/") if part and part.lower() not in LABEL_FOLDERS]
        suffix = base(name)[len(stem(base(name))) :] if name else ""
        known = stem(file) if not suffix or stem(file).endswith(suffix) else stem(file) + suffix
        return Image(key="/".join([*parts, known]), width=width, height=height)

    def _read(self, path: str) -> bytes | None:
        try:
            return self.tree.read(path)
        except FileNotFoundError:
            return None


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


def is_turned(image: Image, stated: Stated) -> bool:
    """Whether labels with that stated size were drawn on the stored matrix; see `labels.settle`."""
    _, width, height = stated
    size = (image.height, image.width)
    return image.orientation >= 5 and size != size[::-1] and None not in size and (width, height) == size


def to_displayed(annotation: Annotation, sample: Sample) -> Annotation:
    """An annotation as its label file has it, as it lies in the image as displayed."""
    if not _was_turned(sample):
        return annotation
    assert sample.drawn is not None
    return turn(annotation, sample.image.orientation, *sample.drawn)


def to_drawn(annotation: Annotation, sample: Sample) -> Annotation:
    """The way back: an annotation as the label file of a sample has to say it."""
    if not _was_turned(sample):
        return annotation
    assert sample.drawn is not None
    return turn_back(annotation, sample.image.orientation, *sample.drawn)


def _was_turned(sample: Sample) -> bool:
    return sample.drawn is not None and is_turned(sample.image, (None, *sample.drawn))


def without_origin(sample: Sample) -> Sample:
    """A sample of another format: what that one kept for itself means nothing here."""
    annotations = tuple(replace(a, origin=None) if a.origin is not None else a for a in sample.annotations)
    return replace(sample, annotations=annotations, origin=None, drawn=None, named=None)


class Places:
    """Where label files go: to their old place, else beside those of the same folder; never two in one."""

    def __init__(self, samples: Iterable[Sample], suffix: str, folder: str) -> None:
        self._suffix = suffix
        self._folder = folder
        self._taken: set[str] = set()
        self._folders: dict[str, str] = {}
        for sample in samples:
            path = _path(sample, suffix)
            if path is not None:
                self._folders.setdefault(_parent(sample.image.key), _parent(path))

    def of(self, sample: Sample) -> str:
        """A path for the sample's label file that no other sample has."""
        key, path = sample.image.key, _path(sample, self._suffix)
        name = base(key)
        folder = _parent(path) if path is not None else self._folders.get(_parent(key))
        if folder is None:
            folder = _parent(self._folder + key)
        choices = [folder + stem(name) + self._suffix, folder + name + self._suffix]
        if path is not None and stem(base(path)) in (stem(name), name):
            choices.insert(0, path)
        choices.append(self._folder + key + self._suffix)
        free = next((choice for choice in choices if choice not in self._taken), None)
        number = 2
        while free is None:
            other = f"{self._folder}{key}.{number}{self._suffix}"
            free, number = other if other not in self._taken else None, number + 1
        self._taken.add(free)
        return free


def _path(sample: Sample, suffix: str) -> str | None:
    """The label file that a sample was read from, where its origin is to be trusted with that."""
    origin = sample.origin
    path = origin.get("path") if isinstance(origin, dict) else None
    return path if isinstance(path, str) and path.lower().endswith(suffix) and is_inside(path) else None


def is_inside(path: str) -> bool:
    """Whether a path names a file below the root; one in a bundle may have been written by anybody."""
    parts = path.split("/")
    return not ("\\" in path or "\0" in path or ":" in parts[0] or {"", ".", ".."} & set(parts))


def _parent(path: str) -> str:
    return path[: path.rfind("/") + 1]
