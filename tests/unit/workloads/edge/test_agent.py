"""The agent as a process: it serves an assigned package, and swaps packages without losing requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.unit.workloads.edge.agent_process import SECONDS, Agent, infer, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import digits


async def test_an_assigned_package_answers_requests(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = publish()
    await agent.start_serving(first)
    pictures, labels = digits()
    status, answer = await agent.infer(pictures[0], id="frame-1")
    assert (status, answer["id"], answer["model_name"]) == (200, "frame-1", "ads.digits")
    assert answer["parameters"] == {"package": first}
    outputs = {each["name"]: each for each in answer["outputs"]}
    assert outputs["label"]["data"] == [labels[0]]
    assert len(outputs["logits"]["data"]) == 10
    assert 0.1 <= outputs["confidence"]["data"][0] <= 1
    assert gateway.tokens[0] == "Bearer secret-token"


def state_is_a_file(folder: Path) -> dict[str, str]:
    (folder / "file").touch()
    return {"BRAMBLE_STATE": f"{folder}/file"}


def state_is_below_a_file(folder: Path) -> dict[str, str]:
    (folder / "file").touch()
    return {"BRAMBLE_STATE": f"{folder}/file/state"}


def state_holds_a_file(folder: Path) -> dict[str, str]:
    (folder / "state").mkdir()
    (folder / "state" / "blobs").touch()
    return {}


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (state_is_a_file, "BRAMBLE_STATE={}/file: File exists"),
        (state_is_below_a_file, "BRAMBLE_STATE={}/file/state: Not a directory"),
        (state_holds_a_file, "BRAMBLE_STATE={0}/state: {0}/state/blobs/sha256: Not a directory"),
        (lambda _: {"BRAMBLE_STATE": "/proc"}, "BRAMBLE_STATE=/proc: /proc/assignments: No such file or directory"),
        (lambda folder: {"BRAMBLE_BOOT_ID_FILE": f"{folder}/none"}, "BRAMBLE_BOOT_ID_FILE={}/none: No such file or directory"),
        (lambda _: {"BRAMBLE_LISTEN": "127.0.0.1:70000"}, "BRAMBLE_LISTEN: the port is '70000': use a whole number from 1 to 65535"),
        (lambda _: {"BRAMBLE_LISTEN": "192.0.2.1:8090"}, "BRAMBLE_LISTEN=192.0.2.1:8090: the agent cannot listen there: "),
        (lambda _: {"BRAMBLE_LISTEN": "a..b:8090"}, "BRAMBLE_LISTEN=a..b:8090: the agent cannot listen there: "),
    ],
)
async def test_settings_that_cannot_work_end_the_agent_with_one_line(
    agent: Agent, tmp_path: Path, prepare: Callable[[Path], dict[str, str]], says: str
) -> None:
    agent.environment.update(prepare(tmp_path))
    assert await ended(agent) == 64
    (line,) = agent.log.read_text().splitlines()
    assert says.format(tmp_path) in line


async def test_a_port_that_is_taken_ends_the_agent_with_one_line(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", agent.port)):
        assert await ended(agent) == 75
    (line,) = agent.log.read_text().splitlines()
    assert f"BRAMBLE_LISTEN=127.0.0.1:{agent.port}: another process listens on this port" in line


async def ended(agent: Agent) -> int:
    """Start an agent that ends by itself. Returns its exit code."""
    await agent.start(ready=False)
    assert agent.process is not None
    async with asyncio.timeout(SECONDS):
        return await agent.process.wait()


async def test_a_candidate_is_tried_served_and_promoted_and_the_next_one_is_undone(
    agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first, second, third = publish("1.0.0"), publish("2.0.0"), publish("3.0.0")
    await agent.start_serving(first)
    gateway.assign(first, second)
    await agent.serves(second)
    running = gateway.running()
    assert running is not None
    assert (running.cohort, running.last_good) == ("candidate", first)
    assert running.candidate is not None
    assert running.candidate.state == "serving"
    gateway.assign(second)
    await until(lambda: (gateway.running() or running).cohort == "stable", "promoted", gateway.running)
    gateway.assign(second, third)
    await agent.serves(third)
    gateway.assign(second)
    await agent.serves(second)


async def test_no_request_is_lost_or_mixed_up_while_packages_are_swapped(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    """Twelve clients send requests during three swaps. The outputs of each answer must be those of the package that the answer names."""
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    pictures, _ = digits()
    expected: dict[str, list[list[float]]] = {}
    done = asyncio.Event()
    failures: list[object] = []
    count = 0

    async with aiohttp.ClientSession() as session:

        async def logits(position: int) -> tuple[str, list[float]]:
            status, answer = await infer(session, agent.url, pictures[position])
            assert status == 200, answer
            return answer["parameters"]["package"], answer["outputs"][2]["data"]

        async def reference(package: str) -> None:
            found = [await logits(position) for position in range(20)]
            assert {each for each, _ in found} == {package}
            expected[package] = [values for _, values in found]

        await reference(first)
        gateway.assign(first, second)
        await agent.serves(second)
        await reference(second)

        async def client(offset: int) -> None:
            nonlocal count
            position = offset
            while not done.is_set():
                position = (position + 1) % 20
                package, values = await logits(position)
                if values != expected[package][position]:
                    failures.append((package, position))
                count += 1

        clients = [asyncio.create_task(client(offset)) for offset in range(12)]
        for swap in range(3):
            target = first if swap % 2 == 0 else second
            gateway.assign(first, None if target == first else second)
            await agent.serves(target)
        await until(lambda: count > 1000, "enough requests", lambda: count)
        done.set()
        await asyncio.gather(*clients)
    assert failures == []
    last = gateway.last
    assert last is not None
    assert sum(each.count("errors") for each in last.counters) == 0
