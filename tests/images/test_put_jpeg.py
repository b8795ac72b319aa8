"""Labels put into JPEGs, and what other tools say of the result."""

import base64
import contextlib
import io
import json
import re
import struct
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageSequence
from tests.images import jpegs
from tests.images.jpegs import camera, edited, picture
from tests.tools import run, tool

from xlabel import images
from xlabel.images import embedding, fingerprint, regions
from xlabel.images.embedding import Found, Put
from xlabel.images.payload import Wrapped
from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model import document as documents
from xlabel.model.document import Picture

CAR, BIRD = Category(id=3, name="car"), Category(id=7, name='größer "bird" <&>')
LABELS = (
    Annotation(id=1, category=CAR, bbox=(24, 16.5, 32, 8.25), score=0.5),
    Annotation(id=2, category=BIRD, polygons=((1, 2, 30, 2, 30, 40), (50, 10, 60, 10, 55, 30))),
)
FRESH = {f"IFD0:{tag}" for tag in ("XResolution", "YResolution", "ResolutionUnit", "YCbCrPositioning")}
FRESH |= {
    f"ExifIFD:{tag}" for tag in ("ExifVersion", "ComponentsConfiguration", "FlashpixVersion", "ColorSpace")
}
FRESH |= {"ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight", "File:ExifByteOrder"}
FRESH |= {"IFD0:Software", "XMP-x:XMPToolkit"}
"""What the standards ask of EXIF and XMP, where a file had none. It stays where another tool adds to it."""
STATES = ("before", "after", "removed")
NOISE = np.random.default_rng(7).integers(97, 123, 400_000, np.uint8).tobytes().decode()
"""Text that does not compress well, to fill room with."""


def labelled(
    data: bytes, annotations: tuple[Annotation, ...] = LABELS, revision: int = 1
) -> tuple[bytes, Put]:
    header = images.header(data)
    assert header is not None
    width, height = header.displayed
    image = Image(key="a.jpg", width=width, height=height, orientation=header.orientation)
    shown = Picture(
        width=width, height=height, orientation=header.orientation, stream=fingerprint.stream(data)
    )
    document = documents.encode(documents.document(Sample(image=image, annotations=annotations), shown))
    projected = regions.iptc(annotations, width, height, header.orientation)
    put = embedding.put(data, Wrapped(document, revision, "2026-11-20T10:00:00Z"), regions=projected)
    return b"".join(put.pieces), put


def stripped(data: bytes) -> bytes:
    return b"".join(embedding.remove(data))


def restored(data: bytes) -> bytes | None:
    newest = embedding.get(data).newest
    assert newest is not None
    pieces = embedding.restore(data, newest)
    return None if pieces is None else b"".join(pieces)


def annotations(found: Found) -> tuple[Annotation, ...]:
    assert found.newest is not None
    return documents.sample(documents.decode(found.newest.document), "a.jpg").annotations


def pixels(data: bytes) -> list[bytes]:
    with Pillow.open(io.BytesIO(data)) as image:
        return [frame.tobytes() for frame in ImageSequence.Iterator(image)]


