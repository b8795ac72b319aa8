"""Parquet, as duckdb and pyarrow see it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trees import Memory, folder, real

import xlabel
from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats import parquet, parquet_writing
from xlabel.formats.parquet import ParquetLabels
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    Number,
    OrientedBox,
    Sample,
    Source,
)

CAT = Category(id=3, name="Käfer 猫", supercategory="animal")
DOG = Category(id=7, name="dog", keypoints=("head", "tail"), skeleton=((1, 2),))
RICH = Annotation(
    id=12,
    category=DOG,
    bbox=(10.5, 3.25, 20, 30.5),
    polygons=((1, 2, 31, 2, 31, 42.5), (0, 0, 5, 0, 5, 5)),
    mask=RLE((80, 100), "abc"),
    keypoints=(4, 5.5, 2, 0, 0, 0),
    crowd=True,
    area=100.0,
    score=0.5,
    status="suggestion",
    caption="a dog",
    attributes={"wet": True, "age": 3},
    author="Ada",
    time="2026-01-02T03:04:05Z",
    source=Source(kind="model", name="net"),
    extra={"tool": 1},
)
SET = Dataset(
    samples=[
        Sample(
            image=Image(key="straße/a.jpg", width=64, height=48, orientation=6, id=7, extra={"site": "A"}),
            annotations=(Annotation(category=CAT, bbox=(1, 2.5, 3, 4), score=0.5), RICH),
            split="train",
        ),
        Sample(image=Image(key="b.jpg", id="b")),
        Sample(
            image=Image(key="c.jpg", width=100, height=80),
            annotations=(
                Annotation(category=CAT, bbox=(0, 0, 10, 20), mask=RLE((80, 100), (5, 7995))),
                Annotation(id="x", shape=OrientedBox((1, 2, 3, 4, 5, 6, 7, 8))),
                Annotation(shape=Circle(20, 20.5, 5)),
                Annotation(category=CAT),
            ),
            split="val",
        ),
    ],
    categories=[CAT, DOG],
    extra={"info": {"year": 2026}},
)


def written(dataset: Dataset) -> bytes:
    ((_, chunks),) = parquet.write(dataset)
    return b"".join(chunks)


def opened(data: bytes) -> ParquetLabels:
    return parquet.read(Memory({"labels.parquet": data}))


def again(dataset: Dataset) -> list[Sample]:
    labels = opened(written(dataset))
    samples = list(labels.samples)
    assert labels.problems == []
    return samples


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "labels.parquet"
    path.write_bytes(written(SET))
    return str(path)


def asked(query: str) -> list[Any]:
    return duckdb.execute(query).fetchall()


def test_everything_comes_back() -> None:
    labels = opened(written(SET))
    assert list(labels.samples) == SET.samples
    assert (labels.categories, labels.extra, labels.problems) == (SET.categories, SET.extra, [])


def test_duckdb_reads_the_images_and_their_labels(file: str) -> None:
    assert asked(f"SELECT file_name, width, height, split, id FROM '{file}'") == [
        ("straße/a.jpg", 64, 48, "train", 7),
        ("b.jpg", None, None, None, None),
        ("c.jpg", 100, 80, "val", None),
    ]
    flat = f"(SELECT file_name, unnest(annotations) AS a FROM '{file}')"
    assert asked(f"SELECT a.category, count(*) FROM {flat} GROUP BY ALL ORDER BY ALL") == [
        ("Käfer 猫", 3),
        ("dog", 1),
        (None, 2),
    ]
    assert asked(f"SELECT a.bbox[3] * a.bbox[4] FROM {flat} WHERE a.category_id = 3") == [
        (12,),
        (200,),
        (None,),
    ]
    assert asked(
        f"SELECT a.segmentation[1][6], a.mask.size, a.mask.counts, a.keypoints, a.iscrowd, a.score, "
        f"a.attributes ->> 'age', a.source ->> 'name' FROM {flat} WHERE a.id = 12"
    ) == [(42.5, [80, 100], "abc", [4, 5.5, 2, 0, 0, 0], True, 0.5, "3", "net")]
    assert asked(f"SELECT a.shape.kind, a.shape.numbers FROM {flat} WHERE a.shape IS NOT NULL") == [
        ("oriented_box", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("circle", [20, 20.5, 5]),
    ]


def test_the_metadata_has_the_categories_and_the_rest_of_the_head(file: str) -> None:
    ((text,),) = asked(f"SELECT value FROM parquet_kv_metadata('{file}') WHERE key = 'xlabel'")
    head = json.loads(text)
    assert head["categories"] == [
        {"id": 3, "name": "Käfer 猫", "supercategory": "animal"},
        {"id": 7, "name": "dog", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]},
    ]
    assert head["info"] == {"year": 2026}


def test_what_duckdb_writes_of_it_is_a_source_of_labels(file: str, tmp_path: Path) -> None:
    some = tmp_path / "some.parquet"
    duckdb.execute(
        f"COPY (SELECT file_name, width, height, split, annotations FROM '{file}' WHERE split = 'val') "
        f"TO '{some}'"
    )
    dataset = xlabel.read(some)
    assert [sample.image.key for sample in dataset.samples] == ["c.jpg"]
    assert dataset.samples[0].annotations[0].bbox == (0, 0, 10, 20)
    assert [(category.id, category.name) for category in dataset.categories] == [(3, "Käfer 猫")]
    fewer = tmp_path / "fewer.parquet"
    duckdb.execute(
        f"COPY (SELECT file_name, [{{'category': 'dog', 'bbox': [1::FLOAT, 2, 3, 4]}}] AS annotations "
        f"FROM '{file}') TO '{fewer}'"
    )
    assert [
        [(a.category and a.category.name, a.bbox) for a in s.annotations] for s in xlabel.read(fewer).samples
    ] == [[("dog", (1, 2, 3, 4))]] * 3


LARGE = 1 << 53
whole_or_not = st.one_of(
    st.integers(-LARGE * 4, LARGE * 4), st.integers(0, 9).map(float), st.just(-0.0), st.floats(-9, 9)
)
ALIKE = (whole_or_not, st.integers(0, 99), st.floats(0, 9), st.integers(0, 99).map(float))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_number_is_written_as_it_was(data: st.DataObject) -> None:
    def some(count: int) -> tuple[Number, ...]:
        kind = data.draw(st.sampled_from(ALIKE))
        return tuple(data.draw(st.lists(kind, min_size=count, max_size=count)))

    annotation = Annotation(
        bbox=cast(Any, some(4)),
        polygons=(some(6), some(8)),
        keypoints=(*some(2), 2, *some(3)),
        shape=OrientedBox(cast(Any, some(8))),
        area=some(1)[0],
        score=some(1)[0],
    )
    (sample,) = again(Dataset(samples=[Sample(image=Image(key="a"), annotations=(annotation,))]))
    assert repr(sample.annotations[0]) == repr(annotation)


def changed(**changes: Any) -> Any:
    """The file with the first label of the first image changed, and without metadata."""
    table = pq.read_table(pa.BufferReader(written(SET)))
    rows = table.to_pylist()
    rows[0]["annotations"][0] |= changes
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1.0, 2.0, 3.0]}, "label 0: bbox: expected 4 numbers, got 3"),
        ({"bbox": [1.0, 2.0, 3.0, float("nan")]}, "label 0: bbox: expected numbers, got nan"),
        ({"bbox": [1.0, None, 3.0, 4.0]}, "label 0: "),
        ({"attributes": "[" * 200}, "label 0: "),
        ({"keypoints": [1.0]}, "label 0: keypoints: expected a multiple of 3 numbers, got 1"),
        ({"segmentation": [[1.0]]}, "label 0: segmentation: expected lists of x and y in turn"),
        ({"shape": {"kind": "star", "numbers": [1.0]}}, "label 0: shape: expected a kind and its numbers"),
        ({"more": '{"origin": {"a": ' + "[" * 99 + "]" * 99 + "}}"}, "nested deeper than 64 levels"),
    ],
)
def test_a_label_that_cannot_be_read_is_a_problem_and_the_others_are_read(
    change: dict[str, Any], message: str
) -> None:
    labels = opened(changed(**change))
    assert [len(sample.annotations) for sample in labels.samples] == [1, 0, 4]
    assert len(list(labels.samples)) == 3
    (problem,) = labels.problems
    assert problem.code == "bad-row"
    assert problem.where == "labels/labels.parquet: straße/a.jpg"
    assert message in problem.message


def test_what_was_edited_counts_and_not_what_was_written_beside_it() -> None:
    mixed = Annotation(category=CAT, bbox=(1, 2.0, 3, 4))
    data = written(Dataset(samples=[Sample(image=Image(key="a"), annotations=(mixed,))], categories=[CAT]))
    rows = pq.read_table(pa.BufferReader(data)).to_pylist()
    assert json.loads(rows[0]["annotations"][0]["more"]) == {"bbox": [1, 2.0, 3, 4]}
    rows[0]["annotations"][0]["bbox"][3] = 9.0
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    assert opened(out.getvalue().to_pybytes()).samples[0].annotations[0].bbox == (1, 2, 3, 9)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"file_name": [1], "annotations": [[{"bbox": 1}]]},
            "column bbox: expected list<.*double>, .*is it another table",
        ),
        ({"file_name": ["a"], "annotations": ["none"]}, "expected the columns file_name and annotations"),
    ],
)
def test_another_table_is_told_from_labels(columns: dict[str, Any], message: str) -> None:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out)
    with pytest.raises(InputError, match=message):
        list(opened(out.getvalue().to_pybytes()).samples)


def test_damage_is_told_by_the_checksums_of_the_pages() -> None:
    data = bytearray(written(SET))
    names = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0).column(0)
    data[names.data_page_offset + names.total_compressed_size - 1] ^= 1
    with pytest.raises(InputError, match=r"labels/labels\.parquet: no Parquet file, or a damaged one"):
        list(opened(bytes(data)).samples)


def many(count: int) -> Iterator[Sample]:
    for number in range(count):
        label = Annotation(category=CAT, bbox=(number, 1, 2, 3))
        yield Sample(image=Image(key=f"{number:04}.jpg"), annotations=(label, label))


class Counted:
    """Samples of which one knows how many were asked for."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.asked = 0

    def __iter__(self) -> Iterator[Sample]:
        for sample in many(self._count):
            self.asked += 1
            yield sample


