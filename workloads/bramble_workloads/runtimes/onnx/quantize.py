"""Quantises a float32 graph to int8 with ONNX Runtime: static, QDQ, int8 activations and int8 weights.

ARM's dot-product kernels take int8 for both without conversion. On x86, ONNX Runtime converts to what the processor has.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

No method of choosing ranges suits every network, nor do weights with a scale for each channel always answer better than weights with one
scale. So there is a candidate for each method and each kind of weights, all from one run of the calibration samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

from bramble.contracts.tasks.base import Tensor
from bramble_workloads.runtimes.base import Floats, first_line
from bramble_workloads.runtimes.converter import Candidates, Form, NotConvertible, Quantised
from bramble_workloads.runtimes.onnx.activations import collect
from bramble_workloads.runtimes.onnx.prepare import prepare
from bramble_workloads.runtimes.onnx.ranges import METHODS, Range
from bramble_workloads.runtimes.onnx.run import LOG_ERROR, RUNTIME_ERRORS

OPSET = 13
"""The first opset whose DequantizeLinear takes a scale for each channel."""
ALWAYS_0 = Range(0.0, 255.0)
"""The range after a Relu that gave 0 for every sample, with a step of 1. The quantiser removes a Relu, because the range of its output
clips as it did. Of an empty range it would make one from -128 to 127, and negative values would pass."""
LEAST_TOLERANCE = 8
"""How many quantisation steps an output may differ by on another processor even if the graph's alternatives hardly differ. A kernel that
saturates is off by tens of steps."""
METHOD = {"method": "static", "format": "QDQ", "activations": "int8"}
WEIGHTS = {"weights per channel": True, "weights per tensor": False}
"""Whether weights have a scale for each output channel, in the order of preference."""

# ONNX Runtime's quantiser documents no errors. For a graph that it cannot handle it raises whatever its Python code runs into.
QUANTISER_ERRORS = (
    *RUNTIME_ERRORS,
    ArithmeticError,
    AssertionError,
    AttributeError,
    InferenceError,
    LookupError,
    RuntimeError,
    TypeError,
    ValidationError,
    ValueError,
)


def candidates(graph: Path, tensor: Tensor, samples: Iterator[Floats], folder: Path) -> Candidates:
    """Prepare an int8 graph for each method of choosing ranges and each kind of weights.

    The graphs' outputs stay float32. Their ranges are known from the calibration samples only, and clipping a logit to its range would
    change answers.

    Args:
        graph: a float32 ONNX file, opset 13 or newer.
        tensor: the description of its input.
        samples: preprocessed calibration samples, each in the input's shape.
        folder: the folder for the graphs.

    Raises:
        NotConvertible: ONNX Runtime cannot prepare the graph for its quantiser or run it.
    """
    onnxruntime.set_default_logger_severity(LOG_ERROR)  # the quantiser's own sessions would warn about its unfinished graphs
    prepared = folder / "prepared.onnx"
    try:
        _require_opset(onnx.load(str(graph)))
        prepare(graph, tensor, prepared)
        activations = collect(prepared, tensor.name, samples)
        at_least_0 = _tensors_of_at_least_0(onnx.load(str(prepared)).graph)
    except QUANTISER_ERRORS as error:
        raise _cannot(error) from error

    @cache
    def ranges(method: str) -> dict[str, Range]:
        found = {name: METHODS[method](values) for name, values in activations.items()}
        return found | {name: ALWAYS_0 for name in at_least_0 if name in found and found[name] == (0, 0)}

    def make(method: str, weights: str) -> Form:
        target = folder / f"{method}-{weights.replace(' ', '-')}.onnx"
        stated = {**METHOD, "weights": weights.replace("weights", "int8"), "ranges": method}
        return _quantise(prepared, ranges(method), target, per_channel=WEIGHTS[weights], method=stated)

    return {f"{method} ranges, {weights}": partial(make, method, weights) for weights in WEIGHTS for method in METHODS}


def _tensors_of_at_least_0(graph: onnx.GraphProto) -> list[str]:
    """The outputs of Relu, and of Clip with a minimum of 0 such as that of ReLU6."""
    stored = {each.name: each for each in graph.initializer}
    least_0 = [
        node
        for node in graph.node
        if node.op_type == "Relu"
        or (
            node.op_type == "Clip" and len(node.input) > 1 and node.input[1] in stored and numpy_helper.to_array(stored[node.input[1]]) == 0
        )
    ]
    return [node.output[0] for node in least_0]


def _quantise(prepared: Path, ranges: Mapping[str, Range], target: Path, *, per_channel: bool, method: Mapping[str, str]) -> Form:
    """Write the int8 graph with these ranges.

    Raises:
        NotConvertible: the graph has nothing that can be quantised, or ONNX Runtime's quantiser fails on it.
    """
    stored = target.with_suffix(".json")
    try:
        save_tensors_data(_as_calibrated(ranges), stored)
        quantize_static(
            str(prepared),
            str(target),
            calibration_cache_path=stored,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
        )
        model = onnx.load(str(target))
    except QUANTISER_ERRORS as error:
        raise _cannot(error) from error
    finally:
        stored.unlink(missing_ok=True)
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise NotConvertible(f"the graph has nothing that can be quantised (operators: {kinds})")
    step = _remove_output_quantisation(model)
    onnx.save(model, str(target))
    return Form(target, Quantised(step, LEAST_TOLERANCE), method)


def _as_calibrated(ranges: Mapping[str, Range]) -> TensorsData:
    """The ranges as `quantize_static` reads them, whatever method they come from."""
    data = {tensor: TensorData(lowest=np.float32(low), highest=np.float32(high)) for tensor, (low, high) in ranges.items()}
    return TensorsData(CalibrationMethod.MinMax, data)


def _cannot(error: BaseException) -> NotConvertible:
    return NotConvertible(f"ONNX Runtime {onnxruntime.__version__} cannot quantise the graph: {_line(error)}")


def _require_opset(model: onnx.ModelProto) -> None:
    """Check that the graph's opset supports a scale for each channel.

    Raises:
        NotConvertible: the opset is older than `OPSET`.
    """
    opset = next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)
    if opset < OPSET:
        raise NotConvertible(f"the graph has ONNX opset {opset} and int8 needs {OPSET}: export it with opset {OPSET} or newer")


def _remove_output_quantisation(model: onnx.ModelProto) -> float | None:
    """Remove the quantise-dequantise pair before each output. Returns the greatest quantisation step of them, None when there is none."""
    steps = [_remove_pair(model.graph, output.name) for output in model.graph.output]
    return max((step for step in steps if step is not None), default=None)


def _remove_pair(graph: onnx.GraphProto, output: str) -> float | None:
    """Connect the node before the pair to the output. Returns the pair's quantisation step, or None when there is no such pair."""
    makers = {name: node for node in graph.node for name in node.output}
    dequantise = makers.get(output)
    if dequantise is None or dequantise.op_type != "DequantizeLinear":
        return None
    quantise_node = makers.get(dequantise.input[0])
    if quantise_node is None or quantise_node.op_type != "QuantizeLinear":
        return None
    inner = quantise_node.input[0]
    maker = makers.get(inner)
    scales = {each.name: each for each in graph.initializer}
    step = float(numpy_helper.to_array(scales[quantise_node.input[1]]))
    others = [node for node in graph.node if node is not quantise_node and (inner in node.input or output in node.input)]
    if maker is not None and not others:
        maker.output[list(maker.output).index(inner)] = output
        unneeded = {*quantise_node.input[1:], *dequantise.input[1:]}
        graph.node.remove(quantise_node)
        graph.node.remove(dequantise)
        used = {name for node in graph.node for name in node.input}
        for scale in [scales[name] for name in unneeded if name in scales and name not in used]:
            graph.initializer.remove(scale)
    return step


def _line(error: BaseException) -> str:
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
