"""A result of the same inputs that is in the store already."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.contracts.jobs.train import TrainResult
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import image_of
from bramble.kinds.trainingrun.status import TRAINED, package_of, under_way


def reuse(seen: Observed, now: datetime) -> Plan | None:
    """Take it in place of a first attempt: after a restored cluster nobody should pay for the same training again."""
    if seen.status.attempt > 0 or seen.status.package is not None or seen.filed is None:
        return None
    result = seen.filed.result
    if not isinstance(result, TrainResult):
        return None
    message = f"package {short(result.package)} of the same inputs was in the store already: nothing to train"
    stated = under_way(seen.status, "Evaluating", TRAINED, message)
    return remember(seen.run, stated, now, package=package_of(result, image_of(seen)))
