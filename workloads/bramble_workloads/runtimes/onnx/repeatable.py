"""Finds the nodes of a graph that give other numbers in every run.

A seed does not make them repeatable: ONNX Runtime's kernels keep one generator for all runs, and the seed only says where it begins
(measured with 1.31, see the tests). Golden cases of such a graph could not be repeated, and two devices would answer differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import numpy_helper

from bramble_workloads.errors import SpecError
from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.runtimes.onnx.one_file import require_one_file

RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
DROPOUT, TRAINING_MODE = "Dropout", 2
"""An operator that is random if this input of it is true. Before opset 12 it has no such input and does nothing."""


def require_repeatable(graph: Path, name: str) -> None:
    """As `Converter.require_repeatable`."""
    require_one_file(graph)
    try:
        model = onnx.load(str(graph), load_external_data=False)
    except DecodeError as error:
        raise DescriptionError(f"the graph is no ONNX file: {error}") from error
    constants = dict(_constants(model))
    found = [node for node in _parts(model, onnx.NodeProto) if _is_random(node, constants)]
    if found:
        first = found[0]
        which = f"{first.name or f'that computes {first.output[0]}':.100}"
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        remedy = "export the model in evaluation mode" if first.op_type == DROPOUT else "remove it"
        raise SpecError(
            f"{name}: node {which} of type {first.op_type}{more} draws other random numbers in every run, so no answer could be repeated:"
            f" {remedy}; a seed does not help, because each run goes on where the one before ended"
        )


def _parts(message: Message, kind: type[Message]) -> Iterator[Any]:
    """Every part of this kind, also of subgraphs and functions."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in [value] if isinstance(value, Message) else value:
            if isinstance(part, kind):
                yield part
            yield from _parts(part, kind)


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, Any]]:
    """The name and the value of every tensor that the graph states."""
    for tensor in _parts(model, onnx.TensorProto):
        yield tensor.name, tensor
    for node in _parts(model, onnx.NodeProto):
        if node.op_type == "Constant":
            yield from ((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")


def _is_random(node: Any, constants: Mapping[str, Any]) -> bool:
    if node.op_type != DROPOUT:
        return node.op_type in RANDOM
    mode = node.input[TRAINING_MODE] if len(node.input) > TRAINING_MODE else ""
    if not mode:
        return False
    known = constants.get(mode)
    return known is None or bool(numpy_helper.to_array(known).any())
