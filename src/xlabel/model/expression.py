"""Expressions that choose images: `category: dog and score < 0.5`. docs/expressions.md.

They are parsed here, and never run as Python.
"""

import re
from collections.abc import Callable
from typing import NoReturn

import msgspec

from xlabel.errors import InputError
from xlabel.model import questions
from xlabel.model.nearest import nearest
from xlabel.model.questions import KINDS, QUESTIONS, Test
from xlabel.model.report import visible

DEEPEST = 50
"""So many parentheses and `not` may stand in each other."""
SHOWN = 60
"""Characters of the text that an error shows on either side of the place."""


class Text(msgspec.Struct, frozen=True):
    """The key contains it."""

    text: str


class Some(msgspec.Struct, frozen=True):
    """A name by itself: there is some of it."""

    name: str
    argument: str | None = None


class Compare(msgspec.Struct, frozen=True):
    """A name compared with a value, which is kept as it was written."""

    name: str
    argument: str | None
    operator: str
    value: str


class Not(msgspec.Struct, frozen=True):
    part: "Expression"


class And(msgspec.Struct, frozen=True):
    """All of the parts, of which there are several; or none, which every image fits."""

    parts: tuple["Expression", ...]


class Or(msgspec.Struct, frozen=True):
    parts: tuple["Expression", ...]


Expression = Text | Some | Compare | Not | And | Or


class ExpressionError(InputError):
    """A text that is no expression: `place` is the character that is wrong, from 0."""

    def __init__(self, text: str, place: int, message: str) -> None:
        before, after = visible(text[:place][-SHOWN:]), visible(text[place:][:SHOWN])
        super().__init__(f"{message}\n  {before}{after}\n  {' ' * len(before)}^")
        self.place = place


def predicate(text: str) -> Test:
    """What tells of a record whether it fits an expression. ExpressionError where the text is none."""
    return compiled(parse(text))


def parse(text: str) -> Expression:
    """The expression that a text is; an empty one fits everything. ExpressionError where it is none."""
    return _Parser(text).whole()


def compiled(expression: Expression) -> Test:
    """What tells of a record whether it fits."""
    match expression:
        case Text(text):
            return questions.containing(text)
        case Some(name, argument):
            return questions.some(name, argument)
        case Compare(name, argument, operator, value):
            return questions.test(name, argument, operator, value)
        case Not(part):
            inner = compiled(part)
            return lambda record: not inner(record)
        case And(parts):
            return _all([compiled(part) for part in parts])
        case Or(parts):
            return _any([compiled(part) for part in parts])


def printed(expression: Expression) -> str:
    """The text of an expression, in one form; parsed, it is the same expression."""
    match expression:
        case Text(text):
            return _quoted(text, word=True)
        case Some(name, argument):
            return _called(name, argument)
        case Compare(name, argument, operator, value):
            return f"{_called(name, argument)} {operator} {_quoted(value)}"
        case Not(part):
            return f"not {_inner(part, And, Or)}"
        case And(parts):
            return " and ".join(_inner(part, And, Or) for part in parts)
        case Or(parts):
            return " or ".join(_inner(part, Or) for part in parts)


