"""The Python peers, each as its own manual writes a dataset of images and text labels.

    python benchmarks/peers.py NAME IMAGES LABELS OUTPUT

Prints the seconds of writing alone, without the start of Python and the import of the library.
"""

import importlib
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any


def zip_stored(images: Path, labels: Path, output: Path) -> None:
    with zipfile.ZipFile(output / "data.zip", "w", zipfile.ZIP_STORED) as archive:
        for image, label in pairs(images, labels):
            archive.write(image, f"images/{image.name}")
            archive.write(label, f"labels/{label.name}")


def webdataset_tar(images: Path, labels: Path, output: Path) -> None:
    import webdataset

    with webdataset.TarWriter(str(output / "data.tar")) as writer:
        for image, label in pairs(images, labels):
            writer.write({"__key__": image.stem, "jpg": image.read_bytes(), "txt": label.read_bytes()})


def mds(images: Path, labels: Path, output: Path) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(output), columns={"name": "str", "image": "bytes", "label": "bytes"}) as writer:
        for image, label in pairs(images, labels):
            writer.write({"name": image.name, "image": image.read_bytes(), "label": label.read_bytes()})


def litdata_chunks(images: Path, labels: Path, output: Path) -> None:
    import litdata

    # Stems: a string that is the path of an existing file would be replaced by that file.
    stems = [image.stem for image, _ in pairs(images, labels)]
    litdata.optimize(
        fn=partial(litdata_sample, images, labels),
        inputs=stems,
        output_dir=str(output),
        chunk_bytes="64MB",
        num_workers=1,
        verbose=False,
    )


def litdata_sample(images: Path, labels: Path, stem: str) -> dict[str, Any]:
    image, label = images / f"{stem}.jpg", labels / f"{stem}.txt"
    return {"name": stem, "image": image.read_bytes(), "label": label.read_bytes()}


def pairs(images: Path, labels: Path) -> Iterator[tuple[Path, Path]]:
    """Each image and its label file, by name."""
    for image in sorted(images.iterdir()):
        yield image, labels / f"{image.stem}.txt"


PEERS: dict[str, tuple[str, Callable[[Path, Path, Path], None]]] = {  # name: (the module it needs, writer)
    "zipfile": ("zipfile", zip_stored),
    "webdataset": ("webdataset", webdataset_tar),
    "mosaicml-streaming": ("streaming", mds),
    "litdata": ("litdata", litdata_chunks),
}


def main(name: str, images: str, labels: str, output: str) -> None:
    module, write = PEERS[name]
    importlib.import_module(module)
    start = time.perf_counter()
    write(Path(images), Path(labels), Path(output))
    print(f"\nwritten in {time.perf_counter() - start:.4f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
