"""COCO JSON: documents, captions, keypoints, LVIS, results lists, panoptic files, and our own unified file.

Data format: cocodataset.org/#format-data and #format-results; lvisdataset.org; pycocotools for what readers
take. All documents of a folder are one data set. The split is told by their names; an image that several of
them know (instances, captions and keypoints of one split) is one image, and a label that they know under the
same id is one label. Ids, order, unknown fields, and whether an absent field is left out, null or empty, are
kept.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats import coco_json, coco_reading, coco_writing, unified_reading
from xlabel.formats.coco_joining import doubled, extra_of
from xlabel.formats.coco_layout import NAME as NAME
from xlabel.formats.coco_layout import File, files_of, kept, origin_of, places, split_of, starts
from xlabel.formats.coco_records import complete, record_of, spelling
from xlabel.formats.coco_state import Reading
from xlabel.formats.labels import DocumentLabels, Ref, settle
from xlabel.formats.losses import FIELDS
from xlabel.formats.names import spread
from xlabel.formats.pairing import has_ending, match_names
from xlabel.model import Annotation, Dataset, Image, Loss, Problem, Sample
from xlabel.model.dataset import Origin, is_stored

if TYPE_CHECKING:
    from xlabel.formats import Tree

TITLE = "COCO JSON"
IMAGES = "images"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(FIELDS)

_LOOKED_AT = 12
_WORDS = (
    "coco",
    "instances",
    "annotation",
    "caption",
    "keypoints",
    "panoptic",
    "result",
    "train",
    "val",
    "test",
)


class CocoLabels(DocumentLabels):
    """The labels of one or several COCO files."""

    @cached_property
    def _files(self) -> list[File]:
        return files_of(self.origin)

    @cached_property
    def _category_ids(self) -> list[dict[int | None, Any]]:
        """For each file: the id in it of each category, by the id in the model."""
        return [
            {known: raw.get("id") for known, raw in file.categories or () if isinstance(raw, dict)}
            for file in self._files
        ]

    def bind(self, keys: Sequence[str]) -> None:
        files = self._files
        folders = [_image_folders(file.path) for file in files]
        first = starts(files, "images")
        there = set(keys)
        names = []
        for sample in self.samples:
            name = sample.named or sample.image.key
            at = places(sample.origin)[0].at if len(files) > 1 else None
            around = folders[max(0, bisect_right(first, at or 0) - 1)] if files else []
            names.append(
                next((path for folder in around if (path := folder + name) in there), sample.image.key)
            )
        self._refs, problems = match_names(names, keys, self.where)
        self.problems += problems

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = self.samples[int(ref)]
        stated = sample.image
        before = replace(sample, image=replace(stated, key=sample.named)) if sample.named else sample
        size = (stated.width, stated.height)
        if is_stored(image, size):
            before = replace(before, annotations=self._with_records(before))
        settled = settle(before, image, f"{self.where}: {stated.key}", self.problems)
        if sample.drawn is not None and settled.drawn != sample.drawn:
            settled = replace(settled, drawn=sample.drawn)
        return settled

    def _with_records(self, sample: Sample) -> tuple[Annotation, ...]:
        """Annotations with whole records, since a number that is turned to and fro may come back changed."""
        files = self._files
        first = starts(files, "annotations")
        found = []
        for annotation in sample.annotations if files else ():
            own = places(annotation.origin)
            for place in own:
                if place.record is None:
                    number = max(0, bisect_right(first, place.at or 0) - 1)
                    file = files[number]
                    bare = replace(annotation, **dict.fromkeys(place.without or ()))
                    spelled = spelling(file.form, place.form)
                    identity = spelled.id if annotation.id is None else annotation.id
                    category = annotation.category
                    ids = self._category_ids[number]
                    category_id = (
                        spelled.category_id if category is None else ids.get(category.id, category.id)
                    )
                    status = "suggestion" if file.kind == "results" else None
                    record = record_of(bare, identity, sample.image.id, category_id, spelled, status)
                    place.record = msgspec.to_builtins(complete(record, bare))
                    place.form = None
            own[0].also = own[1:] or None
            found.append(replace(annotation, origin=kept(own[0])))
        return tuple(found) if files else sample.annotations


def sniff(tree: "Tree") -> str | None:
    """Why the tree looks like COCO; looks into a dozen JSON files at most."""
    likely = list(islice(filter(_is_likely, filter(_is_json, tree.files)), _LOOKED_AT))
    _, others = spread(tree.files, lambda p: _is_json(p) and not _is_likely(p), _LOOKED_AT - len(likely))
    for path in (*likely, *others):
        try:
            data = tree.read(path)
        except (FileNotFoundError, InputError):
            continue
        if b'"images"' not in data and b'"annotations"' not in data and b'"image_id"' not in data:
            continue
        try:
            top = coco_json.parse(data, path)
        except InputError:
            if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"category_id"' in data:
                return f"{path}, JSON with category_id, damaged"
            continue
        if coco_json.is_document(top):
            names = [key for key in ("images", "annotations", "categories") if key in top]
            return f"{path} with {', '.join(names)}"
        if coco_json.is_results(top):
            return f"{path}, a list of {len(top):,} results"
    return None


def read(tree: "Tree", variant: str | None = None) -> CocoLabels:
    """The labels of all COCO files of the tree; other JSON files are left alone.

    Results lists come last, so that they find the images and categories that the documents name. A file that
    cannot be read is a problem where there are others. Raises InputError where none can be read.
    """
    state = Reading(where=tree.root, several=False)
    found = _kinds(tree, _paths(tree), state.problems)
    bundled = [path for path, kind in found.items() if kind == "unified"]
    if bundled and len(found) > 1:
        others = ", ".join(path for path in found if path != bundled[0])
        raise InputError(
            f"{tree.root}: {bundled[0]} has all labels of a pack, and there is {others}; name one"
        )
    if bundled:
        return _read_unified(tree, bundled[0], state.problems)
    state.several = len(found) > 1
    where = tree.root if state.several else _where(tree, next(iter(found)))
    for path in sorted(found, key=lambda path: found[path]):
        state.where = _where(tree, path)
        top = coco_json.parse(tree.read(path), state.where)
        if isinstance(top, list):
            coco_reading.read_results(state, path, top)
        else:
            coco_reading.read_document(state, path, top)
    samples = coco_reading.samples(state)
    extra = extra_of(state.files)
    if not state.several:
        state.files[0].extra = None
    origin = origin_of(state.files)
    labels = CocoLabels(where, samples, state.categories, origin, extra, state.problems)
    labels.notes += doubled(state)
    return labels


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The source's documents again where the data set comes from COCO, else annotations.json.

    For other sources box, area and iscrowd are written where a label does not state them, and ids are made
    unique, so that pycocotools takes the file. `category_id` is null where a label has no category.
    """
    return coco_writing.write(dataset)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    """Nothing: what COCO has no word for goes into objects `xlabel`."""
    return iter(())


