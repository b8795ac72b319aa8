"""Finding the labels that belong to a folder of images, and keeping in mind how the two lay."""

import base64
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from xlabel import formats
from xlabel.errors import InputError, why
from xlabel.formats import embedded
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.formats.labels import DocumentLabels, FileLabels, Labels, Ref
from xlabel.formats.names import spread
from xlabel.formats.pairing import LABEL_FOLDERS, has_ending
from xlabel.images import Buffer
from xlabel.jobs.opening import refuse_old_labels
from xlabel.model import Annotation, Image, Number, Problem, Report, Sample
from xlabel.model.geometry import bbox_of
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, PROBLEMS, TWIN
from xlabel.model.report import counted
from xlabel.stores.local import Folder, Images, find_images
from xlabel.stores.paths import Paths

COMPANIONS = tuple(
    "data.yaml data.yml dataset.yaml classes.txt obj.names obj.data labelmap.txt "
    "train.txt val.txt valid.txt test.txt".split()
)
"""Files beside a folder of labels that describe them."""
IMAGE_FOLDERS = ("images", "JPEGImages", "raw_images", "imgs")


SOME = 20
"""So many files are tried where no labels are found, to see whether they can be read."""

ADD_OR_SKIP = "add the image, remove the labels, or say --skip-missing-images"
ADD_OR_REMOVE = "add the image, or remove the labels"


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
    place: str = ""
    """What a person calls the folder or file that they were read from."""
    inside: Labels | None = None
    """Other labels, in the images' folder, that `labels` win over."""


def find(images: Images, labels: Path | None, name: str | None) -> Found | None:
    """The labels of images: those that are given, else those inside or beside their folder.

    `name` is a format's name; otherwise it is found out. Where there are no label files the images are asked
    for their own labels. Raises InputError where labels are given and none are found, or where several places
    hold some.
    """
    root = Path(images.root)
    without: list[tuple[Labels, Folder]] = []  # opened as the format asked for, of which there is no file
    if labels is not None:
        opened, tree = given(labels, name)
        inside = _also_inside(images, labels)
        return Found(opened, tree.root, layout(root, Path(tree.root)), str(labels), inside)
    if name == embedded.NAME:
        return Found(EmbeddedLabels(Folder(root)), images.root, Layout(), images.root)
    if images.others:
        tree = Folder(root, _is_no_pack)
        found = formats.open_labels(tree, name)
        if found is not None and not _some(found):
            without.append((found, tree))
        elif found is not None:
            inside = None if isinstance(found, EmbeddedLabels) else _embedded(images)
            return Found(found, images.root, Layout(), images.root, inside)
        images.problems += refused(tree)
    beside = {}
    for place, tree in _beside(root):
        found = formats.open_labels(tree, name)
        if found is not None and not _some(found):
            without.append((found, tree))
            continue
        closed = refused(tree) if found is None else []
        images.problems += closed
        if found is None and not closed and place.is_dir() and len(tree.files):
            message = "a folder of labels by its name, in no format that xlabel reads; mend it, or say --from"
            images.problems.append(Problem(str(place), "unknown-labels", message))
        if found is not None and _concern(found, tree, images.keys):
            found.problems += tree.problems
            beside[place] = Found(found, tree.root, layout(root, Path(tree.root)), str(place))
    if len(beside) > 1:
        raise InputError(
            f"{root}: labels in more than one place beside it: {', '.join(map(str, beside))}; "
            "give the right one as LABELS"
        )
    if beside:
        (one,) = beside.values()
        return msgspec.structs.replace(one, inside=_embedded(images))
    for found, tree in without:
        _refuse_others(found, tree)
    return None if name else Found(EmbeddedLabels(Folder(root)), images.root, Layout(), images.root)


def given(labels: Path, name: str | None) -> tuple[Labels, Folder]:
    """The labels in a file or folder, and the tree that they were read from; see `find`."""
    refuse_old_labels(labels)
    tree = _tree(labels)
    opened = formats.open_labels(tree, name)
    if opened is None:
        closed = refused(tree)
        raise InputError(
            f"{closed[0].where}: {closed[0].message}"
            if closed
            else f"{labels}: expected labels, found an empty folder"
            if not len(tree.files) + len(tree.pictures)
            else f"{labels}: expected labels, found no file of a known format "
            f"({', '.join(formats.table())}); say which with --from"
        )
    _refuse_others(opened, tree)
    opened.problems += tree.problems
    return opened, tree


def refused(tree: Folder) -> list[Problem]:
    """Those of a few files that end as label files do and that the system does not let read."""
    endings = tuple(suffix for row in formats.table().values() for suffix in row.suffixes)
    problems = []
    for path in spread(tree.files, lambda path: has_ending(path, endings), SOME)[1]:
        try:
            tree.read(path)
        except InputError as error:
            problems.append(Problem(os.path.join(tree.root, path), "unreadable-labels", why(error, path)))
        except FileNotFoundError:
            pass
    return problems


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


