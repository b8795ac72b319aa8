"""Annotation files with wrong values in them are read and written in every format without a crash."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import small

import xlabel
from xlabel import formats
from xlabel.errors import XlabelError
from xlabel.formats import unified_reading

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["../x", "/x", "a/0000.jpg", "\0", "id", "coco", "voc", "yolo-pose", "csv", "labelme"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The annotation file of a small pack whose labels came in each format."""
    folder = tmp_path_factory.mktemp("unified")
    images, labels = small.build(folder / "source")
    documents = {}
    for name in formats.FORMATS:
        form = labels
        if name != "yolo":
            form = folder / name
            xlabel.convert(labels, form, to=name, images=images, on_loss="drop")
        xlabel.pack(images, form, folder / f"pack {name}", format=name)
        documents[name] = json.loads((folder / f"pack {name}" / "unified_annotation.json").read_bytes())
        origin = "yolo" if name == "parquet" else name  # which keeps where its labels were from
        assert documents[name]["xlabel"]["origin"]["format"].startswith(origin)
    return documents


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*path, key))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
@pytest.mark.parametrize("name", formats.FORMATS)
def test_other_values_in_an_annotation_file_are_an_error_or_problems(
    documents: dict[str, Any], name: str, data: st.DataObject
) -> None:
    document = json.loads(json.dumps(documents[name]))
    ways = list(places(document))
    for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3, unique=True)):
        inner = document
        try:
            for key in way[:-1]:
                inner = inner[key]
            inner[way[-1]] = data.draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took away the place
    try:
        dataset = unified_reading.read(json.dumps(document).encode(), "u.json").dataset
    except XlabelError:
        return
    for target in {name, data.draw(st.sampled_from(list(formats.FORMATS)))}:
        module = formats.get(target)
        try:
            assert all(loss.count for loss in module.losses(dataset))
            for path, chunks in module.write(dataset):
                assert isinstance(path, str) and isinstance(b"".join(chunks), bytes)
        except XlabelError:
            pass
