"""Update: a pack brought up to date with its images and labels, at the cost of what has changed."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

from xlabel.bundles import mp4
from xlabel.errors import ExistsError, InputError
from xlabel.jobs import labels as labelling
from xlabel.jobs import twin
from xlabel.jobs.anew import anew
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.generations import (
    LOG,
    theirs,
)
from xlabel.jobs.growing import Growing
from xlabel.jobs.notes import named
from xlabel.jobs.opening import open_bundle, refuse_pushed
from xlabel.jobs.packing import How
from xlabel.jobs.seals import is_sealed_manifest
from xlabel.jobs.selection import wants_pixels
from xlabel.model import Report
from xlabel.model.manifest import Manifest
from xlabel.model.report import Progress, counted
from xlabel.stores.local import Scan, no_images, scan
from xlabel.stores.transaction import Transaction, told


def update(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] = "output",
    *,
    format: str | None = None,
    pattern: str | None = None,
    skip_missing_images: bool = False,
    fingerprint: str | None = None,
    verify: bool = False,
    message: str = "",
    overwrite: bool = False,
    parquet: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Bring the pack in `output` up to date with a folder of images and their labels; gives a report.

    New and changed images are appended to the media, removed ones are marked as deleted, renamed ones move no
    byte, and changed labels touch only the annotation file. Frames keep their numbers and places. Images are
    known to be unchanged by size, time and inode where they were seen before, else by content; `verify` looks
    at the content of all. `message` stands in the log of generations. `parquet` adds the twin that `pack`
    makes; one that is there is brought up to date. A .tar or .zip is written anew.

    Images that others have added, and that came with a pull or a push, stay as long as the folder never had
    them, unless `overwrite` is said.

    Raises InputError where there is no pack, or it cannot be updated; nothing was changed then.

    >>> report = xlabel.update("sample/raw_images", "sample/raw_labels", "output")
    >>> report.done["images"], report.exit_code
    (24, 0)
    """
    began = time.perf_counter()
    folder = Path(output)
    if parquet:
        twin.needed()
    scanned = scan(images, pattern)
    if not len(scanned.keys):
        raise InputError(no_images(scanned, pattern))
    found = labelling.find(scanned, Path(labels) if labels is not None else None, format)
    how = How(
        overwrite=True,
        skip_missing_images=skip_missing_images or pattern is not None,
        pixels=wants_pixels(fingerprint),
        workers=workers,
    )
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a pack to update, found nothing there; pack first")
    refuse_pushed(folder)
    with ExitStack() as leaving, told(folder):
        work = leaving.enter_context(Transaction(folder))  # before the pack is read: nobody changes it now
        bundle = leaving.enter_context(open_bundle(folder))
        manifest = _manifest(bundle)
        absent = {} if overwrite else _absent(bundle, manifest, scanned)
        if bundle.kind == mp4.NAME:
            job = Growing(bundle, scanned, found, how, work, leaving, verify, absent)
            report = job.run(message, progress)
        elif absent:
            raise ExistsError(
                f"{folder}: has {counted(len(absent), 'images')} that others have added and that "
                f"{scanned.root} never had, {named(sorted(absent.values()))}: a .{bundle.kind} would be "
                f"written anew without them; xlabel unpack {folder} gives them, --overwrite takes them out"
            )
        else:
            report = anew(bundle, scanned, found, how, work, message, progress)
    twin.renew(folder, report, wanted=parquet)
    report.seconds = time.perf_counter() - began
    return report


def _manifest(bundle: Bundle) -> Manifest:
    """The manifest of a pack that can be updated; InputError where it cannot."""
    manifest = bundle.manifest
    if not bundle.described or manifest is None or manifest.pack_id != bundle.pack_id:
        raise InputError(
            f"{bundle.media.parent}: expected a pack with manifest and annotation file, found not both; "
            "pack again"
        )
    if bundle.newest_is_later:
        raise InputError(
            f"{bundle.media}: is of a later generation than the files beside it; put those of the same "
            "generation back, or choose another --output"
        )
    manifest.refuse_fixed(str(bundle.media))
    if bundle.manifest_file is not None and not is_sealed_manifest(bundle.manifest_file, manifest):
        raise InputError(
            f"{bundle.manifest_file.path}: was edited since it was written, so it does not tell the frames; "
            "put back what was written, or pack anew"
        )
    return manifest


def _absent(bundle: Bundle, manifest: Manifest, images: Scan) -> dict[int, str]:
    """Keys, by frame number, of images that others have added, and that the folder never had."""
    unseen = theirs(bundle.media.parent / LOG, bundle.made)
    if not unseen:
        return {}
    there = set(images.keys)
    return {
        frame.index: frame.key for frame in manifest.live if frame.index in unseen and frame.key not in there
    }
