"""The end of a run that succeeded: checks the model, makes a package of it, and writes the result as the last object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.package import MAX_BYTES, File, Lineage, ModelDescription, Package, Variant
from bramble.contracts.runtimes import EXPORTED_NAME, EXPORTS, MODEL, RUNTIMES
from bramble.contracts.store import result_key
from bramble_workloads.errors import SpecError
from bramble_workloads.export import DESCRIPTION
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.base import runtime_named
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.progress import figures
from bramble_workloads.sidecar.trusted import opened

WEIGHTS, SUMMARY = "weights.safetensors", "training.json"


def complete(context: Context, seconds: float) -> bytes:
    """Upload the package and write `result.json`. Returns the content of the result.

    Raises:
        SpecError: the trainer left no model, or its description does not match the model.
        TryAgain: the store did not answer.
    """
    root, out, job = context.run.root, context.run.out, context.job
    description = _description(context.run)
    files = _upload(context, description)
    release = runtime_named(RUNTIMES[0].runtime).release()
    weights = None
    if (out / WEIGHTS).exists():
        with opened(out / WEIGHTS, root) as file:
            weights = context.store.upload_blob(file)[0]
    package = Package(
        **dict(description),
        model=job["model"],
        version=job["version"],
        variant=Variant(name=EXPORTED_NAME, min_runtime=".".join(release.split(".")[:2])),
        files=files,
        lineage=lineage(job),
    )
    content = canonical_json(package)
    if len(content) > MAX_BYTES:
        raise SpecError(f"package.json has {len(content)} bytes of at most {MAX_BYTES}: use fewer or shorter labels")
    context.store.put_blob(content)
    said = summary_of(context)
    result = TrainResult(
        seconds=round(seconds, 3),
        package=document_digest(package),
        weights=weights,
        metrics=said.metrics,
        epochs=said.epochs,
        device=said.device,
        world_size=context.world_size,
    )
    content = canonical_json(result)
    context.store.put(result_key(context.prefix), content)
    return content


def _upload(context: Context, description: ModelDescription) -> dict[str, File]:
    """Check that the graph matches the description, and upload every exported form of the model that the trainer left."""
    files = {}
    for form in EXPORTS:
        if not (context.run.out / form.file).exists():
            continue
        with opened(context.run.out / form.file, context.run.root) as file:
            if form == MODEL:
                Model.load(description, file)
            digest, size = context.store.upload_blob(file)
        files[form.name] = File(sha256=digest, bytes=size, media_type=form.media_type)
    return files


def lineage(job: dict[str, Any]) -> Lineage:
    """The lineage of the model: the fields that the operator states in the job, and the dataset, hyperparameters and seed of this attempt.

    Raises:
        SpecError: the job states a field that a lineage does not have.
    """
    own = {"dataset": job["manifest"], "params": document_digest(job["hyperparameters"]), "seed": job["seed"]}
    try:
        return Lineage.model_validate({**own, **job["lineage"]})
    except ValidationError as error:
        raise SpecError(f"job.lineage: {problems_of(error)}") from error


def _description(run: RunFolder) -> ModelDescription:
    for name in (MODEL.file, DESCRIPTION):
        if not (run.out / name).is_file():
            raise SpecError(f"the trainer ended with code 0 but wrote no {name} to $BRAMBLE_OUT: call bramble_workloads.export at its end")
    try:
        with opened(run.out / DESCRIPTION, run.root) as file:
            return ModelDescription.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise SpecError(f"$BRAMBLE_OUT/{DESCRIPTION}: {problems_of(error)}") from error


class Summary(NamedTuple):
    """The metrics and other figures that the training program reports."""

    metrics: dict[str, float]
    epochs: int
    device: str


def summary_of(context: Context) -> Summary:
    """Read the program's summary file or, without one, its last line of progress. Values of a wrong type are left out."""
    run = context.run
    found, name = _parsed(_content(run.out / SUMMARY, run)), "epochs"
    if found is None:
        lines = reversed(_content(run.progress, run).splitlines())
        found, name = next((each for line in lines if (each := _parsed(line)) is not None), {}), "epoch"
    epochs, device = found.get(name), found.get("device")
    return Summary(figures(found.get("metrics")), epochs if isinstance(epochs, int) else 0, device if isinstance(device, str) else "")


def _content(path: Path, run: RunFolder) -> bytes:
    if not path.is_file():
        return b""
    with opened(path, run.root) as file:
        return file.read_bytes()


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
