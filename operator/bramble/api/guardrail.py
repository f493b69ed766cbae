"""What a guardrail of a Rollout may say: its fields and the rules between them, of which most follow from the metrics."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from bramble.api.schema import (
    Decimal,
    Quantity,
    Rule,
    Share,
    SpecPart,
    as_quantity,
    is_quantity,
    quoted,
)
from bramble.contracts.base import OneOf
from bramble.contracts.confusion import MAX_CLASS_CHARACTERS
from bramble.guardrails.base import Metric
from bramble.guardrails.catalogue import IN_A_SPEC
from bramble.guardrails.growth import DEFAULT_GROWTH

DEFAULT_RATIO = "1.5"
DEFAULT_EVENTS = 400
DEFAULT_NODES = 1
ALLOWED_GROWTH = f"{DEFAULT_GROWTH:g}Mi"
"""What a guardrail that leaves `maxRatio`, `minEvents`, `minNodes` or `allowedGrowth` out is judged with."""

METRIC_NAMES = tuple(metric.name for metric in IN_A_SPEC)
MetricName = Annotated[str, OneOf(METRIC_NAMES)]


def described(metrics: tuple[Metric, ...]) -> str:
    """What each metric measures, as sentences."""
    return " ".join(f"`{metric.name}`: {metric.description}." for metric in metrics)


def _needing(field: str) -> str:
    """The metrics that need a field, as a phrase."""
    return " and ".join(_names(field))


def _names(field: str) -> tuple[str, ...]:
    return tuple(metric.name for metric in IN_A_SPEC if field in metric.fields)


def _events() -> str:
    """What one event is, by metric, as a sentence."""
    counted = [metric for metric in IN_A_SPEC if "minEvents" in metric.takes]
    kinds = dict.fromkeys(metric.event for metric in counted)
    phrases = (f"{kind} for {', '.join(metric.name for metric in counted if metric.event == kind)}" for kind in kinds)
    return f"Events are {'; '.join(phrases)}."


def _set_where_needed(field: str, example: str) -> Rule:
    """The field is set if the metric needs it, and only then."""
    names = ", ".join(map(quoted, _names(field)))
    needs = "needs" if len(_names(field)) == 1 else "need"
    return Rule(
        f"has(self.{field}) == (self.metric in [{names}])",
        f"metric: {_needing(field)} {needs} a {field}, such as {example}; no other metric has one",
    )


def _only_of_some(field: str) -> Rule:
    """Only metrics that take the field may be given it."""
    without = [metric.name for metric in IN_A_SPEC if field not in metric.takes]
    names = ", ".join(map(quoted, without))
    return Rule(f"!has(self.{field}) || !(self.metric in [{names}])", f"{field}: there is none for {', '.join(without)}; remove it")


def _of_some(field: str) -> str:
    """The metrics that take a field, as a phrase."""
    return ", ".join(metric.name for metric in IN_A_SPEC if field in metric.takes)


OPTIONAL_FIELDS = tuple(dict.fromkeys(field for metric in IN_A_SPEC for field in sorted(metric.takes)))


class Guardrail(SpecPart):
    """A bound on one metric of the candidate.

    A candidate whose rate is shown to be above the margin, or above the limit, is undone. A rate that is shown to be below the margin, or
    below the ceiling, passes. As long as neither is shown, the step waits.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _set_where_needed("quantile", '"0.99"'),
        _set_where_needed("label", "one of the model's classes"),
        Rule(
            "!has(self.quantile) || (double(self.quantile) > 0.0 && double(self.quantile) < 1.0)",
            'quantile: every request is slower than the quantile 0, and none than the quantile 1; write one between, such as "0.99"',
        ),
        *(_only_of_some(field) for field in OPTIONAL_FIELDS if not all(field in metric.takes for metric in IN_A_SPEC)),
        Rule(
            "!has(self.maxRatio) || double(self.maxRatio) >= 1.0",
            'maxRatio: a candidate like the stable version has the ratio 1, so write "1" or more; to bound the rate itself, set a limit',
        ),
        Rule(
            "!has(self.ceiling) || double(self.ceiling) > 0.0",
            "ceiling: no number of events shows a rate below 0; set one that is fine for you, or leave it out",
        ),
        Rule(
            "!has(self.limit) || !has(self.ceiling) || double(self.limit) > double(self.ceiling)",
            "limit: a rate between limit and ceiling would fail and pass; set a limit above the ceiling",
        ),
        Rule(
            "!has(self.better) || !self.better || !has(self.ceiling)",
            "better: a version that is no better passes by its ceiling; remove the ceiling, or better",
        ),
        Rule(
            f"!has(self.growthLimit) || !{is_quantity('self.growthLimit')} ||"
            f" (has(self.allowedGrowth) && !{is_quantity('self.allowedGrowth')}) || {as_quantity('self.growthLimit')}.isGreaterThan("
            f"has(self.allowedGrowth) ? {as_quantity('self.allowedGrowth')} : quantity('{ALLOWED_GROWTH}'))",
            f"growthLimit: growth that is allowed would fail; set a limit above allowedGrowth, which is {ALLOWED_GROWTH} when unset",
        ),
    )

    metric: MetricName = Field(description=described(IN_A_SPEC))
    quantile: Share | None = Field(None, description=f"For {_needing('quantile')}: which quantile of the stable version to compare with.")
    label: Annotated[str, Field(min_length=1, max_length=MAX_CLASS_CHARACTERS)] | None = Field(
        None, description=f"For {_needing('label')}: the class that is counted, one of those of the version's package."
    )
    max_ratio: Decimal | None = Field(
        None,
        description="The margin, 1 or more: how many times the stable cohort's rate the candidate's may be;"
        f' "{DEFAULT_RATIO}" when unset.',
    )
    ceiling: Share | None = None
    """A rate that is fine whatever the stable cohort's rate is: a candidate passes once it is shown to be below. Unset means that only the
    margin decides, which takes long where bad events are rare."""
    limit: Share | None = None
    """A rate that is too high whatever the stable cohort's rate is: a candidate is undone once it is shown to be above. It also decides
    where there is no stable version to compare with, as in the last step and for a first version."""
    better: bool | None = None
    """With `true` the candidate has to be shown to have a lower rate than the stable cohort, before a step with every node and before the
    promotion; for the steps before, the margin decides. A first version is not asked to be better."""
    min_events: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description=f"How many events the candidate must have had before it passes, and the stable version before a step with every node;"
        f" {DEFAULT_EVENTS} when unset. {_events()}",
    )
    min_nodes: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"On how many candidate nodes there must be any event before it passes; {DEFAULT_NODES} when unset."
    )
    allowed_growth: Quantity | None = Field(
        None,
        description=f"For {_of_some('allowedGrowth')}, in bytes per hour: by how much the candidate's may grow faster than that of stable"
        f" nodes; {ALLOWED_GROWTH} when unset.",
    )
    growth_limit: Quantity | None = Field(
        None,
        description=f"For {_of_some('growthLimit')}, in bytes per hour: a growth that is too fast whatever that of stable nodes is. It"
        " decides in fleets of a few nodes, and where there is no stable version to compare with, as in the last step.",
    )
