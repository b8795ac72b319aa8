"""A folder of images and YOLO labels that changes, and what other people's tools read from its pack."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from pycocotools.coco import COCO

import xlabel
from tests.awkward import picture
from tests.bundles.test_mp4 import demuxed, probed
from tests.tools import put, run, tool, tree

MEDIA = "media_bundle.mp4"
CLASSES = ("boat", "tree", "car")
NAMES = ("a.jpg", "b.png", "b/c.jpg", "b/d.webp", "e", "e/f.jpg", "g h.jpg", os.fsdecode(b"caf\xe9.png"))
"""Two are files in a folder that is the name of another."""
CUT, NONE = 998, 999
"""Seeds of an image that is cut off, and of one that is none at all."""

Seen = dict[str, tuple[bytes, list[tuple[str, list[float]]]]]
"""Key -> the bytes of an image, and category and box of each of its labels."""


class Folder:
    """Images and labels below a root. Each file's time is long ago, and another one after each change."""

    def __init__(self, root: Path, names: tuple[str, ...] = NAMES[:4]) -> None:
        self.root = root
        self.images, self.labels = root / "images", root / "labels"
        self.images.mkdir(parents=True)
        self.labels.mkdir()
        self._clock = 1_000_000_000
        self._sizes: dict[bytes, tuple[int, int]] = {}
        """Width and height of each image, by its bytes."""
        self.write(self.labels / "classes.txt", "\n".join(CLASSES).encode() + b"\n")
        for seed, name in enumerate(names):
            self.add(name, seed)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, and take away what is in its way."""
        for above in path.parents:
            if above.is_file():
                above.unlink()
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._clock += 10
        os.utime(path, (self._clock, self._clock))

    def add(self, name: str, seed: int) -> None:
        """An image, or another one in its place, and its labels."""
        self.draw(name, seed)
        self.label(name, seed)

    def draw(self, name: str, seed: int) -> None:
        """An image, or another one in its place; one of two seeds is cut off, or none at all."""
        kind = {".png": "PNG", ".webp": "WEBP"}.get(Path(name).suffix, "JPEG")
        size = 12 + seed % 5, 10 + seed % 3
        data = picture(kind, size, seed=seed)
        if seed == CUT:
            data = data[:-30]
        if seed == NONE:
            data = b"This is no picture.\n"
        else:
            self._sizes[data] = size
        self.write(self.images / name, data)

    def label(self, name: str, seed: int) -> None:
        """Labels of an image: none, or up to three."""
        if not name.isascii() or (self.images / name).read_bytes() not in self._sizes:
            return
        count = seed * 7 % 11 % 4
        rows = [f"{(seed + n) % 3} 0.5 0.5 0.{1 + n} 0.{1 + seed % 8}\n" for n in range(count)]
        self.write(self.labels / Path(name).with_suffix(".txt"), "".join(rows).encode())

    def remove(self, name: str) -> None:
        """Take an image and its labels away."""
        (self.images / name).unlink()
        (self.labels / name).with_suffix(".txt").unlink(missing_ok=True)

    def rename(self, name: str, other: str) -> None:
        """Give an image and its labels another name."""
        data = (self.images / name).read_bytes()
        labels = (self.labels / name).with_suffix(".txt")
        text = labels.read_bytes() if labels.exists() else None
        self.remove(name)
        self.write(self.images / other, data)
        if text is not None and other.isascii():
            self.write(self.labels / Path(other).with_suffix(".txt"), text)

    def swap(self, name: str, other: str) -> None:
        """Give each of two images the other's name; the labels stay."""
        data = (self.images / name).read_bytes()
        self.write(self.images / name, (self.images / other).read_bytes())
        self.write(self.images / other, data)

    @property
    def names(self) -> list[str]:
        """The images that are not empty; what is none by name and content is none."""
        every = (path for path in self.images.rglob("*") if path.is_file() and path.stat().st_size)
        files = [path for path in every if path.suffix or path.read_bytes() in self._sizes]
        return sorted(path.relative_to(self.images).as_posix() for path in files)

    @property
    def files(self) -> dict[bytes, bytes]:
        """All files, but for what is no image by name and content."""
        others = {path for path in self.images.rglob("*") if path.is_file() and not path.suffix}
        others -= {self.images / name for name in self.names}
        left_out = {os.fsencode(path.relative_to(self.root)) for path in others}
        return {name: data for name, data in tree(self.root).items() if name not in left_out}

    def expected(self) -> Seen:
        """What a pack has to hold: the rows of the label files, for the sizes that were drawn."""
        return {
            os.fsencode(name).decode("utf-8", "backslashreplace"): (
                (self.images / name).read_bytes(),
                self._boxes(name),
            )
            for name in self.names
        }

    def _boxes(self, name: str) -> list[tuple[str, list[float]]]:
        path = (self.labels / name).with_suffix(".txt")
        size = self._sizes.get((self.images / name).read_bytes())
        if not path.exists() or size is None:
            return []
        width, height = size
        found = []
        for row in path.read_text().splitlines():
            category, *numbers = row.split()
            x, y, w, h = map(float, numbers)
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            found.append((CLASSES[int(category)], [round(number, 3) for number in box]))
        return sorted(found)


