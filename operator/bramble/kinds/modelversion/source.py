"""Reads the source of a ModelVersion: a TrainingRun, or a package in the store."""

from __future__ import annotations

from pydantic import ValidationError

from bramble.api.conditions import find
from bramble.api.modelversion import LineageSeen, Spec
from bramble.api.trainingrun import Status as RunStatus
from bramble.contracts.base import first_problem
from bramble.contracts.canonical import digest_of
from bramble.contracts.package import MAX_BYTES, Package
from bramble.contracts.store import blob_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.kinds.blockers import Blocker
from bramble.kinds.modelversion.status import SOURCE_MISSING, SOURCE_NOT_READY, SOURCE_REFUSED
from bramble.kinds.sources import Sources
from bramble.kube.resources import TRAINING_RUN, Manifest


async def read_source(spec: Spec, namespace: str, sources: Sources) -> LineageSeen | Blocker:
    """Read the lineage, or say why it cannot be read yet.

    Raises:
        bramble.errors.StoreUnavailable: the store did not answer.
        bramble.errors.StoreRefused: the store refuses the key.
    """
    if spec.source.training_run_ref is not None:
        name = spec.source.training_run_ref.name
        manifest = await sources.get(TRAINING_RUN, namespace, name)
        if manifest is None:
            missing = f"spec.source.trainingRunRef.name: there is no TrainingRun {name} in namespace {namespace}; create it"
            return Blocker(SOURCE_MISSING, missing)
        return of_run(name, manifest)
    digest = spec.source.package.digest if spec.source.package is not None else ""
    content = await sources.fetch(namespace, blob_key(digest), MAX_BYTES)
    if content is None:
        return Blocker(SOURCE_MISSING, f"spec.source.package.digest: the store has no package {digest}; upload it with all its blobs")
    return of_package(digest, content)


def of_run(name: str, manifest: Manifest) -> LineageSeen | Blocker:
    """The lineage of a TrainingRun that has passed its gates, or why there is none."""
    status = RunStatus.model_validate(manifest.get("status") or {})
    evaluation = status.evaluation
    if evaluation is not None and not all(gate.passed for gate in evaluation.gates):
        return Blocker(SOURCE_REFUSED, f"TrainingRun {name} missed a gate, so its model gives no version; see its condition GatesPassed")
    if status.package is None or status.dataset is None or evaluation is None:
        ready = find(status.conditions, "Ready")
        why = f": {ready['message']}" if ready is not None else ""
        return Blocker(SOURCE_NOT_READY, f"TrainingRun {name} has no evaluated package yet{why}")
    return LineageSeen(
        training_run=name,
        training_run_uid=manifest["metadata"]["uid"],
        package=status.package.digest,
        dataset=status.dataset.version,
        image=status.package.image,
    )


def of_package(digest: str, content: bytes) -> LineageSeen | Blocker:
    """The lineage that a package names, or why the package cannot be used."""
    if digest_of(content) != digest:
        return Blocker(SOURCE_REFUSED, f"spec.source.package.digest: the store has other bytes under {digest}: upload the package again")
    try:
        package = parse_untrusted(Package, content, MAX_BYTES)
    except ValidationError as error:
        why = first_problem(error, whole="document")
        return Blocker(SOURCE_REFUSED, f"spec.source.package.digest: {digest} is not a package that this operator knows: {why}")
    if package.lineage.dataset is None:
        message = f"package {digest} names no dataset to validate with; export it with lineage.dataset"
        return Blocker(SOURCE_REFUSED, message)
    run = package.lineage.run or {}
    return LineageSeen(
        training_run=str(run.get("name", "")),
        training_run_uid=str(run.get("uid", "")),
        package=digest,
        dataset=package.lineage.dataset,
        image=package.lineage.image or "",
    )
