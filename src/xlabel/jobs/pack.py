"""Pack: a folder of images and their labels become a media bundle, a manifest and one annotation file."""

import os
import re
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from xlabel import bundles
from xlabel.errors import ExistsError, InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import frames, notes, workers
from xlabel.jobs import labels as labelling
from xlabel.jobs.assembly import Assembly, Names, fps_number
from xlabel.jobs.labels import Found
from xlabel.model import Problem, Report
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, MEDIA, PROBLEMS, VERSION, empty_fields
from xlabel.model.report import counted
from xlabel.stores.local import Scan, scan
from xlabel.stores.transaction import Transaction, told

FPS = 10

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) now and then."""


def pack(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] = "output",
    *,
    media: str = MEDIA,
    format: str | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    skip_missing_images: bool = False,
    fps: float = FPS,
    plain: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack a folder of images and their labels into `output`; gives a report.

    Writes the bundle `media` (its suffix picks mp4, tar or zip), `frame_manifest.json` and
    `unified_annotation.json`; `problems.json` too where there are any. Frames are in the bytewise order of
    their keys. Labels are those in `labels`, else those inside or beside the images; `format` names their
    format, which is found out otherwise. `plain` leaves out the ZIP face of an .mp4 and stores equal files
    once. The three files are replaced as one, or not at all.

    Raises InputError where nothing was changed: a missing folder, no images, an output that exists.

    >>> report = xlabel.pack("sample/raw_images", "sample/raw_labels", "output")
    >>> report.done["images"], report.exit_code
    (24, 0)
    """
    found_images = scan(images, pattern)
    if not len(found_images.keys):
        raise InputError(no_images(found_images, pattern))
    found = labelling.find(found_images, Path(labels) if labels is not None else None, format)
    return write(
        found_images,
        found,
        Path(output),
        Names(media, MANIFEST, ANNOTATIONS),
        overwrite=overwrite,
        skip_missing_images=skip_missing_images or pattern is not None,
        fps=fps,
        plain=plain,
        workers=workers,
        progress=progress,
    )


def bundle(
    images: str | os.PathLike[str],
    media: Path,
    manifest: Path | None,
    *,
    pattern: str | None = None,
    overwrite: bool = False,
    fps: float = FPS,
    plain: bool = False,
) -> Report:
    """Pack images alone: the media file, and its manifest where one is wanted, in any folder.

    Without a manifest nobody would know the hashes of the images, and they are not computed.
    """
    found_images = scan(images, pattern)
    if not len(found_images.keys):
        raise InputError(no_images(found_images, pattern))
    options: dict[str, Any] = {"overwrite": overwrite, "fps": fps, "plain": plain}
    if manifest is None or manifest.parent.resolve() == media.parent.resolve():
        names = Names(media.name, manifest.name if manifest else "", "")
        return write(found_images, None, media.parent, names, **options)
    _refuse_existing(manifest.parent, Names("", manifest.name, ""), overwrite)
    with Transaction(manifest.parent) as elsewhere:
        staged = elsewhere.staged(manifest.name)
        report = write(
            found_images, None, media.parent, Names(media.name, str(staged.resolve()), ""), **options
        )
        report.files[str(manifest)] = staged.stat().st_size
        elsewhere.commit([manifest.name])
    return report


