"""Strip: take out of image files exactly what xlabel put into them."""

import os
import time
from collections import Counter
from collections.abc import Iterable

import msgspec

from xlabel.formats.embedded import SIDECAR
from xlabel.images import cut, embedding, payload
from xlabel.jobs import notes
from xlabel.jobs.changing import listed
from xlabel.jobs.selection import Place, select_all, sweep
from xlabel.jobs.spread import spread
from xlabel.model import Problem, Report
from xlabel.model.report import Progress, counted
from xlabel.stores import rewrite
from xlabel.stores.local import Scan
from xlabel.stores.paths import key_of


class Done(msgspec.Struct):
    """What became of a range of images."""

    counts: Counter[str]
    problems: list[Problem]
    bytes: int


def strip(
    images: Place | Iterable[Place],
    *,
    pattern: str | None = None,
    keep_time: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Remove the labels from image files; gives a report.

    `images` is a folder, a file or a glob, or several. A file that nobody changed since it was labelled is
    byte for byte what it was before. Where somebody did, only what is ours is taken out, and the file is
    listed, since its original bytes cannot be proved.

    >>> xlabel.strip("images/a.jpg").done
    {'images': 1, 'restored': 1}
    """
    began = time.perf_counter()
    places = select_all(images, pattern)
    size = sum(sum(place.sizes) for place in places)
    report = Report(job="strip")
    total = Counter[str]()
    for place in places:
        report.problems += place.problems
        if not dry_run:
            sweep(place)
        for done in spread(_Worker(place, keep_time, dry_run), len(place.keys), workers):
            total += done.counts
            report.problems += done.problems
            report.bytes += done.bytes
            if progress:
                progress(report.bytes, size)
    images_met = sum(len(place.keys) for place in places)
    report.done = {"images": images_met, "restored": total["restored"]}
    report.done |= {word: total[word] for word in ("cleaned", "sidecars", "never labelled") if total[word]}
    if total["linked"]:
        links = counted(total["linked"], "images")
        report.notes.append(f"another name (hard link) keeps the file as it was in {links}")
    notes.finish(report, began, dry_run=dry_run)
    return report


class _Worker:
    """Strips a range of images."""

    def __init__(self, selected: Scan, keep_time: bool, dry_run: bool) -> None:
        self._selected = selected
        self._root = os.fsencode(selected.root) + b"/"
        self._keep_time = keep_time
        self._dry_run = dry_run

    def __call__(self, start: int, stop: int) -> Done:
        done = Done(Counter(), [], 0)
        for name in self._selected.keys.raw(start, stop):
            where = f"{self._selected.root}/{key_of(name)}"
            with listed(where, done.problems):
                self._image(self._root + name, where, done)
        return done

    def _image(self, path: bytes, where: str, done: Done) -> None:
        beside = _is_sidecar(path + SIDECAR.encode())
        if beside:
            done.counts["sidecars"] += 1
            if not self._dry_run:
                os.unlink(path + SIDECAR.encode())
        try:
            labelled = bool(rewrite.look(path, embedding.get).copies)
        except ValueError:  # no image, or one that cannot hold labels
            labelled = False
        if not labelled:
            done.counts["never labelled"] += not beside
            return
        with rewrite.opened(path) as (data, seen):
            done.bytes += len(data)
            found = embedding.get(data)
            if not found.copies:  # another process was faster
                done.counts["never labelled"] += not beside
                return
            restored = embedding.restore(data, found.newest) if found.newest else None
            try:
                pieces = embedding.remove(data) if restored is None else restored
            except ValueError as error:
                message = f"{cut(data) or error}; nothing is taken out of a broken file"
                done.problems.append(Problem(where, "undecodable", message))
                return
            if not self._dry_run:
                rewrite.replace(seen, pieces, keep_time=self._keep_time)
            if restored is not None:
                done.counts["restored"] += 1
            else:
                done.counts["cleaned"] += 1
                message = (
                    "another tool has changed the file since it was labelled: what xlabel put there is gone, "
                    "but that these are the original bytes cannot be proved"
                )
                done.problems.append(Problem(where, "not-provable", message))
            done.counts["linked"] += seen.info.st_nlink > 1


def _is_sidecar(path: bytes) -> bool:
    """Whether a file beside an image is one of ours, whole or not; what cannot be read is none."""
    try:
        with open(path, "rb") as file:
            return payload.is_sidecar(file.read(64))
    except OSError:  # nothing there, a folder, a name that would be too long
        return False
