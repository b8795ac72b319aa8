"""`xlabel review` as a command, and what Python and notebooks have of it."""

import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import sync_playwright
from tests.awkward import picture
from tests.tools import ROOT, Done, tool
from tests.tools import xlabel as command

import xlabel
import xlabel.jobs.review as job
from xlabel.errors import InputError
from xlabel.jobs.address import Address, Kept
from xlabel.model.key_help import groups
from xlabel.model.keys import bindings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    (place / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/c.jpg")):
        (place / name).write_bytes(picture("JPEG", (32, 24), seed=number))
    return place


@contextmanager
def running(*arguments: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command under way, and the address that it printed."""
    called = [sys.executable, "-m", "xlabel", "review", *map(str, arguments)]
    with subprocess.Popen(called, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("review: http://"), line
            yield line.removeprefix("review: ").strip(), process
        finally:
            process.kill()


def asked(url: str) -> httpx.Response:
    return httpx.get(f"{url}api/session", timeout=5)


def review(*arguments: str | Path) -> Done:
    return command("review", *arguments, "--no-open")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_where_somebody_ends_it(folder: Path, how: signal.Signals) -> None:
    with running(folder, "--no-open") as (url, process):
        assert asked(url).json()["total"] == 3
        process.send_signal(how)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert "3 images of" in err and "Ctrl-C ends it" in err and "Open the address" in err
    assert urlsplit(url).path not in err


def test_a_page_that_is_open_goes_on_after_a_restart(folder: Path, cache: Path) -> None:
    with running(folder) as (first, process):
        process.kill()
    with running(folder) as (second, _):
        assert second == first
        with running(folder) as (other, process):
            assert urlsplit(other).port != urlsplit(first).port
            assert urlsplit(other).path != urlsplit(first).path
            assert asked(other).status_code == asked(first).status_code == 200
    with running(folder / "a.jpg") as (third, _):
        assert third != first
    for kept in cache.rglob("addresses/*"):
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_token_goes_with_its_port(folder: Path) -> None:
    """Whoever has the port now may have seen the token, from the page that was left open."""
    with running(folder) as (first, process):
        process.kill()
    with running(folder / "sub", "--port", str(urlsplit(first).port)), running(folder) as (second, _):
        assert urlsplit(second).path != urlsplit(first).path


def test_an_address_that_others_can_read_is_not_taken_again(cache: Path) -> None:
    kept = Kept("images")
    kept.keep(Address(4000, "token"))
    kept.close()
    assert Kept("images").last == Address(4000, "token")
    (place,) = cache.rglob("addresses/*")
    place.chmod(0o644)
    assert Kept("images").last is None
    place.write_text("{")
    assert Kept("images").last is None


def test_others_are_let_in_only_where_that_is_said_twice(folder: Path) -> None:
    refused = review(folder, "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "--expose" in refused.stderr and "nothing is encrypted" in refused.stderr


def test_what_is_exposed_is_told_and_everybody_is_asked_for_a_name(folder: Path) -> None:
    with running(folder, "--host", "0.0.0.0", "--expose") as (url, process):
        port = urlsplit(url).port
        url = f"http://127.0.0.1:{port}{urlsplit(url).path}"
        assert asked(url).json()["author"] == ""
        named = httpx.get(f"{url}api/session", headers={"Host": f"198.51.100.7:{port}"})
        assert named.status_code == 200, "asked by the address that a router has given it"
        other = httpx.get(f"{url}api/session", headers={"Host": f"evil.example:{port}"})
        assert other.status_code == 403
        change = {"id": 1, "before": None, "after": {"bbox": [1, 1, 2, 2]}}
        body = {"number": 0, "key": "a.jpg", "changes": [change]}
        nobody = httpx.post(f"{url}api/save", json=body)
        assert (nobody.status_code, "name" in nobody.json()["error"]["message"]) == (400, True)
        assert httpx.post(f"{url}api/save", json=body | {"author": "Ann"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=10)[1]
    assert "EXPOSED" in err and "127.0.0.1" in err and str(port) in err
    assert [label.author for label in xlabel.labels(folder / "a.jpg")] == ["Ann"]


def test_this_machine_has_a_newer_kind_of_address_too(folder: Path) -> None:
    with running(folder, "--host", "::1") as (url, _):
        assert url.startswith("http://[::1]:")
        assert asked(url).status_code == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 70000}, "expected a port from 0 to 65535"),
        ({"host": "nowhere.invalid", "expose": True}, "expected an address of this machine"),
        ({"host": "192.0.2.7", "expose": True}, "expected an address of this machine"),
        ({"expose": True}, "say with --host ADDR"),
        ({"where": "widht > 3"}, "expected a name to compare, got 'widht'"),
        ({"order": "size"}, "--order: expected name, date"),
        ({"pattern": "*.tif"}, "expected images that fit '*.tif', found none"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_served(
    folder: Path, options: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as refused:
        job.serve(folder, **options)
    assert message in str(refused.value)
    assert capsys.readouterr().out == ""


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with running(folder) as (url, _):
        done = review(folder / "a.jpg", "--port", str(urlsplit(url).port))
    assert done.returncode == 2
    assert "address already in use; name another, or none" in done.stderr


def test_without_its_libraries_it_says_what_to_install(folder: Path) -> None:
    program = (
        "import sys; sys.modules['starlette'] = None; sys.argv[1:] = ['review', sys.argv[1]]; "
        "from xlabel.cli import main; main()"
    )
    called = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "pip install 'xlabel[review]'" in done.stderr


def test_one_image_a_glob_and_what_to_begin_with(folder: Path) -> None:
    for place, total, first in ((folder / "a.jpg", 1, 0), (folder / "*.jpg", 2, None), (folder, 3, None)):
        page = xlabel.review(place, where="count > 3", order="date", author="Ann")
        session = asked(page.url).json()
        page.stop()
        assert (session["total"], session["first"]) == (total, first)
        assert (session["where"], session["order"], session["author"]) == ("count > 3", "date", "Ann")


def test_the_keys_of_the_docs_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "review.md").read_text("utf-8")
    for group, rows in groups(bindings({})).items():
        for row in rows:
            keys = ", ".join(f"`{key}`" for key in row.keys)
            assert f"| {group} | {keys} | {row.says} |\n" in page


def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not job._has_screen() or sys.platform == "darwin"
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert job._has_screen()
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    assert not job._has_screen()


def test_asked_again_of_the_same_images_there_is_one_server(folder: Path) -> None:
    first = xlabel.review(folder)
    second = xlabel.review(str(folder))
    try:
        assert not first.running and second.running
        assert second.url == first.url
        assert repr(second) == f"<review of 3 images of {folder} at {second.url}>"
        with pytest.raises(InputError):
            xlabel.review(folder, where="widht > 3")
        assert second.running
    finally:
        second.stop()
    assert not second.running
    with pytest.raises(httpx.ConnectError):
        asked(second.url)


def test_a_notebook_shows_the_page_in_a_frame(folder: Path, tmp_path: Path) -> None:
    """As a notebook does it: HTML of an object's `_repr_html_` in a page of another server."""
    path = tool("chromium")
    page = xlabel.review(folder)
    (tmp_path / "notebook").mkdir()
    (tmp_path / "notebook" / "index.html").write_text(f"<!doctype html>{page._repr_html_()}")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "notebook")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=path, args=flags)
            tab = browser.new_page()
            tab.goto(url)
            frame = tab.frame_locator("iframe[title='xlabel review']")
            frame.locator("a.card").first.wait_for(timeout=10_000)
            browser.close()
    finally:
        server.kill()
        server.communicate()
        page.stop()


SERVER = """
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from functools import partial
server = ThreadingHTTPServer(("localhost", 0), partial(SimpleHTTPRequestHandler, directory=sys.argv[1]))
print(f"http://localhost:{server.server_address[1]}/", flush=True)
sys.stderr = open("/dev/null", "w")
server.serve_forever()
"""
