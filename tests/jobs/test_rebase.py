"""Two writers at one URL: both get through, and nobody's images and labels are lost."""

import hashlib
import shutil
import subprocess
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pycocotools.coco import COCO
from tests.kills import at_each_step, ended, often, started
from tests.pushing import State, Work, at_url, objects, state
from tests.stores.servers import Place
from tests.tools import put, tool, tree

import xlabel
from xlabel.errors import ConflictError, ExistsError, InputError
from xlabel.jobs import push as pushing
from xlabel.jobs import push_media
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.remote import json_files
from xlabel.jobs.update import update
from xlabel.stores.transport import open_store

ROUNDS = often(5, 20)


def two(url: str, folder: Path, count: int = 6) -> tuple[Work, Work]:
    """Two people with the same data set."""
    first = Work(folder / "a", count)
    push(first.pack, url)
    return first, Work.pulled(url, first, folder / "b")


def shared(url: str, *works: Work) -> State:
    """What all of them have after a pull; it is whole by all rules."""
    for work in works:
        pull(url, work.pack)
        assert xlabel.verify(work.pack).problems == []
    (found,) = {str(state(work.pack)): state(work.pack) for work in works}.values()
    return found


@pytest.mark.parametrize("place", ["file", "s3", "moto", "azure"], indirect=True)
def test_of_two_racing_writers_neither_loses_anything(url: str, tmp_path: Path) -> None:
    works = two(url, tmp_path)
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
    first, second = two(url, tmp_path)

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


def test_changes_of_both_to_one_image_are_told_and_the_later_counts(url: str, tmp_path: Path) -> None:
    first, second = two(url, tmp_path)
    first.label("0001.jpg", 4)
    first.remove("0002.jpg")
    first.update()
    push(first.pack, url)
    second.draw("0001.jpg", 77)
    second.label("0001.jpg", 8)
    second.label("0002.jpg", 5)
    second.update()
    notes = " ".join(push(second.pack, url).notes)
    assert "changed by both, and ours count: " in notes
    assert "0001.jpg" in notes
    found = shared(url, first, second)
    assert found["0001.jpg"][0] == second.digest("0001.jpg")
    assert len(found["0001.jpg"][1]) == 3


