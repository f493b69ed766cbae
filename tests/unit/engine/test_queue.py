"""Each key once, one pass at a time, back-off, timers."""

from __future__ import annotations

import asyncio
import random

import pytest

from bramble.engine.queue import FIRST_DELAY, LAST_DELAY, WorkQueue
from bramble.kube.resources import Key
from tests.unit.engine.replica import Time

A, B = Key("Dataset", "ads", "a"), Key("Dataset", "ads", "b")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def queue(time: Time) -> WorkQueue:
    return WorkQueue(clock=time, draw=random.Random(1))


async def taken(queue: WorkQueue) -> Key | None:
    """The next key that is handed out now, or None."""
    try:
        return await asyncio.wait_for(queue.get(), 0.02)
    except TimeoutError:
        return None


async def test_a_key_that_is_added_twice_is_handed_out_once(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(A)
    assert await taken(queue) == A
    assert await taken(queue) is None


async def test_the_longest_waiting_goes_first(queue: WorkQueue) -> None:
    queue.add(B)
    queue.add(A)
    queue.add(B)
    assert [await taken(queue), await taken(queue)] == [B, A]


async def test_a_key_is_not_handed_out_while_its_pass_runs(queue: WorkQueue) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.add(A)
    assert await taken(queue) is None, "two passes of one object at a time"
    queue.done(A)
    assert await taken(queue) == A, "a change during the pass was lost"


async def test_of_two_timers_the_earlier_counts(queue: WorkQueue, time: Time) -> None:
    queue.add_at(A, 10)
    queue.add_at(A, 5)
    queue.add_at(A, 20)
    assert queue.next_due() == 5
    time.now = 5
    assert await taken(queue) == A
    queue.done(A)
    time.now = 30
    assert await taken(queue) is None


async def test_a_waiting_worker_is_woken_by_a_timer(queue: WorkQueue) -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.05)
    assert await asyncio.wait_for(queue.get(), 10) == A


async def test_a_waiting_worker_is_woken_by_a_key(queue: WorkQueue) -> None:
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    assert await asyncio.wait_for(waiting, 10) == A


def test_failures_back_off_doubled_with_jitter_and_a_success_forgets_them(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(12)]
    for number, delay in enumerate(delays):
        whole = min(LAST_DELAY, FIRST_DELAY * 2**number)
        assert whole / 2 <= delay <= whole
    assert len(set(delays)) == len(delays), "no jitter"
    queue.succeeded(A)
    assert queue.retry(A) <= FIRST_DELAY


async def test_a_change_need_not_wait_for_a_back_off(queue: WorkQueue) -> None:
    queue.retry(A)
    queue.add(A)
    assert await taken(queue) == A


async def test_an_object_that_is_gone_leaves_no_timer(queue: WorkQueue, time: Time) -> None:
    queue.retry(A)
    queue.forget(A)
    time.now = LAST_DELAY
    assert await taken(queue) is None


async def test_ages_are_told(queue: WorkQueue, time: Time) -> None:
    queue.add(A)
    time.now = 3
    assert (queue.depth, queue.oldest(), queue.longest_pass()) == (1, 3, 0)
    await taken(queue)
    time.now = 7
    assert (queue.depth, queue.oldest(), queue.longest_pass()) == (0, 0, 4)


async def test_clearing_leaves_what_runs(queue: WorkQueue) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.add(A)
    queue.add(B)
    queue.clear()
    queue.done(A)
    assert await taken(queue) is None


@pytest.mark.parametrize("turns", range(5))
async def test_a_worker_ends_when_it_is_cancelled_just_as_a_key_comes(queue: WorkQueue, turns: int) -> None:
    async def work() -> None:
        while True:
            queue.done(await queue.get())

    worker = asyncio.ensure_future(work())
    await asyncio.sleep(0.01)
    queue.add(A)
    for _ in range(turns):
        await asyncio.sleep(0)
    worker.cancel()
    await asyncio.wait([worker], timeout=10)
    assert worker.cancelled()
