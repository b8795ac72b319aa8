"""Validate: what is wrong with labels and their images."""

import heapq
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from xlabel.checks import Finding, finding, names
from xlabel.checks import sarif as logs
from xlabel.checks.samples import in_sample
from xlabel.checks.twins import Contents
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import findings_page
from xlabel.jobs import labels as labelling
from xlabel.jobs.binding import NEVER, known
from xlabel.jobs.examine import FULLEST, STATES, Examine, Judge, Names, count_names, told
from xlabel.jobs.findings import Findings
from xlabel.jobs.labels import ADD_OR_REMOVE, Found
from xlabel.jobs.sets import Set, Subject, path_of, subject_of
from xlabel.jobs.spread import spread
from xlabel.jobs.validation import Validation
from xlabel.model.report import Progress, counted


def validate(
    source: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    *,
    against: str | os.PathLike[str] | None = None,
    format: str | None = None,
    sarif: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Look for what is wrong with labels and their images; gives findings, and changes nothing.

    `source` is a folder of images, an image or a glob, with `labels`, or with those inside or beside them; a
    folder or a file of labels, whose images are found; or a bundle. `against` has the labels that the images
    once had.
    `sarif` and `html` are files to write. Pixels are decoded only where labels inside an image are of another
    picture, where `against` needs it, and for the pictures of the page.

    >>> result = xlabel.validate("sample/raw_images")
    >>> len(result.findings), result.exit_code
    (0, 0)
    """
    began = time.perf_counter()
    for path in (sarif, html):
        if path is not None:
            _refuse_place(Path(path))
    subject = subject_of(os.fspath(source), None if labels is None else Path(labels), format)
    result = Validation(findings=Findings(), done={}, embedded={}, fullest=[], notes=list(subject.notes))
    result.findings.add(told(problem) for problem in subject.problems)
    total = Counter[str]()
    used: Names = {}
    contents = Contents()
    images, found = subject.images, subject.found
    once = None if against is None else known(against, workers)
    matched = 0
    if images is None:
        assert found is not None
        _alone(found, total, used, result.findings)
    else:
        states = Counter[str]()
        doubtful: list[int] = []
        for done in spread(Examine(images, once), len(images), workers):
            states += done.states
            doubtful += done.doubtful
            total += done.counts
            matched += done.used
            contents.add(done.digests)
            result.findings.add(done.findings)
            result.bytes += done.bytes
            result.fullest = heapq.nlargest(FULLEST, result.fullest + done.fullest)
            _join(used, done.names)
            if progress:
                progress(result.bytes, subject.size)
        result.findings.add(_twins(images, contents))
        if once is not None and doubtful:
            once.decode()
            for judged, more in spread(Judge(images, doubtful, once), len(doubtful), workers):
                states += judged
                result.findings.add(more)
        if once is not None or states.keys() - {NEVER}:
            result.embedded = {word: states[state] for state, word in STATES.items()}
    if found is not None and subject.whole and not isinstance(found.labels, EmbeddedLabels):
        result.findings.add(_orphans(found, subject.keys, matched))
    result.findings.add(subject.orphans)
    result.findings.add(_names(subject, used))
    count = total["images"] if images is None else len(images)
    result.done = {"images": count, "labelled": total["labelled"], "annotations": total["annotations"]}
    if count > total["labelled"]:
        result.notes.append(f"{counted(count - total['labelled'], 'images')} without annotations")
    result.seconds = time.perf_counter() - began
    if sarif is not None:
        _write_log(Path(sarif), result, Path(source))
    if html is not None:
        looked = str(result).partition("\n")[0].removeprefix("validate: ")
        text = findings_page.written(result, os.fspath(source), looked, images)
        Path(html).write_text(text, "utf-8")
    return result


def _alone(found: Found, total: Counter[str], used: Names, findings: Findings) -> None:
    """Labels whose images are not there."""
    labels = found.labels
    for sample in labelling.alone(labels, found.root):
        total["images"] += 1
        where = path_of(labels, sample.image) or found.root
        findings.add(told(problem, sample.image.key) for problem in labels.problems)
        labels.problems.clear()
        if sample.annotations:
            total["labelled"] += 1
            total["annotations"] += len(sample.annotations)
            findings.add(in_sample(sample, where))
            count_names(sample, used)
    findings.add(told(problem) for problem in labels.problems)


def _twins(images: Set, contents: Contents) -> Iterator[Finding]:
    for number, first in contents.twins():
        key = images.key(number)
        yield finding("same-image", images.where(number), f"is {images.key(first)} again", image=key)


def _orphans(found: Found, keys: Sequence[str], matched: int) -> Iterator[Finding]:
    """Labels without image. Images without labels are none."""
    left = labelling.unmatched(found.labels, keys, matched)
    for problem in labelling.without_image(found.labels, found.root, left, ADD_OR_REMOVE):
        yield told(problem)


def _names(subject: Subject, used: Names) -> Iterator[Finding]:
    """Category names that are nearly the same, and some that are wholly."""
    labels = subject.found.labels if subject.found else None
    declared = [(category.name, category.supercategory) for category in labels.categories] if labels else []
    where = getattr(labels, "where", subject.where)
    where = where if isinstance(where, str) else subject.found.root if subject.found else subject.where
    counts = Counter[str]()
    for (name, _), (count, _) in used.items():
        counts[name] += count
    for group in names.alike({*declared, *used}):
        rarest = min(group, key=lambda name: counts[name])
        image = next((first for (name, _), (_, first) in used.items() if name == rarest), None)
        yield finding("names-alike", where, names.told(group, counts), image=image)
    for (name, above), times in Counter(declared).items():
        if times > 1:
            under = f" under {above!r}" if above else ""
            yield finding("name-twice", where, f"{times} categories are called {name!r}{under}")


def _join(used: Names, more: Names) -> None:
    for name, (count, first) in more.items():
        before, earlier = used.get(name, (0, first))
        used[name] = before + count, earlier


def _refuse_place(path: Path) -> None:
    """InputError where a file cannot be written, before all is looked at."""
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, found a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: expected a folder {path.parent} to write it in, found none; make it")


def _write_log(path: Path, result: Validation, source: Path) -> None:
    """The findings as SARIF, relative to the working folder, or to the one above a source elsewhere."""
    root = Path.cwd()
    if not source.resolve().is_relative_to(root):
        root = source.resolve().parent
    pieces = logs.log(
        result.findings,
        result.findings.counts,
        root=str(root),
        relative=lambda file: os.path.relpath(file, root),
        version=version("xlabel"),
        exit_code=result.exit_code,
    )
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(pieces)
