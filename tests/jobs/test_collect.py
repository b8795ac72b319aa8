"""What is taken away at a URL, and what stays: nothing that a push under way still needs goes."""

import os
import time
from pathlib import Path

import pytest
from tests.pushing import Work, at_url, objects, two_works, unfinished
from tests.small import FILES
from tests.stores.servers import Place

import xlabel
from xlabel.jobs import collect
from xlabel.jobs import push as pushing
from xlabel.jobs.commit import commit
from xlabel.jobs.push import push
from xlabel.jobs.remote import HeadAt
from xlabel.model import Report
from xlabel.model.head import Head
from xlabel.stores.metered import Metered
from xlabel.stores.transport import PROBE, Transport, open_store

LATER = "media_bundle.mp4.000007-0123456789abcdef"
"""An object of a generation to come."""


def relabelled(url: str, folder: Path) -> tuple[Work, Work]:
    """Two with one data set, of whom the first has labels that are not pushed yet."""
    work, other = two_works(url, folder)
    work.label("0001.jpg", 5)
    work.update()
    return work, other


def leaves(work: Work, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that ends before its commit."""

    def die(*_: object) -> int:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(pushing, "commit", die)
        push(work.pack, url)


@pytest.mark.parametrize("place", ["file", "s3", "moto", "azure", "gcs", "sftp"], indirect=True)
def test_uploads_that_others_were_killed_in_are_taken_away_whatever_their_object_is(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "a", 3)
    push(work.pack, url)
    store = open_store(url)
    store.put_part(LATER, store.create(LATER), 1, b"a part")
    theirs = store.create("notes.txt")
    if all(time.time() - upload.begun < 60 for upload in store.unfinished()):  # moto says 2010
        assert push(work.pack, url, gc=True).done["uploads"] == 0
        assert len(store.unfinished()) == 2
    monkeypatch.setattr(collect, "DAY", 0.0)
    assert push(work.pack, url, gc=True).done["uploads"] == 1
    assert [upload.id for upload in store.unfinished()] == [theirs]
    store.abort("notes.txt", theirs)
    store.close()
    assert at_url(url, tmp_path / "c") == work.files


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_what_others_who_asked_the_server_were_killed_at_is_taken_away(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "a", 3)
    push(work.pack, url)
    store = open_store(url)
    store.put(f"{PROBE}other", b"0123456789")
    store.create(f"{PROBE}other")
    assert push(work.pack, url, gc=True).done["objects"] == 0
    assert len(store.unfinished()) == 1
    monkeypatch.setattr(collect, "DAY", 0.0)
    done = push(work.pack, url, gc=True).done
    assert (done["uploads"], done["objects"]) == (1, 1)
    assert not store.unfinished() and not store.names(PROBE)
    store.close()


@pytest.mark.parametrize("place", ["file", "s3", "moto", "azure", "sftp"], indirect=True)
def test_objects_that_a_killed_push_left_go_after_a_day(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, other = relabelled(url, tmp_path)
    before = set(objects(place, url))
    leaves(work, url, monkeypatch)
    (left,) = set(objects(place, url)) - before
    assert left.startswith("deltas/000002-")
    assert push(other.pack, url, gc=True).done["objects"] == 0
    monkeypatch.setattr(collect, "DAY", 0.0)
    assert push(other.pack, url, gc=True, dry_run=True).done["objects"] == 1
    assert left in objects(place, url)
    assert push(other.pack, url, gc=True).done["objects"] == 1
    assert left not in objects(place, url)
    assert at_url(url, tmp_path / "c") == other.files
    push(work.pack, url)
    assert at_url(url, tmp_path / "c") == work.files
    assert unfinished(place, url) == 0


def test_the_age_of_an_object_is_what_its_store_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    work = Work(tmp_path / "a", 6)
    push(work.pack, there.as_uri())
    work.label("0001.jpg", 5)
    work.update()
    push(work.pack, there.as_uri())
    push(work.pack, there.as_uri(), fold=True)
    (there / LATER).write_bytes(b"left")
    (there / "notes.000007-0123456789").write_bytes(b"theirs")
    for age, left in ((86_000, True), (87_000, False)):
        os.utime(there / LATER, (time.time() - age,) * 2)
        report = push(work.pack, there.as_uri(), gc=True)
        assert (there / LATER).exists() == left
        assert "1 object let go of less than a day ago stay" in report.notes[-1]
    assert (there / "notes.000007-0123456789").exists()


@pytest.mark.parametrize("place", ["file", "s3", "moto", "azure", "sftp"], indirect=True)
@pytest.mark.parametrize("moment", ["before its commit", "while objects go"])
def test_who_pushes_while_others_clear_up_loses_nothing(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    work, other = relabelled(url, tmp_path)
    monkeypatch.setattr(collect, "DAY", 0.0)
    let_go_of = collect._let_go_of

    def clear_up(store: Transport, head: Head, found: HeadAt | None) -> int:
        monkeypatch.setattr(pushing, "commit", commit)
        assert push(other.pack, url, gc=True).done["objects"] == 1
        return commit(store, head, found)

    def pushed(store: Transport, found: HeadAt, names: list[str], report: Report) -> bool:
        monkeypatch.setattr(collect, "_let_go_of", let_go_of)
        done = let_go_of(store, found, names, report)
        push(work.pack, url)
        return done

    if moment == "before its commit":
        monkeypatch.setattr(pushing, "commit", clear_up)
        push(work.pack, url)
    else:
        leaves(work, url, monkeypatch)
        monkeypatch.setattr(collect, "_let_go_of", pushed)
        assert push(other.pack, url, gc=True).done["objects"] == 1
    assert at_url(url, tmp_path / "c") == work.files
    assert xlabel.verify(url).problems == []


def test_who_clears_up_while_others_push_leaves_what_they_have_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "there").as_uri()
    work, other = relabelled(url, tmp_path)
    leaves(work, url, monkeypatch)
    monkeypatch.setattr(collect, "DAY", 0.0)
    let_go_of = collect._let_go_of

    def pushed(store: Transport, found: HeadAt, names: list[str], report: Report) -> bool:
        push(work.pack, url)
        return let_go_of(store, found, names, report)

    monkeypatch.setattr(collect, "_let_go_of", pushed)
    report = push(other.pack, url, gc=True)
    assert report.done["objects"] == 0
    assert any(note.endswith("stay; push --gc again") for note in report.notes)
    assert at_url(url, tmp_path / "c") == work.files


def test_after_the_media_was_written_anew_the_plain_names_have_a_trio_of_one_state_or_no_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, url = tmp_path / "there", (tmp_path / "there").as_uri()
    work = Work(tmp_path / "a", 8)
    push(work.pack, url)
    work.change(1)
    push(work.pack, url, fold=True)
    trio = work.files
    work.change(2)
    xlabel.compact(work.pack)
    notes = push(work.pack, url).notes
    assert any("by their plain names has an earlier state; --gc" in note for note in notes)
    push(work.pack, url, fold=True, gc=True)
    assert {name: (there / name).read_bytes() for name in FILES} == trio
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in FILES:
        (plain / name).write_bytes((there / name).read_bytes())
    assert xlabel.verify(plain).problems == []
    taken: list[str] = []
    day = time.time() + 86_401
    monkeypatch.setattr("time.time", lambda: day)
    real = Metered.delete

    def noted(store: Metered, name: str) -> None:
        taken.append(name)
        real(store, name)

    monkeypatch.setattr(Metered, "delete", noted)
    push(work.pack, url, gc=True)
    assert set(FILES) <= set(taken)
    assert taken[-1] == FILES[0]
    assert at_url(url, tmp_path / "c") == work.files
