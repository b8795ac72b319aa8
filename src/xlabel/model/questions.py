"""What an expression can ask of a record: the names, what each may be compared with, and how.

The names and their meanings are the table in docs/expressions.md.
"""

import fnmatch
import math
import re
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from xlabel.model.record import STATES, Record

Test = Callable[[Record], bool]


class Question(NamedTuple):
    """A name that an expression can ask for."""

    kind: str
    """A key of `KINDS`."""
    says: str
    get: Callable[[Record], Any]
    of: Callable[[str], Callable[[Record], Any]] | None = None
    """The same for what stands in parentheses behind the name: `count(dog)`."""
    alone: bool = True
    """Whether the name by itself asks if there is some."""


class Kind(NamedTuple):
    """What a name is compared with."""

    example: str
    operators: tuple[str, ...]
    test: Callable[[Callable[[Record], Any], str, str], Test]
    """What asks a record, from what gets the name's value, an operator (not `!=`) and a text.

    ValueError where the text is no such value.
    """


def test(name: str, argument: str | None, operator: str, value: str) -> Test:
    """Asks a record how a name compares with a value. ValueError says what was expected as the value."""
    kind = KINDS[QUESTIONS[name].kind]
    if operator == "!=":
        equal = kind.test(getter(name, argument), "==", value)
        return lambda record: not equal(record)
    return kind.test(getter(name, argument), operator, value)


def some(name: str, argument: str | None) -> Test:
    """Asks a record whether it has some of what a name stands for."""
    get = getter(name, argument)
    return lambda record: bool(get(record))


def containing(text: str) -> Test:
    """Asks a record whether its key contains a text; upper and lower case are the same."""
    wanted = text.casefold()
    return lambda record: wanted in record.key.casefold()


def getter(name: str, argument: str | None) -> Callable[[Record], Any]:
    """What gets a name's value out of a record."""
    question = QUESTIONS[name]
    return question.get if argument is None or question.of is None else question.of(argument)


