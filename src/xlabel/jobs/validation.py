"""What validation gives: findings, what was looked at, and how the labels inside the images stand."""

from collections.abc import Iterator
from typing import Any

import msgspec

from xlabel.checks import SEVERITIES, Finding
from xlabel.checks.codes import rule
from xlabel.jobs.findings import FIRST, Findings
from xlabel.model import Report
from xlabel.model.report import counted, visible


class Full(msgspec.Struct, frozen=True, order=True):
    """How much of what its container takes an image's labels fill, or would."""

    percent: float
    image: str
    bytes: int


class Validation(msgspec.Struct, kw_only=True):
    """The result of `validate`. `str()` is for a person, `json()` for a machine."""

    findings: Findings
    done: dict[str, int]
    """What was looked at, counted by its name: images, annotations, ..."""
    embedded: dict[str, int]
    """Images by how the labels inside them stand: intact, stale, stripped, never labelled."""
    fullest: list[Full]
    notes: list[str]
    bytes: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """1 where there is an error, 0 where there are only warnings and notes."""
        return 1 if self.findings.severities["error"] else 0

    def __str__(self) -> str:
        notes = list(self.notes)
        if self.embedded:
            notes.append("labels inside: " + ", ".join(f"{n:,} {word}" for word, n in self.embedded.items()))
        if self.fullest:
            full = ", ".join(f"{visible(f.image)} {f.percent:.2g} %" for f in self.fullest)
            notes.append(f"fullest, of what an image's container takes: {full}")
        head = Report(job="validate", done=self.done, notes=notes, bytes=self.bytes, seconds=self.seconds)
        lines = [str(head)]
        for code in self.codes():
            lines += self._group(code)
        severities = self.findings.severities
        said = ", ".join(counted(severities[name], f"{name}s") for name in SEVERITIES if severities[name])
        return "\n".join([*lines, "", f"  {said or 'nothing is wrong'}"])

    def json(self) -> Iterator[str]:
        """A JSON document in pieces, so that any number of findings takes no memory."""
        head: dict[str, Any] = {
            "job": "validate",
            "done": self.done,
            "embedded": self.embedded,
            "fullest": self.fullest,
            "notes": self.notes,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "severities": self.findings.severities,
            "codes": self.findings.counts,
            "exit_code": self.exit_code,
        }
        yield msgspec.json.format(msgspec.json.encode(head), indent=2).decode().removesuffix("\n}")
        yield ',\n  "findings": ['
        for number, finding in enumerate(self.findings):
            yield (",\n    " if number else "\n    ") + msgspec.json.encode(finding).decode()
        yield "\n  ]\n}\n"

    def codes(self) -> list[str]:
        """The codes that were found, the worst and the most frequent first."""
        counts = self.findings.counts
        return sorted(counts, key=lambda code: (SEVERITIES.index(rule(code).severity), -counts[code], code))

    def _group(self, code: str) -> list[str]:
        known, count = rule(code), self.findings.counts[code]
        lines = ["", f"  {known.severity} {code} ({count:,}): {known.means}"]
        lines += [f"    {visible(_line(finding))}" for finding in self.findings.first[code]]
        if count > FIRST:
            lines.append(f"    ... and {count - FIRST:,} more; --json lists all")
        return [*lines, f"    next: {known.advice}"]


def _line(finding: Finding) -> str:
    return f"{finding.place}: {finding.message}"
