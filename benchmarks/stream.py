"""Reading for training, side by side: images a second, as shares of what decoding alone allows.

python benchmarks/stream.py                           # 20,000 images, 3 rounds; servers 20 and 80 ms away
python benchmarks/stream.py --images 500 --rounds 1 --delays 20 --only xlabel webdataset
python benchmarks/stream.py --json stream.json        # every number as data

Each measurement is a process of its own that reads one epoch. `bytes` is reading alone, `decoded` with
simplejpeg, the same for all. The measure is decoding from memory, by the same process, before and after.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from data import make_data
from stream_peers import PEERS, Job, decoded, is_there

HERE = Path(__file__).parent
CEILING = 500
"""Images that are decoded from memory before and after, for what decoding alone allows."""


def measure(options: argparse.Namespace) -> None:
    """Read one epoch in this process; print images, wall and CPU seconds, and the largest memory in MB.

    Where images are decoded, also the seconds in which as many are decoded from memory.
    """
    work = decoded if options.what == "decoded" else len
    scratch = Path(options.scratch)
    job = Job(options.place, work, options.order == "shuffled", options.workers, scratch)
    samples = PEERS[options.measure].read(job)
    # What is imported once for a training, and not for an epoch.
    is_there(PEERS[options.measure])
    import numpy  # noqa: F401
    import simplejpeg  # noqa: F401

    if job.workers:
        import torch.utils.data  # noqa: F401
    decodes = options.what == "decoded"
    images = [path.read_bytes() for path in sorted(Path(options.data).iterdir())[:CEILING]] if decodes else []
    alone = [seconds(map(work, images))]
    wall, cpu, count = seconds(samples)
    alone.append(seconds(map(work, images)))
    found = {"count": count, "wall": wall, "cpu": cpu, "memory": memory()}
    if decodes:
        parts = [sum(one[kind] for one in alone) / (2 * len(images)) * count for kind in (0, 1)]
        found |= {"alone_wall": parts[0], "alone_cpu": parts[1]}
    print(json.dumps(found), flush=True)


def seconds(samples: Iterable[Any]) -> tuple[float, float, int]:
    """Wall and CPU seconds in which all samples come, and how many there are."""
    began, cpu = time.perf_counter(), cpu_seconds()
    count = sum(1 for _ in samples)
    return time.perf_counter() - began, cpu_seconds() - cpu, count


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def memory() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def measured(
    name: str, place: str, what: str, order: str, workers: int, scratch: Path, data: Path
) -> dict[str, float]:
    """The numbers of one measurement, in a process of its own; empty where it failed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [
        sys.executable, str(HERE / "stream.py"), "--measure", name, "--place", place, "--what", what,
        "--order", order, "--workers", str(workers), "--scratch", str(scratch),
        "--data", str(data),
    ]  # fmt: skip
    env = os.environ | {"PYTHONPATH": str(HERE.parent / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}, {what}, {order}, {workers} workers: {done.stderr[-600:]}", file=sys.stderr)
        return {}
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def server(folder: Path, places: dict[str, Path]) -> Iterator[Any]:
    """What was written, in a bucket of SeaweedFS behind a proxy whose `delay` can be set."""
    sys.path.insert(0, str(HERE.parent))
    import boto3
    from tests.stores.proxy import between
    from tests.stores.servers import environment, seaweedfs

    with ExitStack() as stack:
        bucket = stack.enter_context(seaweedfs(folder))
        proxy = stack.enter_context(between(bucket.endpoint))
        address = f"http://127.0.0.1:{proxy.port}"
        stack.enter_context(
            environment(bucket.env | {"AWS_ENDPOINT_URL": address, "S3_ENDPOINT_URL": address})
        )
        client = boto3.client("s3")
        for place in set(places.values()):
            for path in place.rglob("*"):
                if path.is_file():
                    client.upload_file(str(path), "lab", f"{place.name}/{path.relative_to(place)}")
        yield proxy


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Medians of the rounds, and of their shares of what decoding alone allows one process."""
    yield "| reader | from | read | order | workers | images/s | of the ceiling, wall | CPU | memory MB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        rounds = [one for one in row["rounds"] if one]
        cells = [str(row[name]) for name in ("name", "from", "what", "order", "workers")]
        if not rounds:
            yield "| " + " | ".join(cells) + " | failed ||||"
            continue
        wall = statistics.median(one["count"] / one["wall"] for one in rounds)
        memory = max(one["memory"] for one in rounds)
        shares = ["", ""]
        if row["what"] == "decoded":
            shares = [
                f"{statistics.median(one['alone_' + kind] / one[kind] for one in rounds):.1%}"
                for kind in ("wall", "cpu")
            ]
        cells += [f"{wall:,.0f}", *shares, f"{memory:.0f}"]
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--delays", type=int, nargs="*", default=[20, 80], help="round trips in ms")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    parser.add_argument("--json", type=Path)
    for name in ("--measure", "--place", "--what", "--order", "--scratch", "--data"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        options.workers = options.workers[0]
        measure(options)
        return

    options.work.mkdir(parents=True, exist_ok=True)
    data = options.work / f"data-{options.images}"
    make_data(data, options.images)
    written = options.work / "stream"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    names = [name for name in options.only if is_there(PEERS[name])]
    for name in set(options.only) - set(names):
        print(f"{name}: left out, not installed", file=sys.stderr)
    places: dict[str, Path] = {}
    for name in names:
        places[name] = written / PEERS[name].write.__name__.removeprefix("write_")
        if not places[name].exists():
            PEERS[name].write(data / "images", places[name])

    scratch = written / "scratch"
    rows: list[dict[str, Any]] = [
        {"name": name, "from": "disk", "what": what, "order": order, "workers": workers, "rounds": []}
        for what in ("bytes", "decoded")
        for order in ("sequential", "shuffled")
        for workers in options.workers
        for name in names
        if name != "xlabel, cache"
    ]
    for round_ in range(options.rounds):
        for row in rows[round_ % len(rows) :] + rows[: round_ % len(rows)]:
            which = (row["what"], row["order"], row["workers"], scratch, data / "images")
            row["rounds"].append(measured(row["name"], str(places[row["name"]]), *which))
    if options.delays:
        far = {name: places[name] for name in names if PEERS[name].far}
        with server(written / "server", far) as proxy:
            for delay in options.delays:
                proxy.delay = delay / 2000
                for order in ("sequential", "shuffled"):
                    for workers in options.workers:
                        for name in far:
                            row = {"name": name, "from": f"{delay} ms", "what": "decoded", "order": order}
                            row["workers"] = workers
                            place = f"s3://lab/{far[name].name}"
                            which = ("decoded", order, workers, scratch, data / "images")
                            row["rounds"] = [measured(name, place, *which) for _ in range(options.rounds)]
                            rows.append(row)
    print("\n".join(table(rows)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    shutil.rmtree(written)


if __name__ == "__main__":
    main()
