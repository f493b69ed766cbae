"""What the plan for a ModelVersion decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bramble.api.fleet import Board
from bramble.api.modelversion import BenchmarkSeen, Chosen, LineageSeen, Spec, Status, Target, TargetSeen
from bramble.api.objects import Invalid, Object
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.outlived import Outlived
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.jobs.step import Owner
from bramble.settings import Settings


class BoardKey(NamedTuple):
    """A board of a fleet, which identifies a benchmark target."""

    fleet: str
    board: str

    @classmethod
    def of(cls, target: Target | TargetSeen | BenchmarkSeen | Chosen) -> BoardKey:
        """The board that this part of a spec or status is about."""
        return cls(target.fleet, target.board)

    def __str__(self) -> str:
        return f"{self.fleet}/{self.board}"


@dataclass(frozen=True, slots=True)
class BoardSeen:
    """Where a target can be measured.

    Attributes:
        selector: labels of the nodes that may measure it.
        blocker: why no node may measure it; None if one may.
    """

    selector: Mapping[str, str] = field(default_factory=dict)
    blocker: Blocker | None = None

    @classmethod
    def of(cls, fleet_selector: Mapping[str, str], board: Board) -> BoardSeen:
        """A board of a Fleet, whose benchmarks need a node with all labels of the fleet, the board and its benchmarkSelector."""
        return cls({**fleet_selector, **board.selector, **(board.benchmark_selector or {})})


@dataclass(frozen=True, slots=True)
class Unusable:
    """A ModelVersion whose spec cannot be used. Its finalizer and its deletion work as for any other."""

    version: Invalid[Status]
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A ModelVersion, and what was read about it.

    Attributes:
        lineage: where the model comes from; None if it has been pinned, or cannot be read yet.
        source_blocker: why the source cannot be used yet.
        store: why the namespace's store cannot be used; None if it can, or was not needed.
        conversion: the present attempt at the conversion.
        boards: the board of each target that is not measured yet.
        benchmarks: the present attempt at each of these targets.
        stale_children: Jobs and ConfigMaps of attempts that are over.
        outlived: Jobs that go on although their attempt is over.
        used_by: `namespace/name` of the Rollouts that use the version.
    """

    version: Object[Spec, Status]
    settings: Settings
    gateway_ca: str = ""
    lineage: LineageSeen | None = None
    source_blocker: Blocker | None = None
    store: Blocker | None = None
    conversion: StepSeen | None = None
    boards: Mapping[BoardKey, BoardSeen] = field(default_factory=dict)
    benchmarks: Mapping[BoardKey, StepSeen] = field(default_factory=dict)
    stale_children: tuple[Child, ...] = ()
    outlived: tuple[Outlived, ...] = ()
    used_by: tuple[str, ...] = ()

    @property
    def spec(self) -> Spec:
        """The version's spec."""
        return self.version.spec

    @property
    def status(self) -> Status:
        """The version's status: its memory, and what was last reported."""
        return self.version.status

    @property
    def owner(self) -> Owner:
        """The version as its children name it."""
        return Owner(*self.version.metadata.key, self.version.metadata.uid)
