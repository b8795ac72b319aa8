"""Getting a data set into a bucket, side by side: seconds, CPU and bytes on the wire, against SeaweedFS.

python benchmarks/push.py                          # 5,000 images of 60 kB, 1 GiB, 3 rounds; some minutes
python benchmarks/push.py --images 200 --size 20 --rounds 1
python benchmarks/push.py --json push.json         # every number as data

Each measurement is whole processes, from their start to their end, into an empty prefix. The server, the
network between (a proxy that delays, narrows and counts) and the tools share the machine.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.pushing import Work  # noqa: E402
from tests.stores.proxy import Proxy, between  # noqa: E402
from tests.stores.servers import environment, seaweedfs  # noqa: E402

XLABEL = (sys.executable, "-m", "xlabel")
BOTO3 = (sys.executable, str(Path(__file__)), "--boto3")
NETWORKS = {"direct": (0, 0.0), "20 ms": (20, 0.0), "20 ms, 100 Mbit/s": (20, 100.0)}
"""Round trip in ms, and Mbit/s, 0 for as many as there are."""
FILES = {  # name: commands; {data} is a folder of images/ and labels/, {out} an empty one, {url} a prefix
    "aws s3 cp --recursive": [("aws", "s3", "cp", "--only-show-errors", "--recursive", "{data}", "{url}")],
    "s5cmd cp": [("s5cmd", "cp", "{data}/", "{url}/")],
    "rclone copy": [("rclone", "copy", "--transfers", "32", "{data}", ":s3,env_auth,provider=Other:{path}")],
    "boto3, 32 threads": [(*BOTO3, "{data}", "{path}")],
    "xlabel pack, push": [
        (*XLABEL, "pack", "{data}/images", "{data}/labels", "--output", "{out}/pack"),
        (*XLABEL, "push", "{out}/pack", "{url}"),
    ],
}
ONE = {
    "aws s3 cp": [
        ("aws", "s3", "cp", "--only-show-errors", "{data}/pack/media_bundle.mp4", "{url}/media.mp4")
    ],
    "s5cmd cp": [("s5cmd", "cp", "{data}/pack/media_bundle.mp4", "{url}/media.mp4")],
    "xlabel push": [(*XLABEL, "push", "{data}/pack", "{url}")],
}
FIRST = "aws s3 cp"
"""Ratios are to the one that begins like this."""


def upload_files(folder: Path, path: str) -> None:
    """All files of a folder, by boto3's put_object in 32 threads."""
    from concurrent.futures import ThreadPoolExecutor

    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=32))
    bucket, _, prefix = path.partition("/")

    def put(file: Path) -> None:
        key = f"{prefix}/{file.relative_to(folder)}"
        client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, [file for file in folder.rglob("*") if file.is_file()]))


def measured(commands: list[tuple[str, ...]], proxy: Proxy, **places: str) -> dict[str, float]:
    """Wall and CPU seconds of commands, one after the other, and the bytes that went both ways."""
    before = os.times()
    sent, began = proxy.sent + proxy.received, time.perf_counter()
    for command in commands:
        done = subprocess.run([part.format(**places) for part in command], capture_output=True, text=True)
        if done.returncode:
            print(f"{command[:3]}: {(done.stdout + done.stderr)[-400:]}", file=sys.stderr)
            return {}
    wall, after = time.perf_counter() - began, os.times()
    time.sleep(0.2)
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {"wall": wall, "cpu": cpu, "bytes": proxy.sent + proxy.received - sent}


def is_there(commands: list[tuple[str, ...]]) -> bool:
    return all(shutil.which(command[0]) for command in commands)


def side_by_side(
    tools: dict[str, list[tuple[str, ...]]], data: Path, proxy: Proxy, rounds: int, scratch: Path
) -> dict[str, list[dict[str, float]]]:
    """The rounds of each tool that is installed; another one begins each round."""
    names = [name for name in tools if is_there(tools[name])]
    for name in set(tools) - set(names):
        print(f"{name}: left out, not installed", file=sys.stderr)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            path = f"lab/{random.randbytes(6).hex()}"
            places = {"data": str(data), "out": str(scratch), "url": f"s3://{path}", "path": path}
            found[name].append(measured(tools[name], proxy, **places))
    return found


