"""A store whose bytes on the wire are counted; rehearsed, it reads, and its writes are only counted.

What a request and its answer take besides what they carry was measured with each store's library on the
servers of the tests, without TLS; docs/push.md says how near that comes.
"""

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

from xlabel.images import Buffer
from xlabel.stores.transport import Part, Stat, Transport, Upload


class Cost(NamedTuple):
    """Bytes of a request with its answer, of one that copies a range, of a connection; and for each byte."""

    request: int
    copy: int = 0
    connection: int = 0
    share: float = 0.0


COSTS = {
    "file": Cost(0),
    "s3": Cost(1200, 1600),
    "az": Cost(1200, 8000),
    "gs": Cost(1700),
    "hf": Cost(3000),
    "sftp": Cost(2500, 2500, 9500, 0.0038),
}
"""By the scheme of the URL; another one is taken for like S3."""


class Metered:
    """The store `of`, counted. Where it is `rehearsed`, nothing is written."""

    def __init__(self, of: Transport, *, rehearsed: bool = False) -> None:
        self._of, self._rehearsed = of, rehearsed
        self._cost = COSTS.get(of.url.partition("://")[0], COSTS["s3"])
        self._lock = Lock()
        self._probed = of.probed
        self.requests = 0
        self.bytes = self._cost.connection
        """Of all requests and answers so far."""

    @property
    def url(self) -> str:
        return self._of.url

    @property
    def conditional(self) -> bool:
        found = self._of.conditional
        self._count_probes()
        return found

    @property
    def copies_ranges(self) -> bool:
        found = self._of.copies_ranges
        self._count_probes()
        return found

    @property
    def probed(self) -> int:
        return self._of.probed

    @property
    def keeps_crc64nvme(self) -> bool:
        return self._of.keeps_crc64nvme

    @property
    def part_min(self) -> int:
        return self._of.part_min

    @property
    def part_max(self) -> int:
        return self._of.part_max

    @property
    def parts_max(self) -> int:
        found = self._of.parts_max
        self._count_probes()
        return found

    def head(self, name: str) -> Stat | None:
        self._count()
        return self._of.head(name)

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        found = self._of.get_ranges(name, ranges, if_match)
        self._count(sum(map(len, found)), len(ranges))
        return found

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        self._count(len(data))
        if self._rehearsed:
            return Stat(size=len(data), tag="")
        return self._of.put(name, data, if_match=if_match, absent=absent)

    def create(self, name: str) -> str:
        self._count()
        return "" if self._rehearsed else self._of.create(name)

    def uploads(self, name: str) -> list[Upload]:
        self._count()
        return self._of.uploads(name)

    def unfinished(self, prefix: str = "") -> list[Upload]:
        self._count()
        return self._of.unfinished(prefix)

    def parts(self, name: str, upload: str) -> list[Part]:
        self._count()
        return self._of.parts(name, upload)

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        self._count(len(data))
        if self._rehearsed:
            return Part(number=number, size=len(data), tag="")
        return self._of.put_part(name, upload, number, data)

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        self._count(self._cost.copy, 0)
        if self._rehearsed:
            return Part(number=number, size=size, tag="")
        return self._of.copy_part(name, upload, number, source, offset, size, if_match)

    def complete(
        self,
        name: str,
        upload: str,
        parts: Sequence[Part],
        *,
        if_match: str | None = None,
        absent: bool = False,
        crc64nvme: str | None = None,
    ) -> Stat:
        self._count(200 * len(parts), 2)
        if self._rehearsed:
            return Stat(size=sum(part.size for part in parts), tag="")
        return self._of.complete(name, upload, parts, if_match=if_match, absent=absent, crc64nvme=crc64nvme)

    def abort(self, name: str, upload: str) -> None:
        self._count()
        if not self._rehearsed:
            self._of.abort(name, upload)

    def delete(self, name: str) -> None:
        self._count()
        if not self._rehearsed:
            self._of.delete(name)

    def modified(self, name: str) -> float | None:
        self._count()
        return self._of.modified(name)

    def names(self, prefix: str = "") -> list[str]:
        found = self._of.names(prefix)
        self._count(300 * len(found))
        return found

    def close(self) -> None:
        self._of.close()

    def _count_probes(self) -> None:
        """What a rehearsal has asked the server is none of the push's, which finds the answer kept."""
        with self._lock:
            new, self._probed = self._of.probed - self._probed, self._of.probed
        if not self._rehearsed:
            self._count(requests=new)

    def _count(self, carried: int = 0, requests: int = 1) -> None:
        with self._lock:
            self.requests += requests
            self.bytes += self._cost.request * requests + carried + round(carried * self._cost.share)
