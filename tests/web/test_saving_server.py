"""What is saved by the review server is in the images: whole, merged, and nothing else is changed."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin
from tests.awkward import picture
from tests.tools import SAMPLE, run, tool, tree
from tests.web.asking import Client, added, box, changed, deleted

import xlabel
from xlabel.jobs import saving

Serve = Callable[..., Client]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Begins reviews in this process, that end with the test; gives somebody who has it open."""
    with ExitStack() as stack:

        def begun(images: Path, labels: Path | None = None, **options: Any) -> Client:
            page = xlabel.review(images, labels, **options)
            stack.callback(page.stop)
            return stack.enter_context(Client(page.url))

        yield begun


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three small images."""
    place = tmp_path / "images"
    place.mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg", "c.png")):
        kind = "PNG" if name.endswith("png") else "JPEG"
        (place / name).write_bytes(picture(kind, (32, 24), seed=number))
    return place


def pixels(path: Path) -> bytes:
    with Pillow.open(path) as image:
        return image.tobytes()


def stored(path: Path) -> Any:
    """The labels' document in an image, as ExifTool sees it."""
    told = json.loads(run(tool("exiftool"), "-json", "-UserComment", path))[0]
    return json.loads(told["UserComment"])["labels"]


def test_what_is_saved_is_in_the_image_and_the_pixels_are_as_they_were(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    before = pixels(folder / "a.jpg")
    label = box(5, 2.25, score=0.5, status="accepted", attributes={"pose": "left"}, colour="red")
    client.saved(client.picture(), added(label))
    document = stored(folder / "a.jpg")
    (found,) = document["annotations"]
    assert found["bbox"] == [2.25, 1, 3, 4] and found["id"] == 5
    assert found["author"] == "Ann" and found["time"].endswith("Z") and found["source"] == {"kind": "human"}
    assert found["extra"] == {"colour": "red"}, "what no label has is kept all the same"
    assert [category["name"] for category in document["categories"]] == ["dog"]
    assert pixels(folder / "a.jpg") == before
    xlabel.strip(folder)
    assert (folder / "a.jpg").read_bytes() == picture("JPEG", (32, 24), seed=0)


def test_two_people_see_each_others_labels_and_clash_only_where_they_do(serve: Serve, folder: Path) -> None:
    ann = serve(folder)
    seen = ann.saved(ann.picture(), added(box(1)), added(box(2)))
    one, two = seen["labels"]
    ann.saved(seen, changed(one, bbox=[9, 1, 3, 4]))
    with Client(ann.url, "Bob") as bob:
        answer = bob.send(seen, changed(one, bbox=[5, 1, 3, 4]), deleted(two), added(box(3)))
    assert answer.status_code == 409
    (clash,) = answer.json()["clashes"]
    assert (clash["base"]["bbox"][0], clash["mine"]["bbox"][0], clash["theirs"]["bbox"][0]) == (1, 5, 9)
    assert clash["theirs"]["author"] == "Ann"
    assert {label["id"]: label["author"] for label in ann.labels().values()} == {1: "Ann", 3: "Bob"}
    ann.saved(seen, changed(clash["theirs"], bbox=[5, 1, 3, 4]))
    assert ann.labels()[1]["bbox"][0] == 5


def test_labels_of_many_who_save_at_once_are_all_there(serve: Serve, folder: Path) -> None:
    """Half of them by another server, which knows nothing of the first."""
    here, there = serve(folder), serve(folder / "a.jpg")
    seen = here.picture()

    def work(client: Client, first: int) -> None:
        with Client(client.url) as own:
            for number in range(first, first + 5):
                own.saved(seen, added(box(number)))

    people = enumerate([here, there] * 2, 1)
    threads = [threading.Thread(target=work, args=[client, 10 * at]) for at, client in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(here.labels()) == sorted(n for first in (10, 20, 30, 40) for n in range(first, first + 5))
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_label_files_are_shown_and_embedded_at_the_first_save(serve: Serve, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "sample")
    images, labels = tmp_path / "sample" / "raw_images", tmp_path / "sample" / "raw_labels"
    before = tree(labels)
    client = serve(images)
    number = client.get("api/number?key=street/001.jpg")["number"]
    seen = client.picture(number)
    assert (seen["from"], len(seen["labels"])) == ("files", 8)
    after = client.saved(seen, changed(seen["labels"][0], status="accepted"))
    assert (after["from"], len(after["labels"])) == ("image", 8)
    assert [label["id"] for label in after["labels"]] == [label["id"] for label in seen["labels"]]
    assert tree(labels) == before
    assert len(xlabel.labels(images / "street" / "001.jpg")) == 8


def test_a_category_has_the_same_id_in_all_images(serve: Serve, folder: Path) -> None:
    cat = xlabel.Category(id=7, name="cat")
    xlabel.embed(folder / "b.jpg", [xlabel.Annotation(category=cat, bbox=(1, 1, 2, 2))])
    client = serve(folder)
    client.picture(1)
    for number in (0, 2):
        client.saved(client.picture(number), added(box(1, category="cat")), added(box(2, category="owl")))
    found = [xlabel.labels(folder / name) for name in ("a.jpg", "b.jpg", "c.png")]
    ids = {(label.category.name, label.category.id) for labels in found for label in labels if label.category}
    assert ids == {("cat", 7), ("owl", 8)}


def bitmap(path: Path) -> Path:
    """An image of a kind that holds no labels."""
    path.write_bytes(picture("BMP", (32, 24)))
    return path


def test_an_image_that_cannot_hold_labels_says_so_before_anybody_draws(serve: Serve, folder: Path) -> None:
    bitmap(folder / "d.bmp")
    client = serve(folder)
    seen = client.picture(3)
    assert "--sidecar" in seen["readonly"] and "image/bmp" in seen["readonly"]
    assert client.get("api/cards?n=0,3")[1]["readonly"] == seen["readonly"]
    before = tree(folder)
    assert client.refused(seen, added(box(1)))[:2] == (403, "read-only")
    assert tree(folder) == before


def test_labels_go_beside_an_image_that_cannot_hold_them_where_said(serve: Serve, folder: Path) -> None:
    path = bitmap(folder / "d.bmp")
    before = path.read_bytes()
    client = serve(folder, sidecar=True)
    seen = client.saved(client.picture(3), added(box(1)))
    assert (seen["from"], seen["readonly"]) == ("sidecar", None)
    since = client.get("api/status?since=")["since"]
    assert client.saved(seen, added(box(2)))["version"] != seen["version"]
    assert client.get(f"api/status?since={since}")["changed"] == [3]
    assert path.read_bytes() == before
    assert [label.id for label in xlabel.labels(path)] == [1, 2]


def test_more_labels_than_an_image_takes_go_beside_it_all(
    serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(folder, sidecar=True)
    seen = client.saved(client.picture(), added(box(1)))
    assert seen["from"] == "image"

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("the labels are more than this image takes")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "embedded", refuse)
        seen = client.saved(seen, added(box(2)))
    assert (seen["from"], len(seen["labels"])) == ("sidecar", 2)
    assert (folder / "a.jpg").read_bytes() == picture("JPEG", (32, 24), seed=0)
    seen = client.saved(seen, deleted(seen["labels"][1]))
    assert (seen["from"], len(seen["labels"])) == ("image", 1)
    assert not list(folder.glob("*.xlabel"))


def test_somebody_elses_comment_gives_way_only_where_that_is_said(serve: Serve, folder: Path) -> None:
    path = folder / "a.jpg"
    run(tool("exiftool"), "-q", "-overwrite_original", "-UserComment=mine", path)
    before = path.read_bytes()
    client = serve(folder)
    assert "--overwrite" in client.picture()["readonly"]
    assert client.refused(client.picture(), added(box(1)))[0] == 403
    assert path.read_bytes() == before
    client = serve(folder, overwrite=True)
    assert client.saved(client.picture(), added(box(1)))["readonly"] is None
    xlabel.strip(path)
    assert path.read_bytes() == before


def test_what_others_write_into_an_image_meanwhile_stays(serve: Serve, folder: Path) -> None:
    path = folder / "a.jpg"
    client = serve(folder)
    seen = client.saved(client.picture(), added(box(1)))
    run(tool("exiftool"), "-q", "-overwrite_original", "-XMP-dc:Title=Morning", "-Artist=Ann", path)
    client.saved(seen, added(box(2)))
    told = json.loads(run(tool("exiftool"), "-json", "-Title", "-Artist", path))[0]
    assert (told["Title"], told["Artist"]) == ("Morning", "Ann")
    assert sorted(client.labels()) == [1, 2]


def test_face_regions_stay_where_there_were_some(serve: Serve, folder: Path) -> None:
    path = folder / "a.jpg"
    person = xlabel.Category(id=1, name="person")
    xlabel.embed(path, [xlabel.Annotation(category=person, bbox=(4, 4, 8, 8), id=1)], mwg=True)
    client = serve(folder)
    client.saved(client.picture(), added(box(2, 10, category="person")))
    told = json.loads(run(tool("exiftool"), "-json", "-RegionType", path))[0]["RegionType"]
    assert told == ["Face", "Face"]


def test_an_image_that_is_gone_or_another_is_not_written(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    seen = client.picture()
    path = folder / "a.jpg"
    path.write_bytes(picture("JPEG", (32, 24), seed=9))
    before = tree(folder)
    assert client.refused(seen, added(box(1)))[:2] == (410, "replaced")
    path.unlink()
    assert client.refused(seen, added(box(1)))[:2] == (410, "gone")
    shutil.rmtree(folder)
    assert client.refused(seen, added(box(1)))[:2] == (410, "gone")
    assert not folder.exists()
    folder.mkdir()
    path.write_bytes(picture("JPEG", (32, 24), seed=0))
    client.saved(seen, added(box(1)))
    assert before.keys() > {b"a.jpg"}


def test_links_stay_links_and_another_name_keeps_the_file(serve: Serve, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.jpg"
    shutil.move(folder / "a.jpg", elsewhere)
    (folder / "a.jpg").symlink_to(elsewhere)
    os.link(folder / "b.jpg", tmp_path / "other.jpg")
    client = serve(folder)
    for number in (0, 1):
        client.saved(client.picture(number), added(box(1)))
    assert (folder / "a.jpg").is_symlink() and len(xlabel.labels(elsewhere)) == 1
    assert (tmp_path / "other.jpg").read_bytes() == picture("JPEG", (32, 24), seed=1)


def test_a_full_disk_leaves_the_file_as_it_was(
    serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(folder)
    seen = client.saved(client.picture(), added(box(1)))
    before = tree(folder)

    def full(fd: int, pieces: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        assert client.refused(seen, added(box(2)))[:2] == (507, "disk-full")
    assert tree(folder) == before
    assert sorted(label["id"] for label in client.saved(seen, added(box(2)))["labels"]) == [1, 2]


def test_labels_that_cannot_be_read_are_not_written_over(serve: Serve, folder: Path) -> None:
    path = folder / "c.png"
    xlabel.embed(path, [xlabel.Annotation(caption="here")])
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"caption":"here"', b'"caption":"gone"'))
    client = serve(folder)
    seen = client.picture(2)
    assert "cannot be read" in seen["readonly"]
    assert client.refused(seen, added(box(1)))[0] == 403


def test_ten_megabytes_of_metadata_are_kept(serve: Serve, folder: Path) -> None:
    text = PngImagePlugin.PngInfo()
    words = os.urandom(5_000_000).hex()
    text.add_text("story", words)
    with Pillow.open(folder / "c.png") as image:
        image.load()
        image.save(folder / "c.png", pnginfo=text)
    client = serve(folder)
    seen = client.saved(client.picture(2), added(box(1)))
    client.saved(seen, added(box(2)))
    with Pillow.open(folder / "c.png") as image:
        image.load()
        assert image.info["story"] == words
    assert len(xlabel.labels(folder / "c.png")) == 2


NAMES = (
    b"new\nline.jpg",
    b"bidi\xe2\x80\xaegpj.jpg",
    b"<script>alert(1)<.jpg",
    b"\xff\xfe.jpg",
    b"..\\.jpg",
    "é日.jpg".encode(),
)


def test_names_that_try_something_are_names(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(picture("JPEG", (32, 24), seed=number))
    client = serve(folder)
    evil = "</script><b>\u202e\n../x"
    for number in range(len(NAMES)):
        seen = client.picture(number)
        client.saved(seen, added(box(1, category=evil)), author="\u202eAnn\n")
        assert client.labels(number)[1]["category"] == evil
        assert client._http.get(f"images/{number}").headers["content-type"] == "image/jpeg"
    assert sorted(tree(folder)) == sorted(NAMES)


def test_who_may_not_write_is_told_why(folder: Path) -> None:
    """By a server with the rights of its user alone: who is root otherwise writes everywhere."""
    (folder / "b.jpg").chmod(0o444)
    command = [sys.executable, "-m", "xlabel", "review", str(folder), "--no-open"]
    if os.geteuid() == 0:
        command = [tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search,-fowner", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        client = Client(process.stdout.readline().removeprefix("review: ").strip())
        try:
            assert client.get("api/session")["readonly"] is None
            assert client.picture(0)["readonly"] is None
            assert client.picture(1)["readonly"].startswith("the file is read-only")
            assert client.refused(client.picture(1), added(box(1)))[:2] == (403, "read-only")
            folder.chmod(0o555)
            assert "cannot be written" in client.get("api/session")["readonly"]
            seen = client.picture(0)
            assert "cannot be written" in seen["readonly"]
            assert client.refused(seen, added(box(1)))[:2] == (403, "read-only")
        finally:
            client.close()
            folder.chmod(0o755)
            process.terminate()
    assert process.returncode == 0
