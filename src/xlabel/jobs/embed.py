"""Embed: labels go into the image files themselves, in place or into copies."""

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from xlabel import images
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.formats.labels import DocumentLabels, Ref
from xlabel.images import Buffer
from xlabel.jobs import labels as labelling
from xlabel.jobs import notes
from xlabel.jobs.changing import listed, target_folder
from xlabel.jobs.labels import Found
from xlabel.jobs.putting import ForeignError, embedded, picture
from xlabel.jobs.selection import select, sweep, wants_pixels
from xlabel.jobs.sidecar import put_beside
from xlabel.jobs.spread import spread
from xlabel.model import Annotation, Dataset, Image, Loss, Problem, Report, Sample
from xlabel.model import document as documents
from xlabel.model.dataset import Origin
from xlabel.model.report import Progress, counted
from xlabel.stores import rewrite
from xlabel.stores.local import Scan
from xlabel.stores.paths import key_of


class How(msgspec.Struct, frozen=True):
    """What is done to each image."""

    overwrite: bool = False
    """A UserComment of somebody else gives way."""
    sidecar: bool = False
    """Labels of an image that cannot hold them go into a file beside it."""
    mwg: bool = False
    """People are MWG face regions too."""
    pixels: bool = False
    """The fingerprints that need decoding are taken too."""
    keep_time: bool = False
    dry_run: bool = False


class Done(msgspec.Struct):
    """What became of a range of images."""

    counts: Counter[str]
    problems: list[Problem]
    forms: Counter[str]
    turned: list[str]
    used: int
    unread: list[Ref]
    bytes: int


