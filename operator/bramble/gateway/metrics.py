"""The gateway's metrics. Labels are calls and status codes, never names of objects."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics and their registry. A process has one instance; tests create their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.requests = Counter(
            "bramble_gateway_requests", "Calls answered, by call and status code.", ("call", "code"), registry=self.registry
        )
        self.seconds = Histogram(
            "bramble_gateway_request_seconds",
            "Time to answer a call, including the time that a long poll waits.",
            ("call",),
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.blob_bytes = Counter("bramble_gateway_blob_bytes", "Bytes of blobs sent.", registry=self.registry)
        self.waiting = Gauge("bramble_gateway_waiting", "Devices that wait for a change of their assignment.", registry=self.registry)
        self.devices = Gauge(
            "bramble_gateway_devices", "Devices that have reported to this replica in the last hour.", registry=self.registry
        )
        self.assignments = Gauge("bramble_gateway_assignments", "Assignments known.", registry=self.registry)
