"""Push: a pack to a URL, at the cost of what has changed. The media goes first, the head is the commit.

An object that a head names is never written over, but for the media, which only grows: what it had stays
where it was. docs/dataset_spec.md, "At a URL".
"""

import hashlib
import os
import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from xlabel import bundles
from xlabel.errors import ConflictError, CorruptError, InputError
from xlabel.formats.unified_lines import Lines
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.collect import collect
from xlabel.jobs.commit import commit, fence, is_beside
from xlabel.jobs.deltas import delta
from xlabel.jobs.generations import LOG, entries, numbers_since, seals
from xlabel.jobs.opening import open_bundle, read_lines
from xlabel.jobs.rebase import rebase
from xlabel.jobs.remote import Found, read_head, read_whole, refuse_folder
from xlabel.jobs.seals import is_sealed_annotations
from xlabel.jobs.upload import PART, Journal, Kept, Pace, Sender, checksum, forget
from xlabel.model import Report
from xlabel.model.head import HEAD, STATES, Delta, Head, Media, Named, Pushed, Segment, Whole
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores import crc64
from xlabel.stores.metered import Metered
from xlabel.stores.transport import Stat, open_store, where

TRIES = 30
"""So often a push begins anew since another writer was faster."""
PATIENCE = 5.0
"""Seconds that media may be ahead of the head; then the push that wrote it is taken for dead."""
STALE = 0.2
"""Share of the whole pair's size that deltas may have before folding is advised."""
MANY = 100
"""Deltas from which on folding is advised, since each is a request of every reader."""