class Two:
    """A pack, and the folder as it is a generation later."""

    def __init__(self, root: Path, count: int = 0) -> None:
        self.folder = Folder(root / "source", NAMES[:4] + tuple(f"{n:03}.jpg" for n in range(count)))
        xlabel.pack(self.folder.images, self.folder.labels, root / "pack")
        self.before = tree(root / "pack")
        self.contents = [self.folder.expected()]
        self.folder.add("new.jpg", 20)
        self.folder.draw("b.png", 21)
        self.folder.remove("b/c.jpg")
        self.folder.rename("a.jpg", "z.jpg")
        self.folder.label("b/d.webp", 7)
        for number in range(0, count, 3):
            self.folder.draw(f"{number:03}.jpg", 1000 + number)
        self.contents.append(self.folder.expected())

    def put(self, output: Path) -> None:
        """The pack before the update, and nothing else."""
        put(self.before, output)

    def update(self, output: Path, workers: int = 1) -> None:
        xlabel.update(self.folder.images, self.folder.labels, output, workers=workers)

    def shown(self, output: Path) -> int:
        """The generation, 0 or 1, of what other tools see of the media, which is whole."""
        packets = sorted(demuxed(output / MEDIA, Fraction(10)).values())
        which = [sorted(data for data, _ in one.values()) for one in self.contents].index(packets)
        coco = described(output / "unified_annotation.json")
        media = (output / MEDIA).read_bytes()
        for image in coco.imgs.values():
            data = media[image["offset"] : image["offset"] + image["size"]]
            assert sha256(data).hexdigest() == image["sha256"]
        keys = {image["file_name"] for image in coco.imgs.values()}
        assert keys in [set(one) for one in self.contents]
        return which

    def is_whole(self, output: Path) -> int:
        """The generation, 0 or 1, of a pack in which nothing is wrong."""
        with xlabel.open_bundle(output) as bundle:
            found = {key: bundle.image_bytes(key) for key in bundle.keys}
        report = xlabel.verify(output)
        assert report.problems == []
        assert not (output / ".xlabel-pack").exists()
        assert found == {key: data for key, (data, _) in held(output).items()}
        return self.contents.index(held(output))


def _rename_and_label(folder: Folder, name: str, other: str, seed: int) -> None:
    folder.rename(name, other)
    folder.label(other, seed)


CHANGES: dict[str, Callable[[Folder, str, str, int], None]] = {
    "add": lambda folder, _, other, seed: folder.add(other, seed),
    "draw": lambda folder, name, _, seed: folder.draw(name, seed),
    "label": lambda folder, name, _, seed: folder.label(name, seed),
    "remove": lambda folder, name, _, __: folder.remove(name),
    "rename": lambda folder, name, other, _: folder.rename(name, other),
    "rename and label": _rename_and_label,
    "swap": lambda folder, name, _, seed: folder.swap(name, folder.names[seed % len(folder.names)]),
    "empty": lambda folder, _, __, seed: folder.write(folder.images / f"empty{seed % 2}.jpg", b""),
}
"""What may become of a folder, by an image's name, another name, and a seed."""


def packed(folder: Folder, output: Path, **how: Any) -> Path:
    """The folder's pack, in `output`."""
    xlabel.pack(folder.images, folder.labels, output, **how)
    return output


def updated(folder: Folder, output: Path, **how: Any) -> dict[str, int]:
    """What an update says that it has done."""
    report = xlabel.update(folder.images, folder.labels, output, **how)
    kinds = ("added", "changed", "removed", "renamed", "relabelled")
    return {kind: report.done[kind] for kind in kinds if kind in report.done}


def described(annotations: Path) -> COCO:
    """An annotation file as pycocotools reads it."""
    with redirect_stdout(StringIO()):
        return COCO(str(annotations))


def held(folder: Path, media: str = MEDIA) -> Seen:
    """What pycocotools and PyAV (tarfile, zipfile) read from a pack; packets are at their frame's number."""
    coco = described(folder / "unified_annotation.json")
    names = {category["id"]: category["name"] for category in coco.dataset.get("categories", [])}
    contents: dict[Any, bytes]
    if media.endswith(".mp4"):
        contents = dict(demuxed(folder / media, Fraction(10)))
        keys = {image["frame_index"]: image["file_name"] for image in coco.imgs.values()}
        assert set(contents) == set(keys)
        contents = {keys[number]: data for number, data in contents.items()}
    elif media.endswith(".zip"):
        with ZipFile(folder / media) as file:
            contents = {_named(one): file.read(one) for one in file.infolist() if one.file_size}
    else:
        with tarfile.open(folder / media) as tar:
            members = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.size}
            contents = {
                os.fsencode(name).decode("utf-8", "backslashreplace"): file.read()
                for name, file in members.items()
                if file is not None
            }
    found: Seen = {}
    for identity, image in coco.imgs.items():
        labels = [
            (names[one["category_id"]], [round(number, 3) for number in one["bbox"]])
            for one in coco.imgToAnns[identity]
        ]
        found[image["file_name"]] = contents[image["file_name"]], sorted(labels)
    return found


def _named(entry: ZipInfo) -> str:
    """The key of a file in a ZIP; zipfile takes names that are not marked as UTF-8 for CP437."""
    raw = entry.filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437")
    return raw.decode("utf-8", "backslashreplace")


def counted(media: Path) -> int:
    """The packets that ffprobe counts in an .mp4."""
    return sum(probed(media).values())


def complaints(media: Path) -> str:
    """What unzip says of the ZIP face of an .mp4, where something is wrong with it."""
    run(tool("unzip"), "-v")
    done = subprocess.run([tool("unzip"), "-tqq", media], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def manifest(folder: Path) -> list[dict[str, Any]]:
    """The frames of a pack, deleted ones too."""
    found: list[dict[str, Any]] = json.loads((folder / "frame_manifest.json").read_bytes())["frames"]
    return found
