"""What the server is asked about many images, and its pictures; other tools look at what came of it."""

import io
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.tools import SAMPLE, tool

import xlabel
from xlabel.jobs import gallery
from xlabel.jobs import labels as labelling
from xlabel.jobs.desk import AT_ONCE, Review
from xlabel.jobs.selection import select
from xlabel.model import Annotation, Category
from xlabel.web.app import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample's images with their labels inside, without label files, and a TIFF."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(SAMPLE / "raw_images", tmp_path / "images")
    xlabel.embed(tmp_path / "images", SAMPLE / "raw_labels")
    with Image.open(tmp_path / "images" / "unlabelled.jpg") as picture:
        picture.rotate(90, expand=True).save(tmp_path / "images" / "z.tiff")
    return tmp_path / "images"


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    selected = select(folder)
    monkeypatch.setattr(gallery, "AGAIN", 0.0)
    monkeypatch.setattr(gallery, "PAUSE", 0)
    desk = Review(selected, labelling.find(selected, None, None), "ann")
    desk.start()
    with TestClient(app(desk)) as client:
        yield client
    desk.stop()


def asked(client: TestClient, path: str, body: Any = None) -> Any:
    answer = client.get(path) if body is None else client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def tags(*files: Path) -> list[Any]:
    """What ExifTool sees of the labels in images."""
    command = [tool("exiftool"), "-j", "-b", "-UserComment", *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=True)
    return [json.loads(found["UserComment"])["labels"] for found in json.loads(done.stdout)]


def saving(change: Any) -> Any:
    """A change of the first image's labels."""
    return {"number": 0, "key": "harbour/001.jpg", "changes": [change]}


def wait(done: Callable[[], Any]) -> None:
    until = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def labelled(client: TestClient) -> list[int]:
    cards = asked(client, "api/cards?n=" + ",".join(map(str, range(20))))
    return [card["number"] for card in cards if card["labels"]]


def categories(folder: Path, keys: Iterable[str]) -> list[list[str | None]]:
    """The categories of the labels of each image."""
    found = []
    for labels in tags(*(folder / key for key in keys)):
        names = {category["id"]: category["name"] for category in labels["categories"]}
        found.append([names.get(annotation.get("category")) for annotation in labels["annotations"]])
    return found


def test_many_images_are_relabelled_and_it_is_undone(client: TestClient, folder: Path) -> None:
    numbers = labelled(client)
    keys = [asked(client, f"api/images/{number}")["key"] for number in numbers]
    before = categories(folder, keys)
    action = {"kind": "relabel", "from": "boat", "to": "ship"}
    bulk = asked(client, "api/bulk", {"numbers": numbers, "action": action, "author": "bo"})
    assert not bulk["failed"]
    renamed = [["ship" if name == "boat" else name for name in names] for names in before]
    assert categories(folder, keys) == renamed != before
    undo = [
        item
        | {
            "changes": [
                change | {"before": change["after"], "after": change["before"]} for change in item["changes"]
            ]
        }
        for item in bulk["done"]
    ]
    asked(client, "api/changes", {"items": undo, "author": "bo"})
    assert categories(folder, keys) == before


def test_suggestions_are_accepted_by_who_says_so(client: TestClient, folder: Path) -> None:
    image = folder / "unlabelled.jpg"
    suggestion = Annotation(
        category=Category(id=1, name="dog"),
        bbox=(1, 2, 30, 40),
        score=0.5,
        status="suggestion",
        source=xlabel.Source(kind="model", name="m", hash="h"),
    )
    xlabel.embed(image, [suggestion])
    number = asked(client, "api/number?key=unlabelled.jpg")["number"]
    assert asked(client, f"api/images/{number}")["state"] == "todo"
    asked(client, "api/bulk", {"numbers": [number], "action": {"kind": "accept"}, "author": "bo"})
    (label,) = tags(image)[0]["annotations"]
    assert (label["status"], label["author"], label["source"]["name"]) == ("accepted", "bo", "m")
    assert asked(client, f"api/images/{number}")["state"] == "labelled"


