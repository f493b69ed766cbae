"""The operator's calls to a store that does not answer as a store should."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from bramble.contracts.store import LARGEST_DOCUMENT, SECRET_NAME
from bramble.engine import store
from bramble.engine.document_memory import DocumentMemory
from bramble.engine.store import CALLS_AT_ONCE, Stores
from bramble.errors import DocumentTooLarge, StoreRefused, StoreUnavailable
from bramble.kube import store as kube_store
from bramble.kube.resources import SECRET, Manifest, Resource
from bramble.objectstore.addresses import Addresses
from tests.engine.running import eventually
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import Time
from tests.unit.listening import Serve, listening

NOT_THERE = b"<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>"

LOOPBACK = Addresses((ip_network("127.0.0.0/8"),), FakeApi.server)


BAD = 11
"""Namespaces whose stores do not end their answers."""


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """The URL of a store that has nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: {len(NOT_THERE)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + NOT_THERE)

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


def put_secret(api: FakeApi, namespace: str, endpoint: str, prefix: str = "p/") -> None:
    values = {"endpoint": endpoint, "bucket": "bramble", "prefix": prefix, "accessKey": "a", "secretKey": "s" * 8}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": namespace}, "data": data})


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer with a good head, and a byte of the body now and then."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def drip_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nServer: ")
    while not writer.is_closing():
        writer.write(b"H")
        await asyncio.sleep(0.02)


async def drip_an_error(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4000\r\n\r\n")
    await reader.read()


async def accept_and_do_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def send_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()


def stores_of(api: FakeApi, clock: Time | None = None) -> Stores:
    return Stores(api, LOOPBACK, DocumentMemory(), **({"clock": clock} if clock is not None else {}))


@pytest.mark.parametrize("bad", [drip, drip_the_head, drip_an_error, accept_and_do_nothing])
async def test_a_store_that_does_not_come_to_an_end_is_given_up(bad: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_store, "ANSWER_SECONDS", 0.3)
    api = FakeApi()
    stores = stores_of(api)
    async with listening(bad) as port, asyncio.timeout(20):
        put_secret(api, "ads", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreUnavailable, match=r"no whole answer within 0\.3 s"):
            await stores.fetch("ads", "key", LARGEST_DOCUMENT)
        if bad is not drip:  # what follows the status says nothing about a write
            with pytest.raises(StoreUnavailable, match=r"no whole answer within 0\.3 s"):
                await stores.put_once("ads", "key", b"{}")
    await stores.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(b"SSH-2.0-OpenSSH secret\r\n\r\n", "its answer is not HTTP", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n", "its answer is not HTTP", id="no chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsecret", "its answer broke off", id="a part"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: secret", "it closed the connection", id="a part of the head"),
    ],
)
async def test_nothing_of_a_broken_answer_is_told(answer: bytes, told: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    api = FakeApi()
    stores = stores_of(api)
    async with listening(serve) as port, asyncio.timeout(20):
        put_secret(api, "ads", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreUnavailable) as raised:
            await stores.fetch("ads", "key", LARGEST_DOCUMENT)
    assert str(raised.value) == f"s3://bramble/p/key: the store at http://127.0.0.1:{port} did not answer: {told}"
    await stores.close()


async def test_a_document_without_end_is_refused() -> None:
    api = FakeApi()
    stores = stores_of(api)
    async with listening(send_without_end) as port, asyncio.timeout(20):
        put_secret(api, "ads", f"http://127.0.0.1:{port}")
        with pytest.raises(DocumentTooLarge, match="more than 100000 bytes"):
            await stores.fetch("ads", "key", 100_000)
    await stores.close()


async def test_stores_that_drip_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TURN_SECONDS", 0.2)
    api = FakeApi()
    stores = stores_of(api)
    async with listening(drip) as slow, serving() as good, asyncio.timeout(60):
        for number in range(BAD):
            put_secret(api, f"slow-{number}", f"http://127.0.0.1:{slow}")
        put_secret(api, "good", good)
        threads = threading.active_count()
        calls = [
            asyncio.ensure_future(stores.fetch(f"slow-{number}", "key", LARGEST_DOCUMENT))
            for number in range(BAD)
            for _ in range(2 * CALLS_AT_ONCE)
        ]
        refused, under_way = await asyncio.wait(calls, timeout=1)
        assert (len(refused), len(under_way)) == (BAD * CALLS_AT_ONCE, BAD * CALLS_AT_ONCE)
        assert all("3 earlier requests have not ended" in str(call.exception()) for call in refused)
        assert threading.active_count() == threads, "a call that waits takes no thread"
        async with asyncio.timeout(5):
            assert await stores.fetch("good", "key", LARGEST_DOCUMENT) is None
        problem = await stores.problem("slow-0")
        assert problem is not None
        assert (problem.reason, "earlier requests have not ended" in problem.message) == ("StoreUnavailable", True)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await stores.close()


async def test_a_secret_that_changes_all_the_time_brings_no_more_turns() -> None:
    api, time = FakeApi(), Time()
    stores = stores_of(api, time)
    async with listening(accept_and_do_nothing) as slow:
        calls = []
        for number in range(CALLS_AT_ONCE):
            put_secret(api, "ads", f"http://127.0.0.1:{slow}", prefix=f"{number}/")
            calls.append(asyncio.ensure_future(stores.fetch("ads", "key", LARGEST_DOCUMENT)))
            await eventually(lambda number=number: has_requests(stores, number + 1))
            time.now += store.SECRET_SECONDS
        put_secret(api, "ads", f"http://127.0.0.1:{slow}", prefix="another/")
        with pytest.raises(StoreUnavailable, match="3 earlier requests have not ended"):
            await stores.fetch("ads", "key", LARGEST_DOCUMENT)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await stores.close()


async def has_requests(stores: Stores, count: int) -> bool:
    found = stores._looked["ads"].store if "ads" in stores._looked else None
    return found is not None and found.turns._free._value == CALLS_AT_ONCE - count


async def test_a_name_that_is_not_resolved_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, resolved = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **more: Any) -> Any:
        if host.startswith("slow"):
            answered.wait()
            raise socket.gaierror(f"{host} is not known")
        return resolved("127.0.0.1" if host == "good.example" else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    api = FakeApi()
    stores = stores_of(api)
    async with serving() as good, asyncio.timeout(60):
        calls = []
        for number in range(40):  # more than the event loop has threads
            put_secret(api, f"slow-{number}", f"http://slow-{number}.example:9000")
            calls.append(asyncio.ensure_future(stores.fetch(f"slow-{number}", "key", LARGEST_DOCUMENT)))
        put_secret(api, "good", good.replace("127.0.0.1", "good.example"))
        async with asyncio.timeout(5):
            assert await stores.fetch("good", "key", LARGEST_DOCUMENT) is None
            assert await asyncio.to_thread(lambda: "planned") == "planned"
        assert not any(call.done() for call in calls)
        answered.set()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, StoreUnavailable) for end in ends)
    await stores.close()


