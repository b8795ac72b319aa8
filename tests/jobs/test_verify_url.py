"""Verify at a URL: by the store's checksum or by reading, it finds what others have done to the objects."""

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from tests.pushing import Work, objects, replace
from tests.stores.proxy import Proxy
from tests.stores.servers import Place
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import MissingError
from xlabel.jobs.push import push

SOME = ["file", "s3", "azure", "sftp", "moto"]


def found(url: str, full: bool) -> set[str]:
    """The codes of what is wrong."""
    return {problem.code for problem in xlabel.verify(url, full=full).problems}


def media_name(place: Place, url: str) -> str:
    return min(name for name in objects(place, url) if name.startswith("media_bundle.mp4"))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def image(work: Work, number: int) -> tuple[int, int]:
    """Offset and size of an image in the media."""
    frame = json.loads(work.files["frame_manifest.json"])["frames"][number]
    return frame["offset"], frame["size"]


@pytest.mark.parametrize("full", [False, True])
def test_what_was_pushed_is_found_whole(url: str, full: bool, tmp_path: Path) -> None:
    work = Work(tmp_path, 9)
    push(work.pack, url)
    assert xlabel.verify(url, full=full).done["images"] == 9
    for seed in range(2):
        work.change(seed)
        push(work.pack, url, fold=seed == 1)
        report = xlabel.verify(url, full=full)
        assert (report.problems, report.done["images"]) == ([], 9)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_where_the_store_keeps_a_checksum_nothing_is_read_but_labels(
    network: Proxy, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 5, 1_000_000)
    push(work.pack, url)
    before = network.received
    report = xlabel.verify(url)
    assert report.problems == []
    assert any("compared by the store's checksum, and not read" in note for note in report.notes)
    assert network.received - before < 30_000
    before = network.received
    assert xlabel.verify(url, full=True).problems == []
    assert network.received - before > 5_000_000


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_another_object_in_its_place_is_found_by_the_stores_checksum(
    network: Proxy, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 5, 1_000_000)
    push(work.pack, url)
    key = f"{url.removeprefix('s3://lab/')}/media_bundle.mp4"
    other = flipped(work.files["media_bundle.mp4"], 3_000_000)
    client = boto3.Session().client("s3")
    client.put_object(Bucket="lab", Key=key, Body=other, ChecksumAlgorithm="CRC64NVME")
    before = network.received
    (problem,) = xlabel.verify(url).problems
    assert problem.code == "hash-mismatch"
    assert network.received - before < 30_000
    assert [one.where.rpartition(": ")[2] for one in xlabel.verify(url, full=True).problems] == ["0002.jpg"]


def flip_an_image(work: Work, media: bytes) -> bytes:
    offset, size = image(work, 4)
    return flipped(media, offset + size // 2)


def flip_a_header(work: Work, media: bytes) -> bytes:
    return flipped(media, image(work, 4)[0] - 20)


def flip_the_index(work: Work, media: bytes) -> bytes:
    return flipped(media, media.rindex(b"stsz") + 30)


def swap_two_images(work: Work, media: bytes) -> bytes:
    (one, size), (other, _) = image(work, 2), image(work, 5)
    data = bytearray(media)
    data[one : one + size], data[other : other + size] = media[other : other + size], media[one : one + size]
    return bytes(data)


def cut_the_tail(work: Work, media: bytes) -> bytes:
    return media[:-200]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("place", SOME, indirect=True)
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (flip_an_image, "hash-mismatch"),
        (flip_a_header, "header-damaged"),
        (flip_the_index, "index"),
        (swap_two_images, "hash-mismatch"),
        (cut_the_tail, "cut-off"),
    ],
)
def test_damaged_media_is_found(
    place: Place,
    url: str,
    full: bool,
    damage: Callable[[Work, bytes], bytes],
    code: str,
    tmp_path: Path,
) -> None:
    work = Work(tmp_path, 9, 1000)
    push(work.pack, url)
    name = media_name(place, url)
    replace(place, url, name, damage(work, objects(place, url)[name]))
    assert {one.partition("-damaged")[0] for one in found(url, full)} >= {code.partition("-damaged")[0]}


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_the_index_of_an_earlier_generation_is_compared_by_the_checksum_of_what_was_pushed(
    place: Place, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 9, 1000)
    push(work.pack, url)
    size = len(work.files["media_bundle.mp4"])
    work.change(1)
    push(work.pack, url)
    name = media_name(place, url)
    media = objects(place, url)[name]
    assert found(url, full=True) == set()
    replace(place, url, name, flipped(media, media.rindex(b"esds", 0, size) + 20))
    assert found(url, full=True) == {"hash-mismatch"}


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_media_that_is_hidden_by_a_push_under_way_has_the_checksum_that_it_was_pushed_with(
    place: Place, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 9, 1000)
    push(work.pack, url)
    head = objects(place, url)["xlabel_head.json"]
    work.change(1)
    push(work.pack, url)
    replace(place, url, "xlabel_head.json", head)
    assert found(url, full=True) == set()


@pytest.mark.parametrize("place", SOME, indirect=True)
def test_a_stale_base_is_found(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path, 9, 1000)
    push(work.pack, url)
    name = media_name(place, url)
    old = objects(place, url)[name]
    work.change(1)
    push(work.pack, url)
    new = objects(place, url)[name]
    other = flip_an_image(work, old)
    replace(place, url, name, other + new[len(other) :])
    assert found(url, False) == {"hash-mismatch"}
    if len(new) > len(old):
        replace(place, url, name, old)
        assert found(url, False) == {"cut-off"}


@pytest.mark.parametrize("place", SOME, indirect=True)
@pytest.mark.parametrize("which", ["unified_annotation.json", "frame_manifest.json", "deltas/"])
def test_a_damaged_or_missing_json_object_is_found(
    place: Place, url: str, which: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 9)
    push(work.pack, url)
    work.change(1)
    push(work.pack, url)
    (name,) = (name for name in objects(place, url) if name.startswith(which))
    data = objects(place, url)[name]
    for damaged, code in ((flipped(data, len(data) // 2), "hash-mismatch"), (data[:-9], "cut-off")):
        replace(place, url, name, damaged)
        (problem,) = xlabel.verify(url).problems
        assert problem.code == code
        assert problem.where.endswith(name)


def test_a_url_without_a_pack_is_told(url: str) -> None:
    with pytest.raises(MissingError, match=r"expected a pack that was pushed, found no xlabel_head\.json"):
        xlabel.verify(url)


def test_the_command_takes_a_url(tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 3)
    url = (tmp_path / "there").as_uri()
    assert command("push", work.pack, url).returncode == 0
    done = command("verify", url, "--full")
    assert done.returncode == 0
    assert done.stdout.startswith("verify: 3 images, ")
    media = tmp_path / "there" / "media_bundle.mp4"
    media.write_bytes(flipped(media.read_bytes(), 300))
    done = command("verify", url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["where"].startswith(url)
