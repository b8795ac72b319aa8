"""What holds of labels in every container: nothing of the file or of others is lost, and all of ours goes.

The files are made by other tools, and read by them; what only one container has is in its own test_put_*.py.
JPEG has its own way of all this, in test_put_jpeg.py.
"""

import json
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import labelled
from tests.images import samples
from tests.images.samples import BOXES, CONTAINERS, PLAIN, SAME, WITH, boxes, original, with_labels
from tests.images.samples import png as pngs
from tests.images.samples import webp as webps
from tests.labelled import by, edited, put, removed, restored, said, tolerated, warnings

from xlabel.images import embedding
from xlabel.images.payload import Wrapped


def cases(table: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(container, kind, id=f"{container}-{kind}")
        for container, kinds in table.items()
        for kind in kinds
    ]


every_file = pytest.mark.parametrize(
    ("container", "kind"), cases({container: samples.kinds(container) for container in CONTAINERS})
)


def tags(data: bytes, container: str) -> dict[str, Any]:
    """All that exiftool finds, but where the media data stands."""
    found = labelled.tags(data, container).items()
    return {name: value for name, value in found if "MediaData" not in name}


@every_file
def test_the_original_comes_back_byte_for_byte(container: str, kind: str) -> None:
    assert with_labels(container, kind) != original(container, kind)
    assert restored(with_labels(container, kind)) == original(container, kind)


@every_file
def test_no_pixel_changes(container: str, kind: str) -> None:
    assert SAME[container](with_labels(container, kind), original(container, kind))


@pytest.mark.parametrize(
    ("container", "kind"),
    [
        (container, kind)
        for container, kinds in PLAIN.items()
        if container != "tif"  # where ours become zeros
        for kind in kinds
        if "open" not in kind
    ],
)
def test_all_that_is_ours_can_be_found_without_the_record(container: str, kind: str) -> None:
    """But for the version of a GIF, which says that there may be extensions."""
    expected = original(container, kind)
    if container == "gif":
        expected = expected.replace(b"GIF87a", b"GIF89a")
    assert removed(with_labels(container, kind)) == expected


@pytest.mark.parametrize(("container", "kind"), cases(WITH))
def test_metadata_of_others_that_ours_was_merged_into_stays(container: str, kind: str) -> None:
    left = removed(with_labels(container, kind))
    assert tags(left, container) == tags(original(container, kind), container)
    assert SAME[container](left, original(container, kind))
    assert b"xlabel" not in left


@every_file
def test_exiftool_warns_of_nothing_new(container: str, kind: str) -> None:
    assert warnings(with_labels(container, kind), container) <= warnings(original(container, kind), container)


OURS = {
    "png": r"PNG:(Copy\d:)?Xlabel$|XMP-(xlabel|iptcExt|x|rdf):|ExifIFD:|IFD0:|File:ExifByteOrder|Composite:",
    "webp": r"File:FileType$|RIFF:WebP_Flags$|XMP-(xlabel|iptcExt|x|rdf):|ExifIFD:|IFD0:|File:ExifByteOrder"
    r"|Composite:|RIFF:(Copy1:)?(Alpha|Image)",
    "gif": r"XMP-(xlabel|iptcExt|x|rdf):|File:Comment|Composite:",
    "tif": r"XMP-(xlabel|iptcExt|x):|IFD0:ApplicationNotes$"
    r"|(ExifIFD|ExifOffset):(UserComment|ColorSpace|\w+Version)$",
    **dict.fromkeys(
        BOXES,
        r"XMP-(xlabel|iptcExt|x):|ExifIFD:|File:ExifByteOrder|IFD0:(Software|[XYR]\w+)$"
        r"|(File|Composite):(Image|Mega)",
    ),
}
"""Names that a file may have with labels and did not have without."""
OTHER = {
    "png": r"$",
    "webp": r"File:FileType$|RIFF:WebP_Flags$|.*VP8",  # "WEBP" and "Extended WEBP"
    "gif": r"GIF:GIFVersion$",
    "tif": r"ExifIFD:UserComment$",
    **dict.fromkeys(BOXES, r"ExifIFD:UserComment$"),
}
"""Names of what says something else with labels than without."""
REGIONS = "XMP-iptcExt:ImageRegion"
WITHOUT_REGIONS = "all behind the pixels"
"""Its XMP is in a profile of ImageMagick, which is left alone."""


def facts(found: dict[str, Any], container: str) -> Counter[tuple[str, str]]:
    """Names and values. Which of two of one name comes first is no matter in a GIF and in boxes."""
    copy = r"Copy\d+:" if container in ("gif", *BOXES) else "$"
    return Counter(
        (re.sub(copy, "", name), json.dumps(value)) for name, value in found.items() if name != REGIONS
    )


