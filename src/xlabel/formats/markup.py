"""XML as text and as data: what is edited in a file changes its own characters and no others.

An element as data is a text or a number; with children it is a dict of them, with `@` before the names of its
own attributes, `#text` for its text beside those, and a list where there are several children of one name.
"""

import codecs
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element
from xml.parsers import expat

from xlabel.model import Number

MAX_DEPTH = 40
MAX_NUMBER = 1 << 53

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile(r"[A-Za-z_][\w.\-]*")
_CODECS = re.compile(r"(utf-?8|us-?ascii|ascii|latin|iso|windows|cp\d|gb|big5|euc|shift|sjis|koi8|mac)", re.I)
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._\-]+)["']""")


class Page(NamedTuple):
    """An XML document, without its byte order mark."""

    xml: bytes
    root: Element
    spans: list[tuple[int, int]]
    """Where each child of the root begins and ends in `xml`."""
    close: int
    """Where the root's end tag begins."""


def decoded(data: bytes) -> tuple[str, str, str]:
    """The byte order mark, the text and the encoding of an XML file: by mark, first bytes or declaration."""
    declared = _DECLARED.match(data[:200])
    encoding = "utf-8"
    if data[:2] in (codecs.BOM_UTF16_LE, b"<\0"):
        encoding = "utf-16-le"
    elif data[:2] in (codecs.BOM_UTF16_BE, b"\0<"):
        encoding = "utf-16-be"
    elif declared is not None:
        name = declared[1].decode("ascii").lower()
        if not name.startswith(("utf-8", "utf8", "utf-16", "utf16", "ucs")):  # its own bytes refute UTF-16
            encoding = name
    try:
        text = data.decode(encoding) if encoding.startswith("utf-") or is_text(encoding) else None
    except (UnicodeError, LookupError):
        text = None
    if text is None:
        raise ValueError(
            "bad-encoding", f"expected text in {encoding}, got other bytes; save the file as UTF-8"
        )
    bare = text.removeprefix("\ufeff")
    return text[: len(text) - len(bare)], bare, encoding


def parse(text: str) -> Page:
    """Parses a document without doctype: entities are how a small file becomes a huge one."""
    xml = text.removeprefix("\ufeff").encode("utf-8", "replace")
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    top = Element("")
    stack = [top]
    begins: list[int] = []
    spans: list[tuple[int, int]] = []
    texts: list[str] = []
    close = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes)
        stack[-1].append(element)
        stack.append(element)
        texts.clear()
        if len(stack) == 3:
            begins.append(parser.CurrentByteIndex)
        elif len(stack) > MAX_DEPTH:
            raise ValueError("too-deep", f"expected elements {MAX_DEPTH} deep at most, got more; repair it")

    def end(tag: str) -> None:
        nonlocal close
        element = stack.pop()
        if not len(element):
            element.text = "".join(texts)
        texts.clear()
        if len(stack) == 2:
            spans.append((begins[-1], _after_tag(xml, parser.CurrentByteIndex)))
        elif len(stack) == 1:
            close = parser.CurrentByteIndex

    def doctype(*_: object) -> None:
        raise ValueError("doctype", "expected no <!DOCTYPE>, got one; it may hide anything, remove it")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ValueError("bad-xml", f"expected XML, got {error}; repair the file") from None
    return Page(xml, top[0], spans, close)


