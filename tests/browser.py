"""A real browser that opens a page of ours: Chromium without a window, and the server that it asks."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from tests.tools import tool

FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync autoplay-policy=no-user-gesture-required"
).split()


def told(page: str, folder: Path, profile: Path) -> Any:
    """What a page posts to `/told`, as JSON; it may load the files of a folder, by ranges too."""
    said: Queue[Any] = Queue()
    with _served(page.encode(), folder, said) as url:
        command = [tool("chromium"), *(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}", url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            return said.get(timeout=90)
        except Empty:
            browser.kill()
            pytest.fail(f"the page said nothing: {browser.communicate()[1][-2000:].decode()}")
        finally:
            browser.kill()
            browser.communicate()


@contextmanager
def _served(page: bytes, folder: Path, said: "Queue[Any]") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = folder / self.path[1:]
            if self.path != "/" and not path.is_file():
                self._answer(404, b"", {})
                return
            data = page if self.path == "/" else path.read_bytes()
            kind = {
                "Content-Type": "text/html" if self.path == "/" else "video/mp4",
                "Accept-Ranges": "bytes",
            }
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked is None:
                self._answer(200, data, kind)
                return
            start, stop = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data))
            span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
            self._answer(206, data[start:stop], kind | span)

        def do_POST(self) -> None:
            said.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(200, b"", {})

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, code: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data)
            except ConnectionError:
                self.close_connection = True  # the browser has seen enough of it

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
