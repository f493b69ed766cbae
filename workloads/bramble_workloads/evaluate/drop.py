"""Computes by how much a variant scores worse than the fp32 package, and checks the limits. Conversion and benchmark use it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bramble.contracts.tasks.base import TaskContract
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.gates import decimal

DECIMALS = 9
"""A drop is rounded to so many decimals, so that rounding errors do not decide. Scores are shares of samples, which differ by far more."""


def require_max_drop(max_drop: Mapping[str, str], task: TaskContract) -> None:
    """Check the limits before any work is done.

    Raises:
        SpecError: a limit names a metric that is not of the task, or is not a decimal.
    """
    for metric, limit in max_drop.items():
        if metric not in task.metric_names:
            raise SpecError(f"maxDrop names {metric!r}: the task {task.name} measures {', '.join(task.metric_names)}")
        decimal(limit, f"maxDrop.{metric}")


def drop_of(reference: Mapping[str, float], found: Mapping[str, float], task: TaskContract) -> dict[str, float]:
    """The drop of each metric that both sides have: how much worse the variant is. It is negative where the variant is better."""
    return {
        metric.name: round((found[metric.name] - reference[metric.name]) * (1 if metric.lower_is_better else -1), DECIMALS)
        for metric in task.metrics
        if metric.name in reference and metric.name in found
    }


def missed(reference: Mapping[str, float], found: Mapping[str, float], max_drop: Mapping[str, str], task: TaskContract) -> list[str]:
    """A sentence for each metric that dropped by more than is allowed; a drop of exactly the limit is allowed.

    A limit on a metric that one side lacks counts as missed, because nothing shows that it is kept.
    """
    drops = drop_of(reference, found, task)
    sentences = []
    for metric in (metric for metric in task.metrics if metric.name in max_drop):
        name, limit = metric.name, max_drop[metric.name]
        if name not in drops:
            sentences.append(f"{name} was not measured; maxDrop allows {limit}")
        elif Decimal(repr(drops[name])) > decimal(limit, f"maxDrop.{name}"):
            side = "above" if metric.lower_is_better else "below"
            figures = f"{found[name]:.3f} is {drops[name]:.3f} {side} fp32 ({reference[name]:.3f})"
            sentences.append(f"{name} {figures}; maxDrop allows {limit}")
    return sentences
