"""Images that a test may change, packs to be read, a small disk, and stores that packs are pushed to."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.changing import Folder, Two, packed
from tests.conftest import KINDS
from tests.stores import servers
from tests.stores.proxy import Proxy, between
from tests.stores.servers import Place, Start
from tests.tools import SAMPLE

import xlabel

IMAGES = SAMPLE / "raw_images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample's images, of which one has no labels and one is a negative."""
    return Path(shutil.copytree(IMAGES, tmp_path / "images"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return Path(shutil.copy(IMAGES / "street/001.jpg", tmp_path / "a.jpg"))


@pytest.fixture
def source(tmp_path: Path) -> Folder:
    """Images and YOLO labels, drawn here."""
    return Folder(tmp_path / "source")


@pytest.fixture
def output(source: Folder, tmp_path: Path) -> Path:
    """The pack of `source`."""
    return packed(source, tmp_path / "output")


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind -> pack of the sample. Only to be read."""
    made = {}
    for kind, name in KINDS.items():
        made[kind] = tmp_path_factory.mktemp(kind) / "pack"
        xlabel.pack(IMAGES, SAMPLE / "raw_labels", made[kind], media=name, plain=kind == "plain")
    return made


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """A pack, and what an update of it makes. Only to be read, and put elsewhere."""
    return Two(tmp_path_factory.mktemp("two"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 4 MiB large; needs the rights to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(params=[name for name in servers.PLACES if name != "old-sftp"])
def place(
    request: pytest.FixtureRequest, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Place:
    """Each of the stores in turn, found by its variables."""
    place = start(request.param)
    for variable, value in place.env.items():
        monkeypatch.setenv(variable, value)
    if request.param == "file":
        return place._replace(url=(tmp_path / "there").as_uri())
    if not place.conditional:
        monkeypatch.setattr("xlabel.stores.gcs.Bucket.conditional", False)
    return place


@pytest.fixture
def url(place: Place, request: pytest.FixtureRequest) -> str:
    """A place of a test's own."""
    return f"{place.url}/{hashlib.md5(request.node.nodeid.encode()).hexdigest()}"


@pytest.fixture
def network(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The network to a server, which counts; SFTP goes through it by `far`."""
    with between(place.endpoint) as proxy:
        if place.url.startswith("s3://"):
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        elif place.url.startswith("az://"):
            text = place.env["AZURE_STORAGE_CONNECTION_STRING"]
            port = place.endpoint.rpartition(":")[2]
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text.replace(port, str(proxy.port)))
        elif place.url.startswith("sftp://"):
            hosts = Path(place.env["HOME"]) / ".ssh" / "known_hosts"
            address, key = hosts.read_text().split("\n")[0].split(" ", 1)
            hosts.write_text(f"{address} {key}\n[127.0.0.1]:{proxy.port} {key}\n")
        yield proxy


@pytest.fixture
def far(place: Place, network: Proxy, url: str) -> str:
    """A place of a test's own, beyond the network."""
    return url.replace(place.endpoint, f"127.0.0.1:{network.port}") if "sftp" in url else url
