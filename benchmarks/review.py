"""The review page in Chromium: how soon it is there, and how it moves.

    python benchmarks/review.py [--images N ...] [--boxes N ...] [--work DIR]

The grid on folders of N names for 200 labelled JPEGs (hard links), the editor on a photo with N boxes; a
server of its own, a browser without a window. See README.md beside this file for what is measured and how.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import xlabel
from data import make_data

BASES = 200
FLAGS = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync".split()
ROUNDS = 5
SECONDS = 3
"""Of each way to scroll."""
SPEEDS = {"reading": 30, "fast": 300, "flung": 4000}
"""Pixels a frame."""

FILTERS = ("category: class_3", "0001", "count > 5", "score < 0.5 or not category: class_1")

Numbers = dict[str, str]

SCROLL = """([speed, seconds]) => new Promise((done) => {
  const list = document.querySelector(".scroll");
  const gaps = [];
  let last = performance.now();
  const end = last + seconds * 1000;
  function step(now) {
    gaps.push(now - last);
    last = now;
    list.scrollTop += speed;
    if (list.scrollTop + list.clientHeight >= list.scrollHeight) list.scrollTop = 0;
    now < end ? requestAnimationFrame(step) : done(gaps.slice(2));
  }
  requestAnimationFrame(step);
})"""


FRAMES = """() => {
  window.gaps = [];
  let last = performance.now();
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    window.frames_wanted && requestAnimationFrame(step);
  };
  window.frames_wanted = true;
  requestAnimationFrame(step);
}"""

PAINTED = """requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => done(performance.now() - begin);
  port2.postMessage(0);
})"""
"""Calls `done` once the next frame is on the screen."""

OPENED = f"""(count) => new Promise((done) => {{
  const labels = document.querySelector("#labels");
  const begin = performance.now();
  new MutationObserver((_, observer) => {{
    if (labels.childElementCount !== count) return;
    observer.disconnect();
    {PAINTED};
  }}).observe(labels, {{ childList: true }});
  document.querySelector("[data-action=next]").click();
}})"""

KEYS = f"""() => {{
  window.keys = [];
  const done = (milliseconds) => keys.push(milliseconds);
  addEventListener("keydown", () => {{
    const begin = performance.now();
    {PAINTED};
  }}, {{ capture: true }});
}}"""


def make(work: Path, count: int) -> Path:
    """`count` images that are names of 200 labelled ones; kept from run to run."""
    folder = work / f"review-{count}"
    if (folder / "complete").exists():
        return folder / "images"
    shutil.rmtree(folder, ignore_errors=True)
    base = folder / "base"
    make_data(base, BASES)
    xlabel.embed(base / "images", base / "labels")
    bases = sorted((base / "images").iterdir())
    (folder / "images").mkdir()
    for number in range(count):
        os.link(bases[number % BASES], folder / "images" / f"{number:07d}.jpg")
    (folder / "complete").touch()
    return folder / "images"


def make_boxes(work: Path, count: int) -> Path:
    """An image without labels, and one of 12 megapixels with `count` boxes; kept from run to run."""
    folder = work / f"review-boxes-{count}"
    if (folder / "complete").exists():
        return folder / "images"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).integers(0, 256, (750, 1000, 3), np.uint8)
    photo = folder / "images" / "b.jpg"
    Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC).save(photo, quality=85)
    Image.new("RGB", (4000, 3000)).save(folder / "images" / "a.jpg")
    categories = [xlabel.Category(id=n, name=f"class_{n}") for n in range(8)]
    chance = random.Random(1)
    boxes = [
        xlabel.Annotation(
            id=n,
            category=chance.choice(categories),
            bbox=(chance.randrange(3800), chance.randrange(2800), chance.randrange(20, 200), 80),
        )
        for n in range(1, count + 1)
    ]
    xlabel.embed(photo, boxes)
    (folder / "complete").touch()
    return folder / "images"


@contextmanager
def served(images: Path, cache: Path) -> Iterator[tuple[str, float]]:
    """A server's address, and the seconds until it said so."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "xlabel", "review", str(images), "--no-open"]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.removeprefix("review: ").strip(), time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait()


def grid(page: Page, url: str, count: int) -> Numbers:
    """How soon the grid is there, how it scrolls, and how soon a filter has answered."""
    found: Numbers = {}
    begin = time.perf_counter()
    page.goto(url)
    page.locator("a.card[data-key] img[src]").first.wait_for()
    found["page to first cards"] = f"{(time.perf_counter() - begin) * 1000:.0f} ms"
    until(page, lambda: page.locator(".looking").is_hidden())
    found["labels of all looked at"] = f"{time.perf_counter() - begin:.1f} s"
    for name, speed in SPEEDS.items():
        gaps = page.evaluate(SCROLL, [speed, SECONDS])
        found[f"frames while scrolling, {name}"] = shown_gaps(gaps)
    elements = page.evaluate("document.getElementsByTagName('*').length")
    found["elements of the page"] = f"{elements:,}"
    page.evaluate("document.querySelector('.scroll').scrollTop = 0")
    for text in FILTERS:
        found[f"filter `{text}`"] = f"{median(filtered(page, text) for _ in range(ROUNDS)):.0f} ms"
    for order in ("date", "uncertainty", "name"):
        begin = time.perf_counter()
        with page.expect_response("**/api/query"):
            page.get_by_label("Sort by").select_option(order)
        found[f"sort by {order}"] = f"{(time.perf_counter() - begin) * 1000:.0f} ms"
    return found


