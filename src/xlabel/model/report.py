"""What a job did, what was wrong with its input, and what a target could not hold."""

from collections.abc import Callable

import msgspec

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all, in bytes or images, now and then."""

SHOWN = 20
"""How many problems a printed report names; the JSON has all."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """Something wrong in the input: where it is, a stable code, and a sentence that says what to do.

    `where` is a path, with `:line` where there are lines. Problems sort by place.
    """

    where: str
    code: str
    message: str

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.message}")


class Loss(msgspec.Struct, frozen=True, order=True):
    """Something that a target format cannot hold: which field, of which image, and how often."""

    where: str
    field: str
    """A name out of `xlabel.formats.losses.FIELDS`."""
    count: int = 1

    def __str__(self) -> str:
        return f"{self.where}: {self.field}" + (f" ({self.count} times)" if self.count > 1 else "")


class Report(msgspec.Struct, kw_only=True):
    """The result of a job. `str()` is for a person, `msgspec.json.encode()` for a machine."""

    job: str
    done: dict[str, int] = msgspec.field(default_factory=dict)
    """What was handled, counted by its name: images, annotations, files, ..."""
    files: dict[str, int] = msgspec.field(default_factory=dict)
    """Files written, path to size in bytes."""
    notes: list[str] = msgspec.field(default_factory=list)
    """Worth knowing, and nothing wrong."""
    problems: list[Problem] = msgspec.field(default_factory=list)
    losses: list[Loss] = msgspec.field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 fine, 1 problems found."""
        return 1 if self.problems else 0

    def __str__(self) -> str:
        lines = [f"{self.job}: {_counts(self.done)}{_rate(self.bytes, self.seconds)}"]
        width = max((len(path) for path in self.files), default=0)
        lines += [f"  {path:<{width}}  {size_text(size):>9}" for path, size in self.files.items()]
        lines += [f"  note: {note}" for note in self.notes]
        if self.problems:
            lines.append(f"  {counted(len(self.problems), 'problems')}:")
            lines += [f"    {problem}" for problem in self.problems[:SHOWN]]
            if len(self.problems) > SHOWN:
                lines.append(f"    ... and {len(self.problems) - SHOWN:,} more; --json lists all")
        if self.losses:
            lines += ["  left out:", *(f"    {line}" for line in loss_lines(self.losses))]
        return "\n".join(lines)


def visible(text: str) -> str:
    r"""Text for a terminal: control characters, which a file name may hold, become `\x1b` and the like."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def loss_lines(losses: list[Loss]) -> list[str]:
    """Losses for a person: a line for each field, with the number and some of the places."""
    fields: dict[str, list[Loss]] = {}
    for loss in losses:
        fields.setdefault(loss.field, []).append(loss)
    lines = []
    for field, found in fields.items():
        total = sum(loss.count for loss in found)
        places = ", ".join(visible(loss.where) for loss in found[:3]) + (", ..." if len(found) > 3 else "")
        lines.append(f"{field}: {total:,} in {counted(len(found), 'places')} ({places})")
    return lines


def counted(number: int, things: str) -> str:
    """A number of things: "1 image", "2,000 categories"; `things` in the plural."""
    if number == 1:
        things = things[:-3] + "y" if things.endswith("ies") else things.removesuffix("s")
    return f"{number:,} {things}"


def size_text(size: int) -> str:
    """A number of bytes as a person reads it, in powers of 1000: '1.4 GB'."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def _counts(done: dict[str, int]) -> str:
    return ", ".join(counted(number, name) for name, number in done.items()) or "nothing to do"


def _rate(size: int, seconds: float) -> str:
    if not seconds:
        return ""
    rate = f", {size_text(round(size / seconds))}/s" if size else ""
    total = f", {size_text(size)}" if size else ""
    return f"{total} in {seconds:.2f} s{rate}"
