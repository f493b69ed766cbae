"""An attempt that is over has left output that was not known when it was charged."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, remember
from bramble.kinds.trainingrun.kept_output import advice, output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import run_ended


def note_output(seen: Observed, now: datetime) -> Plan | None:
    """Remember it. The sidecar uploads the output of a failed attempt after its cause, while the pod ends."""
    if seen.late_output is None:
        return None
    output, ended = output_seen(seen.late_output), seen.status.outcome
    if ended is None:
        return remember(seen.run, StatusUpdate(seen.status.phase, ()), now, kept_output=output)
    final = ended.model_copy(update={"message": f"{ended.message}. {advice(output, seen.run.metadata.name)}"})
    return remember(seen.run, run_ended(final, seen.status.evaluation), now, kept_output=output, outcome=final)
