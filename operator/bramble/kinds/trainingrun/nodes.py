"""The cluster's nodes as far as training is concerned, and how many of a run's pods they take. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bramble.api.labels import ACCELERATOR
from bramble.api.objects import moment
from bramble.api.schema import amount
from bramble.api.trainingrun import Spec, Toleration
from bramble.kube.resources import Manifest

GPU = "nvidia.com/gpu"
SIMULATED = {ACCELERATOR: "simulated"}
"""The label of nodes that only pretend to have GPUs, for tests and demonstrations."""

KUBELET_PODS = 110
"""How many pods a kubelet takes unless it is configured otherwise."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the cluster.

    Attributes:
        ready: its kubelet reports to the API server.
        since: since when `ready` has its present value.
        allocatable: what pods may use of it, in base units (cores, bytes, devices).
    """

    name: str
    ready: bool = True
    since: datetime | None = None
    schedulable: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    allocatable: Mapping[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> Node:
        """Parse the API server's Node."""
        spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
        ready = next((condition for condition in status.get("conditions") or () if condition["type"] == "Ready"), None)
        return cls(
            name=manifest["metadata"]["name"],
            ready=ready is not None and ready["status"] == "True",
            since=moment(ready["lastTransitionTime"]) if ready is not None and ready.get("lastTransitionTime") else None,
            schedulable=not spec.get("unschedulable", False),
            labels=manifest["metadata"].get("labels") or {},
            taints=tuple(Taint(taint["key"], taint.get("value", ""), taint["effect"]) for taint in spec.get("taints") or ()),
            allocatable={name: amount(quantity) for name, quantity in (status.get("allocatable") or {}).items()},
        )


def requested(spec: Spec) -> dict[str, Decimal]:
    """What one pod's training container requests, in base units. A limit without a request counts as one, as in the API server."""
    if spec.resources is None:
        return {}
    return {name: amount(quantity) for name, quantity in {**spec.resources.limits, **spec.resources.requests}.items()}


def gpus(spec: Spec) -> int:
    """How many GPUs each pod requests."""
    return int(requested(spec).get(GPU, 0))


def _tolerated(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations matches the taint. As in the scheduler, a toleration without a key matches every key."""
    for toleration in tolerations:
        same_key = toleration.key is None or toleration.key == taint.key
        same_value = toleration.operator == "Exists" or (toleration.value or "") == taint.value
        if same_key and same_value and toleration.effect in (None, taint.effect):
            return True
    return False


def fits(spec: Spec, node: Node) -> bool:
    """Whether the scheduler could put a pod of this run on the node if nothing else ran there."""
    return (
        node.ready
        and node.schedulable
        and spec.node_selector.items() <= node.labels.items()
        and all(_tolerated(spec.tolerations, taint) for taint in node.taints if taint.effect != "PreferNoSchedule")
        and _room(requested(spec), node) > 0
    )


def _room(wanted: Mapping[str, Decimal], node: Node) -> int:
    """How many pods with these requests an empty node takes."""
    limits = [int(node.allocatable.get(name, 0) // each) for name, each in wanted.items() if each > 0]
    return min(limits, default=int(node.allocatable.get("pods", KUBELET_PODS)))


def capacity(spec: Spec, nodes: Iterable[Node]) -> int:
    """How many of the run's pods the cluster takes if nothing else runs on it."""
    wanted = requested(spec)
    return sum(_room(wanted, node) for node in nodes if fits(spec, node))


def cpu_allowed(spec: Spec, nodes: Iterable[Node]) -> bool:
    """Whether an attempt may train on the CPU although the run requests GPUs.

    It may if every node that fits is labelled as simulated. The attempt's pods are then bound to that label, so that none of them lands on
    a node with real GPUs. A run that requests no GPU trains on the CPU anyway.
    """
    if gpus(spec) == 0:
        return True
    fitting = [node for node in nodes if fits(spec, node)]
    return bool(fitting) and all(SIMULATED.items() <= node.labels.items() for node in fitting)
