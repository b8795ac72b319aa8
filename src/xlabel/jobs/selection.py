"""Which images a command is about: folders, files and globs."""

import os
import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from xlabel.errors import InputError
from xlabel.model.report import counted
from xlabel.stores import rewrite
from xlabel.stores.local import Scan, scan
from xlabel.stores.paths import Paths

MAGIC = frozenset("*?[")


Place = str | os.PathLike[str]


def select_all(places: Place | Iterable[Place], pattern: str | None = None) -> list[Scan]:
    """The images in each of several places; see `select`."""
    if isinstance(places, str | os.PathLike):
        places = [places]
    found = [select(place, pattern) for place in places]
    if not found:
        raise InputError("expected a folder of images, an image or a glob, got none")
    return found


def select(place: Place, pattern: str | None = None) -> Scan:
    """The images in a folder, a single image, or those that fit a glob; `pattern` narrows a folder's.

    Raises InputError where there is none.
    """
    path = os.fspath(place)
    if not os.path.exists(path) and not MAGIC.intersection(path):
        raise InputError(f"{path}: expected an image, a folder of images or a glob, found nothing there")
    if not os.path.exists(path) and MAGIC.intersection(path):
        root, pattern = _split(path)
        if not os.path.isdir(root):
            raise InputError(f"{root}: expected a folder of images, found nothing there")
        found = scan(root, pattern)
        if "/" not in pattern:
            found = _at_top(found)
    elif os.path.isfile(path):
        folder, name = os.path.split(path)
        there = os.stat(path)
        found = Scan(
            root=folder or ".",
            keys=Paths([os.fsencode(name)]),
            sizes=array("Q", [there.st_size]),
            times=array("q", [there.st_mtime_ns]),
            inodes=array("Q", [there.st_ino]),
            looked=time.time_ns(),
            others=0,
            problems=[],
            empty=[],
        )
    else:
        found = scan(path, pattern)
    if not len(found.keys):
        matched = f" that fit {pattern!r}" if pattern else ""
        others = f", only {counted(found.others, 'other files')}" if found.others else ""
        raise InputError(f"{path}: expected images{matched}, found none{others}")
    return found


def sweep(selected: Scan) -> None:
    """Remove what runs that were killed have left in the folders of images; what is being written stays."""
    root = os.fsencode(selected.root)
    if len(selected.keys) == 1:  # whose folder may be large
        rewrite.sweep(rewrite.temporary(os.path.realpath(root + b"/" + selected.keys.raw(0, 1)[0])))
        return
    left = {root + b"/" + name.rpartition(b"/")[0] for name in selected.keys.names()}
    swept: set[bytes] = set()
    while left:
        folder = left.pop()
        swept.add(folder)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(b".") and entry.name.endswith(rewrite.SUFFIX):
                    rewrite.sweep(entry.path)
                elif (
                    entry.is_symlink()
                    and (there := os.path.dirname(os.path.realpath(entry.path))) not in swept
                ):
                    left.add(there)


def _at_top(found: Scan) -> Scan:
    """Only the images that lie in no folder: a glob without a slash matches no others."""
    kept = [at for at, name in enumerate(found.keys.names()) if b"/" not in name]
    return msgspec.structs.replace(
        found,
        keys=Paths(name for name in found.keys.names() if b"/" not in name),
        sizes=array("Q", [found.sizes[at] for at in kept]),
        times=array("q", [found.times[at] for at in kept]),
        inodes=array("Q", [found.inodes[at] for at in kept]),
    )


def _split(path: str) -> tuple[str, str]:
    """The folder above the first part with a wildcard, and the glob below it."""
    parts = Path(path).parts
    at = next(i for i, part in enumerate(parts) if MAGIC.intersection(part))
    below = "/".join(parts[at:])
    return str(Path(*parts[:at])) if at else ".", below


def wants_pixels(fingerprint: str | None) -> bool:
    """Whether the option `fingerprint` asks for those that need decoding; InputError where it is unknown."""
    if fingerprint not in (None, "pixels"):
        raise InputError(f"expected pixels as the fingerprint, or none, got {fingerprint!r}")
    return fingerprint is not None
