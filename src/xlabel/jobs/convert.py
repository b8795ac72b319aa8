"""Convert: label files from one format to another; also reading and writing whole data sets."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast, overload

import msgspec

from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats import parquet
from xlabel.formats.labels import FileLabels, Labels
from xlabel.images import image_of
from xlabel.jobs import labels as labelling
from xlabel.jobs import twin
from xlabel.jobs.opening import refuse_old_labels
from xlabel.jobs.writing import write_labels
from xlabel.model import Dataset, Problem, Report, Sample
from xlabel.model.manifest import ANNOTATIONS
from xlabel.model.report import Progress
from xlabel.stores.local import find_images, read_header
from xlabel.stores.paths import Paths, key_of


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
    formats.split_name(to)  # an unknown name is told before anything is read
    report = Report(job="convert")
    pack = (
        _annotations(Path(source)) if formats.split_name(to)[0] == parquet.NAME and format is None else None
    )
    if pack is not None and twin.is_of_pack(pack):
        refuse_old_labels(pack)
        twin.write(pack, Path(dest), report, overwrite=overwrite)
        report.seconds = time.perf_counter() - began
        return report
    reading = open_source(Path(source), format, Path(images) if images is not None else None)
    samples = Samples(reading, progress)
    dataset = Dataset(
        samples=cast(list[Sample], samples) if isinstance(reading.labels, FileLabels) else list(samples),
        categories=reading.labels.categories,
        extra=reading.labels.extra,
        origin=reading.labels.origin,
    )
    write_labels(dataset, Path(dest), report, to=to, on_loss=on_loss, overwrite=overwrite)
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
    report = Report(job="write")
    write_labels(dataset, Path(path), report, to=to, on_loss=on_loss, overwrite=overwrite)
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
    if name is None:
        source = _annotations(source) or source
    if not source.exists():
        raise InputError(f"{source}: expected a file or a folder of labels, found nothing there")
    labels, tree = labelling.given(source, name)
    problems: list[Problem] = []
    keys = None
    root = ""
    if images is not None or labels.needs_sizes:
        near = labelling.images_near(source) if images is None else find_images(images)
        if near is None:
            raise InputError(
                f"{source}: these labels are shares of their images, whose sizes are needed; "
                "none lie beside them, say where they are with --images"
            )
        keys, root, problems = near.keys, near.root, near.problems
        labels.bind(keys)
    return Reading(labels, tree.root, keys, root, problems)


def _annotations(source: Path) -> Path | None:
    """The annotation file that a path names, or the folder of a pack has."""
    path = source / ANNOTATIONS if source.is_dir() else source
    return path if path.name == ANNOTATIONS and path.is_file() else None


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
        samples = (
            _with_images(reading, self.problems)
            if reading.keys is not None
            else labelling.alone(reading.labels, reading.root)
        )
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
        sample, _ = labelling.load(reading.labels, image_of(key, header))
        used += sample.origin is not None
        yield sample
    left = labelling.unmatched(reading.labels, reading.keys, used)
    problems.update(labelling.without_image(reading.labels, reading.root, left, labelling.ADD_OR_REMOVE))
