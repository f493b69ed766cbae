"""What an incident report says, before it has a form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.api.rollout import Moment
from bramble.guardrails.base import percent
from bramble.guardrails.catalogue import difference, figure
from bramble.kinds.rollout.decision import Decision

Origin = Mapping[str, str]
"""What a version was made from: the name of a property, such as `dataset version` or `hyperparameters.epochs`, and its value as text."""

DIFFERENCES_LISTED = 60
VALUE_CHARACTERS = 200


EVIDENCE = ("guardrail", "verdict", "candidate", "events", "stable", "events", "difference")
"""What the table of the evidence has of each guardrail."""
MISTAKES = ("true class", "answered", "candidate", "stable")
"""What the table of classes that were taken for others has of each pair."""
DEVIATION = "Rates of bad events; behind ± the standard deviation of the rates of single nodes. Fewer are better."


@dataclass(frozen=True, slots=True)
class Difference:
    """A property in which the two versions differ; an empty value means that a version does not have it."""

    name: str
    stable: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An undo.

    Attributes:
        rollout: `namespace/name` of the Rollout.
        decision: the undo, with its evidence.
        timeline: what was decided about the attempt, in order.
        differences: in what the versions differ, at most `DIFFERENCES_LISTED`; None where the ModelVersion of one of them is gone.
    """

    rollout: str
    fleet: str
    decision: Decision
    timeline: tuple[Moment, ...]
    differences: tuple[Difference, ...] | None

    @property
    def title(self) -> str:
        """One line that says what was undone where."""
        return f"{self.decision.candidate or 'a version'} was undone on fleet {self.fleet}"

    @property
    def step(self) -> str:
        """The step as messages count it, and as `status.step` and the report's own name do."""
        return f"{self.decision.step + 1} (status.step and the name of this report count from 0: {self.decision.step})"

    @property
    def evidence(self) -> list[tuple[str, ...]]:
        """The rows of the table of the evidence."""
        return [
            (
                each.title,
                each.verdict,
                _rate(each.metric, each.candidate_rate, each.candidate_deviation),
                str(each.candidate_events),
                _rate(each.metric, each.stable_rate, each.stable_deviation),
                str(each.stable_events),
                difference(each),
            )
            for each in self.decision.judgement.guardrails
        ]

    @property
    def mistakes(self) -> list[tuple[str, ...]]:
        """The rows of the table of classes that were taken for others."""
        return [
            (each.true, each.answered, _share(each.candidate, each.candidate_of), _share(each.stable, each.stable_of))
            for each in self.decision.mistakes
        ]


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" + (f" ({percent(count / of)})" if of else "")


def _rate(metric: str, rate: float, deviation: float | None) -> str:
    return figure(metric, rate) if deviation is None else f"{figure(metric, rate)} ± {figure(metric, deviation)}"


def differences(stable: Origin | None, candidate: Origin | None) -> tuple[Difference, ...] | None:
    """In what two versions differ, by name."""
    if stable is None or candidate is None:
        return None
    names = [name for name in sorted({*stable, *candidate}) if stable.get(name) != candidate.get(name)]
    return tuple(
        Difference(name[:VALUE_CHARACTERS], stable.get(name, "")[:VALUE_CHARACTERS], candidate.get(name, "")[:VALUE_CHARACTERS])
        for name in names[:DIFFERENCES_LISTED]
    )
