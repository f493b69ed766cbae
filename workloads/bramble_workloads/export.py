"""Writes a trained torch module as `model.onnx` and `package.json` to `$BRAMBLE_OUT`: one call for every training script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bramble.contracts.canonical import canonical_json
from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import EXPORTS, MODEL, RUNTIMES
from bramble_workloads.errors import SpecError
from bramble_workloads.runtimes.exporter import exporter_of

if TYPE_CHECKING:
    import torch

DESCRIPTION = "package.json"


def export(module: torch.nn.Module, example: torch.Tensor, spec: ModelDescription, out: Path | None = None) -> None:
    """Write the module in every form that converters start from, with a batch of one, and its description.

    Args:
        module: the trained module. It takes one tensor and returns the outputs of `spec`, in that order. It is put into evaluation mode.
        example: a tensor of the type and shape of `spec.input.tensor`; its values do not matter.
        spec: the description of the model's inputs and outputs. Its names and shapes must be those of the graph.
        out: the folder to write to; `$BRAMBLE_OUT` if None.

    Raises:
        SpecError: `spec` does not describe the module's graph, or its operations do not produce the input tensor.
    """
    if tuple(example.shape) != spec.input.tensor.shape:
        raise SpecError(f"export: the shapes of example {list(example.shape)} and spec.input.tensor {list(spec.input.tensor.shape)} differ")
    folder = Path(os.environ["BRAMBLE_OUT"]) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    for form in EXPORTS:
        aside = folder / f"{form.file}.tmp"
        exporter_of(form).write(module.eval(), example, spec, aside)
        if form == MODEL:
            _check(spec, aside)
        aside.replace(folder / form.file)
    (folder / DESCRIPTION).write_bytes(canonical_json(spec))


def _check(spec: ModelDescription, graph: Path) -> None:
    """Load the graph as a device does. A user's image may lack the libraries for this; then only the sidecar makes this check.

    Raises:
        SpecError: the graph does not match the description.
    """
    try:
        from bramble_workloads.processing.model import Model
        from bramble_workloads.runtimes.base import runtime_named

        runtime_named(RUNTIMES[0].runtime)
    except ModuleNotFoundError:
        return
    Model.load(spec, graph)