def described(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """All that ExifTool finds in the files of a folder, thumbnails and other pictures included."""
    dump = run(tool("exiftool"), "-json", "-a", "-G1:4", "-struct", "-b", "-ext", "jpg", *options, folder)
    return {Path(one["SourceFile"]).stem: one for one in json.loads(dump)}


def of_others(tags: dict[str, Any]) -> dict[str, list[str]]:
    """All but what is ours and what is about the file; places in the file, whose content is there too."""
    kept = defaultdict(list)
    for tag, value in tags.items():
        group, _, name = re.sub(r":Copy\d+", "", tag).rpartition(":")
        if group in ("", "System", "ExifTool", "XMP-xlabel"):
            continue
        if name in ("FileSize", "MPImageStart", "MPImageLength", "ThumbnailOffset"):
            continue
        if name in ("UserComment", "Comment") and str(value).startswith('{"xlabel":'):
            continue
        if name == "ImageRegion":
            value = [region for region in value if not str(region.get("RId", "")).startswith("xlabel-")]
            if not value:
                continue
        kept[f"{group}:{name}"].append(json.dumps(value, sort_keys=True))
    return {tag: sorted(values) for tag, values in kept.items()}


@pytest.fixture(params=[*jpegs.MADE, *jpegs.BY_TOOLS])
def original(request: pytest.FixtureRequest) -> bytes:
    return jpegs.jpeg(request.param)


def test_labels_come_back_and_so_does_every_byte_of_the_file(original: bytes) -> None:
    data, put = labelled(original)
    found = embedding.get(data)
    assert set(put.forms.items()) >= {("exif", "plain"), ("text", "plain")}
    assert [copy.carrier for copy in found.copies] == ["exif", "text"] and not found.faults()
    assert annotations(found) == LABELS
    assert restored(data) == original
    assert fingerprint.stream(data) == fingerprint.stream(original)


def test_pixels_are_those_of_the_original(original: bytes) -> None:
    data, _ = labelled(original)
    assert pixels(data) == pixels(original) == pixels(stripped(data))


def test_opencv_sees_the_same_picture(original: bytes) -> None:
    cv2 = pytest.importorskip("cv2")
    before, after = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        for data in (original, labelled(original)[0])
    )
    assert (before is None) == (after is None) and (before is None or np.array_equal(before, after))


def test_what_is_found_at_the_beginning_of_a_file_is_found_without_the_rest(original: bytes) -> None:
    data, _ = labelled(original)
    whole, size = embedding.get(data), 100
    while True:
        try:
            found = embedding.get(data[:size])
            break
        except images.ShortError as error:
            assert error.need > size
            size = error.need
    assert found.newest == whole.newest
    assert size <= jpegs.segments(data)[-1][2] + 4096


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, Any]]]:
    """What ExifTool sees in all the files: as they were, with labels, and with the labels taken out."""
    folder = tmp_path_factory.mktemp("seen")
    for name in (*jpegs.MADE, *(jpegs.BY_TOOLS if tool("jpegtran") else ())):
        data = jpegs.jpeg(name)
        put, _ = labelled(data)
        for state, content in zip(STATES, (data, put, stripped(put)), strict=True):
            (folder / state).mkdir(exist_ok=True)
            (folder / state / f"{name}.jpg").write_bytes(content)
    return {state: described(folder / state, "-all", "-validate", "-warning") for state in STATES}


def test_exiftool_sees_the_metadata_of_others_unchanged(seen: dict[str, dict[str, dict[str, Any]]]) -> None:
    for name, before in seen["before"].items():
        after = of_others(seen["after"][name])
        new = after.keys() - of_others(before).keys()
        assert new <= FRESH, name
        kept = {tag: value for tag, value in after.items() if tag not in new}
        stood = of_others(before)
        if name in ("blank comment", "comment of others"):
            del stood["ExifIFD:UserComment"]
        assert kept == stood, name
        assert of_others(seen["removed"][name]) == of_others(before), name


def test_exiftool_has_no_new_warning(seen: dict[str, dict[str, dict[str, Any]]]) -> None:
    def warnings(tags: dict[str, Any]) -> Counter[str]:
        found = (str(value) for tag, value in tags.items() if tag.endswith(("Warning", "Error")))
        return Counter(text.split(" after JPEG")[0] for text in found)

    for name, before in seen["before"].items():
        assert not warnings(seen["after"][name]) - warnings(before), name
        assert not warnings(seen["removed"][name]) - warnings(before), name


def test_exiftool_reads_the_document_in_the_comments(seen: dict[str, dict[str, dict[str, Any]]]) -> None:
    for name, tags in seen["after"].items():
        texts = [tags["ExifIFD:UserComment"]]
        texts += [text for tag, text in tags.items() if tag.startswith("File:") and tag.endswith("Comment")]
        stored = [json.loads(text) for text in texts if text.startswith("{")]
        assert len(stored) == 2, name
        for one in stored:
            assert [label["bbox"] for label in one["labels"]["annotations"][:1]] == [[24, 16.5, 32, 8.25]]
            assert [category["name"] for category in one["labels"]["categories"]] == [CAR.name, BIRD.name]


