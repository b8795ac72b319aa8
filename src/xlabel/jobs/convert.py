"""Convert: label files from one format to another; also reading and writing whole data sets."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast, overload

import msgspec

from xlabel import formats
from xlabel.errors import ExistsError, InputError
from xlabel.formats.labels import FileLabels, Labels
from xlabel.formats.losses import refuse
from xlabel.jobs import labels as labelling
from xlabel.model import Dataset, Image, Problem, Report, Sample
from xlabel.model.manifest import ANNOTATIONS
from xlabel.model.report import Progress
from xlabel.stores.extract import Extraction, put
from xlabel.stores.local import Images, Paths, find_images, key_of, read_header
from xlabel.stores.transaction import Transaction, told

IMAGE_FOLDERS = ("images", "JPEGImages", "raw_images", "imgs")


def convert(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    to: str,
    format: str | None = None,
    images: str | os.PathLike[str] | None = None,
    on_loss: str = "stop",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the labels in `source` to `dest` in the format `to`.

    Images are looked at only for their sizes, where the labels do not state them (YOLO): those in `images`,
    else those that lie inside or beside `source`. Raises LossError where `to` cannot hold everything, unless
    `on_loss` is "drop".

    >>> xlabel.convert("sample/raw_labels", "labels.json", to="coco").done["annotations"]
    114
    """
    began = time.perf_counter()
    base, variant = formats.split_name(to)
    target = Path(dest)
    reading = open_source(Path(source), format, Path(images) if images is not None else None)
    samples = Samples(reading, progress)
    dataset = Dataset(
        samples=cast(list[Sample], samples) if isinstance(reading.labels, FileLabels) else list(samples),
        categories=reading.labels.categories,
        extra=reading.labels.extra,
        origin=reading.labels.origin,
    )
    module = formats.get(base)
    report = Report(job="convert")
    report.losses = list(module.losses(dataset, variant))
    refuse(report.losses, to, on_loss)
    _write(target, module.write(dataset, variant), overwrite, report)
    report.problems = sorted({*report.problems, *samples.problems, *reading.problems})
    report.done = {
        "images": samples.images,
        "annotations": samples.annotations,
        "categories": len(dataset.categories),
    } | report.done
    report.notes += [f"labels read as {reading.labels.origin.format} from {source}", *reading.labels.notes]
    report.seconds = time.perf_counter() - began
    return report


