"""Crashes, power cuts, network failures and damaged disks: the agent serves again, and one crash does not refuse a version."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bramble.contracts.counters import Counters
from tests.unit.workloads.edge.agent_process import Agent, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import digits

PICTURE = digits()[0][0]

# An agent that kills itself with SIGKILL just before or just after the n-th rename of a file with this name. Every write of the agent ends
# with such a rename.
KILLED = """
import os, signal, sys
name, count, when = {name!r}, {count}, {when!r}
rename, seen = os.replace, 0

def replace(source, target, **options):
    global seen
    matches = str(target).endswith(name) or (name == "blob" and "/sha256/" in str(target))
    seen += matches
    if matches and seen == count and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **options)
    if matches and seen == count and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace
sys.argv = ["bramble_workloads", "agent"]
from bramble_workloads.__main__ import main
sys.exit(main())
"""


async def serving_package(agent: Agent) -> str:
    status, answer = await agent.infer(PICTURE)
    assert status == 200, answer
    package: str = answer["parameters"]["package"]
    return package


def document(agent: Agent, name: str = "slots.json") -> dict[str, Any]:
    (path,) = agent.state.glob(f"assignments/*/{name}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def crashes(gateway: FakeGateway) -> dict[tuple[str, str], int]:
    counters: tuple[Counters, ...] = gateway.last.counters if gateway.last else ()
    return {(each.package, each.cohort): each.count("crashes") for each in counters if each.count("crashes")}


@pytest.mark.parametrize("how", ["killed", "shut down", "power cut"])
async def test_the_last_good_version_serves_after_a_restart_without_a_network(
    how: str, agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first = publish()
    await agent.start_serving(first)
    await gateway.stop()
    if how == "power cut":
        await agent.reboot()
    else:
        await agent.end(how)
        await agent.start()
    assert await serving_package(agent) == first
    gateway.reports.clear()
    await gateway.start()
    await agent.serves(first)
    assert crashes(gateway) == ({(first, "stable"): 1} if how == "killed" else {})


async def test_after_a_crash_the_candidate_waits_for_the_gateway(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    gateway.assign(first, second)
    await agent.serves(second)
    await agent.kill()
    await gateway.stop()
    await agent.start()
    assert await serving_package(agent) == first
    gateway.reports.clear()
    await gateway.start()
    await agent.serves(second)
    assert crashes(gateway) == {(second, "candidate"): 1}
    await agent.kill()  # the second crash while the candidate served
    gateway.reports.clear()
    await agent.start()
    await agent.serves(first)
    running = gateway.running()
    assert running is not None
    assert running.bad == (second,)
    assert running.candidate is not None
    assert (running.candidate.state, running.candidate.message) == ("refused", "2 crashes or reboots while the package was served")


# An agent that ends as soon as version 2.0.0 is asked, as a fault in a kernel of the graph would end it.
DEADLY = """
import os, signal, sys
from bramble_workloads.processing.model import Model
predict = Model.predict

def deadly(self, content):
    if self.description.version == "2.0.0":
        os.kill(os.getpid(), signal.SIGKILL)
    return predict(self, content)

Model.predict = deadly
sys.argv = ["bramble_workloads", "agent"]
from bramble_workloads.__main__ import main
sys.exit(main())
"""


async def with_a_neighbour(gateway: FakeGateway, publish: Publish) -> tuple[str, str]:
    """Assign a stable version and another tenant's model. Returns the stable version and a candidate."""
    first, second = publish("1.0.0"), publish("2.0.0")
    gateway.assign(first)
    gateway.assign(publish("3.0.0"), model="letters", namespace="others", rollout_uid="uid-2")
    return first, second


