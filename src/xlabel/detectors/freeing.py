"""The sizes that an ONNX file states for an input, taken out of it: onnx.proto3 in protocol buffers.

Some exporters state sizes that a model does not depend on, and ONNX Runtime then takes no others.
"""

from collections.abc import Callable, Iterator

from xlabel.errors import InputError

GRAPH, INPUT = 7, 11  # ModelProto.graph, GraphProto.input
NAME, TYPE, TENSOR, SHAPE = 1, 2, 1, 2  # of ValueInfoProto, of it, of TypeProto, of its Tensor
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Change = Callable[[bytes], bytes | None]


def freed(model: bytes, name: str) -> bytes:
    """The file with no sizes stated for the input of that name; InputError where it is no ONNX file."""

    def tensor(data: bytes) -> bytes:
        return _changed(data, SHAPE, lambda _: None)

    def kind(data: bytes) -> bytes:
        return _changed(data, TENSOR, tensor)

    def port(data: bytes) -> bytes:
        named = any(number == NAME and value == name.encode() for number, _, value in _fields(data))
        return _changed(data, TYPE, kind) if named else data

    try:
        return _changed(model, GRAPH, lambda graph: _changed(graph, INPUT, port))
    except IndexError:
        raise InputError("expected an ONNX file, found one that ends within a field") from None


def _changed(message: bytes, which: int, change: Change) -> bytes:
    """A message with the fields of a number replaced, or left out where they become None."""
    parts = []
    for number, whole, value in _fields(message):
        if number != which:
            parts.append(whole)
            continue
        new = change(value)
        if new is not None:
            parts.append(_varint(number << 3 | BYTES) + _varint(len(new)) + new)
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number of each field, all of its bytes, and its value where that is made of bytes."""
    at = 0
    while at < len(message):
        tag, begin = _read(message, at)
        if tag & 7 == VARINT:
            _, end = _read(message, begin)
        elif tag & 7 == BYTES:
            length, begin = _read(message, begin)
            end = begin + length
        else:
            end = begin + {FIXED64: 8, FIXED32: 4}.get(tag & 7, len(message))
        if end > len(message):
            raise IndexError
        yield tag >> 3, message[at:end], message[begin:end]
        at = end


def _read(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the low ones first, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return number, at


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
