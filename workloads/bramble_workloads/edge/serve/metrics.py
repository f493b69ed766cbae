"""The metrics of the agent for Prometheus. A label has the first 16 hex digits of a package's digest and never an object's name.

Labelled answers are not exported by class. The names of classes are texts of users, and a model of 64 classes would multiply the series of
each device by 64; the operator reads them from the reports, for the guardrails `precision` and `recall`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bramble.contracts.assignment import assignment_name
from bramble.contracts.canonical import short
from bramble.contracts.counters import DURATION_BOUNDS_MS
from bramble_workloads.device import board, memory
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.serve.counters import JUDGED, Tally

LABELS = ("assignment", "package", "cohort", "attempt")
BOUND_STRIDE = 8
"""Prometheus gets every eighth of the 137 bounds, so that the bounds double from one to the next."""

COUNTS = {
    "requests": "Requests that were answered or should have been.",
    "errors": "Valid requests that were not answered.",
    "rejected": "Requests that the model does not take, such as pictures that are too large.",
    "overloaded": "Requests that found the queue of the model full.",
    "confident": "Answers whose confidence is at least that at which the package calls an answer confident.",
    "crashes": "Crashes of the agent while it served the package.",
}
"""The help text of each count. A count that is not listed has a text with its name."""

FEEDBACK = {name: (origin, "right" if right else "wrong") for origin, names in JUDGED.items() for right, name in names.items()}
"""Counts that are exported as one metric, by its labels `origin` and `verdict`."""


class DeviceCollector(Collector):
    """Collects the metrics of a node at each scrape."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of the device."""
        tallies = list(self._tallies().items())
        for name in dict.fromkeys([*COUNTS, *(name for _, tally in tallies for name in tally.counts if name not in FEEDBACK)]):
            text = COUNTS.get(name, f"Events that the agent counts as {name}.")
            counted = CounterMetricFamily(f"bramble_device_{name}", text, labels=LABELS)
            for labels, tally in tallies:
                counted.add_metric(labels, tally.counts[name])
            yield counted
        feedback = CounterMetricFamily(
            "bramble_device_feedback",
            "Answers for which feedback arrived: labelled, or volunteered by people who saw the answer.",
            labels=(*LABELS, "origin", "verdict"),
        )
        durations = HistogramMetricFamily("bramble_device_predict_seconds", "Seconds from the whole request to the answer.", labels=LABELS)
        for labels, tally in tallies:
            for name, kind in FEEDBACK.items():
                feedback.add_metric([*labels, *kind], tally.counts[name])
            durations.add_metric(labels, cumulative_buckets(tally), sum_value=tally.sum_ms / 1000)
        yield from (feedback, durations)
        yield self._serving()
        yield from self._health()

    def _tallies(self) -> dict[tuple[str, ...], Tally]:
        """The tallies by their labels. While a Rollout replaces another of the same model, both may have equal labels: they are added."""
        found: dict[tuple[str, ...], Tally] = {}
        for key, tally in self._node.book.items():
            labels = (self._assignment(key.namespace, key.model), short(key.package), key.cohort, str(key.attempt))
            found[labels] = found[labels] + tally if labels in found else tally
        return found

    def _assignment(self, namespace: str, model: str) -> str:
        """What tells the models of a node apart without their names: the 16 hex digits in the name of the assignment's ConfigMap."""
        return assignment_name(self._node.settings.fleet, namespace, model).removeprefix("assignment-")

    def _serving(self) -> Metric:
        labels = ("assignment", "package", "cohort")
        serving = GaugeMetricFamily("bramble_device_serving", "1 for each package that serves now.", labels=labels)
        for model in self._node.models():
            if model.endpoint.current is not None:
                endpoint, label = model.endpoint, model.endpoint.current.label
                serving.add_metric([self._assignment(endpoint.namespace, endpoint.model), short(label.package), label.cohort], 1)
        return serving

    def _health(self) -> Iterator[Metric]:
        health = board.health(self._node.settings.state)
        for name, text, value in (
            ("bramble_device_disk_free_bytes", "Free bytes on the disk of the agent's folder.", health.free_bytes),
            ("bramble_device_memory_bytes", "Resident memory of the agent in bytes.", health.memory_bytes),
            (
                "bramble_device_anonymous_memory_bytes",
                "Memory of the agent that no file backs, in RAM and in swap, in bytes.",
                memory.anonymous_bytes(),
            ),
            (
                "bramble_device_temperature_celsius",
                "Temperature of the device's hottest thermal zone in degrees Celsius.",
                health.temperature_celsius,
            ),
            ("bramble_device_throttled", "1 while the device reduces its clock frequency or reports under-voltage.", health.throttled),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=float(value))


def cumulative_buckets(tally: Tally) -> list[tuple[str, float]]:
    """The upper bounds in seconds and the number of requests at or below each. The last bound is infinite."""
    found: list[tuple[str, float]] = []
    seen = 0
    for position, (bound, count) in enumerate(zip(DURATION_BOUNDS_MS, tally.buckets, strict=False)):
        seen += count
        if position % BOUND_STRIDE == 0:
            found.append((f"{bound / 1000:.6g}", seen))
    return [*found, ("+Inf", sum(tally.buckets))]


def exposition(node: Node) -> tuple[bytes, str]:
    """The metrics in the text format of Prometheus, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeviceCollector(node))
    return generate_latest(registry), CONTENT_TYPE_LATEST
