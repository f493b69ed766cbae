"""What a ModelVersion needs next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.policies.answer_request import answer_request
from bramble.kinds.modelversion.policies.benchmark import benchmark
from bramble.kinds.modelversion.policies.convert import convert
from bramble.kinds.modelversion.policies.hold import hold
from bramble.kinds.modelversion.policies.pin import pin
from bramble.kinds.modelversion.policies.release import release
from bramble.kinds.modelversion.policies.store import store
from bramble.kinds.modelversion.policies.strays import strays
from bramble.kinds.modelversion.status import waiting
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import INVALID_SPEC, report

Policy = Callable[[Observed, datetime], Plan | None]

POLICIES: tuple[Policy, ...] = (release, hold, answer_request, strays, pin, store, convert, benchmark)


def plan(seen: Observed | Unusable, now: datetime) -> Plan:
    """The first policy with an opinion decides; each is a file under policies/ with its own table of tests."""
    if isinstance(seen, Unusable):
        return release(seen, now) or hold(seen, now) or _unusable(seen, now)
    return next((verdict for policy in POLICIES if (verdict := policy(seen, now)) is not None), NOTHING)


def _unusable(seen: Unusable, now: datetime) -> Plan:
    return report(seen.version, waiting(INVALID_SPEC, seen.version.problem), now, fields={"used_by": seen.used_by})
