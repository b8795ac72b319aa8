"""One image after the other, with its labels: what is wrong with them, and what has to be known of all."""

import heapq
from collections import Counter
from typing import TypeVar

import msgspec
from msgspec.structs import replace
from xxhash import xxh3_128_digest

from xlabel.checks import Finding, files, finding, room
from xlabel.checks.codes import rule
from xlabel.checks.names import Name
from xlabel.checks.samples import in_sample
from xlabel.errors import CorruptError, InputError
from xlabel.images import Buffer, Header, carrying, image_of
from xlabel.jobs import labels as labelling
from xlabel.jobs.binding import INTACT, NEVER, STALE, STRIPPED, Known, Verdict, judge, settled
from xlabel.jobs.putting import embedded
from xlabel.jobs.sets import Set
from xlabel.jobs.validation import Full
from xlabel.model import Problem, Sample
from xlabel.model import document as documents
from xlabel.model.document import Document, Picture
from xlabel.pictures.matching import ALIKE, EXACT, REPRODUCED

T = TypeVar("T")

FULLEST = 5
"""So many images are named for how full they are."""
SUPERSEDED = frozenset({"outside-image", "inverted-box", "score-range", "stale-labels"})
"""What readers find in labels that they keep, and that is found again here with more to say."""
STATES = {INTACT: "intact", STALE: "stale", STRIPPED: "stripped", NEVER: "never labelled"}
"""How the labels inside an image stand."""


Names = dict[Name, tuple[int, str]]
"""The categories that annotations have: how many, and the first image that has one."""


class Done(msgspec.Struct):
    """What was found in a range of images."""

    counts: Counter[str]
    findings: list[Finding]
    digests: bytes
    """16 bytes of each file's content; zeros where it could not be read."""
    names: Names
    states: Counter[str]
    doubtful: list[int]
    """Images of which a source of labels knows only once it is decoded."""
    fullest: list[Full]
    used: int
    bytes: int


class Examine:
    """Examines a range of images; one a process."""

    def __init__(self, images: Set, known: Known | None) -> None:
        """`known` has the labels that images once had."""
        self._images = images
        self._known = known

    def __call__(self, start: int, stop: int) -> Done:
        done = Done(Counter(), [], b"", {}, Counter(), [], [], 0, 0)
        digests = bytearray()
        for number in range(start, stop):
            digests += self._image(number, done)
        done.digests = bytes(digests)
        return done

    def _image(self, number: int, done: Done) -> bytes:
        """Examine an image; gives the digest of its content."""
        images = self._images
        key, where = images.key(number), images.where(number)
        try:
            with images.opened(number) as data:
                done.bytes += len(data)
                header, faults = files.look(data, key)
                done.findings += [finding(fault.code, where, fault.message, image=key) for fault in faults]
                held = images.held(number, data)
                stale = held is not None
                if held is not None:
                    done.findings += _uncategorised(held, where, key)
                if held is None and self._known is None:
                    done.states[NEVER] += 1
                elif self._known is None or settled(data, self._known, held):
                    verdict = judge(data, self._known, key=key, document=held)
                    stale = verdict.state == STALE and not _only_recompressed(verdict)
                    done.states[verdict.state] += 1
                    done.findings += of_verdict(verdict, where, key)
                else:
                    done.doubtful.append(number)
                self._labels(number, data, header, key, where, stale, done)
                return xxh3_128_digest(data)
        except OSError as error:
            done.findings.append(finding("unreadable", where, error.strerror or str(error), image=key))
        except (InputError, CorruptError) as error:
            done.findings.append(finding("unreadable", where, str(error), image=key))
        return bytes(16)

    def _labels(
        self, number: int, data: Buffer, header: Header | None, key: str, where: str, stale: bool, done: Done
    ) -> None:
        images = self._images
        image = image_of(key, header)
        sample, _ = images.sample(number, image, data)
        other = images.inside(image, data)
        done.findings += [told(p, image=key) for p in images.problems() if p.code not in SUPERSEDED]
        done.used += sample.origin is not None
        if other is not None and sample.origin is not None:
            difference = labelling.disagreement(sample, other)
            if difference:
                done.findings.append(finding("labels-disagree", where, difference, image=key))
        if not sample.annotations:
            return
        done.counts["labelled"] += 1
        done.counts["annotations"] += len(sample.annotations)
        label_file = images.label_file(image)
        if stale and label_file is None:  # that they do not fit is what stale says
            sample = replace(sample, image=replace(sample.image, width=None, height=None))
        done.findings += in_sample(sample, label_file or where)
        count_names(sample, done.names)
        self._room(data, sample, header, where, done)

    def _room(self, data: Buffer, sample: Sample, header: Header | None, where: str, done: Done) -> None:
        """How full the file is with its labels, or would be."""
        if header is None or carrying(data) is None:
            return
        picture = Picture(width=header.width, height=header.height)
        size = room.AROUND + len(documents.encode(documents.document(sample, picture)))
        percent = room.percent(size, header.mime)
        if percent >= room.NEAR:
            try:
                put = embedded(data, sample)
            except ValueError as error:
                done.findings.append(finding("no-room", where, str(error), image=sample.image.key))
                return
            size = put.used if put is not None else size
            percent = room.percent(size, header.mime)
        heapq.heappush(done.fullest, Full(round(percent, 2), sample.image.key, size))
        if len(done.fullest) > FULLEST:
            heapq.heappop(done.fullest)


