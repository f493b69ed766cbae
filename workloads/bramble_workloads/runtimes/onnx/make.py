"""Makes ONNX graphs: the float32 graph is the one that training exported, and the int8 graphs are quantised from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import onnx
import onnxruntime

from bramble.contracts.jobs.convert import VariantSpec
from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import FLOAT32, INT8, ONNX
from bramble_workloads.packaging.output import Output
from bramble_workloads.runtimes.base import Floats, Graph
from bramble_workloads.runtimes.converter import Candidates, Converter, Form, NotConvertible
from bramble_workloads.runtimes.onnx.alternatives import alternatives
from bramble_workloads.runtimes.onnx.external_data import merge
from bramble_workloads.runtimes.onnx.quantize import candidates
from bramble_workloads.runtimes.onnx.releases import least_release
from bramble_workloads.runtimes.onnx.repeatable import require_repeatable


class OnnxConverter(Converter):
    """Converts with ONNX Runtime's own quantiser."""

    contract = ONNX

    def libraries(self) -> dict[str, str]:
        return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}

    def merge(self, exported: Path, name: str, output: Output, whole: BinaryIO) -> bool:
        return merge(exported, name, output, whole)

    def require_repeatable(self, graph: Path, name: str) -> None:
        require_repeatable(graph, name)

    def least_release(self, graph: Path) -> str:
        return least_release(graph)

    def candidates(
        self, exported: Path, description: ModelDescription, variant: VariantSpec, calibration: Iterator[Floats], folder: Path
    ) -> Candidates:
        if variant.precision == FLOAT32.name:
            return {variant.precision: lambda: Form(exported)}
        if variant.precision == INT8.name:
            return candidates(exported, description.input.tensor, calibration, folder)
        raise NotConvertible(f"an ONNX graph in {variant.precision} cannot be made")

    def alternatives(self, form: Form, description: ModelDescription, count: int) -> Iterator[Graph]:
        return alternatives(form, description, count)


CONVERTER = OnnxConverter()
