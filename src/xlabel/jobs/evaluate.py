"""Evaluate: how good a model's suggestions are, by what people decided, and by labels that are right."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from xlabel.checks.geometry import finite
from xlabel.errors import InputError, MissingExtraError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import labels as labelling
from xlabel.jobs import notes
from xlabel.jobs.against_truth import Thing, average_precision, matched
from xlabel.jobs.evaluation import Evaluation, Judged, Precision, Truth
from xlabel.jobs.inside import sample_inside
from xlabel.jobs.labels import Found
from xlabel.jobs.selection import select
from xlabel.model import Annotation, Report
from xlabel.model.geometry import Box, bbox_of
from xlabel.model.precision import Outcome, advised, by_category, cuts, share
from xlabel.model.record import REJECTED, REVIEWED, mark_of
from xlabel.model.report import Progress, counted, visible
from xlabel.model.suggestions import seen_by
from xlabel.stores.local import Folder, Scan
from xlabel.stores.paths import key_of

UNDECIDED, ACCEPTED, REFUSED = "suggestion", "accepted", "rejected"


def evaluate(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    format: str | None = None,
    pattern: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """How good the suggestions are that a model has made in images; nothing is changed.

    What people accepted is right, and what they rejected wrong. `labels` are a file or folder of labels that
    are right, for COCO's measures; without it those are taken that people made in the images themselves.
    `model` is the model's name, or its file; it need not be said where the images have suggestions of one.
    Raises InputError where they have none, MissingExtraError where `labels` are given and COCO's library is
    not installed.

    >>> xlabel.evaluate("images").decided.all.precision
    0.75
    """
    began = time.perf_counter()
    selected = select(images, pattern)
    given = None if labels is None else labelling.find(selected, Path(labels), format)
    report = Report(job="evaluate", problems=[*selected.problems])
    looked = _look(selected, given, report, progress)
    name = _one_model(looked, model, os.fspath(images))
    made = [label for image in looked for label in image.labels if label.model == name]
    states = Counter(label.status for label in made)
    report.done = {"images": len(looked), "suggestions": len(made)}
    report.done |= {word: states[word] for word in (ACCEPTED, REFUSED)} | {"undecided": states[UNDECIDED]}
    report.notes.insert(0, f"model {visible(name)}{_files(made)}")
    decided = [
        Outcome(label.category, label.score, label.status == ACCEPTED)
        for label in made
        if label.status in (ACCEPTED, REFUSED)
    ]
    accepted = sum(outcome.right and outcome.score is not None for outcome in decided)
    truth = _against(looked, name, report, given)
    notes.finish(report, began)
    return Evaluation(
        model=name, report=report, decided=_judged(decided, accepted) if decided else None, truth=truth
    )


class Label(NamedTuple):
    """What is needed of an annotation."""

    model: str | None
    """Its name; None: a person made it."""
    hash: str | None
    category: str
    box: Box | None
    score: float | None
    status: str | None
    crowd: bool


class Looked(NamedTuple):
    """An image's labels, and those that are right, where some are given for it."""

    mark: str | None
    seen: list[str]
    """The models that have noted that they saw it."""
    labels: list[Label]
    truth: list[Label] | None


def _look(selected: Scan, given: Found | None, report: Report, progress: Progress | None) -> list[Looked]:
    reader = EmbeddedLabels(Folder(selected.root))
    root, done, total = os.fsencode(selected.root) + b"/", 0, sum(selected.sizes)
    if given is not None:
        given.labels.bind(selected.keys)
        report.notes.append(f"labels that are right read as {given.labels.origin.format} from {given.place}")
    looked = []
    for name, size in zip(selected.keys.names(), selected.sizes, strict=True):
        sample = sample_inside(reader, root + name, key_of(name))
        if sample is not None:
            truth = None
            if given is not None:
                known, _ = labelling.load(given.labels, sample.image)
                truth = None if known.origin is None else [*map(_label, known.annotations)]
            mark = mark_of(sample.image)
            labels = [*map(_label, sample.annotations)]
            looked.append(Looked(mark.state if mark else None, seen_by(sample), labels, truth))
        done += size
        if progress:
            progress(done, total)
    report.problems += [*reader.problems, *(given.labels.problems if given else ())]
    return looked


def _label(annotation: Annotation) -> Label:
    source, box = annotation.source, bbox_of(annotation)
    of_model = source is not None and source.kind == "model"
    return Label(
        model=(source.name or "without a name") if source and of_model else None,
        hash=source.hash if source and of_model else None,
        category=annotation.category.name if annotation.category else "no category",
        box=box if box and finite(box) and box[2] > 0 and box[3] > 0 else None,
        score=annotation.score,
        status=annotation.status,
        crowd=annotation.crowd,
    )


