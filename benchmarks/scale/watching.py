"""What is seen of the cluster while the devices run: the Rollout, its assignments, the Fleet, and the memory of operator and gateway."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.scale.setting import NAMESPACE
from bramble.contracts.assignment import KEY, LABEL, Assignment
from bramble.errors import ApiUnavailable
from bramble.kube.client import Client
from bramble.kube.resources import CONFIG_MAP, FLEET, ROLLOUT, Manifest, Resource
from tools.cluster import Cluster
from tools.installation import NAMESPACE as SYSTEM

SAMPLE_SECONDS = 2.0
POLL_SECONDS = 0.2
WATCH_SECONDS = 600
MIB = 1024


class Failed(Exception):
    """Something did not come about; the message has what was seen last."""


class Assigned(NamedTuple):
    """An assignment that was written: when it was seen here, its seq, and whether it has a candidate."""

    at: float
    seq: int
    candidate: bool


class Sample(NamedTuple):
    """The resident memory of one process, in KiB."""

    at: float
    pod: str
    kib: int


@dataclass
class Seen:
    """Everything that was seen.

    Attributes:
        rollout, fleet: as they are now.
        undone: the names of versions that were undone, with the time at which that was first seen.
        online: how many nodes the Fleet's status called online, each time that it changed.
    """

    rollout: Manifest = field(default_factory=dict)
    fleet: Manifest = field(default_factory=dict)
    undone: dict[str, float] = field(default_factory=dict)
    assigned: list[Assigned] = field(default_factory=list)
    online: list[tuple[float, int]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def take(self, manifest: Manifest) -> None:
        """Take in an object that was created or changed."""
        now, status = time.time(), manifest.get("status") or {}
        if manifest["kind"] == ROLLOUT.kind:
            self.rollout = manifest
            if undone := (status.get("undone") or {}).get("ref"):
                self.undone.setdefault(undone, now)
        elif manifest["kind"] == FLEET.kind:
            self.fleet = manifest
            self.online.append((now, int(status.get("online", 0))))
        elif KEY in (manifest.get("data") or {}):
            assignment = Assignment.model_validate_json(manifest["data"][KEY])
            self.assigned.append(Assigned(now, assignment.seq, assignment.candidate is not None))

    def condition(self, manifest: Manifest, name: str = "Ready") -> str:
        """Status, reason and message of a condition."""
        conditions = (manifest.get("status") or {}).get("conditions") or ()
        return next((f"{each['status']} {each['reason']} {each['message']}" for each in conditions if each["type"] == name), "")


async def follow(api: Client, resource: Resource, namespace: str, selector: str, seen: Seen) -> None:
    """Take in every change of these objects, until cancelled."""
    while True:
        listing = await api.list(resource, namespace, selector)
        for manifest in listing.items:
            seen.take(manifest)
        since = listing.resource_version
        try:
            async for kind, manifest in api.watch(resource, namespace, selector, since, WATCH_SECONDS):
                since = int(manifest["metadata"]["resourceVersion"])
                if kind in ("ADDED", "MODIFIED"):
                    seen.take(manifest)
        except ApiUnavailable:
            await asyncio.sleep(POLL_SECONDS)


def followed(api: Client, seen: Seen) -> list[asyncio.Task[None]]:
    """The tasks that watch."""
    watches = ((ROLLOUT, NAMESPACE, ""), (FLEET, "", ""), (CONFIG_MAP, SYSTEM, LABEL))
    return [asyncio.create_task(follow(api, *watch, seen)) for watch in watches]


class Processes:
    """The processes of operator and gateway, and their memory."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.pids: dict[str, int] = {}

    def find(self) -> None:
        """Look for them; a container that was restarted has another one."""
        found = dict[str, int]()
        for component in ("operator", "gateway"):
            for pod in self._cluster.list("pods", SYSTEM, selector=f"app.kubernetes.io/component={component}"):
                name, where = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
                pids = self._cluster.nodes[where].pids(name, component, SYSTEM) if where in self._cluster.nodes else []
                found |= {name: max(pids, key=resident)} if pids else {}
        self.pids = found

    async def sample(self, seen: Seen) -> None:
        """Note their memory, until cancelled."""
        while True:
            now = time.time()
            seen.samples += [Sample(now, pod, kib) for pod, pid in self.pids.items() if (kib := resident(pid))]
            await asyncio.sleep(SAMPLE_SECONDS)

    def processor_seconds(self, component: str) -> float:
        """What the processes of a component have taken of the processor since they began."""
        return sum(processor_seconds(pid) for pod, pid in self.pids.items() if component in pod)


def processor_seconds(pid: int) -> float:
    """What a process has taken of the processor, in seconds; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime


def resident(pid: int) -> int:
    """The resident memory of a process in KiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


class Devices:
    """The simulator's side of the shared folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._orders = 0

    def state(self) -> dict[str, Any]:
        """What the devices have seen; empty before they begin."""
        path = self._folder / "state.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    async def order(self, what: str) -> None:
        """Give an order, and return when it has been carried out. Figures are counted from then on."""
        self._orders += 1
        with (self._folder / "orders").open("a") as file:
            file.write(f"{what}\n")
        await until(lambda: self.state().get("orders") == self._orders, 60, self.state)


async def until(true: Callable[[], bool], seconds: float, describe: Callable[[], object]) -> float:
    """Wait until this holds. Returns how long it took, in seconds.

    Raises:
        Failed: it does not hold in time.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() > began + seconds:
            raise Failed(f"not within {seconds:g} s: {describe()}")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began


def load() -> float:
    """The load of the machine over the last minute."""
    return os.getloadavg()[0]
