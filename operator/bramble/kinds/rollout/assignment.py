"""What the devices should be told now, as one document. Pure; undoing is the same function of another memory."""

from __future__ import annotations

from bramble.api.labels import owner_labels
from bramble.contracts.assignment import KEY, LABEL, Assignment, PackageBlobs, assignment_name
from bramble.contracts.canonical import canonical_json
from bramble.contracts.report import SeenReport
from bramble.kinds.rollout.cohorts import choose, wanted_nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kube.resources import CONFIG_MAP, Manifest


def desired(seen: Observed) -> Assignment | None:
    """The assignment that the present memory asks for, under the seq in memory; None when nothing was ever assigned."""
    status = seen.status
    if status.stable is None and status.candidate is None and seen.ours is None:
        return None
    stable = status.stable.packages if status.stable is not None else {}
    candidate = status.candidate.packages if status.candidate is not None else None
    named = {*stable.values(), *(candidate or {}).values()}
    return Assignment(
        fleet=seen.fleet.name,
        namespace=seen.metadata.namespace,
        model=seen.model or (seen.ours.model if seen.ours is not None else ""),
        rollout_uid=seen.metadata.uid,
        attempt=max(1, status.attempt),
        seq=max(1, status.seq),
        nodes=seen.fleet.by_board(),
        stable=stable,
        candidate=candidate,
        candidate_nodes=candidate_nodes(seen),
        packages={digest: seen.blobs[digest] for digest in sorted(named) if digest in seen.blobs},
    )


def same_orders(one: Assignment, other: Assignment) -> bool:
    """Whether two assignments tell the devices the same, whatever their seq."""
    return one.model_copy(update={"seq": 1}) == other.model_copy(update={"seq": 1})


def candidate_nodes(seen: Observed) -> tuple[str, ...]:
    """The nodes that should have the candidate in the present step."""
    candidate = seen.status.candidate
    if candidate is None:
        return ()
    asked = [step.nodes for step in seen.steps[: seen.index + 1] if step.nodes is not None]
    if not asked:
        return ()
    if asked[-1] == "100%":
        return tuple(sorted(seen.fleet.nodes))
    kept = kept_nodes(seen)
    if seen.status.step_started_at and kept:
        return tuple(sorted(kept))  # watched as they are: a node that joins or comes back waits for the next step
    eligible = eligible_nodes(seen)
    base = len(eligible | kept)
    return choose(wanted_nodes(asked[-1], base), seen.status.seed, seen.fleet.strata, eligible, kept)


def kept_nodes(seen: Observed) -> frozenset[str]:
    """Nodes that have the candidate of this attempt already, and stay in it."""
    ours, candidate = seen.ours, seen.status.candidate
    if ours is None or candidate is None or ours.attempt != seen.status.attempt or ours.candidate != candidate.packages:
        return frozenset()
    return frozenset(ours.candidate_nodes) & frozenset(seen.fleet.nodes)


def eligible_nodes(seen: Observed) -> frozenset[str]:
    """Nodes that may take the candidate: reachable, verified on the stable version, with room on the disk."""
    nodes = seen.reachable if seen.status.stable is None else seen.verified(seen.status.stable)
    return frozenset(node for node in nodes if fits(seen, node))


def fits(seen: Observed, node: str) -> bool:
    """Whether the candidate's blobs fit on the node's disk; a board that does not say how much is free is believed to have room."""
    candidate = seen.status.candidate
    package = candidate.packages.get(seen.fleet.nodes[node]) if candidate is not None else None
    free = free_bytes(seen.devices.reports[node])
    if package is None or free is None or package not in seen.blobs:
        return True
    return free > needed_bytes(seen.blobs[package])


def free_bytes(seen: SeenReport) -> int | None:
    """What the board says is free."""
    return seen.report.health.free_bytes


def needed_bytes(blobs: PackageBlobs) -> int:
    """What a package takes on a device's disk."""
    return sum(blob.bytes for blob in blobs.blobs)


def render(seen: Observed, assignment: Assignment) -> Manifest:
    """The ConfigMap that the gateway answers devices from."""
    metadata = seen.metadata
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "namespace": seen.namespace,
            "name": assignment_name(assignment.fleet, assignment.namespace, assignment.model),
            "labels": {**owner_labels(metadata.key.kind, metadata.name, metadata.uid, metadata.namespace), LABEL: "true"},
        },
        "data": {KEY: canonical_json(assignment).decode()},
    }
