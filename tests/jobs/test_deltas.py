"""Deltas, read as docs/dataset_spec.md says, by nothing but the standard library."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.pushing import Work, objects
from tests.stores.servers import Place

from xlabel.errors import CorruptError
from xlabel.formats.unified_lines import lines
from xlabel.jobs.deltas import State
from xlabel.jobs.push import push

Document = dict[str, Any]


def read(there: dict[str, bytes]) -> tuple[Document, Document, bytes]:
    """Annotation file, manifest and media of what is current, out of the objects."""
    heads = sorted(name for name in there if name.startswith("xlabel_heads/"))
    head = json.loads(there["xlabel_head.json" if "xlabel_head.json" in there else heads[-1]])
    whole = head["whole"]
    annotations, manifest = (json.loads(named(there, whole[part])) for part in ("annotations", "manifest"))
    for one in head["deltas"]:
        annotations, manifest = folded(annotations, manifest, gzip.decompress(named(there, one)))
    media = bytearray(head["media"]["size"])
    for one in head["media"]["segments"]:
        media[one["offset"] : one["offset"] + one["size"]] = there[one["name"]][: one["size"]]
    return annotations, manifest, bytes(media)


def named(there: dict[str, bytes], one: Document) -> bytes:
    data = there[one["name"]]
    assert (len(data), hashlib.sha256(data).hexdigest()) == (one["size"], one["sha256"])
    return data


def folded(annotations: Document, manifest: Document, delta: bytes) -> tuple[Document, Document]:
    first, *changes = map(json.loads, delta.splitlines())
    assert first["count"] == len(manifest["frames"])
    manifest = {**manifest, **first["manifest"]}
    images = {image["frame_index"]: image for image in annotations["images"]}
    labels: dict[int, list[Document]] = {number: [] for number in images}
    by_id = {image["id"]: number for number, image in images.items()}
    for one in annotations["annotations"]:
        labels[by_id[one["image_id"]]].append(one)
    for change in changes:
        if "frame" in change:
            manifest["frames"].append(change["frame"])
        for number in change.get("deleted", []):
            manifest["frames"][number]["deleted"] = True
            images.pop(number)
        if "number" in change:
            images[change["number"]] = change["image"]
            labels[change["number"]] = change["annotations"]
    numbers = sorted(images)
    annotations = {
        **first["whole"],
        "images": [images[number] for number in numbers],
        "annotations": [one for number in numbers for one in labels[number]],
    }
    return annotations, manifest


@pytest.mark.parametrize("place", ["file", "sftp"], indirect=True)
def test_the_specification_is_enough_to_read_what_was_pushed(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 12)
    push(work.pack, url)
    for seed in range(5):
        work.change(seed)
        if seed % 2:
            work.change(10 + seed)  # two generations in one delta
        push(work.pack, url, fold=seed == 3)
        annotations, manifest, media = read(objects(place, url))
        assert annotations == json.loads(work.files["unified_annotation.json"])
        assert manifest == json.loads(work.files["frame_manifest.json"])
        for image in annotations["images"]:
            data = media[image["offset"] : image["offset"] + image["size"]]
            assert data == (work.images / image["file_name"]).read_bytes()


def test_changed_labels_of_one_image_are_a_small_delta(tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 500)
    push(work.pack, (tmp_path / "there").as_uri())
    work.label("0123.jpg", 4)
    work.update()
    push(work.pack, (tmp_path / "there").as_uri())
    (delta,) = (tmp_path / "there" / "deltas").iterdir()
    assert delta.stat().st_size < 2_000
    assert (tmp_path / "there" / "media_bundle.mp4").read_bytes() == work.files["media_bundle.mp4"]


@pytest.mark.parametrize(
    "damage",
    [b"", b"no gzip", gzip.compress(b"[]\n"), gzip.compress(b'{"count":9}\n')],
    ids=["nothing", "no gzip", "a list", "a count alone"],  # without the time, which gzip writes
)
def test_what_is_no_delta_is_refused(damage: bytes, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 3)
    annotations, manifest = work.files["unified_annotation.json"], work.files["frame_manifest.json"]
    state = State(lines(annotations, "a"), manifest)
    with pytest.raises(CorruptError, match=r"^deltas/1: "):
        state.fold(damage, "deltas/1")
