"""Annotate: the labels of a folder of images become one unified annotation file, in the bundle's order."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from xlabel.errors import ExistsError, InputError
from xlabel.formats.labels import Ref
from xlabel.images import image_of
from xlabel.jobs import labels as labelling
from xlabel.jobs import notes
from xlabel.jobs.labels import Found
from xlabel.jobs.records import UNSEALED, AnnotationFile, Records
from xlabel.model import Image, Problem, Report, Sample
from xlabel.model.manifest import (
    ANNOTATIONS,
    MANIFEST,
    VERSION,
    Frame,
    Manifest,
    empty_fields,
    empty_names,
    parse,
)
from xlabel.model.report import counted
from xlabel.stores.local import Scan, no_images, read_header, scan
from xlabel.stores.paths import key_of, matcher
from xlabel.stores.snapshot import Kept
from xlabel.stores.transaction import Transaction, recover, told


def annotate(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] = Path("output") / ANNOTATIONS,
    *,
    manifest: Manifest | None = None,
    format: str | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    skip_missing_images: bool = False,
) -> Report:
    """Write one annotation file for the images in a folder and their labels; gives a report.

    With a manifest the file is the partner of that bundle: its images are the frames, in their order. Without
    one the order is that of the keys, and sizes come from the images' headers. `pattern` narrows the images;
    raises InputError where it leaves out frames.

    >>> report = xlabel.annotate("sample/raw_images", "sample/raw_labels", "labels.json")
    >>> report.done["annotations"], report.exit_code
    (114, 0)
    """
    began = time.perf_counter()
    target = Path(output)
    if target.exists() and not overwrite:
        raise ExistsError(f"{target}: exists already; say --overwrite to replace it")
    scanned = scan(images, pattern)
    if manifest is not None:
        manifest.refuse_fixed(manifest.bundle)
    if manifest is not None and pattern:
        _check_pattern(manifest, pattern)
    if not len(scanned.keys) and manifest is None:
        raise InputError(no_images(scanned, pattern))
    found = labelling.find(scanned, Path(labels) if labels is not None else None, format)
    skip_missing_images = skip_missing_images or pattern is not None
    report = Report(job="annotate")
    report.problems += scanned.problems
    keys = scanned.keys if manifest is None else [frame.key for frame in manifest.live]
    if found is not None:
        found.labels.bind(keys)
    with Transaction(target.parent) as work, told(target):
        _write(work, target.name, scanned, manifest, keys, found, skip_missing_images, report)
    report.seconds = time.perf_counter() - began
    return report


def find_manifest(place: str | None, *, required: bool) -> Manifest | None:
    """The manifest at a path, from standard input for "-", or from its usual place where none is named.

    Raises InputError where one is named or required and there is none.
    """
    if place == "-":
        return parse(sys.stdin.buffer.read(), "standard input")
    path = Path(place) if place else Path("output") / MANIFEST
    if path.exists():
        recover(path.parent)
        with closing(Kept(path)) as file:
            return parse(file.whole(), str(path))
    if place or required:
        raise InputError(f"{path}: expected a frame manifest, found nothing there; bundle the images first")
    return None


def _check_pattern(manifest: Manifest, pattern: str) -> None:
    fits = matcher(pattern)
    outside = [frame.key for frame in manifest.live if not fits(os.fsencode(frame.key))]
    if outside:
        raise InputError(
            f"{outside[0]}: expected frames that fit {pattern!r}, which {counted(len(outside), 'frames')} "
            "of the bundle do not; bundle with the same pattern, or say --skip-manifest"
        )


def _write(
    work: Transaction,
    name: str,
    scanned: Scan,
    manifest: Manifest | None,
    keys: Any,
    found: Found | None,
    skip_missing_images: bool,
    report: Report,
) -> None:
    labels = found.labels if found else None
    records = Records(*labelling.first_ids(labels))
    unread: list[Ref] = []
    count = used = 0
    with closing(AnnotationFile(work, name)) as out:
        for image, frame in _pictures(scanned, manifest, report):
            sample, broken = labelling.load(labels, image) if labels else (Sample(image=image), None)
            if broken is not None:
                unread.append(broken)
            used += sample.origin is not None
            count += 1
            records.add(sample, frame)
            out.add(*records.take())
        section: dict[str, Any] = {"version": VERSION} | empty_fields(scanned.empty)
        if found is not None:
            section |= labelling.leftovers(found, keys, used, unread, report, wanted=not skip_missing_images)
        if manifest is not None and manifest.generation > 1:
            section["generation"] = manifest.generation
        section["sha256"] = UNSEALED
        if manifest is not None:
            section = {"version": VERSION, "kind": manifest.kind, "fps": manifest.fps} | section
            if manifest.media_size is not None:
                section["media_size"] = manifest.media_size
            section |= {"bundle": manifest.bundle, "pack_id": manifest.pack_id}
            section |= empty_fields(empty_names(manifest.empty, manifest.empty_bytes))
        categories = labels.categories if labels is not None else []
        out.finish(categories, labels.extra if labels is not None else None, section)
    report.done = {"images": count, "annotations": records.annotations, "categories": len(categories)}
    notes.note_turned(report, records.turned)
    notes.note_unlabelled(report, count - records.labelled)
    report.problems.sort()
    report.files = {str(work.folder / name): work.staged(name).stat().st_size}
    work.commit([name])


def _pictures(
    scanned: Scan, manifest: Manifest | None, report: Report
) -> Iterator[tuple[Image, Frame | None]]:
    """The images in order, with their frames where a manifest has them."""
    if manifest is not None:
        there = set(scanned.keys)
        looked = bool(there)
        for frame in manifest.live:
            if looked and frame.key not in there:
                where = f"{scanned.root}/{frame.key}"
                report.problems.append(
                    Problem(where, "not-in-folder", "a frame of the bundle, and no such image in the folder")
                )
            there.discard(frame.key)
            yield _image(frame), frame
        for key in sorted(there):
            report.problems.append(
                Problem(f"{scanned.root}/{key}", "not-in-bundle", "no frame of the bundle; bundle again")
            )
        return
    for name in scanned.keys.names():
        key = key_of(name)
        path = f"{scanned.root}/{key}"
        header, why = read_header(os.fsencode(scanned.root) + b"/" + name)
        if header is None:
            report.problems.append(Problem(path, "undecodable", f"{why}; kept without size"))
            yield Image(key=key), None
        else:
            yield image_of(key, header), None


def _image(frame: Frame) -> Image:
    return Image(key=frame.key, width=frame.width, height=frame.height, orientation=frame.orientation)
