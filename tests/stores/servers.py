"""Servers that the tests of the stores start and stop themselves, on free ports of this machine only.

Each is somebody else's: SeaweedFS (pip), moto (pip), Azurite (npm), OpenSSH. None is reached over a network,
and none calls home.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import boto3
import pytest

START = 60.0
"""Seconds that a server may take until it answers."""
S3_ACCOUNT = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
BIN = Path(sys.executable).parent


def program(name: str, must: str, *folders: Path) -> str:
    """The path of a server's program; skips the test where there is none, unless XLABEL_MUST_RUN names it."""
    path = shutil.which(name, path=os.pathsep.join([str(BIN), *map(str, folders), os.environ["PATH"]]))
    if path is None:
        lacking(f"{name} is not installed", must)
    return path


def lacking(message: str, must: str) -> NoReturn:
    """Skip the test; fail it where XLABEL_MUST_RUN names what it needs."""
    if must in os.environ.get("XLABEL_MUST_RUN", "").split(","):
        pytest.fail(message)
    pytest.skip(message)


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody listens on, below those that the system gives to clients."""
    found: list[int] = []
    candidate = 10_000 + os.getpid() * 37 % 15_000
    while len(found) < number:
        candidate += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        found.append(candidate)
    return found


@contextmanager
def running(command: list[str], folder: Path, ready: Callable[[], bool], **env: str) -> Iterator[None]:
    """A server while it is needed; it has answered once, by `ready`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=os.environ | env
        )
    try:
        end = time.monotonic() + START
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{command[0]} does not answer: {(folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether an HTTP server answers, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Variables of the environment for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """An S3 server that keeps all the rules; gives its endpoint. Key `k`, secret `s`."""
    weed = program("weed", "s3")
    folder.mkdir(parents=True)
    account = {
        "name": "lab",
        "credentials": [{"accessKey": "k", "secretKey": "s"}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [account]}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        weed,
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
        "-filer",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    with running(command, folder, lambda: answers(f"{endpoint}/healthz")):
        yield endpoint


@contextmanager
def _folder(place: Path) -> Iterator[str]:
    yield str(place)


@contextmanager
def _s3(place: Path) -> Iterator[str]:
    """A bucket of SeaweedFS."""
    with seaweedfs(place) as endpoint, environment(AWS_ENDPOINT_URL=endpoint, **S3_ACCOUNT):
        boto3.client("s3").create_bucket(Bucket="lab")
        yield "s3://lab"


STORES = {"file": _folder, "s3": _s3}
