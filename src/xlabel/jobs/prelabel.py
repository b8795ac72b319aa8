"""Prelabel: what a model finds in images goes into them as suggestions, beside the labels that they have."""

import json
import os
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from xxhash import xxh3_64_hexdigest

from xlabel import detectors, images
from xlabel.detectors import IOU, MIN_SCORE, Detector
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.images import Buffer, embedding, fingerprint
from xlabel.jobs import labels as labelling
from xlabel.jobs import notes
from xlabel.jobs.category_options import Names, Renaming, names_of, renaming_of
from xlabel.jobs.changing import listed
from xlabel.jobs.labels import Found
from xlabel.jobs.putting import ForeignError, embedded, now, picture
from xlabel.jobs.selection import select, sweep
from xlabel.jobs.sidecar import beside, put_beside
from xlabel.jobs.workers import available
from xlabel.model import Annotation, Category, Problem, Report, Sample
from xlabel.model import document as documents
from xlabel.model.report import Progress, counted
from xlabel.model.suggestions import Run, has_run, in_categories, is_open, suggested, with_ids
from xlabel.pictures import drawing
from xlabel.stores import rewrite
from xlabel.stores.local import Folder, Scan
from xlabel.stores.paths import key_of

BATCH = 8
"""Pictures that a model is given at a time, where it takes so many."""
THREADS = 4
"""That decode pictures while the model runs."""
NAMED = 8
"""Categories that the report counts, the most frequent."""

KEPT = frozenset(
    "size-mismatch not-utf8 labels-twice outside-image mixed-tasks score-range bad-visibility inverted-box "
    "two-splits".split()
)
"""Problems of label files that leave nothing out of the labels."""

CHANGED = (
    "the picture is not the one that its labels were drawn on; xlabel validate says more, xlabel repair "
    "rights them; no suggestions for it"
)

T = TypeVar("T")
U = TypeVar("U")


