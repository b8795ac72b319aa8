"""Pull: a pack from a URL into a folder, at the cost of what is not there yet."""

import hashlib
import os
import shutil
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xlabel import bundles
from xlabel.bundles import mp4
from xlabel.bundles.zip import crc32
from xlabel.errors import CorruptError, ExistsError, StoreError, XlabelError
from xlabel.formats.unified_lines import Lines, lines
from xlabel.jobs import twin
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.comparing import compared
from xlabel.jobs.fetch import fetch
from xlabel.jobs.generations import LOG, Changes, Generation, Made, begin, spans, theirs, travelling
from xlabel.jobs.integrity import check_fetched
from xlabel.jobs.opening import at_url, open_bundle, output_folder, read_lines, refuse_pushed
from xlabel.jobs.putting import now
from xlabel.jobs.remote import Folded, damaged, is_prefix, json_files, need_head, refuse_folder
from xlabel.jobs.seals import is_sealed_annotations
from xlabel.model import Report
from xlabel.model.head import Head, Pushed
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, PROBLEMS, frames_in
from xlabel.model.report import Progress, size_text, visible
from xlabel.stores.snapshot import Kept
from xlabel.stores.transaction import Hidden, Transaction
from xlabel.stores.transport import Transport, open_store

PARTIAL = ".xlabel-pull-"
"""What the name of a file begins with that a pull is fetching."""
DONE = ".done"
"""What the name of the file ends with that tells which of its ranges are there; see `fetch`."""