def test_exiftool_reads_the_regions_as_iptc_has_them(seen: dict[str, dict[str, dict[str, Any]]]) -> None:
    for name, tags in seen["after"].items():
        found = [one for one in tags["XMP-iptcExt:ImageRegion"] if one["RId"].startswith("xlabel-")]
        assert [one["Name"] for one in found] == [CAR.name, BIRD.name, BIRD.name], name
        box = found[0]["RegionBoundary"]
        assert (box["RbShape"], box["RbUnit"]) == ("Rectangle", "Relative")
        corner = [float(box[side]) for side in ("RbX", "RbY", "RbW", "RbH")]
        assert corner == pytest.approx([24 / 96, 16.5 / 64, 32 / 96, 8.25 / 64], abs=1e-5)
        vertices = [
            (float(one["RbX"]), float(one["RbY"])) for one in found[1]["RegionBoundary"]["RbVertices"]
        ]
        assert vertices == [pytest.approx((x / 96, y / 64), abs=1e-5) for x, y in ((1, 2), (30, 2), (30, 40))]


def test_exiv2_lists_the_regions(tmp_path: Path) -> None:
    exiv2 = tool("exiv2")
    for name in ("plain", "camera, Motorola", "Lightroom", "xap", "MPO"):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(labelled(jpegs.jpeg(name))[0])
        text = run(exiv2, "-px", path).decode()
        assert all(one in text for one in ("RegionBoundary", "rectangle", "polygon", BIRD.name)), name
        run(exiv2, "-pa", path)


@pytest.mark.parametrize("name", ["MPO", "MPF before Exif"])
def test_the_second_picture_of_an_mpo_is_found_where_the_first_states_it(name: str, tmp_path: Path) -> None:
    data = jpegs.jpeg(name)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    second = run(tool("exiftool"), "-MPImage2", "-b", path)
    assert second and data.endswith(second)
    put, _ = labelled(data)
    for changed in (put, stripped(put)):
        path.write_bytes(changed)
        assert run(tool("exiftool"), "-MPImage2", "-b", path) == second
        with Pillow.open(path) as image:
            entries = image.mpinfo[0xB002]  # type: ignore[attr-defined]
        assert entries[0]["Size"] == len(changed) - len(second)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_are_about_the_stored_image_whatever_the_orientation(
    orientation: int, tmp_path: Path
) -> None:
    data = camera(orientation=orientation)
    shown = (64, 96) if orientation >= 5 else (96, 64)
    mark = Annotation(category=CAR, bbox=(4, 2, 10, 6))  # at the top left of what is displayed
    path = tmp_path / "a.jpg"
    path.write_bytes(labelled(data, (mark,))[0])
    (tags,) = json.loads(run(tool("exiftool"), "-json", "-struct", "-ImageRegion", path))
    box = tags["ImageRegion"][0]["RegionBoundary"]
    x, y, w, h = (float(box[side]) for side in ("RbX", "RbY", "RbW", "RbH"))
    canvas = np.zeros((64, 96), bool)
    canvas[round(y * 64) : round((y + h) * 64), round(x * 96) : round((x + w) * 96)] = True
    turn = Pillow.fromarray(canvas)
    method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)  # what exif_transpose does
    seen = np.asarray(turn if method is None else turn.transpose(Pillow.Transpose(method)))
    assert seen.shape == (shown[1], shown[0])
    ys, xs = np.nonzero(seen)
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (4, 2, 14, 8)


def edit_by_exiftool(path: Path) -> None:
    run(tool("exiftool"), "-q", "-overwrite_original", "-Artist=B", "-XMP-dc:Creator=B", "-Comment=B", path)


def edit_by_exiv2(path: Path) -> None:
    run(tool("exiv2"), "-Mset Exif.Image.Artist B", "-Mset Xmp.dc.creator B", path)


def edit_by_jhead(path: Path) -> None:
    run(tool("jhead"), "-cl", "B", path)


