"""Streaming from a folder: the samples of the bundle, in any order, for any number of ranks."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from tests.tools import SAMPLE

import xlabel
from xlabel import CorruptError, InputError


def keys(stream: xlabel.Stream) -> list[str]:
    return [sample.key for sample in stream]


@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_are_those_of_the_files(packs: dict[str, Path], kind: str, shuffle: bool) -> None:
    document = json.loads((packs[kind] / "unified_annotation.json").read_bytes())
    images = {image["file_name"]: image for image in document["images"]}
    with xlabel.stream(packs[kind], shuffle=shuffle) as stream:
        seen = list(stream)
        assert len(seen) == len(stream) == len(images)
        for sample in seen:
            record = images.pop(sample.key)
            assert sample.bytes == (SAMPLE / "raw_images" / sample.key).read_bytes()
            assert hashlib.sha256(sample.bytes).hexdigest() == record["sha256"]
            assert (sample.image.width, sample.image.height) == (record["width"], record["height"])
            boxes = [a["bbox"] for a in document["annotations"] if a["image_id"] == record["id"]]
            assert [list(a.bbox or ()) for a in sample.annotations] == boxes
            assert document["images"][sample.number]["file_name"] == sample.key
    assert not images


def test_without_shuffling_the_order_is_that_of_the_frames(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"]) as stream, xlabel.open_bundle(packs["mp4"]) as bundle:
        assert keys(stream) == keys(stream) == bundle.keys


def test_each_iteration_is_the_next_epoch_in_an_order_of_its_own(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"], shuffle=True, seed=5) as one:
        first, second = keys(one), keys(one)
        assert sorted(first) == sorted(second) and first != second
    with xlabel.stream(packs["mp4"], shuffle=True, seed=5) as other:
        other.set_epoch(1)
        assert keys(other) == second
        other.set_epoch(0)
        assert keys(other) == first


def test_a_state_of_mid_epoch_goes_on_with_another_number_of_ranks(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"], shuffle=True, seed=5) as whole:
        expected = [(s.key, s.position, s.seed) for s in whole]
    ranks = [xlabel.stream(packs["mp4"], shuffle=True, seed=5, rank=r, world_size=3) for r in range(3)]
    seen = []
    for stream in ranks:
        for sample in stream:
            seen.append((sample.key, sample.position, sample.seed))
            if sample.position >= 9:
                break
    states = [stream.state_dict() for stream in ranks]
    assert states[0] == states[1] == states[2] and states[0]["position"] == 12
    for rank in range(2):
        with xlabel.stream(packs["mp4"], shuffle=True, seed=5, rank=rank, world_size=2) as stream:
            stream.load_state_dict(json.loads(json.dumps(states[0])))
            seen += [(s.key, s.position, s.seed) for s in stream]
    assert sorted(seen, key=lambda s: s[1]) == expected
    for stream in ranks:
        stream.close()


def test_a_state_counts_the_sample_that_is_being_worked_on(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"]) as stream:
        samples = iter(stream)
        assert stream.state_dict()["position"] == 0
        next(samples)
        assert stream.state_dict()["position"] == 1
        for _ in samples:
            pass
        assert (stream.state_dict()["epoch"], stream.state_dict()["position"]) == (1, 0)


def test_set_epoch_of_the_epoch_where_it_stands_leaves_it_there(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"]) as stream:
        stream.load_state_dict(stream.state_dict() | {"epoch": 3, "position": 20})
        stream.set_epoch(3)
        assert len(keys(stream)) == 4
        stream.load_state_dict(stream.state_dict() | {"epoch": 3, "position": 20})
        stream.set_epoch(4)
        assert len(keys(stream)) == 24


@pytest.mark.parametrize(("uneven", "each"), [("drop", 4), ("repeat", 5)])
def test_every_rank_has_as_many(packs: dict[str, Path], uneven: str, each: int) -> None:
    seen = []
    for rank in range(5):
        with xlabel.stream(packs["mp4"], rank=rank, world_size=5, uneven=uneven) as stream:  # type: ignore[arg-type]
            found = keys(stream)
            assert len(found) == len(stream) == each
            seen += found
    assert len(set(seen)) == min(24, len(seen))


def test_a_state_of_another_order_is_refused(packs: dict[str, Path]) -> None:
    with xlabel.stream(packs["mp4"], shuffle=True, seed=5) as stream:
        state = stream.state_dict()
    for changed in ({"seed": 6}, {"shuffle": False}, {"window": 1}, {"pack_id": "0" * 32}):
        with (
            xlabel.stream(packs["mp4"], shuffle=True, seed=5) as stream,
            pytest.raises(InputError, match=f"{next(iter(changed))}.*another order"),
        ):
            stream.load_state_dict(state | changed)


def test_a_check_finds_a_bit_that_has_flipped(packs: dict[str, Path], tmp_path: Path) -> None:
    pack = shutil.copytree(packs["mp4"], tmp_path / "pack")
    with xlabel.open_bundle(pack) as bundle:
        key, at = bundle.keys[7], int(bundle.offsets[7]) + 100
    data = bytearray((pack / "media.mp4").read_bytes())
    data[at] ^= 1
    (pack / "media.mp4").write_bytes(data)
    with xlabel.stream(pack, check=True) as stream, pytest.raises(CorruptError, match=f"{key}.*SHA-256"):
        for sample in stream:
            assert len(sample.bytes)
    with xlabel.stream(pack) as stream:
        assert len(stream[7].bytes)


def test_a_bundle_without_labels_gives_its_bytes(packs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(packs["mp4"] / "media.mp4", tmp_path)
    with xlabel.stream(tmp_path) as stream:
        assert sum(len(sample.bytes) for sample in stream) > 0
        with pytest.raises(InputError, match="no labels to read"):
            _ = stream[0].annotations


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 2, "world_size": 2}, "rank below the world size of 2, got 2"),
        ({"uneven": "pad"}, "drop"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"seed": "a"}, "whole number for seed, got 'a'"),
        ({"window": 0}, "window of 1 byte or more, got 0"),
        ({"window": 1.5}, "whole number for window"),
        ({"cache_size": "1G"}, "whole number for cache_size in bytes, got '1G'"),
        ({"world_size": 25}, "no more ranks than the 24 samples, got a world size of 25.*repeat"),
    ],
)
def test_what_makes_no_sense_is_refused(
    packs: dict[str, Path], wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        xlabel.stream(packs["mp4"], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        ({}, "a state as state_dict.* one without epoch, pack_id"),
        (None, "a state as state_dict.* got None"),
        ({"epoch": "one"}, "whole number for epoch, got 'one'"),
        ({"position": -1}, "0 or more, got 0 and -1"),
    ],
)
def test_what_is_no_state_is_refused(packs: dict[str, Path], foreign: object, message: str) -> None:
    with xlabel.stream(packs["mp4"]) as stream:
        state = stream.state_dict() | foreign if isinstance(foreign, dict) and foreign else foreign
        with pytest.raises(InputError, match=message):
            stream.load_state_dict(state)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells maps as Linux does")
def test_a_closed_stream_holds_no_file(packs: dict[str, Path], tmp_path: Path) -> None:
    pack = shutil.copytree(packs["mp4"], tmp_path / "pack")
    with xlabel.stream(pack) as stream:
        first, second, *_ = stream
        assert first.annotations
        labels = str(pack / "unified_annotation.json")
        assert labels in Path("/proc/self/maps").read_text()
    assert labels not in Path("/proc/self/maps").read_text()
    assert first.annotations
    with pytest.raises(InputError, match="it is closed"):
        _ = second.annotations
