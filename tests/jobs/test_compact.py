"""Compact: the bytes that nobody needs are gone, and the rest is as it was."""

from pathlib import Path

import pytest
from tests import kills
from tests.changing import Folder, complaints, counted, held, manifest
from tests.tools import put, tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import CorruptError, InputError

MEDIA = "media_bundle.mp4"


@pytest.fixture
def output(source: Folder, tmp_path: Path) -> Path:
    """A pack with dead images, and one that has another name."""
    output = tmp_path / "output"
    xlabel.pack(source.images, source.labels, output)
    source.draw("b.png", 20)
    source.rename("a.jpg", "z.jpg")
    source.add("c.jpg", 21)
    xlabel.update(source.images, source.labels, output)
    return output


def test_in_key_order_the_media_is_that_of_a_fresh_pack(source: Folder, output: Path, tmp_path: Path) -> None:
    xlabel.pack(source.images, source.labels, tmp_path / "fresh")
    report = xlabel.compact(output)
    assert (output / MEDIA).read_bytes() == (tmp_path / "fresh" / MEDIA).read_bytes()
    assert any("2 deleted frames taken out" in note for note in report.notes)
    assert held(output) == source.expected()
    assert complaints(output / MEDIA) == ""
    assert xlabel.verify(output).problems == []


def test_what_was_before_cannot_be_read_any_more_and_is_still_told(source: Folder, output: Path) -> None:
    xlabel.compact(output, message="tidied")
    assert [line.message for line in xlabel.log(output).log] == ["tidied", ""]
    with pytest.raises(InputError, match="the media was written anew in generation 3"):
        xlabel.open_bundle(f"{output}@2")
    source.label("b.png", 6)
    xlabel.update(source.images, source.labels, output)
    with xlabel.open_bundle(f"{output}@3") as bundle:
        assert bundle.generation == 3
    assert held(output) == source.expected()


@pytest.mark.parametrize("order", ["frame", "file"])
def test_images_stand_in_the_order_that_is_asked_for(
    source: Folder, output: Path, tmp_path: Path, order: str
) -> None:
    keys = [frame["key"] for frame in manifest(output) if not frame.get("deleted")]
    if order == "file":
        keys = keys[::-1]
        (tmp_path / "order.txt").write_text("\n".join(keys) + "\n")
        order = str(tmp_path / "order.txt")
    assert command("compact", output, "--order", order).returncode == 0
    frames = manifest(output)
    assert [frame["key"] for frame in frames] == keys
    assert [frame["offset"] for frame in frames] == sorted(frame["offset"] for frame in frames)
    assert held(output) == source.expected() and counted(output / MEDIA) == len(keys)
    source.draw("c.jpg", 50)
    xlabel.update(source.images, source.labels, output)
    assert held(output) == source.expected()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "5 keys not found, such as "),
        ("b.png\n", "4 keys not found, such as "),
        ("b.png\n\n" + "b.png\n" * 4, "line 3 is 'b.png' again"),
        ("b.png\nnothing.jpg\n", "line 2 is no key: 'nothing.jpg'"),
        ("b.png\r\n", r"line 1 is no key: 'b\.png\\r'"),
    ],
)
def test_an_order_that_is_not_of_the_keys_is_refused(
    output: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "order.txt").write_text(text, newline="")
    before = tree(output)
    with pytest.raises(InputError, match=f"expected each of the 5 keys of the pack once, one a line; {said}"):
        xlabel.compact(output, order=str(tmp_path / "order.txt"))
    with pytest.raises(InputError, match="expected key, frame or a file of keys"):
        xlabel.compact(output, order=str(tmp_path / "nothing"))
    assert tree(output) == before


def test_killed_at_any_step_a_pack_is_compact_or_as_it_was(source: Folder, output: Path) -> None:
    before = tree(output)
    sizes = []
    for _ in kills.at_each_step(lambda: xlabel.compact(output)):
        assert xlabel.verify(output).problems == []
        assert held(output) == source.expected()
        sizes.append((output / MEDIA).stat().st_size)
        put(before, output)
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 2


def test_a_damaged_image_is_told_of_and_nothing_is_lost(output: Path) -> None:
    media = bytearray((output / MEDIA).read_bytes())
    live = next(frame for frame in manifest(output) if not frame.get("deleted"))
    media[live["offset"] + 5] ^= 1
    (output / MEDIA).write_bytes(media)
    before = tree(output)
    with pytest.raises(CorruptError, match="its bytes are not those that were packed"):
        xlabel.compact(output)
    assert tree(output) == before


@pytest.mark.parametrize("media", ["a.tar", "a.zip", "plain.mp4"])
def test_every_kind_is_compacted(source: Folder, tmp_path: Path, media: str) -> None:
    output = tmp_path / "output"
    xlabel.pack(source.images, source.labels, output, media=media, plain=media == "plain.mp4")
    source.draw("b.png", 30)
    xlabel.update(source.images, source.labels, output)
    xlabel.pack(source.images, source.labels, tmp_path / "fresh", media=media, plain=media == "plain.mp4")
    xlabel.compact(output)
    assert (output / media).read_bytes() == (tmp_path / "fresh" / media).read_bytes()
    assert held(output, media) == source.expected()


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the folder of a pack"):
        xlabel.compact(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
