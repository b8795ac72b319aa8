"""Push: a pack to a URL, at the cost of what has changed. The media goes first, the head is the commit.

An object that the current head names is never written over, but for the media, which only grows: what it had
stays where it was. docs/dataset_spec.md, "At a URL".
"""

import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from xlabel.errors import ConflictError, InputError
from xlabel.jobs import twin
from xlabel.jobs.collect import collect, let_go
from xlabel.jobs.commit import commit, is_beside
from xlabel.jobs.deltas import delta, packed_log
from xlabel.jobs.generations import LOG, numbers_since, seals, told, travelling
from xlabel.jobs.outgoing import Outgoing, open_outgoing
from xlabel.jobs.plain_pair import put_plain
from xlabel.jobs.push_media import AheadError, Waiting, send_beside, send_grown, send_whole
from xlabel.jobs.rebase import rebase
from xlabel.jobs.remote import HeadAt, damaged, read_head, read_whole, refuse_folder
from xlabel.jobs.upload import PART, Journal, Object, Pace, Sending, forget
from xlabel.model import Report
from xlabel.model.head import STATES, Delta, Head, Media, Named, Pushed, Whole
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores.metered import Metered
from xlabel.stores.transport import Stat, open_store

TRIES = 30
"""So often a push begins anew since another writer was faster."""
STALE = 0.2
"""Share of the whole pair's size that deltas may have before folding is advised."""
MANY = 100
"""Deltas from which on folding is advised, since each is a request of every reader."""

NOTHING_SENT = "nothing was sent: --dry-run"

_LABELS = (ANNOTATIONS, MANIFEST, "deltas/", "logs/")
"""What the names of objects of labels begin with."""


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
    refuse_folder(url, "to push to", Path(folder))
    report = Report(job="push")
    with ExitStack() as leaving:
        store = Metered(open_store(url), rehearsed=dry_run)
        leaving.callback(store.close)
        how = How(fold, dry_run, Pace(None if dry_run else bwlimit), progress)
        waiting = Waiting()
        for attempt in range(TRIES):
            try:
                one = _Push(Path(folder), store, how, report, waiting, first=attempt == 0)
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
        twin.renew(Path(folder), report)  # the changes of others may have been taken in
        report.seconds = time.perf_counter() - began
    return report


class How(NamedTuple):
    """What is asked of a push; see `push`."""

    fold: bool
    dry_run: bool
    pace: Pace
    progress: Progress | None


