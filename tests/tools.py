"""Other people's tools, which say whether our files are what they claim to be."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample"
PACKAGE = {"ffprobe": "ffmpeg"}


def tool(name: str) -> str:
    """The path of a command line tool; the test is skipped where it is absent.

    It fails instead where XLABEL_MUST_RUN names the tool, as it does in CI.
    """
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed"
        if PACKAGE.get(name, name) in os.environ.get("XLABEL_MUST_RUN", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    return path


def run(*command: str | bytes | Path, cwd: Path | None = None, stdin: bytes = b"") -> bytes:
    """What a command prints; the test fails, with all of its output, where the command does."""
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True)
    if done.returncode:
        pytest.fail(f"{command[0]!r} gave {done.returncode}: {(done.stdout + done.stderr)[-2000:].decode()}")
    return done.stdout


Done = subprocess.CompletedProcess[str]


def xlabel(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """The command `xlabel`, in a process of its own."""
    command = [sys.executable, "-m", "xlabel", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def script(name: str, *arguments: str | Path, cwd: Path, stdin: str = "") -> Done:
    """One of the scripts, in a process of its own."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, input=stdin)


def tree(folder: Path) -> dict[bytes, bytes]:
    """All files below a folder: their paths as the file system has them, and their bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {os.fsencode(path.relative_to(folder)): path.read_bytes() for path in files}


def put(files: dict[bytes, bytes], folder: Path) -> None:
    """Have a folder hold these files, and nothing else; the reverse of `tree`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def bound(*arguments: str | Path) -> Done:
    """The command `xlabel` with the rights of its user alone: who is root otherwise reads everything."""
    command = [sys.executable, "-m", "xlabel", *map(str, arguments)]
    if os.geteuid() == 0:
        command = [tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, capture_output=True, text=True)


def library(name: str, must: str = "") -> Any:
    """A module that is in none of the project's own extras for tests; without it the test is skipped.

    It fails instead where XLABEL_MUST_RUN names it, or `must`, as it does in CI.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:  # what those raise that are built for another torch
        if (must or name) in os.environ.get("XLABEL_MUST_RUN", "").split(","):
            raise
        pytest.skip(f"{name} is not installed, or does not fit: {error!r:.60}", allow_module_level=True)
