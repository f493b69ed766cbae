"""`spec.engine.torchrun`: PyTorch's elastic launcher."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from bramble.api.engines.base import EngineSettings
from bramble.api.schema import INT_OR_STRING, VALIDATIONS, Rule, computed

PROCESSES_RULE = computed(
    "type(self) == int ? (self >= 1 && self <= 64) : self == 'auto'",
    "use a number from 1 to 64 or auto (one process for each GPU of a pod, else one); this is %s",
    "self",
)
Processes = Annotated[
    int | Literal["auto"],
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True, "maxLength": 4, VALIDATIONS: [PROCESSES_RULE.as_json()]}
    ),
]


class Torchrun(EngineSettings):
    """PyTorch distributed. An attempt is one Job with a fixed number of pods."""

    NAME: ClassVar[str] = "torchrun"
    RULES: ClassVar[tuple[Rule, ...]] = (
        computed(
            "!has(self.minNodes) || self.minNodes <= self.nodes",
            "minNodes: %s is more than nodes: %s; lower minNodes or raise nodes",
            "self.minNodes",
            "self.nodes",
        ),
    )

    nodes: Annotated[int, Field(ge=1, le=256)] = 1
    """How many pods train together."""
    min_nodes: Annotated[int, Field(ge=1, le=256)] | None = None
    """How small the next attempt may be after a disruption, such as a drained or lost node, if fewer pods fit the nodes that are left.
    Unset: as many as `nodes`."""
    processes_per_node: Processes = "auto"
    """How many processes train in each pod: a number, or `auto` for one for each GPU of the pod, or one if it has none."""