class _Push:
    """One try of a push."""

    def __init__(
        self, folder: Path, store: Metered, how: How, report: Report, waiting: Waiting, *, first: bool
    ) -> None:
        self.folder, self.store, self.how, self.report, self.waiting = folder, store, how, report, waiting
        journal = Journal(folder, store.url, kept=not how.dry_run)
        self.sending = Sending(store, journal, how.pace, self._count, adopt=first, rehearsed=how.dry_run)
        self.total = self.done = 0
        self.acted = False
        """Whether there was anything to send."""
        self.found: HeadAt | None = None

    @property
    def beside(self) -> bool:
        """Whether heads stand beside each other there. Only who writes needs it: the server may be asked."""
        return is_beside(self.store, self.found)

    def run(self, upon: HeadAt | None = None) -> None:
        """Bring the URL up to date. `upon` is the head that the pack here was just rebased upon."""
        found = self.found = read_head(self.store)
        with ExitStack() as leaving:
            gone = frozenset(one.name for one in found.head.gone) if found else frozenset()
            mine = open_outgoing(self.folder, gone, leaving)
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
        if self.how.dry_run:
            self.report.notes += [
                f"others have pushed to {self.store.url} since generation {common[-1].generation}: a push "
                "takes their changes in first, and how many bytes it then sends cannot be told before they "
                "are here",
                NOTHING_SENT,
            ]
            return
        if found == upon:  # rebasing once more would give one more generation, and get no further
            raise damaged(
                self.store,
                f"{self.folder}: expected it to go on from generation {head.generation} of {self.store.url} "
                "once that was taken in, found that it does not",
            )
        self.report.notes.append(rebase(self.folder, self.store, head, common[-1].generation))
        self.run(found)

    def _first(self, mine: Outgoing) -> None:
        """All there is, to a place where nothing is."""
        self._expect(mine.bundle.size + self._json_size())
        media = send_whole(self.sending, mine, mine.bundle.media.name, self.beside)
        self._commit(mine, media, self._whole(mine, first=True), (), None)

    def _same(self, mine: Outgoing, found: HeadAt) -> None:
        """Nothing new, but perhaps the JSON files are to be written whole."""
        head = found.head
        if self.how.fold and not head.deltas and not self.how.dry_run:
            put_plain(self.sending, head, self.folder)  # which a kill may have kept from being done
            self.acted = bool(self.sending.sent)
        if not self.how.fold or not head.deltas:
            self._tell(mine, head)
            self.report.notes.append(f"{self.store.url} has generation {head.generation} already")
            return
        self._expect(self._json_size())
        self._commit(mine, head.media, self._whole(mine), (), found)

    def _next(self, mine: Outgoing, found: HeadAt) -> None:
        """What has changed since the generation that is there."""
        head = found.head
        numbers = numbers_since(self.folder / LOG, head.generation, mine.bundle.made)
        if numbers is None:  # the media was written anew
            self._expect(mine.bundle.size + self._json_size())
            media = send_whole(self.sending, mine, mine.own(mine.bundle.media.name), self.beside)
            self._commit(mine, media, self._whole(mine), (), found)
            if head.has_plain_pair:
                self.report.notes.append(
                    f"its media was written anew, as {media.segments[0].name}: who reads {head.bundle} and "
                    "the JSON files by their plain names has an earlier state; --gc takes it away a day later"
                )
            return
        data = self._delta(mine, head, numbers)
        grown = mine.bundle.size != head.media.size
        joined = not self.beside and self.store.copies_ranges and len(head.media.segments) == 1
        new = mine.bundle.size - head.media.index if grown else 0
        self._expect(new + (self._json_size() if self.how.fold else len(data)))
        media = head.media
        if grown and joined:
            media, found = send_grown(self.sending, mine, found, self.waiting)
        elif grown:
            media = send_beside(self.sending, mine, head.media)
        if self.how.fold:
            self._commit(mine, media, self._whole(mine), (), found)
            return
        put = self._named(mine, "deltas", data)
        one = Delta(mine.generation, mine.seal, put.name, put.size, put.sha256)
        self._commit(mine, media, head.whole, (*head.deltas, one), found)

    def _delta(self, mine: Outgoing, head: Head, numbers: set[int]) -> bytes:
        count = mine.count_at(head.media.size)
        log = travelling(told(self.folder / LOG, mine.bundle.made), head.generation)
        manifest = mine.bundle.manifest_file
        assert manifest is not None
        return delta(mine.lines, manifest.whole(), count, numbers, log)

    def _whole(self, mine: Outgoing, *, first: bool = False) -> Whole:
        """Both JSON files, written whole: by the first push under their names, else beside those there."""
        paths = self._json_paths()
        at_once = 2 if all(path.stat().st_size <= PART for path in paths) else 1  # a larger one has threads
        with ThreadPoolExecutor(at_once, "xlabel") as pool:
            annotations, manifest = pool.map(lambda path: self._json_file(mine, path, first), paths)
        lines = travelling(told(self.folder / LOG, mine.bundle.made), 0)
        log = self._named(mine, "logs", packed_log(lines)) if lines else None
        return Whole(mine.generation, mine.seal, annotations, manifest, log)

    def _named(self, mine: Outgoing, folder: str, data: bytes) -> Named:
        """Put an object under a name that follows from its bytes."""
        digest = hashlib.sha256(data).hexdigest()
        name = mine.free(f"{folder}/", digest, ".jsonl.gz")
        self.sending.put(name, data)
        return Named(name, len(data), digest)

    def _json_file(self, mine: Outgoing, path: Path, first: bool) -> Named:
        size, digest = path.stat().st_size, _sha256(path)
        name = path.name
        there = self.store.head(name) if first and self.store.conditional else None
        if self.beside or not first or (there is not None and not self._has(name, there, size, digest)):
            name = mine.own(name)
            there = self.store.head(name)
        if there is None or there.size != size:
            absent = not self.beside and there is None
            if size <= PART:
                self.sending.put(name, path.read_bytes(), absent=absent)
            else:
                with open(path, "rb") as file:
                    self.sending.send(file.fileno(), Object(name, size, absent=absent))
        forget(self.store, name, self.sending.journal)
        return Named(name, size, digest)

    def _has(self, name: str, there: Stat, size: int, digest: str) -> bool:
        """Whether an object is a file of ours: read again, which a push does only after a kill."""
        if there.size != size:
            return False
        return hashlib.sha256(read_whole(self.store, name, size)).hexdigest() == digest

    def _commit(
        self, mine: Outgoing, media: Media, whole: Whole, deltas: tuple[Delta, ...], found: HeadAt | None
    ) -> None:
        """Write the head, if it is still the one that was read: from then on, this is current."""
        before = found.head if found else None
        past: tuple[Pushed, ...] = ()
        if before is not None:
            past = before.past if before.seal == mine.seal else before.states[-STATES:]
        files = [Named(path.name, path.stat().st_size, _sha256(path)) for path in self._json_paths()]
        bundle = mine.bundle
        if not bundle.still_there:
            raise ConflictError(f"{self.folder}: was changed while it was pushed; push again")
        head = Head(
            generation=mine.generation,
            seal=mine.seal,
            pack_id=str(bundle.pack_id),
            bundle=bundle.media.name,
            kind=bundle.kind,
            media=media,
            annotations=files[0],
            manifest=files[1],
            whole=whole,
            deltas=deltas,
            past=past,
            plain=before.plain if before else _are_plain(media, whole, bundle.media.name),
        )
        head = replace(head, gone=let_go(before, head))
        commit(self.store, head, found)
        if self.how.fold:
            put_plain(self.sending, head, self.folder)
        if self.how.dry_run:
            self._foretell()
        else:
            self._tell(mine, head)

    def _json_paths(self) -> list[Path]:
        return [self.folder / name for name in (ANNOTATIONS, MANIFEST)]

    def _json_size(self) -> int:
        return sum(path.stat().st_size for path in self._json_paths())

    def _expect(self, size: int) -> None:
        """There is something to do: so many bytes, at most."""
        self.acted, self.total, self.done = True, size, 0

    def _foretell(self) -> None:
        """What there is to say of a push that was only rehearsed."""
        sent, copied = self.sending.sent, self.sending.copied
        labels = sum(size for name, size in sent.items() if name.startswith(_LABELS))
        media = sum(sent.values()) - labels
        there = f"; {size_text(copied)} are copied there" if copied else ""
        self.report.notes.append(
            f"would send {size_text(self.store.bytes)} to {self.store.url}, of that "
            f"{size_text(media)} of media and {size_text(labels)} of labels{there}"
        )
        self.report.notes.append(NOTHING_SENT)

    def _count(self, size: int) -> None:
        self.done += size
        if self.how.progress:
            self.how.progress(min(self.done, self.total), self.total)

    def _tell(self, mine: Outgoing, head: Head) -> None:
        """What there is to say of the push."""
        report = self.report
        report.done = {"images": len(mine.bundle), "annotations": mine.lines.annotation_count}
        report.notes.append(f"{self.store.url} is at generation {head.generation}")
        behind = sum(one.size for one in head.deltas)
        if behind:
            share = behind / (head.whole.annotations.size + head.whole.manifest.size)
            many = share > STALE or len(head.deltas) > MANY
            advice = "; push --fold writes them anew" if many else ""
            report.notes.append(
                f"its JSON files are of generation {head.whole.generation}, "
                f"{counted(len(head.deltas), 'deltas')} of {size_text(behind)} behind{advice}"
            )


def _are_plain(media: Media, whole: Whole, bundle: str) -> bool:
    """Whether all three files stand under the names that they have in a folder."""
    found = [media.segments[0].name, whole.annotations.name, whole.manifest.name]
    return found == [bundle, ANNOTATIONS, MANIFEST]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
