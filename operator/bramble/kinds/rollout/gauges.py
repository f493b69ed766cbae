"""What the operator's metrics tell of the guardrails of a Rollout, as its status says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.bounds import Finite
from bramble.guardrails.catalogue import METRICS
from bramble.kube.resources import Manifest

NAMES = frozenset(metric.name for metric in METRICS)

Share = Annotated[Finite, Field(ge=0, le=1)]


class _Verdict(ExtensibleDocument):
    metric: str
    drift: Annotated[Finite, Field(ge=0)] | None = None
    to_fail: Share | None = None
    to_pass: Share | None = None


class _Verdicts(ExtensibleDocument):
    state: str = ""
    guardrails: tuple[_Verdict, ...] = ()


class _Status(ExtensibleDocument):
    candidate: dict[str, Any] | None = None
    analysis: _Verdicts | None = None
    watch: _Verdicts | None = None


def gauges_of(rollout: Manifest) -> Mapping[str, Mapping[str, float]]:
    """Name of a gauge (`Controller.gauges`) to guardrail metric to its figure; empty while nothing is judged.

    While a version is tried these are `drift`, `toFail` and `toPass` of its verdicts; while a promoted one is watched, `toFail`. Of several
    guardrails with one metric the one counts that is the furthest from a promotion. Anybody who may write the status may have written it,
    so only metrics of the catalogue are taken.
    """
    try:
        status = _Status.model_validate(rollout.get("status") or {})
    except ValidationError:
        return {}
    if status.candidate is not None:
        verdicts = _known(status.analysis)
        return {
            "drift": _by_metric(max, ((each.metric, each.drift) for each in verdicts)),
            "to_fail": _by_metric(max, ((each.metric, each.to_fail) for each in verdicts)),
            "to_pass": _by_metric(min, ((each.metric, each.to_pass) for each in verdicts)),
        }
    if status.watch is not None and status.watch.state == "Watching":
        return {"to_fail": _by_metric(max, ((each.metric, each.to_fail) for each in _known(status.watch)))}
    return {}


def _known(verdicts: _Verdicts | None) -> tuple[_Verdict, ...]:
    return tuple(each for each in verdicts.guardrails if each.metric in NAMES) if verdicts is not None else ()


def _by_metric(of_several: Callable[[float, float], float], figures: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric, figure in figures:
        if figure is not None:
            found[metric] = of_several(figure, found.get(metric, figure))
    return found
