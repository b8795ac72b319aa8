"""Review: a page in the browser, in which people look through images and correct their labels."""

import getpass
import html
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xlabel.errors import InputError, extra
from xlabel.jobs import labels as labelling
from xlabel.jobs.address import Address, Kept
from xlabel.jobs.saving import How
from xlabel.jobs.selection import Place, select, sweep
from xlabel.model.report import counted, visible

if TYPE_CHECKING:
    from xlabel.jobs.desk import Review
    from xlabel.stores.local import Scan
    from xlabel.web.guard import Guard
    from xlabel.web.serving import Serving

HERE = "127.0.0.1"
LOCAL = (HERE, "::1", "localhost")
ANYWHERE = ("0.0.0.0", "::")
HEIGHT = 800
"""Pixels of the frame in a notebook."""


class Page:
    """A review page that is served until it is stopped. A notebook shows it in a frame."""

    def __init__(
        self, what: str, url: str, desk: "Review", serving: "Serving", guard: "Guard", kept: Kept
    ) -> None:
        self.what = what
        """What is reviewed, for a person."""
        self.url = url
        self._desk = desk
        self._serving = serving
        self._guard = guard
        self._kept = kept

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self._serving.running

    def wait(self) -> None:
        """Until it is stopped."""
        self._serving.wait()

    def stop(self) -> None:
        """Save what has been sent already, and end."""
        self._serving.stop()
        self._desk.stop()
        self._kept.close()

    def browse(self) -> None:
        """Open it in the user's browser."""
        origin = self.url[: self.url.index("/", len("http://"))]
        address = origin + self._guard.invitation()
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    def __repr__(self) -> str:
        return f"<review of {visible(self.what)} at {self.url}>"

    def _repr_html_(self) -> str:
        url = html.escape(self.url)
        return (
            f'<iframe src="{url}" title="xlabel review" width="100%" height="{HEIGHT}" style="border: 0">'
            f'</iframe><a href="{url}" target="_blank" rel="noopener">Open in a tab of its own</a>'
        )


_pages: dict[str, Page] = {}
"""Those that this process serves in the background, by what is reviewed."""


def review(
    images: Place,
    labels: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    pattern: str | None = None,
    where: str = "",
    order: str = "name",
    author: str | None = None,
    sam: Place | None = None,
    sidecar: bool = False,
    overwrite: bool = False,
    port: int = 0,
) -> Page:
    """Serve the review page of images in the background; a notebook shows what this gives in a frame.

    It goes on until its `stop()`, or until the program ends; `wait()` waits for that. Asked again of the same
    images it is begun anew, at the same address. `where` is an expression, see docs/expressions.md.

    >>> page = xlabel.review("images")
    >>> page.url.startswith("http://127.0.0.1:")
    True
    >>> page.stop()
    """
    name = _name(images, pattern)
    selected = select(images, pattern)
    desk = _desk(selected, labels, format, author or _user(), where, order, How(sidecar, overwrite), sam)
    before = _pages.pop(name, None)
    if before is not None:
        before.stop()
    page = _pages[name] = _served(selected, desk, name, HERE, port, framed=True)
    return page


def serve(
    images: Place,
    labels: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    pattern: str | None = None,
    where: str = "",
    order: str = "name",
    author: str | None = None,
    sam: Place | None = None,
    sidecar: bool = False,
    overwrite: bool = False,
    host: str = HERE,
    port: int = 0,
    expose: bool = False,
    browse: bool = True,
) -> None:
    """Serve the review page of images until Ctrl-C or SIGTERM.

    InputError where `host` is not this machine's own and `expose` was not said.
    """
    if host not in LOCAL and not expose:
        raise InputError(
            f"--host {host}: whoever reaches it and learns the address could see and change these images, "
            "and nothing is encrypted on the way; say --expose too if that is wanted"
        )
    if host in LOCAL and expose:
        raise InputError("--expose lets others in; say with --host ADDR at which address of this machine")
    selected = select(images, pattern)
    author = author or ("" if expose else _user())
    desk = _desk(selected, labels, format, author, where, order, How(sidecar, overwrite), sam)
    page = _served(selected, desk, _name(images, pattern), host, port)
    try:
        print(f"review: {page.url}", flush=True)
        for line in _advice(page, host, browse):
            print(line, file=sys.stderr, flush=True)
        if browse and _has_screen():
            page.browse()
        page.wait()
    except KeyboardInterrupt:  # which is how it is meant to end
        pass
    finally:
        page.stop()


