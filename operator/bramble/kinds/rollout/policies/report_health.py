"""Nothing is to be done: reports whether the fleet serves the stable version."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import healthy, names, report_rollout, turned_bad, waiting

LOOK_AGAIN = timedelta(seconds=5)


def report_health(seen: Observed, now: datetime) -> Plan | None:
    """Healthy once every reachable node is verified. Without any reachable node nothing is verified, and the fleet is not healthy.

    Nor is it while it serves a version that turned bad after its promotion, and that could not be undone.
    """
    stable = seen.status.stable
    if (update := turned_bad(seen)) is not None:
        return report_rollout(seen, update, now, wake_at=now + LOOK_AGAIN)
    if missing := seen.not_on_stable:
        message = f"waiting for {names(missing)} to {f'serve {stable.ref}' if stable is not None else 'stop serving'}"
        return report_rollout(seen, waiting(seen, reasons.VERIFYING, message), now, wake_at=now + LOOK_AGAIN)
    if seen.fleet.nodes and not seen.nodes.reachable:
        message = "no node of the fleet answers, so nothing can be verified; look at the agents' pods"
        return report_rollout(seen, waiting(seen, reasons.UNREACHABLE, message, degraded=True), now, wake_at=now + LOOK_AGAIN)
    return report_rollout(seen, healthy(seen), now)
