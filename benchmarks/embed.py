"""Labels into images and out again, side by side: cp, ExifTool, PyExifTool, pyexiv2, piexif and xlabel.

    python benchmarks/embed.py [--images N] [--rounds N] [--work DIR] [--only NAME ...] [--many N]

Each writer gets a fresh copy of the same JPEGs on a RAM disk and puts the same labels into each of them. See
README.md beside this file for what is measured and how.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from embed_peers import NEEDS, READERS, WRITERS, missing
from pack import MemoryWatch

HERE = Path(__file__).parent
PEER = (sys.executable, str(HERE / "embed_peers.py"))
QUIET = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
"""numpy's threads for algebra, which nobody here does, would spin for a while in whoever has imported it."""


class Run(NamedTuple):
    """One run: seconds of the whole process and its children, and of the work without start and imports."""

    wall: float
    cpu: float
    work_wall: float
    work_cpu: float
    memory: int
    """Peak bytes over the process tree; 0 where not watched."""


class Failed(Exception):
    pass


def run(command: list[str], *, watched: bool = False) -> Run:
    """Runs a command, which may print "work: WALL CPU" for the part without start and imports."""
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=QUIET)
        watch = MemoryWatch(process.pid)
        if watched:
            watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if watched:
            watch.stop()
        log.seek(0)
        text = log.read()
    if process.returncode:
        raise Failed((text.strip().splitlines() or ["no message"])[-1])
    cpu = usage.ru_utime + usage.ru_stime
    said = [line.split()[1:] for line in text.splitlines() if line.startswith("work: ")]
    work = (float(said[0][0]), float(said[0][1])) if said else (wall, cpu)
    return Run(wall, cpu, *work, watch.peak)


def make(work: Path, count: int, mean: int = 120_000) -> Path:
    """A folder with `images/`, and `labels.json` (COCO) for them; kept from run to run."""
    folder = work / f"embed-{count}-{mean}"
    if (folder / "complete").exists():
        return folder
    import io
    import random

    import numpy as np
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    noise, chance = np.random.default_rng(0), random.Random(0)
    side = 640 if mean > 50_000 else 160
    bases = []
    for _ in range(20):
        waves = np.cumsum(np.cumsum(noise.normal(0, 1, (side * 3 // 4, side, 3)), 0), 1) * 1.5
        picture = np.clip(waves % 256 + noise.normal(0, 9, waves.shape), 0, 255).astype(np.uint8)
        quality = 62 if mean > 50_000 else 80
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        bases.append(file.getvalue())
    images, annotations = [], []
    for i in range(count):
        name = f"{i:07d}.jpg"
        (folder / "images" / name).write_bytes(bases[i % len(bases)])
        images.append({"id": i, "file_name": name, "width": side, "height": side * 3 // 4})
        for _ in range(5):
            x, y = (round(chance.uniform(0, side / 2), 2) for _ in range(2))
            w, h = (round(chance.uniform(8, side / 4), 2) for _ in range(2))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i,
                    "category_id": chance.randrange(10),
                    "bbox": [x, y, w, h],
                    "area": round(w * h, 4),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": f"class {i}"} for i in range(10)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    (folder / "complete").touch()
    return folder


def measure(names: list[str], data: Path, rounds: int, kind: str) -> dict[str, list[Run] | str]:
    """Each tool's runs, in turn, or why it was left out. Readers read what xlabel's writer wrote."""
    copy = data / "copy"
    found: dict[str, list[Run] | str] = {}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            runs = found.setdefault(name, [])
            if isinstance(runs, str):
                continue
            shutil.rmtree(copy, ignore_errors=True)
            try:
                if name == "cp":
                    runs.append(run(["cp", "-r", str(data / "images"), str(copy)]))
                    continue
                source = data / "images" if kind == "write" else data / "labelled"
                shutil.copytree(source, copy)
                runs.append(run([*PEER, kind, name, str(copy), str(data / "labels.json")]))
            except Failed as error:
                found[name] = str(error)
                continue
            print(
                f"round {number + 1}: {kind} {name} {runs[-1].work_cpu:.2f} CPU s",
                file=sys.stderr,
                flush=True,
            )
    shutil.rmtree(copy, ignore_errors=True)
    return {name: found[name] for name in names}


def table(found: dict[str, list[Run] | str], count: int, reference: str) -> list[str]:
    lines = [
        f"| tool | files/s | CPU s | to {reference} | CPU s with start | to {reference} |",
        "|---|" + "--:|" * 5,
    ]
    base = found[reference]
    assert isinstance(base, list), base
    for name, runs in found.items():
        if isinstance(runs, str):
            lines.append(f"| {name} | failed: {runs} | | | | |")
            continue
        pairs = list(zip(runs, base, strict=True))
        cells = [
            f"{count / median(r.work_wall for r in runs):,.0f}",
            f"{median(r.work_cpu for r in runs):.3f}",
            f"{median(r.work_cpu / b.work_cpu for r, b in pairs):.2f}",
            f"{median(r.cpu for r in runs):.3f}",
            f"{median(r.cpu / b.cpu for r, b in pairs):.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("/dev/shm/xlabel-bench"))
    parser.add_argument("--only", nargs="*", help="some of the tools; cp always")
    parser.add_argument(
        "--many", type=int, default=100_000, help="small images for the peak of memory; 0: none"
    )
    options = parser.parse_args()
    data = make(options.work, options.images)
    absent = missing()
    chosen = [n for n in ["cp", *WRITERS] if n == "cp" or not options.only or n in options.only]
    writers = [n for n in chosen if n not in absent]
    labelled = data / "labelled"
    if not labelled.exists():
        shutil.copytree(data / "images", labelled)
        run([*PEER, "write", "xlabel", str(labelled), str(data / "labels.json")])
    written = measure(writers, data, options.rounds, "write")
    readers = ["cp", *(n for n in READERS if n not in absent and (not options.only or n in options.only))]
    read = measure(readers, data, options.rounds, "read")
    size = sum(p.stat().st_size for p in (data / "images").iterdir()) / options.images
    print(
        f"{options.images:,} JPEGs of {size:,.0f} bytes on {options.work}, {options.rounds} rounds, medians;"
    )
    system = f"{platform.system()} {platform.release()}"
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {system}\n")
    print("Labels into images (5 boxes each):\n")
    print("\n".join(table(written, options.images, "cp")))
    print("\nLabels out of images:\n")
    print("\n".join(table(read, options.images, "cp")))
    for name in sorted(absent):
        print(f"\nnot installed: {name} ({NEEDS[name]})")
    if options.many:
        print("\n" + memory(options.work, options.many))


def memory(work: Path, count: int) -> str:
    """The peak of memory while the command labels a large folder of small images."""
    data = make(work, count, 10_000)
    copy = data / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data / "images", copy)
    labels = data / "yolo"
    if not labels.exists():
        labels.mkdir()
        for i in range(count):
            (labels / f"{i:07d}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    done = run([sys.executable, "-m", "xlabel", "embed", str(copy), str(labels)], watched=True)
    shutil.rmtree(copy)
    rate = f"{done.wall:.1f} s, {count / done.wall:,.0f} files/s in all processes"
    return f"{count:,} small images with a YOLO file each: {rate}, peak memory {done.memory / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
