"""Fleet: what the owner of the nodes writes, and what the operator answers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from bramble.api.objects import AGE, Column, Kind, KindStatus, condition_column
from bramble.api.schema import ATOMIC, SET, Described, LabelKey, Labels, Name, Quantity, StatusPart, map_by
from bramble.kube.resources import FLEET


class AgentResources(Described):
    """What the agent's container may use on each node. The memory limit is the budget of all models together."""

    limits: Annotated[dict[str, Quantity], Field(max_length=8)] = Field(default_factory=dict)
    """Upper bounds: cpu, memory."""
    requests: Annotated[dict[str, Quantity], Field(max_length=8)] = Field(default_factory=dict)
    """What the scheduler sets aside: cpu, memory."""


class Board(Described):
    """One sort of device in the fleet. Evidence is collected, and a variant chosen, for each."""

    name: Name
    """What ModelVersions and statuses call it, such as rpi5."""
    selector: Annotated[Labels, Field(min_length=1)]
    """Labels that tell this board's nodes from the fleet's others, such as `bramble.dev/board: rpi5`."""
    resources: AgentResources | None = None
    """What the agent may use there."""
    benchmark_selector: Labels | None = None
    """Labels of nodes of this board that benchmarks may run on, beside `selector`. Without it the board is never measured, and no
    ModelVersion that asks for it becomes Ready."""


class Spec(Described):
    """Which nodes, and who may use them."""

    node_selector: Annotated[Labels, Field(min_length=1)]
    """Labels of the fleet's nodes. Use a `node-restriction.kubernetes.io/` label where a kubelet must not be able to join by itself."""
    stratify_by: Annotated[tuple[LabelKey, ...], Field(max_length=4), SET] = ()
    """Labels whose values every canary is to hold in the fleet's proportion, such as board and zone."""
    boards: Annotated[tuple[Board, ...], Field(min_length=1, max_length=16), map_by("name")]
    """The sorts of device. A node that fits none, or several, stands in `status.excluded`."""
    allowed_namespaces: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=64), SET] = ()
    """Namespaces whose ModelVersions may be measured here and whose Rollouts may run here; none when empty."""


class BoardSeen(StatusPart):
    """One board of the fleet as it is now."""

    name: str = ""
    """As in the spec."""
    nodes: int = 0
    """How many nodes are of this board."""
    online: int = 0
    """How many of them reported in the last 15 seconds."""


class Excluded(StatusPart):
    """A node that the selector matches and the fleet does not use."""

    node: str = ""
    """Its name."""
    reason: str = ""
    """Why."""


class Status(KindStatus):
    """What the fleet is now."""

    MEMORY: ClassVar[frozenset[str]] = frozenset()

    nodes: int = 0
    """How many nodes the fleet has."""
    online: int = 0
    """How many of them reported in the last 15 seconds."""
    boards: Annotated[tuple[BoardSeen, ...], ATOMIC] = ()
    """By board."""
    excluded: Annotated[tuple[Excluded, ...], ATOMIC] = ()
    """Nodes that are not used, at most 50."""


KIND = Kind(
    resource=FLEET,
    spec=Spec,
    status=Status,
    description="The nodes of one fleet of boards. Cluster-scoped: their owner says what they are and who may use them.",
    short_names=("fl",),
    columns=(
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        Column("Nodes", ".status.nodes", "integer"),
        Column("Online", ".status.online", "integer"),
        AGE,
        Column("Boards", ".spec.boards[*].name", priority=1),
        Column("Namespaces", ".spec.allowedNamespaces", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
