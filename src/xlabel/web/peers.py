"""Whose program is at the other end of a connection on this machine, where Linux tells: proc(5), net/tcp."""

import ipaddress
import os
import sys
from collections.abc import Iterator

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def is_own(client: tuple[str, int] | None, server: tuple[str, int | None] | None) -> bool:
    """Whether a connection comes from a program of the same user, or of root, as far as can be told.

    True too where the system does not tell: on other systems, and of programs outside of a container.
    """
    if client is None or server is None or server[1] is None:
        return True
    ends = f"{_written(client[0])}:{client[1]:04X}", f"{_written(server[0])}:{server[1]:04X}"
    users = {user for *found, user in _connections() if tuple(found) == ends}
    return not users or bool(users & {os.geteuid(), 0})


def _connections() -> Iterator[tuple[str, str, int]]:
    """Local end, other end and user of each connection."""
    for table in TABLES:
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except (OSError, ValueError):
            continue
        for row in rows:
            yield row[1], row[2], int(row[7])


def _written(address: str) -> str:
    """An address as the tables have it: words of 32 bits in the machine's byte order."""
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