def edit_by_jpegoptim(path: Path) -> None:
    run(tool("jpegoptim"), "-q", path)


def edit_by_jpegtran(path: Path) -> None:
    path.write_bytes(run(tool("jpegtran"), "-copy", "all", "-progressive", stdin=path.read_bytes()))


def edit_by_pillow(path: Path) -> None:
    with Pillow.open(path) as image:
        image.save(path, exif=image.getexif(), xmp=image.info["xmp"], comment=image.info["comment"])


EDITS = {
    edit.__name__.removeprefix("edit_by_"): edit
    for edit in (
        edit_by_exiftool,
        edit_by_exiv2,
        edit_by_jhead,
        edit_by_jpegoptim,
        edit_by_jpegtran,
        edit_by_pillow,
    )
}


@pytest.mark.parametrize("editor", EDITS)
@pytest.mark.parametrize("name", ["plain", "camera, Motorola", "Lightroom", "comment of others", "commented"])
def test_after_an_edit_of_another_tool_only_what_is_ours_goes(editor: str, name: str, tmp_path: Path) -> None:
    original = jpegs.jpeg(name)
    paths = [tmp_path / state / "a.jpg" for state in ("plain", "labelled")]
    for path, data in zip(paths, (original, labelled(original)[0]), strict=True):
        path.parent.mkdir()
        path.write_bytes(data)
    EDITS[editor](paths[1])
    data = paths[1].read_bytes()
    found = embedding.get(data)
    assert annotations(found) == LABELS
    assert restored(data) is None
    left = stripped(data)
    assert not embedding.get(left).copies and b"xlabel" not in left
    assert pixels(left) == pixels(data)
    if editor == "pillow":  # writes its EXIF anew, and no others' comment but the last
        return
    EDITS[editor](paths[0])
    paths[1].write_bytes(left)
    before, after = (of_others(described(path.parent)["a"]) for path in paths)
    if editor in ("exiftool", "jhead"):  # these have replaced a comment, ours or another's, by their own
        before.pop("File:Comment", None)
        after.pop("File:Comment", None)
    changed = {tag for tag in before | after if before.get(tag) != after.get(tag)}
    if b"Exif" not in original:
        changed -= FRESH
        if editor == "jhead":  # drops JFIF where there is EXIF
            changed -= {tag for tag in changed if tag.startswith("JFIF:")}
    assert not changed


def test_labels_that_went_through_several_embeds_come_out_without_a_trace(original: bytes) -> None:
    data = original
    for revision in (1, 2, 3):
        clean = restored(data) if revision > 1 else data
        assert clean is not None
        data, _ = labelled(clean, LABELS[:revision], revision)
    assert restored(data) == original


def test_a_comment_of_others_is_told_and_comes_back_whatever_happens(tmp_path: Path) -> None:
    original = jpegs.jpeg("comment of others")
    assert embedding.get(original).foreign == "at the lake"
    data, _ = labelled(original)
    assert embedding.get(data).foreign is None and restored(data) == original
    path = tmp_path / "a.jpg"
    path.write_bytes(edited(data, "-Artist=B"))
    path.write_bytes(stripped(path.read_bytes()))
    assert run(tool("exiftool"), "-s3", "-UserComment", "-Artist", path) == b"at the lake\nB\n"


@pytest.mark.parametrize("comment", [b"", bytes(8), b"ASCII\0\0\0" + b" " * 40, b"UNICODE\0" + b" \0" * 9])
def test_a_blank_comment_is_nobodys(comment: bytes) -> None:
    data = camera(comment=comment)
    assert embedding.get(data).foreign is None
    assert restored(labelled(data)[0]) == data


def test_our_comment_is_known_in_any_coding_that_a_tool_gives_it() -> None:
    data, _ = labelled(camera())
    comment = embedding.get(data).carriers.comment
    assert comment is not None
    text = comment[0][8:].decode()
    for code, coded in (
        (b"UNICODE\0", text.encode("utf-16-le")),
        (b"UNICODE\0", text.encode("utf-16-be")),
        (b"UNICODE\0", "\ufeff".encode("utf-16-be") + text.encode("utf-16-be")),
        (bytes(8), text.encode()),
        (b"", text.encode()),
    ):
        found = embedding.get(camera(comment=code + coded))
        assert annotations(found) == LABELS and not found.faults()


