"""ONNX files that answer every picture with the same outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def constant(
    path: Path,
    shape: list[int | str],
    outputs: Mapping[str, NDArray[Any]],
    *,
    dtype: int = TensorProto.FLOAT,
    stated: bool = True,
    further: Sequence[Any] = (),
) -> str:
    """A file whose input `picture` has a shape and a type, and which gives these outputs by their names.

    Their shapes are stated, or not. `further` are other inputs.
    """
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.ascontiguousarray(value)))
        for name, value in outputs.items()
    ]
    types = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in outputs.items()}
    ports = [
        helper.make_tensor_value_info(name, types[name], value.shape if stated else None)
        for name, value in outputs.items()
    ]
    inputs = [helper.make_tensor_value_info("picture", dtype, shape), *further]
    graph = helper.make_graph(nodes, "constant", inputs, ports)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)
