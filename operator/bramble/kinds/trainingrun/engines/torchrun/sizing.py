"""How many pods an attempt has, and how many processes each of them runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.engines.torchrun import Torchrun
from bramble.api.trainingrun import Spec
from bramble.kinds.trainingrun.nodes import Node, capacity, gpus, requested


def settings_of(spec: Spec) -> Torchrun:
    """The settings of this engine in the spec."""
    chosen = spec.engine.chosen
    if not isinstance(chosen, Torchrun):
        raise TypeError(f"the run has chosen the engine {chosen.NAME}, not {Torchrun.NAME}")
    return chosen


def pods(spec: Spec, nodes: Iterable[Node], *, disrupted: bool) -> int:
    """How many pods the next attempt has.

    As many as the spec asks for. After a disruption only as many as fit, but no fewer than `minNodes`. Other attempts wait for all of them.
    """
    settings = settings_of(spec)
    if not disrupted or settings.min_nodes is None:
        return settings.nodes
    return min(settings.nodes, max(settings.min_nodes, capacity(spec, nodes)))


def processes(spec: Spec) -> int:
    """How many processes train in each pod. `auto`: one for each GPU, or one without GPUs."""
    wanted = settings_of(spec).processes_per_node
    return max(1, gpus(spec)) if wanted == "auto" else wanted


def threads(spec: Spec) -> int:
    """OMP_NUM_THREADS of each process: its share of the CPUs that the pod requests."""
    return max(1, int(requested(spec).get("cpu", 1) // processes(spec)))
