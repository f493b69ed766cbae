"""What a guardrail's verdict is computed from. It is kept with each decision, so that the same verdict can be computed again. Pure."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from bramble.contracts.base import Document, ExtensibleDocument
from bramble.contracts.bounds import Finite, Whole

NOTHING_SHOWN = -100.0
"""Evidence in nats that changes no sum."""


MOST_BOARDS = 16
"""As many as a Fleet may have."""


NodeNumber = Annotated[int, Field(ge=0, le=2**15)]


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


class GrowthLook(ExtensibleDocument):
    """What one look at the memory of nodes showed (`bramble.evidence.growth`). Slopes are in MiB per hour.

    Attributes:
        hours: the slopes are those of so many last hours.
        draws: how many canaries and nodes were compared with one another, by board.
        candidate, stable: the median slope of all nodes of the cohort that were looked at; 0 without any.
        steep: how many of the steepest nodes are canaries, each of them taken for flatter by what is allowed (`steepest`).
        flat: how many of the flattest nodes are then (`flattest`).
        over: how probable the canaries' samples are if memory grows by the limit; 1 without a limit.
        under: how probable they are if it grows by what is allowed.
        lasting_more: by how much faster the median canary will grow in the end than the stable nodes of its board (`growth.lasting`).
        lasting: how fast the median canary will grow in the end.
    """

    hours: Annotated[Finite, Field(gt=0)]
    draws: Annotated[tuple[tuple[NodeNumber, NodeNumber], ...], Field(max_length=MOST_BOARDS)]
    candidate: Finite
    stable: Finite
    steep: Whole
    flat: Whole
    over: Annotated[Finite, Field(ge=0, le=1)] = 1.0
    under: Annotated[Finite, Field(ge=0, le=1)] = 1.0
    lasting_more: Finite = 0.0
    lasting: Finite = 0.0

    @model_validator(mode="after")
    def _marked(self) -> Self:
        compared = sum(canaries for canaries, nodes in self.draws if canaries < nodes)
        if any(canaries > nodes for canaries, nodes in self.draws) or max(self.steep, self.flat) > compared:
            raise ValueError(f"there are not so many canaries in {self.draws}")
        return self

    @property
    def canaries(self) -> int:
        """How many canaries were looked at."""
        return sum(canaries for canaries, _ in self.draws)

    @property
    def nodes(self) -> int:
        """How many nodes were."""
        return sum(nodes for _, nodes in self.draws)


class Growth(ExtensibleDocument):
    """The evidence about how memory grows.

    Attributes:
        looks: those that were taken, in order.
        serving: how many nodes serve the candidate.
        reporting: how many of them have reported any memory.
        wait_hours: how long it takes at least until the next look.
    """

    looks: Annotated[tuple[GrowthLook, ...], Field(max_length=16)] = ()
    serving: Whole = 0
    reporting: Whole = 0
    wait_hours: Annotated[Finite, Field(ge=0)] = 0.0


class Watched(Document):
    """What the tests of a promoted version have shown about one guardrail (`bramble.evidence.rise`), in nats; None where there is none.

    Attributes:
        margin: how many times its own rate before it may have, with what that may be wrong by; None while its own rate is not known.
        own: that its rate is above that.
        allowed: that its rate is above what is allowed whatever its own rate was.
        limit: that its rate is above the limit.
        known_in: in how many seconds its own rate is known at the present rate of events; None once it is, or where that cannot be said.
    """

    margin: Finite | None = None
    own: Finite | None = None
    allowed: Finite | None = None
    limit: Finite | None = None
    known_in: Annotated[Finite, Field(ge=0)] | None = None


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
        left: bad events of that history which were not compared yet; None where it is not compared with.
        seconds: for how long this was counted.
        away: how many nodes are away at once; None for metrics that do not look at that.
        growth: the evidence about a metric that compares how memory grows; None for others, which have all that is above.
        idle: how many candidate nodes had no event, though they should have had some (`bramble.kinds.rollout.idle`).
        serving: how many nodes serve the candidate.
        watched: of a version that was promoted, which is compared with itself: then the candidate is what it counted in the last one to two
            hours, and the stable cohort what it had counted when its watch began.
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
    left: Annotated[Finite, Field(ge=0)] | None = None
    seconds: Annotated[Finite, Field(ge=0)] = 0.0
    away: Away | None = None
    growth: Growth | None = None
    idle: Whole = 0
    serving: Whole = 0
    watched: Watched | None = None

    @property
    def mostly_idle(self) -> bool:
        """Whether most candidate nodes had no event though they should have had some. The rates are then those of the few that answer."""
        return 2 * self.idle > self.serving
