"""A video bundle as ffmpeg, PyAV, OpenCV and pycocotools see it, and as we read it."""

import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from tests import sequences
from tests.tools import run, tool
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import InputError, MissingExtraError
from xlabel.jobs.compact import compact
from xlabel.jobs.update import update
from xlabel.model.manifest import parse

CODECS = ("h264", "av1")
COUNT = 7
SIZE = (96, 64)


@pytest.fixture(scope="module", params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence") / "images"
    sequences.build(folder, SIZE, COUNT)
    return folder


@pytest.fixture(scope="module")
def labels(images: Path) -> Path:
    folder = images.parent / "labels"
    folder.mkdir()
    (folder / "data.yaml").write_text("names: [boat]\n")
    for number in range(COUNT):
        (folder / f"{number:04d}.txt").write_text(f"0 0.5 0.5 0.25 0.{number + 1:04d}\n")
    return folder


@pytest.fixture(scope="module")
def pack(codec: str, images: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(codec) / "pack"
    report = xlabel.pack(images, labels, folder, video=codec)
    assert report.exit_code == 0
    assert any(note.startswith("LOSSY") for note in report.notes)
    return folder


def manifest(pack: Path) -> Any:
    return json.loads((pack / "frame_manifest.json").read_bytes())


def decoded(media: Path) -> list[Any]:
    """All frames as PyAV gives them, which demuxes by itself."""
    with av.open(str(media)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def apart(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_ffprobe_sees_one_video_track_with_a_packet_a_frame_and_its_colours(pack: Path, codec: str) -> None:
    fields = "codec_name,width,height,nb_read_packets,color_space,color_range,color_primaries,color_transfer"
    arguments = ("-v", "error", "-count_packets", "-show_entries", f"stream={fields}", "-of", "json")
    (stream,) = json.loads(run(tool("ffprobe"), *arguments, pack / "media_bundle.mp4"))["streams"]
    assert stream == {
        "codec_name": codec,
        "width": SIZE[0],
        "height": SIZE[1],
        "nb_read_packets": str(COUNT),
        "color_space": "smpte170m",
        "color_range": "tv",
        "color_primaries": "bt709",
        "color_transfer": "iec61966-2-1",
    }


def test_the_presentation_time_of_a_packet_is_its_frame_number_and_every_second_one_is_a_key(
    pack: Path,
) -> None:
    arguments = ("-v", "error", "-show_entries", "packet=pts,flags,pos,size", "-of", "json")
    packets = json.loads(run(tool("ffprobe"), *arguments, pack / "media_bundle.mp4"))["packets"]
    assert [packet["pts"] for packet in packets] == list(range(COUNT))
    assert ["K" in packet["flags"] for packet in packets] == [number % 2 == 0 for number in range(COUNT)]
    places = [(frame["offset"], frame["size"]) for frame in manifest(pack)["frames"]]
    assert [(int(packet["pos"]), int(packet["size"])) for packet in packets] == places


def test_any_frame_is_the_one_that_ffmpeg_decodes_whatever_was_read_before(
    pack: Path, codec: str, tmp_path: Path
) -> None:
    raw = tmp_path / "frames.yuv"
    arguments = ("-pix_fmt", "yuv420p", "-f", "rawvideo", raw)
    run(tool("ffmpeg"), "-v", "error", "-i", pack / "media_bundle.mp4", *arguments)
    frames = np.frombuffer(raw.read_bytes(), np.uint8).reshape(COUNT, SIZE[1] * 3 // 2, SIZE[0])
    with xlabel.open_bundle(pack) as bundle:
        for number in (5, 0, 6, 1, 4, 3, 2, 5):
            theirs = cv2.cvtColor(frames[number], cv2.COLOR_YUV2RGB_I420)
            gaps = [apart(bundle.picture(number), cv2.cvtColor(f, cv2.COLOR_YUV2RGB_I420)) for f in frames]
            assert gaps.index(min(gaps)) == number
            assert apart(bundle.picture(number), theirs) < 2


@pytest.mark.parametrize("colour", [(200, 30, 40), (30, 190, 60), (40, 50, 210), (250, 240, 20)])
def test_readers_that_know_nothing_of_us_show_the_colours_of_the_images(
    tmp_path: Path, codec: str, colour: tuple[int, int, int]
) -> None:
    (tmp_path / "images").mkdir()
    for number in range(2):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"images/{number}.png")
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack", video=codec)
    media = tmp_path / "pack/media_bundle.mp4"
    raw = run(tool("ffmpeg"), "-v", "error", "-i", media, "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    for seen in (decoded(media)[0], np.frombuffer(raw[: 64 * 64 * 3], np.uint8).reshape(64, 64, 3)):
        assert np.abs(seen[32, 32].astype(int) - colour).max() <= 3
    if codec == "h264":  # OpenCV's wheel decodes no AV1; it looks for no matrix
        capture = cv2.VideoCapture(str(media))
        read, picture = capture.read()
        capture.release()
        assert read and np.abs(picture[32, 32, ::-1].astype(int) - colour).max() <= 3


def test_psnr_is_that_of_ffmpegs_filter_on_the_pictures_that_unpack_gives(
    pack: Path, images: Path, tmp_path: Path
) -> None:
    xlabel.unpack(pack, tmp_path / "back")
    stats = tmp_path / "psnr.log"
    graph = f"[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr=stats_file={stats}"
    inputs = ("-i", tmp_path / "back/images/%04d.png", "-i", images / "%04d.png")
    run(tool("ffmpeg"), "-v", "error", *map(str, inputs), "-lavfi", graph, "-f", "null", "-")
    theirs = [float(line.split("psnr_avg:")[1].split()[0]) for line in stats.read_text().splitlines()]
    ours = [frame["psnr"] for frame in manifest(pack)["frames"]]
    assert ours == pytest.approx(theirs, abs=0.011)
    assert min(ours) > 28


def test_a_better_quality_has_a_higher_psnr_and_more_bytes(images: Path, tmp_path: Path, codec: str) -> None:
    found = []
    for crf in (10, 45):
        xlabel.pack(images, None, tmp_path / str(crf), video=codec, crf=crf)
        frames = manifest(tmp_path / str(crf))["frames"]
        found.append((sum(f["psnr"] for f in frames), sum(f["size"] for f in frames)))
    assert found[0] > found[1] and found[0][1] > found[1][1]


def test_the_same_images_give_the_same_bytes_with_any_number_of_threads(
    images: Path, labels: Path, pack: Path, codec: str, tmp_path: Path
) -> None:
    xlabel.pack(images, labels, tmp_path / "again", video=codec, workers=1)
    for path in pack.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_media_names_no_version_of_an_encoder(pack: Path) -> None:
    data = (pack / "media_bundle.mp4").read_bytes()
    assert not any(name in data for name in (b"x264", b"Lavc", b"Lavf", b"SVT"))


def test_verify_finds_nothing_in_a_sound_video_and_any_byte_that_changed(pack: Path, tmp_path: Path) -> None:
    assert xlabel.verify(pack).problems == []
    media = shutil.copytree(pack, tmp_path / "pack") / "media_bundle.mp4"
    sound = media.read_bytes()
    for place in range(0, len(sound) - 160, max(1, len(sound) // 60)):
        media.write_bytes(sound[:place] + bytes((sound[place] ^ 1,)) + sound[place + 1 :])
        with suppress(InputError):
            assert xlabel.verify(tmp_path / "pack").problems, f"byte {place}"


def test_pycocotools_reads_the_labels_and_the_frames_say_what_they_were_made_of(
    pack: Path, images: Path
) -> None:
    coco = COCO(str(pack / "unified_annotation.json"))
    assert len(coco.anns) == len(coco.imgs) == COUNT
    for record, frame in zip(coco.dataset["images"], manifest(pack)["frames"], strict=True):
        assert (record["file_name"], record["width"], record["height"]) == (frame["key"], *SIZE)
        assert record["xlabel"]["psnr"] == frame["psnr"]
        digest = run(tool("sha256sum"), images / frame["key"]).split()[0].decode()
        assert record["xlabel"]["original"] == frame["original"] == digest


def test_unpack_gives_pictures_with_the_labels_that_belong_to_them_and_calls_them_lossy(
    pack: Path, labels: Path, tmp_path: Path
) -> None:
    report = xlabel.unpack(pack, tmp_path / "back")
    assert any(note.startswith("LOSSY") for note in report.notes)
    assert sorted(p.name for p in (tmp_path / "back/images").iterdir()) == [
        f"{n:04d}.png" for n in range(COUNT)
    ]
    for path in labels.iterdir():
        assert (tmp_path / "back/labels" / path.name).read_bytes() == path.read_bytes()
    xlabel.unpack(pack, tmp_path / "coco", to="coco")
    (document,) = (tmp_path / "coco").rglob("*.json")
    names = [image["file_name"] for image in json.loads(document.read_bytes())["images"]]
    assert all(name.endswith(".png") for name in names) and len(names) == COUNT


def test_a_video_holds_no_image_files_and_says_so(pack: Path) -> None:
    with (
        xlabel.open_bundle(pack) as bundle,
        pytest.raises(InputError, match="lossy video, no image files"),
    ):
        bundle.image_bytes(0)


def test_odd_sides_are_made_even_for_others_and_cut_again_for_us(tmp_path: Path, codec: str) -> None:
    sequences.build(tmp_path / "images", (97, 65), 4)
    report = xlabel.pack(tmp_path / "images", None, tmp_path / "pack", video=codec)
    assert any("97 x 65 and odd: the video is 98 x 66" in note for note in report.notes)
    assert {f.shape for f in decoded(tmp_path / "pack/media_bundle.mp4")} == {(66, 98, 3)}
    with xlabel.open_bundle(tmp_path / "pack") as bundle:
        assert bundle.picture(3).shape == (65, 97, 3)
    assert xlabel.verify(tmp_path / "pack").problems == []


def test_images_are_encoded_as_they_are_displayed(tmp_path: Path) -> None:
    for path in sequences.build(tmp_path / "images", (64, 96), 3, "jpg"):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).save(path, exif=exif, quality=95)
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack", video="h264")
    assert {f.shape for f in decoded(tmp_path / "pack/media_bundle.mp4")} == {(64, 96, 3)}
    frames = manifest(tmp_path / "pack")["frames"]
    assert [(f["width"], f["height"], f.get("orientation")) for f in frames] == [(96, 64, None)] * 3
    assert min(f["psnr"] for f in frames) > 28


def test_images_of_two_sizes_are_refused_with_the_cost_of_the_originals(tmp_path: Path) -> None:
    paths = sequences.build(tmp_path / "images", SIZE, 3)
    paths += sequences.build(tmp_path / "images", (64, 64), 2, place="other")
    done = command("pack", tmp_path / "images", "--video", "av1", "--output", tmp_path / "pack")
    assert done.returncode == 2 and not (tmp_path / "pack" / "media_bundle.mp4").exists()
    assert "0000.png has 96 x 64 pixels and other/0000.png 64 x 64" in done.stderr
    assert (
        f"the {sum(path.stat().st_size for path in paths):,} bytes of the images as they are" in done.stderr
    )


def test_what_is_no_sequence_or_more_than_a_video_holds_is_refused(tmp_path: Path) -> None:
    def refused(why: str, **how: Any) -> None:
        with pytest.raises(InputError, match=why):
            xlabel.pack(tmp_path / "images", None, tmp_path / "pack", **({"video": "h264"} | how))
        assert not (tmp_path / "pack" / "media_bundle.mp4").exists()

    first, second = sequences.build(tmp_path / "images", SIZE, 2)
    refused("expected 0 to 51 for h264, got 52", crf=52)
    refused("expected h264 or av1, got 'vp9'", video="vp9")
    refused("expected a bundle ending in .mp4", media="media.tar")
    refused("leave out --preview", preview=True)
    refused("leave out --fingerprint", fingerprint="pixels")
    refused("say --video", video=None, crf=20)
    Image.open(first).save(first.with_suffix(".jpg"))
    refused("would be one picture")
    first.with_suffix(".jpg").unlink()
    Image.open(second).convert("I;16").save(second)
    refused("more than 8 bits")
    clear = Image.open(first).convert("RGBA")
    clear.putalpha(100)
    clear.save(second)
    refused("transparent")
    second.unlink()
    refused("expected a sequence for --video, got one image")


def test_an_image_that_cannot_be_decoded_is_a_problem_and_the_rest_a_video(tmp_path: Path) -> None:
    paths = sequences.build(tmp_path / "images", SIZE, 5)
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    report = xlabel.pack(tmp_path / "images", None, tmp_path / "pack", video="h264")
    assert [problem.code for problem in report.problems] == ["undecodable"]
    assert [f["key"] for f in manifest(tmp_path / "pack")["frames"]] == [
        path.name for path in paths if path != paths[1]
    ]
    assert len(decoded(tmp_path / "pack/media_bundle.mp4")) == 4
    assert xlabel.verify(tmp_path / "pack").problems == []


def test_without_pyav_the_error_names_the_extra(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xlabel\[video\]'"):
        xlabel.pack(images, None, tmp_path / "pack", video="av1")


def test_validate_and_the_labels_alone_refuse_a_video_and_say_what_to_do(
    pack: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="unpack it"):
        xlabel.validate(pack)
    read = parse((pack / "frame_manifest.json").read_bytes(), "manifest")
    with pytest.raises(InputError, match="is not changed in place"):
        xlabel.annotate(images, None, tmp_path / "labels.json", manifest=read)


@pytest.mark.parametrize("how", [{"video": "h264"}, {"preview": True}], ids=str)
def test_update_and_compact_are_refused_before_anything_is_changed(
    images: Path, tmp_path: Path, how: dict[str, Any]
) -> None:
    xlabel.pack(images, None, tmp_path / "pack", **how)
    before = {path: path.read_bytes() for path in (tmp_path / "pack").iterdir()}
    more = tmp_path / "images"
    sequences.build(more, SIZE, COUNT + 1)
    with pytest.raises(InputError, match="is not changed in place; pack again with --overwrite"):
        update(more, None, tmp_path / "pack")
    with pytest.raises(InputError, match="is not changed in place; pack again with --overwrite"):
        compact(tmp_path / "pack")
    assert {path: path.read_bytes() for path in (tmp_path / "pack").iterdir()} == before
