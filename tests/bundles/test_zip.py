"""The .zip bundle and the ZIP face of the .mp4, as unzip, 7z, bsdtar and Python's zipfile see them."""

import io
import zipfile
from array import array
from fractions import Fraction
from pathlib import Path

import pytest
from tests import awkward
from tests.tools import run, tool, tree

import xlabel
from xlabel.bundles import Directory
from xlabel.bundles import zip as zipped

COUNT = len(awkward.images()) + len(awkward.EMPTY)


@pytest.fixture(params=["mp4", "zip"])
def media(request: pytest.FixtureRequest, awkward_packs: dict[str, Path]) -> Path:
    return awkward_packs[request.param]


def test_unzip_finds_every_checksum_right(media: Path) -> None:
    assert b"No errors detected" in run(tool("unzip"), "-tq", media)


def test_unzip_gives_the_tree_back_with_its_names(media: Path, tmp_path: Path) -> None:
    run(tool("unzip"), "-q", media, "-d", tmp_path)
    expected = awkward.images() | dict.fromkeys(awkward.EMPTY, b"")
    expected[b"linebreak.jpg"] = expected.pop(awkward.CONTROL)  # unzip drops control characters
    assert tree(tmp_path) == expected


def test_7z_finds_every_file_right(media: Path) -> None:
    said = run(tool("7z"), "t", "-tzip", media)
    assert b"Everything is Ok" in said and b"Files: %d\n" % COUNT in said


def test_bsdtar_lists_every_file(media: Path) -> None:
    assert len(run(tool("bsdtar"), "-tf", media).splitlines()) == COUNT


def test_zipfile_reads_every_file(media: Path) -> None:
    with zipfile.ZipFile(media) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    expected = awkward.images() | dict.fromkeys(awkward.EMPTY, b"")
    legacy = awkward.NOT_UTF8  # a name without the UTF-8 flag is read as code page 437
    names = {name: name.decode("cp437" if name == legacy else "utf-8") for name in expected}
    assert found == {names[name]: data for name, data in expected.items()}


def test_the_whole_zip_file_is_covered_so_that_nothing_stands_before_the_first_record(
    awkward_packs: dict[str, Path],
) -> None:
    with zipfile.ZipFile(awkward_packs["zip"]) as archive:
        assert min(info.header_offset for info in archive.infolist()) == 0


def test_a_plain_mp4_is_no_zip(awkward_packs: dict[str, Path]) -> None:
    assert not zipfile.is_zipfile(awkward_packs["plain"])


def directory(names: list[bytes], files: list[bytes], offsets: list[int]) -> Directory:
    """What the engine hands to `finish`; `offsets` are those of the local headers."""
    from zlib import crc32

    triples = zip(names, files, offsets, strict=True)
    records = b"".join(zipped.record(name, len(data), crc32(data), at) for name, data, at in triples)
    starts = [at + len(zipped.prefix(n, len(d))) for n, d, at in zip(names, files, offsets, strict=True)]
    return Directory(
        numbers=range(len(files)),
        count=len(files),
        offsets=array("Q", starts),
        sizes=array("Q", map(len, files)),
        tracks=bytearray(len(names)),
        mimes=["image/jpeg"],
        extents=[(24, 16)],
        names=lambda: [name + b"\0" for name in names],
        names_size=sum(map(len, names)) + len(names),
        records=lambda: [records],
        records_size=len(records),
        entries=len(names),
        fps=Fraction(10),
        pack_id="0" * 32,
    )


def write(media: Path, names: list[bytes], files: list[bytes], offsets: list[int]) -> None:
    from struct import pack_into
    from zlib import crc32

    with media.open("wb") as file:
        for name, data, offset in zip(names, files, offsets, strict=True):
            prefix = bytearray(zipped.prefix(name, len(data)))
            pack_into("<I", prefix, zipped.crc_at() or 0, crc32(data))
            file.seek(offset)
            file.write(prefix + data)
        for offset, piece in zipped.finish(file.tell(), directory(names, files, offsets)):
            file.seek(offset)
            file.write(piece)


def test_zipfile_reads_files_beyond_4_gib(tmp_path: Path) -> None:
    media = tmp_path / "large.zip"
    names = [b"first.jpg", b"just below.jpg", b"at.jpg", "weit hinten ü.jpg".encode()]
    files = [awkward.picture(seed=seed) for seed in range(4)]
    offsets = [0, (1 << 32) - 2, (1 << 32) + 4000, 1 << 34]
    write(media, names, files, offsets)
    with zipfile.ZipFile(media) as archive:
        assert archive.testzip() is None
        assert [info.header_offset for info in archive.infolist()] == offsets
        assert [archive.read(name.decode()) for name in names] == files


def test_unzip_reads_files_beyond_4_gib(tmp_path: Path) -> None:
    media = tmp_path / "large.zip"
    names, files = [b"first.jpg", b"far.jpg"], [awkward.picture(seed=1), awkward.picture(seed=2)]
    write(media, names, files, [0, 1 << 33])
    assert run(tool("unzip"), "-p", media, "far.jpg") == files[1]


def test_zipfile_reads_the_size_of_a_file_of_more_than_4_gib(tmp_path: Path) -> None:
    size = (1 << 32) + 5
    prefix = zipped.prefix(b"huge.bin", size)
    record = zipped.record(b"huge.bin", size, 0, 0)
    only = directory([], [], [])
    only.records, only.records_size, only.entries = lambda: [record], len(record), 1
    media = tmp_path / "huge.zip"
    with media.open("wb") as file:
        file.write(prefix + b"begins so")
        for offset, piece in zipped.finish(len(prefix) + size, only):
            file.seek(offset)
            file.write(piece)
    with zipfile.ZipFile(media) as archive:
        (info,) = archive.infolist()
        assert (info.file_size, info.compress_size) == (size, size)
        with archive.open(info) as stored:
            assert stored.read(9) == b"begins so"


def test_zipfile_reads_more_than_65535_files(tmp_path: Path) -> None:
    count = 70_000
    names = [b"%05d" % number for number in range(count)]
    whole = io.BytesIO()
    offsets = []
    for name in names:
        offsets.append(whole.tell())
        whole.write(zipped.prefix(name, 0))
    for _, piece in zipped.finish(whole.tell(), directory(names, [b""] * count, offsets)):
        whole.write(piece)
    with zipfile.ZipFile(whole) as archive:
        assert archive.namelist() == [name.decode() for name in names]
        assert archive.read("69999") == b""


def test_unzip_and_zipfile_read_an_mp4_of_more_than_65535_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    data = awkward.picture("PNG", (1, 1), "L")
    (images / "00000.png").write_bytes(data)
    for number in range(1, 65_600):
        place = images / f"{number:05}.png"
        if number < 10:
            place.write_bytes(data)
        else:  # quicker than a new file, and some file systems take only 65,000 names for one
            place.hardlink_to(images / f"0000{number % 10}.png")
    xlabel.pack(images, None, tmp_path / "pack", media="pack.mp4")
    with zipfile.ZipFile(tmp_path / "pack" / "pack.mp4") as archive:
        assert len(archive.namelist()) == 65_600
        assert archive.read("65599.png") == data
    unzip = tool("unzip")
    assert len(run(unzip, "-Z1", tmp_path / "pack" / "pack.mp4").splitlines()) == 65_600
    assert b"No errors detected" in run(unzip, "-tq", tmp_path / "pack" / "pack.mp4")