def _number(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    return _compared(get, operator, *_range(text, operator, _exactly(_plain, "a number such as 0.5")))


def _size(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    return _compared(get, operator, *_range(text, operator, _exactly(_bytes, "a size such as 500kB or 1MB")))


def _date(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    return _compared(get, operator, *_range(text, operator, _span))


def _compared(get: Callable[[Record], Any], operator: str, low: float, high: float) -> Test:
    """Compares a number with the values from low to high; one that is not known compares with nothing."""
    tests: dict[str, Test] = {
        "==": lambda record: (value := get(record)) is not None and low <= value <= high,
        "<": lambda record: (value := get(record)) is not None and value < low,
        "<=": lambda record: (value := get(record)) is not None and value <= high,
        ">": lambda record: (value := get(record)) is not None and value > high,
        ">=": lambda record: (value := get(record)) is not None and value >= low,
    }
    return tests[operator]


def _score(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    """Compares scores, the lowest first, of which any may fit."""
    low, high = _range(text, operator, _exactly(_plain, "a score such as 0.5"))

    def within(record: Record) -> bool:
        scores = get(record)
        at = bisect_left(scores, low)
        return at < len(scores) and scores[at] <= high

    tests: dict[str, Test] = {
        "==": within,
        "<": lambda record: bool(scores := get(record)) and scores[0] < low,
        "<=": lambda record: bool(scores := get(record)) and scores[0] <= high,
        ">": lambda record: bool(scores := get(record)) and scores[-1] > high,
        ">=": lambda record: bool(scores := get(record)) and scores[-1] >= low,
    }
    return tests[operator]


def _text(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    if operator == "==":
        return lambda record: get(record) == text
    fits = _pattern(text)
    return lambda record: (value := get(record)) is not None and fits(value) is not None


def _texts(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    if operator == "==":
        return lambda record: text in get(record)
    fits = _pattern(text)
    return lambda record: any(map(fits, get(record)))


def _state(get: Callable[[Record], Any], operator: str, text: str) -> Test:
    if text not in STATES:
        raise ValueError(f"one of {', '.join(STATES)}")
    return _text(get, operator, text)


def _pattern(text: str) -> Callable[[str], Any]:
    return re.compile(fnmatch.translate(text), re.IGNORECASE).match


def _range(text: str, operator: str, read: Callable[[str], tuple[float, float]]) -> tuple[float, float]:
    """The lowest and the highest value that a text stands for: 0.5, or 0.3..0.7."""
    first, dots, last = text.partition("..")
    if not dots:
        return read(text)
    if operator != "==":
        raise ValueError(f"no range behind {operator}; write name: {first}..{last}")
    return read(first)[0], read(last)[1]


def _exactly(read: Callable[[str], float | None], what: str) -> Callable[[str], tuple[float, float]]:
    def both(text: str) -> tuple[float, float]:
        value = read(text)
        if value is None:
            raise ValueError(what)
        return value, value

    return both


_PLAIN = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def _plain(text: str) -> float | None:
    return float(text) if re.fullmatch(_PLAIN, text) else None


def _bytes(text: str) -> float | None:
    found = re.fullmatch(f"({_PLAIN})([a-z]*)", text, re.IGNORECASE | re.ASCII)
    unit = _UNITS.get(found[2].lower().removesuffix("b")) if found else None
    return float(found[1]) * unit if found and unit else None


_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(?:Z|[-+][0-9]{2}:[0-9]{2})?)?)?)?"
)


def _span(text: str) -> tuple[float, float]:
    """When a year, a month, a day, a minute or a second begins and ends, where this computer is."""
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, time, second = found.groups()
        begin = datetime.fromisoformat(f"{year}-{month or '01'}-{day or '01'}{time or ''}")
        if time:
            end = begin + timedelta(seconds=1 if second else 60)
        elif day:
            end = begin + timedelta(days=1)
        else:
            later = int(year) * 12 + (int(month) if month else 12)  # months since the year 0
            end = datetime(later // 12, later % 12 + 1, 1)
        return begin.timestamp(), math.nextafter(end.timestamp(), -math.inf)
    except (ValueError, OverflowError, OSError):
        raise ValueError("a date such as 2026, 2026-01, 2026-01-31 or 2026-01-31T12:00") from None


_ORDER = ("==", "!=", "<=", ">=", "<", ">")
_LIKE = ("==", "!=", "~")
KINDS = {
    "number": Kind("1000", _ORDER, _number),
    "size": Kind("1MB", _ORDER, _size),
    "date": Kind("2026-01-31", _ORDER, _date),
    "score": Kind("0.5", _ORDER, _score),
    "text": Kind("text", _LIKE, _text),
    "texts": Kind("text", _LIKE, _texts),
    "state": Kind("todo", _LIKE[:2], _state),
}


def _in(field: str) -> Callable[[str], Callable[[Record], Any]]:
    """What gets one count, or the texts, of a field that is a dictionary."""
    get, nothing = attrgetter(field), () if field == "attributes" else 0
    return lambda argument: lambda record: get(record).get(argument, nothing)


QUESTIONS = {
    "key": Question("text", "the path of the image below its folder", attrgetter("key"), alone=False),
    "state": Question(
        "state", "how far it is: todo, labelled, reviewed or rejected", attrgetter("state"), alone=False
    ),
    "category": Question("texts", "the category of any label", attrgetter("categories")),
    "count": Question(
        "number", "how many labels it has; count(dog): of a category", attrgetter("count"), _in("categories")
    ),
    "suggestions": Question(
        "number",
        "how many labels nobody has decided on; suggestions(dog): of a category",
        attrgetter("suggestions"),
        _in("suggested"),
    ),
    "rejections": Question("number", "how many labels were rejected", attrgetter("rejections")),
    "unlabelled": Question("flag", "it has no label and no suggestion", lambda record: not record.count),
    "score": Question("score", "the score of any label", attrgetter("scores")),
    "uncertainty": Question(
        "number",
        "how doubtful the most doubtful suggestion is, 0 to 1",
        attrgetter("uncertainty"),
    ),
    "disagreement": Question(
        "number",
        "how little the labels of two models, or of a model and people, overlap, 0 to 1",
        attrgetter("disagreement"),
    ),
    "tag": Question("texts", "the category of any label of the whole image", attrgetter("tags")),
    "attribute": Question(
        "texts",
        "the name of any label's attribute; attribute(weather): its value, true and false too",
        attrgetter("attributes"),
        _in("attributes"),
    ),
    "author": Question("texts", "who made any label", attrgetter("authors")),
    "model": Question("texts", "which model made any label", attrgetter("models")),
    "reviewer": Question("text", "who marked it as reviewed or rejected", attrgetter("reviewer")),
    "comment": Question("text", "what the reviewer wrote", attrgetter("comment")),
    "problem": Question("texts", "a code that xlabel validate found", attrgetter("problems")),
    "problems": Question(
        "number",
        "how much xlabel validate found; problems(box-empty): of a code",
        lambda record: sum(record.problems.values()),
        _in("problems"),
    ),
    "split": Question("text", "its split: train, val, test", attrgetter("split")),
    "width": Question("number", "pixels, as displayed", attrgetter("width"), alone=False),
    "height": Question("number", "pixels, as displayed", attrgetter("height"), alone=False),
    "size": Question(
        "size", "of the file, in bytes, kB, MB, GB or KiB, MiB, GiB", attrgetter("bytes"), alone=False
    ),
    "date": Question(
        "date", "when the file was last changed, where this computer is", attrgetter("mtime"), alone=False
    ),
}

EXAMPLES = (
    ("cat.jpg", "whose path contains that text"),
    ("category: dog", "with a label of that category"),
    ("count(dog) >= 2", "with two dogs or more"),
    ("suggestions", "with suggestions that nobody has decided on"),
    ("score: 0.3..0.7", "where a label has such a score"),
    ("state: reviewed", "that a reviewer took; others are todo, labelled and rejected"),
    ("tag: night", "with that label of the whole image"),
    ("attribute(weather): rain", "where a label's attribute has that value"),
    ("problem: box-outside", "where validation finds that"),
    ('key ~ "train/*"', "whose path fits a pattern"),
    ("author: ann", "with labels that she made"),
    ("date > 2026-01-31", "changed after that day"),
    ("size > 1MB", "of more bytes"),
    ("(category: dog or category: cat) and not unlabelled", "and, or, not, parentheses"),
)
"""Expressions, and which images they choose, for somebody who sees them for the first time."""
