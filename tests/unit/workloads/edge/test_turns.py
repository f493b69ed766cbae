"""Clients of one device take turns: who sends much, or what takes long, waits for itself."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from bramble_workloads.edge.assignment.decide import Serving
from bramble_workloads.edge.serve.counters import Book
from bramble_workloads.edge.serve.endpoint import Endpoint, Overloaded, Served
from bramble_workloads.edge.serve.workers import Workers
from tests.unit.workloads.edge.agent_process import Agent, infer, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.hostile_pictures import black_png
from tests.unit.workloads.models import ANY_SIZE, build_package, digits, digits_graph

HOSTILE = "127.0.0.66"
PICTURES = digits()[0]


@pytest.fixture
async def hostile() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with an address of its own."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(HOSTILE, 0), limit=0)) as session:
        yield session


async def test_calls_of_clients_alternate() -> None:
    workers, begun, go_on, order = Workers(1, "turns"), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        go_on.wait()

    calls = [workers.submit(first)]
    begun.wait()
    for client, count in (("much", 4), ("little", 2), ("once", 1)):
        calls += [workers.submit(partial(order.append, client), client) for _ in range(count)]
    go_on.set()
    await asyncio.gather(*calls)
    workers.close()
    assert order == ["much", "little", "once", "much", "little", "much", "much"]


async def test_a_call_whose_result_nobody_wants_is_not_made() -> None:
    workers, begun, go_on, made = Workers(1, "turns"), threading.Event(), threading.Event(), list[int]()

    def first() -> None:
        begun.set()
        go_on.wait()

    calls = [workers.submit(first), *(workers.submit(partial(made.append, number)) for number in range(3))]
    begun.wait()
    calls[2].set_exception(ValueError("given up"))
    go_on.set()
    await asyncio.gather(*calls, return_exceptions=True)
    workers.close()
    assert made == [0, 2]


async def test_a_call_whose_result_nobody_wants_holds_nothing_and_takes_no_turn() -> None:
    """The exception of its future would hold what its caller holds, so the future is not kept either."""
    workers, begun, go_on, order = Workers(1, "turns"), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        go_on.wait()

    def picture(client: str, content: NDArray[np.float32]) -> None:
        order.append(f"{client} {content[0]:g}")

    held = list[weakref.ref[NDArray[np.float32]]]()

    def submit(client: str, number: int) -> asyncio.Future[None]:
        content = np.full(1000, number, np.float32)
        held.append(weakref.ref(content))
        return workers.submit(partial(picture, client, content), client)

    calls = [workers.submit(first)]
    begun.wait()
    given_up = [submit("much", 0), submit("gone", 0)]
    calls += [submit("much", 1), submit("little", 2), submit("little", 3)]
    gc.disable()
    try:
        for each in given_up:
            each.set_exception(ValueError("given up"))
        await asyncio.gather(*given_up, return_exceptions=True)
        assert [each() is None for each in held] == [True, True, False, False, False]
    finally:
        gc.enable()
    go_on.set()
    await asyncio.gather(*calls)
    assert order == ["much 1", "little 2", "little 3"]
    assert await workers.submit(lambda: "the threads go on") == "the threads go on"
    workers.close()


async def test_a_request_that_is_refused_while_it_waits_gives_its_input_back() -> None:
    """Without the garbage collector, which may run late."""
    decoders = Workers(1, "decode")
    endpoint = Endpoint("ads", "m", Book(), 2, decoders, on_answered=lambda _: None, on_begin=lambda: None, on_end=lambda: None)
    begun, go_on = threading.Event(), threading.Event()

    def run(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        begun.set()
        go_on.wait()
        return tensor

    prediction = SimpleNamespace(answer=SimpleNamespace(confident=False))
    package, model = build_package(digits_graph())[0], SimpleNamespace(run=run, answer=lambda _: prediction)
    served = Served(package, model, Serving(f"sha256:{0:064}", "stable", 1, "uid"))  # type: ignore[arg-type]
    held = list[weakref.ref[NDArray[np.float32]]]()

    def ask(client: str) -> asyncio.Task[object]:
        content = np.zeros(1000, np.float32)
        held.append(weakref.ref(content))
        return asyncio.ensure_future(endpoint.predict(served, content, client))

    tasks = [ask("much")]
    await asyncio.to_thread(begun.wait)
    tasks.append(ask("much"))
    gc.disable()
    try:
        tasks.append(ask("little"))
        refused = tasks.pop(1)
        await asyncio.wait([refused])
        assert isinstance(refused.exception(), Overloaded)
        del refused
        assert [each() is None for each in held] == [False, True, False]
    finally:
        gc.enable()
    go_on.set()
    await asyncio.gather(*tasks)
    served.retire()
    decoders.close()


async def test_only_the_threads_for_long_work_have_a_lower_priority() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    ordinary, lower = Workers(1, "ordinary"), Workers(1, "lower", lambda: os.nice(3))
    before = priority()
    assert await lower.submit(priority) == before + 3
    assert await ordinary.submit(priority) == before == priority()
    for each in (ordinary, lower):
        each.close()


async def test_who_fills_the_queue_is_refused_and_others_are_served(
    agent: Agent, gateway: FakeGateway, publish: Publish, hostile: aiohttp.ClientSession
) -> None:
    """One client has as many expensive pictures under way as the queue takes, all the time; another one asks for small ones."""
    agent.environment["BRAMBLE_QUEUE"] = "4"
    await agent.start_serving(publish(**ANY_SIZE))
    costly, statuses = black_png(4000, 4000), Counter[int]()

    async def flood() -> None:
        while True:
            status, document = await infer(hostile, agent.url, costly)
            statuses[status] += 1
            if status == 429:
                assert "send fewer at once" in document["error"]

    async with asyncio.TaskGroup() as tasks:
        flooding = [tasks.create_task(flood()) for _ in range(12)]
        await until(lambda: statuses[429] > 20 and statuses[200], "the queue is full", lambda: statuses)
        asked = [await agent.infer(picture) for picture in PICTURES[:30]]
        assert Counter(status for status, _ in asked) == {200: 30}
        for each in flooding:
            each.cancel()
    assert statuses.keys() == {200, 429}
    await until(lambda: gateway.last and all(each.count("errors") == 0 for each in gateway.last.counters), "no error is counted")


async def test_a_quick_picture_overtakes_those_that_take_long(agent: Agent, publish: Publish, hostile: aiohttp.ClientSession) -> None:
    """With one thread for the model. The expensive pictures were sent before, and none of them has been answered after the small one."""
    await agent.start_serving(publish(**ANY_SIZE))
    costly = black_png(5000, 5000)
    slow = [asyncio.create_task(infer(hostile, agent.url, costly)) for _ in range(8)]
    await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
    for picture in PICTURES[:3]:
        assert (await agent.infer(picture))[0] == 200
    assert sum(each.done() for each in slow) < len(slow)
    assert {status for status, _ in await asyncio.gather(*slow)} == {200}
