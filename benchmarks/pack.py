"""Packing side by side: tar, the peers and xlabel, in turn, on the same files and the same disk.

    python benchmarks/pack.py [--images N] [--rounds N] [--work DIR] [--only NAME ...] [--json FILE]

Every number is of a whole process, from its start to its end; ratios are to `tar -cf` of images and labels in
the same round. See README.md beside this file for what is measured and how.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from peers import PEERS

REFERENCE = "tar"
XLABEL = (sys.executable, "-m", "xlabel", "pack")
HERE = Path(__file__).parent
BUNDLE = (sys.executable, str(HERE.parent / "scripts" / "bundle_images.py"))
PEER = (sys.executable, str(HERE / "peers.py"))
WRITERS = {  # name: command; {data}, {images}, {labels} and {out} are folders
    "tar": ("tar", "-cf", "{out}/data.tar", "-C", "{data}", "images", "labels"),
    "tar, images only": ("tar", "-cf", "{out}/data.tar", "-C", "{data}", "images"),
    "cat, images only": ("sh", "-c", "find '{images}' -type f -print0 | xargs -0 cat > '{out}/data.bin'"),
    **{name: (*PEER, name, "{images}", "{labels}", "{out}") for name in PEERS},
    "xlabel": (*XLABEL, "{images}", "{labels}", "--output", "{out}", "--overwrite"),
    "xlabel, images only": (*BUNDLE, "--input", "{images}", "--output", "{out}/media_bundle.mp4"),
    "xlabel, images only, no hashes": (
        *(*BUNDLE, "--input", "{images}", "--output", "{out}/media_bundle.mp4", "--no-manifest"),
    ),
}
NEEDS = {name: module for name, (module, _) in PEERS.items()}
NEEDS |= {name: "xlabel" for name in WRITERS if name.startswith("xlabel")}


class Run(NamedTuple):
    """One writer's run. Times in seconds, memory and size in bytes."""

    wall: float
    writing: float
    """`wall` without the import of a Python peer's library; the same as `wall` for the others."""
    cpu: float
    """User and system time of the process and its children."""
    memory: int
    """The largest sum of the process tree's proportional set sizes, seen every 20 ms; 0 where not watched."""
    max_rss: int
    """The largest process by wait4; it is never less than this script's own at the fork."""
    files: int
    size: int


class WriterFailed(Exception):
    pass


# --- Measuring ------------------------------------------------------------------------------------------


def measure(command: list[str], out: Path, *, watched: bool = False) -> Run:
    """Runs the command with `out` as a new empty folder, and removes what it wrote.

    Watching the memory takes a share of a core, so `watched` runs say nothing of time.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.sync()  # dirty pages of the run before are not this one's
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        watch = MemoryWatch(process.pid)
        if watched:
            watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if watched:
                watch.stop()
            kill_group(process.pid)
        log.seek(0)
        text = log.read().decode(errors="replace")
    if process.returncode:
        raise WriterFailed((text.strip().splitlines() or ["no message"])[-1])
    written = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    shutil.rmtree(out)
    said = re.search(r"^written in ([\d.]+) s$", text, re.MULTILINE)
    return Run(
        wall=wall,
        writing=float(said[1]) if said else wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=watch.peak,
        max_rss=usage.ru_maxrss * 1024,
        files=len(written),
        size=sum(written),
    )


class MemoryWatch(threading.Thread):
    """Notes the largest memory that a process and its descendants hold together."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self._done = pid, 0, threading.Event()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, sum(map(memory_of, tree(self.pid))))
            if self._done.wait(0.02):
                return

    def stop(self) -> None:
        self._done.set()
        self.join()


def tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is read
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, read(children).split())
    return found


