"""Labels in the bytes of GIF files that other tools made, as other tools read them."""

import io
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests import labelled
from tests.labelled import (
    by,
    drawn,
    edited,
    put,
    removed,
    restored,
    said,
    same_picture,
    tags,
    warnings,
)

from xlabel.images import embedding, fingerprint
from xlabel.images.payload import Wrapped


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "GIF", **options)


def moving(**options: Any) -> bytes:
    others = [drawn(seed=2), drawn(seed=3)]
    return saved(drawn(), save_all=True, append_images=others, duration=40, loop=3, **options)


def old() -> bytes:
    """Of version 87a, without any extension."""
    return by(
        "gifsicle",
        saved(drawn()),
        "gif",
        "--no-comments",
        "--no-extensions",
        "IN",
        "-o",
        "OUT",
    )


def local() -> bytes:
    """Without a colour table of all images."""
    return by("convert", moving(), "gif", "IN", "+dither", "-set", "dispose", "none", "OUT")


PLAIN: dict[str, Callable[[], bytes]] = {
    "still": lambda: saved(drawn()),
    "old": old,
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "transparent": lambda: saved(drawn("P"), transparency=3),
    "interlaced": lambda: by("gifsicle", saved(drawn()), "gif", "--interlace", "IN", "-o", "OUT"),
    "animated": moving,
    "animated by ImageMagick": local,
    "comment": lambda: saved(drawn(), comment=b"a comment"),
    "long comment": lambda: saved(drawn(), comment=b"words " * 200),
    "animated, comment": lambda: moving(comment=b"a comment\nof two lines"),
    "comments by gifsicle": lambda: by("gifsicle", moving(), "gif", "-cfirst", "-csecond", "IN", "-o", "OUT"),
}
WITH: dict[str, Callable[[], bytes]] = {
    "XMP": lambda: edited(saved(drawn()), "gif", "-XMP:Title=hello"),
    "animated, XMP and comment": lambda: edited(moving(comment=b"a comment"), "gif", "-XMP:Title=hello"),
    "a region of others": lambda: edited(
        saved(drawn()),
        "gif",
        "-ImageRegion={RegionBoundary={RbShape=circle,RbX=.5,RbY=.5,RbRx=.1},RId=r}",
    ),
}
KINDS = PLAIN | WITH

every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def original(kind: str) -> bytes:
    return KINDS[kind]()


@cache
def with_labels(kind: str) -> bytes:
    return put(original(kind))[0]


def test_the_files_are_of_the_kinds_that_they_are_called() -> None:
    assert original("old").startswith(b"GIF87a")
    assert b"NETSCAPE2.0" in original("animated")
    assert original("long comment").count(b"words ") < 200, "split into blocks"


@every_kind
def test_the_original_comes_back_byte_for_byte(kind: str) -> None:
    assert with_labels(kind) != original(kind)
    assert restored(with_labels(kind)) == original(kind)


@pytest.mark.parametrize("kind", PLAIN)
def test_all_that_is_ours_can_be_found_without_the_record(kind: str) -> None:
    """But for the version, which says that there may be extensions."""
    assert removed(with_labels(kind)) == original(kind).replace(b"GIF87a", b"GIF89a")


@pytest.mark.parametrize("kind", WITH)
def test_metadata_of_others_that_ours_was_merged_into_stays(kind: str) -> None:
    left = removed(with_labels(kind))
    assert tags(left, "gif") == tags(original(kind), "gif")
    assert b"xlabel" not in left


@every_kind
def test_no_pixel_changes(kind: str) -> None:
    assert same_picture(with_labels(kind), original(kind))


def durations(data: bytes) -> list[Any]:
    with Image.open(io.BytesIO(data)) as image:
        found = [image.info.get("loop")]
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            found.append(image.info.get("duration"))
        return found


@every_kind
def test_an_animation_plays_as_before(kind: str) -> None:
    assert durations(with_labels(kind)) == durations(original(kind))
    before, after = (
        re.sub(
            r"(?m)^\* .*\n|^ *comment .*\n|^ *extensions.*\n|^ *end comment.*\n",
            "",
            printed,
        )
        for printed in (
            said(
                "gifsicle",
                data,
                "gif",
                "--no-warnings",
                "--no-comments",
                "--info",
                "IN",
            )
            for data in (original(kind), with_labels(kind))
        )
    )
    assert after == before


