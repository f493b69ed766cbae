"""An attempt that left a result."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.ends import ended_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import image_of
from bramble.kinds.trainingrun.state import Trained, state_of
from bramble.kinds.trainingrun.status import TRAINED, last_progress, package_of, under_way


def trained(seen: Observed, now: datetime) -> Plan | None:
    """File the result under its inputs, so that nobody trains the same again; then remember the package."""
    state = state_of(seen, now)
    if not isinstance(state, Trained):
        return None
    if seen.filed_key and seen.filed is None:
        return Plan(items=(FileResult(seen.run.metadata.namespace, seen.filed_key, state.content),), wake_at=now)
    message = f"attempt {seen.status.attempt} gave package {short(state.result.package)} after {state.result.epochs} epochs"
    stated = under_way(seen.status, "Evaluating", TRAINED, message)
    memory = ended_attempt(seen, now) | {"stalls": 0, "package": package_of(state.result, image_of(seen))}
    heard = seen.attempt.progress if seen.attempt is not None else None
    progress = last_progress(state.result, heard, seen.status.progress)
    return remember(seen.run, stated, now, progress=progress, **memory)
