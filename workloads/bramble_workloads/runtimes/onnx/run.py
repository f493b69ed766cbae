"""Loads and runs ONNX graphs with ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import ONNX
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.runtimes.base import Floats, Graph, Port, Runtime, first_line, require_described, require_shapes
from bramble_workloads.runtimes.onnx.one_file import require_one_file

DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int64)": "int64"}
LOG_ERROR = 3

# ONNX Runtime's exceptions have no common base class below Exception.
RUNTIME_ERRORS = (
    state.EPFail,
    state.EngineError,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.ModelRequiresCompilation,
    state.NoModel,
    state.NoSuchFile,
    state.NotFound,
    state.NotImplemented,
    state.RuntimeException,
)


class OnnxGraph(Graph):
    """A session of ONNX Runtime."""

    def __init__(self, description: ModelDescription, session: onnxruntime.InferenceSession) -> None:
        self._description = description
        self._session = session
        self._input = description.input.tensor.name
        self._outputs = [output.name for output in description.outputs]

    def run(self, tensor: Floats) -> dict[str, Floats]:
        try:
            values = self._session.run(self._outputs, {self._input: tensor})
        except RUNTIME_ERRORS as error:
            raise ModelFault(f"ONNX Runtime fails on a tensor of shape {list(tensor.shape)}: {first_line(error)}") from error
        outputs = dict(zip(self._outputs, values, strict=True))
        require_shapes(self._description, outputs)
        return outputs


class OnnxRuntime(Runtime):
    """ONNX Runtime's CPU provider."""

    contract = ONNX

    def release(self) -> str:
        version: str = onnxruntime.__version__
        return version

    def load(self, description: ModelDescription, graph: Path | bytes, threads: int) -> Graph:
        require_one_file(graph)
        content = graph if isinstance(graph, bytes) else str(graph)
        try:
            session = open_session(content, threads)
        except RUNTIME_ERRORS as error:
            raise DescriptionError(f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {first_line(error)}") from error
        require_described(description, _ports(session.get_inputs()), _ports(session.get_outputs()))
        return OnnxGraph(description, session)


RUNTIME = OnnxRuntime()


def open_session(graph: bytes | str, threads: int, *, optimised: bool = True) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU, so that runs are repeatable and leave the processor to others: a board serves several models on few cores.

    Args:
        graph: the content of an ONNX file, or its path.
        threads: how many threads an operator may use.
        optimised: whether ONNX Runtime may replace operators by others, and so remove tensors.
    """
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads sleep
    # x86 processors without VNNI would saturate 16-bit sums of int8 products and so answer otherwise than boards do. No effect elsewhere.
    # https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#when-and-why-do-i-need-to-try-u8u8
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _ports(nodes: Iterable[onnxruntime.NodeArg]) -> dict[str, Port]:
    return {node.name: Port(DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes}
