"""How many nodes a cluster has, what they are called and what they offer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

ACCELERATOR_LABEL = "bramble.dev/accelerator"
BOARD_LABEL = "bramble.dev/board"
BENCH_LABEL = "bramble.dev/bench"
EDGE_TAINT = {"key": "bramble.dev/edge", "value": "true", "effect": "NoSchedule"}
ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class NodeShape:
    """One node. Labels of architecture and operating system are the kubelet's and stay true."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    gpus: int = 0
    """Advertised as `nvidia.com/gpu`; there is nothing behind them, which the label `bramble.dev/accelerator=simulated` says."""


def gpu_node(number: int) -> NodeShape:
    return NodeShape(f"gpu-{number}", labels={ACCELERATOR_LABEL: "simulated"}, gpus=1)


def board_node(number: int, *, bench: bool = False) -> NodeShape:
    """A board: tainted for the edge, in zone a or b by turns."""
    labels = {BOARD_LABEL: "virtual", ZONE_LABEL: "ab"[(number - 1) % 2]}
    if bench:
        labels[BENCH_LABEL] = "true"
    return NodeShape(f"board-{number}", labels=labels, taints=(EDGE_TAINT,))


DEFAULT_NODES = (
    NodeShape("control"),
    gpu_node(1),
    gpu_node(2),
    board_node(1),
    board_node(2),
    board_node(3),
    board_node(4, bench=True),
)


@dataclass(frozen=True)
class Shape:
    """What to start. The default is one schedulable control node, two GPU nodes and four boards.

    `api_only` starts etcd and the API server alone: for tests of admission and CRDs, up in a few seconds.
    `runtime` names what runs the containers (tools/cluster/runtimes).
    `edge_namespace` is exempt from Pod Security admission: its own ValidatingAdmissionPolicy comes with the chart.
    """

    nodes: tuple[NodeShape, ...] = DEFAULT_NODES
    api_only: bool = False
    store: bool = True
    edge_namespace: str = "bramble-edge"
    runtime: str = "nodebox"

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if len(set(names)) != len(names):
            raise ValueError(f"node names must differ: {names}")
        if self.api_only:
            object.__setattr__(self, "nodes", ())
        elif not self.nodes:
            raise ValueError("a cluster without nodes is Shape(api_only=True)")

    @classmethod
    def of(cls, *, gpus: int = 2, boards: int = 4, runtime: str = "nodebox") -> Shape:
        """One control node, `gpus` GPU nodes and `boards` boards, the last of them the bench."""
        nodes = [NodeShape("control")]
        nodes += [gpu_node(number) for number in range(1, gpus + 1)]
        nodes += [board_node(number, bench=number == boards) for number in range(1, boards + 1)]
        return cls(nodes=tuple(nodes), runtime=runtime)

    def with_labels(self, name: str, **labels: str) -> Shape:
        """The same shape with more labels on one node; pass keys with slashes as `**{"a/b": "c"}`."""
        if name not in {node.name for node in self.nodes}:
            raise ValueError(f"no node {name} in this shape")
        return replace(
            self, nodes=tuple(replace(node, labels={**node.labels, **labels}) if node.name == name else node for node in self.nodes)
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Shape:
        nodes = tuple(NodeShape(**{**node, "taints": tuple(node["taints"])}) for node in document["nodes"])
        return cls(**{**document, "nodes": nodes})