def _paths(tree: "Tree") -> list[str]:
    return list(filter(_is_json, tree.files))


def _is_json(path: str) -> bool:
    return has_ending(path, (".json",))


def _is_likely(path: str) -> bool:
    """Whether a file is called as COCO files usually are."""
    name = path.rpartition("/")[2].lower()
    return any(word in name for word in _WORDS)


def _where(tree: "Tree", path: str) -> str:
    return str(PurePosixPath(tree.root) / path)


def _kinds(tree: "Tree", paths: list[str], problems: list[Problem]) -> dict[str, str]:
    """The COCO files among `paths` with what they are; those that cannot be read are problems."""
    found: dict[str, str] = {}
    errors: list[InputError] = []
    for path in paths:
        try:
            top = coco_json.parse(tree.read(path), _where(tree, path))
        except FileNotFoundError:
            continue
        except InputError as error:
            errors.append(error)
            where, _, what = str(error).partition(": ")
            problems.append(Problem(where, "unreadable", what))
            continue
        if coco_json.is_document(top):
            found[path] = "unified" if unified_reading.is_ours(top) else "document"
        elif coco_json.is_results(top) or (top == [] and len(paths) == 1):
            found[path] = "results"
    if not found:
        if errors:
            raise errors[0]
        other = f"{len(paths):,} JSON files of another kind" if paths else "no JSON file"
        raise InputError(
            f'{tree.root}: expected COCO JSON ("images", "annotations" and "categories", or a list of '
            f"results), found {other}; is it another format?"
        )
    return found


def _read_unified(tree: "Tree", path: str, problems: list[Problem]) -> CocoLabels:
    where = _where(tree, path)
    read = unified_reading.read(tree.read(path), where)
    dataset = read.dataset
    origin = dataset.origin or Origin(format=NAME)
    samples = [*dataset.samples, *read.unmatched]
    return CocoLabels(where, samples, dataset.categories, origin, dataset.extra, problems + read.problems)


def _image_folders(path: str) -> list[str]:
    """Folders in which the images of a document may lie, the likeliest first, each with its slash."""
    folder, _, name = path.rpartition("/")
    word = name.removesuffix(".json").rpartition("_")[2]
    above = folder.rpartition("/")[0]
    split = split_of(path)
    choices = [folder, f"{folder}/images"] if folder else ["", "images"]
    for part in (word, split) if split else (word,):
        choices += [f"{above}/{part}", f"{above}/{part}/images", f"{above}/images/{part}"]
    return [choice.strip("/") + "/" if choice.strip("/") else "" for choice in choices]
