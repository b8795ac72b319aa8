"""What can be wrong with labels and with their images: pure functions over samples and bytes.

A check yields a `Fault` for each thing that it finds. A job knows the place and makes a `Finding` of it, with
the severity and the advice that `codes` has for its code.
"""

from typing import Any, NamedTuple

import msgspec

from xlabel.checks.codes import rule

SEVERITIES = ("error", "warning", "note")


class Fault(NamedTuple):
    """Something that is wrong with an image or with one of its annotations."""

    code: str
    message: str
    """The fact, with its numbers; what to do about it is the code's advice."""
    annotation: int | None = None
    """Which of the image's annotations, counted from 1."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A fault at its place."""

    code: str
    severity: str
    """error, warning or note."""
    file: str
    """The path of a label file or of an image, below what was given as it was given."""
    line: int | None = None
    image: str | None = None
    """The image's key."""
    annotation: int | None = None
    """Which of the image's annotations, counted from 1."""
    id: int | str | None = None
    """The annotation's id, where it has one."""
    message: str
    advice: str

    @property
    def place(self) -> str:
        """File, line, image and annotation as a person reads them."""
        text = self.file if self.line is None else f"{self.file}:{self.line}"
        if self.image is not None and not self.file.endswith(self.image):
            text += f", {self.image}"
        if self.annotation is not None:
            text += f", annotation {self.annotation}"
        if self.id is not None:
            text += f" (id {self.id})"
        return text


def finding(code: str, file: str, message: str, **place: Any) -> Finding:
    """A finding with what the code's rule says; `place` are the fields line, image, annotation and id."""
    known = rule(code)
    return Finding(
        code=code, severity=known.severity, advice=known.advice, file=file, message=message, **place
    )
