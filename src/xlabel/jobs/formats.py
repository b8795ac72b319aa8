"""Formats: what this installation reads and writes."""

import msgspec

from xlabel import formats as table
from xlabel.formats.losses import FIELDS


class Row(msgspec.Struct):
    """A format, and what it can hold."""

    name: str
    title: str
    variants: tuple[str, ...]
    holds: list[str]
    loses: list[str]


class Formats(msgspec.Struct):
    """All formats; `str()` is a table for a person."""

    formats: list[Row]
    fields: dict[str, str]

    def __str__(self) -> str:
        names = [row.name for row in self.formats]
        width = max(map(len, self.fields.values()))
        lines = [f"{row.name:<8} {row.title}" + _variants(row) for row in self.formats]
        lines += ["", f"{'holds':<{width}}  " + "  ".join(names)]
        for field, meaning in self.fields.items():
            marks = ("x" if field in row.holds else "-" for row in self.formats)
            cells = "  ".join(mark.center(len(name)) for mark, name in zip(marks, names, strict=True))
            lines.append(f"{meaning:<{width}}  {cells}".rstrip())
        return "\n".join(lines)


def formats() -> Formats:
    """The table of formats."""
    rows = []
    for name in table.table():
        module = table.get(name)
        rows.append(
            Row(
                name=name,
                title=module.TITLE,
                variants=module.VARIANTS,
                holds=[field for field in FIELDS if field in module.HOLDS],
                loses=[field for field in FIELDS if field not in module.HOLDS],
            )
        )
    return Formats(formats=rows, fields=dict(FIELDS))


def _variants(row: Row) -> str:
    return f" ({', '.join(row.variants)})" if row.variants else ""
