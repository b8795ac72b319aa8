"""Update of an .mp4: what is new is appended to it, and what stays is not touched."""

import os
from array import array
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import msgspec

from xlabel import bundles
from xlabel.errors import InputError
from xlabel.formats.unified_lines import Lines, grouped
from xlabel.jobs import labels as labelling
from xlabel.jobs.around import holders
from xlabel.jobs.assembly import FPS, Assembly, Base, frame_rate, manifest_file, says_the_same
from xlabel.jobs.batch import Batch, zip_records
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.frames import Ask, Described, Making, Packer, name_problem
from xlabel.jobs.generations import (
    LOG,
    Changes,
    Generation,
    Records,
    removed_by_others,
    spans,
)
from xlabel.jobs.labels import Found
from xlabel.jobs.notes import named
from xlabel.jobs.opening import read_lines
from xlabel.jobs.packing import How, below, bound, in_folder, publish, reported, run_packer
from xlabel.jobs.planning import Plan, plan
from xlabel.jobs.putting import now
from xlabel.jobs.records import AnnotationFile
from xlabel.jobs.relabel import Relabel
from xlabel.jobs.seals import is_edited
from xlabel.jobs.seen import seen
from xlabel.model import Problem, Report, Sample
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, Manifest, Seen, empty_names, name_bytes
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores import stats
from xlabel.stores.local import Scan
from xlabel.stores.paths import Paths, key_of
from xlabel.stores.stats import Stats
from xlabel.stores.transaction import Hidden, Transaction

DEAD = 0.25
"""Share of a media file that no image needs, from which on compacting is advised."""
BATCH = 500
_OF_IMAGES = frozenset({"cut-off", "undecodable"})
"""Problems of an image file that are there as long as its bytes do not change."""
_OF_NAMES = frozenset({"name-not-utf8", "control-character"})
_ASK = Ask(frames=1, size=0, image_ids=0, annotation_ids=0, categories=[], contents=[])

_json = msgspec.json.Encoder()


