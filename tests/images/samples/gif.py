"""GIF files that other tools made."""

from collections.abc import Callable
from typing import Any

from PIL import Image
from tests import labelled
from tests.labelled import by, drawn, edited


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "GIF", **options)


def moving(**options: Any) -> bytes:
    others = [drawn(seed=2), drawn(seed=3)]
    return saved(drawn(), save_all=True, append_images=others, duration=40, loop=3, **options)


def old() -> bytes:
    """Of version 87a, without any extension."""
    return by(
        "gifsicle",
        saved(drawn()),
        "gif",
        "--no-comments",
        "--no-extensions",
        "IN",
        "-o",
        "OUT",
    )


def local() -> bytes:
    """Without a colour table of all images."""
    return by("convert", moving(), "gif", "IN", "+dither", "-set", "dispose", "none", "OUT")


PLAIN: dict[str, Callable[[], bytes]] = {
    "still": lambda: saved(drawn()),
    "old": old,
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "transparent": lambda: saved(drawn("P"), transparency=3),
    "interlaced": lambda: by("gifsicle", saved(drawn()), "gif", "--interlace", "IN", "-o", "OUT"),
    "animated": moving,
    "animated by ImageMagick": local,
    "comment": lambda: saved(drawn(), comment=b"a comment"),
    "long comment": lambda: saved(drawn(), comment=b"words " * 200),
    "animated, comment": lambda: moving(comment=b"a comment\nof two lines"),
    "comments by gifsicle": lambda: by("gifsicle", moving(), "gif", "-cfirst", "-csecond", "IN", "-o", "OUT"),
}
WITH: dict[str, Callable[[], bytes]] = {
    "XMP": lambda: edited(saved(drawn()), "gif", "-XMP:Title=hello"),
    "animated, XMP and comment": lambda: edited(moving(comment=b"a comment"), "gif", "-XMP:Title=hello"),
    "a region of others": lambda: edited(
        saved(drawn()),
        "gif",
        "-ImageRegion={RegionBoundary={RbShape=circle,RbX=.5,RbY=.5,RbRx=.1},RId=r}",
    ),
}