def prelabel(
    images: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    categories: Names | None = None,
    map: Renaming | None = None,
    min_score: float = MIN_SCORE,
    iou: float = IOU,
    batch: int | None = None,
    format: str | None = None,
    pattern: str | None = None,
    sidecar: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Let a model look at images and put what it finds into them as suggestions; gives a report.

    `images` is a folder, a file or a glob; `model` a file NAME.onnx, or `package.module:function`. Labels
    that are in the images stay as they are, and those in label files beside them are taken along. What the
    same model suggested before gives way, but for what a person has accepted, rejected or changed of it. An
    image that the model has seen already with the same options is skipped.

    >>> xlabel.prelabel("images", model="finder:find").done
    {'images': 1, 'seen': 1, 'suggestions': 1}
    """
    began = time.perf_counter()
    _refuse_shares(min_score, iou, batch)
    names, renamed = names_of(categories), renaming_of(map)
    detector = detectors.opened(
        os.fspath(model), categories=names, renamed=renamed, min_score=min_score, iou=iou
    )
    selected = select(images, pattern)
    found = labelling.find(selected, None, format)
    if found is not None:
        found.labels.bind(selected.keys)
    if not dry_run:
        sweep(selected)
    said = json.dumps([dict(names) if isinstance(names, dict) else names, renamed, min_score, iou]).encode()
    token = f"{detector.source.hash or ''}:{xxh3_64_hexdigest(said)}"
    how = How(Run(source=detector.source, token=token, iou=iou, licence=detector.licence), sidecar, dry_run)
    report = Report(job="prelabel", problems=[*selected.problems])
    if found is not None:
        report.problems += found.labels.problems
        found.labels.problems.clear()
    work = _Prelabelling(selected, found, detector, how, report)
    at_a_time = min(batch or BATCH, detector.most or batch or BATCH)
    for done in work.through(at_a_time):
        report.bytes += done
        if progress:
            progress(report.bytes, sum(selected.sizes))
    report.done = {"images": len(selected.keys)}
    report.done |= {word: work.counts[word] for word in ("seen", "skipped") if work.counts[word]}
    report.done["suggestions"] = work.counts["suggestions"]
    if found is not None and not isinstance(found.labels, EmbeddedLabels):
        report.notes.append(f"labels read as {found.labels.origin.format} from {found.place}")
    notes.note_turned(report, work.turned)
    report.notes += _told(detector, work)
    notes.finish(report, began, dry_run=dry_run)
    return report


class How(msgspec.Struct, frozen=True):
    """What is done to each image."""

    run: Run
    sidecar: bool
    """Labels of an image that cannot hold them go into a file beside it."""
    dry_run: bool


class Looked(NamedTuple):
    """An image file that was read: what the model is to be given of it, or why it is not."""

    name: bytes
    size: int
    prepared: Any = None
    identity: tuple[int, ...] = ()
    """By which the file is known again."""
    problem: Problem | None = None


class _Prelabelling:
    """A model on its way through a folder of images."""

    def __init__(
        self, selected: Scan, found: Found | None, detector: Detector, how: How, report: Report
    ) -> None:
        self.counts = Counter[str]()
        self.categories = Counter[str]()
        self.turned: list[str] = []
        self._selected = selected
        self._root = os.fsencode(selected.root) + b"/"
        self._folder = Folder(selected.root)
        self._files = None if found is None or isinstance(found.labels, EmbeddedLabels) else found.labels
        self._detector = detector
        self._how = how
        self._problems = report.problems

    def through(self, batch: int) -> Iterator[int]:
        """Do all images; gives the bytes of each when it is done."""
        threads = min(THREADS, available())
        waiting: list[Looked] = []
        with warnings.catch_warnings():  # which Pillow's readers change, in several threads at once
            for looked in _ahead(self._look, self._selected.keys.names(), threads, max(batch, threads)):
                if looked.prepared is not None:
                    waiting.append(looked)
                    if len(waiting) == batch:
                        yield from self._batch(waiting)
                        waiting = []
                    continue
                if looked.problem is None:
                    self.counts["skipped"] += 1
                else:
                    self._problems.append(looked.problem)
                yield looked.size
            yield from self._batch(waiting)

    def _look(self, name: bytes) -> Looked:
        """Read an image that the model has not seen yet; in a thread."""
        where = self._where(name)
        size = 0
        try:
            if self._has_run(self._root + name):
                return Looked(name, os.stat(self._root + name).st_size)
            with rewrite.copied(self._root + name) as (data, seen):
                size = len(data)
                try:
                    prepared = self._detector.prepare(np.asarray(drawing.displayed(data)))
                except ValueError as error:
                    problem = Problem(where, "undecodable", f"{error}; no suggestions for it")
                    return Looked(name, size, problem=problem)
                return Looked(name, size, prepared, rewrite.identity(seen.info))
        except OSError as error:
            return Looked(name, size, problem=Problem(where, "unreadable", f"{error.strerror}; left alone"))
        except InputError as error:
            return Looked(name, size, problem=Problem(where, "unreadable", str(error)))

    def _has_run(self, path: bytes) -> bool:
        try:
            newest = rewrite.look(path, lambda data: embedding.get(data).newest)
        except ValueError:  # no image that could hold labels
            newest = None
        newest = newest or beside(path)
        try:
            return newest is not None and has_run(
                documents.sample(documents.decode(newest.document), ""), self._how.run
            )
        except ValueError:
            return False

    def _batch(self, batch: list[Looked]) -> Iterator[int]:
        """Run the model, and put what it found into the images. Where it fails, each image is tried alone."""
        if not batch:
            return
        try:
            found = self._detector.run([looked.prepared for looked in batch])
        except InputError as error:
            if len(batch) > 1:
                for looked in batch:
                    yield from self._batch([looked])
                return
            where = self._where(batch[0].name)
            self._problems.append(Problem(where, "model-failed", f"{error}; no suggestions for it"))
            yield batch[0].size
            return
        for looked, annotations in zip(batch, found, strict=True):
            where = self._where(looked.name)
            with listed(where, self._problems):
                self._put(looked, annotations, where)
            yield looked.size

    def _put(self, looked: Looked, annotations: list[Annotation], where: str) -> None:
        path = self._root + looked.name
        with rewrite.copied(path) as (data, seen):
            if rewrite.identity(seen.info) != looked.identity:
                raise InputError(f"{where}: changed by somebody else meanwhile; run again")
            sample = self._sample(key_of(looked.name), data, where)
            if sample is None:
                return
            known = _categories(sample, self._files.categories if self._files else [])
            sample = with_ids(suggested(sample, in_categories(annotations, known), self._how.run, now()))
            if not self._written(path, data, seen, sample, where):
                return
        self.counts["seen"] += 1
        for annotation in sample.annotations:
            if is_open(annotation, self._detector.source):
                self.counts["suggestions"] += 1
                self.categories[annotation.category.name if annotation.category else "no category"] += 1

    def _sample(self, key: str, data: Buffer, where: str) -> Sample | None:
        """The labels that an image has: those inside, else those of its label file.

        None where there are some that cannot be read, or that were drawn on another picture: new ones would
        hide that.
        """
        try:
            image = images.image_of(key, images.header(data))
        except ValueError:
            image = images.image_of(key, None)
        inside = EmbeddedLabels(self._folder)  # one for all would give categories ids that all images share
        sample = inside.load_from(data, image)
        problems = inside.problems
        if sample is not None:
            stated = sample.origin.get("stream") if isinstance(sample.origin, dict) else None
            if stated is not None and _stream(data) not in (None, stated):
                problems = [Problem(where, "stale-labels", CHANGED)]
                sample = None
        elif not problems and self._files is not None:
            loaded, unread = labelling.load(self._files, image)
            problems = [*map(_kept_back, self._files.problems)]
            lost = unread is not None or problems != self._files.problems
            self._files.problems.clear()
            sample = None if lost else loaded
        elif not problems:
            sample = Sample(image=image)
        if sample is not None and sample.turned:
            self.turned.append(key)
        self._problems += problems
        return sample

    def _written(self, path: bytes, data: Buffer, seen: rewrite.Seen, sample: Sample, where: str) -> bool:
        """Put the labels into the image or beside it; False where that cannot be."""
        try:
            change = embedded(data, sample)
        except ForeignError as error:
            self._problems.append(Problem(where, "foreign-comment", str(error)))
            return False
        except ValueError as error:
            if not self._how.sidecar:
                message = f"{error}; say --sidecar to write them into a file beside it"
                self._problems.append(Problem(where, "no-room", message))
                return False
            document = documents.encode(documents.document(sample, picture(data, sample, False)))
            put_beside(path, document, str(error), seen.info, dry_run=self._how.dry_run)
            return True
        if change is not None and not self._how.dry_run:
            rewrite.replace(seen, change.pieces)
        return True

    def _where(self, name: bytes) -> str:
        return f"{self._selected.root}/{key_of(name)}"


def _ahead(work: Callable[[T], U], items: Iterable[T], threads: int, waiting: int) -> Iterator[U]:
    """What `work` makes of each item, in order, by threads that are at most so many items ahead."""
    pool = ThreadPoolExecutor(threads)
    begun: deque[Future[U]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > waiting:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _categories(sample: Sample, declared: list[Category]) -> list[Category]:
    own = dict.fromkeys(a.category for a in sample.annotations if a.category is not None)
    names = {category.name for category in own}
    return [*own, *(category for category in declared if category.name not in names)]


def _kept_back(problem: Problem) -> Problem:
    """A problem of a label file; where labels are left out by it, with what that means for the image."""
    if problem.code in KEPT:
        return problem
    return msgspec.structs.replace(problem, message=f"{problem.message}; no suggestions for its image")


def _stream(data: Buffer) -> str | None:
    try:
        return fingerprint.stream(data)
    except ValueError:
        return None


def _told(detector: Detector, work: _Prelabelling) -> Iterator[str]:
    source = detector.source
    digest = f", sha256 {source.hash[:16]}…" if source.hash else ""
    yield f"model {source.name}{digest}, licence as it states: {detector.licence or 'none'}"
    yield from detector.notes
    if work.counts["skipped"]:
        yield f"{counted(work.counts['skipped'], 'images')} skipped: the model has seen them already"
    if work.categories:
        most = ", ".join(f"{name} {count:,}" for name, count in work.categories.most_common(NAMED))
        more = ", ..." if len(work.categories) > NAMED else ""
        yield f"suggested: {most}{more}"


def _refuse_shares(min_score: float, iou: float, batch: int | None) -> None:
    for name, share in (("--min-score", min_score), ("--iou", iou)):
        if not 0 <= share <= 1:
            raise InputError(f"expected {name} from 0 to 1, got {share:g}")
    if batch is not None and batch < 1:
        raise InputError(f"expected a --batch of at least 1, got {batch}")