def edited(page: Page, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The document with those children of its root replaced, removed and added that differ."""
    xml, gap = page.xml, gap_of(page)
    unit = _unit(gap, page)
    parts: list[str] = []
    at = 0
    done: set[str] = set()
    for child, (begin, end) in zip(page.root, page.spans, strict=True):
        tag = child.tag
        if old.get(tag) == new.get(tag):
            done.add(tag)
            continue
        before = xml[at:begin].decode()
        if tag in new and tag not in done:
            parts += (before, _replaced(xml[begin:end].decode(), tag, old.get(tag), new[tag], gap, unit))
        else:
            parts.append(before.rstrip())
        done.add(tag)
        at = end
    added = [tag for tag in new if tag not in done and old.get(tag) != new[tag] and tag[0] not in "@#"]
    if added:
        if not xml.startswith(b"</", page.close):
            raise ValueError("an empty tag has no room for children")
        last = page.spans[-1][1] if page.spans else page.close
        parts.append(xml[at:last].decode())
        parts += (gap + element(tag, new[tag], gap, unit) for tag in added)
        at = last
    return "".join(parts) + xml[at:].decode()


def element(tag: str, value: Any, gap: str, unit: str) -> str:
    """An element of a value as `value_of` has it; `gap` is the white space before it."""
    if type(value) is int:
        return f"<{tag}>{value}</{tag}>"
    if isinstance(value, list):
        return gap.join(element(tag, item, gap, unit) for item in value)
    if not isinstance(value, dict):
        return f"<{tag}>{_shown(value)}</{tag}>"
    inner = gap + unit
    attributes = "".join(attribute(key, item) for key, item in value.items() if key[0] == "@")
    if "#text" in value:
        return f"<{tag}{attributes}>{_shown(value['#text'])}</{tag}>"
    inside = (inner + element(key, item, inner, unit) for key, item in value.items() if key[0] != "@")
    return f"<{tag}{attributes}>{''.join(inside)}{gap}</{tag}>"


def attribute(key: str, value: Any) -> str:
    text = _shown(value).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return f' {key[1:]}="{text}"'


def value_of(element: Element) -> Any:
    """An element as data: text or a number, or a dict of its children, with `@` before its attributes."""
    if not len(element):
        value = typed((element.text or "").strip())
        if not element.attrib:
            return value
        return {**{f"@{key}": typed(text) for key, text in element.attrib.items()}, "#text": value}
    return children(element)


def children(element: Element, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {f"@{key}": typed(value) for key, value in element.attrib.items()}
    seen: set[str] = set()
    for child in element:
        if child.tag not in skip:
            collect(found, child.tag, value_of(child), seen)
            seen.add(child.tag)
    return found


def collect(found: dict[str, Any], tag: str, value: Any, seen: set[str]) -> None:
    """Adds a child's value; several of one tag make a list."""
    if tag not in seen:
        found[tag] = value
    elif isinstance(found[tag], list):
        found[tag].append(value)
    else:
        found[tag] = [found[tag], value]


def typed(text: str) -> str | Number | bool:
    """A number where it would be written again with the same text, true and false, else the text."""
    if text in ("true", "false"):
        return text == "true"
    if text[:1].isdigit() or text[:1] == "-":
        number = number_of(text)
        if number is not None and repr(number) == text:
            return number
    return text


def number_of(text: str) -> Number | None:
    number: Number
    try:
        number = int(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            return None
    return number if -MAX_NUMBER < number < MAX_NUMBER and "_" not in text else None


def text_of(element: Element, tag: str) -> str | None:
    child = element.find(tag)
    return None if child is None else (child.text or "").strip()


def said(text: str) -> str:
    """A text as it is read again: white space around it and characters that XML forbids are gone."""
    return _NOT_XML.sub("\ufffd", text).strip()


def is_said(name: str, value: Any) -> bool:
    """Whether a value can be written under a name and read again."""
    if name == "#text":
        return _is_plain(value)
    if name[:1] == "@":
        return is_tag(name[1:]) and _is_plain(value)
    if not is_tag(name):
        return False
    if isinstance(value, dict):
        return bool(value) and all(isinstance(k, str) and is_said(k, v) for k, v in value.items())
    if isinstance(value, list):
        return len(value) > 1 and all(not isinstance(v, list) and is_said(name, v) for v in value)
    return _is_plain(value)


@cache
def is_tag(name: str) -> bool:
    """Whether an element may have that name."""
    if name.lower().startswith("xml") or not _TAG.fullmatch(name):
        return False
    try:
        return name.isascii() or parse(f"<{name}/>").root.tag == name
    except ValueError:
        return False


def is_text(encoding: object) -> bool:
    if not isinstance(encoding, str) or not (encoding.startswith("utf-16-") or _CODECS.match(encoding)):
        return False
    try:
        return codecs.lookup(encoding) is not None
    except LookupError:
        return False


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return said(value) == value
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = said(value)
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def gap_of(page: Page) -> str:
    """The white space before the root's first child."""
    before = page.xml[: page.spans[0][0]] if page.spans else b""
    return before[len(before.rstrip()) :].decode()


def _replaced(text: str, tag: str, old: Any, new: Any, gap: str, unit: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict) and same_tag(old, new):
        page = parse(text)
        if page.spans:
            return edited(page, old, new)
    return element(tag, new, gap, unit)


def same_tag(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two elements have the same attributes and text of their own."""
    keys = {key for key in (*old, *new) if key[0] in "@#"}
    return all(old.get(key) == new.get(key) for key in keys)


def _unit(gap: str, page: Page) -> str:
    """One step of indentation: what the children have more than their root's end tag."""
    before = page.xml[: page.close].decode()
    outer = before[len(before.rstrip()) :].rpartition("\n")[2]
    return gap.rpartition("\n")[2].removeprefix(outer) if "\n" in gap else ""


def _after_tag(xml: bytes, at: int) -> int:
    """Where the tag that begins at `at` is over; a quoted `>` does not end it."""
    quote = 0
    for index in range(at, len(xml)):
        byte = xml[index]
        if quote:
            quote = 0 if byte == quote else quote
        elif byte in b"\"'":
            quote = byte
        elif byte == 0x3E:
            return index + 1
    return len(xml)
