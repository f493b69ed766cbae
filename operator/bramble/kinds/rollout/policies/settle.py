"""Nothing is to be done: say how things stand."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.begin import behind
from bramble.kinds.rollout.stating import act, healthy, names, waiting

LOOK_AGAIN = timedelta(seconds=5)


def settle(seen: Observed, now: datetime) -> Plan | None:
    """Healthy once every reachable node is verified; a fleet of which nobody answers proves nothing."""
    stable = seen.status.stable
    if missing := behind(seen):
        message = f"waiting for {names(missing)} to {f'serve {stable.ref}' if stable is not None else 'stop serving'}"
        return act(seen, waiting(seen, "Verifying", message), now, wake_at=now + LOOK_AGAIN)
    if seen.fleet.nodes and not seen.reachable:
        message = "no node of the fleet answers: nothing can be verified"
        return act(seen, waiting(seen, "Unreachable", message, degraded=True), now, wake_at=now + LOOK_AGAIN)
    return act(seen, healthy(seen), now)
