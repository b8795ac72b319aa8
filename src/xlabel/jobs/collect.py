"""What pushes have left at a URL and nobody needs: unfinished uploads, objects that no head names.

An object of a later generation than the head's may be of a push that is under way, however old it is. So the
head is written anew before it is taken away, and says that it is gone: who has read the head before cannot
commit any more, and who reads it then makes an object of another name.
"""

import re
import time
from pathlib import Path

from msgspec.structs import replace

from xlabel.errors import ConflictError
from xlabel.jobs.commit import commit
from xlabel.jobs.remote import HeadAt, read_head, read_one
from xlabel.jobs.upload import Journal
from xlabel.model import Report
from xlabel.model.head import HEAD, HEADS, Gone, Head, head_serial
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.model.report import counted
from xlabel.stores.transport import PROBE, Transport

DAY = 86_400.0
"""Seconds that what a head let go of stays for who reads it; what is older and unfinished a kill has left."""

_OURS = re.compile(r"\.(\d{6,})-[0-9a-f]{16}$|^(?:deltas|logs)/(\d{6,})-[0-9a-f]{16}\.jsonl\.gz$")


def collect(store: Transport, folder: Path, report: Report, dry_run: bool) -> None:
    """Take away unfinished uploads, and objects that no reader of what is current needs.

    What may be of a push of somebody else's that is under way stays for a day.
    """
    found = read_head(store)
    if found is None:
        return
    journal = Journal(folder, store.url)
    needed = {HEAD, found.name, *objects_of(found.head), *_before(store, found)}
    uploads = [
        upload
        for upload in store.unfinished()
        if _is_of(upload.name, found.head)
        and (upload.id in journal.ids(upload.name) or time.time() - upload.begun > DAY)
    ]
    names = [name for name in store.names() if name not in needed]
    unneeded = [name for name in names if _is_past(name, found.head, found.name)]
    unneeded += [name for name in names if name.startswith(PROBE) and _age(store, name) > DAY]
    read = {one.name for one in found.head.gone if time.time() - one.at < DAY}
    if found.head.bundle in read:
        read |= {ANNOTATIONS, MANIFEST}  # which say what is where in it
    objects = [name for name in unneeded if name not in read]
    left = [
        name for name in names if name not in read and _is_later(name, found.head) and _age(store, name) > DAY
    ]
    if not dry_run:
        for upload in uploads:
            store.abort(upload.name, upload.id)
            journal.end(upload.name, upload.id)
        if left and not _let_go_of(store, found, left, report):
            left = []
        # The media goes last: whose JSON files are there has their images, too.
        for name in sorted([*objects, *left], key=lambda name: name == found.head.bundle):
            store.delete(name)
    stay = len(unneeded) - len(objects)
    objects += left
    report.done |= {"uploads": len(uploads), "objects": len(objects)}
    what = "would be taken away" if dry_run else "taken away"
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


def _let_go_of(store: Transport, found: HeadAt, names: list[str], report: Report) -> bool:
    """Write the head anew, with names that it lets go of; whether nobody was faster."""
    gone = (*found.head.gone, *(Gone(name, int(time.time())) for name in names))
    try:
        commit(store, replace(found.head, gone=gone), found)
    except ConflictError:
        report.notes.append(
            f"{store.url}: somebody else has pushed meanwhile, and so {counted(len(names), 'objects')} of "
            "killed pushes stay; push --gc again"
        )
        return False
    return True


def _age(store: Transport, name: str) -> float:
    """Seconds since an object was written; 0 where its store does not say."""
    modified = store.modified(name)
    return 0.0 if modified is None else time.time() - modified


def _is_of(name: str, head: Head) -> bool:
    """Whether a push of the head's pack may have written an object."""
    known = name in (head.bundle, ANNOTATIONS, MANIFEST) or name.startswith(PROBE)
    return known or _OURS.search(name) is not None


def _is_later(name: str, head: Head) -> bool:
    """Whether an object is of a push after the head's, or of a fold of what the head names."""
    match = _OURS.search(name)
    return match is not None and (int(match[1] or match[2]) > head.generation or _is_of_fold(name, head))


def _is_of_fold(name: str, head: Head) -> bool:
    """Whether an object of the generation that is there is one that a fold which is under way writes."""
    match = _OURS.search(name)
    generation = int(match[1] or match[2]) if match else 0
    return name.startswith((ANNOTATIONS, MANIFEST, "logs/")) and generation == head.generation


def _is_past(name: str, head: Head, head_name: str) -> bool:
    """Whether an object is of a push before the head's, or of none that was committed."""
    if name.startswith(HEADS):
        return 0 < head_serial(name) < head_serial(head_name)
    if name in (head.bundle, ANNOTATIONS, MANIFEST):
        return head.plain and (name == head.bundle or not head.has_plain_pair)
    match = _OURS.search(name)
    if match is None:
        return False
    return int(match[1] or match[2]) <= head.generation and not _is_of_fold(name, head)