class Growing:
    """One update of an .mp4: what is new goes behind what is there."""

    def __init__(
        self,
        bundle: Bundle,
        images: Scan,
        found: Found | None,
        how: How,
        work: Transaction,
        leaving: ExitStack,
        verify: bool,
        absent: dict[int, str],
    ) -> None:
        """`verify`: look at all images; `absent`: keys of those of others that the folder does not have."""
        manifest = bundle.manifest
        assert manifest is not None
        self.bundle, self.old, self.images, self.found = bundle, manifest, images, found
        self.work, self.leaving = work, leaving
        self.folder = bundle.media.parent
        self.names = list(images.keys.names())
        self.root = os.fsencode(images.root) + b"/"
        self.lines = read_lines(bundle, leaving)
        self.places = _places(self.lines, manifest)
        self.edited = is_edited(bundle, self.lines)
        self.before = bundle.generation
        self.how = msgspec.structs.replace(how, generation=self.before + 1)
        self.problems = bound(found, images)
        marks = self._mark(stats.IMAGES), self._mark(stats.LABELS)
        count = 0 if verify else len(manifest.frames)
        self.image_stats, self.label_stats = (
            stats.read(stats.place(self.folder, name), mark, count)
            for name, mark in zip((stats.IMAGES, stats.LABELS), marks, strict=True)
        )
        for known in (self.image_stats, self.label_stats):
            known.grow(len(manifest.frames) + len(self.names))
        self.theirs = {number: key for number, key in absent.items() if not self.image_stats.has(number)}
        """Images that stay although the folder does not have them: key by frame number."""
        known, stay = self.label_stats, bool(self.theirs)
        self.relabel = Relabel(self.lines, found, images.root, known, trusted=not self.edited, stay=stay)
        self.making = Making(bundles.kind(bundle.kind), bundle.has_face, noted=True, pixels=how.pixels)
        self.changes = Changes(work.staged("spool-log"), self.lines.tail)
        leaving.callback(self.changes.close)
        work.unless_committed(self.changes.undo)
        self.crcs: dict[int, int] = {}
        """CRC-32 of the frames that are deleted, where the ZIP face has them."""

    def run(self, message: str, progress: Progress | None) -> Report:
        """Bring the pack up to date."""
        bundle, media = self.bundle, self.bundle.media
        index = bundle.trailer().index
        noted = {number: found for number, at in self.places.items() if (found := self.lines.seen(at))}
        live = {frame.raw_name: frame for frame in self.old.live if frame.index not in self.theirs}
        made = plan(self.images, live, noted, self.image_stats, self._differs, self.how.workers, progress)
        self.work.grow(media.name, bundle.size, index)
        rate = frame_rate(self.old.fps or FPS)
        manifest = manifest_file(self.work.staged(MANIFEST), media.name, self.making.kind, rate)
        annotations = AnnotationFile(self.work, ANNOTATIONS)
        frames = self.old.frames
        shared = {bytes.fromhex(frame.sha256): frame.offset for frame in frames} if self.making.shared else {}
        base = Base(size=bundle.size, count=len(frames), shared=shared)
        assembly = Assembly(self.work, self.making, rate, manifest, annotations, [], (1, 1), base)
        self.leaving.callback(assembly.close)
        assembly.categories = self.relabel.categories
        assembly.problems += self.problems
        self._keep(made, noted, assembly)
        self._move(made, assembly)
        appended = self._append(made, assembly, progress)
        self._remove(made)
        files = in_folder(self.folder, media.name)
        report, whole = reported(assembly, self.images, self.found, files, self.how)
        self._note_others(made, report)
        extra = self.found.labels.extra if self.found else None
        problems = below(report.problems, self.images, self.found)
        same = msgspec.to_builtins(problems) == self.old.problems
        same = same and says_the_same(self.lines.top, self.relabel.categories.all, extra, whole)
        if self.edited:
            report.problems.append(self._edited())
            problems = below(report.problems, self.images, self.found)
        elif same and not self.changes.counts:
            self._write_stats(self._mark, len(frames))
            report.bytes = 0
            report.notes.append(f"nothing has changed since generation {self.before}; no file was written")
            return report
        moved = bool(made.added or made.renamed or made.gone) or self._empty_ones_changed()
        if moved:
            assembly.finish_media(media, self.images.empty)
            with open(media, "rb") as file:
                os.fsync(file.fileno())
        size = media.stat().st_size if moved else bundle.size
        assembly.finish_json(media.name, size, self.before + 1, whole, extra, problems)
        self._log(report, assembly.pack_id, size, message)
        hide = Hidden(media.name, index) if moved else None
        publish({self.folder: self.work}, report, files, hide, in_place=True)
        report.files = {str(media): size} | report.files
        mark = partial(self._mark, pack_id=assembly.pack_id, generation=self.before + 1)
        self._write_stats(mark, assembly.next_number)
        report.bytes = appended
        report.done |= self.changes.counts
        self._note(made, report, assembly, size)
        return report

    def _log(self, report: Report, pack_id: str, size: int, message: str) -> None:
        """Add the generation to the log, before it is published."""
        line = Generation(
            generation=self.before + 1,
            time=now(),
            message=message,
            changes=self.changes.counts,
            pack_id=pack_id,
            media_size=size,
            theirs=spans(self.theirs),
        )
        set_aside = self.changes.append(self.folder / LOG, self.bundle.made, line)
        report.notes += [set_aside] if set_aside else []

    def _note_others(self, made: Plan, report: Report) -> None:
        """Say which images that others have added stay, and which that they have removed are back."""
        if keys := sorted(self.theirs.values()):
            report.notes.append(
                f"{counted(len(keys), 'images')} that others have added stay, although {self.images.root} "
                f"never had them: {named(keys)}; xlabel unpack {self.folder} gives them, --overwrite takes "
                "them out"
            )
        if keys := self._back(made):
            report.notes.append(
                f"{counted(len(keys), 'images')} that others have removed or renamed are added again, since "
                f"{self.images.root} still has them: {named(keys)}; remove them there, too, if "
                "they are to stay away"
            )

    def _note(self, made: Plan, report: Report, assembly: Assembly, size: int) -> None:
        """Say what the update has done to the pack."""
        name = self.bundle.media.name
        report.notes.append(
            f"generation {self.before + 1}: {size_text(size - self.bundle.size)} more in {name}"
        )
        if made.renamed and self.making.face:
            report.notes.append(
                f"{counted(len(made.renamed), 'images')} renamed: unzip warns of the old names before their "
                f"bytes until xlabel compact {self.folder}"
            )
        if self.lines.labelled and not assembly.counted.annotations:
            report.notes.append(
                f"no labels were found any more; xlabel unpack {self.folder}@{self.before} gives those that "
                "there were"
            )
        self._note_dead(report, assembly.places, size)

    def _keep(self, made: Plan, noted: dict[int, Seen], assembly: Assembly) -> None:
        """Go through the frames that there are: mark those that are deleted, and renew labels."""
        records = zip_records(self.bundle) if self.making.face else iter(())
        gone = set(made.gone.values())
        batch = Batch()
        for frame in self.old.frames:
            if frame.deleted:
                batch.frames.append(frame)
                continue
            _, crc, record = next(records, (b"", 0, b""))
            if frame.index in gone:
                batch.frames.append(msgspec.structs.replace(frame, deleted=True))
                self.crcs[frame.index] = crc
                continue
            differs = made.seen.get(frame.index, noted.get(frame.index))
            at, same = self.places[frame.index], frame.index not in made.seen
            if frame.index in self.theirs:
                labelled = self.relabel.stays(at, frame)
            else:
                labelled = self.relabel.kept(at, frame, differs, same=same)
            if labelled.changed:
                self.changes.add("relabelled", self._was(frame.index), labelled.records)
            batch.add(frame, labelled.records, record)
            if len(batch.frames) >= BATCH:
                assembly.keep(batch.described(), batch.numbers)
                batch = Batch()
        assembly.keep(batch.described(), batch.numbers)
        assembly.empty = {name: record for name, _, record in records}
        self._tell_again(made, assembly)

    def _move(self, made: Plan, assembly: Assembly) -> None:
        """Give the bytes of deleted frames to the images that have them under another name."""
        kind, face = self.making.kind, self.making.face
        written = holders(self.old.frames)
        batch = Batch()
        for position, number in made.renamed.items():
            name, old = self.names[position], self.old.frames[number]
            index = assembly.grant(_ASK).index
            frame = msgspec.structs.replace(old, index=index, key=key_of(name), name_bytes=name_bytes(name))
            labelled = self.relabel.moved(self.places[number], frame)
            self.changes.add("renamed", self._was(number), labelled.records)
            head = len(kind.prefix(written[old.offset].raw_name, old.size, face))
            record = kind.record(name, old.size, self.crcs[number], old.offset - head) if face else b""
            batch.add(frame, labelled.records, record)
            self.image_stats.take(index, made.looked, position)
        assembly.accept(batch.described())

    def _append(self, made: Plan, assembly: Assembly, progress: Progress | None) -> int:
        """Append the images that are new, or changed; gives their bytes."""
        assembly.number_from(self.relabel.image_id, self.relabel.annotation_id)
        before = assembly.counted.bytes
        images = msgspec.structs.replace(
            self.images,
            keys=Paths([self.names[position] for position in made.added]),
            sizes=array("Q", (self.images.sizes[position] for position in made.added)),
        )
        looked = Stats(len(made.added))
        place = {name: at for at, name in enumerate(images.keys.names())}
        for name, at in place.items():  # before they are read: what changes while they are will be seen
            looked.note(at, stats.look(self.root + name))
        packer = Packer(images, self.found, self.making, str(self.bundle.media), self.relabel.category_ids)
        self.leaving.callback(packer.close)

        def accepted(batch: Described) -> None:
            first = assembly.next_number - len(batch.offsets)
            names = batch.names.split(b"\0")[:-1]
            parts = grouped(batch.images, batch.annotations)
            for number, (name, records) in enumerate(zip(names, parts, strict=True), start=first):
                was = self._was(made.gone[name]) if name in made.gone else None
                self.changes.add("changed" if was else "added", was, Records(*records))
                self.image_stats.take(number, looked, place[name])

        if made.added:
            run_packer(packer, images, assembly, self.how.workers, progress, accepted)
        assembly.counted.used += self.relabel.used
        assembly.counted.unread += self.relabel.unread
        assembly.counted.turned += self.relabel.turned
        assembly.problems += self.relabel.problems
        return assembly.counted.bytes - before

    def _back(self, made: Plan) -> list[str]:
        """Keys of the images that others have taken out, and that are added again."""
        fresh = [self.names[position] for position in (*made.added, *made.renamed)]
        keys = {key_of(name) for name in fresh if name not in made.gone}
        last = {frame.key: frame.index for frame in self.old.frames if frame.deleted and frame.key in keys}
        removed = removed_by_others(self.folder / LOG, self.bundle.made) if last else set()
        return sorted(key for key, number in last.items() if number in removed)

    def _remove(self, made: Plan) -> None:
        """Note the images that are no longer there."""
        again = {self.names[position] for position in made.added}
        moved = set(made.renamed.values())
        for name, number in made.gone.items():
            if name not in again and number not in moved:
                self.changes.add("removed", self._was(number), None)

    def _was(self, number: int) -> Records:
        """The records of a frame as they were."""
        at = self.places[number]
        return Records(self.lines.image(at), self.lines.annotations(at))

    def _differs(self, frame: Frame, position: int) -> Seen | None:
        """How an image file differs from its frame, if only in what is embedded."""
        try:
            with open(self.root + self.names[position], "rb") as file:
                data = file.read()
        except OSError:
            return None
        at = self.places[frame.index]
        sample = Sample(image=msgspec.structs.replace(self.lines.sample(at).sample.image, id=None))
        if self.found is not None:
            sample, _ = labelling.load(self.found.labels, sample.image, data)
            self.found.labels.problems.clear()  # it is loaded once more
        sample = self.relabel.as_written(sample, frame, at)
        return seen(self.bundle.image_bytes(at), data, sample)

    def _tell_again(self, made: Plan, assembly: Assembly) -> None:
        """List what was wrong with images that are not looked at again."""
        kept = {self.old.frames[number].key for number in made.kept} | {*self.theirs.values()}
        copied = kept - self.relabel.loaded
        now = {self.old.frames[number].key: self.names[at] for at, number in made.renamed.items()}
        for problem in msgspec.convert(self.old.problems, list[Problem]):
            key = problem.where
            if key in kept and problem.code in _OF_NAMES:
                self._tell(assembly, problem, key)
            elif problem.code in _OF_IMAGES and (key in kept or key in now):
                self._tell(assembly, problem, key if key in kept else key_of(now[key]))
            elif problem.code == "labels-disagree" and key in copied:
                self._tell(assembly, problem, key)
        for name in now.values():
            if wrong := name_problem(name, key_of(name)):
                self._tell(assembly, Problem("", *wrong), key_of(name))

    def _tell(self, assembly: Assembly, problem: Problem, key: str) -> None:
        assembly.problems.append(msgspec.structs.replace(problem, where=f"{self.images.root}/{key}"))

    def _empty_ones_changed(self) -> bool:
        before = empty_names(self.old.empty, self.old.empty_bytes)
        return self.making.face and sorted(before) != sorted(self.images.empty)

    def _mark(self, name: str, pack_id: str | None = None, generation: int = 0) -> bytes:
        """What the files that were seen are of: pack, folder, and for labels what they depend on besides."""
        first = pack_id or self.bundle.pack_id, generation or self.before, self.images.root
        parts = [stats.mark(name, *first)]
        if name == stats.LABELS and self.found is not None:
            labels = self.found.labels
            parts += [
                os.fsencode(os.path.realpath(self.found.root)),
                _json.encode([labels.origin, labels.extra]),
            ]
        return b"\n".join(parts)

    def _write_stats(self, mark: Callable[[str], bytes], count: int) -> None:
        for name, known in ((stats.IMAGES, self.image_stats), (stats.LABELS, self.label_stats)):
            known.write(stats.place(self.folder, name), mark(name), count)

    def _edited(self) -> Problem:
        """What to say of an annotation file that somebody has edited."""
        message = (
            f"was edited since it was written; the labels that were found now count, and what it said stays "
            f"generation {self.before}: xlabel diff {self.folder}@{self.before} {self.folder}"
        )
        return Problem(str(self.folder / ANNOTATIONS), "annotations-changed", message)

    def _note_dead(self, report: Report, places: list[tuple[int, int]], size: int) -> None:
        """Say how much of the media is of deleted images, or of indexes that do not count any more."""
        with open(self.bundle.media, "rb") as file:
            line = bundles.read_trailer(
                lambda at, count: memoryview(os.pread(file.fileno(), count, at)), size, file.name
            )
        names = sum(map(len, self.names)) + len(self.names)
        around = names + (names + 29 * len(self.names) if self.making.face else 0)  # keys, and local headers
        dead = size - sum(dict(places).values()) - around - (size - line.index)
        advice = f"; xlabel compact {self.folder} takes them out" if dead > DEAD * size else ""
        share = f"{size_text(dead)}, {dead / size:.0%} of {self.bundle.media.name}"
        report.notes.append(f"{share}, are dead{advice}")


def _places(lines: Lines, manifest: Manifest) -> dict[int, int]:
    """Frame number -> position in the annotation file. InputError where it has not just the live frames."""
    live = manifest.live
    places = {}
    for at in range(len(lines)):
        with suppress(KeyError):
            places[lines.frame_index(at)] = at
    missing = next((frame.key for frame in live if frame.index not in places), None)
    if missing is not None or not len(live) == len(places) == len(lines):
        what = f"found none of {missing}" if missing else f"found {counted(len(lines), 'images')}"
        raise InputError(
            f"{lines.where}: expected a record of each of the {counted(len(live), 'frames')} that are live, "
            f"{what}; put back what was written, or pack anew"
        )
    return places