class Judge:
    """Asks a source that is decoded about some of the images."""

    def __init__(self, images: Set, numbers: list[int], known: Known) -> None:
        self._images = images
        self._numbers = numbers
        self._known = known

    def __call__(self, start: int, stop: int) -> tuple[Counter[str], list[Finding]]:
        """How the labels of a range of them stand, counted, and what is wrong with them."""
        states, found = Counter[str](), list[Finding]()
        for number in self._numbers[start:stop]:
            key = self._images.key(number)
            try:
                with self._images.opened(number) as data:
                    held = self._images.held(number, data)
                    verdict = judge(data, self._known, key=key, document=held)
            except (OSError, InputError):  # which has been told
                continue
            states[verdict.state] += 1
            found += of_verdict(verdict, self._images.where(number), key)
        return states, found


def of_verdict(verdict: Verdict, where: str, key: str) -> list[Finding]:
    """What is wrong with how the labels inside an image stand."""
    if verdict.state == STALE:
        code = "image-recompressed" if _only_recompressed(verdict) else "stale-labels"
        return [finding(code, where, verdict.what, image=key)]
    if verdict.state == STRIPPED:
        code = "stripped-labels" if verdict.proved else "maybe-stripped"
        return [finding(code, where, verdict.what, image=key)]
    return []


def _only_recompressed(verdict: Verdict) -> bool:
    """Whether labels hold, though the pixels are no longer what they were."""
    return verdict.kind == "recompressed" and verdict.proof in (EXACT, REPRODUCED, ALIKE)


def count_names(sample: Sample, names: Names) -> None:
    """Add the categories of an image's annotations to what is known of all."""
    for annotation in sample.annotations:
        if annotation.category is not None:
            name = annotation.category.name, annotation.category.supercategory
            count, first = names.get(name, (0, sample.image.key))
            names[name] = count + 1, first


def told(problem: Problem, image: str | None = None) -> Finding:
    """What a reader has to say, as a finding; `image` where it is known to be about one."""
    file, line = problem.where, None
    message = problem.message.removesuffix(f"; {rule(problem.code).advice}")
    head, colon, rest = problem.where.rpartition(":")
    if colon and rest.isdigit():
        file, line = head, int(rest)
    elif ": " in problem.where:
        file, _, rest = problem.where.partition(": ")
        message = message if rest == image else f"{rest}: {message}"
    return finding(problem.code, file, message, line=line, image=image)


def _uncategorised(held: Document, where: str, key: str) -> list[Finding]:
    """Annotations of a category that their document does not describe."""
    known = {category.id for category in held.categories}
    return [
        finding("unknown-category", where, f"category {label.category}", image=key, annotation=n, id=label.id)
        for n, label in enumerate(held.annotations, 1)
        if label.category is not None and label.category not in known
    ]
