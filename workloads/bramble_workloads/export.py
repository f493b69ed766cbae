"""Writes a trained torch module as `model.onnx` and `package.json` to `$BRAMBLE_OUT`: one call for every training script."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bramble.contracts.canonical import canonical_json
from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import SpecError

if TYPE_CHECKING:
    import torch

MODEL, DESCRIPTION = "model.onnx", "package.json"


def export(module: torch.nn.Module, example: torch.Tensor, spec: ModelDescription, out: Path | None = None) -> None:
    """Write the graph in float32 with a batch of one, and its description.

    Args:
        module: takes one tensor and gives the outputs of `spec`, in that order. It is put into evaluation mode.
        example: a tensor of the type and shape of `spec.input.tensor`; its values do not matter.
        spec: what the model takes and gives; names and shapes must be the graph's.
        out: folder; `$BRAMBLE_OUT` unless given.

    Raises:
        SpecError: `spec` does not describe the module's graph, or its operations cannot give the tensor.
    """
    import torch

    if tuple(example.shape) != spec.input.tensor.shape:
        raise SpecError(f"export: the example has shape {list(example.shape)}, spec.input.tensor {list(spec.input.tensor.shape)}")
    folder = Path(os.environ["BRAMBLE_OUT"]) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        module.eval(),
        (example,),
        None,
        input_names=[spec.input.tensor.name],
        output_names=[output.name for output in spec.outputs],
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise SpecError("export: torch gave no ONNX program for this module")
    aside = folder / f"{MODEL}.tmp"
    program.save(aside, external_data=False)
    if find_spec("onnxruntime"):  # a user's image may lack it; then only the sidecar makes this check
        from bramble_workloads.processing.model import Model

        Model.load(spec, aside)
    aside.replace(folder / MODEL)
    (folder / DESCRIPTION).write_bytes(canonical_json(spec))