def inside_differs(sample: Sample, inside: Labels, data: Buffer | None = None) -> str | None:
    """How labels inside the images' folder, or inside the image with the bytes `data`, say something else."""
    other, _ = load(inside, sample.image, data)
    inside.problems.clear()  # of labels that are not taken
    difference = disagreement(sample, other) if other.origin is not None else None
    if not difference:
        return None
    place = "the image" if isinstance(inside, EmbeddedLabels) else "the images' folder"
    return f"its label file and the labels inside {place} differ: {difference}; the label file is taken"


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


def load(labels: Labels, image: Image, data: Buffer | None = None) -> tuple[Sample, Ref | None]:
    """The labels of an image, and the record that should hold them where that could not be read.

    Why it could not is in the problems of `labels`. `data` is the image file, for labels that are in it.
    """
    ref = labels.find(image.key)
    if ref is None:
        return Sample(image=image), None
    if labels.needs_sizes and image.width is None:
        message = "the size of its image cannot be read, so these labels mean nothing; kept as they are"
        labels.problems.append(Problem(_where(labels, ref), "unreadable-labels", message))
        return Sample(image=image), ref
    before = len(labels.problems)
    try:
        if data is not None and isinstance(labels, EmbeddedLabels):
            sample = labels.load_from(data, image)
        else:
            sample = labels.load(ref, image)
    except InputError as error:
        labels.problems.append(Problem(_where(labels, ref), "unreadable-labels", why(error, str(ref))))
        return Sample(image=image), ref
    if sample is None:
        return Sample(image=image), None
    broken = sample.origin is None and len(labels.problems) > before
    return sample, ref if broken else None


def leftovers(
    found: Found, keys: Sequence[str], used: int, unread: list[Ref], report: Report, *, wanted: bool
) -> dict[str, Any]:
    """What an annotation file says of where its labels came from, and of records that are no image's.

    Labels without image are problems of the report where all are `wanted`, else only counted. They are kept
    for the way back, and so are those that could not be read.
    """
    labels = found.labels
    orphans = list(unmatched(labels, keys, used))
    if wanted:
        report.problems += without_image(labels, found.root, orphans, ADD_OR_SKIP)
    elif orphans:
        report.notes.append(f"{counted(len(orphans), 'label records')} without an image, skipped")
    report.problems += labels.problems
    labels.problems.clear()
    report.notes[:0] = [f"labels read as {labels.origin.format} from {found.place}", *labels.notes]
    section: dict[str, Any] = {"origin": labels.origin, "layout": found.layout}
    for ref in (*orphans, *unread):
        if isinstance(labels, DocumentLabels):
            section.setdefault("unmatched", []).append(labels.samples[int(ref)])
        elif isinstance(labels, FileLabels):
            _keep(labels, str(ref), section)
    return section


def first_ids(labels: Labels | None) -> tuple[int, int]:
    """The ids to give to images and annotations that have none: above all that are taken."""
    if not isinstance(labels, DocumentLabels):
        return 1, 1
    image_ids = [s.image.id for s in labels.samples if isinstance(s.image.id, int)]
    annotation_ids = [a.id for s in labels.samples for a in s.annotations if isinstance(a.id, int)]
    return max(image_ids, default=0) + 1, max(annotation_ids, default=0) + 1


def unmatched(labels: Labels, keys: Sequence[str], used: int) -> Iterator[Ref]:
    """Records of labels that belong to none of the images. `used`: how many do, as counted on the way."""
    if isinstance(labels, DocumentLabels):
        wanted = set(map(labels.find, keys))
        yield from (ref for ref in labels.refs() if ref not in wanted)
        return
    if _one_suffix(keys) and sum(1 for _ in labels.refs()) == used:
        return
    import numpy as np

    found = np.unique(np.fromiter((hash(labels.find(key)) for key in keys), "i8", len(keys)))
    for ref in labels.refs():
        place = int(np.searchsorted(found, hash(ref)))
        if place == len(found) or int(found[place]) != hash(ref):
            yield ref


def without_image(labels: Labels, root: str, refs: Iterable[Ref], advice: str) -> Iterator[Problem]:
    """What is wrong with records of labels that belong to no image, but for those told of as doubled."""
    told = passed_over(labels)
    for ref in refs:
        if isinstance(ref, str):
            where, what = os.path.join(root, ref), "labels"
        else:
            image = labels.image(ref)
            where, what = getattr(labels, "where", root), f"labels of {image.key if image else ref!r}"
        if ref not in told:
            yield Problem(where, "label-without-image", f"{what} without an image; {advice}")