def memory_of(pid: int) -> int:
    """Bytes, with pages that processes share divided among them; 0 when the process is gone."""
    line = re.search(r"^Pss:\s+(\d+) kB", read(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return int(line[1]) * 1024 if line else 0


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process ended meanwhile
        return ""


def kill_group(pid: int) -> None:
    """Ends helpers that outlived their writer; `pid` leads a group of its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run_rounds(names: list[str], data: Path, rounds: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Each writer's runs, and why a writer was left out. The order turns by one from round to round."""
    out = data.parent / "output"
    folders = {"data": data, "images": data / "images", "labels": data / "labels", "out": out}
    runs: dict[str, list[Run]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name in failed:
                continue
            try:
                run = measure([part.format_map(folders) for part in WRITERS[name]], out)
            except WriterFailed as error:
                failed[name] = str(error)
                continue
            runs[name].append(run)
            print(f"round {number + 1}: {name} {run.wall:.2f} s", file=sys.stderr, flush=True)
    for name in names:
        if name not in failed:
            command = [part.format_map(folders) for part in WRITERS[name]]
            peak = measure(command, out, watched=True).memory
            runs[name] = [run._replace(memory=peak) for run in runs[name]]
            print(f"memory: {name} {peak / 1e6:.0f} MB", file=sys.stderr, flush=True)
    shutil.rmtree(out, ignore_errors=True)
    return {name: runs[name] for name in names if name not in failed}, failed


# --- Reporting ------------------------------------------------------------------------------------------


def summary(runs: list[Run], reference: list[Run]) -> dict[str, float | list[float]]:
    """Medians, and the median of each round's ratio to the reference; [smallest, largest] for wall."""
    result: dict[str, float | list[float]] = {}
    for field in Run._fields:
        values = [getattr(run, field) for run in runs]
        ratios = [v / (getattr(ref, field) or 1) for v, ref in zip(values, reference, strict=True)]
        result |= {field: median(values), f"{field}_ratio": median(ratios)}
        if field == "wall":
            result["wall_ratio_range"] = [min(ratios), max(ratios)]
    return result


def table(results: dict[str, Any]) -> str:
    lines = ["| writer | wall | to tar | writing | to tar | CPU | to tar | memory | to tar | files | size |"]
    lines.append("|---|" + "--:|" * 10)
    for name, r in results.items():
        low, high = r["wall_ratio_range"]
        cells = [name, f"{r['wall']:.2f} s", f"{r['wall_ratio']:.2f} [{low:.2f}-{high:.2f}]"]
        cells += [f"{r['writing']:.2f} s", f"{r['writing_ratio']:.2f}"]
        cells += [f"{r['cpu']:.2f} s", f"{r['cpu_ratio']:.2f}"]
        cells += [f"{r['memory'] / 1e6:.0f} MB", f"{r['memory_ratio']:.1f}"]
        cells += [f"{r['files']:.0f}", f"{r['size_ratio']:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the numbers were measured with."""
    versions = {}
    for package in ("xlabel", "webdataset", "mosaicml-streaming", "litdata", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Packing side by side: tar, the peers and xlabel.")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "xlabel-bench")
    parser.add_argument("--only", nargs="+", choices=list(WRITERS), metavar="NAME", default=list(WRITERS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    data = options.work.resolve() / f"data-{options.images}"
    missing = {
        n: f"needs {m}" for n, m in NEEDS.items() if n in options.only and not importlib.util.find_spec(m)
    }
    names = [n for n in WRITERS if n == REFERENCE or (n in options.only and n not in missing)]
    # In a process of its own: the memory of NumPy and Pillow would count in each child's `max_rss`.
    subprocess.run([sys.executable, HERE / "data.py", data, str(options.images)], check=True)
    size = sum(len(path.read_bytes()) for path in data.rglob("*.*"))  # and now they are in the page cache
    print(
        f"{options.images} images and label files, {size:,} bytes; {options.rounds} rounds", file=sys.stderr
    )
    runs, failed = run_rounds(names, data, options.rounds)
    results = {name: summary(runs[name], runs[REFERENCE]) for name in runs}
    print(table(results))
    for name, reason in (missing | failed).items():
        print(f"left out: {name}: {reason}")
    if options.json:
        about = {"images": options.images, "bytes": size, "rounds": options.rounds, **machine()}
        raw = {name: [run._asdict() for run in runs[name]] for name in runs}
        document = {**about, "results": results, "runs": raw, "left_out": missing | failed}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
