"""What a pack has been: its generations, and how two states of it differ."""

import os
from contextlib import ExitStack

import msgspec

from xlabel.jobs.comparing import KINDS, compared
from xlabel.jobs.generations import LOG, Generation, told
from xlabel.jobs.opening import open_bundle, read_lines
from xlabel.model.report import counted, visible

SHOWN = 20
"""So many keys of each kind are named; the JSON has all."""


class History(msgspec.Struct):
    """The generations of a pack, the newest first."""

    generation: int
    """The one that the pack is of."""
    log: list[Generation]

    def __str__(self) -> str:
        lines = []
        for one in self.log:
            changes = ", ".join(f"{number:,} {kind}" for kind, number in one.changes.items())
            text = "; ".join(part for part in (changes, visible(one.message)) if part)
            lines.append(f"{one.generation:>4}  {one.time}  {text}")
        oldest = self.log[-1].before if self.log else self.generation
        lines.append(f"{oldest:>4}  {'packed' if oldest == 1 else f'what was before is not in {LOG}'}")
        return "\n".join(lines)


class Difference(msgspec.Struct):
    """How two states of a data set differ, image by image."""

    changes: dict[str, int]
    keys: dict[str, list[str]]
    renamed: dict[str, str]
    """The old key of each renamed image, by the new one."""

    def __str__(self) -> str:
        lines = [", ".join(f"{number:,} {kind}" for kind, number in self.changes.items()) or "no difference"]
        for kind in KINDS:
            keys = self.keys.get(kind, [])
            for key in keys[:SHOWN]:
                before = f"{visible(self.renamed[key])} -> " if key in self.renamed else ""
                lines.append(f"  {kind:<10}  {before}{visible(key)}")
            if len(keys) > SHOWN:
                lines.append(
                    f"  {kind:<10}  ... and {counted(len(keys) - SHOWN, 'images')} more; --json lists all"
                )
        return "\n".join(lines)


def log(folder: str | os.PathLike[str]) -> History:
    """The updates of a pack: number, time, message and what each has changed. Raises as `open_bundle` does.

    >>> xlabel.log("output").generation
    1
    """
    with open_bundle(folder) as bundle:
        current, place = bundle.made, bundle.media.parent
    there = told(place / LOG, current)
    return History(current.number, there[::-1])


def diff(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> Difference:
    """How the images and labels of two packs differ, or of two generations: `output@3` and `output@5`.

    Images are told apart by key and hash; ids that xlabel gave are no difference. Raises as `open_bundle`
    does.

    >>> xlabel.diff("output", "output").changes
    {}
    """
    with ExitStack() as leaving:
        old, new = (read_lines(leaving.enter_context(open_bundle(place)), leaving) for place in (one, other))
        found = compared(old, new)
    return Difference(found.counts, {kind: keys for kind, keys in found.keys.items() if keys}, found.before)
