"""The end of a run that went well: the model is checked, becomes a package, and the result is written last."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError

from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.jobs import TrainResult
from bramble.contracts.package import MAX_BYTES, File, Lineage, ModelDescription, Package, Variant
from bramble.contracts.store import result_key
from bramble_workloads.errors import SpecError
from bramble_workloads.export import DESCRIPTION, MODEL
from bramble_workloads.job import describe
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.processing.model import Model
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trusted import opened

ONNX, SAFETENSORS = "application/onnx", "application/vnd.safetensors"
VARIANT = "onnx-fp32"
WEIGHTS, SUMMARY = "weights.safetensors", "training.json"


def complete(context: Context, seconds: float) -> bytes:
    """Upload the package and write `result.json`; its content.

    Raises:
        SpecError: the trainer left no model, or one that its description does not fit.
        TryAgain: the store did not answer.
    """
    root, out, job = context.run.root, context.run.out, context.job
    description = _description(context.run)
    with opened(out / MODEL, root) as model:
        Model.load(description, model)
        digest, size = context.store.upload_blob(model)
    weights = None
    if (out / WEIGHTS).exists():
        with opened(out / WEIGHTS, root) as file:
            weights = context.store.upload_blob(file)[0]
    package = Package(
        **dict(description),
        model=job["model"],
        version=job["version"],
        variant=Variant(name=VARIANT, min_runtime=".".join(version("onnxruntime").split(".")[:2])),
        files={"model": File(sha256=digest, bytes=size, media_type=ONNX)},
        lineage=lineage(job),
    )
    content = canonical_json(package)
    if len(content) > MAX_BYTES:
        raise SpecError(f"package.json has {len(content)} bytes of at most {MAX_BYTES}: use fewer or shorter labels")
    context.store.put_blob(content)
    told = _told(context)
    result = TrainResult(
        seconds=round(seconds, 3),
        package=document_digest(package),
        weights=weights,
        metrics={str(name): float(value) for name, value in told.get("metrics", {}).items()},
        epochs=int(told.get("epochs", 0)),
        device=str(told.get("device", "")),
        world_size=context.world_size,
    )
    content = canonical_json(result)
    context.store.put(result_key(context.prefix), content)
    return content


def lineage(job: dict[str, Any]) -> Lineage:
    """Where the model came from: what the operator knows, and what this attempt was given.

    Raises:
        SpecError: the operator names something that a lineage does not have.
    """
    own = {"dataset": job["manifest"], "params": document_digest(job["hyperparameters"]), "seed": job["seed"]}
    try:
        return Lineage.model_validate({**own, **job["lineage"]})
    except ValidationError as error:
        raise SpecError(f"job.lineage: {describe(error)}") from error


def _description(run: RunFolder) -> ModelDescription:
    for name in (MODEL, DESCRIPTION):
        if not (run.out / name).is_file():
            raise SpecError(f"the trainer ended with code 0 and left no {name} in $BRAMBLE_OUT: call bramble_workloads.export at its end")
    try:
        with opened(run.out / DESCRIPTION, run.root) as file:
            return ModelDescription.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise SpecError(f"$BRAMBLE_OUT/{DESCRIPTION}: {describe(error)}") from error


def _told(context: Context) -> dict[str, Any]:
    """What the program says came of it: its summary, or else its last line of progress."""
    summary = context.run.out / SUMMARY
    if summary.is_file():
        with opened(summary, context.run.root) as file:
            told: dict[str, Any] = json.loads(file.read_bytes())
        return told
    lines = []
    if context.run.progress.is_file():
        with opened(context.run.progress, context.run.root) as file:
            lines = file.read_text().splitlines()
    for line in reversed(lines):
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        return {"metrics": found.get("metrics", {}), "epochs": found.get("epoch", 0), "device": found.get("device", "")}
    return {}
