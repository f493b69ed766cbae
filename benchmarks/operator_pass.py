"""How long the operator's event loop is held up at 5,000 devices: by a reading of the gateway, and by a pass of a Fleet and of a Rollout.

While it is held up, the Lease is not renewed and no other object is looked after. Cache, reports and passes are the operator's own; the API
server, the network and the store are left out. Each part runs several times, and the longest stretch without a turn of the loop
counts, in the best of the runs. The Rollout has a candidate on half of the nodes, three guardrails and a ledger of them; the pass that is
due to write the ledger is measured by itself. What plans cost in their thread is printed as well. Prints JSON; exits 1 if a figure is
above its goal.

Usage: python benchmarks/operator_pass.py [--nodes N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydantic_core import from_json

from bramble.__main__ import collect_rarely
from bramble.api.labels import AGENT, MANAGED_BY_BRAMBLE, agent_label
from bramble.contracts.assignment import KEY
from bramble.contracts.canonical import canonical_json
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.device_reports import DeviceReports
from bramble.engine.elapsed import Elapsed
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults
from bramble.engine.gateway_poll import PART_BYTES, parse_reading
from bramble.engine.metrics import Metrics
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.engine.queue import WorkQueue
from bramble.engine.reconcile import Reconciler
from bramble.gateway.reports import ReceivedReports
from bramble.kinds.controller import Controller
from bramble.kinds.fleet.controller import CONTROLLER as FLEETS
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.controller import CONTROLLER as ROLLOUTS
from bramble.kinds.rollout.ledger_store import KEY as KEPT
from bramble.kube.resources import CONFIG_MAP, FLEET, NODE, ROLLOUT, Key, Manifest, key_of
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import AlwaysLeads, FakeStore
from tests.unit.rollout.world import SETTINGS, FakeWorld, promoted

GOAL_MS = 20.0
RUNS = 7
TICK_SECONDS = 0.001
HALF: list[dict[str, Any]] = [{"nodes": "50%", "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]
GUARDRAILS: list[dict[str, Any]] = [
    {"metric": "errors"},
    {"metric": "latency", "quantile": "0.99", "maxRatio": "2"},
    {"metric": "accuracy"},
]


async def wide(nodes: int) -> FakeWorld:
    """A Rollout whose candidate is on half of the nodes of a fleet of so many, all of which answer requests, with their ledger."""
    world = FakeWorld(nodes=8, steps=HALF, guardrails=GUARDRAILS)
    world.now = datetime.now(UTC) - timedelta(hours=1)
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(
        lambda: world.status.candidate is not None and world.assignment is not None and world.assignment.candidate is not None
    )
    large = FakeWorld(nodes=nodes, steps=HALF, guardrails=GUARDRAILS)
    large.now, large.files = world.now, world.files
    world.rollout["spec"]["analysis"]["deadline"] = "24h"
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [{**step, "bake": "12h"} for step in HALF]
    large.objects.update({key: manifest for key, manifest in world.objects.items() if key.kind != NODE.kind})
    assert world.assignment is not None
    canaries = tuple(large.devices)[: nodes // 2]
    assignment = world.assignment.model_copy(update={"nodes": {"virtual": tuple(large.devices)}, "candidate_nodes": canaries})
    stored = next(manifest for key, manifest in large.objects.items() if key.kind == CONFIG_MAP.kind and KEY in manifest.get("data", {}))
    stored["data"] = {KEY: canonical_json(assignment).decode()}
    before = assignment.model_copy(update={"attempt": assignment.attempt - 1, "candidate": None, "candidate_nodes": ()})
    for number, device in enumerate(large.devices.values()):
        for given, requests in ((before, 10_000 + number), (assignment, 1000 + number)):
            device.accept(given)
            device.serve(requests, 0.001)
    for ledger in ledgers_of(large):
        del large.objects[key_of(ledger)]
    while not ledgers_of(large):
        await large.step()
    return large


def ledgers_of(world: FakeWorld) -> list[Manifest]:
    """The ConfigMap of the Rollout's ledger, if there is one."""
    return [manifest for manifest in world.objects.values() if KEPT in manifest.get("binaryData", {})]


