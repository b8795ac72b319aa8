"""A data set that several people change and push, in processes of their own; and what is then at the URL."""

import hashlib
import os
import random
import shutil
import tempfile
from pathlib import Path

import msgspec

import xlabel
from tests.awkward import picture
from tests.small import FILES
from tests.stores.servers import Place
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.update import update

State = dict[str, tuple[str, tuple[object, ...]]]
"""Key -> hash of the image file, and its labels without their ids."""


class Work:
    """Somebody's images, labels and pack. Each file's time is later than that of all before it."""

    def __init__(self, root: Path, count: int = 0, size: int = 0) -> None:
        self.root = root
        self.images, self.labels, self.pack = root / "images", root / "labels", root / "pack"
        self.labels.mkdir(parents=True, exist_ok=True)
        self._clock = 1_000_000_000
        if count:
            self._write(self.labels / "classes.txt", b"boat\ntree\ncar\n")
            for number in range(count):
                self.draw(f"{number:04}.jpg", number, size)
                self.label(f"{number:04}.jpg", number)
            xlabel.pack(self.images, self.labels, self.pack)

    @classmethod
    def pulled(cls, url: str, like: "Work", root: Path) -> "Work":
        """Another one's copy of a data set: the files as `like` has them, the pack from a URL."""
        shutil.copytree(like.root, root, ignore=lambda folder, names: ["pack"])
        work = cls(root)
        work._clock = like._clock
        pull(url, work.pack)
        return work

    def draw(self, name: str, seed: int, size: int = 0) -> None:
        """An image of so many bytes and a few more: a small picture, and the rest a comment."""
        data = picture(seed=seed)
        comment = random.Random(seed).randbytes(size)
        pieces = [comment[start : start + 65_000] for start in range(0, size, 65_000)]
        segments = [b"\xff\xfe" + (len(piece) + 2).to_bytes(2, "big") + piece for piece in pieces]
        self._write(self.images / name, data[:2] + b"".join(segments) + data[2:])

    def label(self, name: str, seed: int) -> None:
        """Labels of an image: one to three boxes."""
        rows = "".join(f"{(seed + n) % 3} 0.5 0.5 0.{1 + n} 0.{seed + 1}\n" for n in range(1 + seed % 3))
        self._write((self.labels / name).with_suffix(".txt"), rows.encode())

    def remove(self, name: str) -> None:
        """Take an image and its labels away."""
        (self.images / name).unlink()
        (self.labels / name).with_suffix(".txt").unlink()

    def rename(self, name: str, other: str) -> None:
        """Give an image and its labels another name."""
        (self.images / name).rename(self.images / other)
        (self.labels / name).with_suffix(".txt").rename((self.labels / other).with_suffix(".txt"))

    def change(self, seed: int, size: int = 0) -> None:
        """One of everything: an image is new, one other, one gone, one renamed, one labelled anew."""
        names = sorted(path.name for path in self.images.iterdir())
        other, gone, renamed, labelled = random.Random(seed).sample(names, 4)
        self.draw(f"new{seed}.jpg", 10_000 + seed, size)
        self.label(f"new{seed}.jpg", seed)
        self.draw(other, 20_000 + seed, size)
        self.remove(gone)
        self.rename(renamed, f"renamed{seed}.jpg")
        self.label(labelled, 100 + seed)
        self.update()

    def take(self, other: "Work", names: list[str]) -> None:
        """Images and labels that another one has made; as by unpacking what was pulled."""
        for name in names:
            self._write(self.images / name, (other.images / name).read_bytes())
            labels = Path(name).with_suffix(".txt")
            self._write(self.labels / labels, (other.labels / labels).read_bytes())

    def digest(self, name: str) -> str:
        """The hash of an image file."""
        return hashlib.sha256((self.images / name).read_bytes()).hexdigest()

    def update(self) -> None:
        """Bring the pack up to date."""
        update(self.images, self.labels, self.pack)

    @property
    def files(self) -> dict[str, bytes]:
        """The three files of the pack."""
        return files(self.pack)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._clock += 10
        os.utime(path, (self._clock, self._clock))


def two_works(url: str, folder: Path, count: int = 6) -> tuple[Work, Work]:
    """Two people with the same data set: one has pushed it, the other pulled it."""
    first = Work(folder / "a", count)
    push(first.pack, url)
    return first, Work.pulled(url, first, folder / "b")


def files(pack: Path) -> dict[str, bytes]:
    """The three files of a pack."""
    return {name: (pack / name).read_bytes() for name in FILES}


