"""Whether the devices of a fleet have room for one more model."""

from __future__ import annotations

from bramble.api.objects import Object
from bramble.api.rollout import Spec, Status
from bramble.contracts.report import MAX_RUNNING, OFFLINE_SECONDS
from bramble.kinds.blockers import Blocker
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.arrivals import half
from bramble.kinds.rollout.nodes import FleetSeen
from bramble.kinds.rollout.observed import Written
from bramble.kinds.sources import Devices, Sources
from bramble.kube.resources import ROLLOUT

MAX_OF_NAMESPACE = 16
"""Models of one namespace on a fleet, a quarter of what a device serves: one tenant leaves room for others."""


def without_room(
    rollout: Object[Spec, Status], written: Written | None, seen: FleetSeen, devices: Devices, sources: Sources
) -> Blocker | None:
    """Why a Rollout that has nothing on its fleet may not begin there; None if it may, or if its model has an assignment already.

    A few full devices keep nobody out, and neither does one that lies: the steps pass them over. It may not begin where the last step would
    never have enough nodes (`Arrivals.needed`).
    """
    if rollout.status.stable is not None or rollout.status.candidate is not None or written is not None:
        return None
    metadata, fleet = rollout.metadata, rollout.spec.fleet_ref.name
    present = sorted(
        (other["metadata"]["creationTimestamp"], other["metadata"]["uid"])
        for other in sources.list(ROLLOUT, metadata.namespace)
        if ((other.get("spec") or {}).get("fleetRef") or {}).get("name") == fleet
    )
    older = next((place for place, (_, uid) in enumerate(present) if uid == metadata.uid), 0)
    if older >= MAX_OF_NAMESPACE:
        message = f"namespace {metadata.namespace!r} has {older} older Rollouts on fleet {fleet!r}; a namespace may have"
        return Blocker(reasons.TOO_MANY_MODELS, f"{message} {MAX_OF_NAMESPACE}: delete one, or use another fleet")
    reports = ((node, devices.reports.get(node)) for node in seen.nodes)
    answering = {node: found.report for node, found in reports if found is not None and found.age_seconds <= OFFLINE_SECONDS}
    full = sorted(node for node, report in answering.items() if len(report.running) + report.left_out.running >= MAX_RUNNING)
    if full and len(answering) - len(full) < half(len(answering)):
        message = f"{len(full)} of {len(answering)} devices of fleet {fleet!r}, such as {full[0]}, serve {MAX_RUNNING} models"
        return Blocker(reasons.TOO_MANY_MODELS, f"{message}, the most that one may: delete a Rollout, or use another fleet")
    return None
