"""Payloads: what is whole and what is not, and the schema that says how they look."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from tests.tools import ROOT

from xlabel.images import payload
from xlabel.images.payload import Packing, Wrapped
from xlabel.images.splice import Undo
from xlabel.model.document import Document

SCHEMA = ROOT / "docs" / "label.schema.json"
DOCUMENT = b'{"image":{"width":4,"height":3},"annotations":[{"bbox":[1,2,3,4]}]}'
WRAPPED = Wrapped(
    DOCUMENT, 3, "2026-11-20T10:00:00Z", Undo("0" * 32, ("0000000014+0000000001=",)), b"ASCII\0\0\0a"
)


def forms(wrapped: Wrapped = WRAPPED) -> tuple[bytes, bytes]:
    made = payload.forms(wrapped, wrapped.undo, wrapped.replaced, Packing())
    return made.plain, made.packed()


def schema() -> dict[str, Any]:
    """Of a payload and its document, out of the code that reads them."""
    (outer, inner), parts = msgspec.json.schema_components(
        [payload.Stored, Document], ref_template="#/$defs/{name}"
    )
    outer = parts.pop("Stored")
    packed = {"type": "string", "contentEncoding": "base64", "description": "The document's zlib stream."}
    outer["properties"]["labels"] = {"anyOf": [inner, packed]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Labels inside an image file"}
    return {**head, **{key: value for key, value in outer.items() if key != "title"}, "$defs": parts}


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    assert SCHEMA.read_text() == written(schema()), "write it anew: python -m tests.images.test_payload"


def test_the_schema_takes_payloads_and_refuses_others() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for text in forms():
        validator.validate(json.loads(text))
    whole = json.loads(forms()[0])
    changes: list[dict[str, Any]] = [
        {"revision": -1},
        {"revision": "1"},
        {"check": None},
        {"labels": {}},
        {"labels": {"image": {"width": "4"}}},
        {"labels": {"image": {}, "annotations": [{"bbox": [1, 2, 3]}]}},
    ]
    for change in changes:
        assert not validator.is_valid({**whole, **change}), change


def test_both_forms_hold_the_document_as_other_libraries_read_it() -> None:
    plain, packed = (json.loads(text) for text in forms())
    assert plain["labels"] == json.loads(DOCUMENT)
    assert zlib.decompress(base64.b64decode(packed["labels"])) == DOCUMENT
    for stored in (plain, packed):
        assert (stored["xlabel"], stored["revision"], stored["time"]) == (1, 3, "2026-11-20T10:00:00Z")
        assert stored["check"] == xxhash.xxh3_64_hexdigest(DOCUMENT)
        assert base64.b64decode(stored["replaced"]) == b"ASCII\0\0\0a"
        assert list(stored)[-1] == "labels"


@given(st.binary(max_size=30), st.integers(0, 40))
def test_blanks_and_nul_that_tools_add_are_nothing(comment: bytes, padding: int) -> None:
    wrapped = msgspec.structs.replace(WRAPPED, replaced=comment)
    for text in forms(wrapped):
        assert text.isascii() and payload.is_payload(text)
        assert payload.unwrap(text + b"\0 " * padding) == wrapped
        assert payload.replaced(text) == comment


def bomb() -> bytes:
    unpacked = zlib.compressobj(9)
    piece = bytes(1 << 20)
    data = b"".join(unpacked.compress(piece) for _ in range(payload.MAX_DOCUMENT >> 20)) + unpacked.compress(
        b"a"
    )
    return base64.b64encode(data + unpacked.flush())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"bbox":[1', b'"bbox":[2'),
        (b'"xlabel":1', b'"xlabel":2'),
        (b'"revision":3', b'"revision":-3'),
        (b'"revision":3', b'"revision":9007199254740992'),
        (b'"revision":3', b'"revision":"3"'),
        (b'"check":', b'"chick":'),
        (b'"replaced":"', b'"replaced":"?'),
        (b'"labels":', b'"labels":' + b"[" * 200_000),
        (b'"undo":', b'"undo":[],"more":'),
        (b"}]}}", b"}]}"),
        (b'{"image"', b'"%b","image"' % base64.b64encode(zlib.compress(DOCUMENT))[:-8]),
    ],
    ids=range(11),
)
def test_a_copy_that_is_not_as_it_was_written_is_refused(old: bytes, new: bytes) -> None:
    text = forms()[0]
    assert old in text
    with pytest.raises(ValueError, match=r"\w"):
        payload.unwrap(text.replace(old, new))


def test_a_packed_document_is_unpacked_to_a_limit() -> None:
    text = re.sub(rb'"labels":".*"', b'"labels":"%b"' % bomb(), forms()[1])
    with pytest.raises(ValueError, match="larger than 268,435,456 bytes"):
        payload.unwrap(text)


@given(st.binary(max_size=60))
def test_bytes_at_random_are_no_payload(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        payload.unwrap(data)
    with pytest.raises(ValueError, match=r"\w"):
        payload.unwrap(payload.START + data)
    assert payload.replaced(payload.START + data) is None


if __name__ == "__main__":
    Path(SCHEMA).write_text(written(schema()))
