"""Decides what a TrainingRun needs next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from bramble.api.objects import Invalid
from bramble.api.trainingrun import Status
from bramble.kinds.jobs.outlived import next_due
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import INVALID_SPEC, report
from bramble.kinds.trainingrun.attempt_state import attempt_state
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.policies.admit import admit
from bramble.kinds.trainingrun.policies.answer_request import answer_request
from bramble.kinds.trainingrun.policies.attempt_fails import attempt_fails
from bramble.kinds.trainingrun.policies.begin import begin
from bramble.kinds.trainingrun.policies.delete_stale_children import delete_stale_children
from bramble.kinds.trainingrun.policies.deleted import deleted
from bramble.kinds.trainingrun.policies.description_changed import description_changed
from bramble.kinds.trainingrun.policies.ended import ended
from bramble.kinds.trainingrun.policies.evaluate import evaluate
from bramble.kinds.trainingrun.policies.gates import gates
from bramble.kinds.trainingrun.policies.hyperparameters_changed import hyperparameters_changed
from bramble.kinds.trainingrun.policies.note_output import note_output
from bramble.kinds.trainingrun.policies.package_output import package_output
from bramble.kinds.trainingrun.policies.publish import publish
from bramble.kinds.trainingrun.policies.release_part import release_part
from bramble.kinds.trainingrun.policies.renew import renew
from bramble.kinds.trainingrun.policies.reuse import reuse
from bramble.kinds.trainingrun.policies.suspended import suspended
from bramble.kinds.trainingrun.policies.take_output import take_output
from bramble.kinds.trainingrun.policies.train import train
from bramble.kinds.trainingrun.policies.trained import trained
from bramble.kinds.trainingrun.policies.wait_for_store import wait_for_store
from bramble.kinds.trainingrun.status import not_admitted

Policy = Callable[[Observed, datetime], Plan | None]

POLICIES: tuple[Policy, ...] = (
    deleted, answer_request, note_output, delete_stale_children, ended, hyperparameters_changed, description_changed,
    trained, suspended, wait_for_store, take_output, package_output, admit, reuse, attempt_fails, begin, renew, release_part, train,
    evaluate, gates, publish,
)  # fmt: skip


def plan(seen: Observed | Invalid[Status], now: datetime) -> Plan:
    """The plan of the first policy that returns one. Each policy is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, not_admitted(seen.status, INVALID_SPEC, seen.problem), now)
    seen = replace(seen, state=attempt_state(seen, now))
    found = next((verdict for policy in POLICIES if (verdict := policy(seen, now)) is not None), NOTHING)
    return found.no_later_than(next_due(seen.outlived, now))
