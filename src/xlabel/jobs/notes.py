"""What a report notes: worth knowing, and nothing wrong."""

from collections.abc import Iterable
from time import perf_counter

from xlabel.model import Report
from xlabel.model.dataset import Origin
from xlabel.model.report import counted, visible
from xlabel.stores.local import LABEL_SUFFIXES, Images

NAMED = 3
"""Of many keys, how many a note names."""


def finish(report: Report, began: float, *, dry_run: bool = False) -> None:
    """Put a report in order at the end of a job that began at `began` of `time.perf_counter`."""
    if dry_run:
        report.notes.append("nothing was written: --dry-run")
    report.problems.sort()
    report.seconds = perf_counter() - began


def note_unlabelled(report: Report, count: int) -> None:
    """Say how many images are negatives."""
    if count:
        report.notes.append(f"{counted(count, 'images')} without labels (negatives)")


def note_turned(report: Report, keys: list[str]) -> None:
    """Say which images have labels that were drawn without their EXIF orientation."""
    if keys:
        report.notes.append(
            f"{counted(len(keys), 'images')} with labels drawn on the stored matrix, now turned to the image "
            f"as displayed: {named(keys)}"
        )


def note_others(report: Report, images: Images, *, labelled: bool) -> None:
    """Say how many files of the images' folder are no images, and whether some are called like labels.

    `labelled`: labels were found elsewhere, so nobody looks for them there.
    """
    if not images.others:
        return
    what = "1 file that is no image" if images.others == 1 else f"{images.others:,} files that are no images"
    like = ""
    if images.texts and not labelled:
        some = "" if images.texts == images.others else f", of which {images.texts:,}"
        one = "is named like labels and is" if images.texts == 1 else "are named like labels and are"
        like = f"{some or ', which'} {one} in no format that xlabel reads"
    report.notes.append(f"not packed from {images.root}: {what}{like}")


def note_strangers(report: Report, images: Images, origin: Origin) -> None:
    """Say how many files beside the labels in the images' folder are neither images nor named like labels."""
    describing = sum(not path.lower().encode().endswith(LABEL_SUFFIXES) for path in origin.files or ())
    count = images.others - images.texts - describing
    if count > 0:
        what = "1 file that is no image" if count == 1 else f"{count:,} files that are no images"
        report.notes.append(f"not packed from {images.root}: {what}, beside those of labels")


def named(keys: list[str]) -> str:
    """The first few of many keys."""
    return ", ".join(map(visible, keys[:NAMED])) + (", ..." if len(keys) > NAMED else "")


def note_webdataset(keys: Iterable[str], report: Report) -> None:
    """Say which images of a .tar are no samples of their own to WebDataset (`base_plus_ext`).

    Its key is the path up to the first dot of the name: equal ones become one sample, what follows goes to
    the field's name, and names without stem or ending are passed over.
    """
    count = 0
    some: list[str] = []
    last: dict[str, tuple[str, str, bool]] = {}  # of each folder; equal stems follow each other in a sort
    for key in keys:
        folder, _, name = key.rpartition("/")
        stem, dot, ending = name.partition(".")
        odd = [key] if not stem or not dot or "." in ending else []
        if stem and dot:
            last_stem, last_key, listed = last.get(folder, ("", "", True))
            if stem == last_stem:
                odd = [key] if listed else [last_key, key]
            last[folder] = (stem, key, bool(odd))
        count += len(odd)
        if len(some) <= NAMED:
            some += odd
    if count:
        report.notes.append(
            f"WebDataset, whose keys end at the first dot of a name, joins, cuts or skips {count:,} of the "
            f"images: {named(some)}"
        )
