"""A preview track plays in a browser, and leaves the images where they are."""

import base64
import io
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import awkward, sequences
from tests.browser import told
from tests.bundles.test_mp4 import demuxed, probed
from tests.tools import run, tool

import xlabel
from xlabel.errors import InputError

PAGE = """<!doctype html><video id="v" muted src="NAME"></video><script>
const v = document.getElementById("v"), say = x => fetch("/told", {method: "POST", body: JSON.stringify(x)});
const shown = () => { const c = document.createElement("canvas");
  c.width = v.videoWidth; c.height = v.videoHeight;
  c.getContext("2d").drawImage(v, 0, 0); return c.toDataURL("image/png").split(",")[1]; };
v.onerror = () => say({error: v.error.message});
v.onloadeddata = () => { v.currentTime = SECONDS; };
v.onseeked = async () => { v.onseeked = null; const picture = shown(), before = v.currentTime; await v.play();
  v.onended = () => say({width: v.videoWidth, height: v.videoHeight, duration: v.duration, picture,
                         played: v.currentTime - before}); };
</script>"""


def page(name: str, seconds: float) -> str:
    return PAGE.replace("NAME", name).replace("SECONDS", str(seconds))


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The awkward folder without and with preview."""
    folder = tmp_path_factory.mktemp("preview")
    images = awkward.build(folder / "images")
    xlabel.pack(images, None, folder / "without")
    xlabel.pack(images, None, folder / "with", preview=True)
    return folder / "without", folder / "with"


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_chromium_plays_a_bundle_of_images_by_its_preview(tmp_path: Path, ending: str) -> None:
    paths = sequences.build(tmp_path / "images", (640, 480), 24, ending)
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack", preview=True)
    seen = told(page("media_bundle.mp4", 1.25), tmp_path / "pack", tmp_path / "profile")
    assert "error" not in seen, seen
    assert (seen["width"], seen["height"], seen["duration"]) == (320, 240, pytest.approx(2.4))
    assert seen["played"] == pytest.approx(1.15, abs=0.11)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(seen["picture"]))).convert("RGB"), float)
    gaps = [np.abs(np.asarray(Image.open(p).resize((320, 240)), float) - picture).mean() for p in paths]
    assert gaps.index(min(gaps)) == 12 and min(gaps) < 4


def test_chromium_refuses_the_same_bundle_without_a_preview(tmp_path: Path) -> None:
    sequences.build(tmp_path / "images", (640, 480), 4, "jpg")
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack")
    seen = told(page("media_bundle.mp4", 0), tmp_path / "pack", tmp_path / "profile")
    assert "error" in seen


def test_the_images_keep_their_offsets_hashes_and_pack_id(packs: tuple[Path, Path]) -> None:
    without, having = (json.loads((pack / "frame_manifest.json").read_bytes()) for pack in packs)
    assert having["frames"] == without["frames"] and having["pack_id"] == without["pack_id"]
    for frame in without["frames"]:
        start, end = frame["offset"], frame["offset"] + frame["size"]
        one, other = ((pack / "media_bundle.mp4").read_bytes()[start:end] for pack in packs)
        assert one == other
    assert "preview" in having and "preview" not in without


def test_ffprobe_lists_the_tracks_of_images_first_and_as_they_were(packs: tuple[Path, Path]) -> None:
    without, having = (probed(pack / "media_bundle.mp4") for pack in packs)
    assert having == without | {("h264", "avc1"): sum(without.values())}
    assert list(having)[-1] == ("h264", "avc1")


def test_pyav_gives_the_images_and_our_reader_skips_the_preview(packs: tuple[Path, Path]) -> None:
    without, having = packs
    with xlabel.open_bundle(having) as bundle:
        files = [bundle.image_bytes(number) for number in range(len(bundle))]
    assert files == [data for _, data in awkward.frames()]
    assert demuxed(without / "media_bundle.mp4", Fraction(10)) == dict(enumerate(files))


def test_ffmpeg_shows_one_preview_frame_for_each_image_with_bars_where_ratios_differ(
    tmp_path: Path,
) -> None:
    sequences.build(tmp_path / "images", (64, 32), 2, place="wide")
    sequences.build(tmp_path / "images", (32, 64), 2, place="tall")
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack", preview=True)
    raw = tmp_path / "frames.rgb"
    arguments = ("-map", "0:v:1", "-pix_fmt", "rgb24", "-f", "rawvideo", raw)
    run(tool("ffmpeg"), "-v", "error", "-i", tmp_path / "pack/media_bundle.mp4", *map(str, arguments))
    frames = np.frombuffer(raw.read_bytes(), np.uint8).reshape(4, 240, 320, 3)
    for tall, wide in ((frames[0], frames[2]), (frames[1], frames[3])):
        assert tall[:, :90].max() < 20 < tall[:, 110:210].mean()
        assert wide[:30].max() < 20 < wide[50:190].mean()


def test_unzip_finds_the_bundle_with_preview_sound(packs: tuple[Path, Path]) -> None:
    listed = [run(tool("unzip"), "-Z1", pack / "media_bundle.mp4") for pack in packs]
    assert listed[0] == listed[1]
    run(tool("unzip"), "-tqq", packs[1] / "media_bundle.mp4")


def test_verify_finds_any_byte_of_the_preview_that_changed(packs: tuple[Path, Path], tmp_path: Path) -> None:
    before = [p.code for p in xlabel.verify(packs[0]).problems]
    assert [p.code for p in xlabel.verify(packs[1]).problems] == before
    pack = shutil.copytree(packs[1], tmp_path / "pack")
    media, sound = pack / "media_bundle.mp4", (packs[1] / "media_bundle.mp4").read_bytes()
    shown = ("-show_entries", "stream=codec_name,index:packet=pos,stream_index", "-of", "json")
    probed = json.loads(run(tool("ffprobe"), "-v", "quiet", *shown, media))
    (track,) = (s["index"] for s in probed["streams"] if s.get("codec_name") == "h264")
    places = [int(p["pos"]) for p in probed["packets"] if p["stream_index"] == track]
    for place in (places[0], places[3] + 5, places[-1]):
        media.write_bytes(sound[:place] + bytes((sound[place] ^ 1,)) + sound[place + 1 :])
        assert "preview-damaged" in [p.code for p in xlabel.verify(pack).problems]


def test_a_preview_is_for_an_mp4_only(tmp_path: Path) -> None:
    sequences.build(tmp_path / "images", count=2)
    with pytest.raises(InputError, match=r"--preview: expected a bundle ending in \.mp4"):
        xlabel.pack(tmp_path / "images", None, tmp_path / "pack", media="media.zip", preview=True)
