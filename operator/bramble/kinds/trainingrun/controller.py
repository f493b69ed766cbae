"""What the engine needs to know of a TrainingRun."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.modelversion import object_name
from bramble.api.objects import Invalid
from bramble.api.trainingrun import Status
from bramble.kinds.controller import Controller
from bramble.kinds.trainingrun.engines.catalogue import ENGINES
from bramble.kinds.trainingrun.gather import gather
from bramble.kinds.trainingrun.kept_output import awaited_run
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.plan import plan
from bramble.kube.resources import DATASET, MODEL_VERSION, NODE, TRAINING_RUN, Key, Manifest

ANY = "*"


def depends_on(run: Manifest) -> Iterable[Key]:
    """Which objects wake the run: its Dataset, and the run whose output it packages, until they are pinned, all nodes during an attempt,
    and the ModelVersion until it is made.
    """
    status, spec, namespace = run.get("status") or {}, run.get("spec") or {}, run["metadata"]["namespace"]
    if status.get("outcome"):
        return
    if not status.get("dataset") and (name := (spec.get("datasetRef") or {}).get("name")):
        yield Key(DATASET.kind, namespace, name)
    if name := awaited_run(run):
        yield Key(TRAINING_RUN.kind, namespace, name)
    if status.get("current"):
        yield Key(NODE.kind, "", ANY)
    template = spec.get("modelVersion") or {}
    if status.get("evaluation") and template:
        yield Key(MODEL_VERSION.kind, namespace, object_name(template.get("model", ""), template.get("version", "")))


CONTROLLER: Controller[Observed | Invalid[Status]] = Controller(
    TRAINING_RUN,
    gather,
    plan,
    depends_on,
    Status.MEMORY,
    children=tuple(resource for engine in ENGINES for resource in engine.more_resources),
)
