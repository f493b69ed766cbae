"""Exports a torch module as an ONNX file, in float32 with a batch of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import SpecError
from bramble_workloads.runtimes.exporter import Exporter

if TYPE_CHECKING:
    import torch


class OnnxExporter(Exporter):
    """Uses torch's own exporter, which writes the graph with onnxscript."""

    def write(self, module: torch.nn.Module, example: torch.Tensor, description: ModelDescription, path: Path) -> None:
        import torch

        program = torch.onnx.export(
            module,
            (example,),
            None,
            input_names=[description.input.tensor.name],
            output_names=[output.name for output in description.outputs],
            dynamo=True,
            verbose=False,
        )
        if program is None:
            raise SpecError("export: torch returned no ONNX program for this module")
        program.save(path, external_data=False)


EXPORTER = OnnxExporter()
