"""The .mp4 bundle as ffmpeg, PyAV and a reader of ISO/IEC 14496-12 see it."""

import io
import json
import struct
import subprocess
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image
from tests import awkward
from tests.tools import run, tool

import xlabel
from xlabel.bundles import Directory, mp4
from xlabel.jobs import frames as packing

PNG = b"\x89PNG\r\n\x1a\n"


def probed(media: Path) -> dict[tuple[str, str], int]:
    """Codec and tag of each of ffprobe's streams -> the packets that it counted."""
    fields = "stream=codec_name,codec_tag_string,nb_read_packets"
    arguments = ("-v", "quiet", "-count_packets", "-show_entries", fields, "-of", "json")
    streams = json.loads(run(tool("ffprobe"), *arguments, media))["streams"]
    counts: dict[tuple[str, str], int] = {}
    for stream in streams:
        name = (stream.get("codec_name", "unknown"), stream["codec_tag_string"])
        counts[name] = counts.get(name, 0) + int(stream["nb_read_packets"])
    return counts


def demuxed(media: Path, fps: Fraction) -> dict[int, bytes]:
    """Presentation time, in frames, -> bytes of each packet that PyAV gives."""
    found: dict[int, bytes] = {}
    with av.open(str(media)) as container:
        for packet in container.demux():
            if packet.size:
                assert packet.pts is not None and packet.time_base is not None
                time = packet.pts * packet.time_base * fps
                assert time.denominator == 1 and time.numerator not in found
                found[time.numerator] = bytes(packet)
    return found


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Type, content's start and end of each box; they have to fill the range exactly."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        assert head <= size <= end - start
        yield kind, start + head, start + size
        start += size


def numbered(files: list[bytes]) -> dict[int, bytes]:
    return dict(enumerate(files))


@pytest.fixture(params=["mp4", "plain"])
def media(request: pytest.FixtureRequest, awkward_packs: dict[str, Path]) -> Path:
    return awkward_packs[request.param]


def test_ffprobe_counts_the_frames_of_every_kind_of_image(media: Path) -> None:
    files = [data for _, data in awkward.frames()]
    counts = probed(media)
    assert counts["mjpeg", "mp4v"] == sum(data.startswith(b"\xff\xd8\xff") for data in files)
    assert counts["png", "mp4v"] == sum(data.startswith(PNG) and len(data) > 18 for data in files)
    assert counts["tiff", "tiff"] == sum(data.startswith(b"II*\0") for data in files)
    assert counts["jpeg2000", "mjp2"] == 1
    assert sum(counts.values()) == len(files)


