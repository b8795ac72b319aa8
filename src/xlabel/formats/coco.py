"""COCO JSON: documents, captions, keypoints, LVIS, results lists, panoptic files, and our own unified file.

Data format: cocodataset.org/#format-data and #format-results; lvisdataset.org; pycocotools for what readers take.
All documents of a folder are one data set. The split is told by their names; an image that several of them know
(instances, captions and keypoints of one split) is one image, and a label that they know under the same id is
one label. Ids, order, unknown fields, and whether an absent field is left out, null or empty are kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats import coco_reading, coco_writing, unified
from xlabel.formats.coco_layout import File, Place, files_of, kept, origin_of, places
from xlabel.formats.coco_records import complete, record_of, spelling
from xlabel.formats.labels import DocumentLabels, Ref, settle
from xlabel.formats.losses import FIELDS, missing
from xlabel.formats.pairing import match_names
from xlabel.model import Annotation, Category, Dataset, Image, Loss, Problem, Sample

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "coco"
TITLE = "COCO JSON"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(FIELDS)

_LOOKED_AT = 12
_WORDS = ("coco", "instances", "annotation", "caption", "keypoints", "panoptic", "result", "train", "val", "test")


class CocoLabels(DocumentLabels):
    """The labels of one or several COCO files."""

    def bind(self, keys: Sequence[str]) -> None:
        there = set(keys)
        names = [_known_as(sample, there, self._folders(sample)) for sample in self.samples]
        self._refs, problems = match_names(names, keys, self.where)
        self.problems += problems

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = self.samples[int(ref)]
        stated = sample.image
        before = replace(sample, image=replace(stated, key=sample.named)) if sample.named else sample
        if image.orientation >= 5 and (stated.width, stated.height) == (image.height, image.width):
            before = replace(before, annotations=self._as_drawn(before))
        settled = settle(before, image, f"{self.where}: {stated.key}", self.problems)
        if sample.drawn is not None and settled.drawn != sample.drawn:
            settled = replace(settled, drawn=sample.drawn)
        return settled

    def _as_drawn(self, sample: Sample) -> tuple[Annotation, ...]:
        """Annotations with their records, since numbers that are turned twice need not be the same again."""
        files = files_of(self.origin)
        found = []
        for annotation in sample.annotations:
            place = places(annotation.origin)[0]
            if self.origin.format == NAME and place.record is None and len(files) == 1:
                spelled = spelling(files[0].form, place.form)
                identity = spelled.id if annotation.id is None else annotation.id
                category = annotation.category
                category_id = spelled.category_id if category is None else category.id
                record = record_of(annotation, identity, sample.image.id, category_id, spelled)
                place.record = msgspec.to_builtins(complete(record, annotation))
                place.form = None
                annotation = replace(annotation, origin=kept(place))
            found.append(annotation)
        return tuple(found)

    def _folders(self, sample: Sample) -> list[str]:
        files = files_of(self.origin)
        return [str(PurePosixPath(file.path).parent) for file in files]
