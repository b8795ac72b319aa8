"""A server that is killed while people edit: each image is whole, and what was acknowledged is in it."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image as Pillow
from tests.awkward import picture
from tests.kills import ended, often, started
from tests.tools import run, tool
from tests.web.asking import Client, added, box, changed, deleted

import xlabel
from xlabel.jobs.review import serve

NAMES = ("a.jpg", "b.png", "c.webp")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of several kinds, with words of others in them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "images"
    place.mkdir()
    for number, name in enumerate(NAMES):
        kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[Path(name).suffix]
        (place / name).write_bytes(picture(kind, (200, 150), seed=number))
        run(tool("exiftool"), "-q", "-overwrite_original", "-Artist=Ada", "-XMP-dc:Title=Dawn", place / name)
    return place


def test_a_server_that_is_killed_loses_at_most_the_edit_on_its_way(folder: Path) -> None:
    page = xlabel.review(folder)  # whose address the others have too
    url = page.url
    page.stop()
    originals = {name: (folder / name).read_bytes() for name in NAMES}
    pixels = {name: decoded(folder / name) for name in NAMES}
    expected: list[dict[Any, Any]] = [{} for _ in NAMES]
    chance = random.Random(5)
    at_work = 0
    for _ in range(often(8, 200)):
        child = started(lambda: quietly(folder))
        try:
            wait_for(url)
            threading.Timer(chance.uniform(0, 0.12), os.kill, (child, signal.SIGKILL)).start()
            number, change = edited_until_killed(url, expected, chance)
        finally:
            ended(child)
        at_work += change is not None
        for at, name in enumerate(NAMES):
            found = {label.id: label.bbox or () for label in xlabel.labels(folder / name)}
            wanted = [{key: tuple(label["bbox"]) for key, label in expected[at].items()}]
            if at == number and change is not None:
                wanted.append(with_change(wanted[0], change))
            assert found in wanted
            expected[at] = {key: {"id": key, "bbox": list(found[key])} for key in found}
            assert decoded(folder / name) == pixels[name]
    assert at_work, "no kill came while a save was on its way"
    (folder / ".a.jpg.xlabel-tmp").write_bytes(b"half")
    sweeper = xlabel.review(folder)
    until = time.monotonic() + 5
    while len(list(folder.iterdir())) > len(NAMES) and time.monotonic() < until:
        time.sleep(0.01)
    sweeper.stop()
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    for name in NAMES:
        told = run(tool("exiftool"), "-s3", "-Artist", "-Title", folder / name)
        assert told.split() == [b"Ada", b"Dawn"]
    xlabel.strip(folder)
    assert {name: (folder / name).read_bytes() for name in NAMES} == originals


def quietly(folder: Path) -> None:
    """Serve; what is printed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    serve(folder, browse=False)


def wait_for(url: str) -> None:
    for _ in range(1000):
        try:
            if httpx.get(f"{url}api/session", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.005)
    pytest.fail("the server does not come up at its address")


def edited_until_killed(url: str, expected: list[dict[Any, Any]], chance: random.Random) -> tuple[int, Any]:
    """Edit images until the server is gone; gives the edit to which it said nothing."""
    with Client(url) as client:
        for number in range(10**6):
            at = chance.randrange(len(NAMES))
            change = None
            try:
                seen = client.picture(at)
                labels = {label["id"]: label for label in seen["labels"]}
                change = an_edit(labels, number, chance)
                saved = client.saved(seen, change)
            except httpx.TransportError:
                return at, change
            expected[at] = {label["id"]: label for label in saved["labels"]}
    raise AssertionError


def an_edit(labels: dict[Any, Any], number: int, chance: random.Random) -> Any:
    known = chance.choice(list(labels.values())) if labels else None
    match chance.randrange(3):
        case 1 if known:
            return changed(known, bbox=[chance.randrange(100), 5, 20, 20])
        case 2 if known:
            return deleted(known)
    return added(box(chance.randrange(1, 1 << 30), chance.randrange(100)))


def with_change(labels: dict[Any, Any], change: Any) -> dict[Any, Any]:
    after = {key: label for key, label in labels.items() if key != change["id"]}
    return after | ({change["id"]: tuple(change["after"]["bbox"])} if change["after"] else {})


def decoded(path: Path) -> bytes:
    with Pillow.open(path) as image:
        return image.tobytes()
