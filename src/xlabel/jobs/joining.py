"""Two packs that have grown from one joined: the changes of ours put upon theirs.

What was added here is appended behind the media as it is there, with new frame numbers; what was removed or
relabelled here is so again. Where both have changed the same image, ours comes later and counts, and theirs
stays in the log; what others have removed and we relabelled is there again, and an image that the two have
renamed differently is there twice.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from msgspec.structs import replace

from xlabel import bundles
from xlabel.bundles import mp4
from xlabel.bundles.mp4_index import generations
from xlabel.formats import unified_writing
from xlabel.formats.unified_lines import Lines
from xlabel.formats.unified_reading import Described
from xlabel.jobs.assembly import FPS, Assembly, Base, Categories, frame_rate, manifest_file
from xlabel.jobs.batch import Batch, zip_records
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.comparing import compared, image_differs
from xlabel.jobs.frames import Ask, Making
from xlabel.jobs.generations import (
    LOG,
    Changes,
    Generation,
    Made,
    Records,
    ended,
    records_at,
    spans,
    theirs,
    told,
    travelling,
)
from xlabel.jobs.notes import named
from xlabel.jobs.placing import placed
from xlabel.jobs.putting import now
from xlabel.jobs.records import AnnotationFile
from xlabel.model import Sample
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, Manifest, empty_fields, empty_names
from xlabel.model.report import counted
from xlabel.stores.transaction import Transaction

_REBASED = "put upon what others have pushed"
"""The message of updates that had none."""
_ASK = Ask(frames=1, size=0, image_ids=0, annotation_ids=0, categories=[], contents=[])


class Side:
    """A state of the data set: its bundle, and its annotation file."""

    def __init__(self, bundle: Bundle, lines: Lines) -> None:
        self.bundle, self.lines, self.places = bundle, lines, lines.positions()

    def records(self, number: int) -> Records | None:
        """The records of an image by its frame number."""
        return records_at(self.lines, self.places.get(number))

    def told_of(self, number: int) -> Described:
        """An image and its labels by its frame number."""
        return self.lines.sample(self.places[number])


class Join:
    """The changes of one pack since a state that both have, and another one that they are put upon."""

    def __init__(
        self,
        work: Transaction,
        ours: Side,
        base: Side,
        theirs: Side,
        start: int,
        leaving: ExitStack,
    ) -> None:
        """`base` is what both have, `start` the bytes of media that they share."""
        self.work, self.ours, self.base, self.theirs = work, ours, base, theirs
        self.start, self.leaving = start, leaving
        found = theirs.bundle.manifest
        assert found is not None
        self.manifest: Manifest = found
        self.categories = Categories(theirs.lines.top.categories)
        self.category_ids = self.categories.numbered(ours.lines.top.categories)
        next_ids = theirs.lines.next_ids(), ours.lines.next_ids()
        self.image_id, self.annotation_id = (max(pair) for pair in zip(*next_ids, strict=True))
        every = [theirs.lines.ids(at) for at in range(len(theirs.lines))]
        self.taken_images = {image for image, _ in every}
        self.taken = {one for _, annotations in every for one in annotations}
        self.theirs_since = compared(base.lines, theirs.lines)
        self.reworded: set[int] = set()
        """Numbers of images whose records have changed here, and say the same of them."""
        self.conflicts: list[str] = []
        """Keys of images that both have changed."""
        self.restored: list[str] = []
        """Keys of images that others have removed, and that we have relabelled."""
        self.replaced: list[str] = []
        """Keys of images that others have put other files in the place of, and that we have relabelled."""
        self.taken_places: set[int] = set()
        """Where images lie that must not have another name: `unzip` refuses a ZIP that has two for one."""
        self._entries: dict[bytes, bytes] | None = None

    def run(self, folder: Path, common: int, log_there: list[Generation], url: str) -> str:
        """Write the next generation, and put it in the folder's place."""
        mine, there = self.ours.bundle, self.theirs.bundle
        generation = there.generation + 1
        name = mine.media.name
        theirs_log, log = self._logs(folder, common, log_there)
        changes = Changes(self.work.staged("spool-log"), self.theirs.lines.tail)
        self.leaving.callback(changes.close)
        making = Making(bundles.kind(mp4.NAME), there.has_face, noted=True)
        rate = frame_rate(self.manifest.fps or FPS)
        manifest = manifest_file(self.work.staged(MANIFEST), name, making.kind, rate)
        annotations = AnnotationFile(self.work, ANNOTATIONS)
        frames = self.manifest.frames
        stored = {bytes.fromhex(f.sha256): f.offset for f in frames} if making.shared else {}
        base = Base(size=there.size, count=len(frames), shared=stored)
        assembly = Assembly(self.work, making, rate, manifest, annotations, [], (1, 1), base)
        self.leaving.callback(assembly.close)
        assembly.categories = self.categories
        changed = self._changed()
        added = [number for number, was in changed.items() if was is None]
        added += self._removed_there(changed)
        self._keep(changed, added, making, assembly, changes)
        if making.face:
            self.taken_places.update(offset for offset, _ in assembly.places)
        media = self.work.staged(name)
        with open(media, "r+b") as out:
            for number in added:
                self._add(number, making, assembly, changes, out)
        was, top, newest = self.base.lines.top, self.ours.lines.top, self.theirs.lines.top
        empty = self._empty(was.section)
        assembly.finish_media(media, empty)
        _hide(media)
        size = media.stat().st_size
        section = _merged(was.section, top.section, newest.section) | empty_fields(empty)
        extra = _merged(was.extra or {}, top.extra or {}, newest.extra or {}) or None
        assembly.finish_json(name, size, generation, section, extra, self._problems(changed))
        absent = theirs(folder / LOG, mine.made) | (self.theirs.places.keys() - self.base.places.keys())
        changes.append(
            log,
            there.made,
            Generation(
                generation=generation,
                time=now(),
                message=_message(told(folder / LOG, mine.made), common),
                changes=changes.counts,
                pack_id=assembly.pack_id,
                media_size=size,
                theirs=spans(absent),
            ),
        )
        self.work.commit([name, ANNOTATIONS, MANIFEST, LOG])
        return self._note(folder, common, theirs_log.generation, url)

    def _note(self, folder: Path, common: int, theirs: int, url: str) -> str:
        """What was taken in, where both have changed something, and what to do before the next update."""
        notes = [
            f"others have pushed to {url} since generation {common}: their changes were taken in as "
            f"generation {theirs}, and ours follow"
        ]
        if both := sorted({*self.conflicts} - {*self.restored}):
            notes.append(f"changed by both, and ours count: {counted(len(both), 'images')}, {named(both)}")
        if keys := sorted(self.replaced):
            notes.append(
                f"replaced by others, and the files that we relabelled stay, with our labels: "
                f"{counted(len(keys), 'images')}, {named(keys)} (theirs: xlabel unpack {folder}@{theirs})"
            )
        if renamed := self._renamed():
            notes.append(
                f"renamed, and kept under both names: {counted(len(renamed), 'images')}, {named(renamed)}"
            )
        if keys := sorted({*self.restored} - {*self.theirs_since.before.values()}):
            notes.append(
                f"removed by others although relabelled here, and kept with our labels: "
                f"{counted(len(keys), 'images')}, {named(keys)}"
            )
        notes.append(
            "xlabel unpack gives the images that others have added; until then an update leaves them as they "
            "are"
        )
        return "; ".join(notes)

    def _renamed(self) -> list[str]:
        """Images that both have renamed, not to the same, or that others have renamed and we relabelled."""
        theirs = {old: new for new, old in self.theirs_since.before.items()}
        ours = {old: new for new, old in compared(self.base.lines, self.ours.lines).before.items()}
        ours |= {key: key for key in self.restored if key in theirs}
        return [
            f"{old} ({theirs[old]} theirs, {ours[old]} ours)"
            for old in sorted({*theirs}.intersection(ours))
            if theirs[old] != ours[old]
        ]

    def _removed_there(self, changed: dict[int, Records | None]) -> list[int]:
        """Numbers of images that we have relabelled and others have removed: they are added again."""
        found = []
        live = {frame.key for frame in self.manifest.frames if not frame.deleted}
        for frame in self.manifest.frames:
            if frame.deleted and changed.get(frame.index) is not None and frame.index in self.ours.places:
                found.append(frame.index)
                if frame.key not in live:
                    self.restored.append(frame.key)
        return found

    def _empty(self, was: dict[str, Any]) -> list[bytes]:
        """Names of the files of 0 bytes: ours where we have changed that, else theirs."""
        before = {*empty_names(was.get("empty", []), was.get("empty_bytes", {}))}
        ours, theirs = {*self.ours.bundle.empty_names()}, {*self.theirs.bundle.empty_names()}
        return sorted((theirs | (ours - before)) - (before - ours))

    def _problems(self, changed: dict[int, Records | None]) -> list[dict[str, Any]]:
        """Problems of both, without those of images that only the other side has since changed."""
        manifest = self.ours.bundle.manifest
        mine = manifest.problems if manifest else []
        ours = {self._key(number) for number in changed}
        theirs = {
            self._key_there(number)
            for number in self.theirs.places
            if self.theirs.records(number) != self.base.records(number)
        } - ours
        found = [one for one in mine if one.get("where") not in theirs]
        found += [one for one in self.manifest.problems if one not in found and one.get("where") not in ours]
        return sorted(found, key=lambda one: str(one.get("where")))

    def _key_there(self, number: int) -> str:
        return self.theirs.told_of(number).sample.image.key

    def _key(self, number: int) -> str:
        """The key of an image that is here, or was in what both have."""
        side = self.ours if number in self.ours.places else self.base
        return side.told_of(number).sample.image.key

    def _changed(self) -> dict[int, Records | None]:
        """By frame number, the records before the change of what was changed here."""
        found: dict[int, Records | None] = {}
        for number in sorted({*self.base.places, *self.ours.places}):
            was = self.base.records(number)
            if was == self.ours.records(number):
                continue
            if self._differs(number, self.ours):
                found[number] = was
            else:
                self.reworded.add(number)
        return found

    def _differs(self, number: int, side: Side) -> bool:
        """Whether an image is another one on a side than in what both have, or only there, or no more."""
        was, now = self.base.places.get(number), side.places.get(number)
        return was is None or now is None or image_differs(self.base.lines, was, side.lines, now)

    def _keep(
        self,
        changed: dict[int, Records | None],
        added: list[int],
        making: Making,
        assembly: Assembly,
        changes: Changes,
    ) -> None:
        """Go through the frames that are there, with the labels of ours that have changed."""
        entries = zip_records(self.theirs.bundle) if making.face else iter(())
        new = {self._key(number): number for number in added}
        batch = Batch()
        for frame in self.manifest.frames:
            number = frame.index
            if frame.deleted:
                batch.frames.append(frame)
                continue
            _, _, entry = next(entries, (b"", 0, b""))
            now_there = self.theirs.records(number)
            assert now_there is not None
            ours = number in changed and changed[number] is not None
            removed = ours and number not in self.ours.places
            if ours and self._differs(number, self.theirs):
                self.conflicts.append(frame.key)
            again = new.get(frame.key)
            if again is not None and not removed and self._is_same(again, frame):  # both have added it
                records = self._relabelled(again, frame, now_there)
                if records != now_there:
                    self.conflicts.append(frame.key)
                    changes.add("relabelled", now_there, records)
                added.remove(again)
                batch.add(frame, records, entry)
                continue
            if removed or again is not None:
                if not removed and frame.key not in self.conflicts:
                    self.conflicts.append(frame.key)
                if again in self.base.places:
                    self.replaced.append(frame.key)
                batch.frames.append(replace(frame, deleted=True))
                changes.add("removed", now_there, None)
                continue
            records = now_there
            if ours or (number in self.reworded and now_there == self.base.records(number)):
                records = self._records(number, frame, *self._ids_there(number))
                changes.add("relabelled", now_there, records)
            batch.add(frame, records, entry)
        assembly.keep(batch.described(), batch.numbers)
        assembly.empty = {name: entry for name, _, entry in entries}

    def _is_same(self, number: int, frame: Frame) -> bool:
        """Whether an image of ours has the bytes of a frame there."""
        ours = self.ours.told_of(number).frame
        return ours is not None and (ours.sha256, ours.size) == (frame.sha256, frame.size)

    def _relabelled(self, number: int, frame: Frame, there: Records) -> Records:
        """The records of an image that both have added: with our labels, where they are others."""
        one, other = self.ours.told_of(number), self.theirs.told_of(frame.index)
        if _without_ids(one.sample) == _without_ids(other.sample) and one.seen == other.seen:
            return there
        return self._records(number, frame, *self._ids_there(frame.index))

    def _add(self, number: int, making: Making, assembly: Assembly, changes: Changes, out: BinaryIO) -> None:
        """Add an image of ours: by its bytes, or by their place where they are in what both have.

        With the ZIP face, not by a place that has a name already: two renamed it, each in another way.
        """
        told_of = self.ours.told_of(number)
        old = told_of.frame
        assert old is not None
        if old.offset + old.size <= self.start and old.offset not in self.taken_places:
            frame = replace(old, index=assembly.grant(_ASK).index)
            entry = self._entry(frame.raw_name)
        else:
            frame, entry = placed(self.ours.bundle, self.ours.places[number], told_of, making, assembly, out)
        image_id = told_of.sample.image.id
        if image_id is None or image_id in self.taken_images:
            image_id, self.image_id = self.image_id, self.image_id + 1
        records = self._records(number, frame, image_id)
        changes.add("added", None, records)
        batch = Batch()
        batch.add(frame, records, entry)
        assembly.accept(batch.described())

    def _entry(self, name: bytes) -> bytes:
        """The ZIP record that we have of an image; it says where its bytes are, which both have."""
        if self._entries is None:
            mine = self.ours.bundle
            found = zip_records(mine) if mine.has_face else iter(())
            self._entries = {one: entry for one, _, entry in found}
        return self._entries.get(name, b"")

    def _ids_there(self, number: int) -> tuple[int | str, list[int | str]]:
        """The ids that an image and its annotations have there."""
        return self.theirs.lines.ids(self.theirs.places[number])

    def _records(
        self, number: int, frame: Frame, image_id: int | str, own: Sequence[int | str] = ()
    ) -> Records:
        """Our records of an image, for its frame there; `own` are the ids of its annotations there."""
        told_of = self.ours.told_of(number)
        sample = told_of.sample
        if sample.image.id is not None and sample.image.id != image_id:
            sample = replace(sample, image=replace(sample.image, id=None))
        fresh = tuple(
            replace(a, id=None) if a.id in self.taken and a.id not in own else a for a in sample.annotations
        )
        sample = replace(sample, annotations=fresh)
        annotations = b""
        if fresh:
            annotations, self.annotation_id = unified_writing.annotation_records(
                sample, image_id, self.annotation_id, self.category_ids
            )
        return Records(
            unified_writing.image_record(sample, image_id, frame, told_of.prints, told_of.seen), annotations
        )

    def _logs(self, folder: Path, common: int, log_there: list[Generation]) -> tuple[Generation, Path]:
        """The log up to the common generation, and what others have changed since."""
        log = self.work.staged(LOG)
        own = folder / LOG
        with open(log, "wb") as out:
            if own.exists():
                out.write(own.read_bytes()[: ended(own, self.ours.bundle.made, common)])
        changes = Changes(self.work.staged("spool-their-log"), self.base.lines.tail)
        self.leaving.callback(changes.close)
        changes.between(self.base.lines, self.theirs.lines)
        line = Generation(
            generation=self.theirs.bundle.generation,
            time=now(),
            message="pushed by others",
            pulled=travelling(log_there, common),
            changes=self.theirs_since.counts,
            pack_id=str(self.theirs.bundle.pack_id),
            media_size=self.theirs.bundle.size,
        )
        changes.append(log, Made(common, str(self.base.lines.top.section.get("pack_id"))), line)
        return line, log


def _message(log: list[Generation], common: int) -> str:
    """What our updates since the common generation say of themselves, each message once."""
    own = dict.fromkeys(one.message for one in log if one.generation > common)
    return "; ".join(message for message in own if message not in ("", _REBASED)) or _REBASED


def _merged(was: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Fields of two objects that have grown from one: ours where we have changed them, else theirs."""
    fields = {}
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        changed = (key in ours, ours.get(key)) != (key in was, was.get(key))
        side = ours if changed else theirs
        if key in side:
            fields[key] = side[key]
    return fields


def _without_ids(sample: Sample) -> Sample:
    """A sample for a comparison with one of another file."""
    annotations = tuple(replace(one, id=None) for one in sample.annotations)
    return replace(sample, image=replace(sample.image, id=None), annotations=annotations)


def _hide(media: Path) -> None:
    """Hide the indexes of all generations but the newest."""
    with open(media, "r+b") as file:

        def read(offset: int, size: int) -> memoryview:
            return memoryview(os.pread(file.fileno(), size, offset))

        _, *older = generations(read, os.fstat(file.fileno()).st_size, str(media))
        for _, line in older:
            os.pwrite(file.fileno(), mp4.HIDDEN, line.index + 4)
        os.fsync(file.fileno())
