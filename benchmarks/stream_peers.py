"""Reading for training, each tool as its own manual says: how it is written, and what one epoch gives.

A reader yields the images of one epoch, each as `work` makes it out of its bytes. With workers that is done
in them, by torch's DataLoader or the tool's own.
"""

import importlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

Work = Callable[[bytes], int]
SHARDS = 4


def decoded(data: bytes) -> int:
    """Pixels of a JPEG, decoded by the same library for all."""
    import simplejpeg

    return int(simplejpeg.decode_jpeg(data).shape[0])


class Job(NamedTuple):
    """One measurement. `place` is a folder or a URL of what the tool has written."""

    place: str
    work: Work
    shuffle: bool
    workers: int
    scratch: Path


def same(batch: list[Any]) -> list[Any]:
    return batch


def loaded(dataset: Any, job: Job, **options: Any) -> Iterator[Any]:
    """Through torch's DataLoader where there are workers; else without it."""
    if not job.workers:
        yield from (dataset[n] for n in options["sampler"]) if "sampler" in options else dataset
        return
    from torch.utils.data import DataLoader

    for batch in DataLoader(dataset, batch_size=32, num_workers=job.workers, collate_fn=same, **options):
        yield from batch


def order(count: int, shuffle: bool) -> list[int]:
    return random.Random(0).sample(range(count), count) if shuffle else list(range(count))


# Plain files.


def write_files(images: Path, place: Path) -> None:
    place.symlink_to(images)


class Files:
    def __init__(self, folder: str, work: Work) -> None:
        self.paths = sorted(str(path) for path in Path(folder).iterdir())
        self.work = work

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> int:
        with open(self.paths[number], "rb", buffering=0) as file:
            return self.work(file.read())


def read_files(job: Job) -> Iterator[Any]:
    dataset = Files(job.place, job.work)
    yield from loaded(dataset, job, sampler=order(len(dataset), job.shuffle))


# xlabel.


def write_xlabel(images: Path, place: Path) -> None:
    import xlabel

    xlabel.pack(images, None, place)


def read_xlabel(job: Job) -> Iterator[Any]:
    if not job.workers:
        import xlabel

        with xlabel.stream(job.place, shuffle=job.shuffle) as samples:
            for sample in samples:
                yield job.work(sample.bytes)
        return
    from xlabel.adapters.torch import BundleStream

    item = partial(of_sample, job.work)
    yield from loaded(BundleStream(job.place, item=item, batch_size=32, shuffle=job.shuffle), job)


def of_sample(work: Work, sample: Any) -> int:
    return work(sample.bytes)


def read_xlabel_cached(job: Job) -> Iterator[Any]:
    from xlabel.adapters.torch import BundleStream

    item = partial(of_sample, job.work)
    stream = BundleStream(
        job.place, item=item, batch_size=32, shuffle=job.shuffle, cache=job.scratch / "cache"
    )
    yield from loaded(stream, job)


# WebDataset.


def write_webdataset(images: Path, place: Path) -> None:
    import webdataset

    place.mkdir()
    paths = sorted(images.iterdir())
    for shard in range(SHARDS):
        with webdataset.TarWriter(str(place / f"{shard}.tar")) as writer:
            for path in paths[shard * len(paths) // SHARDS : (shard + 1) * len(paths) // SHARDS]:
                writer.write({"__key__": path.stem, "jpg": path.read_bytes()})


def read_webdataset(job: Job) -> Iterator[Any]:
    import webdataset

    shards = [f"{job.place}/{shard}.tar" for shard in range(SHARDS)]
    if job.place.startswith("s3://"):
        shards = [presigned(url) for url in shards]
    dataset = webdataset.WebDataset(shards, shardshuffle=SHARDS if job.shuffle else False)
    if job.shuffle:
        dataset = dataset.shuffle(1000)
    yield from loaded(dataset.map(partial(of_webdataset, job.work)), job)


def of_webdataset(work: Work, sample: Any) -> int:
    return work(sample["jpg"])


def presigned(url: str) -> str:
    """For curl, which is what WebDataset reads URLs by."""
    import boto3

    bucket, _, key = url.removeprefix("s3://").partition("/")
    return str(boto3.client("s3").generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}))