def _all(tests: list[Test]) -> Test:
    if len(tests) < 2:
        return tests[0] if tests else lambda record: True
    one, other = _all(tests[: len(tests) // 2]), _all(tests[len(tests) // 2 :])
    return lambda record: one(record) and other(record)  # in pairs: all() takes three times as long


def _any(tests: list[Test]) -> Test:
    if len(tests) < 2:
        return tests[0]
    one, other = _any(tests[: len(tests) // 2]), _any(tests[len(tests) // 2 :])
    return lambda record: one(record) or other(record)


_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"""(?:[^\s()"'=<>~:!]|!(?!=))(?:[^\s()=<>~:!]|!(?!=))*""")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>|~|=|:")
_VALUE = re.compile(r"""[^\s()"'][^\s()]*""")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"' r"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_WORDS = ("and", "or", "not")


class _Parser:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def whole(self) -> Expression:
        self._blanks()
        if self.at == len(self.text):
            return And(())
        found = self._either()
        if self.at < len(self.text):
            self._expected("nothing more before this )" if self._next(")") else "the end")
        return found

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._keyword("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._negated()]
        while self._keyword("and") or not self._ends():
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negated(self) -> Expression:
        begin = self.at
        if self._keyword("not"):
            return Not(self._deeper(begin, self._negated))
        if not self._next("("):
            return self._term()
        self.at += 1
        self._blanks()
        found = self._deeper(begin, self._either)
        if not self._next(")"):
            self._expected(f"a ) for the ( at character {begin + 1}")
        self.at += 1
        self._blanks()
        return found

    def _deeper(self, begin: int, inner: Callable[[], Expression]) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            self._wrong(
                begin, f"expected no more than {DEEPEST} parentheses and nots in each other, got more"
            )
        found = inner()
        self.depth -= 1
        return found

    def _term(self) -> Expression:
        begin = self.at
        if (text := self._quote()) is not None:
            self._blanks()
            self._no_operator(begin, text)
            return Text(text)
        word = self._word()
        name = word.lower()
        if name in _WORDS or not word:
            self.at = begin
            self._expected("a name, or a text")
        argument = self._argument(begin, word)
        self._blanks()
        place, operator = self.at, _OPERATOR.match(self.text, self.at)
        if name not in QUESTIONS:
            if operator or argument is not None:
                self._unknown(begin, word)
            return Text(word)
        kind = KINDS.get(QUESTIONS[name].kind)
        if operator is None:
            if not QUESTIONS[name].alone:
                self._alone(begin, name)
            return Some(name, argument)
        sign = "==" if operator[0] in ("=", ":") else operator[0]
        if kind is None:
            self._wrong(place, f"expected nothing to compare {name} with, got {operator[0]}; it stands alone")
        if sign not in kind.operators:
            known = ", ".join(kind.operators)
            self._wrong(place, f"expected one of {known} behind {name}, got {operator[0]}")
        self.at = operator.end()
        return self._compared(name, argument, sign)

    def _compared(self, name: str, argument: str | None, operator: str) -> Expression:
        self._blanks()
        begin = self.at
        value = self._quote()
        if value is None:
            found = _VALUE.match(self.text, self.at)
            value = found[0] if found else ""
            self.at += len(value)
            if not value:
                self._expected(
                    f"a value to compare {name} with, such as {KINDS[QUESTIONS[name].kind].example}"
                )
        try:
            questions.test(name, argument, operator, value)
        except ValueError as error:
            self._wrong(begin, f"expected {error}, got {value!r}")
        self._blanks()
        return Compare(name, argument, operator, value)

    def _argument(self, begin: int, word: str) -> str | None:
        """What stands in parentheses directly behind a name."""
        if not self._next("("):
            return None
        question = QUESTIONS.get(word.lower())
        if question is None:
            self._unknown(begin, word)
        if question.of is None:
            self._wrong(self.at, f"expected no parentheses behind {word}; only {_CALLED} may have some")
        opened = self.at
        self.at += 1
        self._blanks()
        text = self._quote()
        if text is None:
            end = self.at
            while end < len(self.text) and self.text[end] not in "()":
                end += 1
            text = self.text[self.at : end].rstrip()
            self.at = end
        self._blanks()
        if not self._next(")"):
            self._expected(f"a ) for the ( at character {opened + 1}")
        self.at += 1
        return text

    def _quote(self) -> str | None:
        """A text in quotes, without them; None where there is none."""
        if self.text[self.at : self.at + 1] not in ('"', "'") or self.at == len(self.text):
            return None
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            self._wrong(self.at, f"expected another {self.text[self.at]} that ends the text, found none")
        self.at = found.end()
        return re.sub(r"\\(.)", r"\1", found[1] if found[1] is not None else found[2], flags=re.DOTALL)

    def _word(self) -> str:
        found = _WORD.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _keyword(self, keyword: str) -> bool:
        """Whether a keyword comes next, which is then passed."""
        found = _WORD.match(self.text, self.at)
        if found is None or found[0].lower() != keyword:
            return False
        self.at = found.end()
        self._blanks()
        return True

    def _ends(self) -> bool:
        found = _WORD.match(self.text, self.at)
        return (
            self.at == len(self.text) or self._next(")") or (found is not None and found[0].lower() == "or")
        )

    def _next(self, sign: str) -> bool:
        return self.text.startswith(sign, self.at)

    def _blanks(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _no_operator(self, begin: int, text: str) -> None:
        if operator := _OPERATOR.match(self.text, self.at):
            self._wrong(
                begin,
                f"expected a name before {operator[0]}, got the text {text!r}; write names without quotes",
            )

    def _unknown(self, begin: int, word: str) -> NoReturn:
        names = ", ".join(nearest(word, QUESTIONS))
        self._wrong(
            begin,
            f"expected a name to compare, got {word!r}; the names are, the likeliest first: {names}; "
            "put a text in quotes",
        )

    def _alone(self, begin: int, name: str) -> NoReturn:
        kind = KINDS[QUESTIONS[name].kind]
        example = f"{name} {kind.operators[0] if '>' not in kind.operators else '>'} {kind.example}"
        self._wrong(begin, f"expected a comparison such as {example}, got {name} alone; put a text in quotes")

    def _expected(self, what: str) -> NoReturn:
        rest = self.text[self.at :]
        found = repr(rest.split(maxsplit=1)[0][:SHOWN]) if rest else "the end"
        self._wrong(self.at, f"expected {what}, got {found}")

    def _wrong(self, place: int, message: str) -> NoReturn:
        raise ExpressionError(self.text, place, message)


_CALLED = ", ".join(name for name, question in QUESTIONS.items() if question.of)


def _inner(part: Expression, *grouped: type) -> str:
    return f"({printed(part)})" if isinstance(part, grouped) else printed(part)


def _called(name: str, argument: str | None) -> str:
    return name if argument is None else f"{name}({_quoted(argument)})"


def _quoted(text: str, *, word: bool = False) -> str:
    """A text as it is where that is read again as the same; else in quotes."""
    pattern = _WORD if word else _VALUE
    if pattern.fullmatch(text) and not (word and (text.lower() in _WORDS or text.lower() in QUESTIONS)):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
