"""The JSON of a sample: what goes in comes out, as ASCII that any reader takes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model import document as documents
from xlabel.model.document import Picture

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
CATEGORIES = st.builds(Category, id=st.integers(0, 3), name=TEXT, supercategory=st.none() | TEXT)
ANNOTATIONS = st.builds(
    Annotation,
    category=st.none() | CATEGORIES,
    bbox=st.none() | st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    score=st.none() | NUMBERS,
    caption=st.none() | TEXT,
    attributes=st.none() | st.dictionaries(TEXT, TEXT | NUMBERS | st.booleans(), max_size=3),
    id=st.none() | st.integers(0, 9) | TEXT,
    crowd=st.booleans(),
)


@given(st.lists(ANNOTATIONS, max_size=5), TEXT)
def test_labels_come_back_but_for_ids_of_categories_that_were_taken(
    annotations: list[Annotation], split: str
) -> None:
    sample = Sample(image=Image(key="a.jpg", width=4, height=3), annotations=tuple(annotations), split=split)
    document = documents.document(sample, Picture(width=4, height=3, split=split))
    data = documents.encode(document)
    assert data.isascii() and json.loads(data)["image"]["width"] == 4
    assert documents.decode(data) == document
    again = documents.sample(document, "a.jpg")
    assert len(again.annotations) == len(annotations) and again.split == split
    names: dict[int, Category] = {}
    for one, other in zip(annotations, again.annotations, strict=True):
        assert (one.bbox, one.score, one.caption, one.attributes, one.id) == (
            other.bbox,
            other.score,
            other.caption,
            other.attributes,
            other.id,
        )
        if one.category is not None:
            assert other.category is not None
            assert (one.category.name, one.category.supercategory) == (
                other.category.name,
                other.category.supercategory,
            )
            assert names.setdefault(other.category.id, other.category) == other.category


@given(TEXT)
def test_text_is_what_json_says_it_is(text: str) -> None:
    sample = Sample(image=Image(key="a"), annotations=(Annotation(caption=text),))
    data = documents.encode(documents.document(sample, Picture()))
    assert json.loads(data)["annotations"][0].get("caption") == text


def test_equal_labels_are_equal_bytes() -> None:
    one, other = (
        Sample(
            image=Image(key=key), annotations=(Annotation(bbox=(1, 2, 3, 4), attributes={"a": 1, "b": 2}),)
        )
        for key in "ab"
    )
    encoded = {documents.encode(documents.document(sample, Picture(width=1))) for sample in (one, other)}
    assert len(encoded) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"image":{}',
        b'{"image":{"width":"4"}}',
        b'{"image":{},"annotations":[{"bbox":[1,2,3]}]}',
        b'{"image":{},"categories":[{"id":1}]}',
        b'{"image":{},"annotations":[{"shape":{"kind":"star"}}]}',
        b'{"image":{"extra":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}}",
        b'{"more":' + b"[" * 200_000,
        b"\xff",
    ],
    ids=range(11),
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        documents.decode(data)
