"""Findings of a run, however many: counted, the first few at hand, the rest in a temporary file."""

import tempfile
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec

from xlabel.checks import Finding

HELD = 10_000
"""Findings that are kept in memory; more go to a file in the system's temporary folder."""
FIRST = 5
"""Of each code, so many are at hand for a printed report."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Finding).decode


class Findings:
    """A collection to iterate over, in the order in which they were added. It cannot change afterwards."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many there are of each code."""
        self.severities: Counter[str] = Counter()
        self.first: dict[str, list[Finding]] = defaultdict(list)
        """The first few of each code."""
        self._held: list[Finding] = []
        self._spool: IO[bytes] | None = None

    def add(self, findings: Iterable[Finding]) -> None:
        """Add some more."""
        for finding in findings:
            self.counts[finding.code] += 1
            self.severities[finding.severity] += 1
            if len(first := self.first[finding.code]) < FIRST:
                first.append(finding)
            self._held.append(finding)
            if len(self._held) > HELD:
                self._put_away()

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Finding]:
        if self._spool is not None:
            self._spool.seek(0)
            yield from map(_decode, self._spool)
        yield from self._held

    def _put_away(self) -> None:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(prefix="xlabel-findings-")  # noqa: SIM115
            weakref.finalize(self, self._spool.close)
        self._spool.writelines(_encode(finding) + b"\n" for finding in self._held)
        self._held.clear()
