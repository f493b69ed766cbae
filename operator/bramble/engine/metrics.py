"""The operator's metrics. Labels are kinds, verbs and error classes, and no names of objects, with one exception that is bounded.

The gauges `of_rollouts` name the Rollouts that judge a version at present, since the evidence of one says nothing of another's.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MOST_ROLLOUTS = 500
"""Rollouts that gauges name at most, the first by namespace and name."""

OF_ROLLOUTS = {
    "drift": "By how much the rates of the stable nodes changed by themselves since the attempt began: a relative standard deviation.",
    "to_fail": "How far the evidence has come on the way to an undo, from 0 to 1: of a version that is tried, or watched after that.",
    "to_pass": "How far the evidence has come on the way to a pass, from 0 to 1: of a version that is tried.",
}
"""Gauges by Rollout and guardrail metric (`Controller.gauges`)."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics and their registry. A process has one; a test makes its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = to = registry or CollectorRegistry()
        self.reconcile = Histogram("bramble_reconcile_seconds", "Duration of one pass.", ["kind"], buckets=SECONDS, registry=to)
        self.writes = Counter("bramble_writes_total", "Writes that the API server or the store accepted.", ["kind", "verb"], registry=to)
        self.errors = Counter("bramble_errors_total", "Passes that ended in an error, by error class.", ["kind", "error"], registry=to)
        self.events = Counter("bramble_watch_events_total", "Changes that a watch delivered.", ["kind"], registry=to)
        self.missed = Counter("bramble_missed_changes_total", "Changes that only a full list found.", ["kind"], registry=to)
        self.objects = Gauge("bramble_cache_objects", "Objects in the cache.", ["kind"], registry=to)
        self.depth = Gauge("bramble_queue_depth", "Objects that wait for a pass.", registry=to)
        self.oldest = Gauge("bramble_queue_oldest_seconds", "How long the first object in the queue has waited.", registry=to)
        self.leader = Gauge("bramble_leader", "1 on the replica that holds the Lease, else 0.", registry=to)
        self.devices = Gauge("bramble_devices", "Devices that have reported to the gateway in the last hour.", registry=to)
        self.of_rollouts = {
            name: Gauge(f"bramble_rollout_{name}_ratio", described, ["namespace", "rollout", "metric"], registry=to)
            for name, described in OF_ROLLOUTS.items()
        }
        self.replicas = Gauge(
            "bramble_gateway_replicas", "Gateway replicas, by whether they answered the last reading.", ["answered"], registry=to
        )
