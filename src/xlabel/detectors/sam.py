"""What lies where somebody points: SAM and its relatives, an encoder and a decoder in a folder of ONNX files.

The encoder sees a picture once, which takes its time; the decoder then answers points and boxes at once.
Inputs and outputs are those of Segment Anything's own export, of its encoders as samexporter writes them, and
of SAM 2 as samexporter writes it, whose encoder gives finer features besides and takes a picture stretched to
a square.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors.annotating import DIGITS
from xlabel.detectors.layouts import Signature
from xlabel.detectors.naming import licence, shortened
from xlabel.detectors.onnx import declared, digest, ports, started
from xlabel.detectors.preparing import Array, Frame, Preparation, framed, inside, prepared
from xlabel.errors import InputError
from xlabel.model import Number, Source
from xlabel.pictures import contours

if TYPE_CHECKING:
    from xlabel.detectors import Picture

Box = tuple[Number, Number, Number, Number]
Click = tuple[Number, Number, bool]
"""x, y, and whether the thing is there; False where it is not."""

SIDE = 1024
"""Of the square that an encoder takes which states no size."""
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the colours that the encoders were trained with."""
POINTS = {"point_coords", "point_labels"}
PROMPTS = POINTS | {"mask_input", "has_mask_input", "orig_im_size"}
MASKS, SCORES = ("low_res_masks", "masks"), "iou_predictions"
NEGATIVE, POSITIVE, CORNER, OPPOSITE, NONE = 0, 1, 2, 3, -1
"""Labels of points; the corners are those of a box, and none fills up."""
STAIRS = 2.0
"""Pixels of an encoder's square by which an outline may be off: half of one of the decoder's."""
SMALLEST = 0.01
"""Share of a thing that a part of its outline has at least, and a hole in it."""


class Embedding(NamedTuple):
    """A picture as the decoder knows it."""

    features: dict[str, Array]
    """By the decoder's inputs; the first is the coarse one, 1 x channels x rows x columns."""
    frame: Frame
    """How the picture lies in the encoder's square."""


class Segment(NamedTuple):
    """A thing in a picture."""

    logits: NDArray[np.float32]
    """A small map over the encoder's square, above 0 where the thing is."""
    frame: Frame
    score: float
    """How well the outline fits, as the model guesses: an intersection over union, 0 to 1."""


