"""The ModelVersion controller."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.modelversion import OVER, Status
from bramble.kinds.controller import Controller
from bramble.kinds.modelversion.gather import gather
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.plan import plan
from bramble.kube.resources import FLEET, MODEL_VERSION, TRAINING_RUN, Key, Manifest


def depends_on(version: Manifest) -> Iterable[Key]:
    """The TrainingRun until its digests are pinned, then the Fleets whose boards are not measured yet.

    A Rollout is not named here: its controller wakes the versions that it uses.
    """
    status, spec, namespace = version.get("status") or {}, version.get("spec") or {}, version["metadata"]["namespace"]
    if not status.get("lineage"):
        name = ((spec.get("source") or {}).get("trainingRunRef") or {}).get("name")
        if name:
            yield Key(TRAINING_RUN.kind, namespace, name)
        return
    targets = status.get("benchmarks") or ()
    over = {(target.get("fleet"), target.get("board")) for target in targets if target.get("state") in OVER}
    open_ = (wanted for wanted in spec.get("benchmark") or () if (wanted.get("fleet"), wanted.get("board")) not in over)
    for fleet in sorted({str(wanted.get("fleet")) for wanted in open_}):
        yield Key(FLEET.kind, "", fleet)


CONTROLLER: Controller[Observed | Unusable] = Controller(MODEL_VERSION, gather, plan, depends_on, Status.MEMORY)
