"""Streaming from a URL: as from the folder, by few requests, by way of a cache, over bad lines."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests import sequences
from tests.stores.proxy import Proxy, between
from tests.stores.servers import Start, environment
from tests.tools import SAMPLE

import xlabel
from xlabel import CorruptError, InputError
from xlabel.errors import MissingError
from xlabel.jobs.push import push
from xlabel.jobs.source_url import Distant
from xlabel.jobs.update import update
from xlabel.model.head import DAMAGED
from xlabel.stores import cache

FILES = ("media_bundle.mp4", "unified_annotation.json", "frame_manifest.json")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, packed. Only to be read."""
    folder = tmp_path_factory.mktemp("url") / "pack"
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", folder)
    return folder


@pytest.fixture(scope="module")
def proxy(pack: Path, start: Start) -> Iterator[Proxy]:
    """The pack in a bucket of SeaweedFS, behind a network that can be told to be bad."""
    place = start("s3")
    with (
        between(place.endpoint) as proxy,
        environment(place.env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}),
    ):
        client = boto3.client("s3")
        for name in FILES:
            client.upload_file(str(pack / name), "lab", f"set/{name}")
        yield proxy


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, pack: Path) -> str:
    """The pack at a URL."""
    if request.param == "file":
        return pack.as_uri()
    request.getfixturevalue("proxy")
    return "s3://lab/set"


def samples(place: Any, **options: Any) -> list[tuple[object, ...]]:
    with xlabel.stream(place, **options) as stream:
        return [(s.key, s.position, s.bytes, s.annotations, s.image) for s in stream]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_url_streams_what_the_folder_does(pack: Path, url: str, shuffle: bool) -> None:
    assert samples(url, shuffle=shuffle, check=True) == samples(pack, shuffle=shuffle)


def test_a_sample_is_there_again_after_its_turn(pack: Path, url: str) -> None:
    with xlabel.stream(url, shuffle=True) as stream:
        kept = list(stream)
        for sample in kept[::-1]:
            assert sample.bytes == (SAMPLE / "raw_images" / sample.key).read_bytes()


def test_an_epoch_is_read_once(proxy: Proxy, pack: Path) -> None:
    before = proxy.received
    assert len(samples("s3://lab/set", shuffle=True)) == 24
    size = sum((pack / name).stat().st_size for name in FILES[:2])
    assert 0.9 * size < proxy.received - before < size + 20_000


@pytest.mark.parametrize("after", [1_000, 60_000, 200_000, 400_000])
def test_a_line_that_drops_loses_nothing(proxy: Proxy, pack: Path, after: int) -> None:
    expected = samples(pack, shuffle=True)
    before = proxy.connections
    proxy.cut(received=after)
    assert samples("s3://lab/set", shuffle=True) == expected
    assert proxy.connections - before > 1


def test_a_server_that_is_busy_for_a_while_is_waited_for(proxy: Proxy, pack: Path) -> None:
    proxy.busy = 2
    assert samples("s3://lab/set") == samples(pack)
    assert proxy.busy == 0


def test_a_cache_is_asked_before_the_store(proxy: Proxy, pack: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"shuffle": True, "cache": tmp_path / "cache"}
    expected = samples(pack, shuffle=True)
    assert samples("s3://lab/set", **options) == expected
    before = proxy.received
    assert samples("s3://lab/set", **options) == expected
    assert proxy.received - before < (pack / FILES[1]).stat().st_size + 20_000


