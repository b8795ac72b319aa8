"""The text of a COCO document, taken apart: its top level, the records of a list, the value of one record.

RFC 8259 is what counts. Where a text breaks it, its quotes, brackets and commas alone tell the records apart,
so that what JSON parsers refuse (Python's NaN, half a surrogate pair, a wrong escape) is wrong with its own
record. Only a text whose quotes or brackets do not close is refused as a whole.
"""

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from xlabel.errors import InputError
from xlabel.formats.coco_layout import LISTS
from xlabel.formats.untrusted import is_deep

BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on text that is not as it should be; a ValidationError is a DecodeError."""

Top = dict[str, Raw] | list[Raw]
"""The fields of a document, or the records of a results list."""

_anything = msgspec.json.Decoder().decode

# Possessive, so that nothing is tried twice: the time is that of one look at each byte.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_LEAF = rb"\[[^\"\[\]{}]*+\]|\{[^\"\[\]{}]*+\}"
_UP_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b|%b)*+' % (_STRING, _LEAF), re.DOTALL)
_UP_TO_COMMA = re.compile(rb'(?:[^"\[\]{},]++|%b)*+' % _STRING, re.DOTALL)
_KEY = re.compile(rb"\s*(%b)\s*:\s*" % _STRING, re.DOTALL)
_BLANK = re.compile(rb"\s*+")
_NO_NUMBER = re.compile(rb"%b|(-?Infinity|NaN)" % _STRING, re.DOTALL)
_HALF_PAIR = re.compile(
    rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])", re.DOTALL
)
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}
_COMMA = ord(",")


def parse(data: bytes, where: str) -> Top:
    """The top level of a JSON document.

    Raises InputError, with the line, where the text is no JSON and no COCO can be made out in it.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        if data[:64].lstrip()[:1] == b"[":
            return msgspec.json.decode(data, type=list[Raw])
        return msgspec.json.decode(data, type=dict[str, Raw])
    except BAD as error:
        top = _torn(data)
        if top is None or not (is_document(top) or is_results(top)):
            raise InputError(f"{where}{_refusal(data, error)}") from None
        return top


def records(raw: Raw) -> list[Raw] | None:
    """The texts of a list's records; None where it is no list."""
    try:
        return msgspec.json.decode(raw, type=list[Raw])
    except BAD:
        return _split(memoryview(raw)) if begins_list(raw) else None


def value_of(raw: Raw) -> tuple[Any, str | None]:
    """What a text says, and what is wrong with it; UNSET where it says nothing that can be kept.

    Numbers that JSON has no word for are read as null.
    """
    wrong = None
    try:
        found = _anything(raw)
    except BAD as error:
        text = bytes(raw)
        odd = next((match[1].decode() for match in _NO_NUMBER.finditer(text) if match[1]), None)
        try:
            found = _anything(_NO_NUMBER.sub(lambda match: b"null" if match[1] else match[0], text))
        except BAD:
            reason = "half of a surrogate pair" if _HALF_PAIR.search(text) else error
            got = beginning(raw) or "nothing"
            return UNSET, f"expected JSON, got {got} ({reason}); it is left out, correct it"
        wrong = f"expected a number, got {odd}, which is no JSON; it is read as null, write that in its place"
    if isinstance(found, (dict, list)) and is_deep(found):
        return UNSET, "nested deeper than 64 levels, which no label is; it is left out, take it out"
    return found, wrong


def is_document(top: Top) -> bool:
    """Whether the top level is that of a COCO document."""
    if not isinstance(top, dict) or sum(key in top for key in LISTS) < 2:
        return False
    if "annotations" not in top and "xlabel" in top and bytes(top["xlabel"]).isdigit():
        return False  # xlabel's own JSON, whose annotations are in its records of images
    return any(begins_list(top[key]) for key in ("images", "annotations") if key in top)


def is_results(top: Top) -> bool:
    """Whether the top level is a list of results, by its first record."""
    if not isinstance(top, list) or not top:
        return False
    first, _ = value_of(top[0])
    tells = ("category_id", "caption", "bbox", "segmentation", "keypoints", "score")
    return isinstance(first, dict) and "image_id" in first and any(key in first for key in tells)


def begins_list(raw: Raw) -> bool:
    """Whether a text is that of a list."""
    return bytes(memoryview(raw)[:1]) == b"["


def beginning(raw: Raw) -> str:
    """The beginning of a text, as a message shows it."""
    return bytes(memoryview(raw)[:40]).decode("utf-8", "replace")


def _torn(data: bytes) -> Top | None:
    """The top level of a text that is no JSON, by its quotes, brackets and commas, if these fit."""
    found = _split(memoryview(data))
    if found is None or data[:64].lstrip()[:1] == b"[":
        return found
    top: dict[str, Raw] = {}
    for raw in found:
        key = _KEY.match(memoryview(raw))
        if key is None:
            return None
        try:
            top[msgspec.json.decode(key[1], type=str)] = Raw(memoryview(raw)[key.end() :])
        except BAD:
            return None
    return top


def _split(text: memoryview) -> list[Raw] | None:
    """What commas part in a list or an object; None where it has no end, or something stands behind that."""
    parts: list[Raw] = []
    size = len(text)
    at = _after(_BLANK, text, 0)
    closing = bytearray([_CLOSING.get(text[at], 0)] if at < size else b"")
    start = at = at + 1
    while closing:
        at = _after(_UP_TO_COMMA if len(closing) == 1 else _UP_TO_BRACKET, text, at)
        sign = text[at] if at < size else 0
        at += 1
        if sign in _CLOSING:
            closing.append(_CLOSING[sign])
            continue
        if sign == closing[-1]:
            closing.pop()
        elif sign != _COMMA or len(closing) > 1:
            return None
        if sign == _COMMA or not closing:
            parts.append(Raw(text[_after(_BLANK, text, start) : at - 1]))
            start = at
    if len(parts) == 1 and not memoryview(parts[0]):
        parts.clear()
    return parts if _after(_BLANK, text, at) == size else None


def _after(pattern: re.Pattern[bytes], text: memoryview, at: int) -> int:
    """Where what a pattern matches at a place ends; it matches everywhere, if only nothing."""
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _refusal(data: bytes, error: Exception) -> str:
    """Where a JSON text breaks off, and what to do."""
    if isinstance(error, RecursionError):
        return ": nested too deeply for any label file; is it damaged?"
    if isinstance(error, UnicodeDecodeError):
        return f": expected UTF-8, found other bytes ({error.reason}); save it as UTF-8"
    text = str(error)
    if "truncated" in text or not data.strip():
        return ": the JSON ends in the middle; is the file complete?"
    digits = text.rpartition("byte ")[2].rstrip(")")
    place = int(digits) if digits.isdigit() else 0
    line = data.count(b"\n", 0, place) + 1
    for word in (b"-Infinity", b"Infinity", b"NaN"):
        if data.startswith(word, place) or (place and data.startswith(word, place - 1)):
            return (
                f":{line}: expected a number, got {word.decode()}, which is no JSON; write null in its place"
            )
    found = data[place : place + 20].decode("utf-8", "replace")
    return f":{line}: no JSON from byte {place:,} on ({found!r}); {text}"
