"""Finding the labels that belong to a folder of images, and keeping in mind how the two lay."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats.labels import DocumentLabels, Labels
from xlabel.formats.pairing import LABEL_FOLDERS
from xlabel.model import Annotation, Number, Problem, Sample
from xlabel.model.geometry import bbox_of
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, PROBLEMS
from xlabel.stores.local import Folder, Images, Paths

COMPANIONS = tuple(
    "data.yaml data.yml dataset.yaml classes.txt obj.names obj.data labelmap.txt "
    "train.txt val.txt valid.txt test.txt".split()
)
"""Files beside a folder of labels that describe them."""


class Layout(msgspec.Struct, frozen=True):
    """Where images and labels lay to each other; both are posix paths below one root, or empty for it."""

    images: str = ""
    labels: str = ""

    def image(self, name: bytes) -> bytes:
        """The path of an image by its name below the images' folder, as the file system has it."""
        return os.fsencode(self.images) + b"/" + name if self.images else name

    def label(self, path: str) -> str:
        """The path of a label file by its path below the labels' folder."""
        return f"{self.labels}/{path}" if self.labels else path


class Found(msgspec.Struct):
    """Labels that have been opened."""

    labels: Labels
    root: str
    layout: Layout
    inside: Labels | None = None
    """Other labels, in the images' folder, that `labels` win over."""


def find(images: Images, labels: Path | None, name: str | None) -> Found | None:
    """The labels of images: those that are given, else those inside or beside their folder.

    `name` is a format's name; otherwise it is found out. Raises InputError where labels are given and none
    are found, or where several places hold some.
    """
    root = Path(images.root)
    if labels is not None:
        opened, tree = given(labels, name)
        inside = _also_inside(root, labels) if images.others else None
        return Found(opened, tree.root, layout(root, Path(tree.root)), inside)
    if images.others and (found := formats.open_labels(Folder(root, _is_no_pack), name)) is not None:
        return Found(found, images.root, Layout())
    beside = {}
    for place, tree in _beside(root):
        found = formats.open_labels(tree, name)
        if found is not None and _concern(found, tree, images.keys):
            beside[place] = Found(found, tree.root, layout(root, Path(tree.root)))
    if len(beside) > 1:
        raise InputError(
            f"{root}: labels in more than one place beside it: {', '.join(map(str, beside))}; "
            "give the right one as LABELS"
        )
    return next(iter(beside.values()), None)


def given(labels: Path, name: str | None) -> tuple[Labels, Folder]:
    """The labels in a file or folder, and the tree that they were read from; see `find`."""
    tree = _tree(labels)
    opened = formats.open_labels(tree, name)
    if opened is None:
        raise InputError(
            f"{labels}: expected labels, found no file of a known format "
            f"({', '.join(formats.table())}); say which with --from"
        )
    return opened, tree


def disagreement(ours: Sample, theirs: Sample) -> str | None:
    """How two sources of labels for one image differ: in number, category, or by more than a pixel."""
    if len(ours.annotations) != len(theirs.annotations):
        return f"{len(ours.annotations)} labels against {len(theirs.annotations)}"
    left = [_gist(annotation) for annotation in theirs.annotations]
    for annotation in ours.annotations:
        name, box = _gist(annotation)
        match = next((other for other in left if other[0] == name and _near(other[1], box)), None)
        if match is None:
            place = f" at {', '.join(f'{number:g}' for number in box)}" if box else ""
            return f"no partner for {name}{place}"
        left.remove(match)
    return None


def layout(images: Path, labels: Path) -> Layout:
    """How the two lie to each other: one inside the other, or side by side under their own names."""
    image_root, label_root = images.resolve(), labels.resolve()
    if image_root.is_relative_to(label_root):
        return Layout(images=_posix(image_root.relative_to(label_root)))
    if label_root.is_relative_to(image_root):
        return Layout(labels=_posix(label_root.relative_to(image_root)))
    if image_root.name == label_root.name:
        return Layout(images="images", labels="labels")
    return Layout(images=image_root.name, labels=label_root.name)


