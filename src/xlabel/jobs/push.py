"""Push: a pack to a URL, at the cost of what has changed. The media goes first, the head is the commit."""

import hashlib
import os
import random
import re
import secrets
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from xlabel import bundles
from xlabel.errors import ConflictError, InputError, StoreError
from xlabel.formats.unified_lines import Lines
from xlabel.jobs.bundle import Bundle, open_bundle, read_lines
from xlabel.jobs.deltas import delta
from xlabel.jobs.generations import LOG, entries, numbers_since, seals
from xlabel.jobs.rebase import rebase
from xlabel.jobs.remote import read_head, refuse_folder
from xlabel.jobs.upload import PART, Journal, Kept, Pace, Piece, Sender, checksum, planned
from xlabel.model import Report
from xlabel.model.head import (
    HEAD,
    HEADS,
    Delta,
    Head,
    Media,
    Named,
    Pushed,
    Segment,
    Whole,
    head_name,
    head_serial,
)
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores import crc64
from xlabel.stores.transport import Transport, open_store

TRIES = 30
PATIENCE = 4
"""So many tries wait for a push that seems to be under way."""
"""So often a push begins anew since another writer was faster."""
REQUEST = 1200
"""Bytes that a request and its answer take besides what they carry, about."""
STALE = 0.2
"""Share of the whole pair's size that deltas may have before folding is advised."""

OLD = 86_400.0
"""Seconds after which an unfinished upload is taken for one of a push that was killed."""

