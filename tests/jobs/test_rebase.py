"""Two writers at one URL: nobody's images and labels are lost, whatever both have changed."""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.pushing import Work, at_url, shared, two_works
from tests.tools import tool

import xlabel
from xlabel.errors import InputError
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.update import update


def test_changes_of_both_to_one_image_are_told_and_the_later_counts(url: str, tmp_path: Path) -> None:
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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


def test_media_that_was_written_anew_is_no_ground_for_a_rebase(tmp_path: Path) -> None:
    for who in (0, 1):
        url = (tmp_path / f"there{who}").as_uri()
        both = two_works(url, tmp_path / str(who), 8)
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
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)

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
    works = two_works(url, tmp_path)
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
    works = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
    works = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