def read(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Dataset:
    """All labels in a file or folder, of any format, as a data set.

    Raises InputError where nothing there is readable. Single records that are broken are left out; to have
    them listed, use `convert` or `pack`.

    >>> dataset = xlabel.read("sample/raw_labels")
    >>> dataset.counts()["annotations"]
    114
    """
    reading = open_source(Path(path), format, Path(images) if images is not None else None)
    samples = list(Samples(reading, None))
    labels = reading.labels
    return Dataset(samples=samples, categories=labels.categories, extra=labels.extra, origin=labels.origin)


def write(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    to: str,
    on_loss: str = "stop",
    overwrite: bool = False,
) -> Report:
    """Write a data set's labels to a file or folder in the format `to`; see `convert` for losses.

    >>> report = xlabel.write(dataset, "voc", to="voc", on_loss="drop")
    """
    began = time.perf_counter()
    base, variant = formats.split_name(to)
    module = formats.get(base)
    report = Report(job="write", losses=list(module.losses(dataset, variant)))
    refuse(report.losses, to, on_loss)
    _write(Path(path), module.write(dataset, variant), overwrite, report)
    report.done = dataset.counts() | report.done
    report.seconds = time.perf_counter() - began
    return report


class Reading(msgspec.Struct):
    """Labels that are open, and the images that they are about."""

    labels: Labels
    root: str
    keys: Paths | None
    """Keys of the images, where those have to be looked at."""
    images_root: str
    problems: list[Problem]


def open_source(source: Path, name: str | None, images: Path | None) -> Reading:
    """Open the labels in a file or folder, and find the images where their sizes are needed."""
    if source.is_dir() and (source / ANNOTATIONS).is_file() and name is None:
        source = source / ANNOTATIONS
    if not source.exists():
        raise InputError(f"{source}: expected a file or a folder of labels, found nothing there")
    labels, tree = labelling.given(source, name)
    problems: list[Problem] = []
    keys = None
    root = ""
    if images is not None or labels.needs_sizes:
        near = _images_near(source) if images is None else find_images(images)
        if near is None:
            raise InputError(
                f"{source}: these labels are shares of their images, whose sizes are needed; "
                "none lie beside them, say where they are with --images"
            )
        keys, root, problems = near.keys, near.root, near.problems
        labels.bind(keys)
    return Reading(labels, tree.root, keys, root, problems)


class Samples(Sequence[Sample]):
    """The samples of labels, read anew at each iteration, so that millions take no memory."""

    def __init__(self, reading: Reading, progress: Progress | None) -> None:
        self._reading = reading
        self._progress = progress
        self.images = 0
        self.annotations = 0
        self.problems: set[Problem] = set()

    def __iter__(self) -> Iterator[Sample]:
        reading = self._reading
        self.images = self.annotations = 0
        samples = _with_images(reading, self.problems) if reading.keys is not None else _alone(reading)
        for sample in samples:
            self.images += 1
            self.annotations += len(sample.annotations)
            if reading.labels.problems:
                self.problems.update(reading.labels.problems)
                reading.labels.problems.clear()
            if self._progress and self.images % 256 == 0:
                self._progress(self.images, len(reading.keys) if reading.keys else 0)
            yield sample
        self.problems.update(reading.labels.problems)
        reading.labels.problems.clear()

    def __len__(self) -> int:
        keys = self._reading.keys
        return len(keys) if keys is not None else sum(1 for _ in self._reading.labels.refs())

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return list(self)[index]


def _with_images(reading: Reading, problems: set[Problem]) -> Iterator[Sample]:
    assert reading.keys is not None
    used = 0
    for name in reading.keys.names():
        key = key_of(name)
        path = f"{reading.images_root}/{key}"
        header, why = read_header(os.fsencode(reading.images_root) + b"/" + name)
        if header is None:
            problems.add(Problem(path, "undecodable", f"{why}; its labels are left out"))
            continue
        width, height = header.displayed
        image = Image(key=key, width=width, height=height, orientation=header.orientation)
        sample, _ = labelling.load(reading.labels, image)
        used += sample.origin is not None
        yield sample
    left = labelling.unmatched(reading.labels, reading.keys, used)
    problems.update(labelling.without_image(reading.labels, reading.root, left, labelling.ADD_OR_REMOVE))


def _alone(reading: Reading) -> Iterator[Sample]:
    told = labelling.passed_over(reading.labels)
    for ref in reading.labels.refs():
        if ref in told:
            continue
        try:
            image = reading.labels.image(ref)
            sample = reading.labels.load(ref, image) if image is not None else None
        except InputError as error:
            reading.labels.problems.append(Problem(reading.root, "unreadable-labels", str(error)))
            continue
        if sample is not None:
            yield sample


def _images_near(source: Path) -> Images | None:
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


Files = Iterable[tuple[str, Iterable[bytes]]]


def _write(target: Path, files: Files, overwrite: bool, report: Report) -> None:
    """Write a format's files: below a folder, or where the target has a suffix the first one as it."""
    if target.suffix and not target.is_dir():
        _write_file(target, files, overwrite, report)
        return
    with Extraction(target, overwrite) as out:
        report.done["files"] = sum(put(out, name, chunks, report.problems) for name, chunks in files)
    report.files[str(target)] = out.written


BESIDE = ("categories.csv", "classes.csv")
"""What describes a single file of labels, and lies beside it."""


def _write_file(target: Path, files: Files, overwrite: bool, report: Report) -> None:
    names: list[str] = []
    with Transaction(target.parent) as work, told(target):
        for path, chunks in files:
            name = path if names else target.name
            if names and path not in BESIDE:
                raise InputError(f"{target}: this takes several files ({path} too); give a folder")
            if (target.parent / name).exists() and not overwrite:
                raise ExistsError(f"{target.parent / name}: exists already; say --overwrite to replace it")
            with open(work.staged(name), "wb") as out:
                out.writelines(chunks)
            names.append(name)
            report.files[str(target.parent / name)] = work.staged(name).stat().st_size
        if not names:
            raise InputError(f"{target}: there is nothing to write")
        work.commit(names)
