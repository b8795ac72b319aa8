"""The media file alone, by its own index: it says the same as the manifest, for every kind of bundle."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests import awkward
from tests.conftest import KINDS

import xlabel


def manifest_of(media: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((media.parent / "frame_manifest.json").read_bytes())
    return found


def alone(media: Path, folder: Path) -> Path:
    """The same media file without the two others."""
    folder.mkdir(exist_ok=True)
    copy = folder / media.name
    copy.hardlink_to(media)
    return copy


def test_the_index_has_the_manifest_s_keys_offsets_and_sizes(
    awkward_packs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    frames = manifest_of(awkward_packs[kind])["frames"]
    with xlabel.open_bundle(alone(awkward_packs[kind], tmp_path)) as bundle:
        index = list(zip(bundle.keys, map(int, bundle.offsets), map(int, bundle.sizes), strict=True))
        assert bundle.pack_id == manifest_of(awkward_packs[kind])["pack_id"]
    assert index == [(frame["key"], frame["offset"], frame["size"]) for frame in frames]


def test_the_index_alone_gives_every_image_its_bytes(
    awkward_packs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    with xlabel.open_bundle(alone(awkward_packs[kind], tmp_path)) as bundle:
        found = [(key, bundle.image_bytes(number)) for number, key in enumerate(bundle.keys)]
    assert found == awkward.frames()


@pytest.mark.parametrize("mixture", ["J", "W", "JJJ", "WJ", "JW", "PJ" * 3, "WWPJJWPWJ", "JJPPWW", "WPJT"])
def test_tracks_of_any_mixture_are_put_in_frame_order(tmp_path: Path, kind: str, mixture: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    kinds = {"J": "JPEG", "P": "PNG", "W": "WEBP", "T": "TIFF"}
    files = {f"{n}": awkward.picture(kinds[letter], seed=n) for n, letter in enumerate(mixture)}
    for name, data in files.items():
        (images / name).write_bytes(data)
    xlabel.pack(images, None, tmp_path / "pack", media=KINDS[kind], plain=kind == "plain")
    with xlabel.open_bundle(alone(tmp_path / "pack" / KINDS[kind], tmp_path / "alone")) as bundle:
        assert {key: bundle.image_bytes(key) for key in bundle.keys} == files
        assert bundle.keys == list(files)


def test_every_kind_ends_in_a_line_of_text_that_names_pack_and_frames(
    awkward_packs: dict[str, Path], kind: str
) -> None:
    media = awkward_packs[kind]
    last = media.read_bytes()[-160:]
    manifest = manifest_of(media)
    words = last.decode("ascii").split()
    assert last.endswith(b"\n") and words[:2] == ["xlabel", "1"] and words[2] == manifest["kind"]
    assert words[4] == manifest["pack_id"] and int(words[6]) == len(manifest["frames"])