# MosaicML Streaming.


def write_mosaicml(images: Path, place: Path) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(place), columns={"image": "bytes"}) as writer:
        for path in sorted(images.iterdir()):
            writer.write({"image": path.read_bytes()})


def read_mosaicml(job: Job) -> Iterator[Any]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()

    class Decoding(StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            return job.work(super().__getitem__(at)["image"])

    local, remote = (str(job.scratch / "mds"), job.place) if "://" in job.place else (job.place, None)
    yield from loaded(Decoding(local=local, remote=remote, shuffle=job.shuffle, batch_size=32), job)


# LitData.


def write_litdata(images: Path, place: Path) -> None:
    import litdata

    litdata.optimize(
        fn=partial(of_path, images),
        inputs=sorted(path.stem for path in images.iterdir()),
        output_dir=str(place), chunk_bytes="64MB", num_workers=1, verbose=False,
    )  # fmt: skip


def of_path(images: Path, stem: str) -> bytes:
    return (images / f"{stem}.jpg").read_bytes()


def read_litdata(job: Job) -> Iterator[Any]:
    import litdata

    class Decoding(litdata.StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            return job.work(super().__getitem__(at))

    dataset = Decoding(job.place, shuffle=job.shuffle)
    if not job.workers:
        yield from dataset
        return
    for batch in litdata.StreamingDataLoader(
        dataset, batch_size=32, num_workers=job.workers, collate_fn=same
    ):
        yield from batch


# Hugging Face datasets.


def write_datasets(images: Path, place: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    place.mkdir()
    table = pyarrow.table({"image": [path.read_bytes() for path in sorted(images.iterdir())]})
    parquet.write_table(table, place / "0.parquet", compression="none", row_group_size=1000)


def read_datasets(job: Job) -> Iterator[Any]:
    import datasets

    datasets.disable_progress_bars()
    loading = datasets.load_dataset(
        "parquet", data_files=f"{job.place}/0.parquet", split="train", streaming=not job.shuffle,
        cache_dir=str(job.scratch / "hf"),
    )  # fmt: skip
    if not job.shuffle:
        yield from loaded(loading.map(partial(of_row, job.work), remove_columns=["image"]), job)
        return
    rows = Rows(loading, job.work)
    yield from loaded(rows, job, sampler=order(len(rows), True))


class Rows:
    def __init__(self, table: Any, work: Work) -> None:
        self.table, self.work = table, work

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> int:
        return self.work(self.table[number]["image"])


def of_row(work: Work, row: Any) -> dict[str, int]:
    return {"found": work(row["image"])}


class Peer(NamedTuple):
    module: str
    """What it needs to be installed."""
    write: Callable[[Path, Path], None]
    read: Callable[[Job], Iterator[Any]]
    far: bool
    """Whether it is measured over a network as well."""


PEERS: dict[str, Peer] = {
    "plain files": Peer("os", write_files, read_files, False),
    "xlabel": Peer("xlabel.jobs.stream", write_xlabel, read_xlabel, True),
    "xlabel, cache": Peer("xlabel.adapters.torch", write_xlabel, read_xlabel_cached, True),
    "webdataset": Peer("webdataset", write_webdataset, read_webdataset, True),
    "mosaicml-streaming": Peer("streaming", write_mosaicml, read_mosaicml, True),
    "litdata": Peer("litdata", write_litdata, read_litdata, False),
    "datasets": Peer("datasets", write_datasets, read_datasets, False),
}


def is_there(peer: Peer) -> bool:
    try:
        importlib.import_module(peer.module)
    except ImportError:
        return False
    return True