def filled(size: int, count: int = 1) -> tuple[Annotation, ...]:
    """Annotations with so many characters of text that hardly compresses."""
    step = size // count
    return tuple(
        Annotation(category=CAR, bbox=(1, 2, 3, 4), caption=NOISE[at * step : (at + 1) * step])
        for at in range(count)
    )


def test_what_does_not_fit_plain_is_packed() -> None:
    data, put = labelled(picture(), filled(70_000))
    assert (put.forms["exif"], put.forms["text"]) == ("packed", "packed")
    assert annotations(embedding.get(data)) == filled(70_000) and restored(data) == picture()
    assert pixels(data) == pixels(picture())


def test_what_fits_no_segment_goes_into_extended_xmp_that_exiftool_joins(tmp_path: Path) -> None:
    data, put = labelled(picture(), filled(150_000))
    assert put.forms["extended xmp"] == "packed" and "exif" in put.forms
    found = embedding.get(data)
    assert [copy.carrier for copy in found.copies] == ["extended xmp"] and not found.faults()
    assert annotations(found) == filled(150_000) and restored(data) == picture() == stripped(data)
    path = tmp_path / "a.jpg"
    for content in (data, run(tool("jpegtran"), "-copy", "all", "-optimize", stdin=data)):
        assert annotations(embedding.get(content)) == filled(150_000)
        path.write_bytes(content)
        (tags,) = json.loads(run(tool("exiftool"), "-j", "-b", "-G1", "-a", "-validate", "-xmp:all", path))
        assert tags["ExifTool:Validate"] == "OK"
        stored = json.loads(tags["XMP-xlabel:Document"])
        assert len(base64.b64decode(stored["labels"])) > 65_536


def test_labels_too_large_for_any_carrier_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"are [\d,]+ bytes when packed, .* more than 10,000,000"):
        labelled(picture(), tuple(filled(390_000)) * 60)


def test_labels_that_need_extended_xmp_are_refused_where_others_have_one(original: bytes) -> None:
    data = jpegs.jpeg("Extended XMP")
    with pytest.raises(ValueError, match="has an extension of its own"):
        labelled(data, filled(150_000))


def test_extended_xmp_of_others_stays(tmp_path: Path) -> None:
    data = jpegs.jpeg("Extended XMP")
    path = tmp_path / "a.jpg"
    put, _ = labelled(data)
    for content in (data, put, stripped(put)):
        path.write_bytes(content)
        assert len(run(tool("exiftool"), "-b", "-XMP-GDepth:all", path)) == 70_000 * 3 // 4


def test_regions_are_left_out_where_the_packet_has_no_room_for_them(tmp_path: Path) -> None:
    many = tuple(Annotation(category=CAR, bbox=(at % 90, 1, 2, 3)) for at in range(300))
    data, put = labelled(picture(), many)
    assert "a segment of" in put.forms["regions"] and put.forms["exif"] == "plain"
    assert annotations(embedding.get(data)) == many and restored(data) == picture()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert run(tool("exiftool"), "-validate", "-s3", path) == b"OK\n"


def test_a_maker_note_that_fills_the_segment_leaves_the_comment_to_hold_the_labels() -> None:
    original = camera(note=65_000)
    data, put = labelled(original)
    assert put.forms["text"] == "plain" and "65,533" in put.forms["exif"]
    assert annotations(embedding.get(data)) == LABELS and restored(data) == original


def test_broken_exif_and_xmp_of_others_are_left_alone() -> None:
    junk = (
        jpegs.segment(0xE1, jpegs.EXIF + b"II*\0\xff\xff\xff\xff"),
        jpegs.segment(0xE1, jpegs.XMP + b"<a><b>"),
    )
    original = jpegs.with_segments(picture(), *junk)
    data, put = labelled(original)
    assert put.forms["text"] == "plain"
    assert "broken" in put.forms["exif"] and "left alone" in put.forms["xmp"]
    assert all(one in data for one in junk) and restored(data) == original == stripped(data)


