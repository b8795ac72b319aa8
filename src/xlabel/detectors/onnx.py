"""Detectors in ONNX files, run by ONNX Runtime on a GPU where it can, else on the CPU."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlabel.detectors import beside, layouts
from xlabel.detectors.annotating import Wanted, annotations
from xlabel.detectors.freeing import freed
from xlabel.detectors.layouts import Layout, Plan, Port, Signature
from xlabel.detectors.naming import licence, listed, named, shortened, stated
from xlabel.detectors.preparing import Array, Frame, prepared
from xlabel.errors import InputError, extra
from xlabel.model import Annotation, Source

if TYPE_CHECKING:
    from xlabel.detectors import Picture

PROVIDERS = {"CUDAExecutionProvider": "CUDA", "CPUExecutionProvider": "CPU"}
BESIDE = (".data", "_data")
"""What a file of weights beside a model is called besides, by torch's exporters and by transformers'."""
SIDE = 640
"""Of the picture by which a model is tried that states no size."""


def opened(
    model: str,
    *,
    categories: Sequence[str] | Mapping[int, str] | None,
    renamed: Mapping[str, str],
    min_score: float,
    iou: float,
) -> "OnnxDetector":
    """The detector in a file; see `xlabel.detectors.opened`."""
    session = started(model)
    signature = signature_of(session)
    metadata = {**beside.stated(Path(model)), **signature.metadata}
    names = categories or stated(metadata)
    signature = signature._replace(metadata=metadata, named=len(names) if names else None)
    try:
        known = layouts.recognised(signature)
    except ValueError as error:
        raise InputError(f"{model}: {error}") from None
    if known is None:
        raise InputError(unknown(model, signature))
    layout, plan = known
    if plan.freed:
        session = started(model, freed(Path(model).read_bytes(), plan.preparation.input))
    wanted = Wanted(
        named(model, signature.metadata, plan, categories, renamed),
        min_score,
        iou,
        Source(kind="model", name=Path(model).stem, hash=digest(Path(model))),
    )
    return OnnxDetector(model, session, layout, plan, wanted, signature)


class OnnxDetector:
    """A model, how it is used, and what is kept of what it finds."""

    def __init__(
        self, model: str, session: Any, layout: Layout, plan: Plan, wanted: Wanted, signature: Signature
    ) -> None:
        self._model = model
        self._session = session
        self._layout = layout
        self._plan = plan
        self._wanted = wanted
        self._outputs = {name: word for word, name in plan.outputs.items()}
        (port,) = (port for port in signature.inputs if port.name == plan.preparation.input)
        self._fixed = port.shape[0] if len(port.shape) == 4 and not plan.freed else None
        alone = plan.preparation.size is None or plan.preparation.axes in ("CHW", "HWC")
        self.source = wanted.source
        self.licence = licence(signature.metadata)
        self.categories = tuple(dict.fromkeys(wanted.categories.values()))
        self.most = 1 if alone else self._fixed
        where = next((told for name, told in PROVIDERS.items() if name in session.get_providers()), "CPU")
        self.notes = [
            f"{self.source.name} read as {layout.NAME} ({layout.TITLE}), on the {where}",
            *plan.notes,
        ]

    def prepare(self, picture: "Picture") -> tuple[Array, Frame]:
        return prepared(picture, self._plan.preparation)

    def run(self, prepared: Sequence[tuple[Array, Frame]]) -> list[list[Annotation]]:
        step = self.most or max(1, len(prepared))
        return [
            annotations
            for start in range(0, len(prepared), step)
            for annotations in self._batch(prepared[start : start + step])
        ]

    def detect(self, pictures: "Sequence[Picture]") -> list[list[Annotation]]:
        return self.run([self.prepare(picture) for picture in pictures])

    def _batch(self, prepared: Sequence[tuple[Array, Frame]]) -> list[list[Annotation]]:
        arrays = [array for array, _ in prepared]
        frames = [frame for _, frame in prepared]
        spare = (self._fixed or 0) - len(arrays)
        if spare > 0:  # a batch of a fixed size is filled up
            arrays += arrays[-1:] * spare
            frames += frames[-1:] * spare
        axes = self._plan.preparation.axes
        given = {self._plan.preparation.input: np.stack(arrays) if axes[0] == "N" else arrays[0]}
        given |= {name: value(frames) for name, value in self._plan.further.items()}
        found = dict(zip(self._outputs.values(), self._ran(given), strict=True))
        decoded = self._layout.decode(found, self._plan, frames)
        return [
            annotations(one, frame, self._plan, self._wanted)
            for one, (_, frame) in zip(decoded, prepared, strict=False)
        ]

    def _ran(self, given: dict[str, Array]) -> list[Array]:
        try:
            return list(self._session.run(list(self._outputs), given))
        except Exception as error:  # ONNX Runtime's own, which share no class
            raise InputError(f"{self._model}: ONNX Runtime failed: {shortened(str(error))}") from None


def digest(model: Path) -> str:
    """The sha256 of a model's file, in hexadecimal; with the weights where they are in a file beside it."""
    hasher = hashlib.sha256()
    for path in (model, *(model.with_name(model.name + ending) for ending in BESIDE)):
        if path == model or path.is_file():
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    hasher.update(chunk)
    return hasher.hexdigest()


