"""The images of a folder in short: looked at once, known again, and seen to change."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import small

import xlabel
from xlabel.errors import InputError
from xlabel.jobs import gallery as galleries
from xlabel.jobs.categories import Categories
from xlabel.jobs.gallery import Gallery, Listing, by_date
from xlabel.jobs.saving import Held, Labelled
from xlabel.model import Annotation, Category
from xlabel.stores.local import scan

DOG, CAT = Category(id=1, name="dog"), Category(id=2, name="cat")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images with labels inside: the first has a dog, the second a suggested cat, the others none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(galleries, "AGAIN", 0.0)
    monkeypatch.setattr(galleries, "PAUSE", 0)
    images, _ = small.build(tmp_path / "set", count=5)
    pictures = sorted(path for path in images.rglob("*") if path.is_file())
    xlabel.embed(pictures[0], [Annotation(category=DOG, bbox=(1, 1, 3, 3))])
    suggested = Annotation(category=CAT, bbox=(1, 1, 3, 3), status="suggestion", score=0.4)
    xlabel.embed(pictures[1], [suggested])
    for number, picture in enumerate(pictures):
        os.utime(picture, (10_000 - number, 10_000 - number))
    return images


class Counting:
    """Labels of a folder, and how often each image's were asked for."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[bytes] = Counter()
        self._labelled = Labelled(str(folder), None)
        self.categories = self._labelled.categories

    def __call__(self, name: bytes) -> Held:
        self.counts[name] += 1
        return self._labelled.load(name)


def opened(folder: Path, load: Callable[[bytes], Held] | None = None) -> Gallery:
    load = load or Counting(folder)
    categories = load.categories if isinstance(load, Counting) else Categories()
    gallery = Gallery(scan(folder), "", categories, load)
    gallery.start()
    wait(lambda: gallery.status("")["looked"] == gallery.status("")["total"])
    return gallery


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)


def chosen(gallery: Gallery, where: str = "") -> list[str]:
    return [gallery.keys[number] for number in gallery.listing(where, None).numbers]


@pytest.fixture
def gallery(folder: Path) -> Iterator[Gallery]:
    opened_here = opened(folder)
    yield opened_here
    opened_here.stop()


def test_images_are_listed_by_key_and_counted(gallery: Gallery) -> None:
    listing: Listing = gallery.listing("", None)
    assert chosen(gallery) == sorted(gallery.keys)
    assert listing.states == {"todo": 4, "labelled": 1, "reviewed": 0, "rejected": 0}
    assert listing.categories == {
        "cat": {"labels": 1, "images": 1, "suggestions": 1},
        "dog": {"labels": 1, "images": 1, "suggestions": 0},
    }
    assert (listing.total, listing.looked) == (5, 5)


def test_an_expression_chooses(gallery: Gallery) -> None:
    assert len(chosen(gallery, "category: dog")) == 1
    assert len(chosen(gallery, "suggestions > 0 and score < 0.5")) == 1
    assert len(chosen(gallery, "not category: dog")) == 4
    with pytest.raises(InputError):
        gallery.listing("category: (", None)


def test_images_are_sorted_by_the_time_of_their_files(gallery: Gallery) -> None:
    found = [gallery.keys[number] for number in gallery.listing("", by_date).numbers]
    assert found == sorted(gallery.keys, reverse=True)


def test_what_was_looked_at_is_known_at_the_next_start(folder: Path) -> None:
    first, again = Counting(folder), Counting(folder)
    opened(folder, first).stop()
    assert first.counts.total() == 5
    known = opened(folder, again)
    assert again.counts.total() == 0
    assert len(chosen(known, "category: dog")) == 1
    assert [category.name for category in known.categories.met_so_far()] == ["dog", "cat"]


def test_an_image_that_was_changed_meanwhile_is_looked_at_again(folder: Path) -> None:
    opened(folder).stop()
    picture = min(folder.rglob("*.jpg"))
    xlabel.embed(picture, [Annotation(category=CAT, bbox=(0, 0, 2, 2))])
    again = Counting(folder)
    known = opened(folder, again)
    assert again.counts.total() == 1
    assert len(chosen(known, "category: dog")) == 0


def test_a_broken_cache_is_none(folder: Path, tmp_path: Path) -> None:
    opened(folder).stop()
    (kept,) = (tmp_path / "cache").rglob("review2/*")
    kept.write_bytes(kept.read_bytes()[:-7])
    assert len(chosen(opened(folder), "category: dog")) == 1


def test_labels_in_files_are_read_anew_at_each_start(folder: Path) -> None:
    loads: list[Counting] = []
    for _ in range(2):
        loads.append(Counting(folder))
        gallery = Gallery(scan(folder), "labels", Categories(), loads[-1])
        gallery.start()
        wait(lambda gallery=gallery: gallery.status("")["looked"] == 5)  # type: ignore[misc]
        gallery.stop()
    assert loads[1].counts.total() == 3  # those without labels inside, which the files may have some for


def test_a_page_is_told_what_has_changed(gallery: Gallery, folder: Path) -> None:
    since = str(gallery.status("")["since"])
    picture = folder / gallery.keys[2]
    xlabel.embed(picture, [Annotation(category=DOG, bbox=(0, 0, 2, 2))])
    status = gallery.status(since)
    assert status["changed"] == [2]
    assert len(chosen(gallery, "category: dog")) == 2
    assert gallery.status(str(status["since"]))["changed"] == []


def test_images_come_and_go(gallery: Gallery, folder: Path) -> None:
    since = str(gallery.status("")["since"])
    gone = gallery.keys[1]
    (folder / gone).unlink()
    shutil.copy(folder / gallery.keys[0], folder / "0.jpg")
    assert gallery.status(since)["changed"] == [1, 5]
    assert gone not in chosen(gallery)
    assert chosen(gallery, "category: dog") == ["0.jpg", gallery.keys[0]]
    shutil.copy(folder / "0.jpg", folder / gone)
    assert gallery.status(since)["changed"] == [1, 5]
    assert gone in chosen(gallery)


def test_an_image_that_cannot_be_read_is_a_problem_of_its_own(folder: Path) -> None:
    labelled = Labelled(str(folder), None)

    def load(name: bytes) -> Held:
        if name.endswith(b"0.jpg"):
            raise PermissionError(13, "Permission denied")
        return labelled.load(name)

    gallery = opened(folder, load)
    assert len(chosen(gallery, "problem: unreadable")) == 1
    assert len(chosen(gallery)) == 5
