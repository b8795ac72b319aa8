"""Thumbnails of a folder's images, made when they are asked for and kept in the user's cache."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

from xlabel.images import Buffer
from xlabel.pictures import viewing
from xlabel.stores import cache

SIDE = 320
"""Pixels of the longer side."""
ROOM = 2 << 30
"""Bytes that the thumbnails of all folders take together, above which those that were not seen longest go."""


class Thumbs:
    """The thumbnails of one folder."""

    def __init__(self, root: str) -> None:
        self._folder = cache.place("thumbs", xxh3_128_hexdigest(os.path.realpath(os.fsencode(root))))
        self._decoding = threading.Semaphore(os.cpu_count() or 1)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)

    def kept(self, key: str, version: str) -> bytes | None:
        """The thumbnail of an image, a WebP, where it was made before."""
        with suppress(OSError):
            return self._place(key, version).read_bytes()
        return None

    def made(self, data: Buffer, key: str, version: str) -> bytes:
        """The thumbnail made of the image file `data`; ValueError where it cannot be decoded."""
        with self._decoding:
            small = viewing.thumbnail(data, SIDE)
        _keep(self._place(key, version), small)
        return small

    def _place(self, key: str, version: str) -> Path:
        return self._folder / f"{xxh3_64_hexdigest(key.encode())}-{version}.webp"


def _keep(place: Path, data: bytes) -> None:
    """Put a thumbnail into the cache, whole or not at all; one that cannot be written is no harm."""
    new = place.with_name(f".{place.name}.{threading.get_ident()}")
    with suppress(OSError):
        try:
            new.write_bytes(data)
            new.rename(place)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def make_room() -> None:
    """Take away the thumbnails that were made longest ago, where there are too many."""
    with suppress(OSError):
        home = cache.place("thumbs", "")
        found = []
        for folder in os.scandir(home):
            found += [(entry.stat(), entry.path) for entry in os.scandir(folder)]
        total = sum(there.st_size for there, _ in found)
        for there, path in sorted(found, key=lambda item: item[0].st_mtime_ns):
            if total <= ROOM:
                return
            os.unlink(path)
            total -= there.st_size
