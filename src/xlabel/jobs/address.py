"""The address of a review page: that of last time, so that a page that is open goes on after a restart."""

import os
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock

import msgspec
from xxhash import xxh3_128_hexdigest

from xlabel.stores import cache


class Address(msgspec.Struct, frozen=True):
    """Where a page was served."""

    port: int
    token: str


class Kept:
    """The last address of what is reviewed, in a file of the user's that nobody else may read.

    While one server has it, `taken` says so to others. Whoever cannot write the file goes without.
    """

    def __init__(self, what: str) -> None:
        self.last: Address | None = None
        self.taken = False
        self._fd: int | None = None
        place = cache.place("addresses", xxh3_128_hexdigest(os.fsencode(what)))
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._fd = fd
            info = os.fstat(fd)
            known = info.st_uid == os.geteuid() and not info.st_mode & 0o077
            if known:
                with suppress(ValueError):
                    self.last = msgspec.json.decode(os.pread(fd, 1000, 0), type=Address)
            try:
                flock(fd, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                self.taken = True

    def keep(self, address: Address) -> None:
        """Take note of an address for the next time."""
        if self._fd is None or self.taken:
            return
        with suppress(OSError):
            os.fchmod(self._fd, 0o600)
            data = msgspec.json.encode(address)
            os.ftruncate(self._fd, os.pwrite(self._fd, data, 0))

    def close(self) -> None:
        """Let others have it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