def test_ffprobe_finds_no_error_in_a_bundle_of_sound_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(12):
        kind, ending = (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"))[number % 3]
        (images / f"{number:02}.{ending}").write_bytes(awkward.picture(kind, (16 + number, 30 - number)))
    xlabel.pack(images, None, tmp_path / "pack")
    command = [tool("ffprobe"), "-v", "error", "-show_streams", str(media_in(tmp_path))]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


def media_in(folder: Path) -> Path:
    return folder / "pack" / "media_bundle.mp4"


@pytest.mark.parametrize(("stream", "ending", "start"), [(0, "jpg", b"\xff\xd8\xff"), (1, "png", PNG)])
def test_ffmpeg_copies_every_image_of_a_track_out_bit_exactly(
    media: Path, tmp_path: Path, stream: int, ending: str, start: bytes
) -> None:
    pattern = str(tmp_path / f"%06d.{ending}")
    arguments = ("-map", f"0:v:{stream}", "-c", "copy", "-start_number", "0", "-f", "image2", pattern)
    run(tool("ffmpeg"), "-v", "error", "-i", media, *arguments)
    copied = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert copied == [data for _, data in awkward.frames() if data.startswith(start) and len(data) > 18]


def test_pyav_gives_every_sample_of_every_track_at_its_frame_number(media: Path) -> None:
    assert demuxed(media, Fraction(10)) == numbered([data for _, data in awkward.frames()])


@pytest.mark.parametrize("kinds", ["WPPJJJJJW", "JJJ"])
@pytest.mark.parametrize("fps", ["25", "29.97", "0.5", "1000"])
def test_the_presentation_time_is_the_frame_number_at_any_frame_rate(
    tmp_path: Path, fps: str, kinds: str
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    names = {"J": "JPEG", "P": "PNG", "W": "WEBP"}
    files = [awkward.picture(names[letter], seed=seed) for seed, letter in enumerate(kinds)]
    for number, data in enumerate(files):
        (images / f"{number}.img").write_bytes(data)
    xlabel.pack(images, None, tmp_path / "pack", fps=float(fps))
    assert demuxed(media_in(tmp_path), Fraction(fps)) == numbered(files)


@pytest.mark.parametrize("batch", [1, 1 << 20])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_ffmpeg_decodes_each_image_in_its_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, batch: int
) -> None:
    monkeypatch.setattr(packing, "BATCH", batch)  # the track's size is that of all batches
    images = tmp_path / "images"
    images.mkdir()
    sizes = [(24, 16), (24, 16), (40, 90), (8, 200), (200, 8), (33, 17), (1, 1), (64, 63), (64, 64)]
    for number, size in enumerate(sizes):
        (images / f"{number}").write_bytes(awkward.picture(kind, size=size, seed=number))
    xlabel.pack(images, None, tmp_path / "pack")
    with av.open(str(media_in(tmp_path))) as container:
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == sizes


def test_ffmpeg_decodes_the_same_pixels_as_pillow(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    files = [awkward.picture("PNG", (19, 11 + seed), seed=seed) for seed in range(5)]
    for number, data in enumerate(files):
        (images / f"{number}.png").write_bytes(data)
    xlabel.pack(images, None, tmp_path / "pack")
    with av.open(str(media_in(tmp_path))) as container:
        frames = [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]
    assert frames == [Image.open(io.BytesIO(data)).tobytes() for data in files]


def test_the_boxes_fill_the_file_and_the_index_stands_last(media: Path) -> None:
    data = media.read_bytes()
    kinds = [kind for kind, _, _ in boxes(data)]
    assert kinds == [b"ftyp", b"mdat", b"uuid", b"moov", b"free"]
    (start, end) = next((start, end) for kind, start, end in boxes(data) if kind == b"mdat")
    with xlabel.open_bundle(media) as bundle:
        assert start <= min(bundle.offsets) and max(bundle.offsets + bundle.sizes) <= end


def test_images_that_no_player_knows_are_timed_metadata_with_their_media_type(media: Path) -> None:
    data = media.read_bytes()
    mimes = []
    at = data.find(b"mett")
    while at >= 0:
        size = int.from_bytes(data[at - 4 : at], "big")
        mimes.append(data[at + 4 + 8 : at - 4 + size].strip(b"\0").decode())
        at = data.find(b"mett", at + 4)
    assert mimes == ["application/octet-stream", "image/avif", "image/bmp", "image/gif", "image/webp"]


def test_offsets_beyond_4_gib_are_read_by_pyav(tmp_path: Path) -> None:
    files = [awkward.picture(seed=seed) for seed in range(3)]
    offsets = [len(mp4.HEAD), (1 << 32) + 7, (1 << 33) + 99]
    names = b"0.jpg\0001.jpg\0002.jpg\0"
    directory = Directory(
        numbers=range(3),
        count=3,
        offsets=array("Q", offsets),
        sizes=array("Q", map(len, files)),
        tracks=bytearray(3),
        mimes=["image/jpeg"],
        extents=[(24, 16)],
        names=lambda: [names],
        names_size=len(names),
        records=lambda: [],
        records_size=0,
        entries=3,
        fps=Fraction(10),
        pack_id="0" * 32,
    )
    media = tmp_path / "large.mp4"
    with media.open("wb") as file:
        file.write(mp4.HEAD)
        for offset, data in zip(offsets, files, strict=True):
            file.seek(offset)
            file.write(data)
        for offset, data in mp4.finish(file.tell(), directory, False):
            file.seek(offset)
            file.write(data)
    assert media.stat().st_size > 1 << 33
    assert demuxed(media, Fraction(10)) == numbered(files)


def test_plain_stores_equal_files_once_and_ffmpeg_still_gives_each(
    awkward_packs: dict[str, Path], tmp_path: Path
) -> None:
    keys = [key for key, _ in awkward.frames()]
    places = {}
    for kind in ("mp4", "plain"):
        with xlabel.open_bundle(awkward_packs[kind]) as bundle:
            places[kind] = dict(zip(keys, map(int, bundle.offsets), strict=True))
    twins = ["plain.jpg", "deep/er/and/deeper/equal to plain.jpg", "linked.jpg"]
    assert len({places["plain"][key] for key in twins}) == 1
    assert len(set(places["plain"].values())) == len({data for _, data in awkward.frames()})
    assert len(set(places["mp4"].values())) == len(keys)
