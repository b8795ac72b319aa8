"""Reading a pack: by number, by key, in order, with its labels or without."""

import json
import shutil
from pathlib import Path

import pytest
from tests.conftest import KINDS
from tests.tools import SAMPLE

import xlabel
from xlabel import CorruptError, InputError

ROWS = {p.relative_to(SAMPLE / "raw_labels"): p.read_text() for p in (SAMPLE / "raw_labels").rglob("*.txt")}


def test_a_frame_is_found_by_number_and_by_key(packs: dict[str, Path], kind: str) -> None:
    with xlabel.open_bundle(packs[kind]) as bundle:
        assert len(bundle) == 24
        for number, key in enumerate(bundle.keys):
            data = (SAMPLE / "raw_images" / key).read_bytes()
            assert bundle.image_bytes(number) == bundle.image_bytes(key) == data
            assert bundle[number].image.key == bundle[key].image.key == bundle.image(key).key == key
        assert bundle[-1].image.key == bundle.keys[-1]
        assert bundle.image_bytes(-24) == bundle.image_bytes(0)


def test_iteration_gives_the_samples_in_frame_order(packs: dict[str, Path], kind: str) -> None:
    with xlabel.open_bundle(packs[kind]) as bundle:
        assert [sample.image.key for sample in bundle] == bundle.keys


def test_labels_belong_to_their_frame(packs: dict[str, Path], kind: str) -> None:
    with xlabel.open_bundle(packs[kind]) as bundle:
        for number, key in enumerate(bundle.keys):
            rows = ROWS.get(Path(key).with_suffix(".txt"), "").splitlines()
            found = bundle.annotations(number)
            assert [a.category.id for a in found if a.category] == [int(row.split()[0]) for row in rows]
            image = bundle.image(number)
            for annotation, row in zip(found, rows, strict=True):
                cx, cy, w, h = map(float, row.split()[1:])
                assert annotation.bbox is not None and image.width and image.height
                x, y, width, height = annotation.bbox
                assert (x + width / 2) / image.width == pytest.approx(cx)
                assert (y + height / 2) / image.height == pytest.approx(cy)
                assert (width / image.width, height / image.height) == pytest.approx((w, h))


def test_numbers_and_keys_that_are_not_there_are_errors_of_their_kind(packs: dict[str, Path]) -> None:
    with xlabel.open_bundle(packs["mp4"]) as bundle:
        for number in (24, -25, 10**30):
            with pytest.raises(IndexError, match="below 24"):
                bundle.image_bytes(number)
        with pytest.raises(KeyError):
            bundle["nobody.jpg"]
        assert "harbour/001.jpg" in bundle and "nobody.jpg" not in bundle


def test_the_media_file_by_its_path_has_the_labels_beside_it(packs: dict[str, Path], kind: str) -> None:
    with xlabel.open_bundle(packs[kind] / KINDS[kind]) as bundle:
        assert bundle.described and len(bundle.annotations("harbour/001.jpg")) > 0


def test_the_media_file_alone_has_images_and_no_labels(
    packs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    shutil.copy(packs[kind] / KINDS[kind], tmp_path)
    with xlabel.open_bundle(tmp_path) as bundle:
        expected = (SAMPLE / "raw_images" / "harbour/001.jpg").read_bytes()
        assert not bundle.described and bundle.image_bytes("harbour/001.jpg") == expected
        with pytest.raises(InputError, match="no labels to read"):
            bundle.annotations(0)


def test_a_media_file_under_another_name_has_the_labels_that_are_named(
    packs: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copy(packs["mp4"] / "media.mp4", tmp_path / "renamed.mp4")
    with xlabel.open_bundle(tmp_path / "renamed.mp4", packs["mp4"] / "unified_annotation.json") as bundle:
        assert len(bundle.annotations("harbour/001.jpg")) > 0
    with pytest.raises(CorruptError, match="do not belong together"):
        xlabel.open_bundle(packs["zip"] / "media.zip", packs["mp4"] / "unified_annotation.json")


def test_an_annotation_file_that_another_tool_has_written_again_is_still_read(
    packs: dict[str, Path], tmp_path: Path
) -> None:
    pack = shutil.copytree(packs["mp4"], tmp_path / "pack")
    path = pack / "unified_annotation.json"
    value = json.loads(path.read_bytes())
    path.write_text(json.dumps({"xlabel": value.pop("xlabel"), **value}, indent=4))
    with xlabel.open_bundle(pack) as bundle, xlabel.open_bundle(packs["mp4"]) as before:
        assert list(bundle) == list(before)


def test_offsets_and_sizes_are_arrays_of_unsigned_integers(packs: dict[str, Path], kind: str) -> None:
    with xlabel.open_bundle(packs[kind]) as bundle:
        assert bundle.offsets.shape == bundle.sizes.shape == (24,)
        assert bundle.offsets.dtype.kind == bundle.sizes.dtype.kind == "u"
        data = (packs[kind] / KINDS[kind]).read_bytes()
        at, size = int(bundle.offsets[9]), int(bundle.sizes[9])
        assert data[at : at + size] == (SAMPLE / "raw_images" / bundle.keys[9]).read_bytes()


def test_a_folder_with_several_media_files_and_no_labels_has_to_be_told_which(
    packs: dict[str, Path], tmp_path: Path
) -> None:
    for kind in ("mp4", "zip"):
        shutil.copy(packs[kind] / KINDS[kind], tmp_path)
    with pytest.raises(InputError, match=r"found media\.mp4, media\.zip"):
        xlabel.open_bundle(tmp_path)