def _desk(
    selected: "Scan",
    labels: str | os.PathLike[str] | None,
    format: str | None,
    author: str,
    where: str,
    order: str,
    how: How,
    sam: Place | None,
) -> "Review":
    with extra("review", "the review page"):
        from xlabel.jobs.desk import Review
        from xlabel.web.app import Query

    found = labelling.find(selected, None if labels is None else Path(labels), format)
    if found is not None:
        found.labels.bind(selected.keys)
    segmenter = None
    if sam is not None:
        from xlabel.detectors.sam import opened

        segmenter = opened(os.fspath(sam))
    return Review(selected, found, author, Query(where, order), how, segmenter)


def _served(
    selected: "Scan", desk: "Review", name: str, host: str, port: int, *, framed: bool = False
) -> Page:
    """Begin to serve a desk. `framed`: in a notebook."""
    from xlabel.web import app, guard, serving

    kept = Kept(f"{name}\0{host}")
    try:
        place, token = _place(kept, host, port)
    except BaseException:
        kept.close()
        raise
    port = place.getsockname()[1]
    kept.keep(Address(port, token))
    exposed = host not in LOCAL
    names = _names(host)
    more = [socket.gethostname()] if exposed else LOCAL
    hosts = guard.Hosts([*names, *more], port, addresses=exposed)
    guarded = guard.Guard(app.app(desk), token, hosts, framed=framed)
    shown = f"[{names[0]}]" if ":" in names[0] else names[0]
    what = f"{counted(len(selected.keys), 'images')} of {os.path.realpath(selected.root)}"
    url = f"http://{shown}:{port}/{token}/"
    page = Page(what, url, desk, serving.Serving(guarded, place), guarded, kept)
    threading.Thread(target=sweep, args=[selected], daemon=True).start()
    desk.start()
    return page


def _place(kept: Kept, host: str, port: int) -> tuple[socket.socket, str]:
    """Where to listen, and the token: those of last time where they are to be had.

    A token goes with its port. Whoever has that now may have seen it, from a page that was left open.
    """
    from xlabel.web import guard, serving

    last = None if kept.taken else kept.last
    if last is not None and port in (0, last.port):
        try:
            return serving.listening(host, last.port), last.token
        except InputError:
            if port:
                raise
    return serving.listening(host, port), guard.new_token()


def _advice(page: Page, host: str, browse: bool) -> Iterator[str]:
    """What a person should know of a page that is being served."""
    port = page.url.split("/")[2].rpartition(":")[2]
    yield f"{visible(page.what)}; each change is saved at once."
    if host not in LOCAL:
        yield (
            "EXPOSED: who reaches this machine and has the address sees and changes these images and their "
            "labels. Nothing is encrypted. Everybody is asked for a name."
        )
        yield f"It can be asked at {', '.join(_names(host))}, port {port}."
    elif os.environ.get("SSH_CONNECTION"):
        tunnel = f"ssh -L {port}:{HERE}:{port} {socket.gethostname()}"
        yield f"From your own machine: {tunnel}, and open the address there."
    elif not (browse and _has_screen()):
        yield "Open the address in a browser."
    yield "Ctrl-C ends it."


def _has_screen() -> bool:
    """Whether a browser can be opened here."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))


def _name(images: Place, pattern: str | None) -> str:
    """What is reviewed, wherever it is called from."""
    return f"{os.path.realpath(images)}\0{pattern or ''}"


def _names(host: str) -> list[str]:
    """The addresses at which a server can be asked, that one first by which others reach this machine."""
    if host not in ANYWHERE:
        return [host]
    found: list[str] = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((far, 9))  # sends nothing, and tells the way out
            found.append(asking.getsockname()[0])
    with suppress(OSError):
        found += [str(there[4][0]) for there in socket.getaddrinfo(socket.gethostname(), None)]
    bare = (name.partition("%")[0] for name in [*found, HERE])
    return [name for name in dict.fromkeys(bare) if host == "::" or ":" not in name]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        return ""
