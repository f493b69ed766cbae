"""What a Dataset needs next. Pure."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import Invalid
from bramble.kinds.dataset.observed import Seen
from bramble.kinds.dataset.policies.answer_request import answer_request
from bramble.kinds.dataset.policies.delete_stale_children import delete_stale_children
from bramble.kinds.dataset.policies.deleted import deleted
from bramble.kinds.dataset.policies.given_up import given_up
from bramble.kinds.dataset.policies.new_inputs import new_inputs
from bramble.kinds.dataset.policies.recorded import recorded
from bramble.kinds.dataset.policies.snapshot import snapshot
from bramble.kinds.dataset.policies.wait_for_store import wait_for_store
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.jobs.outlived import next_due
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import INVALID_SPEC, report

POLICIES = (deleted, answer_request, new_inputs, delete_stale_children, recorded, given_up, wait_for_store, snapshot)


def plan(seen: Seen, now: datetime) -> Plan:
    """The plan of the first policy that has one. Each policy is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, not_snapshotted(INVALID_SPEC, seen.problem, failed=True), now)
    found = next((plan for policy in POLICIES if (plan := policy(seen, now)) is not None), NOTHING)
    return found.no_later_than(next_due(seen.outlived, now))
