"""What a push costs: bytes on the wire, counted between it and the server; and time, memory and requests."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.kills import ended, started
from tests.pushing import Work, at_url, objects
from tests.stores.proxy import Proxy
from tests.stores.servers import Place

import xlabel
from xlabel.jobs.push import push
from xlabel.stores import s3_abilities

COUNT, SIZE = 2000, 20_000
FAR = ["s3", "azure", "sftp", "moto"]


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 images of 20 kB and their pack. Only to be read."""
    return Work(tmp_path_factory.mktemp("crowd") / "crowd", COUNT, SIZE).root


@pytest.fixture
def work(crowd: Path, tmp_path: Path) -> Work:
    """The same, to be changed."""
    work = Work(Path(shutil.copytree(crowd, tmp_path / "work", copy_function=shutil.copy2)))
    work._clock = 1_500_000_000
    return work


def sent(network: Proxy, job: Callable[[], object]) -> int:
    """Bytes that go both ways until it is quiet again."""
    before = network.sent + network.received
    job()
    time.sleep(0.3)
    return network.sent + network.received - before


def append(work: Work) -> int:
    for number in range(COUNT // 100):
        work.draw(f"new{number}.jpg", 50_000 + number, SIZE)
        work.label(f"new{number}.jpg", number)
    return COUNT // 100 * SIZE


def replace(work: Work) -> int:
    for number in Random(1).sample(range(COUNT), COUNT // 100):
        work.draw(f"{number:04}.jpg", 60_000 + number, SIZE)
    return COUNT // 100 * SIZE


def remove(work: Work) -> int:
    for number in Random(2).sample(range(COUNT), COUNT // 100):
        work.remove(f"{number:04}.jpg")
    return 0


def relabel(work: Work) -> int:
    for number in Random(3).sample(range(COUNT), COUNT // 100):
        work.label(f"{number:04}.jpg", 500)
    return 0


@pytest.mark.parametrize("place", FAR, indirect=True)
@pytest.mark.parametrize("plain", [False, True])
def test_an_update_costs_its_change_and_the_index(
    place: Place, network: Proxy, far: str, plain: bool, work: Work
) -> None:
    if plain:
        xlabel.pack(work.images, work.labels, work.pack, plain=True, overwrite=True)
    push(work.pack, far)
    for change in (append, replace, remove, relabel):
        changed = change(work)
        work.update()
        index = 0 if change is relabel else (24 if plain else 130) * COUNT
        assert sent(network, lambda: push(work.pack, far)) <= 1.05 * changed + 256_000 + index


@pytest.mark.parametrize("place", FAR, indirect=True)
def test_a_dry_run_tells_the_bytes_on_the_wire_within_a_hundredth(
    place: Place, network: Proxy, far: str, work: Work
) -> None:
    for change in (None, append, replace):
        if change:
            change(work)
            work.update()
        there = objects(place, far)
        told = push(work.pack, far, dry_run=True).bytes
        assert objects(place, far) == there
        assert sent(network, lambda: push(work.pack, far)) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_the_server_is_asked_what_it_can_do_only_for_what_is_written_and_that_is_counted(
    network: Proxy, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(s3_abilities, "_KNOWN", {})
    work = Work(tmp_path / "work", 10, 50_000)
    first: list[int] = []
    took = sent(network, lambda: first.append(push(work.pack, url).bytes))
    assert took == pytest.approx(first[0], rel=0.01)
    for dry_run in (False, True):
        (tmp_path / "cache").rename(tmp_path / f"old{dry_run}")
        s3_abilities._KNOWN.clear()
        assert sent(network, partial(push, work.pack, url, dry_run=dry_run)) < 5_000
        assert push(work.pack, url, dry_run=True).done == {"requests": 2}
        assert not s3_abilities._KNOWN
        work.draw(f"new{dry_run}.jpg", 7 + dry_run, 200_000)
        work.update()
        told = push(work.pack, url, dry_run=True).bytes
        s3_abilities._KNOWN.clear()
        assert sent(network, lambda: push(work.pack, url)) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_dry_run_of_what_a_kill_has_left_counts_what_is_missing(
    place: Place, network: Proxy, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path, 50, 2_000_000)
    network.cut(sent=60_000_000)
    network.bandwidth = 100e6
    child = started(lambda: push(work.pack, url))
    while network.sent < 50_000_000:
        time.sleep(0.01)
    os.kill(child, 9)
    assert ended(child) == -9
    network._cut.clear()
    time.sleep(3)  # the server may still take in a part that was on its way
    journal = {path: path.read_bytes() for path in work.pack.iterdir()}
    told = push(work.pack, url, dry_run=True).bytes
    assert {path: path.read_bytes() for path in work.pack.iterdir()} == journal
    assert told < 90_000_000
    assert sent(network, lambda: push(work.pack, url)) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_limit_holds_at_every_moment(network: Proxy, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 10, 500_000)
    child = started(lambda: push(work.pack, url, bwlimit=2_000_000))
    began = time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert network.sent <= 2_000_000 * (time.monotonic() - began) + 50_000
        time.sleep(0.02)
    assert 2.2 < time.monotonic() - began < 12
    assert at_url(url, tmp_path / "b") == work.files


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_pull_fetches_what_is_not_there(network: Proxy, url: str, work: Work, tmp_path: Path) -> None:
    push(work.pack, url)
    xlabel.pull(url, tmp_path / "b")
    append(work)
    work.update()
    push(work.pack, url)
    json_size = sum(len(work.files[name]) for name in ("unified_annotation.json", "frame_manifest.json"))
    got = sent(network, lambda: xlabel.pull(url, tmp_path / "b"))
    assert got <= 1.05 * COUNT // 100 * SIZE + 256_000 + 130 * COUNT + json_size


@pytest.mark.parametrize("place", ["file", "s3"], indirect=True)
def test_memory_is_bounded_whatever_the_size(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 20, 15_000_000)
    script = (
        "import re, sys, xlabel; xlabel.push(*sys.argv[1:]);"
        "print(re.search(r'VmHWM: *(\\d+)', open('/proc/self/status').read().replace('\\t', ' '))[1])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(work.pack), url], capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 150_000_000, done.stderr