_json = msgspec.json.Encoder()


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
    """
    began = time.perf_counter()
    refuse_folder(url, "to push to")
    report = Report(job="push")
    with ExitStack() as leaving:
        store = open_store(url)
        leaving.callback(store.close)
        take_over = False
        for attempt in range(TRIES):
            try:
                _Push(Path(folder), store, fold, Pace(bwlimit), dry_run, report, progress).run(take_over)
                break
            except ConflictError as error:
                if attempt + 1 == TRIES:
                    raise
                if isinstance(error, AheadError) and attempt > PATIENCE:
                    take_over = True
                time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))
        if gc:
            _collect(store, Path(folder), report, dry_run)
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


class _Push:
    """One try of a push."""

    def __init__(
        self,
        folder: Path,
        store: Transport,
        fold: bool,
        pace: Pace,
        dry_run: bool,
        report: Report,
        progress: Progress | None,
    ) -> None:
        self.folder, self.store, self.fold, self.pace = folder, store, fold, pace
        self.dry_run, self.report, self.progress = dry_run, report, progress
        self.journal = Journal(folder, store.url)
        self.total = self.done = self.wire = self.requests = 0

    def run(self, take_over: bool) -> None:
        """Bring the URL up to date; `take_over`: in the place of a push that was not finished."""
        found = read_head(self.store)
        with ExitStack() as leaving:
            mine = _open(self.folder, leaving)
            if found is None:
                self._first(mine)
                return
            head, tag = found
            if (head.generation, head.seal) == (mine.generation, mine.seal):
                self._same(mine, head, tag)
                return
            past = seals(self.folder / LOG, mine.lines, mine.bundle.made)
            common = [one for one in head.states if past.get(one.generation) == one.seal]
            if Pushed(mine.generation, mine.seal) in head.states:
                raise InputError(
                    f"{self.store.url}: is at generation {head.generation}, {self.folder} at "
                    f"{mine.generation}; xlabel pull {self.store.url} {self.folder} brings it here"
                )
            if past.get(head.generation) == head.seal:
                self._next(mine, head, tag, take_over)
                return
        if not common:
            raise InputError(
                f"{self.store.url}: the pack there has grown from another one than {self.folder}; push to "
                "another place, or pull it and pack with --update"
            )
        if self.dry_run:
            self.report.notes.append("somebody else has pushed since: their changes would be taken in first")
            return
        self.report.notes.append(rebase(self.folder, self.store, head, common[-1].generation))
        self.run(take_over)

    def _first(self, mine: _Mine) -> None:
        """All there is, to a place where nothing is."""
        self._plan(planned(self.store, mine.bundle.size, 0), mine, whole=True)
        if self.dry_run:
            return
        media = self._media_whole(mine, mine.bundle.media.name, absent=True)
        whole = self._whole(mine)
        self._commit(mine, media, whole, (), None)

    def _same(self, mine: _Mine, head: Head, tag: str) -> None:
        """Nothing new, but perhaps the JSON files are to be written whole."""
        if not self.fold or not head.deltas:
            self._tell(mine, head)
            self.report.notes.append(f"{self.store.url} has generation {head.generation} already")
            return
        self._plan([], mine, whole=True)
        if not self.dry_run:
            self._commit(mine, head.media, self._whole(mine), (), (head, tag))

    def _next(self, mine: _Mine, head: Head, tag: str, take_over: bool) -> None:
        """What has changed since the generation that is there."""
        numbers = numbers_since(self.folder / LOG, head.generation, mine.bundle.made)
        if numbers is None:  # the media was written anew
            name = f"{mine.generation:06}-{mine.bundle.media.name}"
            self._plan(planned(self.store, mine.bundle.size, 0), mine, whole=True)
            if not self.dry_run:
                media = self._media_whole(mine, name, absent=False)
                self._commit(mine, media, self._whole(mine), (), (head, tag))
            return
        grown = mine.bundle.size != head.media.size
        data = self._delta(mine, head, numbers)
        pieces = []
        if grown:
            copies = self.store.copies_ranges and self.store.conditional
            kept = head.media.index if copies else 0
            size = mine.bundle.size - (0 if copies else head.media.index)
            pieces = planned(self.store, size, kept)
        self._plan(pieces, mine, whole=self.fold, more=len(data))
        if self.dry_run:
            return
        if grown and take_over:
            tag = self._fence(head, tag)
        media = self._media_grown(mine, head, take_over) if grown else head.media
        if self.fold:
            self._commit(mine, media, self._whole(mine), (), (head, tag))
            return
        digest = hashlib.sha256(data).hexdigest()
        name = f"deltas/{mine.generation:06}-{digest[:16]}.jsonl.gz"
        self._put(name, data)
        one = Delta(mine.generation, mine.seal, name, len(data), digest)
        self._commit(mine, media, head.whole, (*head.deltas, one), (head, tag))

    def _media_whole(self, mine: _Mine, name: str, *, absent: bool) -> Media:
        """The media as one object."""
        bundle = mine.bundle
        with open(bundle.media, "rb") as file:
            before, whole = self._checksums(file.fileno(), 0, None, mine)
            sender = Sender(self.store, name, file.fileno(), self.journal, self.pace, self._count)
            there = self.store.head(name)
            if there is None or there.size != bundle.size or whole is None or there.crc64nvme != whole:
                first = absent and self.store.conditional and there is None
                match = there.tag if there is not None and self.store.conditional else None
                sender.send(bundle.size, absent=first, if_match=match, crc64nvme=whole)
            self.wire += sender.wire
        return Media(bundle.size, mine.at, (Segment(name, 0, bundle.size),), whole, before)

    def _fence(self, head: Head, tag: str) -> str:
        """Write the head anew, so that a push that has read it cannot commit any more; gives its tag."""
        again = msgspec.structs.replace(head, fence=secrets.token_hex(8))
        return self.store.put(HEAD, _json.encode(again), if_match=tag).tag

    def _media_grown(self, mine: _Mine, head: Head, take_over: bool) -> Media:
        """The media there with what is new: by a copy of what has not changed, or as an object of its own."""
        bundle, old = mine.bundle, head.media
        with open(bundle.media, "rb") as file:
            before, whole = self._checksums(file.fileno(), old.index, old.before_index, mine)
            if not (self.store.copies_ranges and self.store.conditional) or len(old.segments) > 1:
                return self._media_beside(mine, old, file.fileno())
            name = old.segments[0].name
            there = self.store.head(name)
            if there is None:
                raise StoreError(f"{self.store.url}/{name}: expected the media, found none; push elsewhere")
            if there.size != bundle.size or whole is None or there.crc64nvme != whole:
                if there.size != old.size and not take_over:
                    raise AheadError(
                        f"{self.store.url}/{name}: is {there.size:,} bytes long, {HEAD} says {old.size:,}: "
                        "somebody else is pushing; wait, or push again"
                    )
                sender = Sender(self.store, name, file.fileno(), self.journal, self.pace, self._count)
                kept = Kept(name, old.index, there.tag)
                sender.send(bundle.size, kept, if_match=there.tag, crc64nvme=whole)
                self.wire += sender.wire
        return Media(bundle.size, mine.at, (Segment(name, 0, bundle.size),), whole, before)

    def _media_beside(self, mine: _Mine, old: Media, file: int) -> Media:
        """What is new as an object of its own, where a store cannot join it to what it has."""
        size = mine.bundle.size - old.index
        name = f"{old.segments[0].name}.{mine.generation:06}-{mine.seal[:16]}"
        sender = Sender(self.store, name, file, self.journal, self.pace, self._count)
        sender.send(size, start=old.index)
        self.wire += sender.wire
        *first, last = (segment for segment in old.segments if segment.offset < old.index)
        cut = msgspec.structs.replace(last, size=old.index - last.offset)
        return Media(mine.bundle.size, mine.at, (*first, cut, Segment(name, old.index, size)))

    def _checksums(
        self, file: int, start: int, known: str | None, mine: _Mine
    ) -> tuple[str | None, str | None]:
        """CRC-64/NVME of the media before its index, and whole; `known` is of the bytes before `start`."""
        if not self.store.url.startswith("s3://") or (start and known is None):
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
        """Both JSON files, written whole."""
        named = []
        for name in (ANNOTATIONS, MANIFEST):
            path = self.folder / name
            size, digest = path.stat().st_size, _sha256(path)
            if size <= PART:
                self._put(name, path.read_bytes())
            else:
                with open(path, "rb") as file:
                    sender = Sender(self.store, name, file.fileno(), self.journal, self.pace, self._count)
                    sender.send(size)
                    self.wire += sender.wire
            named.append(Named(name, size, digest))
        return Whole(mine.generation, mine.seal, named[0], named[1])

    def _commit(
        self,
        mine: _Mine,
        media: Media,
        whole: Whole,
        deltas: tuple[Delta, ...],
        before: tuple[Head, str] | None,
    ) -> None:
        """Write the head, if it is still the one that was read: from then on, this is current."""
        tag: str | None = None
        past: tuple[Pushed, ...] = ()
        if before is not None:
            tag = before[1]
            past = before[0].states if before[0].seal != mine.seal else before[0].past
        files = [Named(path.name, path.stat().st_size, _sha256(path)) for path in self._json_paths()]
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
        data = msgspec.json.format(_json.encode(head), indent=1) + b"\n"
        if self.store.conditional:
            self._count_request(len(data))
            self.store.put(HEAD, data, if_match=tag, absent=tag is None)
        else:
            self._commit_beside(tag, data)
        self._tell(mine, head)

    def _commit_beside(self, before: str | None, data: bytes) -> None:
        """Commit where a store knows no conditions: of two at once, both take theirs back."""
        serial = 1 + (head_serial(before) if before else 0)
        name = head_name(serial, secrets.token_hex(8))
        self._put(name, data)
        if any(one != name and head_serial(one) >= serial for one in self.store.names(HEADS)):
            self.store.delete(name)
            raise ConflictError(f"{self.store.url}: somebody else has pushed at the same time; push again")

    def _put(self, name: str, data: bytes) -> None:
        self.pace.wait(len(data))
        self._count_request(len(data))
        self.store.put(name, data)
        self._count(len(data))

    def _count_request(self, size: int) -> None:
        self.wire += size
        self.requests += 1

    def _json_paths(self) -> list[Path]:
        return [self.folder / name for name in (ANNOTATIONS, MANIFEST)]

    def _plan(self, pieces: list[Piece], mine: _Mine, *, whole: bool, more: int = 0) -> None:
        """Say what will be sent."""
        media = sum(piece.size for piece in pieces if not piece.copied)
        files = sum(path.stat().st_size for path in self._json_paths()) if whole else 0
        self.total = media + files + more
        requests = len(pieces) + 12
        if self.dry_run:
            copied = sum(piece.size for piece in pieces if piece.copied)
            self.report.bytes = self.total + REQUEST * requests
            self.report.done = {"requests": requests}
            self.report.notes.append(
                f"would send {size_text(self.report.bytes)} to {self.store.url}: "
                f"{size_text(media)} of media, {size_text(files + more)} of labels"
                + (f"; {size_text(copied)} are copied there" if copied else "")
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
        report.bytes += self.wire
        report.notes.append(f"{self.store.url} is at generation {head.generation}")
        behind = sum(one.size for one in head.deltas)
        if behind:
            share = behind / head.whole.annotations.size
            advice = "; push --fold writes them anew" if share > STALE else ""
            report.notes.append(
                f"its JSON files are of generation {head.whole.generation}, "
                f"{counted(len(head.deltas), 'deltas')} of {size_text(behind)} behind{advice}"
            )


class AheadError(ConflictError):
    """The media there is longer than the head says."""


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
    index = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media)).index
    return _Mine(bundle, lines, bundle.generation, seal, index)


def _count_at(bundle: Bundle, size: int) -> int:
    """Frame numbers that had been given when the media was of that size."""
    return bundles.read_trailer(bundle.read, size, str(bundle.media)).count


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _collect(store: Transport, folder: Path, report: Report, dry_run: bool) -> None:
    """Take away unfinished uploads of ours, and objects that no reader of what is current needs."""
    found = read_head(store)
    if found is None:
        return
    head, tag = found
    journal = Journal(folder, store.url)
    needed = {one.name for one in head.media.segments} | {one.name for one in head.deltas}
    needed |= {ANNOTATIONS, MANIFEST, HEAD, tag}
    uploads = [
        (name, upload)
        for name in (*needed, head.bundle)
        for upload in store.uploads(name)
        if upload.id in journal.ids(name) or time.time() - upload.begun > OLD
    ]
    objects = [name for name in store.names() if name not in needed and _is_past(name, head, tag)]
    if not dry_run:
        for name, upload in uploads:
            store.abort(name, upload.id)
            journal.end(name, upload.id)
        for name in objects:
            store.delete(name)
    report.done |= {"uploads": len(uploads), "objects": len(objects)}
    what = "would be taken away" if dry_run else "taken away"
    report.notes.append(
        f"{counted(len(uploads), 'unfinished uploads')} and {counted(len(objects), 'objects')} {what}"
    )


def _is_past(name: str, head: Head, tag: str) -> bool:
    """Whether an object is one of ours, of a state before the current one."""
    if name.startswith(HEADS):
        return head_serial(name) < head_serial(tag)
    ours = name.startswith((f"{head.bundle}.", "deltas/")) or name.endswith(f"-{head.bundle}")
    digits = re.search(r"(\d{6,})-", name.removeprefix(f"{head.bundle}."))
    return ours and digits is not None and int(digits[1]) <= head.generation
