"""What the two versions of an undo were made from, for its incident report."""

from __future__ import annotations

import json

from bramble.api.modelversion import KIND as MODEL_VERSION_KIND
from bramble.api.objects import Invalid, Object, parse
from bramble.api.rollout import Spec, Status
from bramble.api.trainingrun import KIND as TRAINING_RUN_KIND
from bramble.kinds.rollout.incident.incident import Origin
from bramble.kinds.sources import Sources
from bramble.kube.resources import MODEL_VERSION, TRAINING_RUN


async def gather_origins(rollout: Object[Spec, Status], sources: Sources) -> dict[str, Origin]:
    """Name of a ModelVersion to what it was made from, for both versions of an undo that is not filed yet. Versions that are gone are
    left out.
    """
    decision = rollout.status.decision
    if decision is None or rollout.status.decision_filed or decision.get("action") != "Undo":
        return {}
    names = [name for name in (decision.get("stable"), decision.get("candidate")) if name]
    found = {name: await _origin(name, rollout.metadata.namespace, sources) for name in names}
    return {name: origin for name, origin in found.items() if origin is not None}


async def _origin(name: str, namespace: str, sources: Sources) -> Origin | None:
    manifest = await sources.get(MODEL_VERSION, namespace, name)
    version = parse(MODEL_VERSION_KIND, manifest) if manifest is not None else None
    if version is None or isinstance(version, Invalid):
        return None
    origin = {f"package on {target.fleet}/{target.board}": target.package for target in version.status.targets}
    lineage = version.status.lineage
    if lineage is None:
        return origin
    origin |= {
        "training run": lineage.training_run,
        "exported package": lineage.package,
        "dataset version": lineage.dataset,
        "training image": lineage.image,
    }
    manifest = await sources.get(TRAINING_RUN, namespace, lineage.training_run) if lineage.training_run else None
    run = parse(TRAINING_RUN_KIND, manifest) if manifest is not None else None
    if run is None or isinstance(run, Invalid) or run.metadata.uid != lineage.training_run_uid:
        return origin
    parameters = {f"hyperparameters.{name}": json.dumps(value, sort_keys=True) for name, value in run.spec.hyperparameters.items()}
    return {**origin, "dataset": run.spec.dataset_ref.name, **parameters}
