"""How much memory and time the lists of samples of all namespaces may take while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bramble.contracts.store import StoreConfig
from bramble.errors import StoreUnavailable
from bramble.gateway import closures
from bramble.gateway.closures import Closures
from bramble.gateway.refusals import Busy
from bramble.kube.store import NamespaceStore, Store, Turns
from tests.unit.gateway.conftest import LOOPBACK, until
from tests.unit.gateway.fakes import benchmark_job, ref

WANTED = "sha256:" + "f" * 64


def store(namespace: str) -> Store:
    config = StoreConfig("http://127.0.0.1:9", "bucket", "a", "s", prefix=f"{namespace}/")
    return Store(NamespaceStore(config, namespace, LOOPBACK), None, Turns(1, 0.1))  # type: ignore[arg-type]


def manifest(number: int) -> str:
    return f"sha256:{number:064x}"


class Lists:
    """Manifests whose lists grow as the test says, in place of those of a store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closures = Closures()
        self.reading: dict[str, Callable[[int], None]] = {}
        self.ended: dict[str, asyncio.Event] = {}
        monkeypatch.setattr(closures, "_manifest", self.read)

    async def read(self, digest: str, _: Store, make_room: Callable[[int], None]) -> frozenset[bytes]:
        self.reading[digest] = make_room
        try:
            await self.ended.setdefault(digest, asyncio.Event()).wait()
        finally:
            del self.reading[digest]
        return frozenset({digest.encode()})

    def ask(self, number: int, namespace: str = "ads") -> asyncio.Task[bool]:
        job = benchmark_job(packages=(), manifest=manifest(number), object=ref(namespace=namespace))
        return asyncio.create_task(self.closures.allows(job, store(namespace), WANTED))

    async def until_read(self, *numbers: int) -> None:
        await until(lambda: set(self.reading) == {manifest(number) for number in numbers})

    def end(self, number: int) -> None:
        self.ended.setdefault(manifest(number), asyncio.Event()).set()


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Lists:
    return Lists(monkeypatch)


async def test_one_list_of_a_store_is_read_at_a_time_and_another_store_does_not_wait(lists: Lists) -> None:
    first, second, other = lists.ask(1), lists.ask(2), lists.ask(3, "tv")
    await lists.until_read(1, 3)
    lists.end(1)
    assert await first is False
    await lists.until_read(2, 3)
    lists.end(2)
    lists.end(3)
    assert [await second, await other] == [False, False]
    assert not lists.closures._of_namespace


async def test_who_waits_too_long_for_a_list_is_told_to_come_again(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closures, "WAIT_SECONDS", 0.05)
    first, second = lists.ask(1), lists.ask(2)
    with pytest.raises(Busy, match="another list of samples of the same store is still being read"):
        await second
    lists.end(1)
    assert await first is False


async def test_a_list_that_does_not_end_is_given_up(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closures, "READ_SECONDS", 0.05)
    with pytest.raises(StoreUnavailable, match="did not arrive within"):
        await lists.ask(1)
    assert not lists.closures._under_way


async def test_of_the_lists_that_are_read_the_longest_makes_room_and_before_it_those_that_are_kept(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closures, "MAX_DIGESTS", 100)
    monkeypatch.setattr(closures, "MAX_DIGESTS_READING", 150)
    kept = lists.ask(9, "kept")
    lists.end(9)
    assert await kept is False
    assert len(lists.closures._kept) == 1
    tasks = [lists.ask(1), lists.ask(2, "tv")]
    await lists.until_read(1, 2)
    lists.reading[manifest(1)](99)
    assert len(lists.closures._kept) == 1
    lists.reading[manifest(1)](100)
    assert not lists.closures._kept
    lists.reading[manifest(2)](50)
    assert not any(task.done() for task in tasks)
    lists.reading[manifest(2)](51)
    with pytest.raises(Busy, match="samples, and this is the longest"):
        await tasks[0]
    lists.reading[manifest(2)](100)
    lists.end(2)
    assert await tasks[1] is False
    assert not lists.closures._under_way


async def test_lists_that_never_end_do_not_stop_another(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closures, "MAX_DIGESTS", 100)
    monkeypatch.setattr(closures, "MAX_DIGESTS_READING", 300)
    hoarding = [lists.ask(number, f"slow-{number}") for number in range(3)]
    good = lists.ask(9, "good")
    await lists.until_read(0, 1, 2, 9)
    for number in range(3):
        lists.reading[manifest(number)](100)
    for digests in (1, 50, 99):
        lists.reading[manifest(9)](digests)
    lists.end(9)
    assert await good is False
    assert [task.done() for task in hoarding].count(True) == 1, "no more of them ended than had to"
    for task in hoarding:
        task.cancel()
    await asyncio.gather(*hoarding, return_exceptions=True)