def test_exif_that_goes_on_in_a_further_segment_is_left_alone(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x010E] = "a" * 90_000
    block = exif.tobytes().removeprefix(jpegs.EXIF)
    parts = (jpegs.segment(0xE1, jpegs.EXIF + part) for part in (block[:60_000], block[60_000:]))
    original = jpegs.with_segments(picture(), *parts)
    data, put = labelled(original)
    assert put.forms["text"] == "plain" and "a further segment" in put.forms["exif"]
    for number, one in enumerate((original, data)):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(one)
        assert len(run(tool("exiftool"), "-b", "-ImageDescription", path)) == 90_000
    assert restored(data) == original == stripped(data)


def test_a_record_that_lies_restores_nothing() -> None:
    data, _ = labelled(picture())
    newest = embedding.get(data).newest
    assert newest is not None and newest.undo is not None
    for edits in (
        ("0000000014+0000000001=AAAA",),
        ("ffffffffff+0000000001=",),
        ("0000000014+0000000001=", "0000000014+0000000001="),
        ("0000000014+0000000001=A",),
        ("-000000014+0000000001=",),
        ("x" * 100,),
        (),
    ):
        lie = Wrapped(newest.document, 1, "", type(newest.undo)(newest.undo.original, edits))
        assert embedding.restore(data, lie) is None


def test_the_newest_whole_copy_counts_and_disagreement_is_told() -> None:
    one, _ = labelled(picture(), LABELS[:1], 1)
    two, _ = labelled(picture(), LABELS, 2)
    comment = next(two[at:end] for marker, at, end in jpegs.segments(two) if marker == 0xFE)
    older = next(one[at:end] for marker, at, end in jpegs.segments(one) if marker == 0xFE)
    mixed = one.replace(older, comment)
    found = embedding.get(mixed)
    assert annotations(found) == LABELS
    assert found.faults() == ["exif: holds revision 1, another copy revision 2 with other labels"]
    broken = one.replace(older, comment.replace(b'"bbox":[24', b'"bbox":[25'))
    found = embedding.get(broken)
    assert annotations(found) == LABELS[:1] and "their check does not fit" in found.faults()[0]


