"""Servers that tests start and stop themselves, on free ports of this machine only.

Each is somebody else's, but for `hub`: SeaweedFS (pip), moto (pip), Azurite (npm), OpenSSH. None is reached
over a network, and none calls home. A test asks the fixture `start` for one of `PLACES`.
"""

import getpass
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
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from tests.stores import hub

START = 180.0
"""Seconds that a server may take until it answers."""
ACCOUNT = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Place(NamedTuple):
    """A store on a server: its URL, the variables by which it is found, and where the server listens."""

    url: str
    env: dict[str, str]
    endpoint: str = ""
    conditional: bool = True
    """Whether the server honours the conditions that the store, on a real cloud, is promised."""


Start = Callable[[str], Place]
"""Gives one of `PLACES` by its name."""


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
    candidate = 10_000 + os.getpid() * 137 % 15_000
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
def running(command: list[str], folder: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """A server while it is needed; it has answered once, by `ready`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
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
            process.wait(1)
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
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Variables of the environment for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def folder(place: Path) -> Iterator[Place]:
    """A folder, which is there when something is written."""
    yield Place(str(place), {})


@contextmanager
def seaweedfs(place: Path) -> Iterator[Place]:
    """A bucket of an S3 server that keeps all the rules."""
    weed = program("weed", "s3")
    place.mkdir(parents=True)
    account = {
        "name": "lab",
        "credentials": [{"accessKey": "k", "secretKey": "s"}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (place / "s3.json").write_text(json.dumps({"identities": [account]}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        weed,
        "server",
        f"-dir={place}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=0",
        "-filer",
        "-s3",
        f"-s3.config={place / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    with running(command, place, lambda: answers(f"{endpoint}/healthz")):
        yield bucket(endpoint)


@contextmanager
def moto(place: Path) -> Iterator[Place]:
    """A bucket of a server that takes If-Match for granted when an upload is completed."""
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    command = [program("moto_server", "moto"), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, place, lambda: answers(f"{endpoint}/moto-api/")):
        yield bucket(endpoint)


SWIFT_SERVER = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {place}
devices = {place}/disks
mount_check = false
log_address = /dev/null
[pipeline:main]
pipeline = {pipeline}
[app:{part}-server]
use = egg:swift#{part}
"""
SWIFT_PROXY = """account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_lab_k = s .admin
[filter:slo]
use = egg:swift#slo
[filter:proxy-logging]
use = egg:swift#proxy_logging
"""


@contextmanager
def swift(place: Path) -> Iterator[Place]:
    """A bucket of OpenStack Swift, which refuses conditions on PutObject, and parts above number 1,000."""
    parts = ("proxy", "account", "container", "object")
    programs = {part: program(f"swift-{part}-server", "swift") for part in parts}
    builder = program("swift-ring-builder", "swift")
    (place / "disks" / "d1").mkdir(parents=True)
    (place / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = lab\n[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    ports = dict(zip(parts, free_ports(4), strict=True))
    for part in parts:
        pipeline = "catch_errors cache listing_formats s3api tempauth slo proxy-logging proxy-server"
        if part != "proxy":
            pipeline = f"{part}-server"
            device = f"r1z1-127.0.0.1:{ports[part]}/d1"
            for step in (["create", "4", "1", "0"], ["add", device, "1"], ["rebalance"]):
                command = [builder, str(place / f"{part}.builder"), *step]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        user = getpass.getuser()
        text = SWIFT_SERVER.format(port=ports[part], user=user, place=place, pipeline=pipeline, part=part)
        (place / f"{part}.conf").write_text(text + SWIFT_PROXY * (part == "proxy"))
    with ExitStack() as stack:
        for part, path in programs.items():
            command = [path, str(place / f"{part}.conf")]
            stack.enter_context(running(command, place / part, partial(listens, ports[part])))
        yield bucket(f"http://127.0.0.1:{ports['proxy']}", "lab:k")


@contextmanager
def azurite(place: Path) -> Iterator[Place]:
    """A container of Microsoft's own emulator, with the account that is known of it."""
    from azure.storage.blob import ContainerClient

    (port,) = free_ports(1)
    azurite = program("azurite-blob", "azure", ROOT / ".npm" / "node_modules" / ".bin")
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "-l", str(place)]
    endpoint = f"http://127.0.0.1:{port}"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    text = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
        f"BlobEndpoint={endpoint}/devstoreaccount1;"
    )
    options = ["--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    with running([azurite, *where, *options], place, lambda: answers(endpoint)):
        with ContainerClient.from_connection_string(text, "lab") as client:
            client.create_container()
        yield Place("az://lab", {"AZURE_STORAGE_CONNECTION_STRING": text}, endpoint)


@contextmanager
def gcs(place: Path) -> Iterator[Place]:
    """A bucket of an emulator of Google's store, which takes every condition for granted."""
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    command = [program("gcp-storage-emulator", "gcs"), "start", "--host=127.0.0.1", f"--port={port}"]
    with running([*command, "--in-memory", "--default-bucket=lab"], place, lambda: answers(endpoint)):
        yield Place("gs://lab", {"STORAGE_EMULATOR_HOST": endpoint}, endpoint, conditional=False)


@contextmanager
def openssh(place: Path, *sftp: str) -> Iterator[Place]:
    """A folder behind OpenSSH's sshd, with keys that nobody else has; found by a ~/.ssh of its own."""
    sshd = program("sshd", "sftp", Path("/usr/sbin"))
    (port,) = free_ports(1)
    home = place / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for name in (place / "host", home / ".ssh" / "id_ed25519"):
        command = [program("ssh-keygen", "sftp"), "-q", "-t", "ed25519", "-N", "", "-f", str(name)]
        subprocess.run(command, check=True)
    (home / ".ssh" / "id_ed25519.pub").rename(home / ".ssh" / "authorized_keys")
    known = (place / "host.pub").read_text()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}")
    settings = {
        "HostKey": place / "host",
        "AuthorizedKeysFile": home / ".ssh" / "authorized_keys",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "Subsystem": " ".join(["sftp", "internal-sftp", *sftp]),
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [sshd, "-D", "-e", "-f", "/dev/null", f"-oListenAddress=127.0.0.1:{port}", *options]
    with running(command, place, lambda: listens(port)):
        url = f"sftp://{getpass.getuser()}@127.0.0.1:{port}{place / 'data'}"
        yield Place(url, {"HOME": str(home), "SSH_AUTH_SOCK": ""}, f"127.0.0.1:{port}")


def old_openssh(place: Path) -> AbstractContextManager[Place]:
    """As it was before 9.0: it copies nothing itself."""
    return openssh(place, "-P", "copy-data")


@contextmanager
def hugging_face(place: Path) -> Iterator[Place]:
    """A repository of a stand-in for the hub, which nobody can install: see there."""
    program("git", "hf")
    with hub.serving(place) as served:
        yield Place(f"hf://datasets/{hub.NAME}", hub.variables(served, place), served.endpoint)


def listens(port: int) -> bool:
    """Whether anybody takes connections on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def bucket(endpoint: str, key: str = "k") -> Place:
    """A new bucket of an S3 server; whose access key it is."""
    env = {**ACCOUNT, "AWS_ACCESS_KEY_ID": key}
    from boto3.session import Session

    client = Session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    client.create_bucket(Bucket="lab")
    client.close()
    return Place("s3://lab", {"AWS_ENDPOINT_URL": endpoint, **env}, endpoint)


PLACES = {
    "file": folder,
    "s3": seaweedfs,
    "moto": moto,
    "swift": swift,
    "azure": azurite,
    "gcs": gcs,
    "sftp": openssh,
    "old-sftp": old_openssh,
    "hf": hugging_face,
}
