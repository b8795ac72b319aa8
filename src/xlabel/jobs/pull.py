"""Pull: a pack from a URL into a folder, at the cost of what is not there yet."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xlabel import bundles
from xlabel.bundles import mp4
from xlabel.errors import CorruptError, ExistsError, StoreError
from xlabel.formats.unified_lines import Lines, lines
from xlabel.jobs.bundle import open_bundle, read_lines
from xlabel.jobs.comparing import compared
from xlabel.jobs.fetch import fetch
from xlabel.jobs.generations import LOG, Changes, Generation, Made
from xlabel.jobs.putting import now
from xlabel.jobs.remote import is_prefix, json_files, refuse_folder
from xlabel.model import Report
from xlabel.model.head import Head, Pushed
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, PROBLEMS, frames_in
from xlabel.model.report import Progress, size_text
from xlabel.stores.transaction import Hidden, Transaction
from xlabel.stores.transport import Transport, open_store

PARTIAL = ".xlabel-pull-"
"""What the name of a file begins with that a pull is fetching."""


def pull(
    url: str,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Fetch a pack from a URL, or bring the one in a folder up to date with it; gives a report.

    Only what is not here is fetched, also after a kill, and each image is compared with its hash. A folder
    that has another pack, or changes of its own, is refused unless `overwrite` is said. Raises StoreError
    where the store fails, MissingError where there is no pack, CorruptError where it is not what was
    pushed.
    """
    began = time.perf_counter()
    refuse_folder(url, "to pull from")
    place = Path(folder)
    report = Report(job="pull")
    with ExitStack() as leaving, _told(place):
        store = open_store(url)
        leaving.callback(store.close)
        head, annotations, manifest = json_files(store)
        job = _Pull(place, store, head, annotations, manifest, report, progress)
        here = _state(place)
        if here == Pushed(head.generation, head.seal):
            report.notes.append(f"{place} has it already")
        elif here in head.states:
            if not job.grown():  # what is there was packed anew, and what is here is a state of before
                job.whole()
        elif here is not None and not overwrite:
            raise ExistsError(
                f"{place}: has a pack that is not an older one of {url}, or has changes of its own; push "
                "them, pull into another folder, or say --overwrite to lose what is here"
            )
        else:
            job.whole()
        with open_bundle(place) as bundle:
            report.done = {"images": len(bundle)}
        report.notes.append(f"generation {head.generation} of {url}")
    report.seconds = time.perf_counter() - began
    return report


def _state(folder: Path) -> Pushed | None:
    """Generation and seal of the pack in a folder; None where there is none."""
    if not (folder / ANNOTATIONS).exists():
        return None
    with open_bundle(folder) as bundle, ExitStack() as leaving:
        if not bundle.described:
            return Pushed(0, "")
        return Pushed(bundle.generation, str(read_lines(bundle, leaving).top.section.get("sha256")))


class _Pull:
    """One pull: what is at the URL, and where it goes."""

    def __init__(
        self,
        folder: Path,
        store: Transport,
        head: Head,
        annotations: bytes,
        manifest: bytes,
        report: Report,
        progress: Progress | None,
    ) -> None:
        self.folder, self.store, self.head = folder, store, head
        self.annotations, self.manifest = annotations, manifest
        self.report, self.progress = report, progress
        self.new = lines(annotations, f"{store.url}/{ANNOTATIONS}")
        self.got = 0

    def whole(self) -> None:
        """Fetch all."""
        head = self.head
        with Transaction(self.folder) as work:
            partial = self._partial(0)
            self._fetch(partial, 0)
            self._check(partial, 0)
            media = work.staged(head.bundle)
            partial.rename(media)
            self._write_json(work)
            work.commit([head.bundle, ANNOTATIONS, MANIFEST], [PROBLEMS])
            (self.folder / LOG).unlink(missing_ok=True)  # of what was here before
        self._report()

    def grown(self) -> bool:
        """Fetch what is new, and put it behind the media here. False where that is of another pack."""
        head, folder = self.head, self.folder
        with Transaction(folder) as work, open_bundle(folder) as bundle, ExitStack() as leaving:
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
                partial = self._partial(size)
                self._fetch(partial, size)
                self._check(partial, size)
                work.grow(bundle.media.name, size, index)
                _append(bundle.media, partial, size)
                partial.unlink()
            self._write_json(work)
            self._log(work, old, bundle.made, leaving)
            hide = Hidden(head.bundle, index) if head.media.size > size else None
            work.commit([ANNOTATIONS, MANIFEST], [PROBLEMS], hide)
        self._report()
        return True

    def _partial(self, start: int) -> Path:
        """The file that is fetched to; the same after a kill. Those of other states go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{PARTIAL}{self.head.pack_id}-{start}"
        for old in self.folder.glob(f"{PARTIAL}*"):
            if not old.name.startswith(name):
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
        frames = frames_in(self.manifest)
        with open(partial, "rb") as file:
            for frame in frames:
                if frame.offset < start:
                    continue
                data = os.pread(file.fileno(), frame.size, frame.offset - start)
                if hashlib.sha256(data).hexdigest() != frame.sha256:
                    partial.unlink()
                    raise CorruptError(
                        f"{self.store.url}: {frame.key}: its bytes are not those that were pushed; nothing "
                        "was changed here; xlabel verify tells what else is damaged"
                    )
        if self.head.kind == mp4.NAME:
            # Where media is there that no head names yet, its index has taken the place of this one.
            with open(partial, "r+b") as file:
                os.pwrite(file.fileno(), mp4.SHOWN, self.head.media.index - start + 4)

    def _write_json(self, work: Transaction) -> None:
        work.staged(ANNOTATIONS).write_bytes(self.annotations)
        work.staged(MANIFEST).write_bytes(self.manifest)

    def _log(self, work: Transaction, old: Lines, before: Made, leaving: ExitStack) -> None:
        """Note what has changed, so that the states before can still be read."""
        changes = Changes(work.staged("spool-log"), old.tail)
        leaving.callback(changes.close)
        changes.between(old, self.new)
        told = changes.append(
            self.folder / LOG,
            before,
            Generation(
                generation=self.head.generation,
                time=now(),
                message=f"pulled from {self.store.url}",
                changes=compared(old, self.new).counts,
                pack_id=self.head.pack_id,
                media_size=self.head.media.size,
            ),
        )
        self.report.notes += [told] if told else []

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
