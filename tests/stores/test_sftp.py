"""SFTP: connections that break, servers that copy nothing, keys that do not fit; on OpenSSH."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.stores import proxy
from tests.stores.proxy import Proxy
from tests.stores.servers import Start

from xlabel.errors import InputError, StoreError
from xlabel.stores import waiting
from xlabel.stores.transport import Transport, open_store

MB = 1 << 20


class Network(NamedTuple):
    """The network to a server, and the URL that leads through it."""

    proxy: Proxy
    url: str
    old: bool
    """Whether the server copies nothing itself."""


@pytest.fixture(params=["sftp", "old-sftp"])
def network(
    request: pytest.FixtureRequest, start: Start, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Network]:
    """The network to the server, which can be made bad."""
    place = start(request.param)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(waiting, "pause", lambda attempt: 0.01)
    hosts = Path(place.env["HOME"]) / ".ssh" / "known_hosts"
    with proxy.between(place.endpoint) as between:
        address, key = hosts.read_text().split("\n")[0].split(" ", 1)
        hosts.write_text(f"{address} {key}\n[127.0.0.1]:{between.port} {key}\n")
        url = place.url.replace(place.endpoint, f"127.0.0.1:{between.port}")
        yield Network(between, url, "old" in request.param)


@pytest.fixture
def store(network: Network, request: pytest.FixtureRequest) -> Iterator[Transport]:
    opened = open_store(f"{network.url}/{request.node.originalname}")
    yield opened
    opened.close()


def test_an_object_that_grows_costs_what_is_new_where_the_server_copies(
    network: Network, store: Transport
) -> None:
    old = store.put("media", bytes(8 * MB))
    network.proxy.sent = network.proxy.received = 0
    begun = store.create("media")
    parts = [
        store.copy_part("media", begun, 1, "media", 0, old.size, old.tag),
        store.put_part("media", begun, 2, b"a" * MB),
    ]
    assert store.parts("media", begun) == parts
    assert parts[1].md5 == hashlib.md5(b"a" * MB).digest()
    store.complete("media", begun, parts)
    carried = 9 * MB if network.old else 0  # where the server copies nothing, there and back
    assert MB + carried < network.proxy.sent < (MB + carried) * 1.02 + 60_000
    assert carried <= network.proxy.received < carried * 1.02 + 60_000
    assert store.get_ranges("media", [(8 * MB - 1, 2), (9 * MB - 1, 5)]) == [b"\0a", b"a"]


def test_connections_that_break_are_made_again(network: Network, store: Transport) -> None:
    begun = store.create("media")
    network.proxy.cut(sent=MB)
    part = store.put_part("media", begun, 1, b"a" * 3 * MB)
    network.proxy.cut(sent=1)
    store.complete("media", begun, [part])
    network.proxy.cut(received=MB)
    assert store.get_ranges("media", [(0, 3 * MB)]) == [b"a" * 3 * MB]
    assert network.proxy.connections == 4
    assert store.names() == ["media"]


def test_a_server_that_is_not_there_is_told(network: Network, store: Transport) -> None:
    network.proxy.down = True
    with pytest.raises(StoreError, match=r"sftp://127.*/media: stat failed: .*does ssh connect\?"):
        store.head("media")


def test_a_host_that_is_not_known_is_told(network: Network) -> None:
    hosts = Path.home() / ".ssh" / "known_hosts"
    hosts.write_text(hosts.read_text().split("\n")[0] + "\n")
    with pytest.raises(StoreError, match="connect once by ssh"):
        open_store(network.url).head("media")


def test_a_key_that_the_server_does_not_take_is_told(network: Network) -> None:
    with pytest.raises(StoreError, match="takes none of your keys"):
        open_store(network.url.replace("//root@", "//nobody@")).head("media")


def test_what_the_user_may_not_write_is_told(network: Network) -> None:
    store = open_store(network.url.partition("/data")[0] + "/host/below")
    with pytest.raises(StoreError, match=r"sftp://127.*/host/below/"):
        store.put("media", b"")
    store.close()


def test_a_password_does_not_belong_into_a_url() -> None:
    with pytest.raises(InputError, match=r"^sftp://host/data: expected no password"):
        open_store("sftp://me:secret@host/data")
