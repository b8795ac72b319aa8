"""Precision with its interval, what a least score keeps, and which is best."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.model.precision import EACH, ENOUGH, Outcome, advised, by_category, cuts, share, wilson

_scores = st.sampled_from((0.251, 0.3, 0.3004, 0.5, 0.62, 0.9, 1)) | st.floats(0, 1)
_outcomes = st.lists(
    st.builds(Outcome, st.sampled_from("ab"), st.none() | _scores, st.booleans()), max_size=60
)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_the_literature(right: int, total: int, low: float, high: float) -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3."""
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson(total - right, total) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0, 1)
    assert share([]).precision is None and cuts([], 0) == [] and by_category([]) == {}


@given(_outcomes, st.integers(0, 20))
def test_a_least_score_keeps_what_has_it(outcomes: list[Outcome], missed: int) -> None:
    total = sum(outcome.right for outcome in outcomes if outcome.score is not None) + missed
    found = cuts(outcomes, total)
    for cut in found:
        kept = [one for one in outcomes if one.score is not None and one.score >= cut.min_score]
        assert (cut.kept.right, cut.kept.wrong) == (
            sum(o.right for o in kept),
            sum(not o.right for o in kept),
        )
        assert cut.recall == (cut.kept.right / total if total else None)
    scored = [one for one in outcomes if one.score is not None]
    assert bool(found) == bool(scored)
    if found:  # the first keeps all, and no other does but for the last that is there
        assert found[0].kept.right + found[0].kept.wrong == len(scored)
        assert [cut.min_score for cut in found] == sorted({cut.min_score for cut in found})


@given(_outcomes)
def test_categories_come_with_the_most_frequent_first_and_add_up(outcomes: list[Outcome]) -> None:
    found = list(by_category(outcomes).values())
    counts = [one.right + one.wrong for one in found]
    assert counts == sorted(counts, reverse=True) and sum(counts) == len(outcomes)
    assert sum(one.right for one in found) == share(outcomes).right


@given(_outcomes, st.integers(0, 9))
def test_no_other_least_score_has_a_better_f1(outcomes: list[Outcome], missed: int) -> None:
    scored = [(one.score, one.right) for one in outcomes if one.score is not None]
    right = sum(is_right for _, is_right in scored)
    total = right + missed
    advice = advised(outcomes, total)
    if len(scored) < ENOUGH or min(right, len(scored) - right) < EACH:
        assert advice.min_score is None and advice.why.startswith("too little to tell")
        return

    def f1(cut: float) -> float:
        kept = [is_right for score, is_right in scored if score >= cut]
        hits = sum(kept)
        return 2 * hits / (len(kept) + total)

    assert advice.min_score is not None and advice.low is not None and advice.high is not None
    best = max(f1(score) for score, _ in scored)
    assert f1(advice.min_score) == advice.f1 == best
    assert advice.low <= advice.high and min(f1(advice.low), f1(advice.high)) >= best - 0.01
    assert ("a lower one may be better" in advice.why) == (f1(advice.min_score) == f1(0) == best)


def test_the_advice_has_as_few_digits_as_keep_the_same() -> None:
    right = [Outcome("a", 0.8, True)] * 20 + [Outcome("a", 0.4567, True)] * 10
    assert advised([*right, *[Outcome("a", 0.3, False)] * 9], 30).min_score == 0.45
    assert advised([*right, *[Outcome("a", 0.4561, False)] * 9], 30).min_score == 0.4567
    assert advised([*right, *[Outcome("a", 0.455, False)] * 9], 30).min_score == 0.456
