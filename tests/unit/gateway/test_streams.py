"""The places for blobs that are sent at the same time are shared fairly between namespaces."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from bramble.gateway import streams
from bramble.gateway.refusals import Busy
from bramble.gateway.streams import Streams
from tests.unit.gateway.conftest import until
from tests.unit.gateway.test_blobs import device


class Sending:
    """Streams that do not end by themselves, in the order in which they came."""

    def __init__(self, places: Streams) -> None:
        self.places, self.tasks = places, list[tuple[str, asyncio.Task[str]]]()

    async def add(self, *namespaces: str) -> None:
        for namespace in namespaces:
            self.tasks.append((namespace, asyncio.create_task(self._send(namespace))))
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)

    async def _send(self, namespace: str) -> str:
        try:
            async with self.places.place(namespace, device()) as stream:
                self.places.moved(stream)
                await asyncio.Event().wait()
        except TimeoutError:
            return "taken"
        except Busy:
            return "busy"
        return "sent"

    def ended(self) -> list[tuple[int, str, str]]:
        return [(number, namespace, task.result()) for number, (namespace, task) in enumerate(self.tasks) if task.done()]

    async def end(self) -> None:
        for _, task in self.tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.tasks), return_exceptions=True)


async def test_a_namespace_with_fewer_places_takes_those_that_were_still_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAMS", 4)
    ticks = itertools.count()
    sending = Sending(Streams(clock=lambda: next(ticks)))
    await sending.add("a", "a", "a", "a")
    await sending.add("b")
    assert sending.ended() == [(0, "a", "taken")]
    await sending.add("b")
    assert sending.ended() == [(0, "a", "taken"), (1, "a", "taken")]
    await sending.add("b", "a", "c")
    assert sending.ended()[2:] == [(2, "a", "taken")], "who has none takes one of two; who has two takes none"
    sending.tasks[3][1].cancel()
    await until(lambda: sending.places.taken == 4)
    assert sorted(stream.namespace for stream in sending.places._sending) == ["a", "b", "b", "c"], "the one that has none is served first"
    await sending.end()
    assert (sending.places.taken, sending.places._waiting) == (0, [])


async def test_streams_that_come_together_take_an_equal_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them has its place yet when the next one asks."""
    monkeypatch.setattr(streams, "STREAMS", 8)
    sending = Sending(Streams())
    await sending.add(*"aaaabbbb")
    await asyncio.gather(*(sending.add("c") for _ in range(6)))
    assert sending.places._held() == {"a": 3, "b": 3, "c": 2}
    await sending.end()


async def test_who_comes_before_the_others_have_begun_takes_a_place_when_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places became free at once, and were given to two that waited: there was nothing to take yet."""
    monkeypatch.setattr(streams, "STREAMS", 2)
    sending = Sending(Streams())
    await sending.add(*"aaaa")
    for place in (0, 1):
        sending.tasks[place][1].cancel()
    await sending.add("b")
    assert sending.places._held() == {"a": 1, "b": 1}
    await sending.end()
