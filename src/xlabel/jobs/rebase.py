"""Rebase: the changes that were made here put upon those that others have pushed, so that nobody's are lost.

Both have grown from a common generation. What others have added is fetched, and `joining` puts ours upon it.
Media that was written anew since has no such common part: nothing is done then.
"""

import shutil
from contextlib import ExitStack
from pathlib import Path

from xlabel import bundles
from xlabel.errors import InputError
from xlabel.formats.unified_lines import lines
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.fetch import fetch
from xlabel.jobs.generations import (
    LOG,
    as_of,
    numbers_since,
)
from xlabel.jobs.joining import Join, Side
from xlabel.jobs.opening import open_bundle, read_lines
from xlabel.jobs.remote import Folded, is_prefix, json_files
from xlabel.model.head import Head
from xlabel.stores.snapshot import Kept
from xlabel.stores.transaction import Transaction
from xlabel.stores.transport import Transport


def rebase(folder: Path, store: Transport, head: Head, common: int) -> str:
    """Put the changes of the pack in a folder since generation `common` upon what is at a URL; gives a note.

    The pack in the folder is then one generation ahead of the URL. What is there may have changed since
    `head` was read: then nothing is done, and the caller looks again.
    """
    now_there, files = json_files(store)
    if now_there != head:
        return f"{store.url} has changed again"
    with ExitStack() as leaving:
        work = leaving.enter_context(Transaction(folder))
        mine = leaving.enter_context(open_bundle(folder))
        ours = read_lines(mine, leaving)
        both = lines(b"".join(as_of(ours, folder, mine.made, common)), str(folder))
        shared = int(both.top.section["media_size"])
        _refuse_anew(folder, store, head, mine, common, shared)
        start = mine.trailer(shared).index
        media = work.staged(mine.media.name)
        tail = work.staged("spool-tail")
        fetch(store, head, start, tail)
        _joined(mine.media, start, tail, media)
        theirs = leaving.enter_context(_bundle(work, media, files, head))
        sides = Side(mine, ours), Side(mine, both), Side(theirs, read_lines(theirs, leaving))
        job = Join(work, *sides, start, leaving)
        return job.run(folder, common, files.log, store.url)


def _refuse_anew(folder: Path, store: Transport, head: Head, mine: Bundle, common: int, shared: int) -> None:
    """InputError where the media here or there was written anew since the common generation of that size."""
    if numbers_since(folder / LOG, common, mine.made) is None:
        place = str(folder)
    elif not is_prefix(store, head, bytes(mine.read(shared - bundles.TRAILER, bundles.TRAILER)), shared):
        place = store.url
    else:
        return
    raise InputError(
        f"{folder}: {store.url} has changed too since generation {common}, and the media of {place} was "
        "written anew since (xlabel compact), so the changes cannot be joined; nothing was changed: pull "
        "into another folder, xlabel unpack that, make your changes there, xlabel pack --update and push"
    )


def _joined(media: Path, start: int, tail: Path, out: Path) -> None:
    """The first `start` bytes of a media file, and another file behind them."""
    with open(media, "rb") as first, open(tail, "rb") as second, open(out, "wb") as target:
        left = start
        while left and (piece := first.read(min(left, 1 << 20))):
            target.write(piece)
            left -= len(piece)
        shutil.copyfileobj(second, target, 1 << 20)


def _bundle(work: Transaction, media: Path, files: Folded, head: Head) -> Bundle:
    """What is at the URL, as a bundle that is open."""
    places = work.staged("spool-their-annotations"), work.staged("spool-their-manifest")
    for place, data in zip(places, (files.annotations, files.manifest), strict=True):
        place.write_bytes(data)
    return Bundle(Kept(media), Kept(places[0]), Kept(places[1]), head.media.size, head.generation)