def test_what_fails_is_told_and_the_others_are_done(client: TestClient, folder: Path) -> None:
    first, second, *_ = labelled(client)
    key = asked(client, f"api/images/{first}")["key"]
    (folder / key).unlink()
    bulk = asked(client, "api/bulk", {"numbers": [first, second], "action": {"kind": "tag", "name": "night"}})
    assert [item["number"] for item in bulk["done"]] == [second]
    assert [item["key"] for item in bulk["failed"]] == [key]
    (gone,) = asked(client, f"api/cards?n={first}")
    assert "no longer there" in gone["error"]
    assert client.get(f"api/images/{first}").status_code == 410


def test_what_is_no_file_any_more_harms_no_neighbour(client: TestClient, folder: Path) -> None:
    first, second, third, *_ = labelled(client)
    key = asked(client, f"api/images/{second}")["key"]
    (folder / key).unlink()
    os.mkfifo(folder / key)
    action = {"kind": "split", "name": "val"}
    bulk = asked(client, "api/bulk", {"numbers": [first, second, third], "action": action})
    assert [item["number"] for item in bulk["done"]] == [first, third]
    assert [item["key"] for item in bulk["failed"]] == [key]
    cards = asked(client, f"api/cards?n={first},{second},{third}")
    assert [card["error"] is None for card in cards] == [True, False, True]


def test_an_image_may_become_shorter_while_it_is_asked_for(client: TestClient, folder: Path) -> None:
    place = folder / "z.tiff"
    data = place.read_bytes()
    place.write_bytes(data + bytes(30_000_000))
    number = asked(client, "api/number?key=z.tiff")["number"]
    stop = threading.Event()

    def shorten() -> None:
        while not stop.is_set():
            place.write_bytes(data)
            os.truncate(place, len(data) + 30_000_000)

    thread = threading.Thread(target=shorten)
    thread.start()
    try:
        answers = {client.get(f"api/images/{number}").status_code for _ in range(20)}
    finally:
        stop.set()
        thread.join()
    assert answers <= {200, 422}


