"""Bundles in PyTorch: pictures and targets as others read them, and streams that go on where they stopped."""

import inspect
import io
import itertools
import json
import multiprocessing
import random
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools.coco import COCO
from tests.adapters import ranks
from tests.tools import SAMPLE, library

import xlabel
from xlabel import CorruptError, InputError

torch = library("torch")

from torch.utils.data import DataLoader, RandomSampler  # noqa: E402

from xlabel.adapters.torch import (  # noqa: E402
    BundleDataset,
    BundleStream,
    boxes,
    collate,
    picture,
    plain,
)

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:This DataLoader will create"
    ),  # more workers than this machine has CPUs
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata 0.11 under torch 2.13
]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, packed. Only to be read."""
    folder = tmp_path_factory.mktemp("torch") / "pack"
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", folder)
    return folder


def position(sample: Any) -> int:
    return int(sample.position)


def key(sample: Any) -> str:
    return str(sample.key)


def drawn(sample: Any) -> tuple[int, float]:
    return sample.position, 0.0


def noise(position: int, _: float) -> tuple[int, float]:
    return position, float(torch.rand(())) + random.random()


def lists(batch: list[Any]) -> list[Any]:
    return batch


def loader(stream: Any, workers: int = 0, **options: Any) -> Any:
    return DataLoader(stream, batch_size=stream.batch_size, num_workers=workers, collate_fn=lists, **options)


# What a sample becomes.


def test_pictures_are_those_that_pillow_and_cv2_display(pack: Path) -> None:
    dataset = BundleDataset(pack, item=lambda sample: (sample.key, picture(sample)))
    turned = 0
    for number in range(len(dataset)):
        name, tensor = dataset[number]
        assert tensor.dtype == torch.uint8
        data = (SAMPLE / "raw_images" / name).read_bytes()
        with Image.open(io.BytesIO(data)) as opened:
            turned += opened.getexif().get(0x0112, 1) != 1
            expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)
        shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None and shown.shape == expected.shape
    assert turned, "the sample has a turned picture"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_displayed(tmp_path: Path, orientation: int) -> None:
    images = tmp_path / "images"
    images.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (40, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(images / "a.jpg", exif=exif, quality=100, subsampling=0)
    xlabel.pack(images, None, tmp_path / "pack")
    tensor = BundleDataset(tmp_path / "pack", item=picture)[0]
    with Image.open(images / "a.jpg") as opened:
        assert np.array_equal(tensor.permute(1, 2, 0).numpy(), np.asarray(ImageOps.exif_transpose(opened)))


def test_targets_are_what_pycocotools_reads_from_the_same_file(pack: Path) -> None:
    coco = COCO(str(pack / "unified_annotation.json"))
    dataset = BundleDataset(pack)
    names = [category.name for category in dataset.categories]
    for number, record in enumerate(coco.dataset["images"]):
        image, target = dataset[number]
        assert tuple(image.shape) == (3, record["height"], record["width"])
        found = coco.loadAnns(coco.getAnnIds(imgIds=[record["id"]]))
        assert len(target["boxes"]) == len(found)
        for box, label, area, annotation in zip(
            target["boxes"].tolist(), target["labels"].tolist(), target["area"].tolist(), found, strict=True
        ):
            x, y, w, h = annotation["bbox"]
            assert box == pytest.approx((x, y, x + w, y + h), abs=1e-3)
            assert area == pytest.approx(annotation["area"], rel=1e-4)
            assert names[label - 1] == coco.loadCats([annotation["category_id"]])[0]["name"]
        assert target["boxes"].dtype == target["area"].dtype == torch.float32
        assert target["labels"].dtype == torch.int64 and target["image_id"] == number


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of polygons, a mask and keypoints, and of what is no target."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "images").mkdir()
    triangles = [[1, 1, 9, 1, 5, 8], [20, 10, 30, 10, 30, 18]]
    runs = {"size": [20, 32], "counts": [40, 5, 15, 5, 575]}
    crowd = {"size": [20, 32], "counts": [40, 5, 595]}
    records: list[dict[str, Any]] = [
        {"image_id": 1, "bbox": [2, 2, 28, 16.5], "segmentation": [[2, 2, 30, 4, 20, 18.5]]},
        {"image_id": 1, "bbox": [1, 1, 29, 17], "segmentation": triangles},
        {"image_id": 1, "bbox": [2, 0, 2, 5], "segmentation": runs},
        {"image_id": 2, "bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2, 3, 4, 1, 0, 0, 0], "num_keypoints": 2},
        {"image_id": 2, "bbox": [5, 5, 9, 9], "keypoints": [6, 6, 2, 0, 0, 0, 9, 9, 2], "num_keypoints": 2},
        {"image_id": 3, "bbox": [-5, -5, 10, 10]},
        {"image_id": 3, "bbox": [40, 5, 3, 3]},
        {"image_id": 3, "bbox": [3, 3, 0, 5]},
        {"image_id": 3, "bbox": [2, 0, 1, 5], "segmentation": crowd, "iscrowd": 1},
    ]
    base = {"category_id": 7, "iscrowd": 0, "area": 5}
    for number in range(1, 5):
        Image.new("RGB", (32, 20), (number, 0, 0)).save(folder / "images" / f"{number}.png")
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 20} for n in range(1, 5)],
        "annotations": [base | record | {"id": number} for number, record in enumerate(records, 1)],
        "categories": [{"id": 0, "name": "a"}, {"id": 7, "name": "b"}],
    }
    (folder / "labels.json").write_text(json.dumps(document))
    xlabel.pack(folder / "images", folder / "labels.json", folder / "pack")
    return folder / "pack"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under NumPy 2
def test_masks_are_those_of_pycocotools(shapes: Path) -> None:
    coco = COCO(str(shapes / "unified_annotation.json"))
    _, target = BundleDataset(shapes)[0]
    expected = [coco.annToMask(annotation) for annotation in coco.imgToAnns[1]]
    assert target["masks"].dtype == torch.uint8
    assert np.array_equal(target["masks"].numpy(), np.stack(expected))
    assert target["masks"].sum(dim=(1, 2)).min() > 0 and target["labels"].tolist() == [2, 2, 2]


def test_keypoints_are_there_where_every_label_has_them(shapes: Path) -> None:
    dataset = BundleDataset(shapes)
    _, target = dataset[1]
    assert target["keypoints"].tolist() == [
        [[1, 2, 2], [3, 4, 1], [0, 0, 0]],
        [[6, 6, 2], [0, 0, 0], [9, 9, 2]],
    ]
    assert "masks" not in target and "keypoints" not in dataset[0][1]


def test_what_has_no_area_in_the_picture_is_no_target(shapes: Path) -> None:
    _, target = BundleDataset(shapes, item=boxes)[2]
    assert target["boxes"].tolist() == [[0, 0, 5, 5]]


def test_a_negative_has_targets_of_length_zero(shapes: Path) -> None:
    _, target = BundleDataset(shapes)[3]
    assert target["boxes"].shape == (0, 4) and target["labels"].shape == (0,)


def test_labels_can_be_had_as_they_are(pack: Path) -> None:
    with xlabel.open_bundle(pack) as bundle:
        assert BundleDataset(pack, item=plain)[3][1] == bundle.annotations(3)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    data = (SAMPLE / "raw_images/street/001.jpg").read_bytes()
    (tmp_path / "images/cut.jpg").write_bytes(data[: len(data) // 2])
    xlabel.pack(tmp_path / "images", None, tmp_path / "pack")
    with pytest.raises(CorruptError, match=r"cut\.jpg: expected an image that can be decoded"):
        BundleDataset(tmp_path / "pack", item=picture)[0]


# By index.


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_sampler_of_torch_and_workers_read_a_bundle_by_index(pack: Path, start: str) -> None:
    dataset = BundleDataset(pack, item=key)
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(3))
    expected = [
        dataset[number] for number in RandomSampler(dataset, generator=torch.Generator().manual_seed(3))
    ]
    batches = DataLoader(
        dataset, batch_size=5, sampler=sampler, num_workers=2, collate_fn=lists, multiprocessing_context=start
    )
    assert list(itertools.chain(*batches)) == expected


def test_a_batch_of_detection_is_images_and_targets(pack: Path) -> None:
    batches = DataLoader(BundleDataset(pack), batch_size=4, collate_fn=collate)
    images, targets = next(iter(batches))
    assert len(images) == len(targets) == 4
    assert [target["image_id"] for target in targets] == [0, 1, 2, 3]


def test_batches_can_be_pinned(pack: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("pinned memory needs a GPU")
    images, targets = next(
        iter(DataLoader(BundleDataset(pack), batch_size=4, collate_fn=collate, pin_memory=True))
    )
    assert all(image.is_pinned() for image in images) and targets[0]["boxes"].is_pinned()


# As a stream.


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batch", [1, 5])
def test_batches_arrive_in_the_order_of_the_epoch_from_any_number_of_workers(
    pack: Path, workers: int, batch: int
) -> None:
    stream = BundleStream(pack, item=key, batch_size=batch, shuffle=True, seed=2)
    with xlabel.stream(pack, shuffle=True, seed=2) as plainly:
        expected = [[sample.key for sample in plainly] for _ in range(2)]
    for epoch in range(2):
        batches = list(stream.track(loader(stream, workers)))
        assert list(itertools.chain(*batches)) == expected[epoch]
        assert [len(b) for b in batches[:-1]] == [batch] * (len(batches) - 1)
        assert len(loader(stream, workers)) == len(batches)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_state_counts_what_arrived_and_not_what_was_read_ahead(pack: Path, workers: int, stop: int) -> None:
    stream = BundleStream(pack, item=position, batch_size=3, shuffle=True, seed=2)
    seen: list[int] = []
    for number, batch in enumerate(stream.track(loader(stream, workers, **ahead(workers))), 1):
        seen += batch
        if number == stop:
            state = json.loads(json.dumps(stream.state_dict()))
            break
    assert seen == list(range(3 * stop)) and state["position"] == 3 * stop
    again = BundleStream(pack, item=position, batch_size=4, shuffle=True, seed=2)
    again.load_state_dict(state)
    seen += itertools.chain(*again.track(loader(again, 3)))
    assert seen == list(range(24))
    assert again.state_dict()["epoch"] == 1


def ahead(workers: int) -> dict[str, int]:
    return {"prefetch_factor": 4} if workers else {}


def test_an_iteration_that_was_left_goes_on_and_the_next_epoch_is_whole(pack: Path) -> None:
    stream = BundleStream(pack, item=position, batch_size=2)
    batches = loader(stream, 2, persistent_workers=True)
    seen: list[int] = []
    for batch in stream.track(batches):
        seen += batch
        if len(seen) == 6:
            break
    seen += itertools.chain(*stream.track(batches))
    assert seen == list(range(24))
    assert list(itertools.chain(*stream.track(batches))) == list(range(24))
    assert stream.state_dict()["epoch"] == 2


def test_the_last_batch_may_be_left_out(pack: Path) -> None:
    stream = BundleStream(pack, item=position, batch_size=7)
    batches = list(stream.track(loader(stream, 2, drop_last=True)))
    assert list(itertools.chain(*batches)) == list(range(21))
    assert stream.state_dict()["epoch"] == 1


def test_what_augmentation_draws_follows_from_seed_epoch_and_position(pack: Path) -> None:
    def draws(workers: int, epoch: int, seed: int = 2) -> list[Any]:
        stream = BundleStream(pack, item=drawn, transforms=noise, batch_size=4, shuffle=True, seed=seed)
        stream.set_epoch(epoch)
        return list(itertools.chain(*stream.track(loader(stream, workers))))

    assert draws(0, 0) == draws(2, 0) == draws(3, 0)
    assert len({tuple(draws(0, 0)), tuple(draws(0, 1)), tuple(draws(0, 0, seed=3))}) == 3
    assert len({value for _, value in draws(0, 0)}) == 24


def test_augmentation_leaves_the_random_numbers_of_the_training_loop_alone(pack: Path) -> None:
    torch.manual_seed(1)
    random.seed(1)
    expected = float(torch.rand(())), random.random()
    torch.manual_seed(1)
    random.seed(1)
    stream = BundleStream(pack, item=drawn, transforms=noise)
    assert len(list(stream)) == 24
    assert (float(torch.rand(())), random.random()) == expected


def test_an_epoch_that_is_read_twice_is_warned_of(pack: Path) -> None:
    stream = BundleStream(pack, item=position)
    assert len(list(stream)) == 24
    with pytest.warns(UserWarning, match="epoch 0 is read again"):
        list(stream)
    stream.set_epoch(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(stream)


def test_a_state_that_cannot_be_known_is_refused(pack: Path) -> None:
    stream = BundleStream(pack, item=position, batch_size=2)
    batches = iter(loader(stream, 2))
    next(batches)
    with pytest.raises(InputError, match=r"iterate over stream\.track"):
        stream.state_dict()


@pytest.mark.parametrize("kind", [BundleDataset, BundleStream])
def test_an_item_that_is_no_function_is_refused_at_once(pack: Path, kind: Any) -> None:
    with pytest.raises(InputError, match=r"functions detection, boxes, plain and picture .* got 'detect'"):
        kind(pack, item="detect")


def test_a_loader_of_another_batch_size_is_refused(pack: Path) -> None:
    stream = BundleStream(pack, item=position, batch_size=2)
    with pytest.raises(InputError, match="batch_size 2, got 3"):
        next(stream.track(DataLoader(stream, batch_size=3)))
    other = BundleStream(pack, item=position, batch_size=2)
    with pytest.raises(InputError, match="another dataset"):
        next(stream.track(loader(other)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 2, 4, 7])
def test_the_stateful_loader_of_torchdata_goes_on_where_it_stopped(
    pack: Path, workers: int, stop: int
) -> None:
    stateful = library("torchdata.stateful_dataloader", must="torch").StatefulDataLoader

    def made() -> Any:
        stream = BundleStream(pack, item=position, batch_size=3, shuffle=True, seed=2)
        return stateful(stream, batch_size=3, num_workers=workers, collate_fn=lists)

    first = made()
    seen: list[int] = []
    for number, batch in enumerate(first, 1):
        seen += batch
        if number == stop:
            state = first.state_dict()
            break
    again = made()
    again.load_state_dict(state)
    seen += itertools.chain(*again)
    assert seen == list(range(24))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_that_has_ended_goes_on_with_the_epoch_that_is_set(
    pack: Path, workers: int
) -> None:
    stateful = library("torchdata.stateful_dataloader", must="torch").StatefulDataLoader

    def made() -> tuple[Any, Any]:
        stream = BundleStream(pack, item=key, batch_size=5, shuffle=True, seed=2)
        return stream, stateful(stream, batch_size=5, num_workers=workers, collate_fn=lists)

    stream, batches = made()
    epochs = []
    for epoch in range(3):
        stream.set_epoch(epoch)
        epochs.append(list(itertools.chain(*batches)))
        if epoch == 1:
            state = batches.state_dict()
    assert len(set(map(tuple, epochs))) == 3
    stream, batches = made()
    batches.load_state_dict(state)
    stream.set_epoch(2)
    assert list(itertools.chain(*batches)) == epochs[2]


def test_transforms_of_torchvision_move_the_boxes_with_the_picture(pack: Path) -> None:
    v2 = library("torchvision.transforms.v2")
    _, before = BundleDataset(pack)[0]
    image, after = BundleDataset(pack, transforms=v2.RandomHorizontalFlip(p=1))[0]
    width = image.shape[2]
    left, top, right, bottom = before["boxes"].T
    assert torch.equal(torch.stack((width - right, top, width - left, bottom), 1), after["boxes"])


def test_the_options_are_those_of_stream_with_ranks_that_torch_knows() -> None:
    ours = inspect.signature(xlabel.stream).parameters
    of_torch = {"batch_size", "item", "transforms"}
    theirs = inspect.signature(BundleStream).parameters
    assert set(theirs) == set(ours) | of_torch
    known = {name: theirs[name] for name in ("rank", "world_size")}
    assert [(one.default, one.annotation) for one in known.values()] == [(None, int | None)] * 2
    assert {name: theirs[name] for name in ours} == dict(ours) | known
    by_index = inspect.signature(BundleDataset).parameters
    shared = [name for name in by_index if name not in of_torch]
    assert {name: by_index[name] for name in shared} == {name: ours[name] for name in shared}


@pytest.mark.parametrize("world_size", [2])
def test_processes_of_gloo_have_as_many_each_and_all_of_them_together(
    pack: Path, tmp_path: Path, world_size: int
) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=ranks.train, args=(number, world_size, str(pack), str(tmp_path)))
        for number in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * world_size
    seen, states = json.loads((tmp_path / "seen.json").read_text())
    joined = list(itertools.chain(*seen))
    assert sorted(joined) == list(range(len(joined))) and 24 <= len(joined) < 24 + world_size
    assert states == list(itertools.accumulate(len(batch) for batch in seen))[world_size - 1 :: world_size]
