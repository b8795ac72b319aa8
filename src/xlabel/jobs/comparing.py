"""What has changed between two states of a data set, image by image."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from xlabel.errors import CorruptError
from xlabel.formats.coco_json import BAD, beginning
from xlabel.formats.unified_lines import Lines
from xlabel.model import Annotation

KINDS = ("added", "changed", "removed", "renamed", "relabelled")


class Changed(msgspec.Struct):
    """The keys of the images that differ, by how: one of `KINDS`."""

    keys: dict[str, list[str]] = msgspec.field(default_factory=lambda: {kind: [] for kind in KINDS})
    """A renamed image is under its new key."""
    before: dict[str, str] = msgspec.field(default_factory=dict)
    """The old key of each renamed image."""

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind that occurs."""
        return {kind: len(keys) for kind, keys in self.keys.items() if keys}


def compared(old: Lines, new: Lines) -> Changed:
    """How the images of two annotation files differ, and their labels but for the ids that xlabel gave."""
    made = Changed()
    before = _by_key(old)
    left = dict(before)
    added: list[tuple[str, int, str | None]] = []
    for key, (at, digest) in _by_key(new).items():
        known = left.pop(key, None)
        if known is None:
            added.append((key, at, digest))
        elif known[1] != digest:
            made.keys["changed"].append(key)
        elif labels_differ(old, known[0], new, at):
            made.keys["relabelled"].append(key)
    gone: dict[str | None, list[str]] = {}
    for key, (_, digest) in left.items():
        gone.setdefault(digest, []).append(key)
    for key, _, digest in added:
        if digest is not None and gone.get(digest):
            made.before[key] = gone[digest].pop(0)
            made.keys["renamed"].append(key)
        else:
            made.keys["added"].append(key)
    made.keys["removed"] = sorted(key for keys in gone.values() for key in keys)
    return made


def labels_differ(old: Lines, at: int, new: Lines, there: int) -> bool:
    """Whether the labels of an image in one annotation file say something else than in another."""
    return _text(old, at) != _text(new, there) and _labels(old, at) != _labels(new, there)


def image_differs(old: Lines, at: int, new: Lines, there: int) -> bool:
    """Whether an image is another one in another annotation file: its key, its bytes or its labels."""
    return _known(old, at) != _known(new, there) or labels_differ(old, at, new, there)


class _Image(msgspec.Struct):
    file_name: str
    sha256: str | None = None


_image = msgspec.json.Decoder(_Image).decode


def _by_key(lines: Lines) -> dict[str, tuple[int, str | None]]:
    """Position and hash of each image by its key."""
    found = {}
    for at in range(len(lines)):
        key, digest = _known(lines, at)
        found[key] = at, digest
    return found


def _known(lines: Lines, at: int) -> tuple[str, str | None]:
    """Key and hash of an image."""
    record = lines.image(at)
    try:
        image = _image(record)
    except BAD as error:
        got = f"found {beginning(Raw(record))} ({error}); pack again"
        raise CorruptError(f"{lines.where}: expected the record of an image, {got}") from None
    seen = lines.seen(at)
    return image.file_name, seen.sha256 if seen else image.sha256


def _text(lines: Lines, at: int) -> tuple[bytes, bytes]:
    """The records themselves, which most often tell already that nothing differs."""
    return lines.image(at), lines.annotations(at)


def _labels(lines: Lines, at: int) -> object:
    """What the file says of an image's labels, equal for equal ones.

    Ids of categories are left out, since they follow from the order of names, and so is the text of the
    source, which has them too.
    """
    sample = lines.sample(at).sample
    return [_said(one) for one in sample.annotations], sample.split, sample.image.extra


def _said(annotation: Annotation) -> Annotation:
    category = annotation.category and replace(annotation.category, id=0)
    return replace(annotation, category=category, origin=None)
