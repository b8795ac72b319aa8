"""The order of a bundle: one frame an image, in the order of their keys."""

import base64
from typing import Any, TypeVar

import msgspec

from xlabel.errors import CorruptError, InputError

MEDIA = "media_bundle.mp4"
MANIFEST = "frame_manifest.json"
ANNOTATIONS = "unified_annotation.json"
PROBLEMS = "problems.json"
TWIN = "unified_annotation.parquet"
"""The annotation file once more, for who asks it in SQL; made on request."""

VERSION = 1
"""Of the three files' layout; a reader refuses a higher one. See docs/dataset_spec.md."""


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """How frames were encoded anew, and what a decoder needs besides their bytes."""

    codec: str
    """`h264` or `av1`."""
    crf: int
    """The quality that was asked of the encoder; less is better."""
    gop: int
    """Each frame whose number this divides decodes by itself; others need those since that one."""
    width: int
    """Pixels of the encoded pictures: those of the frames, made even at the right and below."""
    height: int
    config: bytes
    """What the box avcC or av1C holds."""


class Preview(Video, frozen=True, kw_only=True):
    """A small video track that players show beside the images."""

    sha256: str
    """Of the track's samples, in their order, and then of its `trak` box."""


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """An image's place in a bundle: the bytes [offset, offset + size) of the media file are the image file.

    `width` and `height` are pixels as displayed, None where the image cannot be read. `sha256` is of the
    image file's bytes, in lower-case hexadecimal. In a video they are a packet of it, and its hash.
    """

    index: int
    key: str
    offset: int
    size: int
    width: int | None
    height: int | None
    sha256: str
    mime: str
    orientation: int = 1
    deleted: bool = False
    """The image is not in the data set any more; the frame keeps its number and its bytes."""
    placeholder: bool = False
    """The image was missing: a grey picture of the labels' size stands in for it."""
    name_bytes: str | None = None
    """The file name in base64 where it is not UTF-8; `key` then has `\\xff` for such a byte."""
    psnr: float | None = None
    """In a video: how near the frame is to its image, in dB; see docs/video.md."""
    original: str | None = None
    """In a video: SHA-256 of the image file that it was made from."""

    @property
    def raw_name(self) -> bytes:
        """The file's path below its root, as the file system had it. ValueError where it is not the key's."""
        if not self.name_bytes:
            return self.key.encode()
        name = base64.b64decode(self.name_bytes, validate=True)
        if name.decode("utf-8", "backslashreplace") != self.key:
            raise ValueError("its name_bytes are not those of its key")
        return name


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image file that differs from its frame only in embedded labels, as it was last seen.

    Where `revision` is None it has none, and what is embedded in the frame is to be taken out.
    """

    sha256: str
    size: int
    revision: int | None = None
    time: str | None = None
    faces: bool = False
    """People are MWG face regions besides."""
    pixels: str | None = None
    perceptual: str | None = None


def name_bytes(name: bytes) -> str | None:
    """A file's name in base64 where it is not UTF-8, else None."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return base64.b64encode(name).decode("ascii")
    return None


def empty_fields(names: list[bytes]) -> dict[str, Any]:
    """The fields `empty` and `empty_bytes` of both JSON files."""
    keys = [name.decode("utf-8", "backslashreplace") for name in names]
    coded = {
        key: text for key, name in zip(keys, names, strict=True) if (text := name_bytes(name)) is not None
    }
    return {"empty": keys} | ({"empty_bytes": coded} if coded else {})


def empty_names(keys: list[str], coded: dict[str, str]) -> list[bytes]:
    """The names that `empty_fields` was made of; ValueError where what is coded is not the key's."""
    names = []
    for key in keys:
        name = base64.b64decode(coded[key], validate=True) if key in coded else key.encode()
        if name.decode("utf-8", "backslashreplace") != key:
            raise ValueError(f"the name of {key!r} is not its own")
        names.append(name)
    return names


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`frame_manifest.json`."""

    version: int
    bundle: str
    """Name of the media file, which lies beside the manifest."""
    kind: str
    """`mp4`, `tar` or `zip`."""
    fps: float | None = None
    frames: list[Frame]
    empty: list[str] = msgspec.field(default_factory=list)
    """Keys of files of 0 bytes: they are no frames, and unpacking makes them again."""
    empty_bytes: dict[str, str] = msgspec.field(default_factory=dict)
    """Names in base64 of those that are not UTF-8, by their keys."""
    problems: list[dict[str, Any]] = msgspec.field(default_factory=list)
    generation: int = 1
    """How often the pack was updated, and 1."""
    media_size: int | None = None
    """Bytes of the media file; what stands behind them is of a later generation."""
    video: Video | None = None
    """How the frames were encoded, where they are no image files."""
    preview: Preview | None = None
    sha256: str | None = None
    """Of all that stands before `"sha256":` at the end of the file."""
    pack_id: str
    """The same in all three files of one pack: 32 hexadecimal digits that follow from the frames."""

    @property
    def live(self) -> list[Frame]:
        """The frames that are not deleted."""
        return [frame for frame in self.frames if not frame.deleted]

    def refuse_fixed(self, where: str) -> None:
        """InputError for a bundle that is made in one go: a lossy video, or one with a preview."""
        if self.video or self.preview:
            what = "a lossy video" if self.video else "a bundle with a preview"
            raise InputError(f"{where}: {what} is not changed in place; pack again with --overwrite")


def parse(data: bytes, where: str) -> Manifest:
    """The manifest in a JSON text; CorruptError says where it is none, or not in order."""
    return _parsed(data, where, Manifest)


def frames_in(manifest: bytes, where: str) -> list[Frame]:
    """The frames in the text of a manifest, and nothing else of it; deleted ones too. Raises as `parse`."""
    return _parsed(manifest, where, _Frames).frames


class _Frames(msgspec.Struct, frozen=True):
    version: int
    frames: list[Frame]


_Kind = TypeVar("_Kind", Manifest, _Frames)


def _parsed(data: bytes, where: str, kind: type[_Kind]) -> _Kind:
    try:
        manifest = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{where}: expected a frame manifest: {error}; pack again to renew it") from None
    if manifest.version > VERSION:
        raise CorruptError(
            f"{where}: is of version {manifest.version}, this xlabel reads up to {VERSION}; upgrade xlabel"
        )
    for number, frame in enumerate(manifest.frames):
        if frame.index != number:
            raise CorruptError(f"{where}: expected frame {number}, found {frame.index}; the order is broken")
    return manifest
