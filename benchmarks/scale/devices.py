"""A simulated device: the agent's own loops and client of the gateway around a model that only counts. Nothing is downloaded.

It runs in the image of the agents, so it may import the contracts and `bramble_workloads` only.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bramble.contracts.assignment import Assignment
from bramble.contracts.counters import BUCKETS, PREDICT, Cohort, Counters, Histogram
from bramble.contracts.report import CandidateState, Health, Report, Running
from bramble_workloads.device.errors import GatewayUnavailable
from bramble_workloads.device.gateway_client import Assignments, GatewayClient
from bramble_workloads.edge.agent import follow_assignments
from bramble_workloads.edge.reporting import Reporter

REQUESTS_A_SECOND = 10.0
BUCKET = 40
"""The bucket of the durations of all requests: about 3 ms."""

HEALTH = Health(free_bytes=10**9, memory_bytes=2**30, temperature_celsius=50.0)
EARLY_SECONDS = 0.05
"""A call this much before the end of a `Retry-After` counts as one that did not honour it."""


@dataclass
class Figures:
    """What all devices together measured since the last mark.

    Attributes:
        latencies: how long each report took that arrived, in seconds.
        failures: calls without an answer, or with an error.
        turned_away: calls answered with a `Retry-After`.
        early: calls that came before the end of one.
        calls: how many calls began in each tenth of a second.
        longest_gap: the longest time between two reports of one device that arrived, in seconds.
    """

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    turned_away: int = 0
    early: int = 0
    calls: dict[int, int] = field(default_factory=dict)
    longest_gap: float = 0.0

    def began(self) -> None:
        """Count a call."""
        tenth = int(time.time() * 10)
        self.calls[tenth] = self.calls.get(tenth, 0) + 1


@dataclass
class Heard:
    """Which devices accepted an assignment of one `seq`, and when the first and the last of them did (`time.time()`)."""

    devices: int = 0
    first: float = 0.0
    last: float = 0.0

    def add(self, now: float) -> None:
        """Another device accepted it."""
        self.first = self.first if self.devices else now
        self.devices, self.last = self.devices + 1, now


@dataclass
class Fleet:
    """What the devices of one simulation share.

    Attributes:
        url: of the gateway.
        ca: the file of its CA.
        context: the one TLS context of all devices; a context of its own for each would take a second for 30 devices.
        fleet, board, namespace, model: as their assignment says.
        errors: the share of requests that fail, by package.
        trusted: whether the context trusts the CA already.
    """

    url: str
    ca: Path
    context: ssl.SSLContext
    fleet: str
    board: str
    namespace: str
    model: str
    errors: Mapping[str, float]
    figures: Figures = field(default_factory=Figures)
    heard: dict[int, Heard] = field(default_factory=dict)
    trusted: bool = False


class Client(GatewayClient):
    """The agent's client, which also measures."""

    def __init__(self, fleet: Fleet, token: Path, reported: Callable[[], None]) -> None:
        super().__init__(fleet.url, token=token, ca=fleet.ca, context=fleet.context)
        self._fleet, self._reported = fleet, reported
        self._not_before = {"report": 0.0, "assignments": 0.0}

    def cut(self) -> None:
        """Lose all connections, as when the network between is restarted."""
        connector = self._session.connector if self._session is not None else None
        if connector is not None:
            idle = (handler for of_host in connector._conns.values() for handler, _ in of_host)  # noqa: SLF001
            for handler in (*connector._acquired, *idle):  # noqa: SLF001  (aiohttp has no other way to lose a connection)
                if handler.transport is not None:
                    handler.transport.abort()

    def _load_ca(self) -> None:
        """Once for all devices, which share the context. In one process that would else be most of what they do."""
        if not self._fleet.trusted:
            self._fleet.trusted = True
            super()._load_ca()

    async def report(self, report: Report) -> None:
        began = self._begin("report")
        try:
            await super().report(report)
        except GatewayUnavailable as error:
            self._failed("report", error)
            raise
        self._fleet.figures.latencies.append(time.monotonic() - began)
        self._reported()

    async def assignments(self, after: str | None) -> Assignments | None:
        self._begin("assignments")
        try:
            return await super().assignments(after)
        except GatewayUnavailable as error:
            self._failed("assignments", error)
            raise

    def _begin(self, call: str) -> float:
        now = time.monotonic()
        self._fleet.figures.began()
        if now < self._not_before[call] - EARLY_SECONDS:
            self._fleet.figures.early += 1
        return now

    def _failed(self, call: str, error: GatewayUnavailable) -> None:
        self._fleet.figures.failures += 1
        if error.retry_seconds:
            self._fleet.figures.turned_away += 1
            self._not_before[call] = time.monotonic() + error.retry_seconds


