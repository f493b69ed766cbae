"""What the package had to reach."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import GATES_FAILED, ended, outcome, told_gates


def gates(seen: Observed, now: datetime) -> Plan | None:
    """A missed gate ends the run: the package is kept, no ModelVersion is made."""
    evaluation = seen.status.evaluation
    if evaluation is None or all(gate.passed for gate in evaluation.gates):
        return None
    message = f"{told_gates(evaluation)}. The package is kept, no ModelVersion is made: train better, or make a run with other gates"
    final = outcome(GATES_FAILED, message, now)
    return remember(seen.run, ended(final, evaluation), now, outcome=final)
