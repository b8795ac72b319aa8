"""Models of TensorFlow.js as ONNX, node by node, since some weights are published only so.

Knows the operators of the models that the tests use. Tensors stay as TensorFlow has them (NHWC), and shapes
become int64, as ONNX wants them.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Node = dict[str, Any]
NCHW, NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class Graph:
    """The nodes and weights of a model, and what they have become.

    `changed` nodes stand in the place of the model's own.
    """

    def __init__(self, document: Path, changed: Mapping[str, Node] | None = None) -> None:
        model = json.loads(document.read_text())
        self.source: dict[str, Node] = {node["name"]: node for node in model["modelTopology"]["node"]}
        self.source |= changed or {}
        self.constants = dict(_weights(document, model["weightsManifest"]))
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.values: dict[str, list[str]] = {}

    def exported(self, target: Path, feed: tuple[str, int, list[Any]], outputs: Sequence[str]) -> Path:
        """An ONNX file with an input of a name, a type and a shape, and the outputs of these nodes."""
        self.values[feed[0]] = [feed[0]]
        for output in outputs:
            self.nodes.append(helper.make_node("Identity", [self._value(output)], [output]))
        used = {name for node in self.nodes for name in node.input}
        made = helper.make_graph(
            self.nodes,
            "tfjs",
            [helper.make_tensor_value_info(*feed)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [weight for weight in self.weights if weight.name in used],
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(onnx.shape_inference.infer_shapes(model), target)
        return target

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of what a new node gives."""
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def split(self, x: str, count: int, axis: int, *sizes: str) -> list[str]:
        """The names of the parts that a new node makes."""
        names = [f"split_{len(self.nodes)}_{part}" for part in range(count)]
        self.nodes.append(helper.make_node("Split", [x, *sizes], names, axis=axis))
        return names

    def constant(self, values: Any) -> str:
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def output(self, name: str) -> str:
        """What an output of the source has become."""
        base, _, index = name.partition(":")
        return self.values[base][int(index or 0)]

    def _value(self, name: str) -> str:
        waiting = [name.partition(":")[0]]  # and not by recursion: graphs are deep
        while waiting:
            top = waiting[-1]
            inputs = [] if top in self.constants else self.source.get(top, {}).get("input", [])
            missing = [
                base for base in (name.partition(":")[0] for name in inputs) if base not in self.values
            ]
            if missing and top not in self.values:
                waiting += missing
                continue
            waiting.pop()
            if top in self.constants:
                self.values[top] = [self.constant(self.constants[top])]
            elif top not in self.values:
                call = Call(self, self.source[top])
                made = OPERATORS[call.node["op"]](call, *map(self.output, inputs))
                self.values[top] = [made] if isinstance(made, str) else made
        return self.output(name)


