"""How many pods an attempt has and what each may use, from the spec and the nodes there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bramble.api.labels import ACCELERATOR
from bramble.api.objects import moment
from bramble.api.schema import amount
from bramble.api.trainingrun import Spec, Toleration, Torchrun
from bramble.kube.resources import Manifest

GPU = "nvidia.com/gpu"
SIMULATED = {ACCELERATOR: "simulated"}


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as far as training cares.

    Attributes:
        ready: its kubelet answers.
        since: since when `ready` is what it is.
        allocatable: what pods may take of it, in base units.
    """

    name: str
    ready: bool = True
    since: datetime | None = None
    schedulable: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    allocatable: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> Node:
        """From the API server's Node."""
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


def torchrun(spec: Spec) -> Torchrun:
    """The engine's settings; admission lets no other engine in."""
    return spec.engine.torchrun or Torchrun()


def requested(spec: Spec) -> dict[str, float]:
    """What one pod's training container asks for, in base units. A limit without a request is a request too (as the API server has it)."""
    if spec.resources is None:
        return {}
    return {name: amount(quantity) for name, quantity in {**spec.resources.limits, **spec.resources.requests}.items()}


def gpus(spec: Spec) -> int:
    """GPUs of each pod."""
    return int(requested(spec).get(GPU, 0))


def processes(spec: Spec) -> int:
    """Processes of each pod: one a GPU, else one, unless the spec says a number."""
    wanted = torchrun(spec).processes_per_node
    return max(1, gpus(spec)) if wanted == "auto" else wanted


def threads(spec: Spec) -> int:
    """OMP_NUM_THREADS of each process: its share of the CPUs that the pod may use."""
    return max(1, int(requested(spec).get("cpu", 1) // processes(spec)))


def _bears(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations matches (as the scheduler does: no key means every key)."""
    for toleration in tolerations:
        keyed = toleration.key is None or toleration.key == taint.key
        valued = toleration.operator == "Exists" or (toleration.value or "") == taint.value
        if keyed and valued and toleration.effect in (None, taint.effect):
            return True
    return False


def fits(spec: Spec, node: Node) -> bool:
    """Whether the scheduler may put a pod of this run there, were nothing else on it."""
    return (
        node.ready
        and node.schedulable
        and spec.node_selector.items() <= node.labels.items()
        and all(_bears(spec.tolerations, taint) for taint in node.taints if taint.effect != "PreferNoSchedule")
        and _room(requested(spec), node) > 0
    )


def _room(wanted: Mapping[str, float], node: Node) -> int:
    """How many pods with these requests an empty node takes."""
    limits = [int(node.allocatable.get(name, 0) // each) for name, each in wanted.items() if each > 0]
    return min(limits, default=int(node.allocatable.get("pods", 110)))


def capacity(spec: Spec, nodes: Iterable[Node]) -> int:
    """How many of the run's pods the cluster takes, were nothing else on it."""
    wanted = requested(spec)
    return sum(_room(wanted, node) for node in nodes if fits(spec, node))


def world_size(spec: Spec, nodes: Iterable[Node], *, disrupted: bool) -> int:
    """Pods of the next attempt.

    As many as the spec says; after a disruption as few as fit, but not below `minNodes`. A first attempt waits for all of them.
    """
    engine = torchrun(spec)
    if not disrupted or engine.min_nodes is None:
        return engine.nodes
    return min(engine.nodes, max(engine.min_nodes, capacity(spec, nodes)))


def cpu_allowed(spec: Spec, nodes: Iterable[Node]) -> bool:
    """Whether an attempt may use the CPU in place of the GPUs it asks for.

    Only where every node that fits is labelled as simulated; the attempt's pods are then bound to that label, so that this stays
    true wherever they land. A run that asks for no GPU uses the CPU anyway.
    """
    if gpus(spec) == 0:
        return True
    fitting = [node for node in nodes if fits(spec, node)]
    return bool(fitting) and all(SIMULATED.items() <= node.labels.items() for node in fitting)
