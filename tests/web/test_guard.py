"""Who may ask the review server, and what it says to everybody else."""

import ctypes
import http.client
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import httpx
import pytest
from tests.awkward import picture

import xlabel
from xlabel.jobs.review import Page
from xlabel.web import guard, peers, serving

API = "api/session"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The review of one image, served by this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        image = tmp_path_factory.mktemp("images") / "a.jpg"
        image.write_bytes(picture("JPEG", (8, 8)))
        page = xlabel.review(image)
        yield page
        page.stop()


def ask(page: Page, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """What is said to a request; `path` goes behind the token, or from the first slash on."""
    place = urlsplit(page.url)
    url = f"http://{place.netloc}{path}" if path.startswith("/") else page.url + path
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, url, headers=named)


def test_whoever_knows_the_address_is_answered(page: Page) -> None:
    assert ask(page, "").headers["content-type"] == "text/html; charset=utf-8"
    assert ask(page, API).json()["total"] == 1
    head = ask(page, API, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 100


def test_without_the_token_there_is_nothing(page: Page) -> None:
    token = urlsplit(page.url).path
    for path in ("/", f"/{API}", f"{token[:-2]}/{API}", f"{token[:-1]}x/{API}", f"/x{token}{API}", "/%00/"):
        assert ask(page, path).status_code == 404, path
    assert token[1:-1] not in ask(page, "/").text


def test_the_address_without_its_last_slash_leads_to_the_page(page: Page) -> None:
    answer = ask(page, urlsplit(page.url).path[:-1])
    assert (answer.status_code, answer.headers["location"]) == (308, urlsplit(page.url).path)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example", ""])
def test_another_host_is_refused(page: Page, host: str) -> None:
    """As that of a name which somebody has pointed at this machine."""
    answer = ask(page, API, Host=host)
    assert answer.status_code in (400, 403)
    assert "total" not in answer.text


def test_all_names_of_this_machine_itself_are_right(page: Page) -> None:
    port = urlsplit(page.url).port
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        assert ask(page, API, Host=f"{name}:{port}").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1"])
def test_a_page_of_somebody_elses_is_refused(page: Page, origin: str) -> None:
    for path, method in ((API, "GET"), ("api/save", "POST"), ("", "OPTIONS")):
        answer = ask(page, path, method, Origin=origin)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_its_own_page_is_not(page: Page) -> None:
    place = urlsplit(page.url).netloc
    assert ask(page, API, Origin=f"http://{place}", Sec_Fetch_Site="same-origin").status_code == 200


def test_what_another_page_embeds_is_refused_and_a_link_is_not(page: Page) -> None:
    for site in ("cross-site", "same-site"):
        assert ask(page, "images/0", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status_code == 403
        assert ask(page, "", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status_code == 200
        sent = ask(page, "api/save", "POST", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")
        assert sent.status_code == 403


@pytest.mark.parametrize("path", ["", API, "images/0", "static/none.js", "api/images/7", "/"])
def test_every_answer_says_what_a_browser_may_do_with_it(page: Page, path: str) -> None:
    answer = ask(page, path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in answer.headers
    assert answer.headers["cache-control"] in ("no-store", "private, max-age=31536000, immutable")


def test_only_a_notebook_may_frame_the_page() -> None:
    def policy(framed: bool) -> str:
        kept = guard.Guard(None, "t", guard.Hosts([], 1), framed=framed)  # type: ignore[arg-type]
        return kept._headers["Content-Security-Policy"]

    assert "frame-ancestors 'none'" in policy(False)
    assert "frame-ancestors http: https:" in policy(True)


def test_an_invitation_is_good_once(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    path = page._guard.invitation()
    assert ask(page, path, "HEAD").status_code == 404
    answer = ask(page, path)
    assert (answer.status_code, answer.headers["location"]) == (303, urlsplit(page.url).path)
    assert ask(page, path).status_code == 404
    monkeypatch.setattr(guard, "INVITED", -1)
    assert ask(page, page._guard.invitation()).status_code == 404


def test_an_invitation_is_for_the_user_whose_server_it_is(page: Page) -> None:
    """Others see the command line of the browser that is started with it."""
    if os.geteuid() != 0 or not Path(peers.TABLES[0]).exists():
        pytest.skip("needs root, who can be another user, on Linux")
    system = ctypes.CDLL(None)

    def asked(user: int) -> int:
        """The answer to a program of that user's."""
        system.setfsuid(user)  # of this thread, and so of the sockets that it makes
        connection = socket.socket()
        system.setfsuid(0)
        connection.connect(("127.0.0.1", urlsplit(page.url).port))
        asking = http.client.HTTPConnection(urlsplit(page.url).netloc)
        asking.sock = connection
        asking.request("GET", page._guard.invitation())
        with connection:
            return asking.getresponse().status

    assert asked(12345) == 404
    assert asked(0) == 303


def test_the_browser_is_started_without_the_token(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Queue[str] = Queue()
    monkeypatch.setattr("webbrowser.open", opened.put)
    page.browse()
    url = opened.get(timeout=5)
    assert urlsplit(page.url).path not in url
    assert httpx.get(url, follow_redirects=True).url == page.url


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("api/save", "POST", b"{", 400),
        ("api/save", "POST", b"\xff", 400),
        ("api/save", "POST", b'{"number":' + b"[" * 100_000, 400),
        ("api/save", "POST", b'{"number":0,"key":"a.jpg","changes":[3]}', 422),
        ("api/save", "POST", b'{"number":0,"key":"../a.jpg","changes":[]}', 404),
        ("api/save", "GET", b"", 405),
        ("api/images/" + "9" * 5000, "GET", b"", 400),
        ("api/images/-1", "GET", b"", 400),
        ("api/images/1", "GET", b"", 404),
        ("api/cards?n=1,x", "GET", b"", 400),
        ("static/..%2f__init__.py", "GET", b"", 404),
        ("static/%2e%2e/app.py", "GET", b"", 404),
    ],
)
def test_what_is_no_question_is_refused(page: Page, path: str, method: str, body: bytes, status: int) -> None:
    answer = httpx.request(method, page.url + path, content=body)
    assert answer.status_code == status
    if path.startswith("api") and status != 405:
        assert answer.json()["error"]["message"]


def test_an_error_of_ours_is_told_in_words_that_the_page_reads(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page._desk, "session", lambda: 1 // 0)
    answer = ask(page, API)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "failed"
    assert "ZeroDivisionError" in answer.json()["error"]["message"]


def test_half_a_character_is_told_too(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page._desk, "session", lambda: {"name": "\udcff"})
    assert ask(page, API).json() == {"name": "\udcff"}


def test_whoever_says_nothing_is_not_waited_for(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    place = urlsplit(page.url)
    assert place.hostname and place.port
    with (
        socket.create_connection((place.hostname, place.port)) as silent,
        socket.create_connection((place.hostname, place.port)) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        slow.settimeout(5)
        silent.settimeout(5)
        for _ in range(5):
            time.sleep(0.1)
            with suppress(OSError):
                slow.sendall(b"x")
        assert silent.recv(1) == b""
        with suppress(ConnectionError):
            assert slow.recv(1) == b""


def test_many_connections_at_once_are_answered(page: Page) -> None:
    place = urlsplit(page.url)
    held = [http.client.HTTPConnection(place.netloc) for _ in range(100)]
    for connection in held:
        connection.connect()
    try:
        assert ask(page, API).status_code == 200
    finally:
        for connection in held:
            connection.close()
