"""A version that the fleet does not run: try it, once the nodes are back on the stable one."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.next_step import enter
from bramble.kinds.rollout.stating import act, keep, names, progressing, undone, waiting

LOOK_AGAIN = timedelta(seconds=5)
STORE_AGAIN = timedelta(seconds=30)
"""A store tells nobody that it is back."""


def begin(seen: Observed, now: datetime) -> Plan | None:
    """Start a new attempt with a new seed, or say what it waits for."""
    status = seen.status
    if status.candidate is not None:
        return None
    if status.undone is not None:
        return act(seen, undone(seen, status.undone.message), now, wake_at=now + LOOK_AGAIN if behind(seen) else None)
    if seen.wanted_hold is not None:
        degraded = seen.wanted_hold.reason not in {"ModelVersionMissing", "ModelVersionNotReady", "FleetMissing"}
        again = now + STORE_AGAIN if seen.wanted_hold.reason in {"StoreRefused", "StoreUnavailable"} else None
        return act(seen, waiting(seen, seen.wanted_hold.reason, seen.wanted_hold.message, degraded=degraded), now, wake_at=again)
    wanted = seen.wanted
    if wanted is None or (status.stable is not None and status.stable.uid == wanted.uid):
        return None
    if not seen.fleet.nodes:
        message = f"Fleet {seen.fleet.name!r} has no node yet; label nodes so that its nodeSelector and one of its boards match"
        return act(seen, waiting(seen, "NoNodes", message), now)
    if missing := returning(seen):
        back = "be back on the stable version" if status.stable is not None else "stop serving"
        message = f"waiting for {names(missing)} to {back} before {wanted.ref} is tried"
        return act(seen, waiting(seen, "Returning", message), now, wake_at=now + LOOK_AGAIN)
    attempt = status.attempt + 1
    stated = progressing(seen, "Started", f"attempt {attempt}: {wanted.ref} is tried on fleet {seen.fleet.name}")
    return keep(
        seen,
        stated,
        now,
        attempt=attempt,
        candidate=wanted,
        seed=f"{seen.metadata.uid}/{attempt}",
        decision=None,
        analysis=None,
        **enter(seen, 0),
    )


def returning(seen: Observed) -> set[str]:
    """Nodes that are awaited. One that says why it cannot serve the stable version (a full disk) holds up nobody else's next one."""
    return {node for node in behind(seen) if node not in seen.running or not seen.running[node].message}


def behind(seen: Observed) -> set[str]:
    """Reachable nodes that should serve the stable version, and do not; where there is none, those that serve anything of this Rollout.

    A board that the stable version has no package for serves nothing.
    """
    stable = seen.status.stable
    if stable is None:
        return seen.serving_ours()
    return {node for node in seen.reachable - seen.verified(stable) if seen.fleet.nodes.get(node) in stable.packages}