def test_a_cut_off_image_is_told(client: TestClient, folder: Path) -> None:
    place = folder / "unlabelled.jpg"
    place.write_bytes(place.read_bytes()[:-2000])
    number = asked(client, "api/number?key=unlabelled.jpg")["number"]
    assert "cut-off" in [one["code"] for one in asked(client, f"api/images/{number}")["problems"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("api/bulk", {"numbers": [0], "action": {"kind": "burn"}}, 400),
        ("api/bulk", {"numbers": [0] * (AT_ONCE + 1), "action": {"kind": "accept"}}, 400),
        ("api/bulk", {"numbers": ["0"], "action": {"kind": "accept"}}, 400),
        ("api/query", {"where": "category: ("}, 422),
        ("api/query", {"order": "colour"}, 400),
        ("api/save", {"number": 99999, "key": "a", "changes": []}, 404),
        ("api/save", {"number": 0, "key": "another", "changes": []}, 404),
        ("api/segment", {"number": 0}, 400),
        ("api/save", saving({"id": 1, "before": None, "after": {"bbox": [10**400, 1, 2, 3]}}), 422),
        ("api/query", [], 400),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    client: TestClient, path: str, body: Any, status: int
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) >= {"code", "message"}


def test_a_review_that_never_was_is_a_clash(client: TestClient) -> None:
    change = {"field": "review", "before": [1], "after": {"state": "reviewed"}}
    assert client.post("api/save", json=saving(change)).status_code == 409


def test_a_place_in_a_wrong_expression_is_told(client: TestClient) -> None:
    error = client.post("api/query", json={"where": "width > wide"}).json()["error"]
    assert (error["code"], error["at"]) == ("bad-expression", 8)


def test_pictures_are_the_files_themselves_or_decoded_without_loss(client: TestClient, folder: Path) -> None:
    number = asked(client, "api/number?key=unlabelled.jpg")["number"]
    answer = client.get(f"images/{number}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == (folder / "unlabelled.jpg").read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    number = asked(client, "api/number?key=z.tiff")["number"]
    answer = client.get(f"images/{number}")
    assert answer.headers["content-type"] == "image/png"
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(np.asarray(shown), np.asarray(cv2.imread(str(folder / "z.tiff"))))


def test_thumbnails_are_small_and_follow_the_file(client: TestClient, folder: Path) -> None:
    number = asked(client, "api/number?key=unlabelled.jpg")["number"]
    first = client.get(f"thumbs/{number}")
    with Image.open(io.BytesIO(first.content)) as small:
        assert (small.format, max(small.size)) == ("WEBP", 320)
    assert client.get(f"thumbs/{number}").content == first.content
    with Image.open(folder / "unlabelled.jpg") as picture:
        turned = picture.convert("L")
    turned.save(folder / "new.jpg")
    (folder / "new.jpg").replace(folder / "unlabelled.jpg")
    assert client.get(f"thumbs/{number}").content != first.content


def test_an_image_that_cannot_be_decoded_says_so(client: TestClient, folder: Path) -> None:
    number = asked(client, "api/number?key=z.tiff")["number"]
    (folder / "z.tiff").write_bytes((folder / "z.tiff").read_bytes()[:100])
    for path in ("thumbs", "images"):
        answer = client.get(f"{path}/{number}")
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith("z.tiff: ")


def test_numbers_that_are_none_are_no_images(client: TestClient) -> None:
    assert client.get("api/cards?n=a").status_code == 400
    assert client.get("api/images/99999").status_code == 404
    assert client.get("api/number?key=nobody").status_code == 404
    assert client.get("thumbs/99999").status_code == 404


def test_what_a_team_has_agreed_on_comes_first(client: TestClient, folder: Path) -> None:
    (folder / "labels.toml").write_text(
        """
        attributes = [{name = "truncated", type = "boolean"}]
        keys = {accept = "y"}

        [[categories]]
        name = "ship"
        colour = "#123456"
        key = "w"
        keypoints = ["bow", "stern"]
        skeleton = [[1, 2]]
        attributes = [{name = "kind", choices = ["cargo", "ferry"]}]
        """
    )
    session = asked(client, "api/session")
    first, second = session["categories"][:2]
    assert (first["name"], first["colour"], first["key"]) == ("ship", "#123456", "w")
    assert [one["name"] for one in first["attributes"]] == ["kind", "truncated"]
    assert second["key"] == "1"
    assert session["keys"]["accept"] == ["y"]
    (folder / "labels.toml").write_text("categories = 3")
    answer = client.get("api/session")
    assert answer.status_code == 422
    assert "labels.toml: categories: expected" in answer.json()["error"]["message"]


def test_the_most_doubtful_images_come_first_and_the_least_alike(client: TestClient, folder: Path) -> None:
    for score, name in ((0.9, "harbour/001.jpg"), (0.45, "street/001.jpg"), (0.7, "yard/001.jpg")):
        label = Annotation(
            category=Category(id=1, name="dog"), bbox=(1, 2, 30, 40), score=score, status="suggestion"
        )
        xlabel.embed(folder / name, [label])
    asked(client, "api/status")
    wait(lambda: asked(client, "api/query", {"where": "suggestions > 0"})["numbers"][2:])
    found = asked(client, "api/query", {"where": "suggestions > 0", "order": "uncertainty"})["numbers"]
    keys = [asked(client, f"api/images/{number}")["key"] for number in found]
    assert keys == ["street/001.jpg", "yard/001.jpg", "harbour/001.jpg"]
    first = asked(client, "api/query", {"order": "diversity"})
    wait(lambda: (status := asked(client, "api/status"))["looked"] == status["total"])
    settled = asked(client, "api/query", {"order": "diversity"})["numbers"]
    assert sorted(settled) == sorted(first["numbers"])
    scenes = {asked(client, f"api/images/{number}")["key"].split("/")[0] for number in settled[:3]}
    assert len(scenes) == 3
