"""What a pass over a ModelVersion looks at. Plain values: `gather` fills them, tests write them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bramble.api.fleet import Board
from bramble.api.modelversion import LineageSeen, Spec, Status, Target
from bramble.api.objects import Invalid, Object
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import StoreProblem
from bramble.kube.resources import Manifest
from bramble.settings import Settings


class Place(NamedTuple):
    """A board of a fleet: what tells targets apart."""

    fleet: str
    board: str

    @classmethod
    def of(cls, target: Target) -> Place:
        return cls(target.fleet, target.board)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why something cannot go on now: a condition's reason, and a message that says what to do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BoardSeen:
    """Where a target can be measured.

    Attributes:
        selector: labels of the nodes that may measure it.
        hold: why none may; None when one may.
    """

    selector: Mapping[str, str] = field(default_factory=dict)
    hold: Hold | None = None

    @classmethod
    def on(cls, fleet_selector: Mapping[str, str], board: Board) -> BoardSeen:
        return cls({**fleet_selector, **board.selector, **(board.benchmark_selector or {})})


@dataclass(frozen=True, slots=True)
class Unusable:
    """A version whose spec cannot be used. It is held for those who use it, and let go, as any other."""

    version: Invalid[Status]
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that `plan` decides by.

    Attributes:
        lineage: of the source, None while it cannot be told; then `source_hold` says why.
        store: why the namespace's store cannot be used, None when it can or was not needed.
        conversion: the present attempt at the conversion.
        boards: each target's board.
        benchmarks: the present attempt at each target's benchmark.
        strays: Jobs and ConfigMaps of attempts that have ended.
        used_by: Rollouts that have it as stable, candidate or last good.
    """

    version: Object[Spec, Status]
    settings: Settings
    gateway_ca: str = ""
    lineage: LineageSeen | None = None
    source_hold: Hold | None = None
    store: StoreProblem | None = None
    conversion: StepSeen | None = None
    boards: Mapping[Place, BoardSeen] = field(default_factory=dict)
    benchmarks: Mapping[Place, StepSeen] = field(default_factory=dict)
    strays: tuple[Manifest, ...] = ()
    used_by: tuple[str, ...] = ()

    @property
    def spec(self) -> Spec:
        return self.version.spec

    @property
    def status(self) -> Status:
        return self.version.status

    @property
    def owner(self) -> Owner:
        """The version as its children name it."""
        return Owner(*self.version.metadata.key, self.version.metadata.uid)
