"""What a Dataset needs next. Pure."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import Invalid
from bramble.kinds.dataset.observed import Seen
from bramble.kinds.dataset.policies.answer_request import answer_request
from bramble.kinds.dataset.policies.attempt import attempt
from bramble.kinds.dataset.policies.deleted import deleted
from bramble.kinds.dataset.policies.given_up import given_up
from bramble.kinds.dataset.policies.new_inputs import new_inputs
from bramble.kinds.dataset.policies.settled import settled
from bramble.kinds.dataset.policies.stale_children import stale_children
from bramble.kinds.dataset.policies.store import store
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import INVALID_SPEC, report

POLICIES = (deleted, answer_request, new_inputs, stale_children, settled, given_up, store, attempt)


def plan(seen: Seen, now: datetime) -> Plan:
    """The first policy with an opinion decides; each is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, not_snapshotted(INVALID_SPEC, seen.problem, failed=True), now)
    return next((verdict for policy in POLICIES if (verdict := policy(seen, now)) is not None), NOTHING)
