"""The device's counters for Prometheus. Labels carry 16 hex digits of a package digest, never an object's name."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bramble.contracts.canonical import short
from bramble.contracts.counters import DURATION_BOUNDS_MS
from bramble_workloads.device import board
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.serve.counters import Tally

LABELS = ("package", "cohort", "attempt")
EVERY = 8
"""Of the report's 137 bounds each eighth goes to Prometheus: one a doubling."""

COUNTS = {
    "requests": "Requests that were answered or should have been.",
    "errors": "Requests not answered through no fault of their own.",
    "crashes": "Deaths of the agent while it served the package.",
}
"""What each count means; one that is not listed goes by its name alone."""

FEEDBACK = ("right", "wrong")
"""Counts that are one metric with a label `verdict`."""


class DeviceCollector(Collector):
    """Reads the node's book when it is asked."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Every metric of the device."""
        tallies = [([short(key.package), key.cohort, str(key.attempt)], tally) for key, tally in self._node.book.items()]
        for name in dict.fromkeys([*COUNTS, *(name for _, tally in tallies for name in tally.counts if name not in FEEDBACK)]):
            text = COUNTS.get(name, f"Events that the agent counts as {name}.")
            counted = CounterMetricFamily(f"bramble_device_{name}", text, labels=LABELS)
            for labels, tally in tallies:
                counted.add_metric(labels, tally.counts[name])
            yield counted
        feedback = CounterMetricFamily("bramble_device_feedback", "Answers that somebody judged.", labels=(*LABELS, "verdict"))
        durations = HistogramMetricFamily("bramble_device_predict_seconds", "From the whole request to the answer.", labels=LABELS)
        for labels, tally in tallies:
            for verdict in FEEDBACK:
                feedback.add_metric([*labels, verdict], tally.counts[verdict])
            durations.add_metric(labels, buckets(tally), sum_value=tally.sum_ms / 1000)
        yield from (feedback, durations)
        yield self._serving()
        yield from self._health()

    def _serving(self) -> Metric:
        serving = GaugeMetricFamily("bramble_device_serving", "1 for each package that answers now.", labels=("package", "cohort"))
        for model in self._node.models():
            if model.endpoint.current is not None:
                label = model.endpoint.current.label
                serving.add_metric([short(label.package), label.cohort], 1)
        return serving

    def _health(self) -> Iterator[Metric]:
        health = board.health(self._node.settings.state)
        for name, text, value in (
            ("bramble_device_disk_free_bytes", "Free on the disk of the slots.", health.free_bytes),
            ("bramble_device_memory_bytes", "Resident memory of the agent.", health.memory_bytes),
            ("bramble_device_temperature_celsius", "Of the board's hottest zone.", health.temperature_celsius),
            ("bramble_device_throttled", "1 while the board holds its clock down.", health.throttled),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=float(value))


def buckets(tally: Tally) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound in seconds, a bound a doubling, the last one infinite."""
    found: list[tuple[str, float]] = []
    seen = 0
    for position, (bound, count) in enumerate(zip(DURATION_BOUNDS_MS, tally.buckets, strict=False)):
        seen += count
        if position % EVERY == 0:
            found.append((f"{bound / 1000:.6g}", seen))
    return [*found, ("+Inf", sum(tally.buckets))]


def exposition(node: Node) -> tuple[bytes, str]:
    """The text that Prometheus reads, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeviceCollector(node))
    return generate_latest(registry), CONTENT_TYPE_LATEST