class Device:
    """One device. It has what the agent's loops need of a node (`bramble_workloads.edge.node`)."""

    def __init__(self, name: str, token: Path, fleet: Fleet) -> None:
        self.name, self.fleet = name, fleet
        self.settings = SimpleNamespace(node=name, fleet=fleet.fleet, board=fleet.board, withdraw_seconds=15.0)
        self.changed = asyncio.Event()
        self.boot_id, self.instance = f"boot-{name}", f"agent-{name}"
        self.reported_at: float | None = None
        """When a report last arrived, on the monotonic clock."""
        self.active: str | None = None
        self.cohort: Cohort = "stable"
        self._token = token
        self._assignment: Assignment | None = None
        self.started = self._since = self._served_at = time.monotonic()
        self._counts: dict[tuple[str, Cohort, int], dict[str, int]] = {}
        self._client: Client | None = None

    async def run(self) -> None:
        """Follow the assignments and report, as an agent does, for ever."""
        async with Client(self.fleet, self._token, self._reported) as self._client, asyncio.TaskGroup() as loops:
            loops.create_task(follow_assignments(self, self._client))  # type: ignore[arg-type]
            loops.create_task(DeviceReporter(self, self._client).run())

    def _reported(self) -> None:
        now = time.monotonic()
        if self.reported_at is not None:
            self.fleet.figures.longest_gap = max(self.fleet.figures.longest_gap, now - self.reported_at)
        self.reported_at = now

    def reconnect(self) -> None:
        """Lose all connections. What the agent does then is its own affair."""
        if self._client is not None:
            self._client.cut()

    # ------------------------------------------------------------------------------------------ what the agent's loops need
    def record_contact(self) -> None:
        """The gateway has just answered."""

    def misses_assignments(self) -> bool:
        """Nothing is ever withdrawn here."""
        return False

    async def apply(self, assignments: Iterable[Assignment], unreadable: Iterable[Any] = ()) -> bool:
        """Serve at once what the assignment says. Returns whether it was news."""
        del unreadable
        found = next((each for each in assignments if (each.namespace, each.model) == (self.fleet.namespace, self.fleet.model)), None)
        if found is None or (self._assignment is not None and found.seq <= self._assignment.seq):
            return False
        self._serve()
        before, self._assignment = (self.active, self.cohort), found
        self.active = found.package_of(self.name)
        self.cohort = "candidate" if found.candidate is not None and self.name in found.candidate_nodes else "stable"
        if (self.active, self.cohort) != before:
            self._since = time.monotonic()
        self.fleet.heard.setdefault(found.seq, Heard()).add(time.time())
        self.changed.set()
        return True

    # -------------------------------------------------------------------------------------------------------- its reports
    def state(self) -> dict[str, Any]:
        """The fields of a report that are about the model."""
        found = self._assignment
        if found is None:
            return {}
        self._serve()
        serves_candidate = self.cohort == "candidate" and self.active is not None
        running = Running(
            fleet=self.fleet.fleet,
            namespace=self.fleet.namespace,
            model=self.fleet.model,
            rollout_uid=found.rollout_uid,
            attempt=found.attempt,
            seq=found.seq,
            active=self.active,
            cohort=self.cohort,
            serving_since_ms=round((self._since - self.started) * 1000),
            candidate=CandidateState(package=str(self.active), state="serving") if serves_candidate else None,
        )
        return {"running": (running,), "counters": tuple(self._counters(key, counts) for key, counts in self._counts.items())}

    def _counters(self, key: tuple[str, Cohort, int], counts: Mapping[str, int]) -> Counters:
        package, cohort, attempt = key
        buckets = [0] * BUCKETS
        buckets[BUCKET] = counts["requests"]
        histogram = Histogram(buckets=tuple(buckets), sum_ms=3.0 * counts["requests"])
        whose = {"namespace": self.fleet.namespace, "model": self.fleet.model, "package": package, "cohort": cohort, "attempt": attempt}
        return Counters(**whose, counts=dict(counts), histograms={PREDICT: histogram})  # type: ignore[arg-type]

    def _serve(self) -> None:
        """Count the requests since the last time."""
        now, before = time.monotonic(), self._served_at
        self._served_at = now
        if self._assignment is None or self.active is None:
            return
        counts = self._counts.setdefault((self.active, self.cohort, self._assignment.attempt), {"requests": 0, "errors": 0})
        requests = drawn((now - before) * REQUESTS_A_SECOND)
        counts["requests"] += requests
        counts["errors"] += min(requests, drawn(requests * self.fleet.errors.get(self.active, 0.0)))


class DeviceReporter(Reporter):
    """The agent's reporter, with the state of a simulated device."""

    def __init__(self, device: Device, client: Client) -> None:
        super().__init__(device, client)  # type: ignore[arg-type]
        self._device = device

    def report(self) -> Report:
        """A report of the device's present state."""
        device = self._device
        uptime = round((time.monotonic() - device.started) * 1000)
        return Report(
            node=device.name,
            fleet=device.fleet.fleet,
            board=device.fleet.board,
            boot_id=device.boot_id,
            instance=device.instance,
            uptime_ms=uptime,
            sequence=uptime,  # grows over reconnections as well
            health=HEALTH,
            facts=self._facts,
            **device.state(),
        )


def drawn(expected: float) -> int:
    """A whole number whose mean is this one."""
    whole = int(expected)
    return whole + (random.random() < expected - whole)
