"""Repair: labels that were stripped or outdated are put right, where what became of the image is proved."""

import os
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from xlabel import images
from xlabel.formats.embedded import SIDECAR, document_in
from xlabel.images import Buffer
from xlabel.jobs import binding, notes
from xlabel.jobs.binding import INTACT, NEVER, STALE, Known, Verdict, known
from xlabel.jobs.changing import listed, target_folder
from xlabel.jobs.putting import embedded
from xlabel.jobs.selection import Place, select
from xlabel.jobs.spread import spread
from xlabel.model import Problem, Report, Sample
from xlabel.model import document as documents
from xlabel.model.document import Document
from xlabel.model.report import SHOWN, Progress, counted
from xlabel.pictures.matching import ALIKE
from xlabel.stores import rewrite
from xlabel.stores.local import Scan
from xlabel.stores.paths import key_of


class Proposal(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """Labels that an image may have, which nothing proves."""

    where: str
    """The image."""
    what: str
    kind: str
    """As in `Verdict`."""
    source: str | None = None
    """The image whose labels these are; None where they are the image's own, from before it was changed."""
    others: tuple[str, ...] = ()
    """Other images that it might be as well."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Repairs(Report, kw_only=True):
    """The report of a repair."""

    proposals: list[Proposal] = msgspec.field(default_factory=list)
    """What was not done, since it rests on looks or has more than one answer."""

    @property
    def exit_code(self) -> int:
        """0 all labels are right, 1 some are not."""
        return 1 if self.problems or self.proposals else 0

    def __str__(self) -> str:
        text = super().__str__()
        if not self.proposals:
            return text
        lines = [f"  {counted(len(self.proposals), 'proposals')}, not done since nothing proves them:"]
        lines += [f"    {proposal}" for proposal in self.proposals[:SHOWN]]
        if len(self.proposals) > SHOWN:
            lines.append(f"    ... and {len(self.proposals) - SHOWN:,} more; --json lists all")
        return "\n".join([text, *lines])


class Done(msgspec.Struct):
    """What became of a range of images."""

    counts: Counter[str]
    problems: list[Problem]
    proposals: list[Proposal]
    later: list[int]
    """Numbers of the images that have to be looked for by their pixels."""
    bytes: int = 0


def repair(
    images: Place,
    source: Place,
    *,
    output: Place | None = None,
    pattern: str | None = None,
    keep_time: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Repairs:
    """Put labels back into images that lost them, and right those of images that were changed.

    `source` is a bundle, an annotation file of one, or a folder of images with labels inside or beside them.
    An image is found there by what it shows, whatever it is called. Labels move with a picture that was
    turned, flipped, cut out or resized where that is proved by its pixels. What only looks alike, or may be
    one of several, is proposed in the report and not done; the rest is listed. Images are changed in place,
    or all are copied below `output`.

    >>> xlabel.repair("images", "output").done
    {'images': 1, 'restored': 1}
    """
    began = time.perf_counter()
    selected = select(images, pattern)
    target = None if output is None else target_folder(output, selected)
    index = known(source, workers)
    report = Repairs(job="repair", problems=list(selected.problems))
    total = Counter[str]()
    worker = _Worker(selected, index, target, keep_time, dry_run)
    later: list[int] = []
    for done in _passes(worker, selected, index, workers, later):
        total += done.counts
        report.problems += done.problems
        report.proposals += done.proposals
        report.bytes += done.bytes
        later += done.later
        if progress:
            progress(report.bytes, sum(selected.sizes))
    report.done = {"images": len(selected.keys)}
    report.done |= {word: total[word] for word in WORDS if total[word]}
    report.notes.append(f"compared with {counted(len(index), 'images')} of {source}")
    report.proposals.sort()
    notes.finish(report, began, dry_run=dry_run)
    return report


WORDS = ("intact", "restored", "carried over", "renewed", "proposed", "not repaired", "never labelled")
"""What images are counted by: labels were right, were put back, were moved with the picture, or got new
fingerprints; the rest was not written."""


def _passes(
    worker: "_Worker", selected: Scan, index: Known, workers: int | None, later: list[int]
) -> Iterator[Done]:
    """First what needs no decoding of the source, then, where something is left, the rest."""
    yield from spread(worker, len(selected.keys), workers)
    if later:
        index.decode()
        numbers = list(later)
        yield from spread(lambda start, stop: worker.some(numbers[start:stop]), len(numbers), workers)


class _Worker:
    """Repairs a range of images."""

    def __init__(
        self, selected: Scan, index: Known, target: bytes | None, keep_time: bool, dry_run: bool
    ) -> None:
        self._selected = selected
        self._root = os.fsencode(selected.root) + b"/"
        self._index = index
        self._target = target
        self._keep_time = keep_time
        self._dry_run = dry_run

    def __call__(self, start: int, stop: int) -> Done:
        return self.some(range(start, stop))

    def some(self, numbers: "range | list[int]") -> Done:
        """Repair the images of these numbers."""
        done = Done(Counter(), [], [], [])
        for number in numbers:
            (name,) = self._selected.keys.raw(number, number + 1)
            where = f"{self._selected.root}/{key_of(name)}"
            with listed(where, done.problems, self._target):
                self._image(number, name, where, done)
        return done

    def _image(self, number: int, name: bytes, where: str, done: Done) -> None:
        with rewrite.opened(self._root + name) as (data, seen):
            self._opened(data, seen, number, name, where, done)

    def _opened(
        self, data: Buffer, seen: rewrite.Seen, number: int, name: bytes, where: str, done: Done
    ) -> None:
        """The same with the file open, whose pieces must be gone before it is closed."""
        beside = binding.beside(self._root + name)
        held = beside or document_in(data)
        if not self._index.decoded and not binding.settled(data, self._index, held):
            done.later.append(number)
            return
        done.bytes += len(data)
        verdict = binding.judge(data, self._index, key=key_of(name), document=held)
        if beside is not None and verdict.kind != INTACT:
            done.counts["not repaired"] += 1
            message = "its labels stand in a file beside it; embed them again with --sidecar"
            done.problems.append(Problem(where, "stale-labels", f"{verdict.what}; {message}"))
            pieces = None
        else:
            pieces = self._repaired(data, held, verdict, key_of(name), where, done)
        if self._target is not None and not self._dry_run:
            rewrite.create(self._target + name, pieces or [data], seen.info, keep_time=self._keep_time)
            if beside is not None:
                self._copy_beside(name, seen)
        elif pieces is not None and not self._dry_run:
            rewrite.replace(seen, pieces, keep_time=self._keep_time)
        if pieces is not None:
            done.counts[_word(verdict)] += 1

    def _copy_beside(self, name: bytes, seen: rewrite.Seen) -> None:
        assert self._target is not None
        other = name + SIDECAR.encode()
        with open(self._root + other, "rb") as file:
            rewrite.create(self._target + other, [file.read()], seen.info)

    def _repaired(
        self, data: Buffer, held: Document | None, verdict: Verdict, key: str, where: str, done: Done
    ) -> list[Buffer] | None:
        """The pieces of the repaired file; None where nothing is to be done or could be."""
        if verdict.state == NEVER or verdict.kind == INTACT:
            done.counts["never labelled" if verdict.state == NEVER else "intact"] += 1
            return None
        sample = self._labels(held, verdict, key)
        if verdict.kind != "namesake" and (sample is None or verdict.change is None):
            done.counts["not repaired"] += 1
            message = f"its labels are of another picture: {verdict.what}; label it anew, or strip it"
            done.problems.append(Problem(where, "stale-labels", message))
            return None
        if sample is None or not _allowed(verdict):
            done.counts["proposed"] += 1
            what = f"{verdict.what}; look at it, and embed the labels if they fit"
            done.proposals.append(Proposal(where, what, verdict.kind, verdict.source, verdict.others))
            return None
        annotations, told = binding.labels_by(sample, verdict.change)
        header = images.header(data)
        assert header is not None
        width, height = header.displayed
        shown = msgspec.structs.replace(
            sample.image, key=key, width=width, height=height, orientation=header.orientation
        )
        put = msgspec.structs.replace(sample, image=shown, annotations=annotations)
        try:
            change = embedded(data, put, pixels=held is not None and held.image.pixels is not None)
        except ValueError as error:
            done.counts["not repaired"] += 1
            done.problems.append(Problem(where, "no-room", f"{verdict.what}, but {error}"))
            return None
        if told:
            done.problems.append(Problem(where, "not-kept", f"{verdict.what}: {'; '.join(told)}"))
        done.counts["intact"] += change is None
        return None if change is None else change.pieces

    def _labels(self, held: Document | None, verdict: Verdict, key: str) -> Sample | None:
        """The labels to put into an image, before they are moved with its picture."""
        if verdict.number is not None:
            return self._index.sample(verdict.number)
        return None if held is None else documents.sample(held, key)


def _allowed(verdict: Verdict) -> bool:
    """Whether a verdict is enough to write by.

    Where the image has its own labels, these say which picture it was. Then it is enough that nothing in it
    differs from that picture by more than a compression, and that it lies where that did.
    """
    if verdict.proved or verdict.state != STALE or verdict.number is not None:
        return verdict.proved
    return verdict.proof == ALIKE


def _word(verdict: Verdict) -> str:
    if verdict.number is not None:
        return "restored"
    return "renewed" if verdict.change is None or verdict.change.nothing else "carried over"
