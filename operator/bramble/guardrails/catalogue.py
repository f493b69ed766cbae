"""Every guardrail metric, in the order in which verdicts are listed. A new metric is a file beside this one and a line here."""

from __future__ import annotations

from bramble.guardrails.accuracy import ACCURACY
from bramble.guardrails.base import Metric
from bramble.guardrails.crashes import CRASHES
from bramble.guardrails.errors import ERRORS
from bramble.guardrails.latency import LATENCY
from bramble.guardrails.lost import LOST
from bramble.guardrails.rejected import REJECTED

METRICS: tuple[Metric, ...] = (LOST, ERRORS, LATENCY, CRASHES, REJECTED, ACCURACY)

IN_A_SPEC: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.always is None)
"""The metrics that a guardrail of a spec may name."""

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
