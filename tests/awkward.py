"""A folder of images that are awkward in every way that we could think of, and what has to become of it."""

import io
import os
import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
NOT_UTF8 = b"latin/caf\xe9.jpg"
CONTROL = b"line\nbreak.jpg"


def picture(
    kind: str = "JPEG", size: tuple[int, int] = (24, 16), mode: str = "RGB", seed: int = 1, **options: Any
) -> bytes:
    """An image file; each seed gives other pixels, and the same ones on every machine."""
    count = len(Image.new(mode, (1, 1)).tobytes()) * size[0] * size[1]
    file = io.BytesIO()
    pixels = random.Random(f"{kind}{mode}{seed}").randbytes(count)
    Image.frombytes(mode, size, pixels).save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int, size: tuple[int, int] = (24, 16), seed: int = 1) -> bytes:
    """A JPEG whose stored matrix is `size`, and which is displayed by an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return picture(size=size, seed=seed, exif=exif)


@cache
def large() -> bytes:
    """A JPEG of 28 megabytes."""
    data = picture(size=(64, 64), seed=99)
    segments: list[bytes] = []
    noise = random.Random(28)
    while len(segments) * 65_533 < 28_000_000:
        segments.append(b"\xff\xef" + struct.pack(">H", 65_533) + noise.randbytes(65_531))
    return data[:2] + b"".join(segments) + data[2:]


@cache
def images() -> dict[bytes, bytes]:
    """The image files that become frames, by path; `links` says which of them are links."""
    plain = picture()
    files = {
        b".dotfile": picture("PNG", seed=2),
        b".hidden.jpg": picture(seed=3),
        b"a.b.c.jpg": picture(seed=4),
        b"two  words .jpg": picture(seed=5),
        b'it\'s "quoted" `$HOME`.jpg': picture(seed=6),
        "straße/übergang 日本.jpg".encode(): picture(seed=7),
        b"n" * 196 + b".jpg": picture(seed=8),
        b"no_suffix": picture(seed=9),
        b"SHOUT.JPG": picture(seed=10),
        b"same.jpg": picture(seed=11),
        b"same.jpeg": picture(seed=12),
        b"same.png": picture("PNG", seed=13),
        b"same.webp": picture("WEBP", seed=14),
        b"one/name.jpg": picture(seed=15),
        b"two/name.jpg": picture(seed=16),
        b"two-name.jpg": picture(seed=17),
        b"plain.jpg": plain,
        b"deep/er/and/deeper/equal to plain.jpg": plain,
        NOT_UTF8: picture(seed=18),
        b"latin/cafz.jpg": picture(seed=36),  # behind it by the keys, before it by the names
        CONTROL: picture(seed=19),
        b"cut off.jpg": picture(seed=20)[:-40],
        b"no picture.jpg": b"These bytes are no picture.\n",
        b"in its header.png": picture("PNG", seed=21)[:18],
        b"cmyk.jpg": picture(mode="CMYK", seed=22),
        b"grey.jpg": picture(mode="L", seed=23),
        b"progressive.jpg": picture(seed=24, progressive=True),
        b"one pixel.png": picture("PNG", size=(1, 1), seed=25),
        b"one pixel.jpg": picture(size=(1, 1), seed=26),
        b"16 bit.png": picture("PNG", mode="I;16", seed=27),
        b"16 bit.tif": picture("TIFF", mode="I;16", seed=28),
        b"large.jpg": large(),
        b"wide.jpg": picture(size=(900, 3), seed=29),
        b"more.gif": picture("GIF", mode="P", seed=30),
        b"more.bmp": picture("BMP", seed=31),
        b"more.avif": picture("AVIF", seed=32),
        b"more.jp2": picture("JPEG2000", seed=33),
        b"more.tiff": picture("TIFF", seed=34),
        b"trailing.jpg": picture(seed=35) + b"something behind the end\n",
        **{b"turned/%d.jpg" % n: turned(n, seed=40 + n) for n in range(1, 9)},
    }
    for link, target in links().items():
        if target in files:
            files[link] = files[target]
    inside = [name for name in files if name.startswith(b"one/")]
    return files | {b"linked folder/" + name[4:]: files[name] for name in inside}


def links() -> dict[bytes, bytes]:
    """The symbolic links, and what they lead to, from the images' root."""
    return {
        b"linked.jpg": b"plain.jpg",
        b"one/linked up.jpg": b"two/name.jpg",
        b"linked folder": b"one",
        b"deep/loop": b"",
        b"broken.jpg": b"nowhere.jpg",
    }


EMPTY = (b"empty.jpg", b"one/empty.png", b"linked folder/empty.png")
"""Image files of 0 bytes: no frames, and there again after unpacking."""
OTHERS = {b"notes.txt": b"no image\n", b"two/Thumbs.db": b"nor this\n"}
PROBLEMS = {
    "broken.jpg": "unreadable",
    "cut off.jpg": "cut-off",
    "deep/loop": "link-loop",
    "empty.jpg": "empty-file",
    "in its header.png": "undecodable",
    "latin/caf\\xe9.jpg": "name-not-utf8",
    "line\nbreak.jpg": "control-character",
    "linked folder/empty.png": "empty-file",
    "no picture.jpg": "undecodable",
    "one/empty.png": "empty-file",
}
"""What has to be listed: the key and the problem's code."""


def build(folder: Path, *, backwards: bool = False, time: int | None = None) -> Path:
    """Make the folder; `backwards` in the other order, `time` (seconds) as the time of every file."""
    folder.mkdir(parents=True)
    shortcuts = links()
    behind = [link + b"/" for link in shortcuts]
    files = images() | OTHERS | dict.fromkeys(EMPTY, b"")
    files = {name: data for name, data in files.items() if name not in shortcuts}
    files = {name: data for name, data in files.items() if not name.startswith(tuple(behind))}
    for name, data in sorted(files.items(), reverse=backwards):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if time is not None:
            os.utime(path, (time, time))
    for link, target in shortcuts.items():
        path = folder / os.fsdecode(link)
        path.symlink_to(os.path.relpath(folder / os.fsdecode(target), path.parent))
    return folder


def key(name: bytes) -> str:
    r"""The key of a file: its path, with `\xff` for a byte that is not UTF-8."""
    return name.decode("utf-8", "backslashreplace")


def frames() -> list[tuple[str, bytes]]:
    """Key and bytes of each frame, in order."""
    pairs = [(key(name), data) for name, data in images().items()]
    return sorted(pairs, key=lambda pair: pair[0].encode())


def restored() -> dict[bytes, bytes]:
    """The files that unpacking has to make; a control character in a name is written as %0A."""
    files = images() | dict.fromkeys(EMPTY, b"")
    return {name.replace(b"\n", b"%0A"): data for name, data in files.items()}
