"""Labels put back: where pixels prove it, everywhere; where they do not, nowhere."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from tests.scenes import BOX, CAR, box_in, labelled, near, scene, seen
from tests.tools import run, tool
from tests.tools import xlabel as command

import xlabel
from xlabel import Annotation


def strip(source: Path, target: Path, *options: str) -> Path:
    """A copy without any metadata by jpegtran, turned or cut where the options say so."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run(tool("jpegtran"), "-copy", "none", *options, "-outfile", target, source)
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four labelled images."""
    for seed in range(4):
        labelled(tmp_path / "known" / f"{seed}.jpg", seed)
    return tmp_path / "known"


def as_bundle(folder: Path) -> Path:
    """The images and their labels as a bundle; the images in it have none inside."""
    pack = folder.parent / "pack"
    labels = folder.parent / "labels.json"
    xlabel.convert(folder, labels, to="coco")
    bare = folder.parent / "bare"
    shutil.copytree(folder, bare)
    xlabel.strip(bare)
    xlabel.pack(bare, labels, pack)
    return pack


def as_files(folder: Path) -> Path:
    """The images without labels in them, and a label file beside each."""
    bare = folder.parent / "files" / "images"
    shutil.copytree(folder, bare)
    xlabel.strip(bare)
    xlabel.convert(folder, folder.parent / "files" / "labels", to="voc", on_loss="drop")
    return bare


SOURCES = {
    "labelled images": lambda folder: folder,
    "bundle": as_bundle,
    "media file": lambda folder: as_bundle(folder) / "media_bundle.mp4",
    "annotation file": lambda folder: as_bundle(folder) / "unified_annotation.json",
    "label files": as_files,
}


def test_a_bundle_alone_may_hold_images_that_can_have_no_labels(folder: Path, tmp_path: Path) -> None:
    scene(9).save(folder / "bare.bmp")
    xlabel.pack(folder, output=tmp_path / "pack")
    (tmp_path / "pack" / "unified_annotation.json").unlink()
    report = xlabel.repair(folder, tmp_path / "pack" / "media_bundle.mp4")
    assert report.done == {"images": 5, "intact": 4, "never labelled": 1}


@pytest.mark.parametrize("kind", SOURCES)
def test_labels_come_back_from_each_kind_of_source_whatever_the_file_is_called(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    for seed in range(4):
        strip(folder / f"{seed}.jpg", work / "sub" / f"renamed {9 - seed}.jpg", *["-progressive"][seed % 2 :])
    source = SOURCES[kind](folder)
    report = xlabel.repair(work, source)
    assert report.done == {"images": 4, "restored": 4}, str(report)
    assert not report.problems
    for seed in range(4):
        path = work / "sub" / f"renamed {9 - seed}.jpg"
        assert near(box_in(path), seen(path))
    assert xlabel.repair(work, source).done == {"images": 4, "intact": 4}


def test_an_annotation_file_alone_knows_images_by_their_bytes(folder: Path, tmp_path: Path) -> None:
    pack = as_bundle(folder)
    (pack / "media_bundle.mp4").unlink()
    work = tmp_path / "work"
    shutil.copytree(tmp_path / "bare", work)
    (work / "0.jpg").rename(work / "z.jpg")
    report = xlabel.repair(work, pack / "unified_annotation.json")
    assert report.done == {"images": 4, "restored": 4}
    assert near(box_in(work / "z.jpg"), seen(work / "z.jpg"))


@pytest.mark.parametrize("kind", ["folder", "bundle"])
def test_labels_beside_images_of_the_source_are_known_unless_they_are_of_another_size(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    known, work = tmp_path / "bitmaps", tmp_path / "work"
    known.mkdir()
    work.mkdir()
    for seed in range(2):
        with Image.open(folder / f"{seed}.jpg") as image:
            image.save(known / f"{seed}.bmp")
            image.save(work / f"{seed}.png")
        xlabel.embed(known / f"{seed}.bmp", xlabel.labels(folder / f"{seed}.jpg"), sidecar=True)
    if kind == "folder":
        with Image.open(known / "1.bmp") as image:
            image.crop((0, 0, 200, 150)).save(known / "1.bmp")
            image.crop((0, 0, 200, 150)).save(work / "1.png")
        expected = {"images": 2, "restored": 1, "never labelled": 1}
    else:
        xlabel.pack(known, output=tmp_path / "packed bitmaps")
        known, expected = tmp_path / "packed bitmaps", {"images": 2, "restored": 2}
    assert xlabel.repair(work, known).done == expected
    assert near(box_in(work / "0.png"), seen(work / "0.png"))


@pytest.fixture
def noted(folder: Path) -> Path:
    """An annotation file with fingerprints, and no bundle beside it."""
    pack = folder.parent / "noted"
    xlabel.pack(folder, output=pack, fingerprint="pixels")
    (pack / "media_bundle.mp4").unlink()
    return pack / "unified_annotation.json"


def test_an_annotation_file_with_fingerprints_knows_images_by_their_data_and_their_pixels(
    noted: Path, folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    strip(folder / "0.jpg", work / "by its data.jpg")
    strip(folder / "1.jpg", work / "by its pixels.jpg", "-progressive")
    with Image.open(folder / "2.jpg") as image:
        image.save(work / "lossless.png")
        image.transpose(Image.Transpose.ROTATE_90).save(work / "turned.png")
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(work / "flipped.webp", lossless=True)
    report = xlabel.repair(work, noted)
    assert report.done == {"images": 5, "restored": 5} and not report.proposals, str(report)
    for path in work.iterdir():
        assert near(box_in(path), seen(path))


def test_by_perceptual_fingerprints_alone_labels_are_proposed_and_nothing_is_written(
    noted: Path, folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with Image.open(folder / "3.jpg") as image:
        image.save(work / "3.jpg", quality=40, comment=b"")
        image.resize((200, 150)).save(work / "small.jpg", quality=90, comment=b"")
    before = {path: path.read_bytes() for path in work.iterdir()}
    report = xlabel.repair(work, noted)
    assert report.done == {"images": 2, "proposed": 2}, str(report)
    assert {proposal.source for proposal in report.proposals} <= {f"{seed}.jpg" for seed in range(4)}
    assert {path: path.read_bytes() for path in work.iterdir()} == before


def test_labels_inside_follow_their_picture_by_the_fingerprints_in_an_annotation_file(
    noted: Path, folder: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    run(tool("convert"), folder / "1.jpg", "-flop", work / "flipped.png")
    run(tool("convert"), folder / "2.jpg", "-quality", "50", work / "2.jpg")
    report = xlabel.repair(work, noted)
    assert report.done == {"images": 2, "carried over": 1, "proposed": 1}, str(report)
    assert near(box_in(work / "flipped.png"), seen(work / "flipped.png"))


@pytest.mark.parametrize(
    "options",
    [
        ("-rotate", "90"),
        ("-rotate", "180"),
        ("-flip", "horizontal"),
        ("-transverse",),
        ("-crop", "160x160+48+32"),
    ],
    ids=" ".join,
)
def test_labels_move_with_a_picture_that_was_turned_or_cut_without_loss(
    options: list[str], folder: Path, tmp_path: Path
) -> None:
    target = strip(folder / "1.jpg", tmp_path / "work" / "a.jpg", *options)
    before = np.asarray(Image.open(target)).tobytes()
    assert xlabel.repair(tmp_path / "work", folder).done == {"images": 1, "restored": 1}
    assert near(box_in(target), seen(target), by=1)
    assert np.asarray(Image.open(target)).tobytes() == before


@pytest.mark.parametrize("resampling", Image.Resampling)
def test_labels_are_scaled_where_a_filter_makes_the_very_pixels(
    resampling: Image.Resampling, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    with Image.open(folder / "1.jpg") as image:
        small = image.resize((160, 120), resampling)
    for name in ("a.png", "b.jpg"):
        small.save(tmp_path / "work" / name, comment=b"")
    assert xlabel.repair(tmp_path / "work", folder).done == {"images": 2, "restored": 2}
    assert box_in(tmp_path / "work" / "a.png") == tuple(side / 2 for side in BOX)


def test_an_image_with_labels_needs_only_look_like_what_they_say(folder: Path, tmp_path: Path) -> None:
    """ImageMagick resizes and encodes by its own rules, which nothing here reproduces."""
    work = tmp_path / "work"
    work.mkdir()
    for name, options in {"a": ("-resize", "50%"), "b": ("-flop",), "c": ("-crop", "200x150+60+20")}.items():
        run(tool("convert"), folder / "2.jpg", *options, "+repage", work / f"{name}.jpg")
    report = xlabel.repair(work, folder)
    assert report.done == {"images": 3, "carried over": 3}, str(report)
    for path in work.iterdir():
        assert near(box_in(path), seen(path)), path.name


@pytest.mark.parametrize("margin", [2, 4, 8])
def test_a_narrow_cut_all_round_is_no_resize(folder: Path, tmp_path: Path, margin: int) -> None:
    """The picture keeps its shape but for a pixel, and looks the same from afar."""
    work = tmp_path / "work"
    work.mkdir()
    with Image.open(folder / "2.jpg") as image:
        comment = image.info["comment"]
        cut = image.crop((margin, margin, image.width - margin, image.height - margin))
        cut.save(work / "cut.jpg", quality=85, comment=comment)
        cut.resize(image.size, Image.Resampling.LANCZOS).save(work / "zoom.jpg", quality=85, comment=comment)
        half = (image.width // 2, image.height // 2)
        cut.resize(half, Image.Resampling.LANCZOS).save(work / "half.jpg", quality=85, comment=comment)
    before = {name: (work / name).read_bytes() for name in ("zoom.jpg", "half.jpg")}
    report = xlabel.repair(work, folder)
    assert report.done["carried over"] == 1, str(report)
    x, y, width, height = box_in(folder / "2.jpg") or ()
    assert box_in(work / "cut.jpg") == (x - margin, y - margin, width, height)
    assert {name: (work / name).read_bytes() for name in before} == before


def test_what_only_looks_alike_is_proposed_and_the_image_left_alone(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    run(tool("convert"), folder / "2.jpg", "-strip", "-quality", "70", work / "a.jpg")
    before = (work / "a.jpg").read_bytes()
    report = xlabel.repair(work, folder)
    assert report.done == {"images": 1, "proposed": 1}
    assert [(proposal.source, proposal.kind) for proposal in report.proposals] == [("2.jpg", "recompressed")]
    assert report.exit_code == 1
    assert "nothing proves" in str(report)
    assert (work / "a.jpg").read_bytes() == before


def video(folder: Path) -> list[Image.Image]:
    """Frames of one scene: the thing moves by a few pixels, there is noise, and the light fades."""
    frames = []
    for number in range(6):
        frames.append(scene(1, (96 + 3 * number, 40, 64, 48)))
    noisy = np.asarray(frames[0]).astype(int) + np.random.default_rng(5).integers(-1, 2, (240, 320, 3))
    frames.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    frames += [Image.fromarray((np.asarray(frames[0]) - fade).astype(np.uint8)) for fade in (1, 2, 5)]
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        frame.save(path := folder / f"{number:03}.png")
        xlabel.embed(path, [Annotation(category=CAR, bbox=(number, 1, 10, 10))])
    return frames


def test_each_frame_of_a_video_gets_its_own_labels(tmp_path: Path) -> None:
    frames = video(tmp_path / "known")
    work = tmp_path / "work"
    work.mkdir()
    for number, frame in enumerate(frames):
        frame.save(work / f"same {9 - number}.png", compress_level=1)
        frame.transpose(Image.Transpose.ROTATE_90).save(work / f"turned {9 - number}.png")
        frame.resize((160, 120)).save(work / f"small {9 - number}.png")
        frame.save(work / f"again {9 - number}.jpg", quality=92)
    report = xlabel.repair(work, tmp_path / "known")
    assert not report.problems
    assert report.done["restored"] >= 35, str(report)
    for path in work.iterdir():
        number = 9 - int(path.stem[-1])
        expected: dict[str, tuple[float, ...]] = {"same": (number, 1, 10, 10), "again": (number, 1, 10, 10)}
        expected["turned"] = (1, 320 - number - 10, 10, 10)
        expected["small"] = (number / 2, 0.5, 5, 5)
        if (box := box_in(path)) is not None:
            assert box == expected[path.stem[:-2]], path.name
        else:
            assert path.stem[:-2] == "again", path.name  # of frames that compression made equal


def test_a_frame_that_the_source_lacks_gets_no_labels_of_its_neighbours(tmp_path: Path) -> None:
    frames = video(tmp_path / "known")
    for number in range(0, len(frames), 2):
        (tmp_path / "known" / f"{number:03}.png").unlink()
    work = tmp_path / "work"
    work.mkdir()
    for number in range(0, len(frames), 2):
        # Under its neighbour's name, too, which proves nothing.
        frames[number].save(work / f"{number + 1:03}.png")
        frames[number].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(work / f"flipped {number}.png")
        frames[number].resize((160, 120)).save(work / f"small {number}.png")
        frames[number].save(work / f"again {number}.jpg", quality=95)
        frames[number].crop((60, 20, 260, 220)).save(work / f"cut {number}.png")
    report = xlabel.repair(work, tmp_path / "known")
    assert "restored" not in report.done, str(report)
    assert all(box_in(path) is None for path in work.iterdir())
    assert report.proposals


def test_labels_that_were_copied_from_one_frame_to_the_next_are_found(tmp_path: Path) -> None:
    """By `exiftool -tagsfromfile`, over frames that differ by noise alone."""
    tool("exiftool")
    known, work = tmp_path / "known", tmp_path / "work"
    known.mkdir()
    work.mkdir()
    for number in range(2):
        noisy = np.asarray(scene(1)).astype(int) + np.random.default_rng(number).integers(
            -1, 2, (240, 320, 3)
        )
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path := known / f"{number}.jpg", quality=90)
        xlabel.embed(path, [Annotation(category=CAR, bbox=(number, 1, 10, 10))])
    shutil.copy(known / "1.jpg", work / "a.jpg")
    strip(known / "1.jpg", work / "b.jpg", "-progressive")
    for path in work.iterdir():
        run(
            "exiftool",
            "-q",
            "-overwrite_original",
            "-tagsfromfile",
            known / "0.jpg",
            "-all:all",
            "-Comment=",
            path,
        )
    report = xlabel.repair(work, known)
    assert report.done == {"images": 2, "restored": 2}, str(report)
    assert box_in(work / "a.jpg") == box_in(work / "b.jpg") == (1, 1, 10, 10)


def test_a_turned_jpeg_is_not_taken_for_a_frame_a_shade_darker(tmp_path: Path) -> None:
    """The decoder's rounding is forgiven after a lossless turn, a fade by one level is not."""
    labelled(tmp_path / "known" / "a.jpg", 1)
    darker = Image.fromarray((np.asarray(scene(1)) - 1).astype(np.uint8))
    darker.save(tmp_path / "darker.jpg", quality=90)
    strip(tmp_path / "darker.jpg", tmp_path / "work" / "a.jpg", "-rotate", "90")
    assert "restored" not in xlabel.repair(tmp_path / "work", tmp_path / "known").done


