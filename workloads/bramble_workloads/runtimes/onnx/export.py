"""Exports a torch module as an ONNX file, in float32 with a batch of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import SpecError
from bramble_workloads.runtimes.base import first_line
from bramble_workloads.runtimes.exporter import Exporter

if TYPE_CHECKING:
    import torch


class OnnxExporter(Exporter):
    """Uses torch's own exporter, which writes the graph with onnxscript."""

    def write(self, module: torch.nn.Module, example: torch.Tensor, description: ModelDescription, path: Path) -> None:
        import torch

        try:
            with _plain_attention(module):
                program = torch.onnx.export(
                    module,
                    (example,),
                    None,
                    input_names=[description.input.tensor.name],
                    output_names=[output.name for output in description.outputs],
                    dynamo=True,
                    verbose=False,
                )
        except Exception as error:
            raise SpecError(f"export: torch cannot write this module as an ONNX graph: {_reason(error)}") from error
        if program is None:
            raise SpecError("export: torch returned no ONNX program for this module")
        program.save(path, external_data=False)


@contextmanager
def _plain_attention(module: torch.nn.Module) -> Iterator[None]:
    """Let timm's attention layers compute with plain operators. torch exports its fused attention for tensors of four dimensions only."""
    fused = [part for part in module.modules() if getattr(part, "fused_attn", False)]
    for part in fused:
        setattr(part, "fused_attn", False)  # noqa: B010 - nn.Module has no such attribute for mypy
    try:
        yield
    finally:
        for part in fused:
            setattr(part, "fused_attn", True)  # noqa: B010


def _reason(error: BaseException) -> str:
    """The first line of the error from which all others followed. That of the exporter itself is advice about the exporter."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"


EXPORTER = OnnxExporter()
