"""A real `xlabel review` in a process of its own, and a real Chromium that looks at it."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright
from tests.tools import SAMPLE, tool

FLAGS = (
    "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync"
).split()


class Review(NamedTuple):
    """A server under way, and what it serves."""

    url: str
    folder: Path
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def reviewing(folder: Path, *options: str | Path) -> Iterator[Review]:
    """`xlabel review FOLDER OPTIONS` until the end of the block."""
    command = [sys.executable, "-m", "xlabel", "review", str(folder), *map(str, options), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith("review: http"):
            process.kill()
            pytest.fail(f"xlabel review said {line!r} {process.communicate()[1][-2000:]}")
        yield Review(line.removeprefix("review: ").strip(), folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def copy_of_sample(folder: Path) -> Path:
    """The sample: images in `raw_images`, and their labels beside them. Gives the images' folder."""
    shutil.copytree(SAMPLE, folder)
    return folder / "raw_images"


Start = Callable[..., Review]


@pytest.fixture
def review() -> Iterator[Start]:
    """Starts servers, as `reviewing` does, that end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(reviewing(*arguments))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A copy of the sample's images, their label files beside them in `../raw_labels`."""
    return copy_of_sample(tmp_path / "sample")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; without it the test is skipped, unless XLABEL_MUST_RUN names it."""
    path = tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[f"--{flag}" for flag in FLAGS])
        yield browser
        browser.close()


class Watched:
    """What pages said and asked for, of which the test may excuse some."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []

    def watch(self, page: Page) -> None:
        """Write down what goes wrong on a page, and all that it asks for."""

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.errors.append(f"{message.text} {message.location.get('url', '')}")

        def asked(request: Request) -> None:
            self.requests.append(request.url)

        page.on("console", said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", asked)

    def excuse(self, text: str) -> None:
        """What went wrong on purpose."""
        self.errors = [error for error in self.errors if text not in error]

    def foreign(self) -> list[str]:
        """Requests that left the machine."""
        asked = (urlsplit(url) for url in self.requests)
        return [part.geturl() for part in asked if part.scheme == "http" and part.hostname != "127.0.0.1"] + [
            url for url in self.requests if urlsplit(url).scheme not in ("http", "blob", "data")
        ]


@pytest.fixture
def watched() -> Iterator[Watched]:
    """What all pages of the test said; nothing but what was excused, and nothing was asked of elsewhere."""
    watched = Watched()
    yield watched
    assert watched.errors == []
    assert watched.foreign() == []


@pytest.fixture
def new_page(browser: Browser, watched: Watched) -> Iterator[Callable[[], Page]]:
    """Opens pages of 1280 by 800, each in a browser's profile of its own."""
    with ExitStack() as stack:

        def opened() -> Page:
            context = stack.enter_context(browser.new_context(viewport={"width": 1280, "height": 800}))
            context.set_default_timeout(10_000)
            page = context.new_page()
            watched.watch(page)
            return page

        yield opened


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    """A page of 1280 by 800."""
    return new_page()
