"""Expressions against a slow evaluator over the labels themselves, and against their page of the docs."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.model import Annotation, Category, Image, Sample, Source
from xlabel.model.expression import (
    And,
    Compare,
    Expression,
    ExpressionError,
    Not,
    Or,
    Some,
    Text,
    compiled,
    parse,
    predicate,
    printed,
)
from xlabel.model.questions import EXAMPLES, KINDS, QUESTIONS
from xlabel.model.record import STATES, Record, record

PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text("utf-8")
NAMES = ("dog", "Dog", "traffic light", "not", "a(b)", 'x"y', "width")
SPLITS = ("train", "val")

# What is drawn: few words, so that expressions and samples often speak of the same

_scores = st.sampled_from((0, 0.25, 0.5, 0.75, 1))
_labels = st.builds(
    Annotation,
    category=st.sampled_from([Category(id=number, name=name) for number, name in enumerate(NAMES)]),
    bbox=st.none() | st.just((1, 2, 3, 4)),
    score=st.none() | _scores,
    status=st.sampled_from((None, "suggestion", "accepted", "rejected")),
    attributes=st.none() | st.dictionaries(st.sampled_from(NAMES), st.booleans() | st.just("dog")),
    author=st.none() | st.sampled_from(NAMES),
    source=st.none()
    | st.just(Source(kind="human", name="dog"))
    | st.builds(Source, kind=st.just("model"), name=st.sampled_from(NAMES)),
)
_marks = st.none() | st.fixed_dictionaries(
    {"state": st.sampled_from(("reviewed", "rejected", "other")), "author": st.sampled_from(NAMES)},
    optional={"comment": st.sampled_from(NAMES)},
)
_samples = st.builds(
    lambda key, width, mark, labels, split: Sample(
        image=Image(key=key, width=width, height=width, extra=mark and {"review": mark}),
        annotations=tuple(labels),
        split=split,
    ),
    st.sampled_from(("train/Dog 1.jpg", "val/cat.png", "width.jpg")),
    st.none() | st.integers(1, 3),
    _marks,
    st.lists(_labels, max_size=4),
    st.none() | st.sampled_from(SPLITS),
)
_problems = st.dictionaries(st.sampled_from(("box-empty", "box-twice")), st.integers(1, 3))
_times = st.floats(datetime(2025, 12, 1).timestamp(), datetime(2026, 2, 28).timestamp())

_patterns = st.sampled_from(NAMES) | st.text("dogDOG*?[]!-", max_size=5)
_numbers = st.sampled_from(("0", "1", "2", "2.5", "-1"))
_values: dict[str, st.SearchStrategy[str]] = {
    "number": _numbers,
    "size": st.builds(str.__add__, _numbers, st.sampled_from(("", "b", "kB", "MB", "KiB"))),
    "score": st.sampled_from(("0", "0.25", ".5", "1", "25e-2")),
    "date": st.sampled_from(("2025", "2026", "2026-01", "2026-02", "2026-01-15", "2026-02-28")),
    "state": st.sampled_from(STATES),
}


@st.composite
def _comparisons(draw: st.DrawFn) -> Compare:
    name = draw(st.sampled_from([name for name, question in QUESTIONS.items() if question.kind in KINDS]))
    question = QUESTIONS[name]
    operator = draw(st.sampled_from(KINDS[question.kind].operators))
    argument = draw(st.none() | st.sampled_from((*NAMES, "box-empty"))) if question.of else None
    value = draw(_values.get(question.kind, _patterns if operator == "~" else st.sampled_from(NAMES)))
    if question.kind in ("number", "score", "size", "date") and operator == "==" and draw(st.booleans()):
        value += ".." + draw(_values[question.kind])
    return Compare(name, argument, operator, value)


_alone = st.sampled_from([name for name, question in QUESTIONS.items() if question.alone]).map(Some)
_terms = _comparisons() | _alone | st.sampled_from((*NAMES, "", "train/", "CAT", "\\", "'")).map(Text)
_expressions: st.SearchStrategy[Any] = st.recursive(
    _terms,
    lambda part: (
        st.builds(Not, part)
        | st.builds(And, st.lists(part, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(part, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)
_soup = st.lists(
    st.sampled_from((*QUESTIONS, *NAMES, *"()=<>~:!'\"\\ ", "and", "or", "not", "==", "..", "0.5", "2026")),
    max_size=12,
).map(" ".join)


# The slow evaluator: over the labels one by one


def truth(what: Expression, sample: Sample, size: int, time: float, problems: dict[str, int]) -> bool:
    match what:
        case Text(text):
            return text.lower() in sample.image.key.lower()
        case Not(part):
            return not truth(part, sample, size, time, problems)
        case And(parts):
            return all(truth(part, sample, size, time, problems) for part in parts)
        case Or(parts):
            return any(truth(part, sample, size, time, problems) for part in parts)
        case Some("unlabelled"):
            return all(label.status == "rejected" for label in sample.annotations)
        case Some(name, argument):
            found = list(values(name, argument, sample, size, time, problems))
            return found not in ([], [0]) if QUESTIONS[name].kind == "number" else found != []
        case Compare(name, argument, operator, value):
            some = values(name, argument, sample, size, time, problems)
            compared = [compare("==" if operator == "!=" else operator, one, value) for one in some]
            return not any(compared) if operator == "!=" else any(compared)


def values(
    name: str, argument: str | None, sample: Sample, size: int, time: float, problems: dict[str, int]
) -> Iterator[Any]:
    """What a name stands for, one by one; a count is one number."""
    labels = [label for label in sample.annotations if label.status != "rejected"]
    open_ = [label for label in labels if label.status == "suggestion"]
    mark = (sample.image.extra or {}).get("review") or {}
    mark = mark if mark.get("state") in ("reviewed", "rejected") else {}

    def of(some: list[Annotation]) -> int:
        return sum(argument in (None, label.category and label.category.name) for label in some)

    match name:
        case "key":
            yield sample.image.key
        case "width" | "height":
            yield from [sample.image.width] if sample.image.width is not None else []
        case "size":
            yield size
        case "date":
            yield datetime.fromtimestamp(time)
        case "split":
            yield from [sample.split] if sample.split else []
        case "state":
            yield mark.get("state") or ("labelled" if labels and not open_ else "todo")
        case "reviewer":
            yield from [mark["author"]] if mark else []
        case "comment":
            yield from [mark["comment"]] if "comment" in mark else []
        case "count":
            yield of(labels)
        case "suggestions":
            yield of(open_)
        case "rejections":
            yield len(sample.annotations) - len(labels)
        case "problems":
            yield sum(problems.values()) if argument is None else problems.get(argument, 0)
        case "problem":
            yield from problems
        case "score":
            yield from (label.score for label in labels if label.score is not None)
        case "uncertainty":
            doubts = [min(label.score, 1 - label.score) * 2 for label in open_ if label.score is not None]
            yield from [max(doubts)] if doubts else []
        case "disagreement":
            ours = record(sample).disagreement  # tests/model/test_doubt.py
            yield from [ours] if ours is not None else []
        case "category":
            yield from (label.category.name for label in labels if label.category)
        case "tag":
            yield from (label.category.name for label in labels if label.category and label.bbox is None)
        case "author":
            yield from (label.author for label in sample.annotations if label.author)
        case "model":
            sources = [label.source for label in sample.annotations if label.source]
            yield from (source.name for source in sources if source.kind == "model")
        case "attribute" if argument is None:
            yield from (name for label in labels for name in label.attributes or {})
        case "attribute":
            said = [label.attributes or {} for label in labels]
            found = [attributes[argument] for attributes in said if argument in attributes]
            yield from ({True: "true", False: "false"}.get(value, value) for value in found)
        case _:
            raise AssertionError(name)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {"==": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
BYTES = {"kb": 1e3, "mb": 1e6, "kib": 1024.0, "b": 1.0}


def compare(operator: str, value: Any, text: str) -> bool:
    if ".." in text:
        first, last = text.split("..")
        return compare(">=", value, first) and compare("<=", value, last)
    if operator == "~":
        return fnmatchcase(value.lower(), text.lower())
    if isinstance(value, datetime):
        return COMPARE[operator](value.isoformat()[: len(text)], text)
    if isinstance(value, str):
        return value == text
    unit = next((unit for unit in BYTES if text.lower().endswith(unit)), "")
    return COMPARE[operator](value, float(text[: len(text) - len(unit)]) * BYTES.get(unit, 1.0))


@given(_expressions, _samples, st.integers(0, 3000), _times, _problems)
def test_an_expression_says_what_one_finds_label_by_label(
    what: Expression, sample: Sample, size: int, time: float, problems: dict[str, int]
) -> None:
    short = record(sample, bytes=size, mtime=time, problems=problems)
    assert compiled(what)(short) is truth(what, sample, size, time, problems)


@given(_expressions)
def test_what_is_printed_is_read_as_the_same(what: Expression) -> None:
    assert parse(printed(what)) == what


@given(st.text() | _soup)
def test_any_text_is_an_expression_or_an_error_at_a_place_in_it(text: str) -> None:
    try:
        what = parse(text)
    except ExpressionError as error:
        assert 0 <= error.place <= len(text)
        message, shown, caret = str(error).split("\n")
        assert message.startswith("expected ") and caret.endswith("^") and len(caret) <= len(shown) + 1
    else:
        assert parse(printed(what)) == what
        compiled(what)(Record(key="a.jpg"))


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("", And(())),
        ("cat.jpg", Text("cat.jpg")),
        ('a \'b c\' "d\\""', And((Text("a"), Text("b c"), Text('d"')))),
        ("not a b or c", Or((And((Not(Text("a")), Text("b"))), Text("c")))),
        ("NOT (a OR b) And c", And((Not(Or((Text("a"), Text("b")))), Text("c")))),
        ("width>1000", Compare("width", None, ">", "1000")),
        ("category:dog", Compare("category", None, "==", "dog")),
        ("category = 'traffic light'", Compare("category", None, "==", "traffic light")),
        ("count(traffic light)>=2", Compare("count", "traffic light", ">=", "2")),
        ('Count( "a)b" ) : 1..2', Compare("count", "a)b", "==", "1..2")),
        ("unlabelled", Some("unlabelled")),
        ("don't.jpg", Text("don't.jpg")),
        ("hey!", Text("hey!")),
        ("date > 2026-01-31T12:00", Compare("date", None, ">", "2026-01-31T12:00")),
    ],
)
def test_an_expression_is_read_as_it_is_meant(text: str, expression: Expression) -> None:
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "dog widht > 3",
            4,
            "expected a name to compare, got 'widht'; the names are, the likeliest first: width,",
        ),
        (
            "cout(dog) > 1",
            0,
            "expected a name to compare, got 'cout'; the names are, the likeliest first: count,",
        ),
        ("width > wide", 8, "expected a number such as 0.5, got 'wide'"),
        ("width >", 7, "expected a value to compare width with, such as 1000, got the end"),
        ("size > 1TT", 7, "expected a size such as 500kB or 1MB, got '1TT'"),
        ("date > 2026-13", 7, "expected a date such as 2026, 2026-01, "),
        ("date > 9999-12-31", 7, "expected a date such as"),
        ("state: tood", 7, "expected one of todo, labelled, reviewed, rejected, got 'tood'"),
        ("key < a", 4, "expected one of ==, !=, ~ behind key, got <"),
        ("score < 0.1..0.2", 8, "expected no range behind <; write name: 0.1..0.2, got"),
        ("width", 0, "expected a comparison such as width > 1000, got width alone; put a text in quotes"),
        ("state", 0, "expected a comparison such as state == todo, got state alone"),
        ("unlabelled: no", 10, "expected nothing to compare unlabelled with"),
        ("key(a): b", 3, "expected no parentheses behind key; only count, suggestions, attribute, problems"),
        ("'width' > 3", 0, "expected a name before >, got the text 'width'"),
        ("(a or b", 7, "expected a ) for the ( at character 1, got the end"),
        ("count(dog > 1", 13, "expected a ) for the ( at character 6, got the end"),
        ("a) b", 1, "expected nothing more before this ), got ')'"),
        ("a or or b", 5, "expected a name, or a text, got 'or'"),
        ("()", 1, "expected a name, or a text, got ')'"),
        ("a 'b", 2, "expected another ' that ends the text, found none"),
        ("not " * 60 + "a", 200, "expected no more than 50 parentheses and nots in each other"),
        ("(" * 100_000, 50, "expected no more than 50 parentheses and nots in each other"),
    ],
)
def test_an_error_says_where_and_what_was_expected(text: str, place: int, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert str(error.value).startswith(message)
    assert error.value.place == place


def test_an_error_points_at_its_place_in_a_text_that_a_terminal_can_show() -> None:
    with pytest.raises(ExpressionError) as error:
        parse("a\x1b[31m\n" + "long " * 1000 + "width ? 3")
    _, shown, caret = str(error.value).split("\n")
    assert shown[len(caret) - 1 :] == "width ? 3" and "\x1b" not in shown and len(shown) < 100


def test_an_expression_may_be_long() -> None:
    fits = predicate(" or ".join(f"n{number}" for number in range(20_000)))
    assert fits(Record(key="n19999.jpg")) and not fits(Record(key="a.jpg"))


def test_what_is_not_known_is_neither_below_nor_above() -> None:
    unknown = Record(key="a.jpg")
    assert not any(predicate(f"width {sign} 5")(unknown) for sign in ("<", "<=", "==", ">=", ">"))
    assert predicate("width != 5")(unknown)


def test_the_page_names_all_that_can_be_asked() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.*) \|$", PAGE.partition("\n## Names\n")[2], re.MULTILINE)
    told = [(name, tuple(re.findall("`(.*?)`", operators)), says) for name, operators, says in rows]
    known = [
        (name, KINDS[question.kind].operators if question.kind in KINDS else (), question.says)
        for name, question in QUESTIONS.items()
    ]
    assert told == known


def test_the_examples_of_the_page_are_expressions() -> None:
    examples = re.findall(r"^\| `(.*?)` \| ", PAGE.partition("\n## Names\n")[0], re.MULTILINE)
    assert len(examples) > 15
    for example in examples:
        assert parse(printed(parse(example))) == parse(example)


@pytest.mark.parametrize(("text", "says"), EXAMPLES)
def test_examples_for_beginners_are_expressions(text: str, says: str) -> None:
    assert parse(text) != And(())
    assert says