async def test_a_namespace_that_nobody_asks_for_is_forgotten() -> None:
    api, time = FakeApi(), Time()
    stores = stores_of(api, time)
    async with serving() as good:
        for name in ("left", "asked"):
            put_secret(api, name, good)
            assert await stores.fetch(name, "key", LARGEST_DOCUMENT) is None
        time.now = store.FORGET_SECONDS - 1
        assert await stores.fetch("asked", "key", LARGEST_DOCUMENT) is None
        time.now = store.FORGET_SECONDS + store.SECRET_SECONDS
        assert await stores.fetch("asked", "key", LARGEST_DOCUMENT) is None
        assert stores._looked.keys() == {"asked"}
    await stores.close()


class Counted(FakeApi):
    """Counts how often a Secret was read."""

    reads = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.reads += resource is SECRET
        return await super().get(resource, namespace, name)


async def test_a_secret_is_believed_for_five_seconds() -> None:
    api, time = Counted(), Time()
    stores = stores_of(api, time)
    problem = await stores.problem("ads")
    assert problem is not None
    assert (problem.reason, "namespace ads has no Secret bramble-store" in problem.message) == ("StoreMissing", True)
    time.now = store.SECRET_SECONDS - 0.1
    assert await stores.problem("ads") == problem
    with pytest.raises(StoreRefused, match="namespace ads has no Secret bramble-store"):
        await stores.fetch("ads", "key", LARGEST_DOCUMENT)
    assert api.reads == 1
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": "ads"}, "data": {}})
    time.now = store.SECRET_SECONDS
    problem = await stores.problem("ads")
    assert problem is not None
    assert (problem.reason, problem.message.startswith("namespace ads: ")) == ("StoreInvalid", True)
    assert api.reads == 2
    await stores.close()


async def test_a_store_keeps_its_connections_until_its_secret_changes() -> None:
    api, time = FakeApi(), Time()
    stores = stores_of(api, time)
    clients = []
    for secret_of in ("one", "one", "other"):
        put_secret(api, "ads", f"http://{secret_of}.example:9000")
        clients.append(await stores._store("ads"))
        time.now += store.SECRET_SECONDS
    assert [clients[1] is clients[0], clients[2] is clients[0]] == [True, False]
    assert clients[2].config.endpoint == "http://other.example:9000"
    assert clients[2].turns is clients[0].turns
    await stores.close()
