"""What pushes have left at a URL and nobody needs: unfinished uploads, objects that no head names."""

import re
import time
from pathlib import Path

from xlabel.jobs.remote import HeadAt, read_head, read_one
from xlabel.jobs.upload import Journal
from xlabel.model import Report
from xlabel.model.head import HEAD, HEADS, Gone, Head, head_serial
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.model.report import counted
from xlabel.stores.transport import Transport

DAY = 86_400.0
"""Seconds that what a head let go of stays for who reads it; an upload that is older is of a killed push."""

_OURS = re.compile(r"\.(\d{6,})-[0-9a-f]{16}$|^(?:deltas|logs)/(\d{6,})-[0-9a-f]{16}\.jsonl\.gz$")


def collect(store: Transport, folder: Path, report: Report, dry_run: bool) -> None:
    """Take away unfinished uploads of ours, and objects that no reader of what is current needs.

    What a push that is under way has written is of a later generation than the head, and stays.
    """
    found = read_head(store)
    if found is None:
        return
    journal = Journal(folder, store.url)
    needed = {HEAD, found.name, *objects_of(found.head), *_before(store, found)}
    uploads = [
        (name, upload)
        for name in {*needed, found.head.bundle, ANNOTATIONS, MANIFEST, *journal.names()}
        for upload in store.uploads(name)
        if upload.id in journal.ids(name) or time.time() - upload.begun > DAY
    ]
    unneeded = [
        name for name in store.names() if name not in needed and _is_past(name, found.head, found.name)
    ]
    read = {one.name for one in found.head.gone if time.time() - one.at < DAY}
    objects = [name for name in unneeded if name not in read]
    if not dry_run:
        for name, upload in uploads:
            store.abort(name, upload.id)
            journal.end(name, upload.id)
        for name in objects:
            store.delete(name)
    report.done |= {"uploads": len(uploads), "objects": len(objects)}
    what = "would be taken away" if dry_run else "taken away"
    stay = len(unneeded) - len(objects)
    told = (
        f"; {counted(stay, 'objects')} let go of less than a day ago stay for who reads them" if stay else ""
    )
    report.notes.append(
        f"{counted(len(uploads), 'unfinished uploads')} and {counted(len(objects), 'objects')} {what}{told}"
    )


def let_go(before: Head | None, head: Head) -> tuple[Gone, ...]:
    """What a head no longer names of what the one before it named, and what was let go of before that."""
    if before is None:
        return ()
    at, names = int(time.time()), set(objects_of(head))
    late = [one for one in before.gone if at - one.at < DAY]
    new = [Gone(name, at) for name in objects_of(before)]
    # A time to come is of a clock that was wrong.
    return tuple(Gone(one.name, min(one.at, at)) for one in (*late, *new) if one.name not in names)


def objects_of(head: Head) -> list[str]:
    """The objects that a head names."""
    whole = head.whole
    files = [one.name for one in (whole.annotations, whole.manifest, whole.log) if one]
    return [*files, *(one.name for one in head.media.segments), *(one.name for one in head.deltas)]


def _before(store: Transport, found: HeadAt) -> list[str]:
    """The head before, where heads stand beside each other, and what it names.

    The newest may be taken back in a moment, since two pushes met.
    """
    older = [name for name in store.names(HEADS) if 0 < head_serial(name) < head_serial(found.name)]
    before = read_one(store, max(older, key=head_serial)) if older else None
    return [before.name, *objects_of(before.head)] if before else []


def _is_past(name: str, head: Head, head_name: str) -> bool:
    """Whether an object is of a push before the head's, or of none that was committed."""
    if name.startswith(HEADS):
        return 0 < head_serial(name) < head_serial(head_name)
    if name in (head.bundle, ANNOTATIONS, MANIFEST):
        return head.plain and (name == head.bundle or not head.has_plain_pair)
    match = _OURS.search(name)
    if match is None:
        return False
    generation = int(match[1] or match[2])
    # A fold that is under way writes its files for the generation that is there.
    under_way = name.startswith((ANNOTATIONS, MANIFEST, "logs/")) and generation == head.generation
    return generation <= head.generation and not under_way
