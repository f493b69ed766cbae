"""Quantises a float32 graph to int8 with ONNX Runtime: static, QDQ, int8 activations, int8 weights with a scale for each channel.

ARM's dot-product kernels take int8 for both without conversion. On x86, ONNX Runtime converts to what the processor has.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from bramble_workloads.runtimes.base import Floats, first_line
from bramble_workloads.runtimes.converter import Form, NotConvertible, Quantised
from bramble_workloads.runtimes.onnx.run import LOG_ERROR, RUNTIME_ERRORS

OPSET = 13
"""The first opset whose DequantizeLinear takes a scale for each channel."""
TOLERANCE = 8
"""How many quantisation steps an output may differ by on another processor. Measured between two of ONNX Runtime's own ways to compute an
int8 graph (integer kernels, float emulation), the greatest difference is 0.1 steps for a small convolutional net and 4.5 for
EfficientNet-Lite0. A kernel that saturates is off by tens of steps."""
METHOD = {"method": "static", "format": "QDQ", "activations": "int8", "weights": "int8 per channel", "ranges": "min-max"}

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


class _Tensors(CalibrationDataReader):  # type: ignore[misc]
    """Gives the quantiser the calibration tensors one by one."""

    def __init__(self, name: str, tensors: Iterator[Floats]) -> None:
        self._name = name
        self._tensors = tensors

    def get_next(self) -> dict[str, Floats] | None:
        tensor = next(self._tensors, None)
        return None if tensor is None else {self._name: tensor}


def quantise(graph: Path, name: str, tensors: Iterator[Floats], target: Path) -> Form:
    """Make an int8 graph.

    The graph's outputs stay float32. Their ranges are known from the calibration samples only, and clipping a logit to its range would
    change answers.

    Args:
        graph: a float32 ONNX file, opset 13 or newer.
        name: the name of its input.
        tensors: preprocessed calibration samples, each in the input's shape.
        target: the file to write.

    Raises:
        NotConvertible: the graph has nothing that can be quantised, or ONNX Runtime's quantiser fails on it.
    """
    onnxruntime.set_default_logger_severity(LOG_ERROR)  # the quantiser's own sessions would warn about its unfinished graphs
    prepared = target.with_suffix(".prepared.onnx")
    try:
        _require_opset(onnx.load(str(graph)))
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)  # symbolic shapes need sympy, and ours are static
        quantize_static(
            str(prepared),
            str(target),
            _Tensors(name, tensors),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        model = onnx.load(str(target))
    except QUANTISER_ERRORS as error:
        raise NotConvertible(f"ONNX Runtime {onnxruntime.__version__} cannot quantise the graph: {_line(error)}") from error
    finally:
        prepared.unlink(missing_ok=True)
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise NotConvertible(f"the graph has nothing that can be quantised (operators: {kinds})")
    step = _remove_output_quantisation(model)
    onnx.save(model, str(target))
    return Form(target, Quantised(step, TOLERANCE), METHOD)


def _require_opset(model: onnx.ModelProto) -> None:
    """Check that the graph's opset supports a scale for each channel.

    Raises:
        NotConvertible: the opset is older than `OPSET`.
    """
    opset = next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)
    if opset < OPSET:
        raise NotConvertible(f"the graph has ONNX opset {opset} and int8 needs {OPSET}: export it with opset {OPSET} or newer")


def _remove_output_quantisation(model: onnx.ModelProto) -> float:
    """Remove the quantise-dequantise pair before each output. Returns the greatest quantisation step of them, 1.0 when there is none."""
    steps = [_remove_pair(model.graph, output.name) for output in model.graph.output]
    return max((step for step in steps if step is not None), default=1.0)


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