async def test_a_crash_that_a_neighbour_may_have_caused_is_not_charged_to_a_candidate(
    agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first, second = await with_a_neighbour(gateway, publish)
    await agent.start()
    await agent.serves(first)
    gateway.assign(first, second)
    for _ in range(2):  # as many as refuse a candidate that is to blame
        await agent.serves(second)
        await until(lambda: gateway.active("letters"), "the neighbour serves", agent.tail)
        await agent.kill()
        gateway.reports.clear()
        await agent.start()
    await agent.serves(second)
    running = gateway.running()
    assert running is not None
    assert running.bad == ()
    assert crashes(gateway)[second, "candidate"] == 2, "the comparison with the stable version decides"


async def test_a_crash_in_a_candidates_own_work_is_charged_to_it(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = await with_a_neighbour(gateway, publish)
    await agent.start(program=DEADLY)
    await agent.serves(first)
    gateway.assign(first, second)
    for _ in range(2):
        await agent.serves(second)
        await until(lambda: gateway.active("letters"), "the neighbour serves", agent.tail)
        with pytest.raises(aiohttp.ClientError):
            await agent.infer(PICTURE)
        assert agent.process is not None
        await agent.process.wait()
        gateway.reports.clear()
        await agent.start(program=DEADLY)
    await agent.serves(first)
    running = gateway.running()
    assert running is not None
    assert running.bad == (second,)
    neighbour = [each for each in gateway.last.counters if each.model == "letters"] if gateway.last else []
    assert sum(each.count("crashes") for each in neighbour) == 0, "it did nothing when the agent ended"


SITES = [
    *[("slots.json", count, when) for count in range(1, 9) for when in ("before", "after")],
    *[("running.json", count, when) for count in range(1, 4) for when in ("before", "after")],
    *[("blob", count, when) for count in (1, 9, 14, 15, 20) for when in ("before", "after")],
]
QUICK = {("slots.json", 2, "before"), ("slots.json", 6, "after"), ("running.json", 2, "before"), ("blob", 9, "after")}


@pytest.mark.parametrize(
    ("name", "count", "when"),
    [pytest.param(*site, marks=() if site in QUICK else pytest.mark.chaos) for site in SITES],
)
async def test_the_agent_recovers_from_a_kill_at_any_write(
    name: str, count: int, when: str, agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    """A first version, a candidate and its promotion, during which the agent is killed once, at the given write."""
    first, second = publish("1.0.0"), publish("2.0.0")
    killed = False

    async def restart_when_killed() -> None:
        """Start the agent again whenever it has ended, as the kubelet does."""
        nonlocal killed
        while True:
            assert agent.process is not None
            code = await agent.process.wait()
            assert code == -9, agent.tail()
            killed = True
            await agent.start(ready=False)

    gateway.assign(first)
    await agent.start(ready=False, program=KILLED.format(name=name, count=count, when=when))
    kubelet = asyncio.create_task(restart_when_killed())
    try:
        await agent.serves(first)
        gateway.assign(first, second)
        await agent.serves(second)
        gateway.assign(second)
        await until(
            lambda: (running := gateway.running()) and (running.active, running.cohort) == (second, "stable"), "promoted", agent.tail
        )
        running = gateway.running()
        assert running is not None
        assert running.bad == ()
        assert await serving_package(agent) == second
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)
    assert killed, f"the agent never made write number {count} of {name}"


async def upgraded(agent: Agent, gateway: FakeGateway, publish: Publish) -> tuple[str, str]:
    """Start the agent, let it serve a first version and then a second one. Returns both packages."""
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    gateway.assign(second)
    await agent.serves(second)
    return first, second


async def test_the_last_good_version_serves_while_a_damaged_one_is_downloaded_again(
    agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first, second = await upgraded(agent, gateway, publish)
    await agent.stop()
    await gateway.stop()
    damage(agent, gateway, second)
    await agent.start()
    assert await serving_package(agent) == first
    gateway.reports.clear()
    await gateway.start()
    await agent.serves(second)


async def test_a_device_that_cannot_serve_what_it_served_before_is_not_ready(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    only = publish()
    await agent.start_serving(only)
    await agent.kill()
    damage(agent, gateway, only)
    gateway.down = True
    before = len(agent.log.read_text())
    await agent.start(ready=False)
    await until(lambda: "Download(" in agent.log.read_text()[before:], "the package has failed to load", agent.tail)
    assert (await agent.get("/v2/health/live"))[0] == 200
    assert (await agent.get("/v2/health/ready"))[0] == 503
    gateway.down = False
    await agent.ready()
    assert await serving_package(agent) == only


def damage(agent: Agent, gateway: FakeGateway, package: str) -> None:
    """Flip a byte of a package's graph on the device's disk."""
    graph = json.loads(gateway.blobs[package])["files"]["model"]["sha256"].removeprefix("sha256:")
    path = agent.state / "blobs" / "sha256" / graph
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)


# An agent whose disk has become read-only, as a worn SD card does.
READ_ONLY = """
import errno, os, sys
from pathlib import Path

def refuse(*arguments, **options):
    raise OSError(errno.EROFS, "Read-only file system", str(arguments[0]) if arguments else "")

os.replace = os.fsync = Path.unlink = refuse
sys.argv = ["bramble_workloads", "agent"]
from bramble_workloads.__main__ import main
sys.exit(main())
"""


async def test_with_a_read_only_disk_the_agent_still_serves_and_an_undo_still_works(
    agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first, second = await upgraded(agent, gateway, publish)
    await agent.kill()
    await gateway.stop()
    await agent.start(program=READ_ONLY)
    assert await serving_package(agent) == second
    gateway.reports.clear()
    await gateway.start()
    gateway.assign(first)  # an undo: this version has served here before
    await agent.serves(first)
    running = gateway.running()
    assert running is not None
    assert "Read-only file system" in running.message
    assert running.seq == 2, "the report must not claim an assignment that is not on the disk"
    assert await serving_package(agent) == first


async def test_damaged_slots_are_renamed_and_the_gateway_assigns_again(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = publish()
    await agent.start_serving(first)
    await agent.stop()
    overwrite(next(agent.state.glob("assignments/*/slots.json")), b"\0" * 400)
    gateway.reports.clear()
    gateway.asked.clear()
    gateway.down = True
    await agent.start()
    gateway.down = False
    await agent.serves(first)
    assert not gateway.asked, "blobs that are on the disk and whole are not downloaded again"
    assert [path.read_bytes() for path in agent.state.glob("assignments/*/slots.json.damaged")] == [b"\0" * 400]


async def test_an_undo_is_heard_though_another_assignment_cannot_be_read(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second, other = publish("1.0.0"), publish("2.0.0"), publish("3.0.0")
    gateway.assign(other, model="letters", rollout_uid="uid-2")
    gateway.assign(second)
    await agent.start()
    await agent.serves(second)
    await agent.serves(other, "letters")
    gateway.rewrite = lambda document: (
        {**document, "attempt": "a later form"} if document["model"] == "letters" else {**document, "later": 1}
    )
    gateway.assign(first)
    await agent.serves(first)
    neighbour = gateway.running("letters")
    assert neighbour is not None
    assert (neighbour.active, neighbour.message[:58]) == (other, "this agent cannot read the assignment; update the agent's ")


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_a_reboot_during_a_trial_refuses_the_candidate(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    await agent.stop()
    gateway.assign(first, second)
    # writes of slots.json: 1 at the start, 2 when it serves again, 3 for the new assignment, 4 for the new attempt
    await agent.start(ready=False, program=KILLED.format(name="slots.json", count=4, when="after"))
    assert agent.process is not None
    async with asyncio.timeout(120):
        await agent.process.wait()
    assert document(agent)["attempt"]["package"] == second
    assert document(agent)["attempt"]["phase"] == "trying"
    gateway.reports.clear()
    await agent.reboot()
    await agent.serves(first)
    running = gateway.running()
    assert running is not None
    assert running.bad == (second,)
    assert running.candidate is not None
    assert (running.candidate.state, running.candidate.message) == ("abandoned", "the device rebooted during the trial of the package")


async def test_a_lower_seq_is_not_accepted_after_a_restart(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    gateway.assign(first, seq=7)
    await agent.start()
    await agent.serves(first)
    await agent.stop()
    gateway.assign(second, seq=6)  # as a gateway replica with a stale cache answers
    gateway.reports.clear()
    await agent.start()
    await until(lambda: gateway.asked and len(gateway.reports) > 2, "reports", agent.tail)
    running = gateway.running()
    assert running is not None
    assert (running.seq, running.active) == (7, first)
    gateway.assign(second, seq=8)
    await agent.serves(second)