def write(
    images: Scan,
    found: Found | None,
    output: Path,
    names: Names,
    *,
    overwrite: bool = False,
    skip_missing_images: bool = False,
    fps: float = FPS,
    plain: bool = False,
    placeholders: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write the files of a pack from images and labels that have been found; see `pack`.

    A manifest by an absolute path is written there, and is the caller's to publish.
    """
    began = time.perf_counter()
    kind = bundles.kind(bundles.kind_of(names.media))
    if names.media != os.path.basename(names.media):
        raise InputError(f"{names.media}: expected the name of a file; its folder is --output")
    if workers is not None and workers < 1:
        raise InputError(f"expected at least one worker, got {workers}")
    rate = frame_rate(fps)
    _refuse_existing(output, names, overwrite)
    face = kind.NAME == "mp4" and not plain and len(images.keys) <= bundles.FACE_LIMIT
    labels = found.labels if found else None
    with Transaction(output) as work, told(output):
        _refuse_full(output, sum(images.sizes))
        staged = work.staged(names.media)
        staged.write_bytes(kind.HEAD)
        early: list[Problem] = []
        for each in (labels, found.inside if found else None):
            if each is not None:
                each.bind(images.keys)
                early += each.problems if each is labels else []
                each.problems.clear()  # else each process would tell them
        assembly = Assembly(
            work,
            kind,
            face,
            rate,
            names,
            list(labels.categories) if labels else [],
            labelling.first_ids(labels),
        )
        assembly.problems += early
        shared = kind.NAME == "mp4" and not face
        packer = frames.Packer(
            images,
            found,
            kind,
            face,
            shared=shared,
            hashed=shared or bool(names.manifest or names.annotations),
            placeholders=placeholders,
            media=str(staged),
        )
        try:
            _run(packer, images, assembly, workers, progress)
            report = _finish(work, assembly, images, found, names, skip_missing_images, placeholders)
        finally:
            packer.close()
            assembly.close()
        report.seconds = time.perf_counter() - began
    return report


def frame_rate(fps: float) -> Fraction:
    """Frames a second as a fraction that a media header can hold; InputError where it cannot."""
    try:
        rate = Fraction(str(fps)).limit_denominator(1001)
        if rate > 0 and rate.numerator <= 1_000_000:
            return rate
    except ValueError:
        pass
    raise InputError(f"expected frames a second above 0 and up to 1,000,000, got {fps}")


def no_images(images: Scan, pattern: str | None) -> str:
    """What to say where a folder holds no image."""
    matched = f" that fit {pattern!r}" if pattern else ""
    met = f", only {images.others:,} other files" if images.others else ""
    met += f" and {len(images.empty):,} files of 0 bytes" if images.empty else ""
    return f"{images.root}: expected images{matched}, found none{met}"


def _run(
    packer: frames.Packer,
    images: Scan,
    assembly: Assembly,
    processes: int | None,
    progress: Progress | None,
) -> None:
    total = sum(images.sizes)

    def accept(batch: frames.Described) -> None:
        assembly.accept(batch)
        if progress:
            progress(assembly.counted.bytes, total)

    if processes is None:
        small = len(images.keys) < workers.SMALL
        processes = 1 if small else workers.available()
    workers.run(packer, lambda: frames.batches(images.sizes), assembly.grant, accept, processes)


def _finish(
    work: Transaction,
    assembly: Assembly,
    images: Scan,
    found: Found | None,
    names: Names,
    skip_missing_images: bool,
    placeholders: bool,
) -> Report:
    packed = assembly.counted
    report = Report(job="pack", bytes=packed.bytes)
    report.done = {"images": packed.frames}
    report.problems = images.problems + assembly.problems
    embedded = found is not None and isinstance(found.labels, EmbeddedLabels)
    if embedded and not packed.used:
        found = None
    section: dict[str, Any] = {
        "version": VERSION,
        "kind": Path(names.media).suffix[1:].lower(),
        "fps": fps_number(assembly.fps),
    } | empty_fields(images.empty)
    if placeholders:
        section["placeholders"] = packed.frames
    if names.annotations:
        report.done |= {"annotations": packed.annotations, "categories": len(assembly.categories.all)}
        if found is not None:
            left = labelling.leftovers(
                found, images.keys, packed.used, packed.unread, report, wanted=not skip_missing_images
            )
            section |= left
        notes.note_turned(report, packed.turned)
        notes.note_unlabelled(report, packed.frames - packed.labelled)
    if images.others and (found is None or embedded or found.root != images.root):
        what = "" if found else ", and none is labels in a format that xlabel reads"
        report.notes.append(f"{counted(images.others, 'other files')} in {images.root} not packed{what}")
    if section["kind"] == "tar":
        notes.note_webdataset(images.keys, report)
    report.problems.sort()
    section |= {"sha256": "0" * 64, "bundle": names.media, "pack_id": assembly.pack_id}
    assembly.finish_media(work.staged(names.media), images.empty)
    if names.manifest:
        problems = _below(report.problems, images.root, found.root if found else images.root)
        tail = empty_fields(images.empty) | {"problems": problems, "sha256": "0" * 64}
        assembly.finish_manifest(tail | {"pack_id": assembly.pack_id})
    if names.annotations:
        assembly.finish_annotations(found.labels.extra if found else None, section)
    _publish(work, report, names)
    return report


def _publish(work: Transaction, report: Report, names: Names) -> None:
    wanted = (names.media, names.annotations, names.manifest)
    written = [name for name in wanted if name and not os.path.isabs(name)]
    stale = []
    if report.problems:
        text = msgspec.json.format(msgspec.json.encode({"problems": report.problems}), indent=1)
        work.staged(PROBLEMS).write_bytes(text + b"\n")
        written.append(PROBLEMS)
    else:
        stale.append(PROBLEMS)
    if not names.manifest and (work.folder / names.media).exists():
        stale.append(MANIFEST)  # of the media that is replaced
    if not names.annotations and (work.folder / ANNOTATIONS).exists():
        report.notes.append(f"{ANNOTATIONS} there is of another pack now; build the annotations again")
    report.files = {str(work.folder / name): work.staged(name).stat().st_size for name in written}
    work.commit(written, stale)


def _below(problems: list[Problem], *roots: str) -> list[Problem]:
    """Problems with paths below the folders that were given: a manifest does not say where it was made."""
    prefixes = "|".join(re.escape(root + "/") for root in sorted(roots, key=len, reverse=True))
    root = re.compile(rf"""(?<![^\s'"(])(?:{prefixes})""")
    return sorted(Problem(root.sub("", p.where), p.code, root.sub("", p.message)) for p in problems)


def _refuse_existing(output: Path, names: Names, overwrite: bool) -> None:
    if overwrite:
        return
    there = [
        name for name in (names.media, names.manifest, names.annotations) if name and (output / name).exists()
    ]
    if there:
        raise ExistsError(f"{output}: {' and '.join(there)} exist already; say --overwrite to replace them")


def _refuse_full(output: Path, size: int) -> None:
    free = shutil.disk_usage(output).free
    if free < size:
        raise InputError(f"{output}: needs {size:,} bytes, the disk has {free:,} left; nothing was changed")