def test_row_groups_are_bounded_and_written_as_samples_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_writing, "LABELS", 20)
    samples = Counted(35)
    ((_, chunks),) = parquet.write(Dataset(samples=cast(Any, samples), categories=[CAT]))
    pieces = iter(chunks)
    first = next(pieces)
    assert samples.asked == 10
    file = pq.ParquetFile(pa.BufferReader(first + b"".join(pieces)))
    groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert groups == [10, 10, 10, 5]


def test_one_row_group_at_a_time_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_writing, "LABELS", 20)
    labels = opened(written(Dataset(samples=list(many(35)), categories=[CAT])))
    rows = cast(Any, labels.samples)
    for number, sample in enumerate(labels.samples):
        assert sample.image.key == f"{number:04}.jpg"
        assert list(rows._read) == [number // 10]
    assert labels.samples[-1].annotations[0].bbox == (34, 1, 2, 3)
    assert [sample.image.key for sample in labels.samples[8:12]] == [
        "0008.jpg",
        "0009.jpg",
        "0010.jpg",
        "0011.jpg",
    ]
    keys = [f"{number:04}.jpg" for number in (1, 30, 2)]
    labels.bind(sorted(keys))
    assert not rows.everything
    labels.bind(keys)
    assert rows.everything, "in another order, nothing is read twice"


@pytest.mark.parametrize(
    "name", ["visdrone50_coco", "panoptic2", "coco_keypoints4", "terrain_labelme_coco", "raccoon_voc"]
)
def test_real_sets_come_through_it_as_they_were(name: str) -> None:
    place = real(name)
    one = {
        "terrain_labelme_coco": "terrain_all_coco.json",
        "panoptic2": "panoptic_coco_detection_format.json",
    }
    tree = folder(place)
    if name in one:
        tree = Memory({one[name]: tree.read(one[name])})
    format = "voc" if name == "raccoon_voc" else "coco"
    source = formats.get(format).read(tree)
    samples = [source.load(ref, image) for ref in source.refs() if (image := source.image(ref)) is not None]
    dataset = Dataset(
        samples=[sample for sample in samples if sample is not None],
        categories=source.categories,
        extra=source.extra,
        origin=source.origin,
    )
    labels = opened(written(dataset))
    found = Dataset(
        samples=list(labels.samples), categories=labels.categories, extra=labels.extra, origin=labels.origin
    )
    assert found == dataset
    for (path, ours), (same, theirs) in zip(
        formats.get(format).write(found), formats.get(format).write(dataset), strict=True
    ):
        assert (path, b"".join(ours)) == (same, b"".join(theirs))


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").write_bytes(written(SET))
    for source, dest, to in (("labels.parquet", "a.json", "coco"), ("a.csv", "b.parquet", "parquet")):
        (tmp_path / "a.csv").write_text("image,label\na.jpg,cat\n")
        program = (
            "import sys; sys.modules['pyarrow'] = None; from xlabel.cli import main; "
            f"sys.argv = ['xlabel', 'convert', {source!r}, {dest!r}, '--to', {to!r}]; main()"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 5, done.stderr
        assert "Parquet files need pyarrow; pip install 'xlabel[parquet]'" in done.stderr
        assert not (tmp_path / dest).exists()


def test_pack_and_unpack_with_labels_in_parquet(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "sample"
    direct = xlabel.read(sample / "raw_labels")
    xlabel.convert(sample / "raw_labels", tmp_path / "labels.parquet", to="parquet")
    xlabel.pack(sample / "raw_images", tmp_path / "labels.parquet", tmp_path / "packed", workers=2)
    with xlabel.open_bundle(tmp_path / "packed") as bundle:
        found = {sample.image.key: sample.annotations for sample in bundle.unified.dataset.samples}
    assert found == {sample.image.key: sample.annotations for sample in direct.samples}
