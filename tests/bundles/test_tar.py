"""The .tar bundle as GNU tar, bsdtar, Python's tarfile and WebDataset see it."""

import gc
import subprocess
import tarfile
import warnings
from pathlib import Path

import pytest
import webdataset
from tests import awkward
from tests.tools import run, tool, tree

import xlabel

FILES = awkward.images() | dict.fromkeys(awkward.EMPTY, b"")


@pytest.fixture
def media(awkward_packs: dict[str, Path]) -> Path:
    return awkward_packs["tar"]


@pytest.mark.parametrize("name", ["tar", "bsdtar"])
def test_tar_gives_the_tree_back_with_its_names(media: Path, tmp_path: Path, name: str) -> None:
    run(tool(name), "-xf", media, "-C", tmp_path)
    assert tree(tmp_path) == FILES


@pytest.mark.parametrize("name", ["tar", "bsdtar"])
def test_tar_lists_every_file_and_nothing_else(media: Path, name: str) -> None:
    assert len(run(tool(name), "-tf", media).splitlines()) == len(FILES)


def test_tarfile_reads_every_file(media: Path) -> None:
    with tarfile.open(media, errors="surrogateescape") as archive:
        found = {}
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            found[member.name.encode("utf-8", "surrogateescape")] = content.read()
    assert found == FILES


def test_gnu_tar_sees_no_difference_to_the_images_but_owner_mode_and_time(
    media: Path, awkward_images: Path
) -> None:
    command = [tool("tar"), "-dhf", str(media), "-C", str(awkward_images)]
    done = subprocess.run(command, capture_output=True, env={"LC_ALL": "C"})
    assert done.returncode == 1
    said = {line.rpartition(b": ")[2] for line in done.stdout.splitlines()}
    assert said <= {b"Mod time differs", b"Mode differs", b"Uid differs", b"Gid differs"}
    assert b"Mod time differs" in said


def samples(media: Path) -> list[tuple[str, dict[str, bytes]]]:
    """Key and fields of each of WebDataset's samples."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # WebDataset leaves its files open
        for sample in webdataset.WebDataset(str(media), shardshuffle=False, empty_check=False):
            found.append((sample["__key__"], {k: v for k, v in sample.items() if not k.startswith("__")}))
        gc.collect()
    return found


def test_webdataset_iterates_a_bundle_in_frame_order(tmp_path: Path) -> None:
    images = tmp_path / "images"
    files = {f"{folder}/{n:03}.jpg": awkward.picture(seed=n) for folder in ("a", "v1.0") for n in range(9)}
    for key, data in files.items():
        (images / key).parent.mkdir(parents=True, exist_ok=True)
        (images / key).write_bytes(data)
    report = xlabel.pack(images, None, tmp_path / "pack", media="pack.tar")
    assert samples(tmp_path / "pack" / "pack.tar") == [
        (key.removesuffix(".jpg"), {"jpg": data}) for key, data in sorted(files.items())
    ]
    assert not any("WebDataset" in note for note in report.notes)


def test_keys_that_webdataset_joins_cuts_or_skips_are_listed(tmp_path: Path) -> None:
    images = tmp_path / "images"
    sound = ["fine.jpg", "v1.0/fine.jpg", "v1.0/same.jpg", "same-not.jpg", "one/same.jpg"]
    odd = ["a.b.jpg", "same.jpg", "same.png", ".hidden.jpg", "none"]
    for number, key in enumerate([*sound, *odd, "same.d/x.jpg"]):
        place = images / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(awkward.picture(seed=number))
    report = xlabel.pack(images, None, tmp_path / "pack", media="pack.tar")
    (note,) = (note for note in report.notes if "WebDataset" in note)
    assert "5 of the images: .hidden.jpg, a.b.jpg, none, ..." in note
    found = samples(tmp_path / "pack" / "pack.tar")
    whole = [f"{key}.jpg" for key, fields in found if list(fields) == ["jpg"]]
    assert set(sound) <= set(whole) and not set(odd) & set(whole)


def test_only_a_tar_is_about_webdataset(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.b.jpg").write_bytes(awkward.picture())
    assert not any("WebDataset" in note for note in xlabel.pack(images, None, tmp_path / "pack").notes)
