"""What the nodes of a Rollout say in one pass, as far as the ledger needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bramble.contracts.counters import Cohort, Counted
from bramble.evidence.growth import Sample
from bramble.guardrails.base import Rule
from bramble.kinds.rollout.losses import Silences


@dataclass(frozen=True)
class Line:
    """What one process of an agent says about the version that its node should serve.

    Attributes:
        instance: boot and process.
        counted: its sums.
    """

    instance: str
    counted: Counted

    @property
    def token(self) -> str:
        """The process, shortened."""
        return hashlib.sha256(self.instance.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class MemoryLine:
    """What one process of an agent says about its memory since its node serves a version.

    Attributes:
        board: of the node.
        served: hours since then.
        reports: whether it reports any memory.
        samples: hours of uptime, and MiB, since the warm-up.
    """

    board: str
    served: float
    reports: bool
    samples: tuple[Sample, ...]


def _no_memory(cohort: Cohort) -> Mapping[str, MemoryLine]:  # noqa: ARG001
    return {}


@dataclass(frozen=True)
class WatchAsked:
    """A promoted version is to be watched.

    Attributes:
        promoted: which promotion, by its time.
        rules: the guardrails.
        error: the probability with which what is known of its own rate may be wrong by more than the tested margin.
    """

    promoted: str
    rules: tuple[Rule, ...]
    error: float


@dataclass(frozen=True)
class Reading:
    """What a pass read.

    Attributes:
        rollout_uid, attempt, step, stable, candidate: as in the ledger.
        rules: the guardrails that devices count for, those of the watch among them.
        watch: what is to be watched of the stable version; None where nothing is. A watch pauses while there is a candidate.
        candidates, others: the nodes of both cohorts.
        silences: nodes that fell silent.
        lines: node to what it says of this attempt, in its cohort. Nodes that are in neither cohort are ignored.
        ended: node to what the process before the present one said last of this attempt, in the node's cohort, if it is known.
        served: gives, by node, all that its agent counted for the stable version in any attempt: the first history of a guardrail.
        growth_rules: the guardrails that compare growth.
        memory: gives, for one cohort, what its nodes say about their memory, by node.
    """

    rollout_uid: str
    attempt: int
    step: int = 0
    stable: str = ""
    candidate: str = ""
    rules: tuple[Rule, ...] = ()
    candidates: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    silences: Silences = field(default_factory=Silences)
    lines: Mapping[str, Line] = field(default_factory=dict)
    ended: Mapping[str, Line] = field(default_factory=dict)
    served: Callable[[], Mapping[str, Counted]] = dict
    growth_rules: tuple[Rule, ...] = ()
    memory: Callable[[Cohort], Mapping[str, MemoryLine]] = _no_memory
    watch: WatchAsked | None = None

    def of(self, is_counted: Callable[[str], bool]) -> Reading:
        """What it says of these nodes alone."""
        names = {*self.candidates, *self.others, *self.lines, *self.ended, *self.silences.names}
        kept = frozenset(filter(is_counted, names))
        if len(kept) == len(names):
            return self
        return replace(
            self,
            candidates=self.candidates & kept,
            others=self.others & kept,
            silences=self.silences.of(kept),
            lines=_some(self.lines, kept),
            ended=_some(self.ended, kept),
        )


def _some(lines: Mapping[str, Line], kept: frozenset[str]) -> Mapping[str, Line]:
    return {name: line for name, line in lines.items() if name in kept}