def _one_model(looked: Sequence[Looked], model: str | os.PathLike[str] | None, where: str) -> str:
    names = Counter(label.model for image in looked for label in image.labels if label.model is not None)
    known = ", ".join(f"{visible(name)} ({count:,})" for name, count in names.most_common())
    if model is not None:
        wanted = os.fspath(model)
        found = next((name for name in (wanted, Path(wanted).stem) if name in names), None)
        if found is None:
            raise InputError(
                f"{where}: expected suggestions of {wanted}, found {known or 'none of any model'}"
            )
        return found
    if len(names) != 1:
        advice = "say which with --model" if names else "make some with xlabel prelabel"
        raise InputError(f"{where}: expected suggestions of one model, found {known or 'none'}; {advice}")
    return next(iter(names))


def _files(made: Iterable[Label]) -> str:
    """Which files of the model's name made its labels."""
    hashes = sorted({label.hash for label in made if label.hash})
    several = f" of {len(hashes)} files, whose labels are taken together" if len(hashes) > 1 else ""
    return "".join(f", sha256 {one[:16]}…" for one in hashes) + several


def _judged(outcomes: Sequence[Outcome], total: int) -> Judged:
    """`total` is how many there are to be found."""
    return Judged(
        all=share(outcomes),
        categories=by_category(outcomes),
        cuts=cuts(outcomes, total),
        advice=advised(outcomes, total),
    )


def _against(looked: Sequence[Looked], name: str, report: Report, given: Found | None) -> Truth | None:
    """The suggestions of images of which is known what is right, against that; None where there are none."""
    images, right, made = [], list[tuple[int, Label]](), list[tuple[int, Label]]()
    noted = any(name in image.seen for image in looked)
    for number, image in enumerate(looked, 1):
        labels = [label for label in image.labels if label.model == name]
        known = _checked(image, labels) if given is None else image.truth
        seen = not noted or labels or name in image.seen
        if known is not None and seen:
            images.append(number)
            right += [(number, label) for label in known if label.status not in (UNDECIDED, REFUSED)]
            made += [(number, label) for label in labels if label.score is not None]
    names = list(dict.fromkeys(label.category for _, label in (*right, *made)))
    truth, found = _things(right, names), _things(made, names)
    if not truth and given is not None:
        raise InputError(
            f"{given.place}: expected boxes of images with suggestions, found none; are the names the same?"
        )
    if not truth:
        return None
    own = sum(label.model == name and label.box is not None for _, label in right)
    if own and given is None:
        report.notes.append(
            f"{own:,} of the {counted(len(truth), 'labels')} to compare with were the model's own "
            "suggestions, which fit too well; labels drawn without it tell more"
        )
    whole, each = _precision(images, names, truth, found, report, given)
    return Truth(
        images=len(images),
        labels=len(truth),
        judged=_judged(_outcomes(truth, found, names), sum(not label.crowd for label in truth)),
        coco=whole,
        categories=each,
    )


def _checked(image: Looked, ours: Iterable[Label]) -> list[Label] | None:
    """The labels of an image that are right, where people have looked at it: drawn by them, or accepted."""
    drawn = [label for label in image.labels if label.model is None and label.status is None]
    states = {label.status for label in ours}
    decided = UNDECIDED not in states and not states.isdisjoint((ACCEPTED, REFUSED))
    if image.mark == REJECTED or not (drawn or decided or image.mark == REVIEWED):
        return None
    return drawn + [label for label in image.labels if label.status == ACCEPTED]


def _things(labels: Iterable[tuple[int, Label]], names: Sequence[str]) -> list[Thing]:
    ids = {name: number for number, name in enumerate(names)}
    return [
        Thing(image, ids[label.category], label.box, 1.0 if label.score is None else label.score, label.crowd)
        for image, label in labels
        if label.box is not None
    ]


def _outcomes(truth: Iterable[Thing], found: Iterable[Thing], names: Sequence[str]) -> list[Outcome]:
    """Of each box that was found, whether a label of its category is there."""
    labels, things = _by_place(truth), _by_place(found)
    return [
        Outcome(names[thing.category], thing.score, right)
        for place, here in things.items()
        for thing, right in zip(here, matched(here, labels.get(place, [])), strict=True)
        if right is not None
    ]


def _by_place(things: Iterable[Thing]) -> dict[tuple[int, int], list[Thing]]:
    """By image and category."""
    found = defaultdict(list)
    for thing in things:
        found[thing.image, thing.category].append(thing)
    return found


def _precision(
    images: Sequence[int],
    names: Sequence[str],
    truth: Sequence[Thing],
    found: Sequence[Thing],
    report: Report,
    given: Found | None,
) -> tuple[Precision | None, dict[str, Precision]]:
    """COCO's numbers of all categories, and of each that has labels."""
    try:
        whole, each = average_precision(images, range(len(names)), truth, found)
    except MissingExtraError as error:
        if given is not None:
            raise
        report.notes.append(str(error))
        return None, {}
    counts = Counter(thing.category for thing in truth)
    others = sum(thing.category not in counts for thing in found)
    if others:
        report.notes.append(
            f"{counted(others, 'suggestions')} of categories that no label has, which COCO's means leave out"
        )
    categories = {names[number]: Precision(count, *each[number]) for number, count in counts.most_common()}
    return Precision(len(truth), *whole), categories