@every_file
def test_exiftool_sees_what_was_there_and_what_is_ours(container: str, kind: str) -> None:
    before, after = (tags(one(container, kind), container) for one in (original, with_labels))
    regions = before.get(REGIONS, [])
    assert after.get(REGIONS, [])[: len(regions)] == regions
    added = 0 if kind == WITHOUT_REGIONS else len(labelled.UPRIGHT)
    assert len(after.get(REGIONS, [])) == len(regions) + added
    known, now = facts(before, container), facts(after, container)
    assert [fact for fact in known - now if not re.match(OTHER[container], fact[0])] == []
    new = {name for name, _ in now} - {name for name, _ in known}
    assert [name for name in new if not re.match(OURS[container], name)] == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("container", "turned"), [("png", pngs.turned), ("webp", webps.turned)])
def test_regions_are_of_the_stored_image_and_the_document_of_the_displayed_one(
    container: str, turned: Any, orientation: int
) -> None:
    data, _ = put(turned(orientation))
    width, height = (16, 32) if orientation >= 5 else (32, 16)
    box = (width // 8, height // 4, width // 8 + width // 2, height // 4 + height // 4)
    assert labelled.boxed(tags(data, container), data) == box
    document = labelled.document_of(data)
    assert document["annotations"][0]["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    assert document["image"].get("orientation", 1) == orientation
    assert restored(data) == turned(orientation)


EDITS = {
    "png": ("-m", "-EXIF:Artist=someone"),  # -m: exiftool calls the profile that exiv2 wrote a minor error
    "gif": ("-XMP:Creator=someone",),
    "tif": ("-IFD0:Artist=someone",),
}
NOT_EDITED = ["pictures in pages", "big", "big tiles"]
"""What exiftool 12 does not write: no BigTIFF, and not what tifffile makes of pictures in pages."""
WITHOUT_EXIF = [boxes.COMPRESSED, "AVIF, animated"]
"""Where exiftool puts no artist: it takes an animation for a film."""


@pytest.mark.parametrize(
    ("container", "kind"),
    cases({one: [kind for kind in samples.kinds(one) if kind not in NOT_EDITED] for one in CONTAINERS}),
)
def test_labels_outlive_an_edit_by_exiftool_and_go_without_a_trace(container: str, kind: str) -> None:
    arguments = EDITS.get(container, ("-EXIF:Artist=someone",))
    changed = edited(with_labels(container, kind), container, *arguments, "-XMP:Rating=3")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(container, kind))
    assert restored(changed) is None
    left = removed(changed)
    assert SAME[container](left, original(container, kind))
    found = tags(left, container)
    if container == "gif":
        assert found["XMP-dc:Creator"] == ["someone"]
    elif kind not in WITHOUT_EXIF:
        assert found["IFD0:Artist"] == "someone"
    assert found["XMP-xmp:Rating"] == 3
    before = tags(original(container, kind), container)
    assert found.get("ExifIFD:UserComment") == before.get("ExifIFD:UserComment")
    assert "xlabel" not in json.dumps(found).replace('"PNG:Xlabel": "a note"', "")
    assert embedding.get(left).copies == []


LADDER: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = {
    ("png", "colours"): [
        (900_000, {"exif": "plain", "text": "plain"}),
        (1_200_000, {"exif": "plain", "text": "packed"}),
        (3_000_000, {"exif": "plain", "text": "a chunk"}),
        (8_000_000, {"exif": "packed", "text": "a chunk"}),
    ],
    ("webp", "lossy"): [
        (6_000_000, {"exif": "plain", "xmp": "plain"}),
        (8_000_000, {"exif": "packed", "xmp": "packed"}),
        (10_000_000, {"exif": "packed", "xmp": "packed"}),
    ],
    ("gif", "still"): [
        (900_000, {"text": "plain", "xmp": "plain"}),
        (1_200_000, {"text": "packed", "xmp": "packed"}),
    ],
    ("tif", "colours"): [(1_000_000, {"exif": "plain", "xmp": "plain"})],
    ("avif", "AVIF by Pillow"): [(1_000_000, {"exif": "plain", "xmp": "plain"})],
    ("heic", "HEIC by pillow-heif"): [(1_000_000, {"exif": "plain", "xmp": "plain"})],
    ("jxl", "JXL, boxes"): [(1_000_000, {"exif": "plain", "xmp": "plain"})],
    ("jp2", "JP2 by Pillow"): [(1_000_000, {"exif": "plain", "xmp": "plain"})],
}
"""How documents of growing length are stored; a reason is cut to its first words."""
READERS: dict[str, list[tuple[str, ...]]] = {
    "png": [("pngcheck", "-q", "IN"), ("pngcrush", "-q", "IN", "OUT"), ("convert", "IN", "OUT")],
    "webp": [("webpmux", "-info", "IN"), ("dwebp", "-quiet", "IN", "-o", "OUT")],
    "gif": [("gifsicle", "--info", "IN"), ("convert", "IN", "OUT")],
    **{one: [("exiftool", "-b", "-ExifIFD:UserComment", "IN")] for one in ("tif", *BOXES)},
}


def noise(length: int) -> bytes:
    """A document of about so many bytes, of which packing takes half."""
    return b'{"noise":"%b"}' % np.random.default_rng(0).bytes(length // 2).hex().encode()


@pytest.mark.parametrize(
    ("container", "kind", "length", "forms"),
    [(*file, *step) for file, steps in LADDER.items() for step in steps],
)
def test_a_document_is_stored_plain_then_packed_then_not_at_all(
    container: str, kind: str, length: int, forms: dict[str, str]
) -> None:
    data, document = original(container, kind), noise(length)
    done = embedding.put(data, Wrapped(document, 1, labelled.TIME))
    out = b"".join(done.pieces)
    assert done.forms.keys() == forms.keys()
    assert {name: done.forms[name][: len(form)] for name, form in forms.items()} == forms
    newest = labelled.newest(out)
    assert newest is not None
    assert newest.document == document
    assert SAME[container](out, data)
    for command, *arguments in READERS[container]:
        if "OUT" in arguments:
            read = by(command, out, container, *arguments, to="png" if container == "webp" else container)
            assert labelled.same_picture(read, data)
            continue
        printed = said(command, out, container, *arguments)
        if command == "exiftool":
            assert document.decode() in printed
    assert restored(out) == data


@pytest.mark.parametrize(
    ("container", "kind", "length", "words"),
    [
        ("png", "colours", 12_000_000, ["7,900,000", "1,000,000"]),
        ("webp", "lossy", 14_000_000, ["more than 7,900,000"]),
        ("gif", "still", 2_000_000, ["more than the 1,000,000"]),
    ],
)
def test_a_document_that_nothing_takes_is_refused_with_its_size(
    container: str, kind: str, length: int, words: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"^the labels are ([0-9,]+) bytes when packed") as caught:
        embedding.put(original(container, kind), Wrapped(noise(length), 1, labelled.TIME))
    assert [word for word in words if word not in str(caught.value)] == []


CUT = {
    "png": ["palette", "EXIF and XMP", "texts"],
    "webp": ["a pixel", "EXIF and XMP", "animated"],
    "gif": ["a pixel", "XMP", "comment"],
    "tif": ["colours", "Motorola's order", "big tiles", "EXIF and XMP"],
    "avif": ["AVIF by avifenc of a JPEG", "AVIF, animated"],
    "heic": ["HEIC, pictures"],
    "jxl": ["JXL by exiftool"],
    "jp2": ["JP2 by exiftool"],
}


@pytest.mark.parametrize(("container", "kind"), cases(CUT))
def test_a_file_cut_off_anywhere_raises_nothing_but_value_error(container: str, kind: str) -> None:
    data, begun = with_labels(container, kind), len(original(container, kind))
    step = 1 if container in ("png", "webp", "gif") else max(1, len(data) // 1500)
    for size in {*range(0, len(data), step), *range(begun, len(data), 5), *range(min(700, len(data)))}:
        tolerated(data[:size])


MANGLED = {
    "png": ["palette", "animated", "EXIF and XMP", "all behind the pixels", "raw profile"],
    "webp": ["a pixel", "lossy, transparent", "animated", "EXIF and XMP", "XMP, a byte longer"],
    "gif": ["a pixel", "animated", "animated, XMP and comment"],
    "tif": ["colours", "pages", "pictures in pages", "big tiles", "EXIF and XMP"],
    "avif": ["AVIF by exiftool", "AVIF, animated"],
    "heic": ["HEIC, pictures"],
    "jxl": ["JXL by exiftool"],
    "jp2": ["JP2, grey"],
}
SIGNATURE = {"png": 8, "webp": 12, "gif": 6}
"""How many bytes are left alone, without which the file is not known at all."""


@pytest.mark.parametrize("container", MANGLED)
def test_mangled_bytes_raise_nothing_but_value_error(container: str) -> None:
    for kind in MANGLED[container]:
        with_labels(container, kind)  # made here, so that no example takes long

    @settings(max_examples=150 if container in BOXES else 600)
    @given(
        kind=st.sampled_from(MANGLED[container]),
        part=st.sampled_from(["anywhere", "front", "added", "without labels"]),
        changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8),
    )
    def mangle(kind: str, part: str, changes: list[tuple[int, int]]) -> None:
        plain = original(container, kind)
        data = bytearray(plain if part == "without labels" else with_labels(container, kind))
        start = len(plain) if part == "added" else SIGNATURE.get(container, 0)
        room = (min(len(data), 900) if part == "front" else len(data)) - start
        for at, value in changes:
            data[start + at % room] = value
        tolerated(bytes(data))

    mangle()
