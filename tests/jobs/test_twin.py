"""The Parquet twin of a pack's annotation file, as duckdb sees it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.trees import real

import xlabel
from xlabel.errors import MissingExtraError
from xlabel.model.manifest import TWIN

SAMPLE = Path(__file__).parents[2] / "sample"
IMAGES, LABELS = SAMPLE / "raw_images", SAMPLE / "raw_labels"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    report = xlabel.pack(IMAGES, LABELS, tmp_path / "packed", parquet=True)
    assert report.problems == []
    assert report.files[str(tmp_path / "packed" / TWIN)] == (tmp_path / "packed" / TWIN).stat().st_size
    return tmp_path / "packed"


def head_of(twin: Path) -> Any:
    ((text,),) = duckdb.execute(
        f"SELECT value FROM parquet_kv_metadata('{twin}') WHERE key = 'xlabel'"
    ).fetchall()
    return json.loads(text)


def labels_in(twin: Path) -> int:
    ((count,),) = duckdb.execute(f"SELECT sum(len(annotations)) FROM '{twin}'").fetchall()
    return int(count)


def codes(folder: Path) -> list[str]:
    return [problem.code for problem in xlabel.verify(folder).problems]


def test_each_row_leads_to_its_image(packed: Path) -> None:
    rows = duckdb.execute(
        f"SELECT frame_index, file_name, \"offset\", size, sha256, mime FROM '{packed / TWIN}'"
    ).fetchall()
    assert [row[0] for row in rows] == list(range(24))
    media = (packed / "media_bundle.mp4").read_bytes()
    for _, name, offset, size, sha256, mime in rows:
        image = media[offset : offset + size]
        assert image == (IMAGES / name).read_bytes()
        assert hashlib.sha256(image).hexdigest() == sha256
        assert mime.startswith("image/")
    assert labels_in(packed / TWIN) == 114


def test_it_says_which_pack_and_generation_it_is_of(packed: Path, tmp_path: Path) -> None:
    annotations = json.loads((packed / "unified_annotation.json").read_bytes())
    assert head_of(packed / TWIN) == {
        k: v for k, v in annotations.items() if k not in ("images", "annotations")
    }
    assert head_of(packed / TWIN)["xlabel"]["pack_id"] == annotations["xlabel"]["pack_id"]


SETS: dict[str, tuple[str | Path | None, str | Path]] = {
    "yolo": (IMAGES, LABELS),
    "raccoon_voc": ("images", "annotations"),
    "coco_keypoints4": (".", "test_coco.json"),
    "panoptic2": ("input_images", "panoptic_coco_detection_format.json"),
    "terrain_labelme_coco": (".", "terrain_all_coco.json"),
    "visdrone50_coco": (None, "visdrone2019-det-train-first50image.json"),
}


@pytest.mark.parametrize("name", SETS)
def test_through_it_comes_what_comes_of_the_pack(name: str, tmp_path: Path) -> None:
    images, labels = SETS[name]
    place = SAMPLE if name == "yolo" else real(name)
    folder = tmp_path / "images"
    folder.mkdir()
    if images is None:  # one image for the pack; the labels of all others have none, and are kept
        shutil.copy(IMAGES / "harbour" / "001.jpg", folder / "0000002_00005_d_0000014.jpg")
    packed = tmp_path / "packed"
    xlabel.pack(folder if images is None else place / images, place / labels, packed)
    xlabel.convert(packed, tmp_path / "twin.parquet", to="parquet")
    formats = ("coco", "json", "yolo") if name == "yolo" else ("coco", "json")
    for to in formats:
        for source, dest in ((packed, f"{to}-direct"), (tmp_path / "twin.parquet", f"{to}-through")):
            xlabel.convert(source, tmp_path / dest, to=to)
        direct, through = (
            {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
            for name in (f"{to}-direct", f"{to}-through")
        )
        assert direct == through
        assert direct


def test_an_update_a_compaction_and_a_new_pack_keep_it_current(packed: Path, tmp_path: Path) -> None:
    before = (packed / TWIN).stat()
    xlabel.update(IMAGES, LABELS, packed)
    assert (packed / TWIN).stat().st_ino == before.st_ino, "nothing has changed, nothing is written"
    images, labels = tmp_path / "raw_images", tmp_path / "raw_labels"
    shutil.copytree(IMAGES, images)
    shutil.copytree(LABELS, labels)
    (labels / "harbour" / "001.txt").write_text("")
    (images / "yard" / "002.jpg").unlink()
    (labels / "yard" / "002.txt").unlink()
    report = xlabel.update(images, labels, packed)
    assert str(packed / TWIN) in report.files
    assert head_of(packed / TWIN)["xlabel"]["generation"] == 2
    assert labels_in(packed / TWIN) == report.done["annotations"] < 114
    assert codes(packed) == []
    xlabel.compact(packed)
    assert head_of(packed / TWIN)["xlabel"]["generation"] == 3
    assert codes(packed) == []
    xlabel.pack(IMAGES, LABELS, packed, overwrite=True)
    assert labels_in(packed / TWIN) == 114
    assert codes(packed) == []


def test_update_adds_one_where_it_is_asked_to(tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    xlabel.pack(IMAGES, LABELS, packed)
    xlabel.update(IMAGES, LABELS, packed)
    assert not (packed / TWIN).exists()
    xlabel.update(IMAGES, LABELS, packed, parquet=True)
    assert labels_in(packed / TWIN) == 114


def test_verify_finds_one_of_another_generation_and_convert_mends_it(packed: Path, tmp_path: Path) -> None:
    old = (packed / TWIN).read_bytes()
    labels = tmp_path / "raw_labels"
    shutil.copytree(LABELS, labels)
    (labels / "harbour" / "001.txt").write_text("")
    xlabel.update(IMAGES, labels, packed)
    for wrong in (old, old[:-100], b""):
        (packed / TWIN).write_bytes(wrong)
        (problem,) = xlabel.verify(packed).problems
        assert (problem.code, problem.where) == ("old-twin", str(packed / TWIN))
    xlabel.convert(packed, packed / TWIN, to="parquet", overwrite=True)
    assert codes(packed) == []
    assert codes(packed) == [problem.code for problem in xlabel.verify(f"{packed}@1").problems]


@pytest.mark.parametrize("made", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_its_place_is_left_and_told_of_once_the_pack_is_done(
    made: Callable[[Path], None], tmp_path: Path
) -> None:
    images, packed = tmp_path / "images", tmp_path / "packed"
    shutil.copytree(IMAGES / "harbour", images)
    xlabel.pack(images, None, packed)
    made(packed / TWIN)
    shutil.copy(IMAGES / "yard" / "001.jpg", images / "new.jpg")
    jobs: list[Callable[[], xlabel.Report]] = [
        lambda: xlabel.update(images, None, packed),
        lambda: xlabel.compact(packed),
        lambda: xlabel.push(packed, (tmp_path / "far").as_uri()),
        lambda: xlabel.pack(images, None, packed, overwrite=True, parquet=True),
        lambda: xlabel.verify(packed),
    ]
    for job in jobs:
        report = job()
        assert [(one.code, one.where) for one in report.problems] == [("old-twin", str(packed / TWIN))]
        assert "found something else; take it away" in report.problems[0].message
        assert report.exit_code == 1
    assert not (packed / TWIN).is_file()
    assert not packed.joinpath(TWIN, "labels.parquet").exists()
    with xlabel.open_bundle(packed) as bundle:
        assert "new.jpg" in [sample.image.key for sample in bundle]


def test_push_leaves_it_here_and_pull_keeps_the_one_there_current(packed: Path, tmp_path: Path) -> None:
    far = (tmp_path / "far").as_uri()
    near = tmp_path / "near"
    xlabel.push(packed, far)
    assert not [path for path in (tmp_path / "far").rglob("*") if path.suffix == ".parquet"]
    xlabel.pull(far, near)
    assert not (near / TWIN).exists()
    xlabel.convert(near, near / TWIN, to="parquet")
    assert (near / TWIN).read_bytes() == (packed / TWIN).read_bytes()
    labels = tmp_path / "raw_labels"
    shutil.copytree(LABELS, labels)
    (labels / "harbour" / "001.txt").write_text("")
    xlabel.update(IMAGES, labels, packed)
    xlabel.push(packed, far)
    xlabel.pull(far, near)
    assert (near / TWIN).read_bytes() == (packed / TWIN).read_bytes()
    assert codes(near) == []
    (labels / "harbour" / "002.txt").write_text("")
    xlabel.update(IMAGES, labels, packed)
    xlabel.push(packed, far)
    shutil.copy(LABELS / "harbour" / "002.txt", labels / "harbour" / "002.txt")
    (labels / "harbour" / "003.txt").write_text("")
    xlabel.update(IMAGES, labels, near)
    xlabel.push(near, far)
    assert head_of(near / TWIN)["xlabel"]["generation"] == 4, "the changes of both"
    assert codes(near) == []


def test_without_pyarrow_nothing_is_packed_and_an_update_says_that_the_twin_is_old(
    packed: Path, tmp_path: Path
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        program = (
            "import sys; sys.modules['pyarrow'] = None; from xlabel.cli import main; "
            f"sys.argv = ['xlabel', *{words!r}]; main()"
        )
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    done = run("pack", str(IMAGES), str(LABELS), "--output", str(tmp_path / "new"), "--parquet")
    assert (done.returncode, (tmp_path / "new").exists()) == (MissingExtraError.exit_code, False)
    labels = tmp_path / "raw_labels"
    shutil.copytree(LABELS, labels)
    (labels / "harbour" / "001.txt").write_text("")
    before = (packed / TWIN).read_bytes()
    done = run("pack", str(IMAGES), str(labels), "--output", str(packed), "--update")
    assert done.returncode == 1
    assert f"{packed / TWIN}: could not be written: " in done.stdout
    assert "pip install 'xlabel[parquet]'" in done.stdout
    assert (packed / TWIN).read_bytes() == before
    assert codes(packed) == ["old-twin"]


def test_a_pack_beside_its_images_is_not_taken_for_their_labels(tmp_path: Path) -> None:
    shutil.copytree(IMAGES, tmp_path / "set")
    xlabel.pack(tmp_path / "set", LABELS, tmp_path / "set", parquet=True)
    assert codes(tmp_path / "set") == []
    report = xlabel.update(tmp_path / "set", LABELS, tmp_path / "set")
    assert report.problems == []
    assert len(xlabel.read(tmp_path / "set").samples) == 24