def table(title: str, found: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Medians, and how many times the first tool's wall they are."""
    yield f"\n### {title}\n\n| tool | wall s | CPU s | MB on the wire | wall of {FIRST} to its |"
    yield "|---|---|---|---|---|"
    middle = {
        name: {kind: median(one[kind] for one in rounds if one) for kind in ("wall", "cpu", "bytes")}
        for name, rounds in found.items()
        if any(rounds)
    }
    first = next((numbers["wall"] for name, numbers in middle.items() if name.startswith(FIRST)), None)
    for name, numbers in middle.items():
        ratio = f"{first / numbers['wall']:.2f}" if first else ""
        cells = [
            name,
            f"{numbers['wall']:.2f}",
            f"{numbers['cpu']:.2f}",
            f"{numbers['bytes'] / 1e6:.1f}",
            ratio,
        ]
        yield "| " + " | ".join(cells) + " |"


def updates(work: Work, size: int, proxy: Proxy, scratch: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Bytes on the wire of each change: by a push, and by `aws s3 sync` of the files."""
    names = sorted(path.name for path in work.images.iterdir())
    some = max(1, len(names) // 100)
    url, files = f"s3://lab/{random.randbytes(6).hex()}", f"s3://lab/{random.randbytes(6).hex()}"
    sync = ("aws", "s3", "sync", "--only-show-errors", "--delete", "{data}", "{url}")
    push = (*XLABEL, "push", "{data}/pack", "{url}")
    chance = random.Random(0)

    def append() -> int:
        for number in range(some):
            work.draw(f"new{number}.jpg", 50_000 + number, size)
            work.label(f"new{number}.jpg", number)
        return some * size

    def replace() -> int:
        for name in chance.sample(names, some):
            work.draw(name, 90_000 + int(name[:-4]), size)
        return some * size

    def remove() -> int:
        for name in chance.sample(names, some):
            work.remove(name)
        return 0

    changes: list[tuple[str, Callable[[], int]]] = [("", lambda: 0), ("append 1%", append)]
    for title, change in [*changes, ("replace 1%, scattered", replace), ("delete 1%", remove)]:
        row = {"changed": change()}
        work._clock += 1_000_000  # `sync` goes by times
        if title:
            work.update()
        row["xlabel push"] = int(measured([push], proxy, data=str(work.root), url=url).get("bytes", 0))
        if shutil.which("aws"):
            row["aws s3 sync"] = 0
            for part in ("images", "labels"):
                places = {"data": str(work.root / part), "url": f"{files}/{part}"}
                row["aws s3 sync"] += int(measured([sync], proxy, **places).get("bytes", 0))
        if title:
            yield title, row


def dataset(folder: Path, count: int, size: int) -> Path:
    """Images of one size, their labels and their pack; kept from run to run."""
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        Work(folder / "work", count, size)
        (folder / "complete").touch()
    return folder / "work"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=5000, help="of 60 kB")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the one large pack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--boto3", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.boto3:
        upload_files(Path(options.boto3[0]), options.boto3[1])
        return

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(HERE.parent / "src")
    options.work.mkdir(parents=True, exist_ok=True)
    many = dataset(options.work / f"push-{options.images}", options.images, 60_000)
    one = dataset(options.work / f"push-one-{options.size}", max(1, options.size // 16), 16 << 20)
    written = options.work / "push"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    found: dict[str, Any] = {}
    with seaweedfs(written / "server") as bucket, between(bucket.endpoint) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        there = {"AWS_ENDPOINT_URL": address, "S3_ENDPOINT_URL": address, "RCLONE_S3_ENDPOINT": address}
        plain = written / "plain"  # what the other tools send: the files, without the pack
        shutil.copytree(many, plain, ignore=lambda folder, names: ["pack"], copy_function=os.link)
        with environment(bucket.env | there | {"PYTHONPATH": str(HERE.parent / "src")}):
            for title, (delay, mbit) in NETWORKS.items():
                proxy.delay, proxy.bandwidth = delay / 2000, mbit * 125_000 or None
                rows = side_by_side(FILES, plain, proxy, options.rounds, written / "scratch")
                found[title] = rows
                print("\n".join(table(f"{options.images:,} images of 60 kB, {title}", rows)), flush=True)
            proxy.delay, proxy.bandwidth = 0.0, None
            rows = side_by_side(ONE, one, proxy, options.rounds, written / "scratch")
            found["one"] = rows
            print("\n".join(table(f"{options.size:,} MiB as one file, direct", rows)), flush=True)
            changed = Path(shutil.copytree(many, written / "changed", copy_function=shutil.copy2))
            print("\n### Updates, bytes on the wire\n\n| change | changed | xlabel push | aws s3 sync |")
            print("|---|---|---|---|")
            found["updates"] = dict(updates(Work(changed), 60_000, proxy, written / "scratch"))
            for title, row in found["updates"].items():
                cells = [
                    f"{row.get(name, 0) / 1e6:.2f} MB" for name in ("changed", "xlabel push", "aws s3 sync")
                ]
                print("| " + " | ".join([title, *cells]) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    shutil.rmtree(written)


if __name__ == "__main__":
    main()
