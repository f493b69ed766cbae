"""How much the stable nodes of a Rollout drift, as its status says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.bounds import Finite
from bramble.guardrails.catalogue import METRICS
from bramble.kube.resources import Manifest

NAMES = frozenset(metric.name for metric in METRICS)


class _Verdict(ExtensibleDocument):
    metric: str
    drift: Annotated[Finite, Field(ge=0)] | None = None


class _Analysis(ExtensibleDocument):
    guardrails: tuple[_Verdict, ...] = ()


class _Status(ExtensibleDocument):
    candidate: dict[str, Any] | None = None
    analysis: _Analysis | None = None


def drift_by_metric(rollout: Manifest) -> Mapping[str, float]:
    """Guardrail metric to `Verdict.drift`; empty while no version is tried. Of several guardrails with one metric the largest counts.

    Anybody who may write the status may have written it, so only metrics of the catalogue are taken.
    """
    try:
        status = _Status.model_validate(rollout.get("status") or {})
    except ValidationError:
        return {}
    found: dict[str, float] = {}
    if status.candidate is not None and status.analysis is not None:
        for verdict in status.analysis.guardrails:
            if verdict.drift is not None and verdict.metric in NAMES:
                found[verdict.metric] = max(verdict.drift, found.get(verdict.metric, 0.0))
    return found
