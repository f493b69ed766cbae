"""The Fleet resource: the spec that the owner of the nodes writes, and the status that the operator writes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from bramble.api.jobs import Resources
from bramble.api.objects import AGE, Column, Kind, KindStatus, condition_column
from bramble.api.schema import ATOMIC, SET, LabelKey, Labels, Name, Quantity, SpecPart, StatusPart, map_by
from bramble.kube.resources import FLEET


class AgentResources(Resources):
    """The resources of the agent's container on each node. Its memory limit holds for all models on the node together."""

    limits: Annotated[dict[str, Quantity], Field(max_length=8)] = Field(default_factory=dict)
    """The most that the agent may use: cpu, memory."""
    requests: Annotated[dict[str, Quantity], Field(max_length=8)] = Field(default_factory=dict)
    """What the scheduler reserves for the agent: cpu, memory."""


class Board(SpecPart):
    """A type of device in the fleet. Each board is benchmarked, and gets a variant of the model, of its own."""

    name: Name
    """The name of the board, such as rpi5. ModelVersions and statuses use it."""
    selector: Annotated[Labels, Field(min_length=1)]
    """Labels of the nodes of the fleet that are this board, such as `bramble.dev/board: rpi5`."""
    resources: AgentResources | None = None
    """The resources of the agent on these nodes."""
    benchmark_selector: Labels | None = None
    """Further labels of the nodes of this board on which benchmarks may run. Without it the board is never measured, and no ModelVersion
    that asks for a benchmark on it becomes Ready."""


class Spec(SpecPart):
    """The nodes of the fleet, and who may use them."""

    node_selector: Annotated[Labels, Field(min_length=1)]
    """Labels of the fleet's nodes. A kubelet may set most labels on its own node; use a label with the prefix
    `node-restriction.kubernetes.io/` if a node must not be able to join by itself."""
    stratify_by: Annotated[tuple[LabelKey, ...], Field(max_length=4), SET] = ()
    """Node labels, such as board and zone. Each of their values is about as frequent among the nodes of a canary step as in the fleet."""
    boards: Annotated[tuple[Board, ...], Field(min_length=1, max_length=16), map_by("name")]
    """The boards of the fleet. A node that no board or several boards select is not used, and is listed in `status.excluded`."""
    allowed_namespaces: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=64), SET] = ()
    """The namespaces whose ModelVersions may be benchmarked on this fleet and whose Rollouts may use it. Empty means none."""


class BoardSeen(StatusPart):
    """The present state of one board."""

    name: str = ""
    """The name of the board."""
    nodes: int = 0
    """The number of nodes that are this board."""
    online: int = 0
    """The number of them that reported in the last 15 seconds."""


class Excluded(StatusPart):
    """A node that `nodeSelector` matches and that the fleet does not use."""

    node: str = ""
    """The name of the node."""
    reason: str = ""
    """Why the fleet does not use it, and what to do."""


class Status(KindStatus):
    """The present state of the fleet."""

    MEMORY: ClassVar[frozenset[str]] = frozenset()

    nodes: int = 0
    """The number of nodes in the fleet."""
    online: int = 0
    """The number of nodes that reported in the last 15 seconds."""
    boards: Annotated[tuple[BoardSeen, ...], ATOMIC] = ()
    """The same for each board."""
    excluded: Annotated[tuple[Excluded, ...], ATOMIC] = ()
    """Nodes that `nodeSelector` matches and that the fleet does not use, and why. The first 50."""
    excluded_nodes: int = 0
    """The number of them, those that are not listed among them."""


KIND = Kind(
    resource=FLEET,
    spec=Spec,
    status=Status,
    description="The nodes of one fleet of devices. It is cluster-scoped: its owner decides what the nodes are and who may use them.",
    short_names=("fl",),
    columns=(
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        Column("Nodes", ".status.nodes", "integer"),
        Column("Online", ".status.online", "integer"),
        AGE,
        Column("Namespaces", ".spec.allowedNamespaces", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
