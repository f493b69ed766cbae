"""Checks that a graph keeps all its data in one file.

ONNX Runtime reads the external data of a graph from files beside it. On a device these are blobs of other tenants, so a graph with
external data is refused before ONNX Runtime sees it. Boards have no `onnx` package, so the graph is read here as the protobuf wire format;
the content of tensors is skipped.

Sources: https://protobuf.dev/programming-guides/encoding/, and the field numbers in onnx.proto of ONNX 1.23.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

from bramble_workloads.processing.errors import DescriptionError

TENSOR = "TensorProto"
EXTERNAL_DATA = 13
"""The field of a `TensorProto` that says where its data is. It is empty if the data is in the tensor."""

WITHIN: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: TENSOR, 6: "GraphProto", 10: TENSOR, 11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    TENSOR: {},
}
"""The messages that may have a tensor somewhere within, and in which of their fields."""

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
VARINT_BYTES = 10
DEEPEST = 100
"""Protobuf parsers refuse messages that are nested deeper."""


Content = bytes | mmap.mmap


def require_one_file(graph: Path | bytes) -> None:
    """Check that no tensor of a graph lies in another file.

    Raises:
        DescriptionError: one does, or the graph is no ONNX file.
    """
    try:
        if isinstance(graph, bytes):
            _walk(graph, 0, len(graph), "ModelProto", 0)
        elif size := graph.stat().st_size:
            with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                _walk(content, 0, size, "ModelProto", 0)
    except ValueError as error:
        raise DescriptionError(f"the graph is no ONNX file: {error}") from error


def _walk(content: Content, begin: int, end: int, kind: str, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"its messages are nested more than {DEEPEST} levels deep")
    for number, start, stop in _fields(content, begin, end):
        if kind == TENSOR and number == EXTERNAL_DATA:
            raise DescriptionError("the graph keeps the data of a tensor in another file: export it in one file, without external data")
        if (within := WITHIN[kind].get(number)) is not None:
            _walk(content, start, stop, within, depth + 1)


def _fields(content: Content, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The number of each length-delimited field of a message, and where its content begins and ends; other fields are skipped.

    Raises:
        ValueError: this is no protobuf message.
    """
    while position < end:
        key, position = _varint(content, position, end)
        number, wire_type = key >> 3, key & 7
        if number == 0:  # as in zeros at the end of a file that was not written whole
            raise ValueError(f"it has a field without a number at byte {position}")
        if wire_type == DELIMITED:
            size, position = _varint(content, position, end)
            if position + size > end:
                break
            yield number, position, position + size
            position += size
        elif wire_type == VARINT:
            _, position = _varint(content, position, end)
        elif wire_type in (FIXED_32, FIXED_64):
            position += 4 if wire_type == FIXED_32 else 8
        else:
            raise ValueError(f"it has the wire type {wire_type} at byte {position}")
    if position != end:
        raise ValueError("it ends within a field")


def _varint(content: Content, position: int, end: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(content[position : min(position + VARINT_BYTES, end)]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more bytes follow
            return value, position + index + 1
    raise ValueError("it ends within a number")