def test_equal_pictures_with_other_labels_are_ambiguous(tmp_path: Path) -> None:
    """Black frames of a film, and thumbnails that are the same for different pictures."""
    black = Image.new("RGB", (320, 240))
    for number in range(2):
        black.save(path := tmp_path / f"{number}.png", compress_level=number)
        (tmp_path / "known").mkdir(exist_ok=True)
        path.rename(path := tmp_path / "known" / path.name)
        xlabel.embed(path, [Annotation(category=CAR, bbox=(number, 1, 10, 10))])
    work = tmp_path / "work"
    work.mkdir()
    black.save(work / "0.png", compress_level=5)
    report = xlabel.repair(work, tmp_path / "known")
    assert report.done == {"images": 1, "proposed": 1}
    (proposal,) = report.proposals
    assert (proposal.kind, proposal.source, proposal.others) == ("ambiguous", "0.png", ("1.png",))


def test_small_pictures_that_are_the_same_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    for number in range(2):
        picture = scene(1)
        # Differs in a pixel that the nearest neighbour leaves out.
        picture.putpixel((200, 200 + number), (0, 0, 0))
        picture.save(path := tmp_path / "known" / f"{number}.png")
        xlabel.embed(path, [Annotation(category=CAR, bbox=(number, 1, 10, 10))])
    picture.resize((80, 60), Image.Resampling.NEAREST).save(work / "a.png")
    report = xlabel.repair(work, tmp_path / "known")
    assert report.done == {"images": 1, "proposed": 1}
    assert report.proposals[0].kind == "ambiguous"


