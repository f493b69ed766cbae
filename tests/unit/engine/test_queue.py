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


async def test_a_key_that_is_added_again_has_waited_since_the_first_time(queue: WorkQueue, time: Time) -> None:
    queue.add(A)
    time.now = 3
    queue.add(A)
    assert queue.oldest() == 3


async def test_the_longest_waiting_goes_first(queue: WorkQueue) -> None:
    queue.add(B)
    queue.add(A)
    queue.add(B)
    assert [await taken(queue), await taken(queue)] == [B, A]


async def test_namespaces_take_turns(queue: WorkQueue) -> None:
    many = [Key("Dataset", "many", f"{number}") for number in range(4)]
    for key in (*many, A, B):
        queue.add(key)
    assert [await taken(queue) for _ in range(6)] == [many[0], A, many[1], B, many[2], many[3]]


async def test_a_namespace_has_its_share_of_the_passes_and_the_rest_does_not_count_as_late(time: Time) -> None:
    queue = WorkQueue(share=2, clock=time)
    many = [Key("Dataset", "many", f"{number}") for number in range(4)]
    for key in many:
        queue.add(key)
    assert [await taken(queue) for _ in range(3)] == [many[0], many[1], None]
    time.now = 400.0
    assert (queue.depth, queue.oldest()) == (2, 0.0), "they wait for the passes of their own namespace"
    queue.add(A)
    time.now = 403.0
    assert queue.oldest() == 3.0
    assert await taken(queue) == A
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.done(many[0])
    assert await asyncio.wait_for(waiting, 1) == many[2], "nobody was woken"
    assert queue.oldest() == 0.0


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
    queue.add_at(A, 5)
    queue.add_at(A, 20)
    assert queue.next_due() == 5
    assert len(queue._timers) == 2, "a time that changes nothing takes no memory"
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


class Edge(random.Random):
    """Draws the lowest or the highest value."""

    def __init__(self, *, highest: bool) -> None:
        super().__init__()
        self.highest = highest

    def uniform(self, low: float, high: float) -> float:
        return high if self.highest else low


@pytest.mark.parametrize(
    ("failures", "lowest", "highest"),
    [
        pytest.param(0, 0.25, 0.5, id="the first failure waits half a second at most"),
        pytest.param(1, 0.5, 1, id="the second twice as long"),
        pytest.param(6, 16, 32, id="the seventh"),
        pytest.param(7, 30, 60, id="the eighth reaches the longest delay"),
        pytest.param(50, 30, 60, id="and it stays so"),
        pytest.param(5000, 30, 60, id="however often"),
    ],
)
def test_the_back_off_doubles_up_to_a_minute_and_half_of_it_is_drawn(time: Time, failures: int, lowest: float, highest: float) -> None:
    for draw, expected in ((Edge(highest=False), lowest), (Edge(highest=True), highest)):
        queue = WorkQueue(clock=time, draw=draw)
        for _ in range(failures):
            queue.retry(A)
        assert queue.failures(A) == failures
        queue._due.clear()
        assert queue.retry(A) == expected
        assert queue.next_due() == time.now + expected


def test_a_success_ends_the_back_off(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(12)]
    assert len(set(delays)) == len(delays), "no jitter"
    queue.succeeded(A)
    assert queue.failures(A) == 0
    assert queue.retry(A) <= FIRST_DELAY


@pytest.mark.parametrize(
    ("now", "expected"),
    [pytest.param(4.99, None, id="before its time"), pytest.param(5.0, A, id="exactly at its time"), pytest.param(9.0, A, id="after it")],
)
async def test_a_timer_ends_at_its_time(queue: WorkQueue, time: Time, now: float, expected: Key | None) -> None:
    queue.add_at(A, 5)
    time.now = now
    assert queue.idle is (expected is None)
    assert await taken(queue) == expected


async def test_a_time_in_the_past_is_now(queue: WorkQueue, time: Time) -> None:
    time.now = 100
    queue.add_after(A, -5)
    assert queue.next_due() == 100
    assert await taken(queue) == A


async def test_a_timer_that_ended_can_be_set_again(queue: WorkQueue, time: Time) -> None:
    queue.add_at(A, 5)
    time.now = 5
    assert await taken(queue) == A
    queue.done(A)
    queue.add_at(A, 8)
    time.now = 8
    assert await taken(queue) == A


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


async def test_a_queue_is_idle_when_nothing_waits_and_nothing_runs(queue: WorkQueue) -> None:
    idle = [queue.idle]
    queue.add(A)
    idle.append(queue.idle)
    await taken(queue)
    idle.append(queue.idle)
    queue.done(A)
    idle.append(queue.idle)
    assert idle == [True, False, False, True], "at first, with a key, during its pass, and after it"


async def test_the_first_key_and_the_longest_pass_are_measured(queue: WorkQueue, time: Time) -> None:
    queue.add(A)
    time.now = 2
    queue.add(B)
    time.now = 3
    assert queue.oldest() == 3
    await taken(queue)
    time.now = 5
    await taken(queue)
    time.now = 9
    assert queue.longest_pass() == 6
    queue.done(A)
    assert queue.longest_pass() == 4


async def test_clearing_forgets_timers_and_failures(queue: WorkQueue, time: Time) -> None:
    queue.retry(A)
    queue.add_at(B, 5)
    queue.clear()
    assert queue._timers == []
    time.now = LAST_DELAY
    assert await taken(queue) is None
    assert (queue.failures(A), queue.next_due()) == (0, None)
