"""By how much a variant scores worse than the fp32 package, and what of that is too much. Pure; used here and on boards."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.gates import decimal
from bramble_workloads.evaluate.scoring import METRICS

DECIMALS = 9
"""Of a drop: scores are shares of samples, whose differences are far greater; the last bits of a subtraction decide nothing."""


def require_max_drop(max_drop: Mapping[str, str]) -> None:
    """Before any work. Raises SpecError: a metric that is not measured, or a limit that is not a decimal."""
    for metric, limit in max_drop.items():
        if metric not in METRICS:
            raise SpecError(f"maxDrop names {metric!r}: {', '.join(METRICS)} are measured")
        decimal(limit, f"maxDrop.{metric}")


def drop_of(reference: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """Reference minus found for each metric of both; negative where the variant is better."""
    return {metric: round(reference[metric] - found[metric], DECIMALS) for metric in METRICS if metric in reference and metric in found}


def missed(reference: Mapping[str, float], found: Mapping[str, float], max_drop: Mapping[str, str]) -> list[str]:
    """A sentence for each metric that dropped by more than is allowed; a drop of exactly the limit is allowed.

    A limit on a metric that one side lacks is missed: what was not measured was not shown.
    """
    drops = drop_of(reference, found)
    sentences = []
    for metric in (metric for metric in METRICS if metric in max_drop):
        if metric not in drops:
            sentences.append(f"{metric} was not measured; maxDrop allows {max_drop[metric]}")
        elif Decimal(repr(drops[metric])) > decimal(max_drop[metric], f"maxDrop.{metric}"):
            figures = f"{found[metric]:.3f} is {drops[metric]:.3f} below fp32 ({reference[metric]:.3f})"
            sentences.append(f"{metric} {figures}; maxDrop allows {max_drop[metric]}")
    return sentences
