"""The package missed a gate."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.describe import describe_gates
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import GATES_FAILED, outcome, run_ended


def gates(seen: Observed, now: datetime) -> Plan | None:
    """End the run. The package is kept, and no ModelVersion is made."""
    evaluation = seen.status.evaluation
    if evaluation is None or all(gate.passed for gate in evaluation.gates):
        return None
    message = f"{describe_gates(evaluation)}. The package is kept, no ModelVersion is made: train better, or make a run with other gates"
    final = outcome(GATES_FAILED, message, now)
    return remember(seen.run, run_ended(final, evaluation), now, outcome=final)
