"""Push and pull on the servers of others: what comes back, what it costs, and what kills do to it."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.pushing import Work, at_url, files, objects, state, unfinished
from tests.small import FILES
from tests.stores.servers import Place
from tests.tools import run, tool

import xlabel
from xlabel.errors import InputError
from xlabel.jobs import collect, plain_pair, remote, verify_url
from xlabel.jobs import push as pushing
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.remote import HeadAt
from xlabel.jobs.upload import Journal
from xlabel.model.head import HEAD, Head
from xlabel.stores.metered import Metered
from xlabel.stores.transport import Stat, Transport, open_store


def test_a_pack_and_its_updates_come_back_byte_for_byte(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 12)
    assert push(work.pack, url).exit_code == 0
    pull(url, tmp_path / "b")
    assert files(tmp_path / "b") == work.files
    for seed in range(3):
        work.change(seed)
        push(work.pack, url)
        pull(url, tmp_path / "b")
        assert files(tmp_path / "b") == at_url(url, tmp_path / "c") == work.files
    assert xlabel.verify(tmp_path / "b").problems == []
    assert [one.generation for one in xlabel.log(tmp_path / "b").log] == [4, 3, 2]
    assert unfinished(place, url) == 0


def test_what_was_pushed_is_not_pushed_again(url: str, tmp_path: Path) -> None:
    work = Work(tmp_path, 3)
    push(work.pack, url)
    again = push(work.pack, url)
    assert again.bytes == 0
    assert again.notes[-1].endswith(" has generation 1 already")


@pytest.mark.parametrize("place", ["file", "s3", "azure"], indirect=True)
def test_other_peoples_tools_read_the_media_at_its_name(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 12)
    push(work.pack, url)
    work.change(1)
    push(work.pack, url)
    there = objects(place, url)
    assert there["media_bundle.mp4"] == work.files["media_bundle.mp4"]
    assert [name for name in there if name.startswith("deltas/")]
    (tmp_path / "m.mp4").write_bytes(there["media_bundle.mp4"])
    count = ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    assert run(tool("ffprobe"), "-v", "error", *count, tmp_path / "m.mp4").split()[0].strip(b",") == b"12"


@pytest.mark.parametrize("place", ["sftp", "moto"], indirect=True)
def test_a_store_without_conditions_never_has_anything_written_over(
    place: Place, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path / "a", 12)
    push(work.pack, url)
    before = objects(place, url)
    for seed in range(3):
        work.change(seed)
        push(work.pack, url, fold=seed == 2)
        now = objects(place, url)
        assert {name: now.get(name) for name in before} == before
        before = now


def test_a_fold_gives_a_whole_pair_again(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "DAY", 0.0)
    work = Work(tmp_path / "a", 12)
    push(work.pack, url)
    work.change(1)
    notes = push(work.pack, url).notes
    assert any(note.startswith("its JSON files are of generation 1, 1 delta of ") for note in notes)
    push(work.pack, url, fold=True)
    for name in FILES[1:]:
        assert work.files[name] in objects(place, url).values()
    report = push(work.pack, url, gc=True)
    there = objects(place, url)
    if "xlabel_head.json" in there:  # elsewhere the state before is kept until the next one
        assert report.done["objects"] == 1
        assert not [name for name in there if name.startswith("deltas/")]
    assert at_url(url, tmp_path / "c") == work.files


def plain(place: Place, url: str, folder: Path) -> tuple[dict[str, bytes], int]:
    """The two JSON files at their plain names, and the images that pycocotools finds in the one."""
    from pycocotools.coco import COCO

    there = objects(place, url)
    path = folder / "plain.json"
    path.write_bytes(there["unified_annotation.json"])
    return {name: there[name] for name in FILES[1:]}, len(COCO(path).getImgIds())


def pair(work: Work) -> dict[str, bytes]:
    """The two JSON files of a pack."""
    return {name: work.files[name] for name in FILES[1:]}


@pytest.mark.parametrize("place", ["file", "s3", "azure", "hf"], indirect=True)
def test_who_reads_the_plain_names_finds_the_last_fold(place: Place, url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 6)
    push(work.pack, url)
    for seed in range(3):
        work.draw(f"new{seed}.jpg", seed)
        work.update()
        push(work.pack, url)
        push(work.pack, url, fold=True, gc=True)
        assert plain(place, url, tmp_path) == (pair(work), 7 + seed)
        assert at_url(url, tmp_path / "c") == work.files
        assert xlabel.verify(url).problems == []


@pytest.mark.parametrize("place", ["file", "s3"], indirect=True)
def test_large_json_files_are_copied_to_the_plain_names(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pair, "PART", 1000)
    work = Work(tmp_path / "a", 6)
    push(work.pack, url)
    work.change(1)
    push(work.pack, url, fold=True)
    assert plain(place, url, tmp_path) == (pair(work), 6)
    assert unfinished(place, url) == 0


@pytest.mark.parametrize("place", ["file", "s3"], indirect=True)
def test_a_fold_that_dies_before_the_plain_names_is_whole_and_the_next_one_goes_on(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "a", 6)
    push(work.pack, url)
    before = pair(work)
    work.draw("new.jpg", 9)
    work.update()

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(pushing, "put_plain", die)
        push(work.pack, url, fold=True)
    assert plain(place, url, tmp_path) == (before, 6)
    assert at_url(url, tmp_path / "c") == work.files
    assert push(work.pack, url, fold=True).bytes > sum(map(len, pair(work).values()))
    assert plain(place, url, tmp_path) == (pair(work), 7)
    assert push(work.pack, url, fold=True).bytes == 0


def test_of_two_folds_the_later_one_stays_at_the_plain_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    first = Work(tmp_path / "a", 6)
    push(first.pack, there.as_uri())
    second = Work.pulled(there.as_uri(), first, tmp_path / "b")
    first.change(1)
    real = remote.read_head

    def late(store: Transport) -> HeadAt | None:
        """The head, read by the first just before the second folds."""
        monkeypatch.setattr(plain_pair, "read_head", real)
        found = real(store)
        pull(there.as_uri(), second.pack)
        second.label("new1.jpg" if (second.images / "new1.jpg").exists() else "0000.jpg", 5)
        second.update()
        push(second.pack, there.as_uri(), fold=True)
        return found

    monkeypatch.setattr(plain_pair, "read_head", late)
    push(first.pack, there.as_uri(), fold=True)
    assert {name: (there / name).read_bytes() for name in FILES[1:]} == pair(second)
    assert files(second.pack) == at_url(there.as_uri(), tmp_path / "c")


def test_who_began_to_read_before_a_fold_reads_one_state_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "there").as_uri()
    work = Work(tmp_path / "a", 6)
    push(work.pack, url)
    work.change(1)
    real = remote.need_head

    def folded(store: Transport) -> Head:
        monkeypatch.setattr(remote, "need_head", real)
        monkeypatch.setattr(verify_url, "need_head", real)
        head = real(store)
        push(work.pack, url, fold=True)
        return head

    monkeypatch.setattr(remote, "need_head", folded)
    assert at_url(url, tmp_path / "c") == work.files
    work.change(2)
    monkeypatch.setattr(verify_url, "need_head", folded)
    assert xlabel.verify(url).problems == []


@pytest.mark.parametrize("theirs", FILES)
def test_files_of_others_at_the_plain_names_are_never_written_over_nor_taken_away(
    tmp_path: Path, theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "DAY", 0.0)
    there = tmp_path / "there"
    there.mkdir()
    (there / theirs).write_text("{}")
    work = Work(tmp_path / "a", 8)
    push(work.pack, there.as_uri())
    work.change(1)
    push(work.pack, there.as_uri(), fold=True, gc=True)
    xlabel.compact(work.pack)
    push(work.pack, there.as_uri(), gc=True)
    assert (there / theirs).read_text() == "{}"
    assert at_url(there.as_uri(), tmp_path / "c") == work.files


def test_what_was_let_go_of_stays_a_day_for_who_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, url = tmp_path / "there", (tmp_path / "there").as_uri()
    work = Work(tmp_path / "a", 8)
    push(work.pack, url)
    work.change(1)
    push(work.pack, url)
    store = open_store(url)
    head, before = remote.json_files(store)  # who begins to read now
    media = (there / "media_bundle.mp4").read_bytes()
    push(work.pack, url, fold=True)
    work.change(2)
    xlabel.compact(work.pack)
    for _ in range(2):
        report = push(work.pack, url, gc=True)
        assert report.done["objects"] == 0
        assert any("let go of less than a day ago stay" in note for note in report.notes)
    (delta,) = head.deltas
    assert hashlib.sha256((there / delta.name).read_bytes()).hexdigest() == delta.sha256
    assert (there / "media_bundle.mp4").read_bytes() == media
    assert before.annotations != work.files[FILES[1]]
    day = time.time() + 86_401
    monkeypatch.setattr("time.time", lambda: day)
    report = push(work.pack, url, gc=True)
    assert report.done["objects"] >= 4
    left = {path.name for path in there.rglob("*") if path.is_file()}
    assert not {Path(delta.name).name, *FILES} & left
    assert at_url(url, tmp_path / "c") == work.files


def test_a_compacted_pack_takes_the_place_of_the_old_one(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "DAY", 0.0)
    work = Work(tmp_path / "a", 12)
    push(work.pack, url)
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    push(work.pack, url)
    xlabel.compact(work.pack)
    push(work.pack, url, gc=True)
    media = [name for name in objects(place, url) if name.startswith("media_bundle.mp4")]
    assert len(media) == (1 if "xlabel_head.json" in objects(place, url) else 3)
    assert at_url(url, tmp_path / "c") == work.files
    pull(url, other.pack)
    assert state(other.pack) == state(work.pack)


def test_another_data_set_is_refused(url: str, tmp_path: Path) -> None:
    push(Work(tmp_path / "a", 3).pack, url)
    with pytest.raises(InputError, match="has grown from another one"):
        push(Work(tmp_path / "b", 4).pack, url)


def test_who_is_behind_has_nothing_to_send(url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 6)
    push(work.pack, url)
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    push(work.pack, url)
    (note,) = push(other.pack, url).notes
    assert f" is at generation 2, {other.pack} at 1: nothing to send; xlabel pull " in note


def test_both_json_files_are_on_their_way_at_once_after_the_media_and_before_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, both, done = Work(tmp_path / "a", 8), Barrier(2), list[str]()
    put, complete = Metered.put, Metered.complete

    def put_noted(store: Metered, name: str, data: bytes, **conditions: Any) -> Stat:
        if name != HEAD:
            both.wait(10)
        stat = put(store, name, data, **conditions)
        done.append(name)
        return stat

    def complete_noted(store: Metered, name: str, *given: Any, **conditions: Any) -> Stat:
        stat = complete(store, name, *given, **conditions)
        done.append(name)
        return stat

    monkeypatch.setattr(Metered, "put", put_noted)
    monkeypatch.setattr(Metered, "complete", complete_noted)
    push(work.pack, (tmp_path / "there").as_uri())
    assert [done[0], {*done[1:3]}, *done[3:]] == [FILES[0], {*FILES[1:]}, HEAD]


def test_a_journal_told_by_several_threads_at_once_keeps_all_of_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "s3://bucket")
    names = [str(number) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: journal.begin(name, "1"), names))
        assert sorted(Journal(tmp_path, "s3://bucket").names()) == sorted(names)
        list(pool.map(journal.forget, names[::2]))
        list(pool.map(lambda name: journal.end(name, "1"), names[1::2]))
    assert not list(tmp_path.iterdir())
