"""A package's graph in ONNX Runtime: loaded, compared with its description, and run. The one way that any step runs a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from bramble.contracts.package import ModelDescription, Package
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.processing.postprocess import Classified, classify, logits_output
from bramble_workloads.processing.preprocess import Preprocessor

Floats = NDArray[np.float32]
Dimensions = tuple[int | str | None, ...]
Typed = tuple[str, Dimensions]

ORT_TYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int64)": "int64"}
LOG_ERROR = 3

# The runtime's exceptions have no common base of their own below Exception.
RUNTIME_ERRORS = (
    runtime.EPFail,
    runtime.EngineError,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.ModelRequiresCompilation,
    runtime.NoModel,
    runtime.NoSuchFile,
    runtime.NotFound,
    runtime.NotImplemented,
    runtime.RuntimeException,
)


class Prediction(NamedTuple):
    """One picture's answer, and what the graph gave by output name."""

    classified: Classified
    outputs: dict[str, Floats]


class Model:
    """A loaded model. `predict` is safe for several threads at once; each caller blocks while the graph runs (without the GIL)."""

    def __init__(self, description: ModelDescription, session: onnxruntime.InferenceSession) -> None:
        self.description = description
        self.preprocessor = Preprocessor(description)
        self._logits = logits_output(description)
        self._session = session
        self._outputs = [output.name for output in description.outputs]

    @classmethod
    def load(cls, description: ModelDescription, graph: Path | bytes, threads: int | None = None) -> Self:
        """Load a graph from a file, which the caller has verified, or from its bytes.

        Args:
            description: what it takes and gives; a `Package` also states the runtime and the threads.
            graph: the ONNX file; large ones are better given as a path, which needs no second copy in memory.
            threads: of one run; default: the package's `serving.threads`, else 1.

        Raises:
            DescriptionError: the runtime is older than the package asks, refuses the graph, or names and shapes
                differ from the description.
        """
        if isinstance(description, Package):
            require_runtime(description)
            threads = threads or description.serving.threads
        try:
            session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph), session_options(threads or 1), providers=["CPUExecutionProvider"]
            )
        except RUNTIME_ERRORS as error:
            raise DescriptionError(f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {_first_line(error)}") from error
        compare(description, session)
        return cls(description, session)

    def run(self, tensor: Floats) -> dict[str, Floats]:
        """The graph on one tensor: outputs by name, float32 in the package's shapes.

        Raises:
            ModelFault: the runtime fails, or an output has another shape than the package states.
        """
        try:
            values = self._session.run(self._outputs, {self.description.input.tensor.name: tensor})
        except RUNTIME_ERRORS as error:
            raise ModelFault(f"ONNX Runtime fails on a tensor of shape {list(tensor.shape)}: {_first_line(error)}") from error
        for output, value in zip(self.description.outputs, values, strict=True):
            if value.shape != output.shape:
                raise ModelFault(f"output {output.name!r} has shape {list(value.shape)}; the package states {list(output.shape)}")
        return dict(zip(self._outputs, values, strict=True))

    def predict(self, content: bytes) -> Prediction:
        """Decode, preprocess, run and decode the answer of one picture.

        Raises:
            InputError: the picture cannot be processed.
            ModelFault: the graph fails or gives numbers that are not finite.
        """
        return self.answer(self.run(self.preprocessor(content)))

    def answer(self, outputs: Mapping[str, Floats]) -> Prediction:
        """What these outputs mean."""
        return Prediction(classify(self.description.postprocess, outputs[self._logits][0]), dict(outputs))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Deterministic and modest: a device serves several models and other programs on few cores, so idle threads do not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # x86 processors without VNNI would saturate 16-bit sums of int8 products and answer otherwise than boards do; no effect elsewhere.
    # https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#when-and-why-do-i-need-to-try-u8u8
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def require_runtime(package: Package) -> None:
    """Raises DescriptionError: this ONNX Runtime is older than the package's `variant.minRuntime`."""
    wanted, present = package.variant.min_runtime, onnxruntime.__version__
    try:
        too_old = _release(present) < _release(wanted)
    except ValueError:
        raise DescriptionError(f"variant.minRuntime is {wanted!r}: write a release number such as 1.31") from None
    if too_old:
        raise DescriptionError(f"the package needs ONNX Runtime {wanted} and this image has {present}: update the image")


def compare(description: ModelDescription, session: onnxruntime.InferenceSession) -> None:
    """Names, types and shapes of the graph against the description.

    Raises:
        DescriptionError: they differ; the message states both.
    """
    tensor = description.input.tensor
    promised: dict[str, Typed] = {tensor.name: (tensor.dtype, tensor.shape)}
    _same("input", promised, {node.name: (ORT_TYPES.get(node.type, node.type), tuple(node.shape)) for node in session.get_inputs()})
    promised = {output.name: (output.dtype, output.shape) for output in description.outputs}
    _same("output", promised, {node.name: (ORT_TYPES.get(node.type, node.type), tuple(node.shape)) for node in session.get_outputs()})


def _same(side: str, promised: Mapping[str, Typed], found: Mapping[str, Typed]) -> None:
    if set(promised) != set(found):
        raise DescriptionError(f"the graph's {side}s are {', '.join(sorted(found))}; the package states {', '.join(sorted(promised))}")
    for name, (dtype, shape) in promised.items():
        if found[name][0] != dtype or not _fits(found[name][1], shape):
            there = f"{found[name][0]} {list(found[name][1])}"
            raise DescriptionError(f"the graph's {side} {name!r} is {there}; the package states {dtype} {list(shape)}")


def _fits(graph: Dimensions, stated: Dimensions) -> bool:
    """A dimension that the graph leaves open (a name or None) fits any size."""
    return len(graph) == len(stated) and all(
        not isinstance(ours, int) or ours == theirs for ours, theirs in zip(graph, stated, strict=True)
    )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:3])


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
