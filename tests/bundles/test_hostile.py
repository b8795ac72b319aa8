"""Packs that somebody made to do harm, or that were damaged: an error that says what, or listed problems."""

import base64
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import awkward
from tests.conftest import KINDS
from tests.tools import tree

import xlabel
from xlabel import bundles
from xlabel.errors import CorruptError, InputError, XlabelError

Change = Callable[[dict[str, Any]], object]
ANNOTATIONS, MANIFEST = "unified_annotation.json", "frame_manifest.json"
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
IMAGES = {
    "a.gif": GIF,
    "b/c.png": awkward.picture("PNG", (1, 1)),
    "d.gif": GIF.replace(b"\xff\xff\xff", b"\xff\xff\0"),
    "empty.gif": b"",
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small pack of each kind, with labels. Only to be read."""
    source = tmp_path_factory.mktemp("source")
    for name, data in IMAGES.items():
        (source / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "images" / name).write_bytes(data)
    (source / "labels").mkdir()
    (source / "labels" / "a.txt").write_text("0 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.5 0.5\n")
    (source / "labels" / "d.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    (source / "labels" / "lonely.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    (source / "labels" / "data.yaml").write_text("names: [boat, tree]\n")
    packs = {}
    for kind, media in KINDS.items():
        packs[kind] = tmp_path_factory.mktemp(kind) / "pack"
        report = xlabel.pack(
            source / "images", source / "labels", packs[kind], media=media, plain=kind == "plain"
        )
        assert {problem.code for problem in report.problems} == {"empty-file", "label-without-image"}
        (packs[kind] / "problems.json").unlink()
    return packs


@pytest.fixture
def pack(originals: dict[str, Path], kind: str, tmp_path: Path) -> Path:
    """A copy of the pack of a kind, to be spoiled."""
    return Path(shutil.copytree(originals[kind], tmp_path / "around" / "pack"))


@pytest.fixture
def mp4(originals: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals["mp4"], tmp_path / "around" / "pack"))


def edit(path: Path, change: Change) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def use(folder: Path, dest: Path) -> list[XlabelError | xlabel.Report]:
    """Do all that can be done with a pack; gives what was said of it. Any other exception fails the test."""
    said: list[XlabelError | xlabel.Report] = []

    def read() -> xlabel.Report:
        with xlabel.open_bundle(folder) as bundle:
            for number in range(len(bundle)):
                bundle.image_bytes(number)
            assert len(bundle.keys) == len(bundle)
            assert list(map(bundle.number, bundle.keys)) or not len(bundle)
            for sample in bundle:
                assert sample.image.key is not None
        return xlabel.Report(job="read")

    for job in (read, lambda: xlabel.verify(folder), lambda: xlabel.unpack(folder, dest, on_loss="drop")):
        try:
            said.append(job())
        except XlabelError as error:
            assert str(error)
            said.append(error)
    return said


def noticed(said: list[XlabelError | xlabel.Report]) -> bool:
    return any(isinstance(each, XlabelError) or each.problems for each in said)


# Names that lead elsewhere


KEYS = ["/etc/evil", "../evil", "a/../../evil", "..", "", "/", "x\0y", "b//c", "./evil", "b/."]


@pytest.mark.parametrize(
    "source, key",
    [
        *[(source, key) for source in ("annotations", "manifest") for key in KEYS],
        *[("index", key) for key in KEYS if "\0" not in key],  # a zero byte ends a name there
    ],
    ids=repr,
)
def test_unpack_never_writes_outside_its_folder(
    originals: dict[str, Path], tmp_path: Path, source: str, key: str
) -> None:
    around = tmp_path / "around"
    folder = Path(shutil.copytree(originals["mp4"], around / "pack"))
    if source == "index":
        (folder / ANNOTATIONS).unlink()
        (folder / MANIFEST).unlink()
        (folder / "media.mp4").write_bytes(forged("mp4", [b"a.gif", key.encode()], [GIF, GIF]))
    elif source == "manifest":
        (folder / ANNOTATIONS).unlink()
        edit(folder / MANIFEST, lambda document: document["frames"][1].update(key=key))
    else:
        edit(folder / ANNOTATIONS, lambda document: document["images"][1].update(file_name=key))
    before = tree(tmp_path)
    report = xlabel.unpack(folder, around / "dest")
    assert {p.code for p in report.problems} <= {"unsafe-name", "no-file-name"}
    assert len(report.problems) == 1
    after = tree(tmp_path)
    new = {name: after[name] for name in after.keys() - before.keys()}
    assert all(name.startswith(b"around/dest/") for name in new)
    assert [name.rpartition(b"/")[2] for name in new if name.endswith(b".gif")][:1]
    assert {name: after[name] for name in before} == before
    assert not Path("/etc/evil").exists()


def forged(kind_name: str, names: list[bytes], files: list[bytes]) -> bytes:
    """A media file with any names."""
    kind = bundles.kind(kind_name)
    data = bytearray(kind.HEAD)
    offsets, records = array("Q"), []
    for name, file in zip(names, files, strict=True):
        prefix = bytearray(kind.prefix(name, len(file), True))
        place = kind.crc_at(True)
        if place is not None:
            prefix[place : place + 4] = struct.pack("<I", zlib.crc32(file))
        records.append(kind.record(name, len(file), zlib.crc32(file), len(data)))
        offsets.append(len(data) + len(prefix))
        data += prefix + file + bytes(kind.padding(len(file)))
    directory = bundles.Directory(
        numbers=range(len(files)),
        count=len(files),
        offsets=offsets,
        sizes=array("Q", map(len, files)),
        tracks=bytearray(len(files)),
        mimes=["image/gif"],
        extents=[(1, 1)],
        names=lambda: [b"".join(name + b"\0" for name in names)],
        names_size=sum(len(name) + 1 for name in names),
        records=lambda: records,
        records_size=sum(map(len, records)),
        entries=len(files),
        fps=Fraction(10),
        pack_id="0" * 32,
    )
    for offset, piece in kind.finish(len(data), directory, True):
        data[len(data) :] = bytes(max(0, offset + len(piece) - len(data)))
        data[offset : offset + len(piece)] = piece
    return bytes(data)


@pytest.mark.parametrize("kind_name", bundles.KINDS)
def test_names_out_of_the_medias_own_index_stay_inside(tmp_path: Path, kind_name: str) -> None:
    names = [b"/abs", b"../up", b"good", b"a\nb", b"\xff", b"good/below", b"good", b"back\\slash"]
    (tmp_path / "in").mkdir()
    media = tmp_path / "in" / f"m.{kind_name}"
    media.write_bytes(forged(kind_name, names, [GIF + bytes((n,)) for n in range(len(names))]))
    report = xlabel.unpack(media, tmp_path / "out")
    refused = {p.where: p.code for p in report.problems}
    assert {refused[name.decode()] for name in (b"/abs", b"../up", b"good")} == {"unsafe-name"}
    assert len(refused) == 4, "what clashes with a file is one too"
    written = {b"good": GIF + b"\2", b"a%0Ab": GIF + b"\3", b"back\\slash": GIF + b"\7"}
    assert tree(tmp_path / "out") | written == tree(tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == [media.name]


@pytest.mark.parametrize("name", [b"../../evil", b"/etc/evil", b"other.gif", b"b/c.pn\xff"])
@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_a_true_name_that_is_not_its_keys_is_refused(pack: Path, file: str, name: bytes) -> None:
    def rename(document: dict[str, Any]) -> None:
        record = document["images"][1] if file == ANNOTATIONS else document["frames"][1]
        place = record["xlabel"] if file == ANNOTATIONS else record
        place["name_bytes"] = base64.b64encode(name).decode()

    edit(pack / file, rename)
    if file == MANIFEST:
        (pack / ANNOTATIONS).unlink()
    assert noticed([xlabel.verify(pack)])
    report = xlabel.unpack(pack, pack.parent / "dest")
    assert [p.code for p in report.problems if p.code == "unsafe-name"]
    assert b"evil" not in b"".join(tree(pack.parent))


@pytest.mark.parametrize("text", ["*", "=", "AAA", "é", "\0"])
def test_a_true_name_that_is_no_base64_is_refused(mp4: Path, text: str) -> None:
    (mp4 / ANNOTATIONS).unlink()
    edit(mp4 / MANIFEST, lambda document: document["frames"][0].update(name_bytes=text))
    assert noticed(use(mp4, mp4.parent / "dest"))


SECTIONS: list[dict[str, Any]] = [
    {"layout": {"images": "../up", "labels": "/abs"}},
    {"layout": {"images": "..", "labels": ".."}},
    {"layout": {"images": 5}},
    {"layout": []},
    {"layout": None},
    {"layout": {"images": "a" * 300}},
    {"empty": ["../up", "/abs", ""]},
    {"empty": "text"},
    {"empty": [5]},
    {"empty": {"a": 1}},
    {"unmatched": "text"},
    {"unmatched": [1, None, {}]},
    {"unmatched": [{"image": {"file_name": "../up"}, "annotations": [[]]}]},
    {"unmatched_files": {"../up.txt": "x", "/abs.txt": "x"}},
    {"unmatched_files": ["a"]},
    {"unmatched_files": {"a.txt": 5}},
    {"origin": "yolo"},
    {"origin": {"format": "../../os"}},
    {"origin": {"format": "nonsense"}},
    {"origin": {"format": "yolo-detect", "files": {"../up.yaml": "x", "/abs": "y"}}},
    {"origin": {"format": "yolo-detect", "extra": {"a": [1]}}},
    {"origin": {"format": "coco", "files": {"../up.json": "{}"}, "extra": {"documents": 5}}},
    {"origin": {"format": "csv", "extra": {"columns": 5, "files": "x"}}},
    {"origin": {"format": "voc", "files": {"../up": "x"}, "extra": {"sets": 5}}},
    {"origin": {"format": "labelme", "extra": {"version": []}}},
    {"sha256": None},
    {"sha256": 5},
    {"version": 2},
    {"version": "1"},
    {"version": 10**30},
]


@pytest.mark.parametrize("section", SECTIONS, ids=repr)
def test_what_the_annotation_file_says_of_the_whole_is_not_trusted(
    mp4: Path, section: dict[str, Any]
) -> None:
    edit(mp4 / ANNOTATIONS, lambda document: document["xlabel"].update(section))
    before = tree(mp4.parents[1])
    assert noticed(use(mp4, mp4.parent / "dest"))
    after = tree(mp4.parents[1])
    assert {name: data for name, data in after.items() if not name.startswith(b"around/dest/")} == before


@pytest.mark.parametrize(
    "name", ["../secret.mp4", "/etc/passwd", "..", "", ".", "sub/m.mp4", "a\0b", "n" * 300, "folder", "pipe"]
)
@pytest.mark.parametrize("rewritten", [False, True])
def test_a_bundle_elsewhere_or_that_is_no_file_is_refused(mp4: Path, name: str, rewritten: bool) -> None:
    (mp4 / "folder").mkdir()
    os.mkfifo(mp4 / "pipe")
    shutil.copy(mp4 / "media.mp4", mp4.parent / "secret.mp4")
    if rewritten:  # by a tool that puts the fields in another order
        edit(mp4 / ANNOTATIONS, lambda document: document["xlabel"].update(bundle=name, later=1))
    else:
        text = (mp4 / ANNOTATIONS).read_text()
        (mp4 / ANNOTATIONS).write_text(text.replace('"media.mp4"', json.dumps(name)))
    for job in (xlabel.open_bundle, xlabel.verify):
        with pytest.raises(InputError):
            job(mp4)
    with pytest.raises(InputError):
        xlabel.unpack(mp4, mp4.parent / "dest")


def test_a_crafted_journal_beside_a_pack_moves_nothing_from_elsewhere(mp4: Path) -> None:
    (mp4.parent / "mine").write_bytes(b"mine")
    (mp4 / ".xlabel-pack").mkdir()
    (mp4 / ".xlabel-pack" / "commit.json").write_text(
        '{"publish":["media.mp4","../mine"],"remove":["../mine","/etc/hostname"]}'
    )
    (mp4 / ".xlabel-pack" / "media.mp4").write_bytes(b"theirs")
    before = tree(mp4.parent)
    assert all(isinstance(each, CorruptError) for each in use(mp4, mp4.parent / "dest"))
    assert tree(mp4.parent) == before


# Numbers that lead elsewhere


NUMBERS: list[dict[str, Any]] = [
    {"offset": -1},
    {"offset": 10**6},
    {"offset": 2**63},
    {"offset": 2**64},
    {"offset": 10**300},
    {"size": -1},
    {"size": 2**40},
    {"size": 2**63, "offset": 2**63},
    {"size": 2**64 - 1},
    {"size": 10**300},
    {"size": 0},
    {"size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"size": -1, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"offset": 0, "size": 40},
    {"offset": "0"},
    {"size": None},
    {"size": 1.5},
    {"sha256": "no hash"},
    {"sha256": None},
    {"width": -1, "height": 2**70},
    {"mime": "image/é\n"},
    {"mime": 5},
    {"frame_index": 7, "index": 7},
    {"frame_index": -1, "index": -1},
    {"orientation": 99},
    {"file_name": None, "key": None},
]


@pytest.mark.parametrize("numbers", NUMBERS, ids=repr)
@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_places_outside_the_file_are_told_and_take_no_memory(
    pack: Path, file: str, numbers: dict[str, Any]
) -> None:
    name = "images" if file == ANNOTATIONS else "frames"
    edit(pack / file, lambda document: document[name][1].update(numbers))
    if file == MANIFEST:
        (pack / ANNOTATIONS).unlink()
    tracemalloc.start()
    said = use(pack, pack.parent / "dest")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert noticed(said)
    assert peak < 30_000_000


DOCUMENTS = {
    "nothing": b"",
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "nested within": b'{"images":[],"xlabel":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "nested image": b'{"images":[{"id":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b'}],"xlabel":{}}',
    "a number of many digits": b'{"version":' + b"1" * 100_000 + b"}",
    "not utf-8": b'{"version":"\xff\xfe"}',
    "utf-16": '{"version":1}'.encode("utf-16"),
    "a null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "an empty object": b"{}",
    "spaces": b" " * 1_000_000,
    "wrong types": b'{"version":1,"bundle":5,"kind":[],"frames":{},"images":{},"annotations":5,"xlabel":[]}',
    "infinity": b'{"version":1e999,"images":[1e999],"xlabel":1e999}',
    "binary": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_json_that_is_no_such_document_is_an_error_that_names_the_file(
    mp4: Path, file: str, document: str
) -> None:
    (mp4 / file).write_bytes(DOCUMENTS[document])
    (mp4 / (ANNOTATIONS if file == MANIFEST else MANIFEST)).unlink()
    with pytest.raises(InputError, match=file):
        xlabel.verify(mp4)
    with pytest.raises(InputError, match=file):
        xlabel.unpack(mp4, mp4.parent / "dest")
    assert not (mp4.parent / "dest").exists()


# Boxes and indexes


def at(data: bytes, kind: bytes, skip: int = 0) -> int:
    """Where a box begins, counted from the keys on."""
    place = data.rindex(b"uuid") - 4
    for _ in range(skip + 1):
        place = data.index(kind, place + 1)
    return place - 4


def patched(kind: bytes, into: int, number: str, value: int) -> Callable[[bytes], bytes]:
    """A number in a box set to another value; `into` counts from the box's content."""

    def patch(data: bytes) -> bytes:
        changed = bytearray(data)
        struct.pack_into(number, changed, at(data, kind) + 8 + into, value)
        return bytes(changed)

    return patch


def nested(data: bytes) -> bytes:
    """The index as a thousand boxes in each other."""
    start, end = at(data, b"moov"), at(data, b"free")
    room = (end - start) // 8
    boxes = b"".join(struct.pack(">I4s", end - start - 8 * n, b"moov") for n in range(room))
    return data[:start] + boxes.ljust(end - start, b"\0") + data[end:]


def deep(data: bytes) -> bytes:
    """A thousand boxes moov in each other behind the file, and a last line that leads there."""
    boxes = b"".join(struct.pack(">I4s", 8 * (1000 - n), b"moov") for n in range(1000))
    return relined(data[:-160] + boxes + data[-160:], index=len(data) - 160)


def relined(data: bytes, **values: int) -> bytes:
    words = data[-160:].split()
    for name, value in values.items():
        words[words.index(name.encode()) + 1] = str(value).encode()
    return data[:-160] + b" ".join(words).ljust(159)[:159] + b"\n"


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "moov of exabytes": lambda d: d[: at(d, b"moov")] + struct.pack(">I4sQ", 1, b"moov", 2**62) + d,
    "moov of 2**64 bytes": patched(b"moov", -8, ">I", 1),
    "moov to the end": patched(b"moov", -8, ">I", 0),
    "moov of 1 byte": patched(b"moov", -8, ">I", 2),
    "trak of exabytes": patched(b"trak", -8, ">I", 2**32 - 1),
    "trak of 0 bytes": patched(b"trak", -8, ">I", 0),
    "trak of 7 bytes": patched(b"trak", -8, ">I", 7),
    "trak of 8 bytes": patched(b"trak", -8, ">I", 8),
    "trak gone": lambda d: d.replace(b"trak", b"skip"),
    "stbl gone": lambda d: d.replace(b"stbl", b"skip"),
    "stsz gone": lambda d: d.replace(b"stsz", b"skip"),
    "stco for co64": lambda d: d.replace(b"co64", b"stco"),
    "many sizes": patched(b"stsz", 8, ">I", 2**32 - 1),
    "equal sizes": patched(b"stsz", 4, ">I", 2**32 - 1),
    "many equal sizes": lambda d: patched(b"stsz", 4, ">I", 1)(patched(b"stsz", 8, ">I", 2**32 - 1)(d)),
    "a size of 4 GB": patched(b"stsz", 12, ">I", 2**32 - 1),
    "no sizes": patched(b"stsz", 8, ">I", 0),
    "many offsets": patched(b"co64", 4, ">I", 2**32 - 1),
    "an offset beyond": patched(b"co64", 8, ">Q", 2**40),
    "an offset beyond numbers": patched(b"co64", 8, ">Q", 2**64 - 1),
    "an offset of 0": patched(b"co64", 8, ">Q", 0),
    "many times": patched(b"stts", 4, ">I", 2**32 - 1),
    "no times": patched(b"stts", 4, ">I", 0),
    "a run too long": patched(b"stts", 8, ">I", 2**32 - 1),
    "frames of no time": patched(b"stts", 12, ">I", 0),
    "frames of all time": patched(b"stts", 12, ">I", 2**32 - 1),
    "two samples a chunk": patched(b"stsc", 12, ">I", 2),
    "many chunks": patched(b"stsc", 4, ">I", 2**32 - 1),
    "no chunks": patched(b"stsc", 4, ">I", 0),
    "a late beginning": patched(b"elst", 8, ">Q", 2**64 - 1),
    "a later beginning": patched(b"elst", 8, ">Q", 2**63),
    "a beginning that is no edit": patched(b"elst", 16, ">q", 0),
    "no edits": patched(b"elst", 4, ">I", 0),
    "names of exabytes": patched(b"uuid", 0, ">Q", 2**62),
    "names of 0 bytes": patched(b"uuid", 0, ">Q", 0),
    "names without ends": lambda d: d.replace(b"a.gif\0b", b"a.gifXb"),
    "names elsewhere": lambda d: relined(d, names=at(d, b"moov")),
    "index in the images": lambda d: relined(d, index=100),
    "index at the end": lambda d: relined(d, index=len(d) - 1),
    "index outside": lambda d: relined(d, index=len(d)),
    "index below 0": lambda d: relined(d, index=-5),
    "names outside": lambda d: relined(d, names=10**40),
    "no frames": lambda d: relined(d, frames=0),
    "one frame less": lambda d: relined(d, frames=2),
    "many frames": lambda d: relined(d, frames=10**18),
    "frames below 0": lambda d: relined(d, frames=-3),
    "nested": nested,
    "nested a thousand times": deep,
    "cut": lambda d: d[:-1],
    "cut in half": lambda d: d[: len(d) // 2],
    "nothing": lambda d: b"",
    "the last line alone": lambda d: d[-160:],
    "another pack id": lambda d: d[:-160] + d[-160:].replace(b" pack ", b" pack x", 1)[:160],
    "another kind": lambda d: d[:-160] + d[-160:].replace(b" mp4 ", b" tar "),
    "one more kind": lambda d: d[:-160] + d[-160:].replace(b" mp4 ", b" zip "),
    "an unknown kind": lambda d: d[:-160] + d[-160:].replace(b" mp4 ", b" avi "),
    "not ascii": lambda d: d[:-160] + d[-160:].replace(b" mp4 ", b" \xff\xfe4 "),
    "words missing": lambda d: d[:-160] + b"xlabel 1 mp4".ljust(159) + b"\n",
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("alone", [False, True], ids=["pack", "media alone"])
def test_an_index_that_lies_is_told_within_little_memory(mp4: Path, spoiled: str, alone: bool) -> None:
    media = mp4 / "media.mp4"
    data = SPOILED[spoiled](media.read_bytes())
    assert data != media.read_bytes()
    media.write_bytes(data)
    if alone:
        (mp4 / ANNOTATIONS).unlink()
        (mp4 / MANIFEST).unlink()
    tracemalloc.start()
    said = use(mp4, mp4.parent / "dest")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000
    if not alone:
        assert noticed(said)
    written = tree(mp4.parent / "dest")
    assert sum(map(len, written.values())) < 10_000


@pytest.mark.parametrize("kind_name", ["tar", "zip"])
@pytest.mark.parametrize(
    "values",
    [{"frames": 10**17}, {"frames": 4}, {"index": 1}, {"names": 1}, {"index": 10**40}, {"frames": 0}],
    ids=repr,
)
def test_a_last_line_that_lies_is_told(
    originals: dict[str, Path], tmp_path: Path, kind_name: str, values: dict[str, int]
) -> None:
    folder = Path(shutil.copytree(originals[kind_name], tmp_path / "pack"))
    media = folder / f"media.{kind_name}"
    media.write_bytes(relined(media.read_bytes(), **values))
    assert noticed(use(folder, tmp_path / "dest"))


def test_a_sparse_file_that_claims_billions_of_frames_takes_no_memory(mp4: Path) -> None:
    """4 billion frames in a file that is 40 GB by its length: opened in a process of 1 GB."""
    media = mp4 / "media.mp4"
    line = media.read_bytes()[-160:]
    count = 2**32 - 1
    with media.open("wb") as file:
        try:
            file.truncate(60 << 30)
        except OSError:
            pytest.skip("no sparse files here")
        file.seek((60 << 30) - 160)
        file.write(line)
    data = relined(line, index=0, names=0, frames=count)
    with media.open("r+b") as file:
        file.seek((60 << 30) - 160)
        file.write(data)
        file.seek(0)
        file.write(struct.pack(">I4sQ", 1, b"moov", (60 << 30) - 160))
    program = (
        "import sys, xlabel\ntry: xlabel.open_bundle(sys.argv[1])\nexcept xlabel.XlabelError: sys.exit(7)"
    )
    (mp4 / ANNOTATIONS).unlink()
    done = subprocess.run(
        [sys.executable, "-c", program, str(media)],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30)),
    )
    assert done.returncode == 7, done.stderr.decode()


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (1, 2**31 - 1)])
def test_an_image_that_claims_to_be_gigantic_is_not_unfolded(tmp_path: Path, size: tuple[int, int]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    header = struct.pack(">II5B", *size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_000), 9)), (b"IEND", b""))
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (images / "bomb.png").write_bytes(bomb)
    tracemalloc.start()
    xlabel.pack(images, None, tmp_path / "pack")
    assert xlabel.verify(tmp_path / "pack").problems == []
    xlabel.unpack(tmp_path / "pack", tmp_path / "dest")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000
    assert list(tree(tmp_path / "dest").values()) == [bomb]
    manifest = json.loads((tmp_path / "pack" / MANIFEST).read_bytes())
    assert (manifest["frames"][0]["width"], manifest["frames"][0]["height"]) == size