def pull(
    url: str,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Fetch a pack from a URL, or bring the one in a folder up to date with it; gives a report.

    Only what is not here is fetched, also after a kill, and each image is compared with its hash. A folder
    that has another pack, changes of its own, or files that are no pack, is refused unless `overwrite` is
    said. Raises StoreError where the store fails, MissingError where there is no pack, CorruptError where it
    is not what was pushed.

    >>> far = "file:///" + os.path.abspath("far").lstrip("/")
    >>> report = xlabel.push("output", far)
    >>> xlabel.pull(far, "near").done
    {'images': 24}
    """
    began = time.perf_counter()
    place = output_folder(folder)
    refuse_folder(url, "to pull from", place)
    refuse_pushed(place)
    report = Report(job="pull")
    with ExitStack() as leaving, _told(place), at_url(url):
        store = open_store(url)
        leaving.callback(store.close)
        head = need_head(store)
        with Transaction(place) as work:  # before what is here is looked at: nobody changes it now
            here = _state(place, url, head, overwrite)
            if here == Pushed(head.generation, head.seal):
                report.notes.append(f"{place} has it already")
            else:
                newest, files = json_files(store)
                if newest != head:
                    head, here = newest, _state(place, url, newest, overwrite)
                job = _Pull(place, work, store, head, files, report, progress)
                if here is None or not job.grown():
                    job.whole()  # also where that is packed anew, and what is here is a state of before
        with open_bundle(place) as bundle:
            report.done = {"images": len(bundle)}
        report.notes.append(f"generation {head.generation} of {url}")
    twin.renew(place, report)
    report.seconds = time.perf_counter() - began
    return report


def _state(folder: Path, url: str, head: Head, overwrite: bool) -> Pushed | None:
    """Which of the states at a URL a folder has; None where it has nothing, or what may be replaced.

    ExistsError where it has anything else. What is hidden, as by a leading dot, does not count.
    """
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    if ANNOTATIONS in names:
        try:
            here = _sealed(folder)
        except XlabelError:
            if not overwrite:
                raise
            here = None
        if here in head.states:
            return here
    if overwrite or not names:
        return None
    media = any(Path(name).suffix[1:].lower() in bundles.KINDS for name in names)
    if media or ANNOTATIONS in names or MANIFEST in names:
        raise ExistsError(
            f"{folder}: has a pack that is not an older one of {url}, or has changes of its own; push "
            "them, pull into another folder, or say --overwrite to lose what is here"
        )
    raise ExistsError(
        f'{folder}: expected a pack or an empty folder, found "{visible(min(names))}" in it; pull into '
        "another folder, or say --overwrite to put the pack beside what is here"
    )


def _sealed(folder: Path) -> Pushed | None:
    """Generation and seal of the pack in a folder; None where its annotation file was edited."""
    with open_bundle(folder) as bundle, ExitStack() as leaving:
        file = bundle.annotation_file
        if file is None:
            return None
        section = read_lines(bundle, leaving).top.section
        if not is_sealed_annotations(file, section):
            return None
        return Pushed(bundle.generation, str(section.get("sha256")))


class _Pull:
    """One pull: what is at the URL, and where it goes."""

    def __init__(
        self,
        folder: Path,
        work: Transaction,
        store: Transport,
        head: Head,
        files: Folded,
        report: Report,
        progress: Progress | None,
    ) -> None:
        self.folder, self.work, self.store, self.head = folder, work, store, head
        self.files = files
        self.report, self.progress = report, progress
        self.new = lines(files.annotations, f"{store.url}/{ANNOTATIONS}")
        self.got = 0
        self.crcs = array("I")
        """CRC-32s of the images that were fetched, by frame number."""

    def whole(self) -> None:
        """Fetch all."""
        name = self.head.bundle
        self._write_json()
        self._arrived(0).rename(self.work.staged(name))
        names, stale = [name, ANNOTATIONS, MANIFEST], [PROBLEMS]
        there, absent = travelling(self.files.log, 0), self._new_to(self.folder)
        if there or absent:
            begin(self.work.staged(LOG), self._line(there, {}, absent))
            names.append(LOG)
        else:
            stale.append(LOG)
        self._set_aside()
        self.work.commit(names, stale)
        self._report()

    def _new_to(self, folder: Path) -> set[int]:
        """Frame numbers of the images that the pack in a folder does not have, or has from others.

        None where there is no pack: who pulls for the first time may have the images of all.
        """
        try:
            with open_bundle(folder) as bundle, ExitStack() as leaving:
                old = read_lines(bundle, leaving)
                unseen = theirs(folder / LOG, bundle.made)
                known = {
                    old.sample(at).sample.image.key for n, at in old.positions().items() if n not in unseen
                }
        except (XlabelError, KeyError):
            return set()
        new = self.new.positions().items()
        return {number for number, at in new if self.new.sample(at).sample.image.key not in known}

    def grown(self) -> bool:
        """Fetch what is new, and put it behind the media here. False where that is of another pack."""
        head, work = self.head, self.work
        with open_bundle(self.folder) as bundle, ExitStack() as leaving:
            if bundle.media.name != head.bundle or bundle.newest_is_later or bundle.size > head.media.size:
                return False
            size = bundle.size
            index = bundles.read_trailer(bundle.read, size, str(bundle.media)).index
            if not is_prefix(
                self.store, head, bytes(bundle.read(size - bundles.TRAILER, bundles.TRAILER)), size
            ):
                return False
            old = read_lines(bundle, leaving)
            if head.media.size > size:
                partial = self._arrived(size)
                work.grow(bundle.media.name, size, index)
                _append(bundle.media, partial, size)
                partial.unlink()
            self._write_json()
            if head.media.size > size:
                self._check_around(bundle.media, size, bundle)
            self._log(old, bundle.made, leaving)
            hide = Hidden(head.bundle, index) if head.media.size > size else None
            work.commit([ANNOTATIONS, MANIFEST], [PROBLEMS], hide)
        self._report()
        return True

    def _arrived(self, start: int) -> Path:
        """Fetch the media from `start` on to a file, and check it. What is damaged does not stay."""
        partial = self._partial(start)
        try:
            self._fetch(partial, start)
            self._check(partial, start)
            if not start:
                self._check_around(partial, start, None)
        except CorruptError:
            for name in (partial.name, partial.name + DONE):
                partial.with_name(name).unlink(missing_ok=True)
            raise
        return partial

    def _partial(self, start: int) -> Path:
        """The file that is fetched to; the same after a kill. Those of other states go."""
        name = f"{PARTIAL}{self.head.pack_id}-{start}"
        for old in self.folder.glob(f"{PARTIAL}*"):
            if old.name not in (name, name + DONE):
                old.unlink()
        return self.folder / name

    def _fetch(self, partial: Path, start: int) -> None:
        total = self.head.media.size - start

        def got(size: int) -> None:
            self.got += size
            if self.progress:
                self.progress(self.got, total)

        self.report.bytes += fetch(self.store, self.head, start, partial, got)

    def _check(self, partial: Path, start: int) -> None:
        """Compare the images that were fetched with their hashes."""
        frames = frames_in(self.files.manifest, f"{self.store.url}/{MANIFEST}")
        self.crcs = array("I", bytes(4 * len(frames)))
        with open(partial, "rb") as file:
            for frame in frames:
                if frame.offset < start:
                    continue
                inside = 0 <= frame.size <= self.head.media.size - frame.offset
                data = os.pread(file.fileno(), frame.size, frame.offset - start) if inside else b""
                self.crcs[frame.index] = crc32(data)
                if hashlib.sha256(data).hexdigest() != frame.sha256:
                    found = f"{self.store.url}: {frame.key}: its bytes are not those that were pushed"
                    raise damaged(self.store, f"{found}; nothing was changed here")
        if self.head.kind == mp4.NAME:
            # Where media is there that no head names yet, its index has taken the place of this one.
            with open(partial, "r+b") as file:
                os.pwrite(file.fileno(), mp4.SHOWN, self.head.media.index - start + 4)

    def _check_around(self, media: Path, start: int, before: Bundle | None) -> None:
        """Compare what a media file has around its images from `start` on, the index above all, with them.

        `before` is the bundle that has grown.
        """
        url = self.store.url
        with ExitStack() as leaving:
            files = Kept(media), Kept(self.work.staged(MANIFEST))
            for file in files:
                leaving.callback(file.close)
            try:
                bundle = Bundle(files[0], None, files[1], self.head.media.size, self.head.generation)
                problems = check_fetched(bundle, start, self.crcs, before)
            except CorruptError as error:
                found = str(error).replace(str(media), f"{url}: its media")
                raise damaged(self.store, f"{found}; nothing was changed here") from None
        if problems:
            found = f"{url}: what its media has around the images is not what they make of it"
            raise damaged(self.store, f"{found}; nothing was changed here")

    def _write_json(self) -> None:
        self.work.staged(ANNOTATIONS).write_bytes(self.files.annotations)
        self.work.staged(MANIFEST).write_bytes(self.files.manifest)

    def _log(self, old: Lines, before: Made, leaving: ExitStack) -> None:
        """Note what has changed, so that the states before can be read."""
        found = compared(old, self.new)
        fresh = {*found.keys["added"], *found.keys["renamed"]}
        new, unseen = self.new.positions(), theirs(self.folder / LOG, before)
        for number in new.keys() - old.positions().keys():
            if self.new.sample(new[number]).sample.image.key in fresh:
                unseen.add(number)
        changes = Changes(self.work.staged("spool-log"), old.tail)
        leaving.callback(changes.close)
        changes.between(old, self.new)
        there = travelling(self.files.log, before.number)
        told = changes.append(self.folder / LOG, before, self._line(there, found.counts, unseen & new.keys()))
        self.report.notes += [told] if told else []

    def _line(
        self, there: tuple[Generation, ...], changes: dict[str, int], absent: Iterable[int]
    ) -> Generation:
        """What there is to say of the generation that was pulled."""
        return Generation(
            generation=self.head.generation,
            time=now(),
            message=f"pulled from {self.store.url}",
            changes=changes,
            pack_id=self.head.pack_id,
            media_size=self.head.media.size,
            pulled=there,
            theirs=spans(absent),
        )

    def _set_aside(self) -> None:
        """Keep the log of what was here under another name too: it does not lead to what will be here."""
        log = self.folder / LOG
        if not os.path.lexists(log):
            return
        names = (log.with_name(f"{log.stem}.old{number}{log.suffix}") for number in range(1, 10_000))
        other = next(name for name in names if not os.path.lexists(name))
        os.link(log, other)
        self.report.notes.append(f"{LOG} is of the pack that was here before; it is kept as {other.name}")

    def _report(self) -> None:
        names = (self.head.bundle, ANNOTATIONS, MANIFEST)
        self.report.files = {str(self.folder / name): (self.folder / name).stat().st_size for name in names}
        self.report.notes.append(f"fetched {size_text(self.report.bytes)} of media")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written: {error.strerror}; nothing was changed, and what has arrived is "
            "kept: make room and pull again"
        ) from None


def _append(media: Path, tail: Path, size: int) -> None:
    """Put a file's bytes behind the first `size` of a media file, and have them on the disk."""
    with open(media, "r+b") as out, open(tail, "rb") as source:
        out.truncate(size)
        out.seek(size)
        shutil.copyfileobj(source, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
