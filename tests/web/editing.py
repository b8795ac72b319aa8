"""An image in the editor, and what a person does there: in the image's own pixels."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Locator, Page, expect
from tests.tools import run, tool

SIZE = (400, 300)
SETTINGS = """
[[categories]]
name = "car"

[[categories]]
name = "person"
keypoints = ["head", "left hand", "right hand"]
skeleton = [[1, 2], [1, 3]]

[[categories]]
name = "tree"

[[attributes]]
name = "hidden"
type = "boolean"

[[attributes]]
name = "view"
choices = ["front", "side"]

[[attributes]]
name = "count"
type = "number"
min = 0
"""


def folder_of(folder: Path, *names: str) -> Path:
    """A folder of grey images of 400 by 300 pixels, and a `labels.toml` with three categories."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("a.jpg",):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (128, 136, 144)).save(path)
    (folder / "labels.toml").write_text(SETTINGS, "utf-8")
    return folder


class Editor:
    """An image in the editor of a page."""

    def __init__(self, page: Page, url: str, key: str = "a.jpg", width: int = SIZE[0]) -> None:
        self.page = page
        self.url = url
        page.goto(f"{url}#/image/{quote(key)}")
        expect(page.locator(".head .key")).to_have_text(key)
        box = page.locator("#image").bounding_box()
        assert box is not None
        self.left, self.top, self.scale = box["x"], box["y"], box["width"] / width

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image is on the page."""
        return self.left + x * self.scale, self.top + y * self.scale

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press, move and let go."""
        self.page.mouse.move(*self.at(x, y))
        self.page.mouse.down()
        self.page.mouse.move(*self.at((x + to_x) / 2, (y + to_y) / 2))
        self.page.mouse.move(*self.at(to_x, to_y))
        self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        """Click at a place of the image."""
        self.page.mouse.click(*self.at(x, y))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def box(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Draw a box."""
        self.press("b")
        self.drag(x, y, to_x, to_y)

    @property
    def labels(self) -> Locator:
        """What is drawn."""
        return self.page.locator("#overlay g[data-id]")

    @property
    def state(self) -> Locator:
        """Whether it is saved."""
        return self.page.locator("#save-state")

    def saved(self) -> None:
        """Wait until it is."""
        expect(self.state).to_have_text("Saved")


def stored(path: Path) -> dict[str, Any]:
    """The labels in an image, as exiftool finds them."""
    (found,) = json.loads(run(tool("exiftool"), "-json", "-UserComment", path))
    labels: dict[str, Any] = json.loads(found["UserComment"])["labels"] if "UserComment" in found else {}
    return labels


def said(path: Path) -> list[dict[str, Any]]:
    """Each label in an image, without who said so and when, and with its category's name."""
    document = stored(path)
    names = {category["id"]: category["name"] for category in document.get("categories", [])}
    found = []
    for annotation in document.get("annotations", []):
        label = {k: v for k, v in annotation.items() if k not in ("author", "time", "source", "id")}
        found.append(label | ({"category": names[label["category"]]} if "category" in label else {}))
    return found