def started(model: str, data: bytes | None = None) -> Any:
    """A session of ONNX Runtime for a model's file, or for `data` in its place; InputError for no model."""
    if not Path(model).is_file():
        raise InputError(f"{model}: expected a model, found no file there")
    with extra("onnx", "models in ONNX files"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    folder = str(Path(model).absolute().parent)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    there = onnxruntime.get_available_providers()
    providers = [name for name in PROVIDERS if name in there]
    try:
        return onnxruntime.InferenceSession(model if data is None else data, options, providers=providers)
    except Exception as error:  # ONNX Runtime's own, which share no class
        raise InputError(f"{model}: expected an ONNX model: {shortened(str(error))}") from None


def signature_of(session: Any) -> Signature:
    """A model's inputs, outputs and metadata, with what comes of a picture of noise where it can be tried."""
    known = declared(session)
    seen = _tried(session, known.inputs)
    return known._replace(
        inputs=tuple(port._replace(seen=seen.get(port.name)) for port in known.inputs),
        outputs=tuple(port._replace(seen=seen.get(port.name)) for port in known.outputs),
    )


def declared(session: Any) -> Signature:
    """A model's inputs, outputs and metadata as it states them."""
    return Signature(
        tuple(_port(port) for port in session.get_inputs()),
        tuple(_port(port) for port in session.get_outputs()),
        dict(session.get_modelmeta().custom_metadata_map),
    )


def unknown(model: str, signature: Signature) -> str:
    """What is said of a model whose layout nobody knows."""
    return "\n".join(
        (
            f"{model}: expected a layout out of {listed(list(layouts.LAYOUTS))}, found another:",
            *ports(signature),
            "say --model package.module:function, a function of yours that runs it",
        )
    )


def ports(signature: Signature) -> list[str]:
    """The inputs and outputs of a model, a line each."""
    return [
        f"  {what} {port.name}: {port.dtype} {' x '.join('?' if n is None else str(n) for n in port.dims)}"
        for what, ports in (("input", signature.inputs), ("output", signature.outputs))
        for port in ports
    ]


_DTYPES = {"float": "float32", "double": "float64"}


def _port(port: Any) -> Port:
    dtype = port.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(n if isinstance(n, int) and n > 0 else None for n in port.shape or ())
    return Port(port.name, shape, _DTYPES.get(dtype, dtype))


def _tried(session: Any, inputs: Sequence[Port]) -> dict[str, Array]:
    """The inputs and outputs for one picture of noise; none where the model does not take it."""
    random = np.random.default_rng(0)
    given = {}
    for port in inputs:
        dtype = getattr(np, port.dtype, None)
        if dtype is None:
            return {}
        if len(port.shape) < 3:
            given[port.name] = np.full([n or 1 for n in port.shape], SIDE, dtype)
            continue
        if len(port.shape) == 3 and any(len(other.shape) == 4 for other in inputs):  # where the picture is
            given[port.name] = np.ones([port.shape[0] or 1, *(n or SIDE for n in port.shape[1:])], dtype)
            continue
        noise = random.random(_tried_shape(port.shape))
        given[port.name] = (noise * 255 if np.issubdtype(dtype, np.integer) else noise).astype(dtype)
    names = [port.name for port in session.get_outputs()]
    try:
        return given | dict(zip(names, session.run(names, given), strict=True))
    except Exception:  # ONNX Runtime's own; then the layout is told by what the model states
        return {}


def _tried_shape(shape: tuple[int | None, ...]) -> list[int]:
    """A shape to try: three colours, first or last, and sides of SIDE where the model states nothing."""
    sides = [n or SIDE for n in shape]
    if len(shape) == 4:
        sides[0] = shape[0] or 1
    colours = len(shape) - 3 if shape[-1] != 3 else len(shape) - 1
    sides[colours] = shape[colours] or 3
    return sides
