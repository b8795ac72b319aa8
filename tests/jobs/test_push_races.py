"""Several writers at one URL: who is faster, slower, or dead."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.kills import ended, often, started
from tests.pushing import Work, at_url, objects, shared, two_works
from tests.stores.servers import Place

from xlabel.errors import ConflictError
from xlabel.jobs import push as pushing
from xlabel.jobs import push_media
from xlabel.jobs.push import push
from xlabel.jobs.remote import json_files
from xlabel.stores.transport import open_store

ROUNDS = often(5, 20)


@pytest.mark.parametrize("place", ["file", "s3", "moto", "azure"], indirect=True)
def test_of_two_racing_writers_neither_loses_anything(url: str, tmp_path: Path) -> None:
    works = two_works(url, tmp_path)
    for number in range(ROUNDS):
        made = {}
        for who, work in enumerate(works):
            new, old = f"{'ab'[who]}{number}.jpg", f"000{number % 3 + 3 * who}.jpg"
            work.draw(new, number + 100 * who, 1000)
            work.label(new, number)
            work.label(old, 10 + number)
            work.update()
            made[who] = [new, old]
        children = [started(partial(push, work.pack, url)) for work in works]
        assert [ended(child) for child in children] == [0, 0]
        found = shared(url, *works)
        for who, work in enumerate(works):
            work.take(works[1 - who], made[1 - who])
    assert set(found) == {f"{who}{n}.jpg" for who in "ab" for n in range(ROUNDS)} | {
        f"000{n}.jpg" for n in range(6)
    }
    for name in found:
        assert found[name][0] == works[0].digest(name) == works[1].digest(name)
    for number in range(ROUNDS - 3, ROUNDS):  # the last labels of each
        for key in (f"000{number % 3}.jpg", f"000{number % 3 + 3}.jpg"):
            assert len(found[key][1]) == 1 + (10 + number) % 3


@pytest.mark.parametrize("place", ["file", "s3", "moto"], indirect=True)
def test_who_reads_while_others_push_reads_one_whole_state(url: str, tmp_path: Path) -> None:
    first, second = two_works(url, tmp_path)

    def read() -> None:
        store = open_store(url)
        end = time.monotonic() + 60
        while not (tmp_path / "end").exists() and time.monotonic() < end:
            json_files(store)
            at_url(url, tmp_path / "read")

    reader = started(read)
    for number in range(6):
        first.draw(f"new{number}.jpg", number)
        first.label(f"new{number}.jpg", number)
        first.update()
        second.label("0001.jpg", number)
        second.update()
        for work in (first, second):
            push(work.pack, url, fold=number % 2 == 0)
    (tmp_path / "end").touch()
    assert ended(reader) == 0


@pytest.mark.parametrize("place", ["file", "s3", "azure"], indirect=True)
def test_a_writer_that_died_between_media_and_head_is_replaced(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_works(url, tmp_path)
    monkeypatch.setattr(push_media, "PATIENCE", 1.0)

    def die(*_: Any) -> None:
        raise SystemExit

    first.change(1)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(pushing, "commit", die)
        push(first.pack, url)
    second.change(2)
    assert objects(place, url)["media_bundle.mp4"] == first.files["media_bundle.mp4"]
    began = time.monotonic()
    push(second.pack, url)
    assert time.monotonic() - began > 1.0
    assert at_url(url, tmp_path / "c") == second.files
    push(first.pack, url)
    assert {"new1.jpg", "new2.jpg"} <= set(shared(url, first, second))


@pytest.mark.parametrize("place", ["file", "s3", "azure"], indirect=True)
def test_a_writer_that_was_only_slow_cannot_commit_over_who_took_its_place(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_works(url, tmp_path)
    monkeypatch.setattr(push_media, "PATIENCE", 0.5)
    commit: Any = pushing.__dict__["commit"]

    def late(*arguments: Any) -> int:
        monkeypatch.setattr(pushing, "commit", commit)
        push(second.pack, url)  # while the first one waits before its head
        return int(commit(*arguments))

    first.change(1)
    second.change(2)
    monkeypatch.setattr(pushing, "commit", late)
    push(first.pack, url)
    assert {"new1.jpg", "new2.jpg"} <= set(shared(url, first, second))


@pytest.mark.parametrize("place", ["file", "s3", "azure", "moto"], indirect=True)
def test_of_two_first_pushes_one_is_there_whole_and_the_other_is_told(url: str, tmp_path: Path) -> None:
    works = [Work(tmp_path / who, count, 20_000) for who, count in (("a", 5), ("b", 6))]
    for number in range(5):
        where = f"{url}/{number}"
        children = [started(partial(push, work.pack, where)) for work in works]
        assert sorted(ended(child) for child in children) == [0, 1]
        assert at_url(where, tmp_path / "c") in [work.files for work in works]


def test_a_place_that_is_always_faster_ends_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(*_: Any) -> None:
        raise ConflictError("somebody else was faster")

    monkeypatch.setattr(pushing, "commit", conflict)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ConflictError):
        push(Work(tmp_path / "a", 2).pack, (tmp_path / "there").as_uri())
