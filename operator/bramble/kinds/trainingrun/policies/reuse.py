"""The store already has a result of the same inputs."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.contracts.jobs.train import TrainResult
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.images import train_image
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import package_of
from bramble.kinds.trainingrun.status import TRAINED, under_way


def reuse(seen: Observed, now: datetime) -> Plan | None:
    """Take that result and train nothing, so that nobody pays twice for the same training, for example after a cluster was restored."""
    if seen.status.attempt > 0 or seen.status.package is not None or seen.filed is None:
        return None
    result = seen.filed.result
    if not isinstance(result, TrainResult):
        return None
    message = f"package {short(result.package)} of the same inputs was in the store already: nothing to train"
    update = under_way(seen.status, "Evaluating", TRAINED, message)
    output = output_seen(seen.listing) if seen.listing is not None else None
    return remember(seen.run, update, now, kept_output=output, package=package_of(result, train_image(seen)))
