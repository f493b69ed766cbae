"""Prepares a float32 graph for ONNX Runtime's quantiser, which changes or cannot take some of what ONNX allows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from onnx import numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process

from bramble.contracts.tasks.base import Tensor

WEIGHTS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1,), "MatMul": (0, 1)}
"""The operators whose weights become int8, and which of their inputs may be weights."""
GEMM_BIAS = 2


def prepare(graph: Path, tensor: Tensor, prepared: Path) -> None:
    """Write the graph as the quantiser can take it. It computes the same.

    Args:
        graph: a float32 ONNX file.
        tensor: the description of its input. Dimensions that the graph leaves open get their sizes from it.
        prepared: the file to write.

    Raises:
        ValueError: the graph has no such input, or has another shape.
    """
    model = onnx.load(str(graph))
    _fix_shape(model.graph, tensor)
    onnx.save(model, str(prepared))
    quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)  # symbolic shapes need sympy, and now none is left
    model = onnx.load(str(prepared))
    _separate_weights(model.graph)
    _apply_beta(model.graph)
    onnx.save(model, str(prepared))


def _fix_shape(graph: onnx.GraphProto, tensor: Tensor) -> None:
    """Give the dimensions that the input leaves open the sizes of the description, wherever the graph names them."""
    found = next((each for each in graph.input if each.name == tensor.name), None)
    if found is None:
        raise ValueError(f"the graph has no input {tensor.name!r}")
    dimensions = found.type.tensor_type.shape.dim
    if len(dimensions) != len(tensor.shape):
        raise ValueError(f"input {tensor.name!r} has {len(dimensions)} dimensions, and the description has {len(tensor.shape)}")
    sizes = {}
    for dimension, size in zip(dimensions, tensor.shape, strict=True):
        if dimension.HasField("dim_value") and dimension.dim_value != size:
            raise ValueError(f"input {tensor.name!r} has a dimension of {dimension.dim_value}, and the description has {size}")
        if dimension.dim_param:
            sizes[dimension.dim_param] = size
        dimension.dim_value = size
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]


def _separate_weights(graph: onnx.GraphProto) -> None:
    """Give each operator weights of its own.

    Where x86 has no VNNI, ONNX Runtime replaces int8 weights by uint8 ones (`session.x64quantprecision`), and it refuses a graph in which
    it would do so twice for the same weights: "Attempt to replace the existing tensor".
    """
    stored = {each.name: each for each in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        for index in WEIGHTS.get(node.op_type, ()):
            name = node.input[index]
            if name in stored and uses[name] > 1:
                node.input[index] = _add(graph, stored[name], f"{name}_{uses[name]}")
                uses[name] -= 1


def _apply_beta(graph: onnx.GraphProto) -> None:
    """Multiply each constant bias of a Gemm by `beta`: the quantiser sets `beta` to 1 and leaves the bias as it is."""
    stored = {each.name: each for each in graph.initializer}
    for node in graph.node:
        beta = next((each for each in node.attribute if each.name == "beta"), None)
        if node.op_type != "Gemm" or beta is None or beta.f == 1.0 or len(node.input) <= GEMM_BIAS or node.input[GEMM_BIAS] not in stored:
            continue
        bias = stored[node.input[GEMM_BIAS]]
        array = numpy_helper.to_array(bias)
        scaled = numpy_helper.from_array((array * beta.f).astype(array.dtype))
        node.input[GEMM_BIAS] = _add(graph, scaled, f"{bias.name}_of_{node.output[0]}")
        node.attribute.remove(beta)


def _add(graph: onnx.GraphProto, tensor: onnx.TensorProto, name: str) -> str:
    """Store a copy of the tensor under a name that is free. Returns the name."""
    taken = {each.name for each in graph.initializer} | {output for node in graph.node for output in node.output}
    while name in taken:
        name += "_"
    added = graph.initializer.add()
    added.CopyFrom(tensor)
    added.name = name
    return name