def test_the_loop_extension_stays_first() -> None:
    """Readers of Netscape's time look for it right behind the colour table."""
    before, after = original("animated"), with_labels("animated")
    at = before.index(b"!\xff\x0bNETSCAPE2.0")
    assert after[: at + 19] == before[: at + 19]
    assert after[at + 19 :].startswith(b"!\xff\x0bXMP DataXMP")


@every_kind
def test_checkers_find_nothing_wrong(kind: str) -> None:
    assert warnings(with_labels(kind), "gif") <= warnings(original(kind), "gif")
    by("gifsicle", with_labels(kind), "gif", "IN", "-o", "OUT")
    by("convert", with_labels(kind), "gif", "IN", "OUT")


@every_kind
def test_exiftool_sees_what_was_there_and_what_is_ours(kind: str) -> None:
    before, after = tags(original(kind), "gif"), tags(with_labels(kind), "gif")
    assert after.pop("GIF:GIFVersion") == "89a"
    before.pop("GIF:GIFVersion")
    regions = before.pop("XMP-iptcExt:ImageRegion", [])
    assert after["XMP-iptcExt:ImageRegion"][: len(regions)] == regions
    found = after.values()
    assert [value for value in before.values() if value not in found] == []
    ours = re.compile(r"XMP-(xlabel|iptcExt|x|rdf):|File:(Copy\d:)?Comment|Composite:")
    assert [name for name in after.keys() - before.keys() if not ours.match(name)] == []


@every_kind
def test_readers_find_the_document_and_the_regions(kind: str) -> None:
    found = tags(with_labels(kind), "gif")
    document = found["XMP-xlabel:Document"]
    assert json.loads(document)["labels"] == labelled.document_of(with_labels(kind))
    assert document in [value for name, value in found.items() if name.endswith("Comment")]
    assert labelled.shown(found)[-5:] == labelled.UPRIGHT
    with Image.open(io.BytesIO(with_labels(kind))) as image:
        assert document.encode() in image.info["comment"].split(b"\n")


def test_labels_are_found_in_the_beginning_of_the_file() -> None:
    data, _ = put(saved(drawn(size=(300, 300))))
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.tile[0].offset
    assert embedding.get(data[:pixels]).newest == labelled.newest(data)


@every_kind
def test_labels_outlive_an_edit_by_exiftool_and_go_without_a_trace(kind: str) -> None:
    changed = edited(with_labels(kind), "gif", "-XMP:Creator=someone", "-XMP:Rating=3")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    assert restored(changed) is None
    left = removed(changed)
    assert same_picture(left, original(kind))
    found = tags(left, "gif")
    assert found["XMP-dc:Creator"] == ["someone"]
    assert found["XMP-xmp:Rating"] == 3
    assert "xlabel" not in json.dumps(found)
    assert embedding.get(left).copies == []


@pytest.mark.parametrize("kind", ["still", "comment", "animated, XMP and comment", "animated, comment"])
@pytest.mark.parametrize(
    "command",
    [
        ("gifsicle", "IN", "-o", "OUT"),
        ("gifsicle", "-O3", "IN", "-o", "OUT"),
        ("gifsicle", "--resize", "16x8", "IN", "-o", "OUT"),
    ],
    ids=" ".join,
)
def test_labels_outlive_gifsicle_and_go_without_a_trace(kind: str, command: tuple[str, ...]) -> None:
    changed = by(command[0], with_labels(kind), "gif", *command[1:])
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert embedding.get(left).copies == []
    assert "xlabel" not in json.dumps(tags(left, "gif"))
    comments = [value for name, value in tags(left, "gif").items() if "Comment" in name]
    assert bool(comments) == ("comment" in kind)


@pytest.mark.parametrize("kind", ["still", "animated", "old"])
@pytest.mark.parametrize("options", [(), ("-resize", "50%")])
def test_labels_outlive_imagemagick_and_go_without_a_trace(kind: str, options: tuple[str, ...]) -> None:
    changed = by("convert", with_labels(kind), "gif", "IN", *options, "OUT")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert embedding.get(left).copies == []
    assert "xlabel" not in json.dumps(tags(left, "gif"))


def test_imagemagick_keeps_the_comment_of_others_and_not_ours() -> None:
    changed = by("convert", with_labels("comment"), "gif", "IN", "OUT")
    assert tags(changed, "gif")["File:Comment"] == "a comment"
    assert embedding.get(changed).copies == []


