"""The agent in a control group of 512 MiB, as the container of a small board: what a tenant's clients send does not end it, and where
something does, no neighbour's candidate is blamed.

The limit and the killer are the kernel's own. A fake would not do: what counts is the memory of the whole process, with all that its
decoders, its allocator and ONNX Runtime keep.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bramble.contracts.report import CandidateState
from tests.unit.workloads.edge.agent_process import Agent, infer, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.edge.memory_group import MemoryGroup, NoGroups, memory_group
from tests.unit.workloads.hostile_pictures import black_png, jpeg_of_scans
from tests.unit.workloads.models import ANY_SIZE, digits

LIMIT = 512 * 2**20
THEIRS = "tenant-b.other"

WORST: dict[str, Callable[[], bytes]] = {
    "RGB": lambda: black_png(5160, 5160),
    "grey of 16 bits": lambda: black_png(5780, 3860, 16, 0),
    "32 scans": lambda: jpeg_of_scans(217 * 8, 1500 * 8, 32),
}
"""What takes just below a quarter of the limit, which is the most that one picture may take."""

HOG = "kept = []\nwhile True: kept.append(bytes(b'x') * (4 * 2**20))"
"""Takes memory until the kernel ends a process of the group."""


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    try:
        with memory_group(LIMIT) as made:
            yield made
    except NoGroups as why:
        pytest.skip(f"needs a control group with a limit of memory: {why}")


@pytest.fixture
async def caged(group: MemoryGroup, gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent in the group, not started."""
    agent = Agent(gateway, tmp_path, BRAMBLE_MEMORY_BUDGET=str(LIMIT))
    agent.group = group.folder
    yield agent
    if agent.process is not None and agent.process.returncode is None:
        await agent.kill()


class Tenants:
    """Tenant A tries a candidate beside tenant B's model, on one device."""

    def __init__(self, agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
        self.agent, self.gateway = agent, gateway
        self.first, self.second = publish("1.0.0", **ANY_SIZE), publish("2.0.0", **ANY_SIZE)
        self.theirs = publish("3.0.0", model="other", **ANY_SIZE)

    async def begin(self) -> None:
        self.gateway.assign(self.theirs, model="other", namespace="tenant-b", rollout_uid="uid-b")
        await self.agent.start_serving(self.first)
        await self.agent.serves(self.theirs, "other")
        self.gateway.assign(self.first, self.second, attempt=2)
        await self.agent.serves(self.second)

    @property
    def candidate(self) -> CandidateState | None:
        running = self.gateway.running()
        return running.candidate if running is not None else None

    async def ask(self, pictures: list[bytes], at_once: int) -> Counter[int]:
        """Statuses of what tenant B's clients ask, so many at a time."""
        queue, statuses = asyncio.Queue[bytes](), Counter[int]()
        for picture in pictures:
            queue.put_nowait(picture)

        async def client(session: aiohttp.ClientSession) -> None:
            while not queue.empty():
                status, _ = await infer(session, self.agent.url, queue.get_nowait(), THEIRS)
                statuses[status] += 1

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(client(session))
        return statuses


@pytest.fixture
def tenants(caged: Agent, gateway: FakeGateway, publish: Publish) -> Tenants:
    return Tenants(caged, gateway, publish)


@pytest.mark.slow
async def test_the_most_expensive_pictures_do_not_end_the_agent(tenants: Tenants, group: MemoryGroup) -> None:
    """Two of them, and many at once."""
    await tenants.begin()
    process = tenants.agent.process
    worst = [make() for make in WORST.values()]
    assert await tenants.ask(worst, 2) == {200: len(worst)}, "they are meant to pass the bounds"
    assert set(await tenants.ask(worst * 4, 12)) <= {200, 413, 429}
    assert await tenants.ask([black_png(6320, 6320, 8, 6)], 1) == {413: 1}
    assert (group.kills, tenants.agent.process) == (0, process)
    assert process is not None
    assert process.returncode is None
    reports = len(tenants.gateway.reports)
    await until(lambda: len(tenants.gateway.reports) > reports, "another report")
    assert tenants.gateway.active() == tenants.second
    assert tenants.candidate is not None
    assert tenants.candidate.state == "serving"


@pytest.mark.slow
async def test_an_agent_that_the_kernel_ends_blames_no_neighbour(tenants: Tenants, group: MemoryGroup) -> None:
    """Twice, while tenant B's model is at work: as often as a candidate may die by itself."""
    await tenants.begin()
    for kills in (1, 2):
        await kill_for_memory(tenants, group)
        assert group.kills >= kills
        tenants.gateway.reports.clear()
        await tenants.agent.start()
        await tenants.agent.serves(tenants.second)
    assert tenants.candidate is not None
    assert tenants.candidate.state == "serving", tenants.candidate.message
    running = tenants.gateway.running()
    assert running is not None
    assert running.bad == ()
    status, answer = await tenants.agent.infer(digits()[0][0])
    assert (status, answer["parameters"]["package"]) == (200, tenants.second)


async def kill_for_memory(tenants: Tenants, group: MemoryGroup) -> None:
    """Use up the group's memory while tenant B's clients ask, until the kernel ends the agent."""
    agent = tenants.agent
    assert agent.process is not None
    # The kernel is to end it, and not the other one.
    await asyncio.to_thread(Path(f"/proc/{agent.process.pid}/oom_score_adj").write_text, "1000")

    async def go_on() -> None:
        while True:
            await tenants.ask([WORST["32 scans"]()] * 8, 8)

    asking = asyncio.create_task(go_on())
    hog: Any = await asyncio.create_subprocess_exec(
        "sh", "-ec", 'echo $$ > "$0"; exec "$@"', f"{group.folder}/cgroup.procs", sys.executable, "-c", HOG
    )
    try:
        async with asyncio.timeout(60):
            assert await agent.process.wait() == -9
    finally:
        asking.cancel()
        if hog.returncode is None:
            hog.kill()
        await hog.wait()
        await asyncio.gather(asking, return_exceptions=True)
