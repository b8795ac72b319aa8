"""Makes the pictures of the review page that the docs show: of the sample, in a real browser.

    python scripts/make_screenshots.py          docs/review_grid.webp, review_editor.webp and review_keys.webp

Needs xlabel[review], playwright, and Chromium as `chromium` on the PATH.
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import xlabel
from xlabel import Annotation, Source

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1280, "height": 800}
MODEL = Source(kind="model", name="detector", hash="0" * 64)
SETTINGS = """
attributes = [{name = "occluded", type = "boolean"}, {name = "view", choices = ["front", "side", "back"]}]
"""


def scene(folder: Path) -> Path:
    """The sample with its labels inside, those of every second image as a model's suggestions."""
    images = folder / "holiday"
    shutil.copytree(ROOT / "sample" / "raw_images", images)
    xlabel.embed(images, ROOT / "sample" / "raw_labels")
    for number, path in enumerate(sorted(path for path in images.rglob("*") if path.is_file())):
        if number % 2:
            labels = xlabel.labels(path)
            xlabel.embed(path, [suggested(label, at) for at, label in enumerate(labels)])
    (images / "labels.toml").write_text(SETTINGS)
    return images


def suggested(label: Annotation, at: int) -> Annotation:
    """The label as a model may have found it."""
    score = round(0.97 - 0.13 * at, 2)
    box = label.bbox and tuple(round(number + (2 - at % 5), 1) for number in label.bbox)
    return Annotation(category=label.category, bbox=box, score=score, status="suggestion", source=MODEL)  # type: ignore[arg-type]


def opened(browser: Browser, url: str, scheme: str) -> Page:
    """The page with nothing left to load."""
    page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    return page


def kept(page: Page, place: Path) -> None:
    """What the page shows, as a WebP."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").save(place, quality=86, method=6)
    print(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder for the pictures")
    output = parser.parse_args().output
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_of = xlabel.review(scene(Path(folder)), author="ann")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        kept(opened(browser, page_of.url, "light"), output / "review_grid.webp")

        editor = opened(browser, f"{page_of.url}#/image/street/001.jpg", "dark")
        editor.keyboard.press("Tab")
        editor.wait_for_timeout(300)
        kept(editor, output / "review_editor.webp")

        keys = opened(browser, f"{page_of.url}#/image/yard/001.jpg", "light")
        keys.keyboard.press("?")
        keys.wait_for_timeout(300)
        kept(keys, output / "review_keys.webp")
        browser.close()
        page_of.stop()


if __name__ == "__main__":
    main()
