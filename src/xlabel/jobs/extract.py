"""Extract: labels out of the images, into label files of any format."""

import os
import time
from pathlib import Path

from msgspec.structs import replace

from xlabel import formats
from xlabel.errors import CorruptError, InputError
from xlabel.formats import embedded
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.images import embedding
from xlabel.jobs import notes
from xlabel.jobs.camera import camera
from xlabel.jobs.inside import sample_inside
from xlabel.jobs.selection import Place, select
from xlabel.jobs.writing import write_labels
from xlabel.model import Annotation, Dataset, Report, Sample
from xlabel.model import document as documents
from xlabel.model.report import Progress, counted
from xlabel.stores.local import Folder
from xlabel.stores.paths import key_of
from xlabel.stores.rewrite import look


def extract(
    images: Place,
    dest: str | os.PathLike[str],
    *,
    to: str,
    exif: bool = False,
    pattern: str | None = None,
    on_loss: str = "stop",
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the labels that image files hold to `dest` in the format `to`; gives a report.

    `images` is a folder, a file or a glob. Images that were never labelled are counted and left out; those
    labelled as negatives are written. `exif` adds what the camera said: columns `exif_Make` and the like in
    CSV, an object `exif` of the image elsewhere. Raises InputError where no image holds labels, LossError
    where `to` cannot hold everything, unless `on_loss` is "drop".

    >>> xlabel.extract("images", "labels.json", to="coco").done
    {'images': 1, 'annotations': 1, 'categories': 0}
    """
    began = time.perf_counter()
    base, _ = formats.split_name(to)  # an unknown name is told before anything is read
    if base == embedded.NAME:
        raise InputError(
            f"expected a format of label files, got {to!r}: the labels are in the images already"
        )
    selected = select(images, pattern)
    report = Report(job="extract", problems=selected.problems)
    reader = EmbeddedLabels(Folder(selected.root))
    samples: list[Sample] = []
    unlabelled, done, total = 0, 0, sum(selected.sizes)
    root = os.fsencode(selected.root) + b"/"
    for name, size in zip(selected.keys.names(), selected.sizes, strict=True):
        sample = sample_inside(reader, root + name, key_of(name))
        if sample is not None:
            samples.append(_with_camera(sample, root + name) if exif else sample)
        elif not reader.problems:
            unlabelled += 1
        report.problems += reader.problems
        reader.problems.clear()
        done += size
        if progress:
            progress(done, total)
    if not samples:
        first = f" ({report.problems[0].message})" if report.problems else ""
        raise InputError(
            f"{images}: expected labels inside the images, found none in "
            f"{counted(len(selected.keys), 'images')}{first}; put some in with xlabel embed"
        )
    dataset = Dataset(samples=samples, categories=reader.categories, origin=reader.origin)
    report.done = dataset.counts()
    write_labels(dataset, Path(dest), report, to=to, on_loss=on_loss, overwrite=overwrite, dry_run=dry_run)
    if unlabelled:
        report.notes.append(f"{counted(unlabelled, 'images')} never labelled, left out")
    notes.finish(report, began, dry_run=dry_run)
    return report


def labels(path: str | os.PathLike[str]) -> list[Annotation]:
    """The labels that one image file holds; [] where it was never labelled, and where it is a negative.

    Coordinates are as they were labelled, also where another tool has changed the picture since. Raises
    InputError where there is no such file, CorruptError where labels are there and none can be read.

    >>> xlabel.labels("images/a.jpg")[0].bbox
    (10, 20, 30, 40)
    """
    try:
        found = look(os.fsencode(path), embedding.get)
        if found.newest is not None and not found.faults():  # nearly always, and all that it takes
            return list(documents.sample(documents.decode(found.newest.document), "").annotations)
    except (OSError, ValueError):
        pass  # what is wrong is said below
    place = Path(path)
    if not place.is_file():
        raise InputError(
            f"{place}: expected an image file, found {'a folder' if place.is_dir() else 'nothing'}"
        )
    reader = EmbeddedLabels(Folder(place.parent))
    sample = sample_inside(reader, os.fsencode(place), key_of(os.fsencode(place.name)))
    if sample is None and reader.problems:
        raise CorruptError(str(reader.problems[0]))
    return [] if sample is None else list(sample.annotations)


def _with_camera(sample: Sample, path: bytes) -> Sample:
    fields = camera(path)
    if not fields:
        return sample
    extra = {**(sample.image.extra or {}), "exif": fields}
    return replace(sample, image=replace(sample.image, extra=extra))
