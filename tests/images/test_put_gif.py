"""Labels in the bytes of GIF files that other tools made, as other tools read them."""

import io
import json
import re
from functools import partial
from typing import Any

import pytest
from PIL import Image
from tests import labelled
from tests.images import samples
from tests.images.samples.gif import moving, saved
from tests.labelled import (
    by,
    drawn,
    edited,
    put,
    removed,
    restored,
    said,
    tags,
)

from xlabel.images import embedding, fingerprint

original, with_labels = partial(samples.original, "gif"), partial(samples.with_labels, "gif")
every_kind = pytest.mark.parametrize("kind", samples.kinds("gif"))


def test_the_files_are_of_the_kinds_that_they_are_called() -> None:
    assert original("old").startswith(b"GIF87a")
    assert b"NETSCAPE2.0" in original("animated")
    assert original("long comment").count(b"words ") < 200, "split into blocks"


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
    assert with_labels(kind).startswith(b"GIF89a")
    by("gifsicle", with_labels(kind), "gif", "IN", "-o", "OUT")
    by("convert", with_labels(kind), "gif", "IN", "OUT")


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
