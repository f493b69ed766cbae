"""The neighbour: clients that ask the devices and know the right answers, and rollouts whose decisions are known."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from bramble_workloads.processing.model import Model
from tests.hostile.arena import Arena
from tests.hostile.versions import Object, rollout_manifest
from tests.unit.workloads.edge.agent_process import Agent, request_of
from tests.unit.workloads.models import description, digits, digits_graph, rotated_graph

MODEL = "digits"
PICTURES = 200
PER_SECOND = 20
GUARDRAILS = [
    {"metric": "accuracy", "maxRatio": "2", "ceiling": "0.3", "limit": "0.5", "minEvents": 60},
    {"metric": "errors", "maxRatio": "2", "ceiling": "0.05", "limit": "0.2", "minEvents": 60},
    {"metric": "crashes", "maxRatio": "2", "ceiling": "0.05", "minEvents": 60},
]
DECIDE_SECONDS = 240.0


class Decisions(NamedTuple):
    """What became of a good version and of a bad one.

    Attributes:
        promoted: the good version serves on every device.
        undone: the condition's reason for the bad version, and the metrics that failed.
        serving: the version that serves afterwards is the good one.
    """

    promoted: bool
    undone: tuple[str, tuple[str, ...]]
    serving: bool


EXPECTED = Decisions(promoted=True, undone=("GuardrailFailed", ("accuracy",)), serving=True)


@dataclass
class Seen:
    """What the clients saw in one phase."""

    milliseconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    def figures(self) -> dict[str, float]:
        """How many requests there were, how many went wrong, and how many milliseconds they took."""
        quantiles = {f"p{percent}": round(self.p(percent), 2) for percent in (50, 90, 99)}
        return {"requests": len(self.milliseconds), "faults": len(self.faults), **quantiles}


@dataclass
class Neighbour:
    """The owner of the model `digits` in the neighbour's namespace."""

    place: Arena
    seen: Seen = field(default_factory=Seen)
    expected: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.place.world.tenant}.{MODEL}"

    # ------------------------------------------------------------------------------------------------------- clients

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """A client at every device, until the block ends."""
        async with asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(self._ask(node, agent)) for node, agent in self.place.agents.items()]
            try:
                yield
            finally:
                for client in clients:
                    client.cancel()

    async def _ask(self, node: str, agent: Agent) -> None:
        pictures, labels = digits()
        url = f"{agent.url}/v2/models/{self.name}/infer"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            number = 0
            while True:
                number += 1
                at, request = number % PICTURES, f"{node}-{number}"
                began = time.perf_counter()
                try:
                    async with session.post(url, json=request_of(pictures[at], id=request)) as response:
                        status, answer = response.status, await response.json()
                except (aiohttp.ClientError, TimeoutError) as error:
                    status, answer = 0, {"error": repr(error)}
                took = time.perf_counter() - began
                self.seen.milliseconds.append(took * 1000)
                if status != 200:
                    self.seen.faults.append(f"{node}: {status} {answer}")
                else:
                    self._check(node, at, answer)
                    true = {"requestId": request, "label": labels[at]}
                    async with session.post(f"{agent.url}/v1/feedback", json=true) as response:
                        if response.status != 200:
                            self.seen.faults.append(f"{node}: feedback {response.status} {await response.text()}")
                await asyncio.sleep(max(0.0, 1 / PER_SECOND - took))

    def _check(self, node: str, at: int, answer: Object) -> None:
        package = answer["parameters"]["package"]
        label = next(each["data"][0] for each in answer["outputs"] if each["name"] == "label")
        if self.expected.get(package, {at: None})[at] != label:
            self.seen.faults.append(f"{node}: picture {at} is {label} by {package}")

    # ------------------------------------------------------------------------------------------------------ rollouts

    async def first(self) -> None:
        """A first version on all devices."""
        await asyncio.to_thread(self._roll_out, self._publish(digits_graph()))

    async def decide(self) -> Decisions:
        """Roll out a good version, then a bad one; what was decided."""
        return await asyncio.to_thread(self._decide)

    def leave(self) -> None:
        """Take all Rollouts back, the hostile ones too; the versions stay."""
        for namespace in (self.place.world.tenant, self.place.hostile):
            self.place.cluster.kubectl("delete", "rollout", "--all", f"--namespace={namespace}", "--timeout=100s")

    def _decide(self) -> Decisions:
        good = self._publish(digits_graph(1 + self.place.releases / 100))
        promoted = self._roll_out(good)
        bad = self._publish(rotated_graph())
        self._want(bad)
        self.place.until(lambda: self._condition("Aborted")["status"] == "True" and self._condition("Verified")["status"] == "True",
                         f"{bad} is undone", DECIDE_SECONDS)  # fmt: skip
        status = self._status()
        judged = status["decision"]["judgement"]["guardrails"]
        failed = tuple(sorted(each["metric"] for each in judged if each["verdict"] == "Fail"))
        return Decisions(promoted, (self._condition("Aborted")["reason"], failed), status["stable"]["ref"] == good)

    def _publish(self, graph: bytes) -> str:
        """Another version that is proven; the name of its ModelVersion."""
        self.place.releases += 1
        version = f"{self.place.releases}.0.0"
        package = self.place.publish(graph, MODEL, version)
        model = Model.load(description(), graph)
        self.expected[package] = tuple(str(model.predict(each).answer.tensors()["label"][0]) for each in digits()[0][:PICTURES])
        return f"{MODEL}-{self.place.releases}-0-0"

    def _want(self, version: str) -> None:
        self.place.cluster.apply(rollout_manifest(self.place.world.tenant, MODEL, self.place.fleet, version, GUARDRAILS))

    def _roll_out(self, version: str) -> bool:
        self._want(version)

        def decided() -> bool:
            status, ready = self._status(), self._condition("Ready")
            is_on = (status.get("stable") or {}).get("ref") == version and not status.get("candidate") and ready["status"] == "True"
            return bool(is_on) or self._condition("Aborted")["status"] == "True"

        self.place.until(decided, f"{version} is promoted", DECIDE_SECONDS)
        return bool(self._status()["stable"]["ref"] == version)

    def _found(self) -> Object:
        return self.place.cluster.get("rollout", MODEL, self.place.world.tenant)

    def _status(self) -> Object:
        found: Object = self._found().get("status", {})
        return found

    def _condition(self, type_: str) -> dict[str, Any]:
        """A condition of the present generation."""
        found = self._found()
        for each in found.get("status", {}).get("conditions", ()):
            if each["type"] == type_ and each.get("observedGeneration", 0) >= found["metadata"]["generation"]:
                return dict(each)
        return {"status": "", "reason": ""}