def passed_over(labels: Labels) -> Container[Ref]:
    """Label files in whose place another one counts, which has been told."""
    return labels.pairing.passed_over if isinstance(labels, FileLabels) else ()


def images_near(source: Path) -> Images | None:
    """The images that labels without sizes are about: in the same folder, or in one beside it."""
    here = source if source.is_dir() else source.parent
    inside = find_images(here)
    if len(inside.keys):
        return inside
    parts = here.resolve().parts
    swapped = [
        Path(*parts[:at], "images", *parts[at + 1 :])
        for at in range(len(parts) - 1, 0, -1)
        if parts[at].lower() == "labels"
    ]
    for folder in (*swapped, *(here.resolve().parent / name for name in IMAGE_FOLDERS)):
        if folder.is_dir():
            return find_images(folder)
    return None


def alone(labels: Labels, root: str) -> Iterator[Sample]:
    """All labels as their records have them, without a look at the images."""
    told = passed_over(labels)
    for ref in labels.refs():
        if ref in told:
            continue
        try:
            image = labels.image(ref)
            sample = labels.load(ref, image) if image is not None else None
        except InputError as error:
            labels.problems.append(Problem(root, "unreadable-labels", str(error)))
            continue
        if sample is not None:
            yield sample


def _keep(labels: FileLabels, path: str, section: dict[str, Any]) -> None:
    """Put a label file's content into an annotation file's section."""
    try:
        data = labels.tree.read(path)
    except (FileNotFoundError, InputError):
        return  # what cannot be read cannot be kept, and has been told
    try:
        section.setdefault("unmatched_files", {})[path] = data.decode()
    except UnicodeDecodeError:
        section.setdefault("unmatched_base64", {})[path] = base64.b64encode(data).decode("ascii")


def _where(labels: Labels, ref: Ref) -> str:
    if isinstance(labels, FileLabels):
        return labels.where(str(ref))
    image = labels.image(ref)
    return f"{getattr(labels, 'where', '')}: {image.key if image else ref}"


def _some(labels: Labels) -> bool:
    """Whether labels that are a file an image have any file."""
    return not isinstance(labels, FileLabels) or next(iter(labels.refs()), None) is not None


def _refuse_others(labels: Labels, tree: Folder) -> None:
    """InputError where a tree has label files, and none of them is of the format that it was opened as."""
    looks = None if _some(labels) else formats.detect(tree)
    if looks is None or looks in formats.INSIDE:
        return
    what, asked = formats.get(looks).sniff(tree), labels.origin.format
    with suppress(InputError):  # what leaves two readings is still of that format
        looks = formats.get(looks).read(tree).origin.format
    raise InputError(
        f"{tree.root}: expected labels as {asked}, found {what}, which look like {looks}; "
        f"leave --from {asked} out, or give the folder of the {asked} files"
    )


def _is_no_pack(path: str) -> bool:
    """Whether a file is none that packing writes: a pack may lie in the folder of its images."""
    return path.rpartition("/")[2] not in (ANNOTATIONS, MANIFEST, PROBLEMS, TWIN)


def _concern(labels: Labels, tree: Folder, keys: Paths) -> bool:
    """Whether labels are about any of the images; a file beside them may be about others."""
    labels.bind(keys)
    refs = (labels.find(key) for key in keys)
    return any(ref is not None and (not isinstance(ref, str) or ref in tree.files) for ref in refs)


def _also_inside(images: Images, labels: Path) -> Labels | None:
    """Labels in the images' folder, or in the images, besides those that were given."""
    root = Path(images.root).resolve()
    apart = not (labels.resolve().is_relative_to(root) or root.is_relative_to(labels.resolve()))
    if apart and images.others:
        try:
            opened = formats.open_labels(Folder(images.root, _is_no_pack))
        except InputError:
            return None  # nothing that could be compared
        if opened is not None:
            return opened
    return _embedded(images)


def _embedded(images: Images) -> Labels | None:
    """The labels in the images, where some of those that are looked at hold any."""
    folder = Folder(images.root)
    return EmbeddedLabels(folder) if embedded.holds_some(folder, images.keys) else None


def _gist(annotation: Annotation) -> tuple[str | None, tuple[Number, ...] | None]:
    return annotation.category.name if annotation.category else None, bbox_of(annotation)


def _near(box: tuple[Number, ...] | None, other: tuple[Number, ...] | None) -> bool:
    if box is None or other is None:
        return box == other
    return all(abs(a - b) <= 1 for a, b in zip(box, other, strict=True))


def _tree(labels: Path) -> Folder:
    """A label folder, or the one above where that holds what describes it; also by what describes it."""
    if labels.is_file() and labels.name in COMPANIONS:
        return Folder(labels.parent)
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
            elif above == here.parent and entry.is_file() and entry.suffix in (".json", ".csv", ".parquet"):
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