@pytest.mark.parametrize(
    "command",
    [
        ["exiftool", "-q", "-all=", "-o", "-", "-"],
        ["jpegtran", "-copy", "none"],
        ["jhead", "-q", "-purejpg"],
        ["exiv2", "-q", "rm"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize(
    "name", ["plain", "grey", "camera, Motorola", "Photoshop", "fill bytes", "trailer", "MPO"]
)
def test_the_stream_stays_where_a_tool_takes_the_metadata_out(
    command: list[str], name: str, tmp_path: Path
) -> None:
    original = jpegs.jpeg(name)
    data, _ = labelled(original)
    program = tool(command[0])
    if command[0] in ("exiftool", "jpegtran"):
        out = run(program, *command[1:], stdin=data)
    else:
        path = tmp_path / "a.jpg"
        path.write_bytes(data)
        run(program, *command[1:], path)
        out = path.read_bytes()
    assert b"xlabel" not in out.split(b"\xff\xda")[0]
    assert fingerprint.stream(out) == fingerprint.stream(original)


@pytest.mark.parametrize("fill", [b"", b"\xff"])
def test_the_stream_ends_with_the_first_picture_also_where_numpy_is_not_there(
    monkeypatch: pytest.MonkeyPatch, fill: bytes
) -> None:
    data = picture()
    two = data[:-2] + fill + data[-2:] + data
    expected = fingerprint.stream(two[: -len(data)])
    assert fingerprint.stream(two) == expected
    monkeypatch.delitem(sys.modules, "numpy")
    assert fingerprint.stream(bytes(bytearray(two))) == expected
    assert fingerprint.stream(bytes(bytearray(data))) == fingerprint.stream(data)


@pytest.mark.parametrize("name", ["plain", "camera, Motorola", "MPO", "fill bytes"])
def test_files_that_begin_alike_are_told_apart(name: str) -> None:
    original = jpegs.jpeg(name)
    scan = jpegs.segments(original)[-1][2]

    def said(data: images.Buffer) -> list[object]:
        read = (
            images.header,
            images.cut,
            embedding.get,
            fingerprint.stream,
            lambda data: images.header(data[:400]),
        )
        found: list[object] = []
        for one in read:
            try:
                found.append(one(data))
            except ValueError as error:
                found.append(repr(error))
        return found

    expected = said(bytearray(original))
    for at in range(3, min(scan, 1500), 5):
        mangled = bytearray(original)
        mangled[at] ^= 5
        for other in (bytes(mangled), original[:at], original[: scan + at], original + original):
            assert said(other) == said(bytearray(other)), "a mutable buffer is read without a memory"
            assert said(original) == expected


def test_another_picture_has_another_stream() -> None:
    streams = {
        fingerprint.stream(picture(seed=seed, quality=quality)) for seed in (1, 2) for quality in (80, 85)
    }
    streams |= {fingerprint.stream(picture(progressive=True)), fingerprint.stream(picture("L"))}
    assert len(streams) == 6
    data = bytearray(picture())
    at = data.index(b"\xff\xda") + 40
    data[at] ^= 1
    assert fingerprint.stream(data) not in streams


def test_the_adobe_marker_counts_since_it_says_what_the_colours_are() -> None:
    data = picture("CMYK")
    ((_, at, end),) = (one for one in jpegs.segments(data) if one[0] == 0xEE)
    assert fingerprint.stream(data[:at] + data[end:]) != fingerprint.stream(data)


def test_an_offset_of_an_mpf_that_leads_nowhere_is_left_as_it_is() -> None:
    data = bytearray(jpegs.mpo())
    at = data.index(b"MPF\0") + 4
    order = "<" if data[at : at + 2] == b"II" else ">"
    place = data.index(struct.pack(order + "HHI", 0xB002, 7, 32), at) + 8
    (entries,) = struct.unpack_from(order + "I", data, place)
    struct.pack_into(order + "I", data, at + entries + 24, 0xFFFFFFFF)
    put, _ = labelled(bytes(data))
    assert struct.pack(order + "I", 0xFFFFFFFF) in put and restored(put) == bytes(data)


@given(st.data())
@settings(max_examples=300)
def test_mangled_files_are_read_changed_and_restored_or_refused(data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(["camera, Motorola", "Lightroom", "MPO", "blank comment", "progressive"])
    )
    original = jpegs.jpeg(name)
    mangled = bytearray(labelled(original)[0] if data.draw(st.booleans()) else original)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(mangled), 9000) - 1))
        old = data.draw(st.sampled_from([0, 1, 2, 4, 60]))
        new = data.draw(
            st.sampled_from([b"", b"\0", b"\xff", b"\xff\xe1", b"\xff\xd9", b"\xff" * 4, b"<a>", b"{"])
        )
        mangled[at : at + old] = new
    file = bytes(mangled[: data.draw(st.integers(3, len(mangled)))] if data.draw(st.booleans()) else mangled)
    begun = time.process_time()
    with contextlib.suppress(ValueError):
        fingerprint.stream(file)
    with contextlib.suppress(ValueError):
        found = embedding.get(file)
        if found.newest is not None and (back := restored(file)) is not None:
            assert back == original  # whatever has been mangled, nothing else is ever called restored
    with contextlib.suppress(ValueError):
        left = stripped(file)
        header = images.header(left)
        if header is not None:
            assert not embedding.get(left).copies
            assert restored(labelled(left)[0]) == left
    assert time.process_time() - begun < 2


def test_a_file_of_many_segments_takes_no_longer_than_its_bytes() -> None:
    segments = jpegs.segment(0xFE, b"") * 500_000 + jpegs.segment(0xE1, jpegs.XMP + b"<a/>") * 1000
    begun = time.process_time()
    data, _ = labelled(jpegs.with_segments(picture(), segments))
    stripped(data)
    assert time.process_time() - begun < 20
