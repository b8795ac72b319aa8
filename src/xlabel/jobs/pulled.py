"""Images of a pack that others have added: no folder of images here is known to have them.

The folder is the truth for an update, which takes out what it lacks; but of these it cannot tell. So a pull
and a rebase note their keys, in the user's cache, and updates leave them as they are until they meet them.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from xlabel.jobs.generations import Made
from xlabel.stores import stats

_NAME = "pulled"


def pulled(folder: Path, made: Made) -> set[str]:
    """Keys of the images that the pack in a folder has from others, where it is of that generation."""
    with suppress(OSError):
        head, _, keys = stats.place(folder, _NAME).read_bytes().partition(b"\n")
        if head == _head(made):
            return {key for key in keys.decode().split("\0") if key}
    return set()


def note_pulled(folder: Path, made: Made, keys: Iterable[str]) -> None:
    """Note keys of images that a pack, of a generation now, has from others."""
    path = stats.place(folder, _NAME)
    keys = sorted(keys)
    if not keys and not path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(_head(made) + b"\n" + "\0".join(keys).encode())
        draft.replace(path)


def _head(made: Made) -> bytes:
    return f"xlabel pulled 1 {made.number} {made.pack_id}".encode()
