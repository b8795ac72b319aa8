"""The images of a folder in short, looked at in the background and known again at the next start.

What is known of an image is its `Record`. It follows from the image file and its labels alone, so a record is
kept in the user's cache with the file's version, and is made anew when that is another.
"""

import os
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from xlabel.errors import InputError
from xlabel.jobs.categories import Categories
from xlabel.jobs.saving import Held, version_of
from xlabel.model import Category
from xlabel.model.expression import predicate
from xlabel.model.record import LABELLED, REJECTED, REVIEWED, STATES, TODO, Record, record
from xlabel.stores import cache
from xlabel.stores.local import Scan, scan
from xlabel.stores.paths import key_of

MARKS = {TODO: "t", LABELLED: "l", REVIEWED: "r", REJECTED: "x"}
"""A letter for each state; `?` for an image that was not looked at yet."""
KEPT = "review2"
"""Where records are kept; the number is that of their form."""
SAVED = 5000
"""After so many new records the cache is written."""
AGAIN = 2.0
"""Seconds after which the folder is looked at again when somebody asks, and this at least ..."""
PAUSE = 10
"""... times as long as looking at it took."""


class Looked(msgspec.Struct, array_like=True, gc=False):
    """A record, the version of the file that it is of, and where its labels are."""

    version: str
    place: str
    record: Record


class Kept(msgspec.Struct, array_like=True, gc=False):
    """What stands in the cache: of which labels and which xlabel, and what was found by key."""

    source: str
    categories: list[Category]
    looked: dict[str, Looked]


class Listing(msgspec.Struct):
    """Which images fit, in order, and what is among them."""

    numbers: list[int]
    marks: str
    """A letter for each of them, see MARKS."""
    total: int
    looked: int
    states: dict[str, int]
    suggested: int
    unlabelled: int
    categories: dict[str, dict[str, int]]
    problems: dict[str, int]
    splits: dict[str, int]