def unmatched(labels: Labels, keys: Sequence[str], used: int) -> Iterator[str | int]:
    """Records of labels that belong to none of the images. `used`: how many do, as counted on the way."""
    if isinstance(labels, DocumentLabels):
        wanted = set(map(labels.find, keys))
        yield from (ref for ref in labels.refs() if ref not in wanted)
        return
    if _one_suffix(keys) and sum(1 for _ in labels.refs()) == used:
        return
    found = {hash(ref) for key in keys if (ref := labels.find(key)) is not None}
    yield from (ref for ref in labels.refs() if hash(ref) not in found)


def orphan(labels: Labels, root: str, ref: str | int) -> Problem:
    """What is wrong with a record of labels that belongs to no image."""
    if isinstance(ref, str):
        where, what = os.path.join(root, ref), "labels"
    else:
        image = labels.image(ref)
        where, what = getattr(labels, "where", root), f"labels of {image.key if image else ref!r}"
    return Problem(
        where,
        "label-without-image",
        f"{what} without an image; add the image, remove the labels, or say --skip-missing-images",
    )


def _is_no_pack(path: str) -> bool:
    """Whether a file is none that packing writes: a pack may lie in the folder of its images."""
    return path.rpartition("/")[2] not in (ANNOTATIONS, MANIFEST, PROBLEMS)


def _concern(labels: Labels, tree: Folder, keys: Paths) -> bool:
    """Whether labels are about any of the images; a file beside them may be about others."""
    labels.bind(keys)
    refs = (labels.find(key) for key in keys)
    return any(ref is not None and (not isinstance(ref, str) or ref in tree.files) for ref in refs)


def _also_inside(images: Path, labels: Path) -> Labels | None:
    """Labels in the images' folder besides those that were given."""
    if labels.resolve().is_relative_to(images.resolve()) or images.resolve().is_relative_to(labels.resolve()):
        return None
    try:
        return formats.open_labels(Folder(images, _is_no_pack))
    except InputError:
        return None  # nothing that could be compared


def _gist(annotation: Annotation) -> tuple[str | None, tuple[Number, ...] | None]:
    return annotation.category.name if annotation.category else None, bbox_of(annotation)


def _near(box: tuple[Number, ...] | None, other: tuple[Number, ...] | None) -> bool:
    if box is None or other is None:
        return box == other
    return all(abs(a - b) <= 1 for a, b in zip(box, other, strict=True))


def is_turned(sample: Sample) -> bool:
    """Whether labels were drawn on the stored matrix, and are turned to what is displayed; see `settle`."""
    image = sample.image
    return image.orientation >= 5 and sample.drawn is not None and sample.drawn == (image.height, image.width)


def _tree(labels: Path) -> Folder:
    """A label folder, or the one above where that holds what describes it."""
    if labels.is_dir() and not any((labels / name).exists() for name in COMPANIONS):
        above = labels.resolve().parent
        if any((above / name).is_file() for name in COMPANIONS) or (above / "ImageSets").is_dir():
            return Folder(
                labels.parent if labels.name not in ("", "..") else above, _only(labels.resolve().name)
            )
    return Folder(labels)


def _only(folder: str) -> Callable[[str], bool]:
    def wanted(path: str) -> bool:
        top, slash, _ = path.partition("/")
        return top in (folder, "ImageSets") if slash else top in COMPANIONS

    return wanted


def _beside(images: Path) -> Iterator[tuple[Path, Folder]]:
    """Places where labels usually lie: `labels` or `Annotations` beside any part of the images' path."""
    here = images.resolve()
    for above in (here.parent, here.parent.parent):
        if here.name.lower() in LABEL_FOLDERS or above == above.parent:
            return
        for entry in sorted(above.iterdir()) if os.access(above, os.R_OK) else []:
            if entry == here:
                continue
            if entry.is_dir() and entry.name.lower() in LABEL_FOLDERS:
                below = here.relative_to(above).parts[1:]
                yield entry, _tree(entry if not (entry / Path(*below)).is_dir() else entry / Path(*below))
            elif above == here.parent and entry.is_file() and entry.suffix in (".json", ".csv"):
                yield entry, Folder(entry, _is_no_pack)
        if here.parent.name.lower() not in ("images", "jpegimages", "raw_images"):
            return


def _one_suffix(keys: Sequence[str]) -> bool:
    """Whether no two images of a folder can share a stem, because all have the same ending."""
    endings: set[str] = set()
    for key in keys:
        endings.add(key[key.rfind(".") :])
        if len(endings) > 1:
            return False
    return True


def _posix(path: Path) -> str:
    return "" if path == Path() else path.as_posix()
