"""A push that is killed at any moment: what is at the URL stays whole, what has arrived is not sent again."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from threading import Timer

import pytest
from tests.kills import ended, killed, often, started
from tests.pushing import Work, at_url, unfinished
from tests.stores.servers import Place

from xlabel.errors import MissingError
from xlabel.jobs import push_media, upload
from xlabel.jobs.push import push
from xlabel.jobs.upload import Journal
from xlabel.stores.metered import Metered
from xlabel.stores.transport import open_store

KILLS = often(5, 25)
"""Of each store; four stores are a hundred where it is long."""
UPDATES = often(2, 8)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts of a small pack, two at a time."""
    monkeypatch.setattr(upload, "PART", 5 << 20)
    monkeypatch.setattr(upload, "THREADS", 2)
    monkeypatch.setattr(push_media, "PATIENCE", 0.5)


def arrived(work: Work, url: str) -> int:
    """Bytes of the parts that a store lists of unfinished uploads."""
    store = open_store(url)
    names = Journal(work.pack, store.url).names()
    try:
        uploads = [(name, one.id) for name in names for one in store.uploads(name)]
        return sum(part.size for name, one in uploads for part in store.parts(name, one))
    finally:
        store.close()


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("place", ["file", "s3", "azure", "sftp"], indirect=True)
def test_killed_and_run_again_it_sends_what_is_missing(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 6, 2_500_000)
    size = sum(map(len, work.files.values()))
    began = time.perf_counter()
    assert ended(started(partial(push, work.pack, f"{url}/timed"))) == 0
    lasts = time.perf_counter() - began + size / 60_000_000
    kills = 0
    for number in range(KILLS * 3):
        where = f"{url}/{number}"
        child = started(partial(push, work.pack, where, bwlimit=60_000_000))
        waited = random.Random(number).uniform(0, lasts)
        time.sleep(waited)
        if not killed(child):
            lasts = waited  # the push that was timed was held up
            continue
        kills += 1
        there = arrived(work, where)
        try:
            assert at_url(where, tmp_path / "b") == work.files
            there = size
        except MissingError:
            pass
        report = push(work.pack, where)
        assert report.bytes <= 1.005 * (size - there) + 100_000
        assert at_url(where, tmp_path / "b") == work.files
        assert unfinished(place, where) == 0
        if kills == KILLS:
            return
    pytest.fail(f"only {kills} of {KILLS * 3} were alive when they were killed")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("place", ["file", "s3", "azure", "moto"], indirect=True)
def test_killed_while_it_sends_an_update_it_leaves_the_old_state_or_the_new(
    place: Place, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path / "a", 8, 1_000_000)
    push(work.pack, url)
    lasts = 0.5
    for seed in range(UPDATES):
        before = work.files
        work.change(seed, 3_000_000)
        began = time.perf_counter()
        child = started(partial(push, work.pack, url, fold=seed % 3 == 2))
        time.sleep(random.Random(seed).uniform(0, lasts))
        if not killed(child):
            lasts = time.perf_counter() - began
        assert at_url(url, tmp_path / "b") in (before, work.files)
        push(work.pack, url)
        assert at_url(url, tmp_path / "b") == work.files
        assert unfinished(place, url) == 0


@pytest.mark.parametrize("place", ["file", "s3", "azure"], indirect=True)
def test_an_upload_whose_beginning_arrives_after_the_next_one_has_begun_is_taken_away(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "a", 6)

    def doomed() -> None:
        monkeypatch.setattr(Metered, "create", lambda store, name: os.kill(os.getpid(), signal.SIGKILL))
        push(work.pack, url)

    assert ended(started(doomed)) == -signal.SIGKILL
    begin = Journal.begin

    def late(journal: Journal, name: str, id: str, others: list[str] | None = None) -> None:
        begin(journal, name, id, others)
        store = open_store(url)
        store.create(name)
        store.close()

    monkeypatch.setattr(upload, "LATE", 0.1)
    monkeypatch.setattr(Journal, "begin", late)
    push(work.pack, url)
    assert unfinished(place, url) == 0
    assert not list(work.pack.glob(".xlabel-push-*"))
    assert at_url(url, tmp_path / "b") == work.files


def test_an_upload_whose_beginning_arrives_after_the_object_is_whole_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, url = Work(tmp_path / "a", 6), (tmp_path / "there").as_uri()

    def doomed() -> None:
        monkeypatch.setattr(Metered, "create", lambda store, name: os.kill(os.getpid(), signal.SIGKILL))
        push(work.pack, url)

    assert ended(started(doomed)) == -signal.SIGKILL
    late = Timer(1.0, lambda: open_store(url).create("media_bundle.mp4"))
    late.start()
    push(work.pack, url)
    late.join()
    assert not (tmp_path / "there" / ".xlabel-store").exists()
