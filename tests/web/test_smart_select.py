"""Outlines by a click in Chromium, with a model for which whatever is bright is the thing."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tests.detectors import brightness
from tests.web.conftest import Start, Watched
from tests.web.editing import SIZE, Editor, folder_of, said

BOX = (100, 60, 220, 160)


def test_a_click_and_enter_make_a_polygon_that_is_found_again_in_the_next_image(
    review: Start, tmp_path: Path, page: Page, watched: Watched
) -> None:
    folder = folder_of(tmp_path / "images", "a.jpg", "b.jpg")
    for name in ("a.jpg", "b.jpg"):
        image = Image.new("RGB", SIZE)
        image.paste((255, 255, 255), BOX)
        image.save(folder / name)
    editor = Editor(page, review(folder, "--sam", brightness.model(tmp_path / "bright")).url)
    editor.press("3", "s")
    expect(page.get_by_text("Click a thing")).to_be_visible()
    editor.click(150, 100)
    expect(page.get_by_text("Enter takes it")).to_be_visible()
    editor.press("Enter")
    expect(editor.labels).to_have_count(1)
    editor.saved()
    (label,) = said(folder / "a.jpg")
    assert label["category"] == "tree"
    (polygon,) = label["polygons"]
    found = min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2])
    assert found == pytest.approx(BOX, abs=13)  # half of the model's pixels
    page.get_by_role("button", name="Find in the following images").click()
    page.get_by_label("How many images at most").press("Enter")
    expect(page.get_by_text("Found in 1 of the following images.")).to_be_visible()
    (label,) = said(folder / "b.jpg")
    assert (label["category"], label["status"]) == ("tree", "suggestion")
    editor.press("Escape", "n")
    expect(page.locator('#overlay g[data-status="suggestion"]')).to_have_count(1)
    assert watched.errors == []
