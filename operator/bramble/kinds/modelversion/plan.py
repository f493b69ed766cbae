"""What a ModelVersion needs next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bramble.kinds.jobs.outlived import next_due
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.policies.answer_request import answer_request
from bramble.kinds.modelversion.policies.benchmark import benchmark
from bramble.kinds.modelversion.policies.convert import convert
from bramble.kinds.modelversion.policies.delete_stale_children import delete_stale_children
from bramble.kinds.modelversion.policies.deletion import deletion
from bramble.kinds.modelversion.policies.finalizer import finalizer
from bramble.kinds.modelversion.policies.pin_source import pin_source
from bramble.kinds.modelversion.policies.wait_for_store import wait_for_store
from bramble.kinds.modelversion.status import no_source, report_version
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import INVALID_SPEC

Policy = Callable[[Observed, datetime], Plan | None]

POLICIES: tuple[Policy, ...] = (
    deletion, finalizer, answer_request, delete_stale_children, pin_source, wait_for_store, convert, benchmark,
)  # fmt: skip


def plan(seen: Observed | Unusable, now: datetime) -> Plan:
    """The plan of the first policy that has one. Each policy is a file under policies/ with its own table of tests."""
    if isinstance(seen, Unusable):
        return deletion(seen, now) or finalizer(seen, now) or report_version(seen, no_source(INVALID_SPEC, seen.version.problem), now)
    found = next((plan for policy in POLICIES if (plan := policy(seen, now)) is not None), NOTHING)
    return found.no_later_than(next_due(seen.outlived, now))