class Operator:
    """The parts of one replica that read and plan.

    Attributes:
        planned: CPU time of each plan in its thread, in milliseconds.
    """

    def __init__(self, world: FakeWorld) -> None:
        self.world, self.reports = world, DeviceReports()
        self.reports.proves_silence = True
        self.planned: list[float] = []
        controllers = {controller.resource.kind: self._timed(controller) for controller in (FLEETS, ROLLOUTS)}
        queue, api, store, metrics = WorkQueue(), FakeApi(), FakeStore(), Metrics()
        self._api, (self._ledger,) = api, ledgers_of(world)
        store.documents = {("digits", key): content for key, content in world.files.items()}
        self.changes = Changes(Cache(), queue, controllers)
        executor = Executor(api, store, self.changes, AlwaysLeads(), Faults(), metrics, Rules(status_seconds=3600, instance="bench"))
        for manifest in world.objects.values():
            labels = {**manifest["metadata"].get("labels", {}), **MANAGED_BY_BRAMBLE}
            if manifest["kind"] == NODE.kind:
                labels |= {"f": "demo", "b": "v", AGENT: agent_label("demo", "virtual")}
            api.put({**manifest, "metadata": {**manifest["metadata"], "labels": labels}})
        for manifest in api.objects.values():
            self.changes.updated(manifest)
        elapsed = Elapsed()
        self.reconciler = Reconciler(
            controllers,
            queue,
            self.changes,
            lambda: PassReader(api, SETTINGS, self.changes, store, self.reports, ObjectEvents(api), elapsed),
            executor,
            metrics,
            lambda: None,
        )

    def _timed(self, controller: Controller[Any]) -> Controller[Any]:
        """The same controller, whose plans are timed."""

        def plan(seen: Any, now: datetime) -> Plan:
            began = time.thread_time()
            planned = controller.plan(seen, now)
            self.planned.append(1000 * (time.thread_time() - began))
            return planned

        return replace(controller, plan=plan)

    async def pass_of_a_rollout(self, *, writes: bool) -> None:
        """One pass.

        Args:
            writes: whether it is due to write the ledger, which was last written before. The store has one that was written just now
                otherwise.
        """
        if writes:
            self.changes.updated(self._api.put(self._ledger))
        await self.reconciler.reconcile(Key(ROLLOUT.kind, "digits", "digits"))

    async def read(self, parts: Sequence[bytes]) -> None:
        """One reading of a replica, as the poller makes it."""
        parsed = []
        for part in parts:
            parsed.append(parse_reading(part))
            await asyncio.sleep(TICK_SECONDS)  # the next answer is on its way
        for reading in parsed:
            self.reports.merge(reading)
            await asyncio.sleep(0)
        self.reports.turned()


def parts_of(received: ReceivedReports) -> list[bytes]:
    """A replica's answers to one reading."""
    parts, cursor, more = list[bytes](), "", True
    while more:
        parts.append(received.observed(cursor, PART_BYTES))
        found = from_json(parts[-1])
        cursor, more = found["cursor"], found["more"]
    return parts


async def longest_ms(work: Awaitable[Any]) -> float:
    """The longest time without a turn of the loop while this runs, in milliseconds of the process's CPU time.

    So other processes of the machine do not count, and a thread of this process that has the interpreter does.
    """
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.process_time()
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, time.process_time() - began)

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    await work
    await asyncio.sleep(TICK_SECONDS)
    ticking.cancel()
    return longest * 1000


async def best_of(part: Callable[[], Awaitable[Any]]) -> float:
    return round(min([await longest_ms(part()) for _ in range(RUNS)]), 1)


async def measure(nodes: int) -> tuple[dict[str, float], dict[str, float]]:
    """The longest stretch of each part, and the median of what its plan costs in the thread, in milliseconds."""
    operator, received = Operator(await wide(nodes)), ReceivedReports("gateway-0")
    found = []
    for sequence in range(RUNS):
        for device in operator.world.devices.values():
            device.serve(10, 0.0)
            received.add_report(device.report(seq_known=True).model_copy(update={"sequence": sequence}))
        found.append(await longest_ms(operator.read(parts_of(received))))
    await operator.pass_of_a_rollout(writes=True)
    blocked = {
        "reading": round(min(found), 1),
        "pass_of_a_fleet": await best_of(lambda: operator.reconciler.reconcile(Key(FLEET.kind, "", "demo"))),
    }
    in_thread = {}
    for name, writes in (("pass_of_a_rollout", False), ("pass_that_writes_the_ledger", True)):
        operator.planned.clear()
        blocked[name] = await best_of(partial(operator.pass_of_a_rollout, writes=writes))
        in_thread[name] = round(median(operator.planned), 1)
    return blocked, in_thread


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    nodes = parser.parse_args().nodes
    collect_rarely()
    found, in_thread = asyncio.run(measure(nodes))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    what = f"milliseconds for which the operator's event loop is held up at most, with {nodes} devices"
    print(json.dumps({"what": what, **found, "plan_in_its_thread_ms": in_thread, "goal_ms": GOAL_MS, "machine": machine}, indent=2))
    return 0 if max(found.values()) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