def test_equal_pictures_with_the_same_labels_are_not_ambiguous(tmp_path: Path) -> None:
    for name in ("a", "b"):
        labelled(tmp_path / "known" / f"{name}.png", 1)
    (tmp_path / "work").mkdir()
    scene(1).save(tmp_path / "work" / "c.png", compress_level=1)
    assert xlabel.repair(tmp_path / "work", tmp_path / "known").done == {"images": 1, "restored": 1}


def test_labels_that_a_crop_cuts_or_leaves_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    scene(1).save(path := tmp_path / "known" / "a.png")
    xlabel.embed(
        path,
        [
            Annotation(category=CAR, bbox=(150, 60, 100, 50)),
            Annotation(category=CAR, bbox=(10, 10, 20, 20)),
            Annotation(category=CAR, bbox=(110, 110, 20, 20)),
        ],
    )
    (tmp_path / "work").mkdir()
    scene(1).crop((100, 30, 200, 180)).save(target := tmp_path / "work" / "b.png")
    report = xlabel.repair(tmp_path / "work", tmp_path / "known")
    (problem,) = report.problems
    assert problem.code == "not-kept"
    assert problem.message == (
        "its labels are gone; it is a.png, cropped to 100,30,100,150 of the original: "
        "car (1): partly outside the crop, cut at its edge; car (2): outside the crop, dropped"
    )
    boxes = [annotation.bbox for annotation in xlabel.read(target).samples[0].annotations]
    assert boxes == [(50, 30, 50, 50), (10, 80, 20, 20)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_of_a_picture_of_each_orientation_lie_right_after_each_change(
    orientation: int, tmp_path: Path
) -> None:
    """Taken off by exiftool, set anew, applied by Pillow, turned by jpegtran with the tag kept, cut out."""
    known, work = tmp_path / "known", tmp_path / "work"
    known.mkdir()
    work.mkdir()
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene(1).save(path := known / "a.jpg", quality=90, exif=exif)
    box = seen(path)
    assert box is not None
    xlabel.embed(path, [Annotation(category=CAR, bbox=box)])
    tool("exiftool")
    for name, option in {"taken": "-all=", "set": f"-Orientation={orientation % 8 + 1}"}.items():
        run("exiftool", "-q", "-n", option, "-o", work / f"{name}.jpg", path)
    with Image.open(path) as image:
        ImageOps.exif_transpose(image).save(work / "applied.png")
        image.crop((50, 20, 290, 200)).save(work / "cut.png")
        image.resize((160, 120)).save(work / "small.jpg", exif=image.getexif())
    run(tool("jpegtran"), "-copy", "all", "-rotate", "90", "-outfile", work / "turned.jpg", path)
    report = xlabel.repair(work, known)
    assert not report.problems and not report.proposals, str(report)
    for path in work.iterdir():
        assert near(box_in(path), seen(path)), (path.name, box_in(path), seen(path))
    assert xlabel.repair(work, known).done == {"images": 6, "intact": 6}


def test_new_fingerprints_where_the_same_pixels_were_compressed_anew(folder: Path) -> None:
    path = folder / "1.jpg"
    run(tool("jpegtran"), "-copy", "all", "-progressive", "-outfile", path, path)
    source = folder.parent / "source"
    source.mkdir()
    strip(path, source / "x.jpg")
    labelled(source / "1.jpg", 1)
    assert xlabel.repair(path, source).done == {"images": 1, "renewed": 1}
    assert xlabel.repair(path, source).done == {"images": 1, "intact": 1}


def test_copies_are_all_written_and_the_images_left_as_they_are(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    strip(folder / "1.jpg", work / "deep" / "a.jpg")
    shutil.copy(folder / "2.jpg", work / "b.jpg")
    scene(60).save(work / "never.png")
    before = {path: path.read_bytes() for path in work.rglob("*.*")}
    report = xlabel.repair(work, folder, output=tmp_path / "out")
    assert report.done == {"images": 3, "intact": 1, "restored": 1, "never labelled": 1}
    assert {path: path.read_bytes() for path in work.rglob("*.*")} == before
    assert box_in(tmp_path / "out" / "deep" / "a.jpg") == BOX
    assert (tmp_path / "out" / "b.jpg").read_bytes() == (work / "b.jpg").read_bytes()
    assert (tmp_path / "out" / "never.png").read_bytes() == (work / "never.png").read_bytes()


def test_images_that_are_mapped_and_not_read_are_repaired_too(tmp_path: Path) -> None:
    """Beyond a megabyte."""
    known, work = tmp_path / "known", tmp_path / "work"
    known.mkdir()
    work.mkdir()
    large = np.random.default_rng(0).integers(0, 256, (800, 900, 3), dtype=np.uint8)
    Image.fromarray(large).save(known / "a.png")
    xlabel.embed(known / "a.png", [Annotation(category=CAR, bbox=BOX)])
    Image.fromarray(large).save(work / "b.png", compress_level=1)
    Image.fromarray(large[:, ::-1]).save(work / "c.png")
    assert (work / "b.png").stat().st_size > 1 << 20
    for target in (tmp_path / "copies", None):
        assert xlabel.repair(work, known, output=target).done == {"images": 2, "restored": 2}
    assert box_in(work / "b.png") == box_in(tmp_path / "copies" / "b.png") == BOX
    assert box_in(work / "c.png") == (900 - BOX[0] - BOX[2], *BOX[1:])


def test_an_image_that_is_read_only_is_told_and_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    path = strip(folder / "1.jpg", tmp_path / "work" / "a.jpg")
    before = path.read_bytes()
    path.chmod(0o444)
    report = xlabel.repair(path, folder)
    assert report.done == {"images": 1}
    assert [problem.code for problem in report.problems] == ["not-written"]
    assert path.read_bytes() == before


def test_labels_beside_an_image_are_copied_and_told_where_they_are_stale(tmp_path: Path) -> None:
    """A BMP cannot hold labels; that it was resized is told by its size."""
    known, work = tmp_path / "known", tmp_path / "work"
    known.mkdir()
    scene(1).save(known / "a.bmp")
    xlabel.convert(labelled(tmp_path / "a.jpg", 1), tmp_path / "labels.json", to="coco")
    labels = (tmp_path / "labels.json").read_text().replace("a.jpg", "a.bmp")
    (tmp_path / "labels.json").write_text(labels)
    xlabel.embed(known, tmp_path / "labels.json", sidecar=True)
    shutil.copytree(known, work)
    assert xlabel.repair(work, known, output=tmp_path / "out").done == {"images": 1, "intact": 1}
    assert (tmp_path / "out" / "a.bmp.xlabel").read_bytes() == (known / "a.bmp.xlabel").read_bytes()
    scene(1).resize((160, 120)).save(work / "a.bmp")
    report = xlabel.repair(work, known)
    assert report.done == {"images": 1, "not repaired": 1}
    assert report.problems[0].code == "stale-labels"


def test_a_dry_run_says_the_same_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    path = strip(folder / "1.jpg", work / "a.jpg")
    before = path.read_bytes()
    assert xlabel.repair(work, folder, dry_run=True).done == {"images": 1, "restored": 1}
    assert path.read_bytes() == before
    assert [path.name for path in work.iterdir()] == ["a.jpg"]


def test_several_processes_give_the_same(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        for seed in range(4):
            strip(folder / f"{seed}.jpg", tmp_path / name / f"{seed}.jpg", "-progressive")
    first = xlabel.repair(tmp_path / "one", folder, workers=1)
    second = xlabel.repair(tmp_path / "two", folder, workers=2)
    assert first.done == second.done == {"images": 4, "restored": 4}


def test_the_command(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    strip(folder / "1.jpg", work / "a.jpg")
    done = command("repair", work, "--from", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("repair: 1 image, 1 restored")
    assert command("repair", work, "--from", tmp_path / "nowhere").returncode == 2
    picture = Image.new("RGB", (64, 64), "red")
    ImageDraw.Draw(picture).line((0, 0, 63, 63))
    picture.save(work / "b.png")
    assert '"never labelled": 1' in command("repair", work, "--from", folder, "--json").stdout
