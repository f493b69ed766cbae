"""ModelVersion as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.modelversion import Status
from bramble.kinds.controller import Controller
from bramble.kinds.modelversion.gather import gather
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.plan import plan
from bramble.kube.resources import FLEET, MODEL_VERSION, TRAINING_RUN, Key, Manifest


def depends_on(version: Manifest) -> Iterable[Key]:
    """The TrainingRun until its digests are pinned, then the Fleets whose boards are not measured yet. Rollouts wake what they use."""
    status, spec, namespace = version.get("status") or {}, version.get("spec") or {}, version["metadata"]["namespace"]
    if not status.get("lineage"):
        name = ((spec.get("source") or {}).get("trainingRunRef") or {}).get("name")
        if name:
            yield Key(TRAINING_RUN.kind, namespace, name)
        return
    works = status.get("benchmarks") or ()
    over = {(work.get("fleet"), work.get("board")) for work in works if work.get("state") in ("Measured", "Failed")}
    open_ = (target for target in spec.get("benchmark") or () if (target.get("fleet"), target.get("board")) not in over)
    for fleet in sorted({str(target.get("fleet")) for target in open_}):
        yield Key(FLEET.kind, "", fleet)


CONTROLLER: Controller[Observed | Unusable] = Controller(MODEL_VERSION, gather, plan, depends_on, Status.MEMORY)
