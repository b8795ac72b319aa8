"""Azure: what an object that grows costs, and what a bad network and a wrong account do; on Azurite."""

from collections.abc import Iterator

import pytest
from tests.stores import proxy
from tests.stores.proxy import Proxy
from tests.stores.servers import Start

from xlabel.errors import ConflictError, MissingError, StoreError
from xlabel.stores.transport import Transport, open_store

MB = 1 << 20


@pytest.fixture
def network(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The network to the server, which can be made bad."""
    place = start("azure")
    (text,) = place.env.values()
    with proxy.between(place.endpoint) as between:
        there = text.replace(place.endpoint, f"http://127.0.0.1:{between.port}")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", there)
        yield between


@pytest.fixture
def store(network: Proxy, request: pytest.FixtureRequest) -> Iterator[Transport]:
    opened = open_store(f"az://lab/{request.node.name}")
    yield opened
    opened.close()


def grown(store: Transport, tail: bytes) -> None:
    old = store.head("media")
    assert old is not None
    begun = store.create("media")
    parts = [
        store.copy_part("media", begun, 1, "media", 0, old.size, old.tag),
        store.put_part("media", begun, 2, tail),
    ]
    assert store.parts("media", begun) == parts
    store.complete("media", begun, parts, if_match=old.tag)


def test_an_object_that_grows_costs_what_is_new(network: Proxy, store: Transport) -> None:
    begun = store.create("media")
    pieces = [bytes([number]) * 4 * MB for number in range(3)]
    store.complete("media", begun, [store.put_part("media", begun, n, p) for n, p in enumerate(pieces, 1)])
    network.sent = network.received = 0
    for tail in (b"a" * MB, b"b" * 17, b"c" * MB):
        grown(store, tail)
    assert network.sent < 2 * MB + 60_000
    assert network.received < 60_000
    whole = b"".join(pieces) + b"a" * MB + b"b" * 17 + b"c" * MB
    assert store.get_ranges("media", [(0, 20 * MB)]) == [whole]


def test_ends_of_a_range_that_are_no_whole_blocks_are_read_and_sent(network: Proxy, store: Transport) -> None:
    begun = store.create("media")
    pieces = [bytes([number]) * 4 * MB for number in range(5)]
    store.complete("media", begun, [store.put_part("media", begun, n, p) for n, p in enumerate(pieces, 1)])
    old = store.head("media")
    assert old is not None
    network.sent = 0
    begun = store.create("media")
    part = store.copy_part("media", begun, 1, "media", 4 * MB - 10, 12 * MB + 30, old.tag)
    assert store.parts("media", begun) == [part]
    store.complete("media", begun, [part])
    assert network.sent < 60_000
    assert store.get_ranges("media", [(0, 20 * MB)]) == [b"".join(pieces)[4 * MB - 10 : 16 * MB + 20]]


def test_a_completion_whose_answer_was_lost_is_done(network: Proxy, store: Transport) -> None:
    begun = store.create("media")
    part = store.put_part("media", begun, 1, b"data")
    network.cut(received=1)
    assert store.complete("media", begun, [part], absent=True).size == 4
    network.cut(received=1)
    there = store.put("head", b"head", absent=True)
    with pytest.raises(ConflictError):
        store.put("head", b"other", absent=True)
    assert store.head("head") == there


def test_a_server_that_is_busy_for_a_while_is_waited_for(network: Proxy, store: Transport) -> None:
    network.busy = 1
    assert store.put("media", b"data").size == 4
    assert network.busy == 0


def test_a_wrong_account_and_a_missing_container_are_told(
    network: Proxy, store: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match=r"az://other: .*make the container"):
        open_store("az://other").head("media")
    with pytest.raises(MissingError, match=r"az://other: .*make the container"):
        open_store("az://other").put("media", b"")
    text = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=b3RoZXI=;BlobEndpoint=http://127.0.0.1:{network.port}/devstoreaccount1;"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    with pytest.raises(StoreError, match=r"az://lab/media: .* was refused: .*AZURE_STORAGE_KEY"):
        open_store("az://lab").put("media", b"")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    with pytest.raises(StoreError, match="az://lab: no account; set AZURE_STORAGE_ACCOUNT"):
        open_store("az://lab")
