"""How often what was found is right, by category and by score, and which least score is best."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

SURE = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""
CUTS = tuple(number / 10 for number in range(10))
"""Least scores that are tabled."""
ENOUGH, EACH = 30, 5
"""Outcomes with a score without which nothing is advised: in all, and right ones and wrong ones."""
AS_GOOD = 0.01
"""An F1 that is less by no more is as good."""


class Outcome(NamedTuple):
    """Something that was found, and whether it is right."""

    category: str
    score: float | None
    right: bool


class Share(msgspec.Struct, frozen=True):
    """How many are right, and between which bounds the share of all such would be, 95 times of 100."""

    right: int
    wrong: int
    precision: float | None
    low: float
    high: float


class Cut(msgspec.Struct, frozen=True):
    """What a least score keeps."""

    min_score: float
    kept: Share
    recall: float | None
    """Of all that there is to be found, how much is kept."""


class Advice(msgspec.Struct, frozen=True):
    """The least score with the best F1; None where there is too little to tell, and why."""

    why: str
    min_score: float | None = None
    f1: float | None = None
    low: float | None = None
    """From here ..."""
    high: float | None = None
    """... to here F1 is as good."""


def share(outcomes: Iterable[Outcome]) -> Share:
    """The share of outcomes that are right, with Wilson's score interval (1927) for it."""
    counts = [0, 0]
    for outcome in outcomes:
        counts[outcome.right] += 1
    wrong, right = counts
    return Share(
        right, wrong, right / (right + wrong) if right + wrong else None, *wilson(right, right + wrong)
    )


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's score interval of a share: 0 to 1 where there is nothing."""
    if not total:
        return 0.0, 1.0
    rate, square = right / total, SURE * SURE
    middle = rate + square / (2 * total)
    half = SURE * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total))
    return max(0.0, (middle - half) / (1 + square / total)), min(1.0, (middle + half) / (1 + square / total))


def by_category(outcomes: Iterable[Outcome]) -> dict[str, Share]:
    """The share of each category, the most frequent first."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.category].append(outcome)
    names = sorted(found, key=lambda name: (-len(found[name]), name))
    return {name: share(found[name]) for name in names}


def cuts(outcomes: Sequence[Outcome], total: int) -> list[Cut]:
    """What each of `CUTS` keeps, from the last that keeps all on; `total` is what there is to be found."""
    scored = [(outcome.score, outcome) for outcome in outcomes if outcome.score is not None]
    least = min((score for score, _ in scored), default=1.0)
    found = []
    for number, cut in enumerate(CUTS):
        if number + 1 < len(CUTS) and CUTS[number + 1] <= least:
            continue
        kept = share(outcome for score, outcome in scored if score >= cut)
        if kept.precision is not None:
            found.append(Cut(cut, kept, kept.right / total if total else None))
    return found


def advised(outcomes: Sequence[Outcome], total: int) -> Advice:
    """The least score that is best, by F1: missing something counts as much as something wrong.

    Of least scores that are equally good it is the lowest.
    """
    scored = sorted(((o.score, o.right) for o in outcomes if o.score is not None), reverse=True)
    right = sum(is_right for _, is_right in scored)
    wrong = len(scored) - right
    if len(scored) < ENOUGH or min(right, wrong) < EACH:
        return Advice(
            f"too little to tell: {right} right and {wrong} wrong ones with a score; it takes {ENOUGH}, "
            f"and {EACH} of each"
        )
    curve: list[
        tuple[float, float]
    ] = []  # a score, and the F1 of what has it or a higher one; falling scores
    hits = 0
    for place, (score, is_right) in enumerate(scored, 1):
        hits += is_right
        if place == len(scored) or scored[place][0] != score:
            curve.append((score, 2 * hits / (place + total)))
    best = max(f1 for _, f1 in curve)
    at = max(place for place, (_, f1) in enumerate(curve) if f1 == best)
    first = last = at
    while first and curve[first - 1][1] >= best - AS_GOOD:
        first -= 1
    while last + 1 < len(curve) and curve[last + 1][1] >= best - AS_GOOD:
        last += 1
    below = curve[at + 1][0] if at + 1 < len(curve) else None
    why = "best F1, where missing one counts as much as a wrong one"
    if below is None:
        why += "; nothing lower was found, so that a lower one may be better"
    return Advice(why, _short(curve[at][0], below), best, curve[last][0], curve[first][0])


def _short(score: float, below: float | None) -> float:
    """A number of few digits that keeps what a score keeps, and not the next score below."""
    for digits in range(2, 7):
        short: float = math.floor(score * 10**digits) / 10**digits
        if below is None or short > below:
            return short
    return score