class Call:
    """A node that becomes others: its attributes, which are spelt in two ways, and its constant inputs."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node
        self.add = graph.add

    def known(self, index: int) -> NDArray[Any]:
        return self.graph.constants[self.node["input"][index].partition(":")[0]]

    def numbers(self, name: str) -> list[int]:
        return [int(number) for number in self.node["attr"][name]["list"].get("i", ())]

    def number(self, name: str) -> float:
        attribute = self.node["attr"][name]
        return float(attribute.get("f") or attribute.get("i") or 0)

    def text(self, name: str) -> str:
        text = self.node["attr"][name]["s"]
        return bytes(text).decode() if isinstance(text, list) else base64.b64decode(text).decode()


def _weights(document: Path, manifest: list[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    for group in manifest:
        data = b"".join((document.parent / path).read_bytes() for path in group["paths"])
        at = 0
        for weight in group["weights"]:
            stored = weight.get("quantization", {}).get("dtype", weight["dtype"])
            values = np.frombuffer(data, stored, int(np.prod(weight["shape"])), at)
            at += values.nbytes
            yield weight["name"], values.astype(weight["dtype"]).reshape(weight["shape"])


def _convolved(call: Call, x: str, _: str, *, depthwise: bool = False) -> str:
    kernel = call.known(1)  # height, width, channels in, channels out
    weight = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    y = call.add(
        "Conv",
        call.add("Transpose", x, perm=NCHW),
        call.graph.constant(weight),
        strides=call.numbers("strides")[1:3],
        group=kernel.shape[2] if depthwise else 1,
        auto_pad="SAME_UPPER" if call.text("padding") == "SAME" else "VALID",
    )
    return call.add("Transpose", y, perm=NHWC)


def _resized(call: Call, x: str, size: str) -> str:
    halves = call.node["attr"].get("half_pixel_centers", {}).get("b")
    y = call.add("Transpose", x, perm=NCHW)
    sizes = call.add("Concat", call.add("Shape", y, end=2), size, axis=0)
    place = "half_pixel" if halves else "asymmetric"
    y = call.add("Resize", y, "", "", sizes, mode="linear", coordinate_transformation_mode=place)
    return call.add("Transpose", y, perm=NHWC)


def _padded(call: Call, x: str, _: str, value: str = "") -> str:
    around = call.known(1).T.ravel()  # before each axis, then behind each
    return call.add("Pad", x, call.graph.constant(around), value)


def _normalised(call: Call, x: str, *_: str) -> str:
    gain, offset, mean, variance = (call.known(index) for index in range(1, 5))
    scale = gain / np.sqrt(variance + call.number("epsilon"))
    y = call.add("Mul", x, call.graph.constant(scale))
    return call.add("Add", y, call.graph.constant(offset - mean * scale))


def _pooled(call: Call, x: str) -> str:
    y = call.add("Transpose", x, perm=NCHW)
    kernel, strides = call.numbers("ksize")[1:3], call.numbers("strides")[1:3]
    return call.add("Transpose", call.add("MaxPool", y, kernel_shape=kernel, strides=strides), perm=NHWC)


def _stacked(call: Call, *parts: str) -> str:
    axis = int(call.number("axis"))
    one = call.graph.constant([axis])
    return call.add("Concat", *(call.add("Unsqueeze", part, one) for part in parts), axis=axis)


def _unstacked(call: Call, x: str) -> list[str]:
    axis = int(call.number("axis"))
    parts = call.graph.split(x, int(call.number("num")), axis)
    return [call.add("Squeeze", part, call.graph.constant([axis])) for part in parts]


def _sliced(call: Call, x: str, *_: str) -> str:
    begin, size = call.known(1).astype(np.int64), call.known(2).astype(np.int64)
    end = np.where(size < 0, np.iinfo(np.int64).max, begin + size)
    return call.add("Slice", x, call.graph.constant(begin), call.graph.constant(end))


def _element(call: Call, x: str, *_: str) -> str:
    """One number of a shape, which is all that these models slice by strides."""
    return call.add("Gather", x, call.graph.constant(int(call.known(1)[0])))


def _scattered(call: Call, indices: str, shape: str, values: str, rest: str) -> str:
    filled = call.add("Expand", rest, shape)
    return call.add("ScatterND", filled, indices, values) if call.known(0).size else filled


def _same(name: str, **attributes: Any) -> Callable[..., str]:
    """An operator that ONNX has, too."""
    return lambda call, *inputs: call.add(name, *inputs, **attributes)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": _same("Add"),
    "AddN": _same("Sum"),
    "AddV2": _same("Add"),
    "BiasAdd": _same("Add"),
    "Cast": _same("Cast", to=TensorProto.FLOAT),
    "ConcatV2": lambda call, *x: call.add("Concat", *x[:-1], axis=int(call.known(-1))),
    "Conv2D": _convolved,
    "DepthwiseConv2dNative": lambda call, *x: _convolved(call, *x, depthwise=True),
    "Exp": _same("Exp"),
    "ExpandDims": lambda call, x, _: call.add("Unsqueeze", x, call.graph.constant([int(call.known(1))])),
    "FusedBatchNorm": _normalised,
    "Identity": _same("Identity"),
    "LeakyRelu": lambda call, x: call.add("LeakyRelu", x, alpha=call.number("alpha")),
    "MaxPool": _pooled,
    "Mul": _same("Mul"),
    "Pack": _stacked,
    "Pad": _padded,
    "PadV2": _padded,
    "Relu6": lambda call, x: call.add("Clip", x, call.graph.constant(0.0), call.graph.constant(6.0)),
    "Reshape": _same("Reshape"),
    "ResizeBilinear": _resized,
    "Shape": _same("Shape"),
    "Sigmoid": _same("Sigmoid"),
    "Slice": _sliced,
    "SparseToDense": _scattered,
    "SplitV": lambda call, x, sizes, _: call.graph.split(x, call.known(1).size, int(call.known(2)), sizes),
    "Squeeze": lambda call, x: call.add("Squeeze", x, call.graph.constant(call.numbers("squeeze_dims"))),
    "StridedSlice": _element,
    "Sub": _same("Sub"),
    "Tile": _same("Tile"),
    "Transpose": lambda call, x, _: call.add("Transpose", x, perm=[int(axis) for axis in call.known(1)]),
    "Unpack": _unstacked,
}
