"""How long the operator's event loop is held up at 5,000 devices: by a reading of the gateway, and by a pass of a Fleet and of a Rollout.

While it is held up, the Lease is not renewed and no other object is looked after. Cache, reports and passes are the operator's own; the API
server, the network and the store are left out. Each part runs several times, and the longest stretch without a turn of the loop
counts, in the best of the runs. Prints JSON; exits 1 if a figure is above its goal.

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
from pathlib import Path
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
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults
from bramble.engine.gateway_poll import PART_BYTES, parse_reading
from bramble.engine.metrics import Metrics
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.engine.queue import WorkQueue
from bramble.engine.reconcile import Reconciler
from bramble.gateway.reports import ReceivedReports
from bramble.kinds.fleet.controller import CONTROLLER as FLEETS
from bramble.kinds.rollout.controller import CONTROLLER as ROLLOUTS
from bramble.kube.resources import CONFIG_MAP, FLEET, NODE, ROLLOUT, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import AlwaysLeads, FakeStore
from tests.unit.rollout.world import SETTINGS, FakeWorld, promoted

GOAL_MS = 20.0
RUNS = 7
TICK_SECONDS = 0.001


async def wide(nodes: int) -> FakeWorld:
    """A Rollout whose candidate is on some nodes of a fleet of so many, all of which answer requests."""
    world = await promoted(FakeWorld(nodes=8), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(
        lambda: world.status.candidate is not None and world.assignment is not None and world.assignment.candidate is not None
    )
    large = FakeWorld(nodes=nodes)
    large.now, large.files = world.now, world.files
    large.objects.update({key: manifest for key, manifest in world.objects.items() if key.kind != NODE.kind})
    assert world.assignment is not None
    assignment = world.assignment.model_copy(update={"nodes": {"virtual": tuple(large.devices)}})
    stored = next(manifest for key, manifest in large.objects.items() if key.kind == CONFIG_MAP.kind)
    stored["data"] = {KEY: canonical_json(assignment).decode()}
    for device in large.devices.values():
        device.accept(assignment)
        device.serve(100, 0.0)
    return large


class Operator:
    """The parts of one replica that read and plan."""

    def __init__(self, world: FakeWorld) -> None:
        self.world, self.reports = world, DeviceReports()
        self.reports.proves_silence = True
        controllers = {controller.resource.kind: controller for controller in (FLEETS, ROLLOUTS)}
        queue, api, store, metrics = WorkQueue(), FakeApi(), FakeStore(), Metrics()
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
        self.reconciler = Reconciler(
            controllers,
            queue,
            self.changes,
            lambda: PassReader(api, SETTINGS, self.changes, store, self.reports, ObjectEvents(api)),
            executor,
            metrics,
            lambda: None,
        )

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


async def measure(nodes: int) -> dict[str, float]:
    """The longest stretch of each part, in milliseconds."""
    operator, received = Operator(await wide(nodes)), ReceivedReports("gateway-0")
    found = []
    for sequence in range(RUNS):
        for device in operator.world.devices.values():
            device.serve(10, 0.0)
            received.add_report(device.report(seq_known=True).model_copy(update={"sequence": sequence}))
        found.append(await longest_ms(operator.read(parts_of(received))))
    return {
        "reading": round(min(found), 1),
        "pass_of_a_fleet": await best_of(lambda: operator.reconciler.reconcile(Key(FLEET.kind, "", "demo"))),
        "pass_of_a_rollout": await best_of(lambda: operator.reconciler.reconcile(Key(ROLLOUT.kind, "digits", "digits"))),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    nodes = parser.parse_args().nodes
    collect_rarely()
    found = asyncio.run(measure(nodes))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    what = f"milliseconds for which the operator's event loop is held up at most, with {nodes} devices"
    print(json.dumps({"what": what, **found, "goal_ms": GOAL_MS, "machine": machine}, indent=2))
    return 0 if max(found.values()) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
