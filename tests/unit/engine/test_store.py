"""The operator's calls to a store that does not answer as a store should."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from bramble.contracts.store import SECRET_NAME
from bramble.engine import store
from bramble.engine.store import CALLS_AT_ONCE, Stores
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kube.resources import SECRET, Manifest, Resource
from bramble.objectstore.addresses import Addresses
from tests.engine.running import eventually
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import Time
from tests.unit.listening import listening

NOT_THERE = b"<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>"

LOOPBACK = Addresses((ip_network("127.0.0.0/8"),), FakeApi.server)


@asynccontextmanager
async def serving(dripping: asyncio.Event | None) -> AsyncIterator[str]:
    """The URL of a store that has nothing; while `dripping` is set, one that sends a byte of its answer now and then."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while dripping is not None and dripping.is_set():
            writer.write(b"H")
            await asyncio.sleep(0.02)
        if dripping is None:
            head = (
                f"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: {len(NOT_THERE)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + NOT_THERE)

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


def put_secret(api: FakeApi, namespace: str, endpoint: str) -> None:
    values = {"endpoint": endpoint, "bucket": "bramble", "prefix": "p/", "accessKey": "a", "secretKey": "s" * 8}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": namespace}, "data": data})


async def has_turns(stores: Stores) -> bool:
    problem = await stores.problem("slow")
    return problem is None or "earlier calls" not in problem.message


async def test_a_store_that_drips_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CALL_SECONDS", 2.0)
    monkeypatch.setattr(store, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(store, "THREADS", CALLS_AT_ONCE + 1)
    api, dripping = FakeApi(), asyncio.Event()
    stores = Stores(api, LOOPBACK)
    dripping.set()
    async with serving(dripping) as slow, serving(None) as good:
        put_secret(api, "slow", slow)
        put_secret(api, "good", good)
        calls = [asyncio.ensure_future(stores.fetch("slow", "key")) for _ in range(4 * CALLS_AT_ONCE)]
        async with asyncio.timeout(60):
            assert await stores.fetch("good", "key") is None
            said = [str(error) for error in await asyncio.gather(*calls, return_exceptions=True) if isinstance(error, StoreUnavailable)]
            assert len(said) == len(calls)
            assert sum("did not finish an answer within 2 s" in each for each in said) == CALLS_AT_ONCE
            assert sum("3 earlier calls have not ended" in each for each in said) == 3 * CALLS_AT_ONCE
            problem = await stores.problem("slow")
            assert problem is not None
            assert (problem.reason, "earlier calls have not ended" in problem.message) == ("StoreUnavailable", True)

            dripping.clear()
            await eventually(lambda: has_turns(stores))
    stores.close()


async def test_a_namespace_that_nobody_asks_for_is_forgotten_unless_a_call_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    api, dripping, time = FakeApi(), asyncio.Event(), Time()
    stores = Stores(api, LOOPBACK, clock=time)
    dripping.set()
    async with serving(dripping) as slow, serving(None) as good:
        put_secret(api, "slow", slow)
        for name in ("left", "asked"):
            put_secret(api, name, good)
            assert await stores.fetch(name, "key") is None
        with monkeypatch.context() as impatient:
            impatient.setattr(store, "CALL_SECONDS", 0.1)
            with pytest.raises(StoreUnavailable):
                await stores.fetch("slow", "key")
        time.now = store.FORGET_SECONDS - 1
        assert await stores.fetch("asked", "key") is None
        time.now = store.FORGET_SECONDS + store.SECRET_SECONDS
        assert await stores.fetch("asked", "key") is None
        gc.collect()
        assert stores._looked.keys() == {"asked"}
        assert set(stores._turns) == {"slow"}, "the thread of its call has not ended"
        dripping.clear()
        await eventually(lambda: nobody_has_a_turn(stores))
    stores.close()


async def nobody_has_a_turn(stores: Stores) -> bool:
    gc.collect()
    return not stores._turns


class Counted(FakeApi):
    """Counts how often a Secret was read."""

    reads = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.reads += resource is SECRET
        return await super().get(resource, namespace, name)


async def test_a_secret_is_believed_for_five_seconds() -> None:
    api, time = Counted(), Time()
    stores = Stores(api, LOOPBACK, clock=time)
    problem = await stores.problem("ads")
    assert problem is not None
    assert (problem.reason, "namespace ads has no Secret bramble-store" in problem.message) == ("StoreMissing", True)
    time.now = store.SECRET_SECONDS - 0.1
    assert await stores.problem("ads") == problem
    with pytest.raises(StoreRefused, match="namespace ads has no Secret bramble-store"):
        await stores.fetch("ads", "key")
    assert api.reads == 1
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": "ads"}, "data": {}})
    time.now = store.SECRET_SECONDS
    problem = await stores.problem("ads")
    assert problem is not None
    assert (problem.reason, problem.message.startswith("namespace ads: ")) == ("StoreInvalid", True)
    assert api.reads == 2
    stores.close()


async def test_a_store_keeps_its_connections_until_its_secret_changes() -> None:
    api, time = FakeApi(), Time()
    stores = Stores(api, LOOPBACK, clock=time)
    clients = []
    for secret_of in ("one", "one", "other"):
        put_secret(api, "ads", f"http://{secret_of}.example:9000")
        clients.append(await stores._store("ads"))
        time.now += store.SECRET_SECONDS
    assert [clients[1] is clients[0], clients[2] is clients[0]] == [True, False]
    assert clients[2].config.endpoint == "http://other.example:9000"
    stores.close()


async def test_the_end_waits_for_no_call_and_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "THREADS", 1)
    api, dripping = FakeApi(), asyncio.Event()
    stores = Stores(api, LOOPBACK)
    dripping.set()
    async with serving(dripping) as slow:
        put_secret(api, "slow", slow)
        calls = [asyncio.ensure_future(stores.fetch("slow", "key")) for _ in range(2)]
        await eventually(lambda: queued(stores, 1))
        stores.close()
        assert not calls[0].done(), "the call under way goes on by itself"
        dripping.clear()
        ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)
        assert isinstance(ends[1], asyncio.CancelledError)


async def queued(stores: Stores, calls: int) -> bool:
    return stores._threads._work_queue.qsize() == calls
