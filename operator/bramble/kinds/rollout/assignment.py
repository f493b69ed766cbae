"""The assignment: one document that tells the devices what to serve. Pure. An undo is the same function of another memory."""

from __future__ import annotations

from bramble.api.labels import owner_labels
from bramble.api.rollout import NAMES_KEPT, Release
from bramble.contracts.assignment import KEY, LABEL, Assignment, assignment_name
from bramble.contracts.canonical import canonical_json
from bramble.contracts.report import DISK_RESERVE_BYTES
from bramble.kinds.rollout.cohorts import choose, wanted_nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.steps import nodes_of
from bramble.kube.resources import CONFIG_MAP, Manifest


def desired(seen: Observed) -> Assignment | None:
    """The assignment that the present memory asks for, with the seq in memory. None when nothing was ever assigned.

    It lists the files of the version to which a watch goes back, so that an undo needs no store; devices get those that they serve.
    """
    status = seen.status
    if status.stable is None and status.candidate is None and seen.assignment is None:
        return None
    stable = status.stable.packages if status.stable is not None else {}
    candidate = status.candidate.packages if status.candidate is not None else None
    named = {*stable.values(), *(candidate or {}).values()}
    if seen.fallback is not None and status.last_good is not None:
        named |= set((seen.fallback if isinstance(seen.fallback, Release) else status.last_good).packages.values())
    return Assignment(
        fleet=seen.fleet.name,
        namespace=seen.metadata.namespace,
        model=seen.model or (seen.assignment.model if seen.assignment is not None else ""),
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
    """Whether two assignments ask the devices for the same, whatever their seqs."""
    return one.model_copy(update={"seq": 1}) == other.model_copy(update={"seq": 1})


def candidate_nodes(seen: Observed) -> tuple[str, ...]:
    """The nodes that should have the candidate in the present step, sorted.

    While a step is watched its nodes stay as they are: a node that joins the fleet, or comes back, waits for the next step. While the Fleet
    cannot be used, or does not allow the namespace, no node is added.
    """
    candidate = seen.status.candidate
    if candidate is None:
        return ()
    if seen.fleet.blocker is not None:
        return tuple(sorted(nodes_with_candidate(seen)))
    size = nodes_of(seen.steps, seen.index)
    if not size:
        return ()
    if size == "100%":
        return tuple(sorted(seen.fleet.nodes))
    kept = nodes_with_candidate(seen)
    if seen.status.step_started_at and kept:
        return tuple(sorted(kept))
    eligible = eligible_nodes(seen)
    return choose(wanted_nodes(size, len(eligible | kept)), seen.status.seed, seen.fleet.strata, eligible, kept)


def nodes_with_candidate(seen: Observed) -> frozenset[str]:
    """Nodes that the stored assignment gives the candidate of this attempt to. They keep it in later steps, unless they are passed over."""
    assignment, candidate = seen.assignment, seen.status.candidate
    if assignment is None or candidate is None:
        return frozenset()
    if assignment.attempt != seen.status.attempt or assignment.candidate != candidate.packages:
        return frozenset()
    nodes = frozenset(assignment.candidate_nodes) & frozenset(seen.fleet.nodes)
    if seen.at_last_step:
        return nodes
    unnamed = seen.abandoned if len(seen.status.passed_over) >= NAMES_KEPT else frozenset[str]()
    return nodes - frozenset(seen.status.passed_over) - unnamed


def eligible_nodes(seen: Observed) -> frozenset[str]:
    """Nodes that may take the candidate: they are reachable, verified on the stable version, and have room on their disk. A node that was
    passed over in this step is not chosen again before the next one.
    """
    nodes = seen.nodes.reachable if seen.status.stable is None else seen.nodes.verified(seen.status.stable)
    return frozenset(node for node in nodes - frozenset(seen.status.passed_over) if fits(seen, node) and not gave_up(seen, node))


def gave_up(seen: Observed, node: str) -> bool:
    """Whether the node gave the candidate up in this attempt. Its agent would not try it again."""
    candidate, running = seen.status.candidate, seen.nodes.running.get(node)
    if candidate is None or running is None or running.attempt != seen.status.attempt:
        return False
    return candidate.packages.get(seen.fleet.nodes[node]) in running.bad


def fits(seen: Observed, node: str) -> bool:
    """Whether the candidate's blobs fit on the node's disk beside what the device keeps free. True where the node does not report how much
    is free, and where it still has the files.
    """
    candidate = seen.status.candidate
    package = candidate.packages.get(seen.fleet.nodes[node]) if candidate is not None else None
    free = seen.devices.reports[node].report.health.free_bytes
    running = seen.nodes.running.get(node)
    if package is None or free is None or package not in seen.blobs or (running is not None and running.last_good == package):
        return True
    return sum(blob.bytes for blob in seen.blobs[package].blobs) + DISK_RESERVE_BYTES <= free


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
