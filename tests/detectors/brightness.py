"""A SAM for tests, in two ONNX files made here: whatever is bright is the thing, wherever one points."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Of the square that the encoder takes; the decoder's masks are a quarter of it."""
LARGE = 1024
"""The same of an encoder that does not state it."""
FLOAT = TensorProto.FLOAT
Kind = Callable[[Path], Path]
Port = tuple[str, Sequence[int | str]]


def model(folder: Path) -> Path:
    """As Segment Anything's own export: the picture is normalised, and filled up with zeros."""
    small = SIDE // 4
    encoder = [helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4])]
    encoder += [_mean("pooled", "image_embeddings", 1)]
    _written(
        folder / "a.onnx",
        encoder,
        [("image", [1, 3, SIDE, SIDE])],
        [("image_embeddings", [1, 1, small, small])],
    )
    _decoder(folder / "b.onnx", [("image_embeddings", [1, 1, small, small])])
    return folder


def fine(folder: Path) -> Path:
    """As SAM 2 by samexporter: the encoder gives finer features besides, which its decoder asks for."""
    small = SIDE // 4
    names = ("high_res_feats_0", "high_res_feats_1", "image_embed")
    encoder = [helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4])]
    encoder += [_mean("pooled", name, 1) for name in names]
    features: list[Port] = [(name, [1, 1, small, small]) for name in names]
    _written(folder / "encoder.onnx", encoder, [("image", [1, 3, SIDE, SIDE])], features)
    _decoder(folder / "decoder.onnx", [features[2], *features[:2]], masks="masks")
    return folder


def raw(folder: Path) -> Path:
    """As samexporter's encoders of SAM: a picture, height x width x 3, that it fills up to a square."""
    small = SIDE // 4
    cell = [LARGE // small] * 2
    encoder = [
        helper.make_node("Transpose", ["input_image"], ["first"], perm=[2, 0, 1]),
        _mean("first", "grey", 0),
        helper.make_node("Sub", ["grey", "middle"], ["shifted"]),
        helper.make_node("Unsqueeze", ["shifted", "batch"], ["alone"]),
        helper.make_node("Pad", ["alone", "pads"], ["larger"]),
        helper.make_node("Slice", ["larger", "start", "end", "sides"], ["square"]),
        helper.make_node("AveragePool", ["square"], ["image_embeddings"], kernel_shape=cell, strides=cell),
    ]
    constants = [
        numpy_helper.from_array(np.array([0]), "batch"),
        numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, LARGE, LARGE]), "pads"),
        numpy_helper.from_array(np.array([0, 0]), "start"),
        numpy_helper.from_array(np.array([LARGE, LARGE]), "end"),
        numpy_helper.from_array(np.array([2, 3]), "sides"),
        numpy_helper.from_array(np.array(127, np.float32), "middle"),
    ]
    ports: list[Port] = [("image_embeddings", [1, 1, small, small])]
    _written(folder / "encoder.onnx", encoder, [("input_image", ["height", "width", 3])], ports, constants)
    _decoder(folder / "decoder.onnx", ports)
    return folder


def _decoder(path: Path, features: Sequence[Port], masks: str = "low_res_masks") -> None:
    small = SIDE // 4
    coarse = features[0][0]
    nodes = [
        helper.make_node("Identity", [coarse], [masks]),
        helper.make_node("Constant", [], ["iou_predictions"], value=_scores([[1.02]])),
    ]
    prompts: list[Port] = [
        ("point_coords", [1, "points", 2]),
        ("point_labels", [1, "points"]),
        ("mask_input", [1, 1, small, small]),
        ("has_mask_input", [1]),
    ]
    _written(path, nodes, [*features, *prompts], [(masks, [1, 1, small, small]), ("iou_predictions", [1, 1])])


def _mean(given: str, made: str, axis: int) -> Any:
    return helper.make_node("ReduceMean", [given], [made], axes=[axis], keepdims=1)


def _scores(values: list[list[float]]) -> Any:
    found: NDArray[np.float32] = np.array(values, np.float32)
    return numpy_helper.from_array(found)


def _written(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    constants: Sequence[Any] = (),
) -> None:
    def ports(named: Sequence[Port]) -> list[Any]:
        return [helper.make_tensor_value_info(name, FLOAT, list(shape)) for name, shape in named]

    graph = helper.make_graph(list(nodes), path.stem, ports(inputs), ports(outputs), list(constants))
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
