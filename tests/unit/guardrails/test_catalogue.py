"""What holds for every metric, and what the API, the documentation and the devices must agree on with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import bramble_workloads.edge
from bramble.api.guardrail import METRIC_NAMES, Guardrail
from bramble.contracts.counters import Counters
from bramble.guardrails.base import ClassShare, EventShare, Metric, Rule
from bramble.guardrails.catalogue import ALWAYS, METRICS, counted_metric, metric_named
from bramble.guardrails.evidence import GuardEvidence
from bramble.guardrails.lost import LOST
from tests.unit.guardrails.cohort import LEVELS

each = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
EDGE = Path(bramble_workloads.edge.__file__).parent


@each
def test_missing_data_is_no_failure(metric: Metric) -> None:
    rule = metric.always or Rule(metric=metric.name, quantile=0.5, max_ratio=1.5, ceiling=0.5, min_events=1, min_nodes=1)
    verdict = metric.judge(rule, GuardEvidence(metric=metric.name), LEVELS)
    assert verdict.verdict == ("Pass" if metric.always else "Undecided")
    assert verdict.metric == metric.name


@each
def test_messages_are_short_and_name_their_metric(metric: Metric) -> None:
    rule = metric.always or Rule(metric=metric.name, quantile=0.5, max_ratio=1.5, ceiling=0.5, min_events=400, min_nodes=1)
    message = metric.judge(rule, GuardEvidence(metric=metric.name), LEVELS).message
    assert message.startswith(f"{metric.name}: ")
    assert len(message) < 200


@pytest.mark.parametrize("metric", [each for each in METRICS if isinstance(each, EventShare)], ids=lambda metric: metric.name)
def test_every_count_that_a_metric_reads_is_counted_by_the_device(metric: EventShare) -> None:
    source = "".join(path.read_text() for path in EDGE.rglob("*.py") if path.name != "metrics.py")
    missing = [name for name in metric.reads if f'"{name}"' not in source]
    assert not missing, f"{metric.name} reads {missing}, which no line of workloads/bramble_workloads/edge counts"


def test_what_a_metric_of_one_class_reads_is_a_part_of_a_report() -> None:
    assert {name for metric in METRICS if isinstance(metric, ClassShare) for name in metric.reads} <= Counters.model_fields.keys()


def test_names_are_unique_and_a_spec_may_name_all_but_those_that_always_judge() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert tuple(metric.name for metric in METRICS if metric is not LOST) == METRIC_NAMES
    assert ALWAYS == (LOST,)


def test_a_metric_that_nobody_made_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=f"'nothing' is no guardrail metric; use one of lost, {', '.join(METRIC_NAMES)}"):
        metric_named("nothing")
    with pytest.raises(ValidationError, match="metric"):
        Guardrail.model_validate({"metric": "lost"})
    with pytest.raises(ValueError, match="'lost' is not counted on devices"):
        counted_metric("lost")