def test_other_numbers_of_the_same_categories_are_no_change_that_counts(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.label("0001.jpg", 9)
    first.remove("0002.jpg")
    first.update()
    push(first.pack, url)
    theirs = shared(url, first)
    before = second.pack.rename(tmp_path / "before")
    shutil.copytree(before, second.pack)
    (second.labels / "classes.txt").write_text("tree\nboat\ncar\n")
    for path in second.labels.glob("0*.txt"):
        rows = path.read_text().splitlines()
        path.write_text("".join("102"[int(row[0])] + row[1:] + "\n" for row in rows))
    second.draw("new.jpg", 9)
    second.update()
    assert xlabel.diff(before, second.pack).keys == {"added": ["new.jpg"]}
    notes = " ".join(push(second.pack, url).notes)
    assert "ours count" not in notes and "relabelled here" not in notes
    found = shared(url, second)
    assert {*found} == {*theirs, "new.jpg"}
    assert said(found["0001.jpg"]) == said(theirs["0001.jpg"])


def said(image: tuple[str, tuple[Any, ...]]) -> list[tuple[str, object]]:
    """Names and boxes of the labels of an image."""
    return [(one.category.name, one.bbox) for one in image[1]]


@pytest.mark.parametrize("place", ["file", "s3", "azure"], indirect=True)
def test_a_writer_that_died_between_media_and_head_is_replaced(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two(url, tmp_path)
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
    first, second = two(url, tmp_path)
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


def test_media_that_was_written_anew_is_no_ground_for_a_rebase(tmp_path: Path) -> None:
    for who in (0, 1):
        url = (tmp_path / f"there{who}").as_uri()
        both = two(url, tmp_path / str(who), 8)
        other, last = both[who], both[1 - who]
        for number in range(6):
            both[0].remove(f"000{number}.jpg")
        both[0].update()
        xlabel.compact(both[0].pack)
        both[1].draw("new.jpg", 9)
        both[1].update()
        push(other.pack, url)
        before = last.files
        with pytest.raises(InputError, match="written anew"):
            push(last.pack, url)
        assert last.files == before
        assert at_url(url, tmp_path / "c") == other.files


def test_what_others_removed_and_we_relabelled_is_kept_and_told(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.remove("0002.jpg")
    first.update()
    push(first.pack, url)
    second.label("0002.jpg", 8)
    second.update()
    notes = " ".join(push(second.pack, url).notes)
    assert "removed by others although relabelled here, and kept with our labels: 1 image, 0002.jpg" in notes
    assert "ours count" not in notes
    found = shared(url, first, second)
    assert found["0002.jpg"][0] == second.digest("0002.jpg")
    assert len(found["0002.jpg"][1]) == 3


def test_an_image_that_others_replaced_and_we_relabelled_is_told_as_changed_by_both(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.draw("0002.jpg", 77)
    first.draw("0003.jpg", 78)
    first.update()
    push(first.pack, url)
    second.label("0002.jpg", 9)
    second.draw("0003.jpg", 78)
    second.label("0003.jpg", 7)
    second.update()
    notes = " ".join(push(second.pack, url).notes)
    assert "changed by both, and ours count: 2 images, 0002.jpg, 0003.jpg" in notes
    assert "that we relabelled stay, with our labels: 1 image, 0002.jpg (theirs: xlabel unpack " in notes
    assert "removed by others" not in notes
    found = shared(url, first, second)
    assert found["0002.jpg"][0] == second.digest("0002.jpg") != first.digest("0002.jpg")
    assert len(found["0002.jpg"][1]) == 1
    xlabel.unpack(f"{second.pack}@2", tmp_path / "theirs")
    (theirs,) = (tmp_path / "theirs").rglob("0002.jpg")
    assert hashlib.sha256(theirs.read_bytes()).hexdigest() == first.digest("0002.jpg")


def test_the_messages_of_the_updates_are_told_of_what_they_have_become(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)

    def done(work: Work, name: str, message: str) -> None:
        work.draw(name, len(message))
        update(work.images, work.labels, work.pack, message=message)

    def told() -> list[str]:
        pull(url, tmp_path / "c")
        return [one.message for one in xlabel.log(tmp_path / "c").log]

    done(first, "one.jpg", "more boats")
    push(first.pack, url)
    for name, message in (("two.jpg", "trees"), ("three.jpg", ""), ("four.jpg", "cars")):
        done(second, name, message)
    push(second.pack, url)
    assert told() == ["trees; cars", "more boats"]
    done(first, "five.jpg", "")
    push(first.pack, url)
    assert told() == ["put upon what others have pushed", "trees; cars", "more boats"]


def test_labels_of_an_image_that_was_relabelled_keep_their_ids(tmp_path: Path) -> None:
    def coco(work: Work, width: int) -> None:
        images = [{"id": n, "file_name": f"{n}.jpg", "width": 32, "height": 32} for n in (1, 2)]
        boxes = [(5, 1, 4), (7, 2, 4), (9, 2, width)]
        labels = [
            {"id": one, "image_id": image, "category_id": 1, "bbox": [0, 0, size, 4], "iscrowd": 0}
            for one, image, size in boxes
        ]
        said = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "boat"}]}
        (work.labels / "coco.json").write_bytes(msgspec.json.encode(said))

    url = (tmp_path / "there").as_uri()
    first = Work(tmp_path / "a")
    for number in (1, 2):
        first.draw(f"{number}.jpg", number)
    coco(first, 4)
    xlabel.pack(first.images, first.labels, first.pack)
    push(first.pack, url)
    second = Work.pulled(url, first, tmp_path / "b")
    first.draw("new.jpg", 9)
    first.update()
    push(first.pack, url)
    coco(second, 3)
    second.update()
    push(second.pack, url)
    with xlabel.open_bundle(second.pack) as bundle:
        found = {(one.id, one.bbox) for one in bundle["2.jpg"].annotations}
    assert found == {(7, (0, 0, 4, 4)), (9, (0, 0, 3, 4))}


def test_an_image_that_both_have_added_is_stored_once(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    works = two(url, tmp_path)
    for who, work in enumerate(works):
        for name in ("same.jpg", "labelled.jpg"):
            work.draw(name, len(name), 100_000)
            work.label(name, 2)
        work.label("labelled.jpg", who)
        work.update()
    push(works[0].pack, url)
    size = len(works[0].files["media_bundle.mp4"])
    notes = " ".join(push(works[1].pack, url).notes)
    assert "ours count: 1 image, labelled.jpg" in notes
    found = shared(url, *works)
    assert len(found["same.jpg"][1]) == 3
    assert len(found["labelled.jpg"][1]) == 2
    assert len(works[1].files["media_bundle.mp4"]) < size + 50_000


def test_problems_and_empty_files_of_both_are_there(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    works = two(url, tmp_path)
    both = msgspec.json.decode(works[0].files["frame_manifest.json"])
    assert both["empty"] == both["problems"] == []
    for who, work in enumerate(works):
        (work.images / f"empty{who}.jpg").touch()
        (work.images / f"broken{who}.jpg").write_bytes(b"\xff\xd8 no more")
        work.update()
        push(work.pack, url)
    shared(url, *works)
    found = msgspec.json.decode(works[1].files["frame_manifest.json"])
    told = {name for name in ("broken0.jpg", "broken1.jpg") if name in str(found["problems"])}
    assert told == {"broken0.jpg", "broken1.jpg"}
    assert found["empty"] == ["empty0.jpg", "empty1.jpg"]


def test_an_empty_file_that_one_has_removed_does_not_come_back(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first = Work(tmp_path / "a", 4)
    (first.images / "empty.jpg").touch()
    first.update()
    push(first.pack, url)
    second = Work.pulled(url, first, tmp_path / "b")
    (first.images / "empty.jpg").unlink()
    first.draw("new.jpg", 5)
    first.update()
    push(first.pack, url)
    second.label("0001.jpg", 5)
    second.update()
    push(second.pack, url)
    assert msgspec.json.decode(second.files["frame_manifest.json"])["empty"] == []


def test_an_image_that_both_have_renamed_is_told_and_kept_under_both_names(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    for work, name in ((first, "left.jpg"), (second, "right.jpg")):
        work.rename("0001.jpg", name)
        work.rename("0002.jpg", "same.jpg")
        work.update()
    push(first.pack, url)
    notes = " ".join(push(second.pack, url).notes)
    told = "renamed, and kept under both names: 1 image, 0001.jpg (left.jpg theirs, right.jpg ours);"
    assert told in notes
    found = shared(url, first, second)
    assert found["left.jpg"] == found["right.jpg"]
    assert found["left.jpg"][0] == first.digest("left.jpg")
    assert "same.jpg" in found
    assert not {"0001.jpg", "0002.jpg"} & {*found}


def test_an_image_under_two_names_is_one_that_zip_readers_unpack(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    works = two(url, tmp_path)
    for work, name in zip(works, ("left.jpg", "right.jpg"), strict=True):
        work.rename("0001.jpg", name)
        work.rename("0002.jpg", "same.jpg")
        work.update()
        push(work.pack, url)
    media = works[1].pack / "media_bundle.mp4"
    found = {key: digest for key, (digest, _) in shared(url, *works).items()}
    with zipfile.ZipFile(media) as archive:
        assert {*archive.namelist()} == {*found}
        assert hashlib.sha256(archive.read("right.jpg")).hexdigest() == found["right.jpg"]
    for name, *how in (("unzip", "-q"), ("7z", "x", "-tzip")):
        out = tmp_path / name
        out.mkdir()
        done = subprocess.run([tool(name), *how, str(media)], cwd=out, capture_output=True)
        assert done.returncode <= 1, done.stdout + done.stderr  # 1: an old name stands in a local header
        assert {at.name: hashlib.sha256(at.read_bytes()).hexdigest() for at in out.iterdir()} == found
    size = media.stat().st_size
    works[1].rename("same.jpg", "again.jpg")
    works[1].update()
    assert media.stat().st_size - size < 10_000  # what has one name is not copied


def test_an_image_that_others_have_renamed_and_we_relabelled_is_told_and_kept(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.rename("0001.jpg", "left.jpg")
    first.update()
    push(first.pack, url)
    second.label("0001.jpg", 8)
    second.update()
    notes = " ".join(push(second.pack, url).notes)
    assert "kept under both names: 1 image, 0001.jpg (left.jpg theirs, 0001.jpg ours)" in notes
    assert "removed by others" not in notes
    found = shared(url, first, second)
    assert (len(found["left.jpg"][1]), len(found["0001.jpg"][1])) == (2, 3)


def test_images_that_others_have_added_stay_until_the_folder_has_had_them(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    for who, work in enumerate((first, second)):
        work.draw(f"theirs{who}.jpg", 50 + who)
        work.label(f"theirs{who}.jpg", 2)
        work.update()
    push(first.pack, url)
    assert "until then an update leaves them as they are" in " ".join(push(second.pack, url).notes)
    pull(url, first.pack)
    both = state(first.pack)
    assert len(both) == 8 and both == state(second.pack)
    for work, other in ((first, "theirs1.jpg"), (second, "theirs0.jpg")):
        work.remove("0001.jpg")
        report = update(work.images, work.labels, work.pack)
        (note,) = (note for note in report.notes if "others have added" in note)
        assert f"1 image that others have added stay, although {work.images} never had them: {other}" in note
        assert state(work.pack) == {key: found for key, found in both.items() if key != "0001.jpg"}
        xlabel.compact(work.pack)
        update(work.images, work.labels, work.pack)
        assert other in state(work.pack)
        assert xlabel.verify(work.pack).problems == []
    first.take(second, ["theirs1.jpg"])
    first.update()
    first.remove("theirs1.jpg")
    first.update()  # it was there, and was taken away
    assert "theirs1.jpg" not in state(first.pack)
    update(second.images, second.labels, second.pack, overwrite=True)
    assert "theirs0.jpg" not in state(second.pack)


def test_an_update_says_which_images_it_adds_again_that_others_have_removed(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.remove("0001.jpg")
    first.update()
    push(first.pack, url)
    second.draw("new.jpg", 50)
    second.update()
    push(second.pack, url)  # takes in that it was removed
    assert "0001.jpg" not in state(second.pack)

    def told(work: Work) -> list[str]:
        notes = update(work.images, work.labels, work.pack).notes
        return [note for note in notes if "others have removed" in note]

    (note,) = told(second)
    assert f"1 image that others have removed or renamed are added again, since {second.images}" in note
    assert "still has them: 0001.jpg; remove them there, too" in note
    assert "0001.jpg" in state(second.pack) and told(second) == []
    second.remove("0001.jpg")
    assert told(second) == []
    second.draw("0001.jpg", 1)
    assert told(second) == [], "it was not others who removed it last"
    push(second.pack, url)
    pull(url, first.pack)
    second.remove("0002.jpg")
    second.update()
    push(second.pack, url)
    pull(url, first.pack)
    (note,) = told(first)
    assert ": 0002.jpg; " in note


def test_images_of_others_stay_whatever_was_compacted_moved_or_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.draw("theirs.jpg", 50)
    first.remove("0003.jpg")
    first.update()
    xlabel.compact(first.pack)
    push(first.pack, url)
    pull(url, second.pack)  # all of it: the media is another one
    second.pack = second.pack.rename(second.root / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    second.remove("0001.jpg")
    second.update()
    assert set(state(second.pack)) == {"theirs.jpg"} | {f"000{n}.jpg" for n in (0, 2, 3, 4, 5)}
    push(second.pack, url)
    assert "theirs.jpg" in shared(url, first, second)


def test_a_pull_that_was_killed_at_any_step_forgets_no_image_of_others(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two(url, tmp_path)
    first.draw("theirs.jpg", 50)
    first.update()
    push(first.pack, url)
    before = tree(second.pack)
    for _ in at_each_step(partial(pull, url, second.pack)):
        pull(url, second.pack)
        second.update()
        assert "theirs.jpg" in state(second.pack)
        put(before, second.pack)


@pytest.mark.parametrize("media", ["a.tar", "a.zip"])
def test_an_update_that_cannot_keep_images_of_others_is_refused(tmp_path: Path, media: str) -> None:
    url = (tmp_path / "there").as_uri()
    first = Work(tmp_path / "a")
    first.draw("mine.jpg", 1)
    xlabel.pack(first.images, None, first.pack, media=media)
    push(first.pack, url)
    second = Work.pulled(url, first, tmp_path / "b")
    first.draw("theirs.jpg", 2)
    update(first.images, None, first.pack)
    push(first.pack, url)
    pull(url, second.pack)
    before = tree(second.pack)
    with pytest.raises(ExistsError, match=r"1 image that others have added .*theirs\.jpg"):
        update(second.images, None, second.pack)
    assert tree(second.pack) == before
    update(second.images, None, second.pack, overwrite=True)
    assert list(state(second.pack)) == ["mine.jpg"]


@pytest.mark.parametrize("named", [("car", "boat"), ("boat", "car")])
def test_labels_of_images_that_stay_keep_their_categories_and_are_no_others_by_id(
    tmp_path: Path, named: tuple[str, str]
) -> None:
    def coco(work: Work, file: str, *names: str) -> None:
        said = {
            "images": [{"id": 1, "file_name": file, "width": 32, "height": 32}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 4, 4], "iscrowd": 0}],
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        }
        (work.labels / "coco.json").write_bytes(msgspec.json.encode(said))

    url = (tmp_path / "there").as_uri()
    first = Work(tmp_path / "a")
    first.draw("a.jpg", 1)
    coco(first, "a.jpg", "boat", "car")
    xlabel.pack(first.images, first.labels, first.pack)
    push(first.pack, url)
    second = Work.pulled(url, first, tmp_path / "b")
    first.draw("b.jpg", 2)
    coco(first, "b.jpg", "boat", "car")
    first.update()
    push(first.pack, url)
    pull(url, second.pack)
    coco(second, "a.jpg", *named)
    second.update()
    with xlabel.open_bundle(second.pack) as bundle:
        for key, name in (("b.jpg", "car"), ("a.jpg", named[1])):
            assert [str(label.category and label.category.name) for label in bundle[key].annotations] == [
                name
            ]
    assert xlabel.verify(second.pack).problems == []
    labels = COCO(str(second.pack / "unified_annotation.json"))
    assert len(labels.imgs) == len(labels.anns) == 2
