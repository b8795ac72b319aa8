"""Extract: labels out of the images, into label files of any format."""

import os
import time
import warnings
from math import isfinite
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from xlabel import formats
from xlabel.errors import CorruptError, InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs.selection import Place, select
from xlabel.jobs.writing import write_labels
from xlabel.model import Annotation, Dataset, Image, Problem, Report, Sample
from xlabel.model.report import Progress, counted
from xlabel.stores.local import Folder, is_utf8, key_of, read_header

IFDS = {"Exif": 0x8769, "GPSInfo": 0x8825, "Interop": 0xA005}
"""The directories of EXIF besides the first, by Pillow's names."""
PASSED_OVER = frozenset("MakerNote UserComment ExifOffset GPSInfo ExifInteroperabilityOffset".split())
"""What is no word of the camera's that anybody else could read, and what may be our labels."""
OURS = (
    "Software ResolutionUnit XResolution YResolution YCbCrPositioning ExifVersion ComponentsConfiguration "
    "FlashPixVersion ColorSpace ExifImageWidth ExifImageHeight"
).split()
"""What xlabel writes into an image without EXIF, beside the labels: no camera said it."""
LONGEST = 1000
"""Characters or values of a field; more is data, such as a table of colours."""


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
    {'images': 24, 'annotations': 114, 'categories': 6}
    """
    began = time.perf_counter()
    formats.split_name(to)  # an unknown name is told before anything is read
    selected = select(images, pattern)
    report = Report(job="extract", problems=selected.problems)
    reader = EmbeddedLabels(Folder(selected.root))
    samples: list[Sample] = []
    unlabelled = 0
    root = os.fsencode(selected.root) + b"/"
    total = sum(selected.sizes)
    for name, size in zip(selected.keys.names(), selected.sizes, strict=True):
        sample = _sample(reader, root + name, key_of(name))
        if sample is None:
            unlabelled += 1
        else:
            samples.append(_with_camera(sample, root + name) if exif else sample)
        report.bytes += size
        if progress:
            progress(report.bytes, total)
    report.problems += reader.problems
    if not samples:
        raise InputError(
            f"{images}: expected labels inside the images, found none in "
            f"{counted(unlabelled, 'images')}; put some in with xlabel embed"
        )
    dataset = Dataset(samples=samples, categories=reader.categories, origin=reader.origin)
    report.done = dataset.counts()
    write_labels(dataset, Path(dest), report, to=to, on_loss=on_loss, overwrite=overwrite, dry_run=dry_run)
    if unlabelled:
        report.notes.append(f"{counted(unlabelled, 'images')} never labelled, left out")
    if dry_run:
        report.notes.append("nothing was written: --dry-run")
    report.problems.sort()
    report.bytes = 0  # the images' own; few of them were read
    report.seconds = time.perf_counter() - began
    return report


def labels(path: str | os.PathLike[str]) -> list[Annotation]:
    """The labels that one image file holds; [] where it was never labelled, and where it is a negative.

    Coordinates are as they were labelled, also where another tool has changed the picture since. Raises
    InputError where there is no such file, CorruptError where labels are there and none can be read.

    >>> xlabel.labels("images/a.jpg")[0].bbox
    (10, 20, 30, 40)
    """
    place = Path(path)
    if not place.is_file():
        raise InputError(
            f"{place}: expected an image file, found {'a folder' if place.is_dir() else 'nothing'}"
        )
    reader = EmbeddedLabels(Folder(place.parent))
    sample = _sample(reader, os.fsencode(place), key_of(os.fsencode(place.name)))
    if sample is None and reader.problems:
        raise CorruptError(str(reader.problems[0]))
    return [] if sample is None else list(sample.annotations)


def _sample(reader: EmbeddedLabels, path: bytes, key: str) -> Sample | None:
    """The labels inside an image or beside it; None where it has none, whatever it is."""
    header, _ = read_header(path)
    image = Image(key=key)
    if header is not None:
        width, height = header.displayed
        image = Image(key=key, width=width, height=height, orientation=header.orientation)
    try:
        if is_utf8(path):
            return reader.load(key, image)
        with open(path, "rb") as file:
            return reader.load_from(file.read(), image)
    except (InputError, OSError) as error:
        reader.problems.append(Problem(os.fsdecode(path), "unreadable", f"cannot be read: {error}"))
        return None


def _with_camera(sample: Sample, path: bytes) -> Sample:
    fields = camera(path)
    if not fields:
        return sample
    extra = {**(sample.image.extra or {}), "exif": fields}
    return replace(sample, image=replace(sample.image, extra=extra))


def camera(path: bytes) -> dict[str, Any]:
    """The EXIF fields of an image that have a name, as Pillow reads and names them; {} where there are none.

    Fractions are numbers, several values a list, bytes that are ASCII text.
    """
    from PIL import ExifTags, Image, UnidentifiedImageError

    fields: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF: what can be read is read
        try:
            with Image.open(os.fsdecode(path)) as picture:
                exif = picture.getexif()
                parts = [(dict(exif), ExifTags.TAGS)]
                for name, at in IFDS.items():
                    tags = ExifTags.GPSTAGS if name == "GPSInfo" else ExifTags.TAGS
                    parts.append((exif.get_ifd(at), tags))
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return {}
    for values, tags in parts:
        for tag, value in values.items():
            name = tags.get(tag, "")
            plain = _plain(value)
            if name and name not in PASSED_OVER and plain is not None:
                fields[name] = plain
    if fields.get("Software") == "xlabel":
        return {name: value for name, value in fields.items() if name not in OURS}
    return fields


def _plain(value: Any) -> Any:
    """A value of EXIF in JSON's words; None where it has none."""
    if isinstance(value, bytes):
        value = value.rstrip(b"\0").decode("ascii", "replace")
        if not value.isprintable() or "\ufffd" in value:
            return None
    if isinstance(value, str):
        text = value.replace("\0", " ").strip()
        return text if text and len(text) <= LONGEST else None
    if isinstance(value, tuple | list):
        values = [_plain(one) for one in value]
        return None if None in values or len(values) > LONGEST else values
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (int(number) if number.is_integer() else number) if isfinite(number) else None
