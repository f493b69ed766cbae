"""The present attempt has left a result."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import short
from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.attempt import Trained
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.images import train_image
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import final_progress, package_of
from bramble.kinds.trainingrun.status import TRAINED, under_way


def trained(seen: Observed, now: datetime) -> Plan | None:
    """File the result under the digest of its inputs, so that nobody trains the same again. Then remember the package."""
    state = seen.state
    if not isinstance(state, Trained):
        return None
    if seen.filed_key and seen.filed is None:
        return Plan(items=(FileResult(seen.run.metadata.namespace, seen.filed_key, state.content),), wake_at=now)
    message = f"attempt {seen.status.attempt} gave package {short(state.result.package)} after {state.result.epochs} epochs"
    update = under_way(seen.status, "Evaluating", TRAINED, message)
    memory = close_attempt(seen, now) | {"stalls": 0, "package": package_of(state.result, train_image(seen))}
    if seen.listing is not None:
        memory["kept_output"] = output_seen(seen.listing)
    progress = final_progress(state.result, seen.progress, seen.status.progress)
    return remember(seen.run, update, now, progress=progress, **memory)