def push(
    folder: str | os.PathLike[str],
    url: str,
    *,
    fold: bool = False,
    gc: bool = False,
    bwlimit: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Send a pack to a URL, or bring what is there up to date with it; gives a report.

    Only what is not there is sent: after a kill the missing parts, after an update what has changed. Where
    others have pushed in the meantime, their changes are taken in first, here and there, so that nobody's
    are lost. `fold` writes the JSON files there whole again; `gc` takes away what killed pushes left.
    `bwlimit` is in bytes a second. `dry_run` says how many bytes would be sent.

    Raises StoreError where the store fails, InputError where there is no pack, or one that has nothing in
    common with what is there.

    >>> xlabel.push("output", "file:///" + os.path.abspath("far").lstrip("/")).done
    {'images': 24, 'annotations': 114}
    """
    began = time.perf_counter()
    refuse_folder(url, "to push to")
    report = Report(job="push")
    with ExitStack() as leaving:
        store = Metered(open_store(url), rehearsed=dry_run)
        leaving.callback(store.close)
        waiting = _Waiting()
        for attempt in range(TRIES):
            try:
                waiting.tries = attempt + 1
                one = _Push(
                    Path(folder),
                    store,
                    fold,
                    Pace(None if dry_run else bwlimit),
                    dry_run,
                    report,
                    progress,
                    waiting,
                )
                one.run()
                break
            except ConflictError as error:
                if attempt + 1 == TRIES:
                    raise
                if not isinstance(error, AheadError):
                    time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))
        if dry_run:
            report.done = {"requests": store.requests}
        report.bytes = store.bytes if one.acted else 0
        if gc:
            collect(store, Path(folder), report, dry_run)
    if not dry_run:
        report.seconds = time.perf_counter() - began
    return report


class _Mine(NamedTuple):
    """The pack here."""

    bundle: Bundle
    lines: Lines
    generation: int
    seal: str
    at: int
    """Where the media's index begins."""

    def own(self, name: str, what: str = "") -> str:
        """A name for an object that nobody else writes with other bytes."""
        digest = hashlib.sha256(f"{self.seal} {what}".encode()).hexdigest()
        return f"{name}.{self.generation:06}-{digest[:16]}"


class AheadError(ConflictError):
    """The media there is longer than the head says: somebody else is pushing, or was killed."""


class _Waiting:
    """What a push knows of its tries: how many there were, and for whom it waits since when."""

    def __init__(self) -> None:
        self.tries = 0
        self._for = ""
        self._since = 0.0

    def is_over(self, tag: str) -> bool:
        """Whether the media has stood there with this tag for long enough; waits a moment where not."""
        if tag != self._for:
            self._for, self._since = tag, time.monotonic()
        if time.monotonic() - self._since > PATIENCE:
            return True
        time.sleep(random.uniform(0.1, 0.4))
        return False


class _Push:
    """One try of a push."""

    def __init__(
        self,
        folder: Path,
        store: Metered,
        fold: bool,
        pace: Pace,
        dry_run: bool,
        report: Report,
        progress: Progress | None,
        waiting: _Waiting,
    ) -> None:
        self.folder, self.store, self.fold, self.pace = folder, store, fold, pace
        self.dry_run, self.report, self.progress, self.waiting = dry_run, report, progress, waiting
        self.journal = Journal(folder, store.url, kept=not dry_run)
        self.total = self.done = self.media = self.labels = self.copied = 0
        self.acted = False
        """Whether there was anything to send."""

    def run(self) -> None:
        """Bring the URL up to date."""
        found = read_head(self.store)
        self.beside = is_beside(self.store, found)
        with ExitStack() as leaving:
            mine = _open(self.folder, leaving)
            if found is None:
                self._first(mine)
                return
            head = found.head
            if (head.generation, head.seal) == (mine.generation, mine.seal):
                self._same(mine, found)
                return
            if Pushed(mine.generation, mine.seal) in head.states:
                self.report.notes.append(
                    f"{self.store.url} is at generation {head.generation}, {self.folder} at "
                    f"{mine.generation}: nothing to send; xlabel pull {self.store.url} {self.folder}"
                )
                return
            past = seals(self.folder / LOG, mine.lines, mine.bundle.made)
            if past.get(head.generation) == head.seal:
                self._next(mine, found)
                return
            common = [one for one in head.states if past.get(one.generation) == one.seal]
        if not common:
            raise InputError(
                f"{self.store.url}: the pack there has grown from another one than {self.folder}; push to "
                "another place, or pull it and pack with --update"
            )
        if self.dry_run:
            self.report.notes.append("somebody else has pushed since: their changes would be taken in first")
            return
        self.report.notes.append(rebase(self.folder, self.store, head, common[-1].generation))
        self.run()

    def _first(self, mine: _Mine) -> None:
        """All there is, to a place where nothing is."""
        self._expect(mine.bundle.size + self._json_size())
        media = self._media_whole(mine, mine.bundle.media.name)
        self._commit(mine, media, self._whole(mine), (), None)

    def _same(self, mine: _Mine, found: Found) -> None:
        """Nothing new, but perhaps the JSON files are to be written whole."""
        head = found.head
        if not self.fold or not head.deltas:
            self._tell(mine, head)
            self.report.notes.append(f"{self.store.url} has generation {head.generation} already")
            return
        self._expect(self._json_size())
        self._commit(mine, head.media, self._whole(mine), (), found)

    def _next(self, mine: _Mine, found: Found) -> None:
        """What has changed since the generation that is there."""
        head = found.head
        numbers = numbers_since(self.folder / LOG, head.generation, mine.bundle.made)
        if numbers is None:  # the media was written anew
            self._expect(mine.bundle.size + self._json_size())
            media = self._media_whole(mine, mine.own(mine.bundle.media.name))
            self._commit(mine, media, self._whole(mine), (), found)
            return
        data = self._delta(mine, head, numbers)
        grown = mine.bundle.size != head.media.size
        joined = not self.beside and self.store.copies_ranges and len(head.media.segments) == 1
        new = mine.bundle.size - head.media.index if grown else 0
        self._expect(new + (self._json_size() if self.fold else len(data)))
        media = head.media
        if grown and joined:
            media, found = self._media_grown(mine, found)
        elif grown:
            media = self._media_beside(mine, head.media)
        if self.fold:
            self._commit(mine, media, self._whole(mine), (), found)
            return
        digest = hashlib.sha256(data).hexdigest()
        name = f"deltas/{mine.generation:06}-{digest[:16]}.jsonl.gz"
        self._put(name, data)
        one = Delta(mine.generation, mine.seal, name, len(data), digest)
        self._commit(mine, media, head.whole, (*head.deltas, one), found)

    def _media_whole(self, mine: _Mine, name: str) -> Media:
        """The media as one object: of that name where nobody has it, else of one of its own."""
        bundle = mine.bundle
        with open(bundle.media, "rb") as file:
            before, whole = self._checksums(file.fileno(), 0, None, mine)
            there = self.store.head(name) if self.store.conditional else None
            if self.beside or (there is not None and not self._is_ours(name, there, mine, whole)):
                name = mine.own(bundle.media.name)
                there = self.store.head(name)
            if there is None or not self._is_ours(name, there, mine, whole):
                absent = there is None
                self._send(name, file.fileno(), bundle.size, at=mine.at, absent=absent, crc64nvme=whole)
            forget(self.store, name, self.journal)
        return Media(bundle.size, mine.at, (Segment(name, 0, bundle.size),), whole, before)

    def _media_grown(self, mine: _Mine, found: Found) -> tuple[Media, Found]:
        """The media there with what is new, by a copy of what has not changed; and the head, maybe fenced."""
        bundle, old = mine.bundle, found.head.media
        name = old.segments[0].name
        with open(bundle.media, "rb") as file:
            before, whole = self._checksums(file.fileno(), old.index, old.before_index, mine)
            there = self.store.head(name)
            if there is None or not self._is_base(name, there, mine, old):
                raise CorruptError(
                    f"{where(self.store, name)}: is not the media that {HEAD} says it is; xlabel verify "
                    f"{self.store.url} --full tells what is left; push to another place"
                )
            if not self._is_ours(name, there, mine, whole):
                if there.size != old.size:
                    if not self.waiting.is_over(there.tag):
                        raise AheadError(
                            f"{where(self.store, name)}: is {there.size:,} bytes long, {HEAD} says "
                            f"{old.size:,}: somebody else is pushing; wait, or push again"
                        )
                    found = fence(self.store, found)
                kept = Kept(name, old.index, there.tag)
                self._send(
                    name, file.fileno(), bundle.size, kept, at=mine.at, if_match=there.tag, crc64nvme=whole
                )
            forget(self.store, name, self.journal)
        return Media(bundle.size, mine.at, (Segment(name, 0, bundle.size),), whole, before), found

    def _media_beside(self, mine: _Mine, old: Media) -> Media:
        """What is new as an object of its own, where a store cannot join it to what it has."""
        size = mine.bundle.size - old.index
        name = mine.own(mine.bundle.media.name, str(old.index))
        there = self.store.head(name)
        if there is None or there.size != size:
            with open(mine.bundle.media, "rb") as file:
                self._send(name, file.fileno(), size, start=old.index)
        forget(self.store, name, self.journal)
        *first, last = (segment for segment in old.segments if segment.offset < old.index)
        cut = replace(last, size=old.index - last.offset)
        return Media(mine.bundle.size, mine.at, (*first, cut, Segment(name, old.index, size)))

    def _send(
        self,
        name: str,
        file: int,
        size: int,
        kept: Kept | None = None,
        *,
        start: int = 0,
        at: int = 0,
        if_match: str | None = None,
        absent: bool = False,
        crc64nvme: str | None = None,
    ) -> None:
        first = self.waiting.tries == 1
        sender = Sender(
            self.store, name, file, self.journal, self.pace, self._count, adopt=first, rehearsed=self.dry_run
        )
        absent = absent and self.store.conditional
        sender.send(size, kept, if_match=if_match, absent=absent, crc64nvme=crc64nvme, start=start, at=at)
        self.copied += sender.copied_bytes
        if name.startswith((ANNOTATIONS, MANIFEST)):
            self.labels += sender.sent_bytes
        else:
            self.media += sender.sent_bytes

    def _is_ours(self, name: str, there: Stat, mine: _Mine, whole: str | None) -> bool:
        """Whether an object is our media, by its checksum; else by its last line, which has the pack id."""
        if there.size != mine.bundle.size:
            return False
        if whole is not None and there.crc64nvme is not None:
            return there.crc64nvme == whole
        return self._line(name, there.size) == _line(mine, there.size)

    def _is_base(self, name: str, there: Stat, mine: _Mine, old: Media) -> bool:
        """Whether an object begins with the media that a head names, by the last line of that."""
        return there.size >= old.size and self._line(name, old.size) == _line(mine, old.size)

    def _line(self, name: str, size: int) -> bytes:
        place = [(size - bundles.TRAILER, bundles.TRAILER)]
        return self.store.get_ranges(name, place)[0]

    def _checksums(
        self, file: int, start: int, known: str | None, mine: _Mine
    ) -> tuple[str | None, str | None]:
        """CRC-64/NVME of the media before its index, and whole; `known` is of the bytes before `start`."""
        if self.dry_run or not self.store.keeps_crc64nvme or (start and known is None):
            return None, None
        value = crc64.value(known) if known else 0
        before = checksum(file, start, mine.at, value)
        return crc64.text(before), crc64.text(checksum(file, mine.at, mine.bundle.size, before))

    def _delta(self, mine: _Mine, head: Head, numbers: set[int]) -> bytes:
        count = _count_at(mine.bundle, head.media.size)
        known = entries(self.folder / LOG, mine.bundle.made)
        log = [line for line, _ in known if head.generation < line.generation]
        manifest = mine.bundle.manifest_file
        assert manifest is not None
        return delta(mine.lines, manifest.whole(), count, numbers, log)

    def _whole(self, mine: _Mine) -> Whole:
        """Both JSON files, written whole: by the first push under their names, else beside those there."""
        named = [self._json_file(mine, path) for path in self._json_paths()]
        return Whole(mine.generation, mine.seal, named[0], named[1])

    def _json_file(self, mine: _Mine, path: Path) -> Named:
        size, digest = path.stat().st_size, _sha256(path)
        name = path.name
        there = self.store.head(name) if self.store.conditional else None
        if self.beside or (there is not None and not self._has(name, there, size, digest)):
            name = mine.own(name)
            there = self.store.head(name)
        if there is None or there.size != size:
            absent = not self.beside and there is None
            if size <= PART:
                self._put(name, path.read_bytes(), absent=absent)
            else:
                with open(path, "rb") as file:
                    self._send(name, file.fileno(), size, absent=absent)
        return Named(name, size, digest)

    def _has(self, name: str, there: Stat, size: int, digest: str) -> bool:
        """Whether an object is a file of ours: read again, which a push does only after a kill."""
        if there.size != size:
            return False
        return hashlib.sha256(read_whole(self.store, name, size)).hexdigest() == digest

    def _commit(
        self, mine: _Mine, media: Media, whole: Whole, deltas: tuple[Delta, ...], found: Found | None
    ) -> None:
        """Write the head, if it is still the one that was read: from then on, this is current."""
        before = found.head if found else None
        past: tuple[Pushed, ...] = ()
        if before is not None:
            past = before.past if before.seal == mine.seal else before.states[-STATES:]
        files = [Named(path.name, path.stat().st_size, _sha256(path)) for path in self._json_paths()]
        if not mine.bundle.still_there:
            raise ConflictError(f"{self.folder}: was changed while it was pushed; push again")
        head = Head(
            generation=mine.generation,
            seal=mine.seal,
            pack_id=str(mine.bundle.pack_id),
            bundle=mine.bundle.media.name,
            kind=mine.bundle.kind,
            media=media,
            annotations=files[0],
            manifest=files[1],
            whole=whole,
            deltas=deltas,
            past=past,
        )
        commit(self.store, head, found)
        if self.dry_run:
            self._foretell()
        else:
            self._tell(mine, head)

    def _put(self, name: str, data: bytes, *, absent: bool = False) -> None:
        self.pace.wait(len(data))
        self.store.put(name, data, absent=absent)
        self.labels += len(data)
        self._count(len(data))

    def _json_paths(self) -> list[Path]:
        return [self.folder / name for name in (ANNOTATIONS, MANIFEST)]

    def _json_size(self) -> int:
        return sum(path.stat().st_size for path in self._json_paths())

    def _expect(self, size: int) -> None:
        """There is something to do: so many bytes, at most."""
        self.acted, self.total, self.done = True, size, 0

    def _foretell(self) -> None:
        """What there is to say of a push that was only rehearsed."""
        copied = f"; {size_text(self.copied)} are copied there" if self.copied else ""
        self.report.notes.append(
            f"would send {size_text(self.store.bytes)} to {self.store.url}, of that "
            f"{size_text(self.media)} of media and {size_text(self.labels)} of labels{copied}"
        )
        self.report.notes.append("nothing was sent: --dry-run")

    def _count(self, size: int) -> None:
        self.done += size
        if self.progress:
            self.progress(min(self.done, self.total), self.total)

    def _tell(self, mine: _Mine, head: Head) -> None:
        """What there is to say of the push."""
        report = self.report
        report.done = {"images": len(mine.bundle), "annotations": mine.lines.annotation_count}
        report.notes.append(f"{self.store.url} is at generation {head.generation}")
        behind = sum(one.size for one in head.deltas)
        if behind:
            share = behind / head.whole.annotations.size
            many = share > STALE or len(head.deltas) > MANY
            advice = "; push --fold writes them anew" if many else ""
            report.notes.append(
                f"its JSON files are of generation {head.whole.generation}, "
                f"{counted(len(head.deltas), 'deltas')} of {size_text(behind)} behind{advice}"
            )


def _open(folder: Path, leaving: ExitStack) -> _Mine:
    """The pack in a folder. InputError where it has not all three files."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the folder of a pack, found none; pack first")
    bundle = leaving.enter_context(open_bundle(folder))
    if not bundle.described or bundle.manifest_file is None:
        raise InputError(f"{folder}: expected a pack with manifest and annotation file, found not both")
    lines = read_lines(bundle, leaving)
    seal = lines.top.section.get("sha256")
    if not isinstance(seal, str):
        raise InputError(f"{folder}: its annotation file has no seal; pack again")
    assert bundle.annotation_file is not None
    if not is_sealed_annotations(bundle.annotation_file, lines.top.section):
        raise InputError(
            f"{bundle.annotation_file.path}: was edited since it was written; xlabel pack --update takes the "
            "labels of your files again, and keeps the edited ones as a generation"
        )
    index = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media)).index
    return _Mine(bundle, lines, bundle.generation, seal, index)


def _line(mine: _Mine, size: int) -> bytes:
    """The last line of our media when it was of that size."""
    return bytes(mine.bundle.read(size - bundles.TRAILER, bundles.TRAILER))


def _count_at(bundle: Bundle, size: int) -> int:
    """Frame numbers that had been given when the media was of that size."""
    return bundles.read_trailer(bundle.read, size, str(bundle.media)).count


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