class Segmenter:
    """An encoder and its decoder. Several threads may use them at once."""

    def __init__(self, folder: str, encoder: "_Model", decoder: "_Model", plan: "_Plan") -> None:
        self._folder = folder
        self._encoder = encoder.session
        self._decoder = decoder.session
        self._plan = plan
        self.source = Source(kind="model", name=Path(folder).resolve().name, hash=_hash(encoder, decoder))
        self.licence = licence(encoder.signature.metadata) or licence(decoder.signature.metadata)
        """As the model states it."""

    def encode(self, picture: "Picture") -> Embedding:
        """What the decoder needs of a picture, RGB as displayed."""
        how = self._plan.preparation
        frame = framed(picture, how)
        values, _ = prepared(picture, how._replace(size=inside(frame), fit="stretch"))
        if self._plan.square is not None:
            spare = self._plan.square - np.array(values.shape)
            values = np.pad(values, [(0, n) for n in spare.tolist()])
        given = {how.input: values[None] if how.axes[0] == "N" else values}
        found = self._ran(self._encoder, list(self._plan.features), given)
        return Embedding(dict(zip(self._plan.features.values(), found, strict=True)), frame)

    def segment(self, embedding: Embedding, points: Sequence[Click] = (), box: Box | None = None) -> Segment:
        """The thing at the points and in the box (x, y, width, height), in pixels of the displayed picture.

        InputError without any of them.
        """
        return max(self.candidates(embedding, points, box), key=lambda segment: segment.score)

    def candidates(
        self, embedding: Embedding, points: Sequence[Click] = (), box: Box | None = None
    ) -> list[Segment]:
        """What may be meant: of a single point a part, a thing, and more around it. Errors as of segment."""
        coordinates, labels = self._prompt(embedding.frame, points, box)
        small = self._plan.small
        given = {
            **embedding.features,
            "point_coords": coordinates,
            "point_labels": labels,
            "mask_input": np.zeros((1, 1, *small), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(small, np.float32),  # the whole square, and no larger than it is found
        }
        given = {name: given[name] for name in self._plan.inputs}
        logits, scores = self._ran(self._decoder, [self._plan.masks, SCORES], given)
        found = [
            Segment(np.asarray(one, np.float32), embedding.frame, float(np.clip(score, 0, 1)))
            for one, score in zip(logits[0], scores[0], strict=True)
        ]
        if len(found) == 4:  # the first is for prompts that leave no doubt, and wrong for a single point
            return found[:1] if len(points) + 2 * (box is not None) > 1 else found[1:]
        return found

    def _prompt(
        self, frame: Frame, points: Sequence[Click], box: Box | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        placed: list[tuple[Number, Number]] = [(x, y) for x, y, _ in points]
        labels = [POSITIVE if positive else NEGATIVE for _, _, positive in points]
        if box is not None:
            x, y, width, height = box
            placed += [(x, y), (x + width, y + height)]
            labels += [CORNER, OPPOSITE]
        if not placed:
            raise InputError("expected a point or a box to find something by, got none")
        within = np.array(placed, np.float64).clip(0, frame.picture)
        inner = within * frame.scale + frame.offset - 0.5  # of the middles of pixels
        if box is None and self._plan.fills:
            inner, labels = np.concatenate((inner, [(0, 0)])), [*labels, NONE]
        return inner[None].astype(np.float32), np.array([labels], np.float32)

    def _ran(self, session: Any, outputs: list[str], given: dict[str, Array]) -> list[Array]:
        try:
            return list(session.run(outputs, given))
        except Exception as error:  # ONNX Runtime's own, which share no class
            raise InputError(f"{self._folder}: ONNX Runtime failed: {shortened(str(error))}") from None


def opened(folder: str) -> Segmenter:
    """The encoder and the decoder in a folder, which are told by their inputs and outputs.

    InputError where there are not one of each that fit, with what the files take and give.
    """
    paths = sorted(Path(folder).glob("*.onnx"))
    if not paths:
        there = "which has no file NAME.onnx" if Path(folder).is_dir() else "which is no folder"
        raise InputError(f"{folder}: expected a folder with an encoder and a decoder, {there}; {_HELP}")
    models = [_model(path) for path in paths]
    fitting = [
        (encoder, decoder, plan)
        for decoder in models
        for encoder in models
        if (plan := _plan(encoder.signature, decoder.signature)) is not None
    ]
    if len(fitting) != 1:
        shown = [line for model in models for line in (f"{model.path.name}:", *ports(model.signature))]
        found = "several that fit" if fitting else "none that fit"
        lines = (f"{folder}: expected one encoder and one decoder of the kind of SAM, found {found}:", *shown)
        raise InputError("\n".join((*lines, _HELP)))
    return Segmenter(folder, *fitting[0])


def mask(segment: Segment) -> NDArray[np.bool_]:
    """The pixels of the displayed picture that a thing has, height x width."""
    return _enlarged(segment, segment.frame.picture)


def polygons(segment: Segment) -> tuple[tuple[Number, ...], ...]:
    """The outline of a thing in pixels of the displayed picture, as an annotation has it; none of nothing.

    Parts and holes of less than a hundredth of it are noise, and no more than that.
    """
    size = inside(segment.frame)
    bits = _enlarged(segment, size)
    ratio = np.array(segment.frame.picture) / size
    parts = contours.polygons(bits, STAIRS, smallest=SMALLEST * float(bits.sum()))
    return tuple(
        tuple((np.array(part).reshape(-1, 2) * ratio).round(DIGITS).ravel().tolist()) for part in parts
    )


class _Model(NamedTuple):
    path: Path
    session: Any
    signature: Signature


class _Plan(NamedTuple):
    """How an encoder and a decoder are used together."""

    preparation: Preparation
    square: tuple[int, ...] | None
    """The shape that a prepared picture is filled up to with zeros; None where the encoder does that."""
    features: dict[str, str]
    """Outputs of the encoder, and the decoder's inputs that they are for."""
    inputs: tuple[str, ...]
    """Of the decoder."""
    masks: str
    """The decoder's output of masks."""
    small: tuple[int, int]
    """Height and width of the masks that the decoder makes of the encoder's square."""
    fills: bool
    """Whether the decoder wants a point that is none where there is no box."""


_HELP = "docs/segment.md says how to make them"


def _model(path: Path) -> _Model:
    session = started(str(path))
    return _Model(path, session, declared(session))


def _plan(encoder: Signature, decoder: Signature) -> _Plan | None:
    """How two models are used together; None where they are not an encoder and its decoder."""
    inputs = {port.name: port for port in decoder.inputs}
    outputs = {port.name for port in decoder.outputs}
    wanted = [name for name in inputs if name not in PROMPTS]
    masks = next((name for name in MASKS if name in outputs), None)
    if masks is None or SCORES not in outputs or not inputs.keys() >= POINTS or len(encoder.inputs) != 1:
        return None
    given = {port.name: port for port in encoder.outputs}
    features = {name: name for name in wanted} if given.keys() >= set(wanted) else {}
    if len(wanted) == len(given) == 1:
        features = dict(zip(given, wanted, strict=True))
    if not features or not all(_alike(given[a].shape, inputs[b].shape) for a, b in features.items()):
        return None
    (port,) = encoder.inputs
    mask = inputs.get("mask_input")
    match port.shape:
        case (1 | None, 3, height, width):
            side = height or width or SIDE
            how = Preparation(port.name, (side, side), "corner", smooth=True, scale=1, mean=MEAN, std=STD)
            square: tuple[int, ...] | None = (3, side, side)
        case (height, width, 3):
            side = height or width or SIDE
            how = Preparation(
                port.name, (side, side), "corner", smooth=True, axes="HWC", dtype=port.dtype, scale=1
            )
            square = (side, side, 3) if height else None
        case _:
            return None
    if len(wanted) > 1:  # SAM 2
        how = how._replace(fit="stretch")
    small = mask.shape[2:] if mask is not None and len(mask.shape) == 4 else ()
    rows, columns = (n or side // 4 for n in small or (None, None))
    return _Plan(how, square, features, tuple(inputs), masks, (rows, columns), fills=len(wanted) == 1)


def _alike(a: tuple[int | None, ...], b: tuple[int | None, ...]) -> bool:
    """Whether two shapes may be the same."""
    return len(a) == len(b) and all(None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True))


def _enlarged(segment: Segment, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a thing is in the picture at a size: width and height."""
    from PIL import Image

    rows, columns = segment.logits.shape
    frame = segment.frame
    width, height = inside(frame)
    box = (0, 0, columns * width / frame.size[0], rows * height / frame.size[1])
    image = Image.fromarray(segment.logits)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box)) > 0


def _hash(*models: _Model) -> str:
    """One for all files, in their order."""
    return hashlib.sha256("".join(digest(model.path) for model in models).encode()).hexdigest()