def embed(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | Dataset | Iterable[Annotation] | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    format: str | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    skip_missing_images: bool = False,
    sidecar: bool = False,
    mwg: bool = False,
    fingerprint: str | None = None,
    keep_time: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Put labels into image files, in place or into copies below `output`; gives a report.

    `images` is a folder, a file or a glob. `labels` is a file or a folder in any format that xlabel reads; a
    data set, whose samples are found by their keys; or annotations, where `images` is one file. Without it
    they are those inside or beside the folder. Images without labels are left alone, and equal labels write
    nothing. `overwrite` replaces a UserComment that holds somebody else's text. `fingerprint="pixels"`
    decodes the images and stores those fingerprints too.

    >>> xlabel.embed("images/a.jpg", [xlabel.Annotation(bbox=(10, 20, 30, 40))]).done
    {'images': 1, 'labelled': 1, 'annotations': 1}
    """
    began = time.perf_counter()
    pixels = wants_pixels(fingerprint)
    selected = select(images, pattern)
    if labels is None or isinstance(labels, str | os.PathLike):
        found = labelling.find(selected, None if labels is None else Path(labels), format)
        if found is None or isinstance(found.labels, EmbeddedLabels):
            raise InputError(
                f"{images}: expected label files in the folder or beside it, found none; say where they are"
            )
    elif isinstance(labels, Dataset):
        found = _of_dataset(labels)
    else:
        found = _given(selected, tuple(labels))
    found.labels.bind(selected.keys)
    if not dry_run:
        sweep(selected)
    how = How(overwrite, sidecar, mwg, pixels, keep_time, dry_run)
    target = None if output is None else target_folder(output, selected)
    worker = _Worker(selected, found, target, how)
    report = Report(job="embed", problems=[*selected.problems, *found.labels.problems])
    if any((found.labels.extra or {}).values()):
        report.losses.append(Loss("the data set", "info"))
    found.labels.problems.clear()
    total = Counter[str]()
    forms = Counter[str]()
    used, unread, turned = 0, list[Ref](), list[str]()
    for done in spread(worker, len(selected.keys), workers):
        total += done.counts
        forms += done.forms
        report.problems += done.problems
        report.bytes += done.bytes
        used += done.used
        unread += done.unread
        turned += done.turned
        if progress:
            progress(report.bytes, sum(selected.sizes))
    if found.root:
        labelling.leftovers(found, selected.keys, used, unread, report, wanted=not skip_missing_images)
    report.done = {"images": len(selected.keys)}
    report.done |= {word: total[word] for word in ("labelled", "unchanged", "sidecars") if total[word]}
    report.done["annotations"] = total["annotations"]
    notes.note_turned(report, turned)
    if total["without"]:
        report.notes.append(f"{counted(total['without'], 'images')} without labels, left alone")
    report.notes += [f"{what} in {counted(number, 'images')}" for what, number in sorted(forms.items())]
    notes.finish(report, began, dry_run=dry_run)
    return report


class _Worker:
    """Embeds a range of images; one a process."""

    def __init__(self, selected: Scan, found: Found, target: bytes | None, how: How) -> None:
        self._selected = selected
        self._root = os.fsencode(selected.root) + b"/"
        self._labels = found.labels
        self._target = target
        self._how = how

    def __call__(self, start: int, stop: int) -> Done:
        done = Done(Counter(), [], Counter(), [], 0, [], 0)
        for name in self._selected.keys.raw(start, stop):
            key = key_of(name)
            where = f"{self._selected.root}/{key}"
            with listed(where, done.problems, self._target):
                self._image(name, key, where, done)
            done.problems += self._labels.problems
            self._labels.problems.clear()
        return done

    def _image(self, name: bytes, key: str, where: str, done: Done) -> None:
        with rewrite.opened(self._root + name) as (data, seen):
            done.bytes += len(data)
            try:
                header = images.header(data)
            except ValueError as error:
                done.problems.append(Problem(where, "undecodable", f"{error}; no labels put into it"))
                self._copy(name, data, seen)
                return
            image = images.image_of(key, header)
            if header is None and not self._how.sidecar:
                message = "expected an image, found no kind that xlabel knows; no labels put into it"
                done.problems.append(Problem(where, "undecodable", message))
                self._copy(name, data, seen)
                return
            sample, unread = labelling.load(self._labels, image)
            done.used += sample.origin is not None
            done.unread += [] if unread is None else [unread]
            if sample.origin is None:
                done.counts["without"] += 1
                self._copy(name, data, seen)
                return
            if sample.turned:
                done.turned.append(key)
            if cut := images.cut(data):
                done.problems.append(
                    Problem(where, "cut-off", f"the image is cut off: {cut}; fetch it again")
                )
            self._put(data, seen, sample, name, where, done)

    def _put(
        self, data: Buffer, seen: rewrite.Seen, sample: Sample, name: bytes, where: str, done: Done
    ) -> None:
        how = self._how
        try:
            change = embedded(data, sample, pixels=how.pixels, mwg=how.mwg, overwrite=how.overwrite)
        except ForeignError as error:
            done.problems.append(Problem(where, "foreign-comment", str(error)))
            self._copy(name, data, seen)
            return
        except ValueError as error:
            self._beside(data, seen, sample, name, where, done, str(error))
            return
        if change is None and self._target is None:
            done.counts["unchanged"] += 1
            done.counts["annotations"] += len(sample.annotations)
            return
        pieces: list[Buffer] = [data] if change is None else change.pieces
        if self._target is not None:
            self._copy(name, data, seen, pieces)
        elif not how.dry_run:
            rewrite.replace(seen, pieces, keep_time=how.keep_time)
        done.counts["labelled"] += 1
        done.counts["annotations"] += len(sample.annotations)
        for carrier, form in change.forms.items() if change else ():
            if form == "packed":
                done.forms[f"{carrier} packed, to save room,"] += 1
            elif form != "plain":
                done.forms[f"{carrier} left out ({form})"] += 1
        if self._target is None and seen.info.st_nlink > 1:
            done.forms["another name (hard link) keeps the file as it was"] += 1

    def _beside(
        self, data: Buffer, seen: rewrite.Seen, sample: Sample, name: bytes, where: str, done: Done, why: str
    ) -> None:
        self._copy(name, data, seen)
        if not self._how.sidecar:
            message = f"{why}; say --sidecar to write them into a file beside it"
            done.problems.append(Problem(where, "no-room", message))
            return
        done.counts["annotations"] += len(sample.annotations)
        document = documents.encode(documents.document(sample, picture(data, sample, self._how.pixels)))
        place = (self._target or self._root) + name
        changed = put_beside(place, document, why, seen.info, dry_run=self._how.dry_run)
        done.counts["sidecars" if changed else "unchanged"] += 1

    def _copy(
        self, name: bytes, data: Buffer, seen: rewrite.Seen, pieces: list[Buffer] | None = None
    ) -> None:
        """The copy of an image, changed or as it is, where copies are wanted."""
        if self._target is not None and not self._how.dry_run:
            path = self._target + name
            rewrite.create(path, pieces or [data], seen.info, keep_time=self._how.keep_time)


def _of_dataset(dataset: Dataset) -> Found:
    samples = [
        msgspec.structs.replace(sample, origin={}) if sample.origin is None else sample
        for sample in dataset.samples
    ]
    origin = dataset.origin or Origin(format="json")
    labels = DocumentLabels("labels", samples, dataset.categories, origin)
    return Found(labels, "labels", labelling.Layout(), "a data set")


def _given(selected: Scan, annotations: tuple[Annotation, ...]) -> Found:
    if len(selected.keys) != 1:
        raise InputError(f"{selected.root}: annotations are of one image, found {len(selected.keys):,}")
    (key,) = selected.keys
    return _of_dataset(Dataset(samples=[Sample(image=Image(key=key), annotations=annotations)]))