# Damage


def test_verify_notices_every_byte_of_the_media_file(pack: Path, kind: str) -> None:
    media = pack / KINDS[kind]
    assert unnoticed(pack, media) == []


@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_verify_notices_every_byte_of_the_json_files(mp4: Path, file: str) -> None:
    assert unnoticed(mp4, mp4 / file) == []


@pytest.mark.parametrize("gone", [ANNOTATIONS, MANIFEST])
def test_verify_notices_every_byte_of_the_media_file_by_either_json_file(mp4: Path, gone: str) -> None:
    (mp4 / gone).unlink()
    assert unnoticed(mp4, mp4 / "media.mp4") == []


def unnoticed(folder: Path, path: Path) -> list[int]:
    """The bytes of a file that may be changed without a word from verify."""
    data = path.read_bytes()
    assert xlabel.verify(folder).problems == []
    missed = []
    chance = random.Random(19)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            os.pwrite(file.fileno(), bytes((byte ^ 1 << chance.randrange(8),)), place)
            try:
                if not xlabel.verify(folder).problems:
                    missed.append(place)
            except XlabelError:
                pass
            os.pwrite(file.fileno(), bytes((byte,)), place)
    return missed


def test_verify_notices_bytes_that_were_added_or_lost(pack: Path, kind: str) -> None:
    for path in (pack / KINDS[kind], pack / ANNOTATIONS, pack / MANIFEST):
        data = path.read_bytes()
        middle = len(data) // 2
        for changed in (data[:-1], data + b"\n", data[:middle] + b" " + data[middle:], b"\n" + data):
            path.write_bytes(changed)
            with suppress(XlabelError):
                assert xlabel.verify(pack).problems
        path.write_bytes(data)
    assert xlabel.verify(pack).problems == []