def state(pack: Path) -> State:
    """What a pack holds, whatever the order of its frames."""
    with xlabel.open_bundle(pack) as bundle:
        return {
            bundle[at].image.key: (
                hashlib.sha256(bundle.image_bytes(at)).hexdigest(),
                tuple(msgspec.structs.replace(one, id=None) for one in bundle[at].annotations),
            )
            for at in range(len(bundle))
        }


def shared(url: str, *works: Work) -> State:
    """What all of them have after a pull; it is whole by all rules."""
    for work in works:
        pull(url, work.pack)
        assert xlabel.verify(work.pack).problems == []
    (found,) = {str(state(work.pack)): state(work.pack) for work in works}.values()
    return found


def at_url(url: str, folder: Path) -> dict[str, bytes]:
    """The pack at a URL, by a pull into a folder of its own that is not kept; every image is compared."""
    pull(url, folder)
    found = files(folder)
    shutil.rmtree(folder)
    return found


def objects(place: Place, url: str) -> dict[str, bytes]:
    """The objects at a URL, as the maker of each store's own client reads them."""
    prefix = url.removeprefix(place.url).strip("/") + "/"
    if place.url.startswith("s3://"):
        import boto3

        client = boto3.Session().client("s3")
        listed = client.list_objects_v2(Bucket="lab", Prefix=prefix).get("Contents", [])
        bodies = {one["Key"]: client.get_object(Bucket="lab", Key=one["Key"])["Body"] for one in listed}
        return {key.removeprefix(prefix): body.read() for key, body in bodies.items()}
    if place.url.startswith("az://"):
        from azure.storage.blob import ContainerClient

        text = place.env["AZURE_STORAGE_CONNECTION_STRING"]
        with ContainerClient.from_connection_string(text, "lab") as container:
            names = [str(blob.name) for blob in container.list_blobs(name_starts_with=prefix)]
            return {name.removeprefix(prefix): container.download_blob(name).readall() for name in names}
    if place.url.startswith("gs://"):
        from google.cloud.storage import Client

        found = Client.create_anonymous_client().list_blobs("lab", prefix=prefix)
        return {blob.name.removeprefix(prefix): blob.download_as_bytes() for blob in found}
    if place.url.startswith("hf://"):
        from huggingface_hub import snapshot_download

        with tempfile.TemporaryDirectory() as copy:
            name, kind = place.url.rpartition("datasets/")[2], "dataset"
            snapshot_download(name, repo_type=kind, local_dir=copy, endpoint=place.endpoint, etag_timeout=60)
            return _below(Path(copy) / prefix)
    folder = Path(url.removeprefix("file://"))
    if url.startswith("sftp://"):
        folder = Path("/" + url.removeprefix("sftp://").partition("/")[2])
    return _below(folder)


def _below(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def replace(place: Place, url: str, name: str, data: bytes) -> None:
    """Write an object over, as somebody else's tool does."""
    key = f"{url.removeprefix(place.url).strip('/')}/{name}"
    if place.url.startswith("s3://"):
        import boto3

        boto3.Session().client("s3").put_object(Bucket="lab", Key=key, Body=data)
    elif place.url.startswith("az://"):
        from azure.storage.blob import ContainerClient

        text = place.env["AZURE_STORAGE_CONNECTION_STRING"]
        with ContainerClient.from_connection_string(text, "lab") as container:
            container.upload_blob(key, data, overwrite=True)
    else:
        folder = url.removeprefix("file://")
        if url.startswith("sftp://"):
            folder = "/" + url.removeprefix("sftp://").partition("/")[2]
        (Path(folder) / name).write_bytes(data)


def unfinished(place: Place, url: str) -> int:
    """Uploads by parts that were begun and not ended, as the store's own client lists them."""
    prefix = url.removeprefix(place.url).strip("/") + "/"
    if place.url.startswith("s3://"):
        import boto3

        found = boto3.Session().client("s3").list_multipart_uploads(Bucket="lab", Prefix=prefix)
        return len(found.get("Uploads", []))
    if place.url.startswith("az://"):
        from azure.storage.blob import BlobServiceClient

        text = place.env["AZURE_STORAGE_CONNECTION_STRING"]
        with BlobServiceClient.from_connection_string(text) as service:
            container = service.get_container_client("lab")
            blobs = list(container.list_blobs(name_starts_with=prefix, include=["uncommittedblobs"]))
            pending = [
                container.get_blob_client(blob.name).get_block_list("uncommitted")[1] for blob in blobs
            ]
            return sum(bool(blocks) for blocks in pending)
    names = objects(place, url)
    return len({name.split("/")[1] for name in names if name.startswith(".xlabel-store/") and "@" in name})
