"""The review page in Chromium: how soon it is there, and how it moves.

    python benchmarks/review.py [--images N ...] [--work DIR]

A folder of N names for 200 labelled JPEGs (hard links), a server of its own, a browser without a window. See
README.md beside this file for what is measured and how.
"""

import argparse
import os
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

from playwright.sync_api import Page, sync_playwright

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
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed")
    columns: dict[str, Numbers] = {}
    with sync_playwright() as playwright:
        for count in options.images:
            images = make(options.work, count)
            with tempfile.TemporaryDirectory() as cache:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=[f"--{flag}" for flag in FLAGS]
                )
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
            columns[f"{count:,} images"] = found
    rows = list(dict.fromkeys(name for found in columns.values() for name in found))
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for row in rows:
        print(
            f"| {re.sub('[|]', '/', row)} | {' | '.join(found.get(row, '') for found in columns.values())} |"
        )


if __name__ == "__main__":
    main()
