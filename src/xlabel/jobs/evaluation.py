"""What evaluation gives: how often suggestions are right, which least score is best, COCO's measures."""

import msgspec

from xlabel.model import Report
from xlabel.model.precision import Advice, Cut, Share
from xlabel.model.report import counted, visible

SHOWN = 30
"""Categories that a printed table has; the JSON has all."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """How often suggestions are right."""

    all: Share
    categories: dict[str, Share]
    """The most frequent first."""
    cuts: list[Cut]
    """By the least score that is kept."""
    advice: Advice


class Precision(msgspec.Struct, frozen=True):
    """COCO's average precision: over IoU 0.5 to 0.95, at 0.5 and at 0.75; None where there is no label."""

    labels: int
    ap: float | None
    ap50: float | None
    ap75: float | None


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Suggestions against labels that are right."""

    images: int
    labels: int
    judged: Judged
    """Right is what overlaps a label of its category by half or more of their union."""
    coco: Precision | None
    """None where COCO's library is not installed."""
    categories: dict[str, Precision]


class Evaluation(msgspec.Struct, kw_only=True):
    """The result of `evaluate`. `str()` is for a person, `msgspec.json.encode()` for a machine."""

    model: str
    report: Report
    decided: Judged | None
    """By what people accepted and rejected; None where they did neither."""
    truth: Truth | None

    @property
    def exit_code(self) -> int:
        """1 where labels could not be read."""
        return self.report.exit_code

    def __str__(self) -> str:
        lines = [str(self.report)]
        if self.decided is not None:
            lines += ["", "  by what people decided:", *_judged(self.decided, ("accepted", "rejected"))]
        if self.truth is not None:
            on = f"{counted(self.truth.labels, 'labels')} in {counted(self.truth.images, 'images')}"
            lines += [
                "",
                f"  against {on}:",
                *_coco(self.truth),
                *_judged(self.truth.judged, ("right", "wrong")),
            ]
        return "\n".join(lines)


def _judged(judged: Judged, words: tuple[str, str]) -> list[str]:
    head = [*words, "precision", "95 % interval"]
    shares = {**dict(list(judged.categories.items())[:SHOWN]), "all": judged.all}
    more = len(judged.categories) - SHOWN
    lines = _table([["category", *head], *([visible(name), *_share(one)] for name, one in shares.items())])
    lines += [f"    ... and {counted(more, 'categories')} more; --json has all"] if more > 0 else []
    if judged.cuts:
        rows = [[f"{cut.min_score:g}", *_share(cut.kept), _percent(cut.recall)] for cut in judged.cuts]
        lines += ["", *_table([["least score", *head, "recall"], *rows])]
    return [*lines, "", f"    {_advice(judged.advice)}"]


def _coco(truth: Truth) -> list[str]:
    if truth.coco is None:
        return []
    rows = {**dict(list(truth.categories.items())[:SHOWN]), "all": truth.coco}
    head = ["category", "labels", "AP", "AP50", "AP75"]
    table = [
        [visible(name), f"{one.labels:,}", *map(_ap, (one.ap, one.ap50, one.ap75))]
        for name, one in rows.items()
    ]
    return [*_table([head, *table]), ""]


def _advice(advice: Advice) -> str:
    if advice.min_score is None:
        return f"no advice for --min-score: {advice.why}"
    as_good = f"as good from {advice.low:.3g} to {advice.high:.3g}"
    return f"advice: --min-score {advice.min_score:g} (F1 {advice.f1:.3f}, {as_good}): {advice.why}"


def _share(one: Share) -> list[str]:
    return [
        f"{one.right:,}",
        f"{one.wrong:,}",
        _percent(one.precision),
        f"{100 * one.low:.1f} to {100 * one.high:.1f} %",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(rows: list[list[str]]) -> list[str]:
    """Rows as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "    " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
