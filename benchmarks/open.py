"""Opening a bundle and reading single images from it, without and with its JSON files.

python benchmarks/open.py [--frames 10000000] [--work DIR]

The large bundle is sparse: its index is real, its images are a hole.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

SIZE = 75_000  # bytes of an image


def build(path: Path, frames: int) -> None:
    """Write the index of a bundle of that many frames, and nothing of the images."""
    from xlabel.bundles import Directory, mp4

    def names() -> Iterator[bytes]:
        for start in range(0, frames, 10_000):
            stop = min(start + 10_000, frames)
            yield b"".join(b"train/%08d.jpg\0" % number for number in range(start, stop))

    first = len(mp4.HEAD)
    directory = Directory(
        offsets=array("Q", range(first, first + SIZE * frames, SIZE)),
        sizes=array("Q", [SIZE]) * frames,
        tracks=bytearray(frames),
        mimes=["image/jpeg"],
        extents=[(640, 480)],
        names=names,
        names_size=len(b"train/00000000.jpg\0") * frames,
        records=lambda: (),
        records_size=0,
        entries=0,
        fps=Fraction(10),
        pack_id="0" * 32,
    )
    with open(path, "wb") as out:
        out.write(mp4.HEAD)
        for offset, data in mp4.finish(first + SIZE * frames, directory, False):
            out.seek(offset)
            out.write(data)


def measure_open(path: Path) -> None:
    """Open the bundle in this process, look at single frames, then at the keys; print what each takes."""
    began = time.perf_counter()
    import xlabel

    imported = time.perf_counter()
    bundle = xlabel.open_bundle(path)
    frames = len(bundle)
    assert int(bundle.sizes[frames - 1]) == SIZE
    opened = time.perf_counter()
    peak = peak_memory()
    bundle.image_bytes(frames // 2)
    read = time.perf_counter()
    number = bundle.number(f"train/{frames - 1:08}.jpg")
    keyed = time.perf_counter()
    assert number == frames - 1
    print(
        f"{frames:,} frames: import {imported - began:.3f} s, open {opened - imported:.3f} s, {peak:.0f} MB; "
        f"one image {1000 * (read - opened):.2f} ms; keys, when first asked, {keyed - read:.1f} s"
    )


def peak_memory() -> float:
    """Of this process in MB. Not ru_maxrss: that is handed down from the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def measure_random(images: Path, work: Path) -> None:
    """Read images at random from a bundle, and from their own files in the same order."""
    import xlabel

    xlabel.pack(images, None, work / "packed", overwrite=True)
    with xlabel.open_bundle(work / "packed") as bundle:
        order = [random.Random(0).randrange(len(bundle)) for _ in range(50_000)]
        for each in ("warm", "bundle"):
            began, cpu = time.perf_counter(), time.process_time()
            for number in order:
                bundle.image_bytes(number)
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            if each == "bundle":
                rates = f"{len(order) / wall:,.0f}/s, {len(order) / cpu:,.0f} a CPU second"
                print(f"bundle.image_bytes at random: {rates}")
        paths = [str(images / key) for key in bundle.keys]
    began = time.perf_counter()
    for number in order:
        with open(paths[number], "rb", buffering=0) as file:
            file.read()
    print(f"the image files at random: {len(order) / (time.perf_counter() - began):,.0f}/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        measure_open(options.open)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    sparse = options.work / "sparse.mp4"
    build(sparse, options.frames)
    # a process of its own, so that the peak is the reader's
    subprocess.run([sys.executable, __file__, "--open", str(sparse)], check=True, env=os.environ)
    sparse.unlink()
    from data import make_data

    make_data(options.work, options.images)
    measure_random(options.work / "images", options.work)


if __name__ == "__main__":
    main()