def filtered(page: Page, text: str) -> float:
    """Milliseconds from Enter until the answer is on the screen; all images are shown before and after."""
    field = page.get_by_label("Search")
    count = page.locator(".counts [role=status]")
    field.fill(text)
    before = count.inner_text()
    begin = time.perf_counter()
    page.keyboard.press("Enter")
    until(page, lambda: count.inner_text() != before or begin + 3 < time.perf_counter())
    seconds = time.perf_counter() - begin
    field.fill("")
    with page.expect_response("**/api/query"):
        page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    return seconds * 1000


def editor(page: Page, url: str, count: int) -> Numbers:
    """How soon an image with many boxes is there, and how it moves while somebody works on it."""
    times = []
    for _ in range(ROUNDS):
        page.goto("about:blank")
        page.goto(f"{url}#/image/a.jpg")
        page.locator("#image").wait_for()
        page.wait_for_timeout(1500)  # the next image is fetched and decoded
        times.append(page.evaluate(OPENED, count))
    found: Numbers = {"next image to its boxes on the screen": f"{median(times):.0f} ms"}
    page.wait_for_timeout(1000)
    box = page.locator("#image").bounding_box()
    assert box is not None
    left, top = box["x"], box["y"]

    def frames(name: str, act: Callable[[], None]) -> None:
        page.evaluate(FRAMES)
        act()
        page.evaluate("frames_wanted = false")
        found[f"frames while {name}"] = shown_gaps(page.evaluate("gaps.slice(2)"))

    def dragged() -> None:
        page.mouse.move(left + 50, top + 50)
        page.mouse.down()
        for step in range(120):
            page.mouse.move(left + 50 + step * 4, top + 50 + step * 3)
        page.mouse.up()

    def zoomed() -> None:
        for step in range(60):
            page.mouse.wheel(0, -40 if step < 30 else 40)

    page.keyboard.press("b")
    frames("a box is drawn", dragged)
    page.keyboard.press("v")
    page.mouse.click(left + 52, top + 52)
    frames("a box is moved", dragged)
    frames("zooming", zoomed)
    page.evaluate(KEYS)
    for step in range(40):
        page.keyboard.press(str(1 + step % 8))
        page.wait_for_timeout(40)
    found["key to another category on the screen"] = shown_gaps(page.evaluate("keys"))
    return found


def until(page: Page, is_so: Callable[[], Any], seconds: float = 600) -> None:
    """Wait until something is so."""
    end = time.perf_counter() + seconds
    while not is_so():
        if time.perf_counter() > end:
            sys.exit(f"not so after {seconds} s")
        page.wait_for_timeout(5)


def shown_gaps(gaps: list[float]) -> str:
    """Milliseconds between frames: the median, the 95th of a hundred, the longest."""
    ordered = sorted(gaps)
    p95 = ordered[int(len(ordered) * 0.95)]
    return f"{median(ordered):.1f} / {p95:.1f} / {ordered[-1]:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--boxes", type=int, nargs="*", default=[1_000, 5_000])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed")
    grids: dict[str, Numbers] = {}
    editors: dict[str, Numbers] = {}
    with sync_playwright() as playwright:

        def opened() -> Browser:
            flags = [f"--{flag}" for flag in FLAGS]
            return playwright.chromium.launch(executable_path=chromium, args=flags)

        for count in options.images:
            images = make(options.work, count)
            with tempfile.TemporaryDirectory() as cache:
                browser = opened()
                with served(images, Path(cache)) as (url, seconds):
                    found = {"command to address": f"{seconds:.2f} s"}
                    found |= grid(browser.new_page(viewport={"width": 1280, "height": 800}), url, count)
                with served(images, Path(cache)) as (url, seconds):
                    page = browser.new_page(viewport={"width": 1280, "height": 800})
                    begin = time.perf_counter()
                    page.goto(url)
                    page.locator("a.card[data-key] img[src]").first.wait_for()
                    again = time.perf_counter() - begin
                    found["the same, started again"] = f"{seconds:.2f} s, {again * 1000:.0f} ms"
                browser.close()
            grids[f"{count:,} images"] = found
        for count in options.boxes:
            with tempfile.TemporaryDirectory() as temporary:
                images = Path(temporary) / "images"  # what is drawn is saved
                shutil.copytree(make_boxes(options.work, count), images)
                with served(images, Path(temporary)) as (url, _):
                    browser = opened()
                    page = browser.new_page(viewport={"width": 1280, "height": 800})
                    editors[f"{count:,} boxes"] = editor(page, url, count)
                    browser.close()
    for columns in filter(None, (grids, editors)):
        rows = dict.fromkeys(name for found in columns.values() for name in found)
        print(f"| | {' | '.join(columns)} |")
        print("|---" * (len(columns) + 1) + "|")
        for row in rows:
            cells = " | ".join(found.get(row, "") for found in columns.values())
            print(f"| {re.sub('[|]', '/', row)} | {cells} |")
        print()


if __name__ == "__main__":
    main()
