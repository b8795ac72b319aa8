"""A model's suggestions beside what people say of an image, which is never touched."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from xlabel.model.annotation import Annotation, Category, Source
from xlabel.model.dataset import Sample
from xlabel.model.geometry import bbox_of, iou

SUGGESTION = "suggestion"
RUNS = "prelabelled"
"""Where in an image's `extra` stands which models have seen it: by their names, what `Run.noted` says."""


IDS = (1 << 31) - 1
"""The highest id that is given."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and how it is used."""

    source: Source
    token: str
    """The same for the same model and options."""
    iou: float
    """A suggestion that overlaps by more with what a person has decided on is that thing again."""
    licence: str | None = None
    """Of the model."""

    @property
    def noted(self) -> dict[str, str]:
        """What stands of the run in the images that the model has seen."""
        return {"run": self.token} | ({"licence": self.licence} if self.licence else {})


def has_run(sample: Sample, run: Run) -> bool:
    """Whether the model has seen the image, with the same options."""
    return _runs(sample).get(run.source.name) == run.noted


def seen_by(sample: Sample) -> list[str]:
    """The names of the models that have seen the image, also of those that found nothing."""
    return list(_runs(sample))


def is_by(annotation: Annotation, source: Source) -> bool:
    """Whether a label was made by a model, of whatever state its file was in."""
    made = annotation.source
    return made is not None and made.kind == source.kind and made.name == source.name


def is_open(annotation: Annotation, source: Source) -> bool:
    """Whether a label is a model's suggestion as the model made it: who has changed one is its author."""
    return annotation.status == SUGGESTION and annotation.author is None and is_by(annotation, source)


def suggested(sample: Sample, found: Iterable[Annotation], run: Run, time: str) -> Sample:
    """The sample with what a model has found in the place of its earlier suggestions, and with its run noted.

    What a person has accepted, rejected or changed of the same model stays, and is not suggested again. A
    suggestion that was there already keeps its id and its time; the ids of the others are still to be given.
    """
    kept: list[Annotation] = []
    decided: list[Annotation] = []
    earlier: dict[tuple[Any, ...], list[Annotation]] = {}
    for annotation in sample.annotations:
        if is_open(annotation, run.source):
            earlier.setdefault(_gist(annotation), []).append(annotation)
            continue
        kept.append(annotation)
        decided += [annotation] if is_by(annotation, run.source) else []
    for annotation in found:
        if any(_is_again(annotation, other, run.iou) for other in decided):
            continue
        same = earlier.get(_gist(annotation))
        if not same:
            kept.append(msgspec.structs.replace(annotation, time=time))
            continue
        before = same.pop(0)
        if (before.score, before.source) == (annotation.score, annotation.source):
            kept.append(before)
        else:
            kept.append(msgspec.structs.replace(annotation, id=before.id, time=time))
    runs = _runs(sample) | {run.source.name: run.noted}
    image = msgspec.structs.replace(sample.image, extra=(sample.image.extra or {}) | {RUNS: runs})
    return msgspec.structs.replace(sample, image=image, annotations=tuple(kept))


def with_ids(sample: Sample) -> Sample:
    """The sample, whose suggestions without an id have one by chance, of 31 bits."""
    taken = {annotation.id for annotation in sample.annotations}
    done = []
    for annotation in sample.annotations:
        if annotation.id is None and annotation.status == SUGGESTION:
            while (number := secrets.randbelow(IDS) + 1) in taken:
                pass
            taken.add(number)
            annotation = msgspec.structs.replace(annotation, id=number)
        done.append(annotation)
    return msgspec.structs.replace(sample, annotations=tuple(done))


def in_categories(found: Sequence[Annotation], known: Sequence[Category]) -> list[Annotation]:
    """Annotations with the categories that are known by the same names; others get ids that are free."""
    named = {category.name: category for category in reversed(known)}
    taken = {category.id for category in known}
    done = []
    for annotation in found:
        category = annotation.category
        if category is not None and category.name not in named:
            number = category.id if category.id not in taken else max(taken) + 1
            taken.add(number)
            named[category.name] = msgspec.structs.replace(category, id=number)
        other = None if category is None else named[category.name]
        done.append(annotation if other is category else msgspec.structs.replace(annotation, category=other))
    return done


def _runs(sample: Sample) -> dict[Any, Any]:
    runs = (sample.image.extra or {}).get(RUNS)
    return runs if isinstance(runs, dict) else {}


def _is_again(annotation: Annotation, other: Annotation, share: float) -> bool:
    if _name(annotation) != _name(other):
        return False
    here, there = bbox_of(annotation), bbox_of(other)
    return here is there if here is None or there is None else iou(here, there) > share


def _gist(annotation: Annotation) -> tuple[Any, ...]:
    shape = (annotation.bbox, annotation.polygons, annotation.mask, annotation.keypoints, annotation.shape)
    return _name(annotation), *shape


def _name(annotation: Annotation) -> str | None:
    return annotation.category.name if annotation.category else None
