"""Every guardrail metric, in the order in which verdicts are listed. A new metric is a file beside this one and a line here."""

from __future__ import annotations

from bramble.guardrails.accuracy import ACCURACY
from bramble.guardrails.base import CountedMetric, Metric, Verdict, percent
from bramble.guardrails.crashes import CRASHES
from bramble.guardrails.errors import ERRORS
from bramble.guardrails.feedback import FEEDBACK
from bramble.guardrails.latency import LATENCY
from bramble.guardrails.lost import LOST
from bramble.guardrails.memory import MEMORY
from bramble.guardrails.precision import PRECISION
from bramble.guardrails.recall import RECALL
from bramble.guardrails.rejected import REJECTED

IN_A_SPEC: tuple[Metric, ...] = (ERRORS, LATENCY, CRASHES, REJECTED, ACCURACY, PRECISION, RECALL, FEEDBACK, MEMORY)
"""The metrics that a guardrail of a spec may name."""

METRICS: tuple[Metric, ...] = (LOST, *IN_A_SPEC)

ALWAYS: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.always is not None)
"""The metrics that judge every candidate, whatever the spec says."""


def metric_named(name: str) -> Metric:
    """The metric of this name.

    Raises:
        ValueError: there is none.
    """
    found = next((metric for metric in METRICS if metric.name == name), None)
    if found is None:
        raise ValueError(f"{name!r} is no guardrail metric; use one of {', '.join(metric.name for metric in METRICS)}")
    return found


def counted_metric(name: str) -> CountedMetric:
    """The metric of this name that devices count for.

    Raises:
        ValueError: there is none.
    """
    found = metric_named(name)
    if not isinstance(found, CountedMetric):
        raise ValueError(f"{name!r} is not counted on devices")  # noqa: TRY004 - the name is at fault
    return found


def figure(metric: str, rate: float) -> str:
    """A rate of a verdict as a person reads it. Of a metric of another release it is told as a share."""
    found = next((each for each in METRICS if each.name == metric), None)
    return found.figure(rate) if found is not None else percent(rate)


def difference(verdict: Verdict) -> str:
    """By how much both cohorts' rates differ, as a person reads it."""
    found = next((each for each in METRICS if each.name == verdict.metric), None)
    return found.difference(verdict) if found is not None else verdict.difference