def test_damage_in_the_cache_is_fetched_again_or_found(url: str, pack: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "cache"}
    expected = samples(url, **options)
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    for path in kept:
        os.truncate(path, path.stat().st_size // 2)
    assert samples(url, **options) == expected
    for path in kept:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(CorruptError, match="SHA-256"):
        samples(url, check=True, **options)


def test_a_cache_keeps_to_its_limit(tmp_path: Path) -> None:
    kept = cache.Cache(tmp_path / "cache", 100_000)
    for number in range(100):
        part = kept.get(f"a/{number}", 5000, slice(10, 20), lambda number=number: bytes([number]) * 5000)  # type: ignore[misc]
        assert part == bytes([number]) * 10
        assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*")) <= 110_000

    def never() -> bytes:
        raise AssertionError("is kept")

    assert kept.get("a/99", 5000, slice(0, 5000), never) == bytes([99]) * 5000


def test_a_bundle_that_was_replaced_is_compared_with_its_hashes_from_then_on(
    pack: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(pack, tmp_path / "pack")
    with xlabel.stream(place.as_uri(), shuffle=True) as stream:
        first = next(iter(stream))
        data = (place / FILES[0]).read_bytes()
        (place / "longer").write_bytes(data + b"what a later generation has behind it")
        (place / "longer").rename(place / FILES[0])
        assert len([sample.bytes for sample in stream]) == 23
        (place / "other").write_bytes(b"\0" * len(data))
        (place / "other").rename(place / FILES[0])
        with pytest.raises(CorruptError, match="SHA-256"):
            _ = [sample.bytes for sample in stream]
        assert first.key


def test_what_was_pushed_since_the_whole_pair_is_folded_in(tmp_path: Path) -> None:
    images = shutil.copytree(SAMPLE / "raw_images", tmp_path / "images")
    place, url = tmp_path / "pack", (tmp_path / "pushed").as_uri()
    xlabel.pack(images, SAMPLE / "raw_labels", place)
    push(place, url)
    with xlabel.stream(url, shuffle=True) as before:
        first = next(iter(before))
        (images / "harbour/001.jpg").unlink()
        shutil.copy(images / "street/001.jpg", images / "harbour/000.jpg")
        update(images, SAMPLE / "raw_labels", place)
        push(place, url)
        assert samples(url, check=True) == samples(place)
        assert "harbour/000.jpg" in [key for key, *_ in samples(url)]
        assert len({sample.key for sample in before} | {first.key}) == 24


def test_media_in_several_objects_are_one(pack: Path, tmp_path: Path) -> None:
    url = tmp_path.as_uri()
    push(pack, url)
    data = (tmp_path / FILES[0]).read_bytes()
    cut = len(data) // 3
    (tmp_path / FILES[0]).write_bytes(data[:cut])
    (tmp_path / f"{FILES[0]}.000002").write_bytes(data[cut:])
    head = json.loads((tmp_path / "xlabel_head.json").read_bytes())
    head["media"]["segments"] = [
        {"name": FILES[0], "offset": 0, "size": cut},
        {"name": f"{FILES[0]}.000002", "offset": cut, "size": len(data) - cut},
    ]
    (tmp_path / "xlabel_head.json").write_text(json.dumps(head))
    assert samples(url, shuffle=True) == samples(pack, shuffle=True)


def test_what_is_not_there_is_said(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(MissingError, match=r"expected a bundle, found no unified_annotation\.json"):
        xlabel.stream(tmp_path.as_uri())
    shutil.copy(pack / FILES[1], tmp_path)
    with pytest.raises(MissingError, match=f"{FILES[0]}: expected a part of the bundle.*; {DAMAGED}"):
        xlabel.stream(tmp_path.as_uri())
    (tmp_path / FILES[0]).write_bytes((pack / FILES[0]).read_bytes()[:1000])
    with (
        xlabel.stream(tmp_path.as_uri()) as stream,
        pytest.raises(CorruptError, match=f"expected .* bytes .*; {DAMAGED}"),
    ):
        _ = [sample.bytes for sample in stream]


def test_a_process_has_connections_of_its_own(url: str) -> None:
    source = Distant(url)
    before = source._store
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # libraries with threads of their own wait for them forever
        os._exit(0 if source._store is not before and len(source.read(3)) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert source._store is before
    source.close()


def other_pack_id(pack: Path, folder: Path, pack_id: str) -> str:
    """The pack with another `pack_id`, as if somebody had put it there by hand."""
    shutil.copytree(pack, folder)
    document = json.loads((folder / FILES[1]).read_bytes())
    document["xlabel"]["pack_id"] = pack_id
    (folder / FILES[1]).write_text(json.dumps(document))
    return folder.as_uri()


def test_no_name_leads_out_of_the_cache(pack: Path, tmp_path: Path) -> None:
    for number, pack_id in enumerate(["..", "../..", str(tmp_path / "outside"), "a/b"]):
        url = other_pack_id(pack, tmp_path / f"pack{number}", pack_id)
        (tmp_path / "outside").mkdir(exist_ok=True)
        assert samples(url, cache=tmp_path / "in" / "cache")
        kept = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
        assert all(tmp_path / "in/cache" in (path.parent, path.parent.parent) for path in kept)
        assert any(path.name == "0" for path in kept)
        assert not list((tmp_path / "outside").iterdir())
    for name in ("../x", "x/..", "/x", "x", "a/b/c", "", "./x"):
        with pytest.raises(InputError, match="folder/file"):
            cache.Cache(tmp_path / "other", 1000).get(name, 1, slice(0, 1), lambda: b"x")


def test_json_that_another_tool_wrote_anew_is_read(pack: Path, tmp_path: Path) -> None:
    place = shutil.copytree(pack, tmp_path / "pack")
    document = json.loads((place / FILES[1]).read_bytes())
    (place / FILES[1]).write_text(json.dumps(document, indent=2, sort_keys=True))
    assert samples(place.as_uri(), check=True) == samples(pack)


def test_what_took_the_place_of_the_media_is_not_kept_as_the_media(pack: Path, tmp_path: Path) -> None:
    place, kept = shutil.copytree(pack, tmp_path / "pack"), tmp_path / "cache"
    data = (place / FILES[0]).read_bytes()
    with xlabel.stream(place.as_uri(), cache=kept) as stream:
        (place / "other").write_bytes(b"\0" * len(data))
        (place / "other").rename(place / FILES[0])
        with pytest.raises(CorruptError, match=r"SHA-256.*replaced.*open the bundle again"):
            _ = [sample.bytes for sample in stream]
    (place / FILES[0]).write_bytes(data)
    assert samples(place.as_uri(), cache=kept) == samples(pack)


@pytest.mark.parametrize("cached", [False, True])
def test_media_that_is_gone_is_said(pack: Path, tmp_path: Path, cached: bool) -> None:
    place = shutil.copytree(pack, tmp_path / "pack")
    with xlabel.stream(place.as_uri(), cache=tmp_path / "cache" if cached else None) as stream:
        (place / FILES[0]).unlink()
        with pytest.raises(CorruptError, match=r"replaced or taken away.*open the bundle again"):
            _ = [sample.bytes for sample in stream]


def test_bytes_may_be_asked_for_after_the_iteration(url: str) -> None:
    with xlabel.stream(url) as stream:
        first, *others = (sample for sample in stream if sample.number or sample.bytes)
        for sample in (first, *others):
            assert sample.bytes == (SAMPLE / "raw_images" / sample.key).read_bytes()


def test_a_video_holds_no_image_files_at_a_url_either(tmp_path: Path) -> None:
    pytest.importorskip("av")
    sequences.build(tmp_path / "images", (96, 64), 4)
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack", video="h264")
    with xlabel.stream((tmp_path / "pack").as_uri()) as stream:
        for sample in (stream[0], next(iter(stream))):
            with pytest.raises(InputError, match="lossy video, no image files"):
                _ = sample.bytes


def test_what_cannot_be_opened_leaves_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr("xlabel.stores.file.Folder.close", lambda self: closed.append(self), raising=True)
    with pytest.raises(MissingError):
        xlabel.stream(tmp_path.as_uri())
    assert closed
