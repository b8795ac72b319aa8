"""An update of a pack that has what others have added, removed and labelled."""

from functools import partial
from pathlib import Path

import msgspec
import pytest
from pycocotools.coco import COCO
from tests.kills import at_each_step
from tests.pushing import Work, shared, state, two_works
from tests.tools import put, tree

import xlabel
from xlabel.errors import ExistsError
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.update import update


def test_images_that_others_have_added_stay_until_the_folder_has_had_them(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
    first, second = two_works(url, tmp_path)
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
