"""The labels of the frames that an update keeps: those that there are, or new ones where they differ."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from xlabel.formats import unified_reading, unified_writing
from xlabel.formats.embedded import SIDECAR, EmbeddedLabels
from xlabel.formats.labels import DocumentLabels, FileLabels, Ref
from xlabel.formats.unified_lines import Lines
from xlabel.jobs import labels as labelling
from xlabel.jobs.assembly import Categories
from xlabel.jobs.generations import Records
from xlabel.jobs.labels import Found
from xlabel.model import Image, Problem, Sample
from xlabel.model.manifest import Frame, Seen
from xlabel.stores.stats import Stats


class Labelled(NamedTuple):
    """The records of a frame, as they are to stand in the annotation file."""

    records: Records
    changed: bool


class Relabel:
    """Finds new records for kept frames, with the ids that they have, or with new ones that nobody had."""

    def __init__(
        self, lines: Lines, found: Found | None, root: str, known: Stats, *, trusted: bool, stay: bool = False
    ) -> None:
        """`known` tells which label files are as they were; `root` is the folder of the images.

        `trusted`: the records that there are, are those that were made of the labels. `stay`: there are some
        of images that the labels do not know, and their categories keep their ids.
        """
        self._lines = lines
        self._found = found
        self._labels = found.labels if found else None
        self._inside = found.inside if found else None
        self._root = os.fsencode(root) + b"/"
        self._known = known
        top = lines.top
        given = self._labels.categories if self._labels else []
        agreed = top.categories[: len(given)] == given
        self._copies = trusted and agreed and not isinstance(self._labels, DocumentLabels)
        self.categories = Categories(top.categories if agreed or stay else list(given))
        self.category_ids = {} if agreed or not stay else self.categories.numbered(given)
        self._read = len(given)
        self.image_id, self.annotation_id = (
            max(pair) for pair in zip(lines.next_ids(), labelling.first_ids(self._labels), strict=True)
        )
        self._taken = (
            _ids(self._labels.samples) if isinstance(self._labels, DocumentLabels) else (set(), set())
        )
        self.used = 0
        self.unread: list[Ref] = []
        self.turned: list[str] = []
        """Keys of images whose labels were drawn on the stored matrix, of those that were looked at."""
        self.problems: list[Problem] = []
        self.loaded: set[str] = set()
        """Keys of the images whose labels were read again."""

    def kept(self, at: int, frame: Frame, seen: Seen | None, *, same: bool) -> Labelled:
        """The records of the frame at a position of the old file; `same`: its image file has not changed."""
        old = Records(self._lines.image(at), self._lines.annotations(at))
        file = self._label_file(frame)
        if same and self._copies and self._known.same(frame.index, file):
            self.used += b'"origin":' in old.image
            return Labelled(old, changed=False)
        sample = self._load(frame, file)
        new = self._records(sample, frame, at, self._lines.prints(at), seen, self.category_ids)
        return Labelled(new, changed=new != old)

    def stays(self, at: int, frame: Frame) -> Labelled:
        """The records of a frame that the labels do not know: as they are, but for ids that are taken now."""
        old = Records(self._lines.image(at), self._lines.annotations(at))
        image_id, ids = self._lines.ids(at)
        images, annotations = self._taken
        if image_id not in images and annotations.isdisjoint(ids):
            return Labelled(old, changed=False)
        told_of = self._lines.sample(at)
        image = replace(told_of.sample.image, id=None)
        fresh = tuple(replace(one, id=None) for one in told_of.sample.annotations)
        sample = replace(told_of.sample, image=image, annotations=fresh)
        return Labelled(self._records(sample, frame, at, told_of.prints, told_of.seen, {}), changed=True)

    def moved(self, at: int, frame: Frame) -> Labelled:
        """The records of a frame that has the bytes and the ids of the one at a position of the old file."""
        sample = self._load(frame, self._label_file(frame))
        return Labelled(
            self._records(sample, frame, at, self._lines.prints(at), None, self.category_ids), changed=True
        )

    def _load(self, frame: Frame, file: os.stat_result | None) -> Sample:
        image = Image(key=frame.key, width=frame.width, height=frame.height, orientation=frame.orientation)
        labels = self._labels
        if labels is None:
            return Sample(image=image)
        sample, unread = labelling.load(labels, image)
        if unread is not None:
            self.unread.append(unread)
        self.used += sample.origin is not None
        if sample.turned:
            self.turned.append(frame.key)
        if labels.problems:
            self.problems += labels.problems
            labels.problems.clear()
        else:
            self._known.note(frame.index, file)
        self.loaded.add(frame.key)
        if self._inside is not None and (differs := labelling.inside_differs(sample, self._inside)):
            where = f"{os.fsdecode(self._root)}{frame.key}"
            self.problems.append(Problem(where, "labels-disagree", differs))
        self._number_categories()
        return sample

    def as_written(self, sample: Sample, frame: Frame, at: int) -> Sample:
        """A sample as the annotation file will give it back: categories have the ids of the whole."""
        self._number_categories()
        image_id, _ = self._lines.ids(at)
        image = unified_writing.image_record(sample, image_id, frame)
        annotations, _ = unified_writing.annotation_records(sample, image_id, 1, self.category_ids or None)
        every = self.categories.all
        top = replace(self._lines.top, categories=every, by_id={one.id: one for one in every})
        return unified_reading.described(top, image, annotations, self._lines.where).sample

    def _number_categories(self) -> None:
        """Give ids to categories that were met since."""
        if self._labels is not None:
            self.category_ids |= self.categories.numbered(self._labels.categories[self._read :])
            self._read = len(self._labels.categories)

    def _records(
        self,
        sample: Sample,
        frame: Frame,
        at: int,
        prints: dict[str, str],
        seen: Seen | None,
        category_ids: dict[int, int],
    ) -> Records:
        old_id, old_ids = self._lines.ids(at)
        image_id = sample.image.id
        if image_id is None:
            image_id = old_id
            if old_id in self._taken[0]:
                image_id, self.image_id = self.image_id, self.image_id + 1
        annotations = b""
        if sample.annotations:
            wanted = sum(a.id is None for a in sample.annotations)
            first = self._free(old_ids, wanted)
            annotations, _ = unified_writing.annotation_records(sample, image_id, first, category_ids or None)
        return Records(unified_writing.image_record(sample, image_id, frame, prints, seen), annotations)

    def _free(self, old: list[int | str], wanted: int) -> int:
        """The first of `wanted` ids in a row: those that the image had, or new ones."""
        first = next((one for one in old if isinstance(one, int) and one not in self._taken[1]), None)
        if first is not None and {*range(first, first + wanted)} <= {*old} - self._taken[1]:
            return first
        first, self.annotation_id = self.annotation_id, self.annotation_id + wanted
        return first

    def _label_file(self, frame: Frame) -> os.stat_result | None:
        """The file that holds a frame's labels, or may hold them beside the image; None: there is none."""
        labels = self._labels
        if isinstance(labels, FileLabels):
            ref = labels.find(frame.key)
            path = None if ref is None else os.path.join(os.fsencode(labels.tree.root), os.fsencode(ref))
        elif isinstance(labels, EmbeddedLabels):
            path = self._root + frame.raw_name + SIDECAR.encode()
        else:
            return None
        try:
            return os.stat(path) if path is not None else None
        except OSError:
            return None


def _ids(samples: Iterable[Sample]) -> tuple[set[int | str], set[int | str]]:
    """The ids that a document gives to images and to annotations."""
    images: set[int | str] = set()
    annotations: set[int | str] = set()
    for sample in samples:
        if sample.image.id is not None:
            images.add(sample.image.id)
        annotations.update(a.id for a in sample.annotations if a.id is not None)
    return images, annotations
