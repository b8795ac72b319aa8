"""S3: what a bad network, a busy server and a wrong account do to it; on SeaweedFS."""

import hashlib
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.stores import proxy
from tests.stores.proxy import Proxy
from tests.stores.servers import Start, program

from xlabel.errors import ConflictError, MissingError, StoreError
from xlabel.stores import buckets, crc64, s3, s3_abilities
from xlabel.stores.transport import PROBE, Transport, open_store

PART = 5 << 20


@pytest.fixture
def network(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The network to the server, which can be made bad."""
    place = start("s3")
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "pause", lambda attempt: 0.01)
    with proxy.between(place.endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{between.port}")
        yield between


@pytest.fixture
def store(network: Proxy, request: pytest.FixtureRequest) -> Iterator[Transport]:
    opened = open_store(f"s3://lab/{request.node.name}")
    yield opened
    opened.close()


def test_a_server_that_is_busy_for_a_while_is_waited_for(network: Proxy, store: Transport) -> None:
    network.busy = 3
    made = store.put("media", b"data")
    network.break_all()
    network.busy = 2
    assert store.head("media") == made
    assert network.busy == 0


def test_a_server_that_stays_busy_is_told(
    network: Proxy, store: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    network.busy = 1000
    with pytest.raises(
        StoreError, match=r"s3://lab/.*/media: PutObject was refused: .*SlowDown.*try again later"
    ):
        store.put("media", b"data")


def test_connections_that_break_while_parts_are_written_are_made_again(
    network: Proxy, store: Transport
) -> None:
    begun = store.create("media")
    pieces = [bytes([number]) * PART for number in range(4)]
    parts = []
    for number, piece in enumerate(pieces, 1):
        network.cut(sent=PART // 2)
        parts.append(store.put_part("media", begun, number, piece))
    store.complete("media", begun, parts)
    assert network.sent > 6 * PART
    assert hashlib.md5(b"".join(store.get_ranges("media", [(0, 4 * PART)]))).digest() == (
        hashlib.md5(b"".join(pieces)).digest()
    )


def test_a_range_goes_on_where_its_connection_broke(network: Proxy, store: Transport) -> None:
    data = hashlib.shake_128(b"seed").digest(4 * PART)
    store.put("media", data)
    network.received = 0
    network.cut(received=3 * PART)
    assert store.get_ranges("media", [(5, 4 * PART)]) == [data[5:]]
    assert network.received < 6 * PART


@pytest.mark.parametrize("condition", ["if_match", "absent"])
def test_a_conditional_write_whose_answer_was_lost_is_done(
    network: Proxy, store: Transport, condition: str
) -> None:
    wanted = {"if_match": store.put("head", b"old").tag} if condition == "if_match" else {}
    network.cut(received=1)
    made = store.put("head" if wanted else "fresh", b"new", absent=condition == "absent", **wanted)
    assert made.size == 3
    assert network.connections > 1


def test_a_completion_whose_answer_was_lost_is_done(network: Proxy, store: Transport) -> None:
    begun = store.create("media")
    part = store.put_part("media", begun, 1, b"data")
    network.cut(received=1)
    assert store.complete("media", begun, [part], absent=True).size == 4
    with pytest.raises(MissingError, match="begin again"):
        store.parts("media", begun)


def test_no_server_is_told_with_what_to_look_at(
    network: Proxy, store: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    network.down = True
    with pytest.raises(StoreError, match=r"HeadObject failed: .*AWS_ENDPOINT_URL right\?"):
        store.head("media")


def test_a_server_without_tls_is_told_as_one(network: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{network.port}")
    with pytest.raises(StoreError, match=r"HeadObject failed: .*speaks no TLS there; .* http://\?"):
        open_store("s3://lab").head("media")


def test_a_certificate_that_is_not_trusted_is_told_as_one(
    network: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, made = (str(tmp_path / name) for name in ("key.pem", "made.pem"))
    asked = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab", "-keyout", key, "-out", made]
    subprocess.run([program("openssl", "s3"), "req", "-x509", *asked], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.server_port}")
    with pytest.raises(StoreError, match=r"HeadObject failed: .*set AWS_CA_BUNDLE"):
        open_store("s3://lab").head("media")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "other", "SignatureDoesNotMatch.*set AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "other", "InvalidAccessKeyId.*is it the right account"),
    ],
)
def test_a_wrong_account_is_told(
    network: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    store = open_store("s3://lab")
    with pytest.raises(StoreError, match=said):
        store.head("media")
    with pytest.raises(StoreError, match=said):
        store.put("media", b"data")
    store.close()


def test_no_account_is_told(network: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StoreError, match=r"s3://lab/media: .*Unable to locate credentials; set AWS_PROFILE"):
        open_store("s3://lab").head("media")


def test_a_bucket_that_is_not_there_is_told(network: Proxy) -> None:
    store = open_store("s3://elsewhere")
    with pytest.raises(MissingError, match=r"s3://elsewhere: .*make the bucket, or correct the URL"):
        store.head("media")
    store.close()


def test_a_whole_that_is_not_what_was_stated_is_refused(store: Transport) -> None:
    """The server computes the CRC-64 of the whole itself; ours is combined from those of the parts."""
    pieces = [bytes([number]) * (PART + number) for number in range(3)]
    begun = store.create("media")
    parts = [store.put_part("media", begun, number, piece) for number, piece in enumerate(pieces, 1)]
    value = 0
    for piece in pieces:
        value = crc64.combined(value, crc64.checksum(piece), len(piece))
    with pytest.raises(StoreError, match="BadDigest"):
        store.complete("media", begun, parts, crc64nvme=crc64.text(value ^ 1))
    assert store.head("media") is None
    made = store.complete("media", begun, parts, crc64nvme=crc64.text(value))
    assert made.crc64nvme == crc64.text(value)
    assert crc64.value(made.crc64nvme) == crc64.checksum(b"".join(pieces))


def test_what_boto3_uploads_has_the_checksum_that_we_would_state(store: Transport) -> None:
    data = hashlib.shake_128(b"seed").digest(100_000)
    boto3.client("s3").put_object(
        Bucket="lab", Key=store.url.removeprefix("s3://lab/") + "/x", Body=data, ChecksumAlgorithm="CRC64NVME"
    )
    there = store.head("x")
    assert there is not None
    assert there.crc64nvme == crc64.text(crc64.checksum(data))
    assert there.md5 == hashlib.md5(data).digest()


def test_lists_of_more_than_a_page_are_whole(store: Transport) -> None:
    """A page of S3 has 1,000 entries."""
    begun = store.create("media")
    with ThreadPoolExecutor(16) as threads:
        list(
            threads.map(lambda number: store.put_part("media", begun, number, b"%d" % number), range(1, 1003))
        )
        list(threads.map(lambda number: store.put(f"deltas/{number:04}", b""), range(1002)))
        assert [part.number for part in store.parts("media", begun)] == list(range(1, 1003))
        assert store.names("deltas/") == [f"deltas/{number:04}" for number in range(1002)]
        list(threads.map(lambda number: store.delete(f"deltas/{number:04}"), range(1002)))
    store.abort("media", begun)


@pytest.fixture
def usual(store: Transport) -> list[str]:
    """The ranges that were asked for by botocore's own requests, which take longest."""
    asked: list[str] = []
    client = store._client  # type: ignore[attr-defined]
    client.meta.events.register(
        "before-call.s3.GetObject", lambda params, **_: asked.append(params["headers"]["Range"])
    )
    return asked


def test_a_range_takes_one_short_request(network: Proxy, store: Transport, usual: list[str]) -> None:
    made = store.put("a b/ü", b"0123456789")
    connections = network.connections
    assert store.get_ranges("a b/ü", [(2, 3), (8, 5)], made.tag) == [b"234", b"89"]
    assert store.get_ranges("a b/ü", [(0, 1)]) == [b"0"]
    assert not usual
    assert network.connections == connections


def test_a_server_that_does_not_take_signed_urls_is_asked_for_one_once(
    store: Transport, usual: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("media", b"0123456789")
    client = store._client  # type: ignore[attr-defined]
    signed, made = client.generate_presigned_url, []

    def forged(*asked: object, **params: object) -> str:
        made.append(asked)
        return str(signed(*asked, **params)).replace("Signature=", "Signature=0")

    monkeypatch.setattr(client, "generate_presigned_url", forged)
    for offset in range(3):
        assert store.get_ranges("media", [(offset, 2)]) == [b"0123456789"[offset : offset + 2]]
    assert len(made) == 1 and len(usual) == 3


def test_a_client_without_the_connections_that_we_know_reads_ranges_by_its_own_way(
    store: Transport, usual: list[str]
) -> None:
    store.put("media", b"0123456789")

    class Client:
        """As another botocore may make it."""

        def __getattr__(self, name: str) -> object:
            if name == "_endpoint":
                raise AttributeError(name)
            return getattr(store._client, name)  # type: ignore[attr-defined]

    place = buckets.Place(store.url, "lab", store._prefix)  # type: ignore[attr-defined]
    assert s3.Bucket(Client(), place).get_ranges("media", [(2, 3), (8, 5)]) == [b"234", b"89"]
    assert len(usual) == 2


def test_what_is_not_there_does_not_speak_against_signed_urls(store: Transport, usual: list[str]) -> None:
    made = store.put("media", b"0123456789")
    assert store.get_ranges("media", [(10, 5)]) == [b""]
    with pytest.raises(MissingError, match=r"s3://lab/.*/nothing"):
        store.get_ranges("nothing", [(0, 1)])
    with pytest.raises(ConflictError):
        store.get_ranges("media", [(0, 1)], made.tag[:-3] + 'xy"')
    del usual[:]
    assert store.get_ranges("media", [(3, 2)], made.tag) == [b"34"]
    assert not usual


def test_memory_does_not_grow_with_what_is_sent_and_read(network: Proxy) -> None:
    """480 MB each way, by twelve threads with parts of 8 MiB; the process needs 60 MB before it begins."""
    program = """if True:
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from xlabel.stores.transport import open_store
        store = open_store("s3://lab/memory")
        begun = store.create("media")
        def send(number):
            return store.put_part("media", begun, number, bytes(8 << 20))
        with ThreadPoolExecutor(12) as threads:
            parts = list(threads.map(send, range(1, 61)))
        store.complete("media", begun, parts)
        for offset in range(0, 480 << 20, 64 << 20):
            store.get_ranges("media", [(offset + (i << 23), 8 << 20) for i in range(8)])
        status = Path("/proc/self/status").read_text()
        print(status.partition("VmHWM:")[2].split()[0])
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell the memory of a process")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 240_000, "kB"


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("s3", (True, True, 10_000)),
        ("moto", (False, True, 1_000)),  # completes an upload whatever If-Match says
        ("swift", (False, True, 1_000)),  # answers 501
    ],
)
def test_a_server_is_asked_what_it_can_do(
    start: Start, monkeypatch: pytest.MonkeyPatch, name: str, can: tuple[bool, bool, int]
) -> None:
    place = start(name)
    for variable, value in place.env.items():
        monkeypatch.setenv(variable, value)
    store = open_store(f"{place.url}/asked")
    assert (store.conditional, store.copies_ranges, store.parts_max) == can
    assert store.names() == []
    store.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user keeps what servers can do; nothing is known yet, in this process neither."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(s3_abilities, "_KNOWN", {})
    return tmp_path / "cache" / "xlabel" / "s3"


def asked_anew(network: Proxy, store: Transport) -> bool:
    """Whether another process would ask the server what it can do."""
    s3_abilities._KNOWN.clear()
    before, probed = network.sent, store.probed
    assert store.conditional and store.copies_ranges
    assert (network.sent > before) == (store.probed > probed)
    return network.sent > before


def test_what_a_server_can_do_is_known_for_a_day_and_of_that_server(
    network: Proxy, store: Transport, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.head("media")
    assert asked_anew(network, store) and not asked_anew(network, store)
    (note,) = cache.iterdir()
    os.utime(note, (time.time() - 90_000,) * 2)
    assert asked_anew(network, store) and not asked_anew(network, store)
    note.write_bytes(b"[tru")
    assert asked_anew(network, store) and not asked_anew(network, store)
    monkeypatch.setattr(store, "_program", "another server at the same address")
    assert asked_anew(network, store)
    cache.parent.rename(cache.parent.with_name("gone"))
    cache.parent.write_text("no folder")
    assert asked_anew(network, store) and asked_anew(network, store)
    assert store.names() == []


def test_a_server_that_refuses_what_it_could_is_asked_again(
    network: Proxy, store: Transport, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked_anew(network, store)

    def refuse(**_: object) -> None:
        answer = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
        raise ClientError(answer, "PutObject")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="this server cannot do it"):
        patch.setattr(store._client, "put_object", refuse)  # type: ignore[attr-defined]
        store.put("media", b"data", absent=True)
    assert asked_anew(network, store)


def test_who_asks_takes_away_what_one_that_was_killed_has_left(
    network: Proxy, store: Transport, cache: Path
) -> None:
    child = os.fork()
    if not child:
        for name in ("abort", "delete"):
            setattr(s3.Bucket, name, lambda *_: None)
        s3.Bucket.copy_part = lambda *_: os.kill(os.getpid(), 9)  # type: ignore[method-assign,assignment]
        store.conditional  # noqa: B018
    os.waitpid(child, 0)
    (name,) = store.names()
    assert name.startswith(PROBE) and [upload.name for upload in store.unfinished()] == [name]
    assert asked_anew(network, store)
    assert store.names() == [] and store.unfinished() == []


def test_who_asks_while_another_does_takes_nothing_away(
    network: Proxy, store: Transport, cache: Path
) -> None:
    with s3_abilities._name(store, "server") as one:
        store.put(one, b"0123456789")
        with s3_abilities._name(store, "server") as other:
            assert one != other
            assert store.names() == [one]
    with s3_abilities._name(store, "server"):
        assert store.names() == [one], "which was asked by to the end"
