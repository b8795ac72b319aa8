"""Validate: what is wrong with labels and their images."""

import heapq
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from xlabel import __version__, bundles
from xlabel.checks import Finding, finding, names, sarif
from xlabel.checks.twins import Contents
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import labels as labelling
from xlabel.jobs import pictures
from xlabel.jobs.binding import NEVER, known
from xlabel.jobs.bundle import Bundle, open_bundle
from xlabel.jobs.examine import (
    FULLEST,
    STATES,
    BundleSet,
    Examine,
    FileSet,
    Judge,
    Names,
    Set,
    count_names,
    in_sample,
    path_of,
    told,
)
from xlabel.jobs.findings import Findings
from xlabel.jobs.labels import ADD_OR_REMOVE, Found
from xlabel.jobs.selection import select
from xlabel.jobs.spread import spread
from xlabel.jobs.validation import Validation
from xlabel.model import Problem
from xlabel.model.manifest import ANNOTATIONS
from xlabel.model.report import counted
from xlabel.stores.local import Folder, Scan, scan

Progress = Callable[[int, int], None]


def validate(
    source: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | None = None,
    format: str | None = None,
    log: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Look for what is wrong with labels and their images; gives findings, and changes nothing.

    `source` is a folder of images, an image or a glob, with the labels inside or beside them; a folder or a
    file of labels, whose images are found; or a bundle. `against` has the labels that the images once had.
    `log` (SARIF) and `html` are files to write. No pixel is decoded, but for the pictures of the page.

    >>> result = xlabel.validate("sample/raw_images")
    >>> len(result.findings), result.exit_code
    (0, 0)
    """
    began = time.perf_counter()
    subject = _subject(os.fspath(source), format)
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
    if log is not None:
        _write_log(Path(log), result, Path(source))
    if html is not None:
        looked = str(result).partition("\n")[0].removeprefix("validate: ")
        text = pictures.written(result, os.fspath(source), looked, images)
        Path(html).write_text(text, "utf-8")
    return result


class _Subject(NamedTuple):
    """What is validated."""

    where: str
    images: Set | None
    """None where there are only labels."""
    found: Found | None
    """Label files; None in a bundle."""
    keys: Sequence[str] = ()
    whole: bool = False
    """Whether these are all images that the labels are about."""
    orphans: tuple[Finding, ...] = ()
    """Labels without image that are known beforehand."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    size: int = 0
    """Bytes of all images."""


def _subject(place: str, name: str | None) -> _Subject:
    path = Path(place)
    if (path / ANNOTATIONS).is_file() or path.suffix[1:].lower() in bundles.KINDS:
        return _of_bundle(open_bundle(path))
    whole = path.is_dir()
    if whole:
        selected = scan(path)
        if not len(selected.keys):
            return _of_labels(path, name)
    elif path.is_file() and not Folder(path).pictures:
        return _of_labels(path, name)
    else:
        selected = select(place)
    if not whole and "/" not in selected.keys[0]:
        selected = replace(selected, others=1)  # the label file may lie beside the image
    found = labelling.find(selected, None, name)
    if found is None:
        raise InputError(f"{place}: expected labels of the format {name}, found none")
    return _of_files(selected, found, whole)


def _of_bundle(bundle: Bundle) -> _Subject:
    where = str(bundle.media)
    if not bundle.described:
        note = "no annotation file beside the bundle: only labels inside the images are looked at"
        return _Subject(where, BundleSet(bundle), None, notes=(note,), size=bundle.size)
    read = bundle.unified
    orphans = tuple(
        finding("label-without-image", where, f"labels of {sample.image.key}", image=sample.image.key)
        for sample in read.unmatched
    )
    return _Subject(
        where,
        BundleSet(bundle),
        None,
        orphans=orphans,
        problems=tuple(read.problems),
        size=bundle.size,
    )


def _of_labels(path: Path, name: str | None) -> _Subject:
    """Labels with the images that lie near them."""
    if not path.exists():
        raise InputError(f"{path}: expected images, labels or a bundle, found nothing there")
    labels, tree = labelling.given(path, name)
    near = labelling.images_near(path)
    if near is not None and len(near.keys):
        selected = scan(near.root)
        labels.bind(selected.keys)
        if any(labels.find(key) is not None for key in selected.keys):
            return _of_files(selected, Found(labels, tree.root, labelling.Layout()), whole=True)
    if labels.needs_sizes:
        raise InputError(
            f"{path}: these labels are shares of their images, whose sizes are needed; none lie beside them, "
            "give the folder that holds both"
        )
    note = "no images lie beside the labels: only the labels are looked at"
    return _Subject(tree.root, None, Found(labels, tree.root, labelling.Layout()), notes=(note,))


def _of_files(selected: Scan, found: Found, whole: bool) -> _Subject:
    labels = found.labels
    labels.bind(selected.keys)
    problems = (*selected.problems, *labels.problems)
    labels.problems.clear()
    notes: tuple[str, ...] = tuple(labels.notes)
    if not isinstance(labels, EmbeddedLabels):
        notes = (f"labels read as {labels.origin.format} from {found.root}", *notes)
    return _Subject(
        selected.root,
        FileSet(selected, found),
        found,
        keys=selected.keys,
        whole=whole,
        problems=problems,
        notes=notes,
        size=sum(selected.sizes),
    )


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


def _names(subject: _Subject, used: Names) -> Iterator[Finding]:
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


def _write_log(path: Path, result: Validation, source: Path) -> None:
    """The findings as SARIF, relative to the working folder, or to the one above a source elsewhere."""
    root = Path.cwd()
    if not source.resolve().is_relative_to(root):
        root = source.resolve().parent
    pieces = sarif.log(
        result.findings,
        result.findings.counts,
        root=str(root),
        relative=lambda file: os.path.relpath(file, root),
        version=__version__,
        exit_code=result.exit_code,
    )
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(pieces)