# Fuzz


INTERESTING = [b"\0", b"\xff", b"\0" * 4, b"\xff" * 4, b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7]
TOKENS = [b"[", b"{", b"null", b"-1", b"1e999", b'"', b"\\", b"9" * 30, b'"\\u0000"', b"[]", b"{}", b"true"]
Edit = tuple[str, int, bytes]


def edits(tokens: list[bytes]) -> st.SearchStrategy[list[Edit]]:
    piece = st.one_of(st.sampled_from(tokens), st.binary(min_size=1, max_size=9))
    edit = st.tuples(st.sampled_from(["over", "insert", "delete", "cut"]), st.integers(0, 2**20), piece)
    return st.lists(edit, min_size=1, max_size=4)


def mangled(data: bytes, changes: list[Edit]) -> bytes:
    for what, place, piece in changes:
        place %= len(data) + 1
        if what == "over":
            data = data[:place] + piece + data[place + len(piece) :]
        elif what == "insert":
            data = data[:place] + piece + data[place:]
        elif what == "delete":
            data = data[:place] + data[place + len(piece) :]
        else:
            data = data[: max(place, len(data) - place)]
    return data


@pytest.fixture(scope="module")
def fuzzed(originals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("fuzzed")


def try_mangled(original: Path, name: str, changes: list[Edit], fuzzed: Path) -> None:
    shutil.rmtree(fuzzed, ignore_errors=True)
    folder = Path(shutil.copytree(original, fuzzed / "around" / "pack"))
    data = (folder / name).read_bytes()
    changed = mangled(data, changes)
    (folder / name).write_bytes(changed)
    before = tree(fuzzed)
    said = use(folder, fuzzed / "around" / "dest")
    assert noticed(said[1:2]) == (changed != data), "verify notices any change, and nothing else"
    after = tree(fuzzed)
    outside = {path: data for path, data in after.items() if not path.startswith(b"around/dest/")}
    assert outside == before


quick = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(changes=edits(INTERESTING))
def test_mangled_media_files_are_told(
    originals: dict[str, Path], kind: str, fuzzed: Path, changes: list[Edit]
) -> None:
    try_mangled(originals[kind], KINDS[kind], changes, fuzzed)


@quick
@given(changes=edits(TOKENS))
@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_mangled_json_files_are_told(
    originals: dict[str, Path], file: str, fuzzed: Path, changes: list[Edit]
) -> None:
    try_mangled(originals["mp4"], file, changes, fuzzed)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["../x", "/x", "a.gif", "yolo", "coco", "voc", "labelme", "csv", "mp4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*path, key))


@quick
@given(data=st.data())
@pytest.mark.parametrize("file", [ANNOTATIONS, MANIFEST])
def test_json_files_with_other_values_are_told(
    originals: dict[str, Path], file: str, fuzzed: Path, data: st.DataObject
) -> None:
    shutil.rmtree(fuzzed, ignore_errors=True)
    folder = Path(shutil.copytree(originals["mp4"], fuzzed / "around" / "pack"))
    document = json.loads((folder / file).read_bytes())
    ways = list(places(document))
    for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=2, unique=True)):
        inner = document
        try:
            for key in way[:-1]:
                inner = inner[key]
            inner[way[-1]] = data.draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # the first change took away the place of the second
    (folder / file).write_text(json.dumps(document))
    before = tree(fuzzed)
    use(folder, fuzzed / "around" / "dest")
    after = tree(fuzzed)
    assert {path: data for path, data in after.items() if not path.startswith(b"around/dest/")} == before