class Gallery:
    """All images of a folder, by number. Numbers stay as they are; images that come later get new ones."""

    def __init__(
        self, selected: Scan, source: str, categories: Categories, load: Callable[[bytes], Held]
    ) -> None:
        """`load` gives an image's labels by its name; `source` says which label files there are besides.

        Records that were kept of another source are not taken. `categories` are told of those that were met
        the last time.
        """
        self.categories = categories
        self.root = selected.root
        self.names = list(selected.keys.names())
        self.keys = [key_of(name) for name in self.names]
        self._load = load
        self._source = source
        self._whole = len(self.names) > 1
        self._sorted = len(self.names)  # so many of the first are in the order of their keys
        self._numbers = {key: number for number, key in enumerate(self.keys)}
        self._looked: list[Looked | None] = [None] * len(self.names)
        self._count = 0
        self._gone: set[int] = set()
        self._changed = array("Q")
        self._lock = threading.Lock()
        self._asked = time.monotonic()
        self._stopped = threading.Event()
        self._cache = cache.place(KEPT, xxh3_128_hexdigest(os.path.realpath(os.fsencode(self.root))))
        self._take(_versions(selected))

    def start(self) -> None:
        """Look at all images that are not known, in a thread of its own."""
        threading.Thread(target=self._look_at_all, name="gallery", daemon=True).start()

    def stop(self) -> None:
        """End that thread, and keep what is known."""
        self._stopped.set()
        self._keep()

    def number(self, key: str) -> int | None:
        """The number of the image of that key."""
        return self._numbers.get(key)

    def record(self, number: int) -> Record | None:
        """What is known of an image; None where it was not looked at yet, or is gone."""
        looked = self._looked[number]
        return looked.record if looked and number not in self._gone else None

    def note(self, number: int, held: Held) -> Record:
        """Note what an image's labels are now."""
        sample = held.sample
        found = Counter(finding.code for finding in held.findings)
        found.update(problem.code for problem in held.problems)
        made = record(sample, bytes=held.bytes, mtime=held.time / 1e9, problems=found)
        with self._lock:
            before = self._looked[number]
            self._looked[number] = Looked(held.version, held.place, made)
            self._count += before is None
            if number in self._gone or (before is not None and before.version != held.version):
                self._changed.append(number)
            self._gone.discard(number)
        return made

    def lost(self, number: int) -> None:
        """Note that an image is no longer there."""
        with self._lock:
            if number not in self._gone:
                self._gone.add(number)
                self._changed.append(number)

    def status(self, since: str) -> dict[str, Any]:
        """How many images were looked at, and which have changed since the answer that gave `since`."""
        self._refresh()
        with self._lock:
            end = len(self._changed)
            changed = sorted(set(self._changed[int(since) :])) if since.isdecimal() else []
            return {"looked": self._count, "total": len(self.names), "changed": changed, "since": str(end)}

    def listing(
        self, where: str, sort: Callable[[Sequence[int], Sequence[Looked | None]], list[int]] | None
    ) -> Listing:
        """The images that fit an expression, sorted; by key where `sort` is None.

        With an expression only those fit that were looked at. ExpressionError where it is none.
        """
        fits = predicate(where) if where.strip() else None
        with self._lock:
            looked, gone = list(self._looked), set(self._gone)
        numbers = [
            number
            for number, one in enumerate(looked)
            if number not in gone and (fits is None or (one is not None and fits(one.record)))
        ]
        if self._sorted < len(looked):
            numbers.sort(key=lambda number: self.names[number])
        if sort is not None:
            numbers = sort(numbers, looked)
        return _listing(numbers, looked, self._count)

    def _refresh(self) -> None:
        """Look for images that are new, changed or gone, where that was not done just now."""
        with self._lock:
            now = time.monotonic()
            if not self._whole or now - self._asked < AGAIN:
                return
            self._asked = now + 1e9  # nobody else meanwhile
        began = time.monotonic()
        try:
            self._compare(scan(self.root))
        except InputError:  # the folder is gone: so are all images, as each of them says
            pass
        finally:
            self._asked = time.monotonic() + PAUSE * (time.monotonic() - began)

    def _compare(self, found: Scan) -> None:
        versions = _versions(found)
        for name in versions.keys() - set(self.names):
            with self._lock:
                number = len(self.names)
                self.names.append(name)
                self.keys.append(key_of(name))
                self._numbers[self.keys[-1]] = number
                self._looked.append(None)
                self._changed.append(number)
        for number, name in enumerate(self.names):
            if name not in versions:
                self.lost(number)
                continue
            looked = self._looked[number]
            new = looked is None and number >= self._sorted  # the others are looked at just now
            other = looked is not None and looked.version.partition("+")[0] != versions[name]
            if new or other or number in self._gone:
                self._look(number)

    def _look_at_all(self) -> None:
        new = 0
        for number in range(len(self.names)):
            if self._stopped.is_set():
                return
            if self._looked[number] is None:
                self._look(number)
                new += 1
                if new % SAVED == 0:
                    self._keep()
        if new:
            self._keep()

    def _look(self, number: int) -> None:
        try:
            self.note(number, self._load(self.names[number]))
        except FileNotFoundError:
            self.lost(number)
        except (OSError, InputError):
            with self._lock:
                if self._looked[number] is None:
                    self._count += 1
                unread = Record(key=self.keys[number], problems={"unreadable": 1})
                self._looked[number] = Looked("", "", unread)

    def _take(self, versions: dict[bytes, str]) -> None:
        """Take what the cache has of files that are as they were."""
        try:
            kept = msgspec.msgpack.decode(self._cache.read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return
        if kept.source != self._source:
            return
        for category in kept.categories:
            self.categories.met(category)
        for number, key in enumerate(self.keys):
            looked = kept.looked.get(key)
            if looked is not None and looked.version == versions[self.names[number]]:
                self._looked[number] = looked
                self._count += 1

    def _lasting(self, looked: Looked) -> bool:
        """Whether a record holds as long as the image file does not change."""
        return looked.place == "image" or (looked.place == "none" and not self._source)

    def _keep(self) -> None:
        with self._lock:
            pairs = zip(self.keys, self._looked, strict=True)
            looked = {key: one for key, one in pairs if one is not None and self._lasting(one)}
        data = msgspec.msgpack.encode(Kept(self._source, self.categories.met_so_far(), looked))
        new = self._cache.with_name(f".{self._cache.name}.{os.getpid()}")
        with suppress(OSError):  # no cache: everything is looked at again next time
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.rename(self._cache)


def by_date(numbers: Sequence[int], looked: Sequence[Looked | None]) -> list[int]:
    """Images by the time of their files, the oldest first."""

    def when(number: int) -> float:
        one = looked[number]
        return one.record.mtime if one else 0.0

    return sorted(numbers, key=when)


def _versions(found: Scan) -> dict[bytes, str]:
    columns = zip(found.keys.names(), found.times, found.sizes, found.inodes, strict=True)
    return {name: version_of(when, size, inode) for name, when, size, inode in columns}


def _listing(numbers: list[int], looked: Sequence[Looked | None], count: int) -> Listing:
    states = dict.fromkeys(STATES, 0)
    labels, images, suggestions = Counter[str](), Counter[str](), Counter[str]()
    problems, splits = Counter[str](), Counter[str]()
    suggested = unlabelled = 0
    for number in numbers:
        one = looked[number]
        if one is None:
            continue
        found = one.record
        states[found.state] += 1
        suggested += found.suggestions > 0
        unlabelled += found.count == 0
        if found.categories:
            labels.update(found.categories)
            images.update(found.categories.keys())
        if found.suggested:
            suggestions.update(found.suggested)
        if found.problems:
            problems.update(found.problems.keys())
        if found.split is not None:
            splits[found.split] += 1
    categories = {
        name: {"labels": labels[name], "images": images[name], "suggestions": suggestions[name]}
        for name in sorted(labels)
    }
    return Listing(
        numbers,
        "".join(MARKS[one.record.state] if (one := looked[number]) else "?" for number in numbers),
        len(looked),
        count,
        states,
        suggested,
        unlabelled,
        categories,
        dict(sorted(problems.items())),
        dict(sorted(splits.items())),
    )
