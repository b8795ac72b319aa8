"""The tools that put labels into images, a function each: embed_peers.py KIND NAME FOLDER LABELS.

Each prints "work: WALL CPU" for its part without Python's start and imports, children included.
"""

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], Any]


def documents(folder: Path, labels: Path) -> dict[Path, str]:
    """A JSON text for each image, as ASCII: what a peer puts into its UserComment."""
    top = json.loads(labels.read_text())
    names = {image["id"]: image["file_name"] for image in top["images"]}
    grouped: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for one in top["annotations"]:
        grouped[names[one["image_id"]]].append(one)
    return {folder / name: json.dumps(group) for name, group in grouped.items()}


def write_xlabel(folder: Path, labels: Path, workers: int = 1) -> Work:
    import numpy  # noqa: F401  an import, as the others' are

    import xlabel

    dataset = xlabel.read(labels)
    embed = xlabel.embed  # imported when first used, and so is what reads JPEGs
    xlabel.labels(next(folder.iterdir()))
    return lambda: embed(folder, dataset, workers=workers)


def write_xlabel_two(folder: Path, labels: Path) -> Work:
    return write_xlabel(folder, labels, workers=2)


def write_piexif(folder: Path, labels: Path) -> Work:
    import piexif

    texts = documents(folder, labels)

    def work() -> None:
        for path, text in texts.items():
            exif = piexif.load(str(path))
            exif["Exif"][piexif.ExifIFD.UserComment] = b"ASCII\0\0\0" + text.encode()
            piexif.insert(piexif.dump(exif), str(path))

    return work


def write_pyexiv2(folder: Path, labels: Path) -> Work:
    import pyexiv2

    texts = documents(folder, labels)

    def work() -> None:
        for path, text in texts.items():
            with pyexiv2.Image(str(path)) as image:
                image.modify_exif({"Exif.Photo.UserComment": text})

    return work


def write_pyexiv2_both(folder: Path, labels: Path) -> Work:
    import pyexiv2

    texts = documents(folder, labels)

    def work() -> None:
        for path, text in texts.items():
            with pyexiv2.Image(str(path)) as image:
                image.modify_exif({"Exif.Photo.UserComment": text})
                image.modify_xmp({"Xmp.dc.description": text})

    return work


def write_exiftool(folder: Path, labels: Path) -> Work:
    texts = documents(folder, labels)
    tags = [{"SourceFile": str(path), "UserComment": text} for path, text in texts.items()]
    (folder.parent / "tags.json").write_text(json.dumps(tags))
    command = ["exiftool", "-q", "-overwrite_original", f"-json={folder.parent / 'tags.json'}", str(folder)]
    return lambda: subprocess.run(command, check=True)


def write_pyexiftool(folder: Path, labels: Path) -> Work:
    import exiftool

    texts = documents(folder, labels)

    def work() -> None:
        with exiftool.ExifToolHelper() as tool:
            for path, text in texts.items():
                tool.set_tags(str(path), {"UserComment": text}, params=["-overwrite_original"])

    return work


def read_xlabel(folder: Path, labels: Path) -> Work:
    import xlabel

    paths = sorted(map(str, folder.iterdir()))
    read = xlabel.labels
    read(paths[0])
    return lambda: [read(path) for path in paths]


def read_piexif(folder: Path, labels: Path) -> Work:
    import piexif

    paths = sorted(map(str, folder.iterdir()))
    return lambda: [piexif.load(path)["Exif"][piexif.ExifIFD.UserComment] for path in paths]


def read_pyexiv2(folder: Path, labels: Path) -> Work:
    import pyexiv2

    paths = sorted(map(str, folder.iterdir()))

    def work() -> None:
        for path in paths:
            with pyexiv2.Image(path) as image:
                image.read_exif()

    return work


def read_pillow(folder: Path, labels: Path) -> Work:
    from PIL import Image

    paths = sorted(map(str, folder.iterdir()))
    return lambda: [Image.open(path).getexif().get_ifd(0x8769)[0x9286] for path in paths]


def read_exiftool(folder: Path, labels: Path) -> Work:
    command = ["exiftool", "-json", "-fast2", "-UserComment", str(folder)]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


WRITERS = {
    "xlabel": write_xlabel,
    "xlabel, two processes": write_xlabel_two,
    "piexif": write_piexif,
    "pyexiv2, EXIF": write_pyexiv2,
    "pyexiv2, EXIF and XMP": write_pyexiv2_both,
    "exiftool, one call": write_exiftool,
    "PyExifTool": write_pyexiftool,
}
READERS = {
    "xlabel": read_xlabel,
    "piexif": read_piexif,
    "pyexiv2": read_pyexiv2,
    "Pillow": read_pillow,
    "exiftool, one call": read_exiftool,
}
NEEDS = {
    "piexif": "piexif",
    "pyexiv2": "pyexiv2",
    "pyexiv2, EXIF": "pyexiv2",
    "pyexiv2, EXIF and XMP": "pyexiv2",
    "exiftool, one call": "the command exiftool",
    "PyExifTool": "exiftool",
}


def missing() -> set[str]:
    """The tools that are not here."""
    return {name for name, module in NEEDS.items() if not _is_here(module)}


def _is_here(module: str) -> bool:
    if module.startswith("the command "):
        return shutil.which(module.split()[-1]) is not None
    return importlib.util.find_spec(module) is not None


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> None:
    kind, name, folder, labels = sys.argv[1:]
    work = {"write": WRITERS, "read": READERS}[kind][name](Path(folder), Path(labels))
    os.sync()
    wall, cpu = time.perf_counter(), _cpu()
    work()
    print(f"work: {time.perf_counter() - wall:.6f} {_cpu() - cpu:.6f}")


if __name__ == "__main__":
    main()
