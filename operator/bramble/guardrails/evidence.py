"""What a guardrail's verdict is computed from. It is kept with each decision, so that the same verdict can be computed again. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bramble.contracts.base import Document
from bramble.contracts.bounds import Finite, Whole

NOTHING_SHOWN = -100.0
"""Evidence in nats that changes no sum."""


class Tally(Document):
    """What one cohort counted in an attempt.

    Attributes:
        bad: bad events.
        events: all events, bad ones included.
        nodes: on how many nodes there was any event.
    """

    bad: Whole = 0
    events: Whole = 0
    nodes: Whole = 0

    @property
    def share(self) -> float:
        """Bad events per event; 0 without any event."""
        return self.bad / self.events if self.events else 0.0


class Away(Document):
    """How many nodes are away at once: silent, or lost in the last five minutes.

    Attributes:
        candidate: nodes that had the candidate.
        canaries: nodes that took it.
        stable, others: the same of the nodes without it.
    """

    candidate: Whole = 0
    canaries: Whole = 0
    stable: Whole = 0
    others: Whole = 0


class GuardEvidence(Document):
    """The evidence about one guardrail.

    Attributes:
        label: the class that was counted; None for a metric of all classes.
        candidate, stable: what was counted. The stable cohort's is that of its history where no node was left on the stable version.
        ratio: state of `bramble.evidence.ratio.RatioTest`, its two rows one after the other; empty while nothing was compared.
        better: state of `RatioTest(1)`, whose `fine` shows that the candidate is better; None where the rule does not ask for that.
        spread: by how much the ratio of an unchanged version differs from 1, as the standard deviation of its logarithm.
        share: the candidate's part of all bad events if it were like the stable version.
        single: evidence in nats of single nodes that the candidate is worse (`bramble.evidence.cohorts.single_nodes`).
        drift: by how much the rates of stable nodes changed by themselves, as a relative standard deviation; None without such nodes.
        candidate_deviation, stable_deviation: standard deviation of the rates of single nodes; None for fewer than two nodes. It is for
            people: the tests compare each node with its own history.
        over_ms: a request that takes longer than so many milliseconds is slow; None for other metrics, and until that is known.
        frozen: whether the candidate is compared with the history of the stable version, because no node serves that any more.
        seconds: for how long this was counted.
        away: how many nodes are away at once; None for metrics that do not look at that.
    """

    metric: str
    label: str | None = None
    candidate: Tally = Tally()
    stable: Tally = Tally()
    ratio: Annotated[tuple[Finite, ...], Field(max_length=1024)] = ()
    better: Annotated[tuple[Finite, ...], Field(max_length=1024)] | None = None
    spread: Annotated[Finite, Field(ge=0)] = 0.0
    share: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    single: Finite = NOTHING_SHOWN
    drift: Annotated[Finite, Field(ge=0)] | None = None
    candidate_deviation: Annotated[Finite, Field(ge=0)] | None = None
    stable_deviation: Annotated[Finite, Field(ge=0)] | None = None
    over_ms: Finite | None = None
    frozen: bool = False
    seconds: Annotated[Finite, Field(ge=0)] = 0.0
    away: Away | None = None