@pytest.mark.parametrize("between", [b"", b"\n", b" "])
def test_labels_are_told_from_what_stands_beside_them_in_one_comment(between: bytes) -> None:
    with Image.open(io.BytesIO(with_labels("still"))) as image:
        ours = image.info["comment"]
        joined = labelled.saved(image, "GIF", comment=b"a{" + between + ours + between + b"b}")
    assert labelled.document_of(joined) == labelled.document_of(with_labels("still"))
    assert tags(removed(joined), "gif")["File:Comment"] in ("a{b}", "a{\nb}", "a{  b}")


@pytest.mark.parametrize("kind", ["still", "comment", "long comment", "animated, comment"])
def test_labels_outlive_pillow_which_joins_comments(kind: str) -> None:
    with Image.open(io.BytesIO(with_labels(kind))) as image:
        changed = labelled.saved(image, "GIF")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert embedding.get(left).copies == []
    with (
        Image.open(io.BytesIO(original(kind))) as before,
        Image.open(io.BytesIO(left)) as after,
    ):
        assert after.info.get("comment") == before.info.get("comment")


def test_xmp_that_does_not_end_as_specified_is_left_alone() -> None:
    """Some tools wrote the packet in sub-blocks, as all else in a GIF is."""
    data = saved(drawn())
    place = 13 + 3 * 256
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    blocked = b"!\xff\x0bXMP DataXMP" + bytes([len(packet)]) + packet + b"\0"
    data = data[:place] + blocked + data[place:]
    out, done = put(data)
    assert done.forms["xmp"] == "the file's XMP does not end as it should and is left alone"
    assert done.forms["text"] == "plain"
    assert blocked in out
    assert restored(out) == data


@pytest.mark.parametrize(("length", "form"), [(900_000, "plain"), (1_200_000, "packed")])
def test_a_document_is_stored_plain_then_packed(length: int, form: str) -> None:
    data = saved(drawn())
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(length // 2).hex().encode()
    done = embedding.put(data, Wrapped(document, 1, labelled.TIME))
    out = b"".join(done.pieces)
    assert done.forms == {"text": form, "xmp": form}
    newest = labelled.newest(out)
    assert newest is not None
    assert newest.document == document
    assert same_picture(out, data)
    assert same_picture(by("convert", out, "gif", "IN", "OUT"), data)
    said("gifsicle", out, "gif", "--info", "IN")
    assert restored(out) == data


def test_a_document_that_no_extension_takes_is_refused_with_its_size() -> None:
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(1_000_000).hex().encode()
    with pytest.raises(ValueError, match=r"^the labels are ([0-9,]+) bytes when packed") as caught:
        embedding.put(saved(drawn()), Wrapped(document, 1, labelled.TIME))
    assert "more than the 1,000,000" in str(caught.value)


@pytest.mark.parametrize("kind", ["still", "old", "animated", "transparent"])
def test_the_fingerprint_is_of_the_picture_alone(kind: str) -> None:
    expected = fingerprint.stream(original(kind))
    assert fingerprint.stream(with_labels(kind)) == expected
    assert fingerprint.stream(edited(with_labels(kind), "gif", "-all=")) == expected
    assert fingerprint.stream(edited(with_labels(kind), "gif", "-XMP:Title=hello", "-Comment=x")) == expected
    data = original(kind)
    for at in (6, 14, data.rindex(b"\0\0\0\0") + 30, len(data) - 10):
        other = bytearray(data)
        other[at] ^= 1
        assert fingerprint.stream(bytes(other)) != expected


def test_the_fingerprint_is_not_of_the_loops() -> None:
    endless = by("gifsicle", moving(), "gif", "--loopcount=forever", "IN", "-o", "OUT")
    thrice = by("gifsicle", moving(), "gif", "--loopcount=3", "IN", "-o", "OUT")
    assert endless != thrice
    assert fingerprint.stream(endless) == fingerprint.stream(thrice)


@pytest.mark.parametrize("kind", ["a pixel", "XMP", "comment"])
def test_a_file_cut_off_anywhere_raises_nothing_but_value_error(kind: str) -> None:
    for size in range(len(with_labels(kind))):
        labelled.tolerated(with_labels(kind)[:size])


@settings(max_examples=500)
@given(
    kind=st.sampled_from(["a pixel", "animated", "animated, XMP and comment"]),
    labels=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_mangled_bytes_raise_nothing_but_value_error(
    kind: str, labels: bool, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(with_labels(kind) if labels else original(kind))
    for at, value in changes:
        data[6 + at % (len(data) - 6)] = value
    labelled.tolerated(bytes(data))
