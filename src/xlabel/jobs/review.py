"""Review: a page in the browser, in which people look through images and correct their labels."""

import getpass
import sys
import webbrowser
from pathlib import Path

from xlabel.errors import extra
from xlabel.jobs import labels as labelling
from xlabel.jobs.desk import Review
from xlabel.jobs.selection import Place, select


def review(
    images: Place,
    labels: Path | None = None,
    *,
    format: str | None = None,
    pattern: str | None = None,
    author: str | None = None,
    port: int = 0,
    browse: bool = True,
) -> None:
    """Serve the review page of images until it is stopped."""
    with extra("review", "the review page"):
        from xlabel.web import serving
        from xlabel.web.app import app
        from xlabel.web.guard import Guard, new_token

    selected = select(images, pattern)
    found = labelling.find(selected, labels, format)
    desk = Review(selected, found, author or getpass.getuser())
    desk.start()
    place = serving.listening("127.0.0.1", port)
    port = place.getsockname()[1]
    token = new_token()
    url = f"http://127.0.0.1:{port}/{token}/"
    hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    def ready() -> None:
        print(f"review: {url}", flush=True)
        print("Ctrl-C ends it; what was saved is in the images.", file=sys.stderr)
        if browse:
            webbrowser.open(url)

    serving.serve(Guard(app(desk), token, hosts), place, ready)
