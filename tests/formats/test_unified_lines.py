"""An annotation file by its lines: the same as when it is read at once."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.test_unified import ODD, dataset, packed
from tests.strategies import datasets

from xlabel.formats import unified_reading
from xlabel.formats.unified_lines import lines
from xlabel.model import Dataset, Sample


def assert_same(data: bytes) -> None:
    whole, found = unified_reading.read(data, "x.json"), lines(data, "x.json")
    assert [found.sample(n).sample for n in range(len(found))] == whole.dataset.samples
    frames = [found.sample(n).frame for n in range(len(found))]
    assert (frames if whole.frames else [f for f in frames if f]) == (whole.frames or [])
    assert (found.top.categories, found.top.section) == (whole.dataset.categories, whole.section)


@given(data=datasets())
def test_each_image_and_its_labels_are_those_of_the_whole_file(data: Dataset) -> None:
    assert_same(packed(data))
    assert_same(packed(data, framed=False))


def test_odd_ids_and_odd_records_are_found_as_well() -> None:
    assert_same(packed(dataset({"a.json": json.dumps(ODD).encode()})))


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_that_another_tool_has_written_again_says_the_same(indent: int | None) -> None:
    data = packed(dataset({"a.json": json.dumps(ODD).encode()}))
    document = json.loads(data)
    document["annotations"].reverse()
    again = json.dumps(document, indent=indent, sort_keys=True).encode()
    whole = unified_reading.read(again, "x.json").dataset.samples
    found = lines(again, "x.json")
    assert [found.sample(n).sample for n in range(len(found))] == whole


def places(text: str) -> list[int]:
    """Where blanks may stand in a JSON text: before its signs and before its texts."""
    strings = [match.span() for match in re.finditer(r'"(?:[^"\\]|\\.)*"', text)]
    inside = {at for start, end in strings for at in range(start + 1, end)}
    return [at for at, sign in enumerate(text) if sign in '{}[],:"' and at not in inside]


@settings(deadline=None, max_examples=300)
@given(data=st.data(), blank=st.sampled_from([" ", "\n", "\r\n", "\t"]))
def test_a_blank_or_a_line_end_anywhere_changes_nothing(data: st.DataObject, blank: str) -> None:
    text = packed(dataset({"a.json": json.dumps(ODD).encode()})).decode()
    at = data.draw(st.sampled_from(places(text)))
    edited = text[:at] + blank + text[at:]
    assert json.loads(edited) == json.loads(text)
    assert_alike(edited, text)


@pytest.mark.parametrize("blank", ["", " "])
def test_records_that_are_joined_on_a_line_are_told_apart(blank: str) -> None:
    text = packed(dataset({"a.json": json.dumps(ODD).encode()})).decode()
    ends = [match.start() for match in re.finditer("\n", text)]
    for end in ends:
        assert_alike(text[:end] + blank + text[end + 1 :], text)
    assert_alike(text.replace("\n", blank), text)


def test_objects_in_one_record_are_not_taken_for_records() -> None:
    odd = json.loads(json.dumps(ODD))
    odd["images"][0]["parts"] = [{"a": 1}, {"b": 2}]
    data = packed(dataset({"a.json": json.dumps(odd).encode()}))
    assert b'{"a":1},{"b":2}' in data
    assert_same(data)
    assert lines(data, "x.json").image(0) == data.split(b"\n")[1].removesuffix(b",")


def assert_alike(edited: str, text: str) -> None:
    found, wanted = lines(edited.encode(), "x.json"), lines(text.encode(), "x.json")
    assert [found.sample(n) for n in range(len(found))] == [wanted.sample(n) for n in range(len(wanted))]
    assert [found.ids(n) for n in range(len(found))] == [wanted.ids(n) for n in range(len(wanted))]
    assert found.positions() == wanted.positions()
    assert (found.top, found.next_ids()) == (wanted.top, wanted.next_ids())


def test_an_image_is_found_by_its_frame_number() -> None:
    found = lines(packed(dataset({"a.json": json.dumps(ODD).encode()})), "x.json")
    assert [found.position(number) for number in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        found.position(3)


def test_records_are_the_bytes_of_the_file(tmp_path: Path) -> None:
    data = packed(dataset({"a.json": json.dumps(ODD).encode()}))
    found = lines(data, "x.json")
    document = json.loads(data)
    assert [json.loads(found.image(n)) for n in range(3)] == document["images"]
    kept = [json.loads(b"[%b]" % found.annotations(n)) for n in range(3)]
    assert [record for records in kept for record in records] == document["annotations"]


def test_a_file_without_images_has_no_lines() -> None:
    assert len(lines(packed(Dataset(samples=[])), "x.json")) == 0
    assert (
        len(
            lines(
                packed(
                    Dataset(
                        samples=[
                            Sample(image=s.image)
                            for s in dataset({"a.json": json.dumps(ODD).encode()}).samples
                        ]
                    )
                ),
                "x",
            )
        )
        == 3
    )


def test_ids_that_a_file_gives_stay_when_it_is_put_in_order() -> None:
    data = packed(dataset({"a.json": json.dumps(ODD).encode()}))
    again = json.dumps(json.loads(data), indent=1).encode()
    first, second = lines(data, "x.json"), lines(again, "x.json")
    assert [second.ids(n) for n in range(3)] == [first.ids(n) for n in range(3)]
    assert [json.loads(second.image(n)) for n in range(3)] == [json.loads(first.image(n)) for n in range(3)]
