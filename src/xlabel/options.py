"""Options that several commands share, in groups: their names, their words for --help, how they are read."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

DEFAULT_MEDIA = "media_bundle.mp4"
Flag = Parameter(negative="", show_default=False)
OnLoss = Literal["stop", "drop"]


_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


def bytes_of(_: Any, tokens: Any) -> int:
    """Bytes a second as a person writes them: 500k, 10M, 1.5GB, 10 MB/s; not bits, which a small b means."""
    text = tokens[0].value.strip()
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) ?([kKmMgG]?)(?:B?(?:/s)?)", text)
    number = float(found[1]) * _UNITS[found[2].lower()] if found else 0
    if number < 1:
        raise ValueError(f"expected bytes a second such as 500k, 10M or 1.5GB, found {text!r}")
    return int(number)


@Parameter(name="*")
@dataclass(frozen=True)
class Choice:
    """Which images and labels are taken."""

    from_: Annotated[str | None, Parameter(name="--from")] = None
    """Format of the labels: see `xlabel formats`. Found out by content if not given."""
    pattern: str | None = None
    """Only images whose path fits this glob, such as `*.png` or `train/**/*.jpg`."""
    skip_missing_images: Annotated[bool, Flag] = False
    """Only count labels that have no image; otherwise each is a problem."""


@Parameter(name="*")
@dataclass(frozen=True)
class Making:
    """How the bundle is made."""

    fps: float = 10
    """Frames a second when the .mp4 is played."""
    plain: Annotated[bool, Flag] = False
    """No ZIP face on the .mp4; equal files are then stored once."""
    preview: Annotated[bool, Flag] = False
    """A small H.264 track besides, so that browsers play the .mp4; the images stay as they are."""
    parquet: Annotated[bool, Flag] = False
    """The annotation file once more as unified_annotation.parquet, for duckdb, pandas and polars."""
    video: Literal["av1", "h264"] | None = None
    """LOSSY: encode a sequence of one size as video; the image files are not in the bundle then."""
    crf: int | None = None
    """Quality of the video, less is better: 0 to 63 for av1 (30 if not given), 0 to 51 for h264 (23)."""
    fingerprint: Literal["pixels"] | None = None
    """Decode the images and note fingerprints of them: xlabel repair then needs only the annotation file."""
    workers: int | None = None
    """Processes to use. If not given: one a core, up to 8, and one for few images. The result is the same."""


@Parameter(name="*")
@dataclass(frozen=True)
class Updating:
    """How an existing pack is brought up to date."""

    update: Annotated[bool, Flag] = False
    """Bring the pack in the output folder up to date, at the cost of what has changed."""
    verify: Annotated[bool, Flag] = False
    """With --update: look at the content of all images, not at their sizes and times."""
    message: Annotated[str, Parameter(name=["--message", "-m"])] = ""
    """With --update: what xlabel log says of it."""


@Parameter(name="*")
@dataclass(frozen=True)
class Putting:
    """How labels are put into images."""

    sidecar: Annotated[bool, Flag] = False
    """Labels of an image that cannot hold them go into a file NAME.xlabel beside it."""
    mwg: Annotated[bool, Flag] = False
    """People are also MWG face regions, which photo software shows; it takes each for a person by name."""
    fingerprint: Literal["pixels"] | None = None
    """Decode the images and store fingerprints of their pixels too, for xlabel validate and repair."""
    keep_time: Annotated[bool, Flag] = False
    """Keep the files' times."""
    workers: int | None = None
    """Processes to use. If not given: one a core, up to 8, and one for few images."""


@Parameter(name="*")
@dataclass(frozen=True)
class Reviewing:
    """What is reviewed, and by whom."""

    from_: Annotated[str | None, Parameter(name="--from")] = None
    """Format of the labels: see `xlabel formats`. Found out by content if not given."""
    pattern: str | None = None
    """Only images whose path fits this glob, such as `*.png` or `train/**/*.jpg`."""
    where: str = ""
    """Begin with the images that fit this expression, such as `suggestions > 0`: see docs/expressions.md."""
    order: str = "name"
    """Begin with this order: name, date, uncertainty, disagreement or diversity."""
    author: str | None = None
    """Who you are, which stands with each label that you change. Your login name if not given."""
    sam: Path | None = None
    """A folder with an encoder and a decoder like SAM's in ONNX: a click then outlines a thing."""


@Parameter(name="*")
@dataclass(frozen=True)
class Serving:
    """How a page is served."""

    port: int = 0
    """Port to serve at. The one of last time if not given, or a free one."""
    host: str = "127.0.0.1"
    """With --expose: the address of this machine to serve at, 0.0.0.0 for all of its addresses."""
    expose: Annotated[bool, Flag] = False
    """Let others in who reach that address and know the token in it; nothing is encrypted."""
    no_open: Annotated[bool, Flag] = False
    """Print the address, and open no browser."""


@Parameter(name="*")
@dataclass(frozen=True)
class Finding:
    """What a model suggests."""

    categories: str | None = None
    """Names of the model's categories, if it has none or others are wanted: a,b,c or a file of them; coco."""
    map: str | None = None
    """Other names for categories: old=new,... or a file with one a line. An empty name leaves them out."""
    min_score: float = 0.25
    """The least score of a suggestion."""
    iou: float = 0.6
    """Of things of one category that overlap by more than this, the best is suggested."""
    batch: int | None = None
    """Images that the model is given at a time: 8 if not given, or as many as it takes."""
    sidecar: Annotated[bool, Flag] = False
    """Labels of an image that cannot hold them go into a file NAME.xlabel beside it."""


@Parameter(name="*")
@dataclass(frozen=True)
class Judging:
    """How good suggestions are."""

    evaluate: Annotated[bool, Flag] = False
    """Run no model: say how good the suggestions are that are in the images. --model is its name, if any."""
    truth: Path | None = None
    """With --evaluate: labels that are right. If not given: those that people made in the images."""
