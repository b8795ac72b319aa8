"""Verify: read a pack again, wholly, against its hashes, its order and its partners."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from xlabel.bundles.zip import crc32
from xlabel.jobs import notes, twin
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.integrity import Content, check
from xlabel.jobs.opening import at_url, open_bundle
from xlabel.model import Report
from xlabel.model.manifest import ANNOTATIONS, Frame
from xlabel.model.report import Progress


def verify(path: str | os.PathLike[str], *, full: bool = False, progress: Progress | None = None) -> Report:
    """Read every image of a pack against its hash, and the three files against each other.

    At a URL, what the store keeps a checksum of is compared by that, without reading it, unless `full` is
    said; a folder is always read. Each frame that is not what it was is a problem of the report. Raises
    CorruptError where the files cannot be read as a pack at all, StoreError where the store fails.

    >>> xlabel.verify("output").problems
    []
    """
    began = time.perf_counter()
    report = Report(job="verify")
    place = os.fspath(path)
    if "://" in place:
        from xlabel.jobs.verify_url import verify_url

        with at_url(place):
            verify_url(place, full, report, progress)
    else:
        with open_bundle(path) as bundle:
            check(bundle, Path(path), report, lambda frame: _content(bundle, frame), progress)
            beside = bundle.media.parent
            if bundle.annotation_file is not None and bundle.annotation_file.path == beside / ANNOTATIONS:
                report.problems += twin.old(beside)
    notes.finish(report, began)
    return report


def _content(bundle: Bundle, frame: Frame) -> Content:
    digest, crc, total = hashlib.sha256(), 0, 0
    for piece in bundle.pieces(frame.offset, frame.size):
        digest.update(piece)
        crc = crc32(piece, crc)
        total += len(piece)
    return Content(digest.hexdigest(), crc, total)
