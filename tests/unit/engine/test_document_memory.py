"""The documents of all namespaces' stores take a bounded amount of memory together."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.engine.document_memory import DocumentMemory
from bramble.engine.places import PRESENT, Place, Places
from bramble.engine.store import Stores
from bramble.errors import StoreUnavailable
from tests.engine.running import eventually
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.test_store import LOOPBACK, put_secret
from tests.unit.listening import listening

BYTES = 100_000
GIVEN_UP = "documents that are being read from all stores have more than"


async def all_but_the_last_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BYTES + bytes(BYTES - 1))
    await reader.read()


async def a_whole_document(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % BYTES + bytes(BYTES))


async def test_many_namespaces_whose_stores_never_send_the_last_byte_stay_within_the_bound() -> None:
    api, memory = FakeApi(), DocumentMemory(4 * BYTES)
    stores = Stores(api, LOOPBACK, memory)
    async with listening(all_but_the_last_byte) as slow, listening(a_whole_document) as good, asyncio.timeout(60):
        for number in range(8):
            put_secret(api, f"slow-{number}", f"http://127.0.0.1:{slow}")
        put_secret(api, "good", f"http://127.0.0.1:{good}")
        calls = [asyncio.ensure_future(stores.fetch(f"slow-{number}", "key", LARGEST_DOCUMENT)) for number in range(8) for _ in range(3)]

        async def only_four_are_left() -> bool:
            assert memory.bytes <= 4 * BYTES
            return sum(not call.done() for call in calls) == 4 and memory.bytes == 4 * (BYTES - 1)

        await eventually(only_four_are_left)
        assert await stores.fetch("good", "key", LARGEST_DOCUMENT) == bytes(BYTES)
        ended, _ = await asyncio.wait(calls, timeout=0.1)
        assert len(ended) == 21, "the new document took the room of an old one"
        assert all(isinstance(call.exception(), StoreUnavailable) and GIVEN_UP in str(call.exception()) for call in ended)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert memory.bytes == 0
    await stores.close()


async def test_a_namespace_with_many_bytes_gives_up_its_oldest_document() -> None:
    memory = DocumentMemory(10)
    ends: list[str] = []

    async def read(namespace: str, name: str, size: int) -> None:
        try:
            async with memory.reading(namespace, None) as reading:
                reading.arrived(size)
                await asyncio.Event().wait()
        except StoreUnavailable:
            ends.append(name)

    started = [
        ("modest", "modest 1", 1),
        ("greedy", "greedy 1", 4),
        ("greedy", "greedy 2", 3),
        ("modest", "modest 2", 1),
        ("new", "new 1", 3),
    ]
    reads = [asyncio.ensure_future(read(*each)) for each in started]
    await asyncio.wait(reads, timeout=0.1)
    assert (ends, memory.bytes) == (["greedy 1"], 8), "the oldest of all is of a namespace with few bytes"
    for each in reads:
        each.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    assert memory.bytes == 0


@asynccontextmanager
async def passing() -> AsyncIterator[Place]:
    """The place of a pass."""
    place = await Places(1).take()
    try:
        yield place
    finally:
        place.end()


async def test_one_lack_of_room_ends_one_pass_and_not_all() -> None:
    """Readings that wait for their store hold nothing, and a pass that has read much holds it until it ends."""
    memory = DocumentMemory(10)
    refused: list[str] = []

    async def read(namespace: str, *sizes: int) -> None:
        try:
            async with passing() as place:
                for size in sizes:
                    async with memory.reading(namespace, place) as reading:
                        if not size:
                            await asyncio.Event().wait()
                        reading.arrived(size)
        except StoreUnavailable:
            refused.append(namespace)

    reads = [asyncio.ensure_future(read(f"waits-{number}", 0)) for number in range(5)]
    reads += [asyncio.ensure_future(read("old", 5, 0)), asyncio.ensure_future(read("other", 4, 0))]
    await asyncio.wait(reads, timeout=0.1)
    await read("new", 3)
    await asyncio.wait(reads, timeout=0.1)
    assert (refused, memory.bytes) == (["old"], 4)
    for each in reads:
        each.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


async def test_each_of_eight_namespaces_with_large_documents_gets_on() -> None:
    """Each pass reads three of the largest documents, of which six fit, and is tried again when it was given up."""
    mib = 1024 * 1024
    memory, tries = DocumentMemory(48 * mib), Counter[str]()
    drawn = random.Random(1)

    async def read(namespace: str, place: Place) -> None:
        async with memory.reading(namespace, place) as reading:
            for _ in range(8):
                await asyncio.sleep(0)
                reading.arrived(mib)
                assert memory.bytes <= 48 * mib

    async def work(namespace: str) -> None:
        done = False
        while not done:
            tries[namespace] += 1
            async with passing() as place:
                try:
                    for _ in range(3):
                        await read(namespace, place)
                    done = True
                except StoreUnavailable:
                    pass
            for _ in range(drawn.randrange(20 * min(8, 2 ** tries[namespace]))):  # the back-off of the queue
                await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await asyncio.gather(*(work(f"ads-{number}") for number in range(8)))
    assert max(tries.values()) <= 8, tries
    assert memory.bytes == 0


async def test_a_document_counts_until_the_pass_that_read_it_has_ended() -> None:
    memory, place = DocumentMemory(10), await Places(1).take()
    async with memory.reading("ads", place) as reading:
        reading.arrived(8)
    assert memory.bytes == 8
    with pytest.raises(StoreUnavailable, match=GIVEN_UP):
        async with memory.reading("other", None) as reading:
            reading.arrived(3)
    place.end()
    assert memory.bytes == 0


async def test_a_document_that_is_given_up_while_its_pass_waits_for_a_place_takes_none() -> None:
    memory, places = DocumentMemory(10), Places(1)
    place = await places.take()

    async def read() -> None:
        async with memory.reading("ads", place) as reading, place.left():
            reading.arrived(8)
            held.callback((await places.take()).end)

    with ExitStack() as held:
        waits = asyncio.ensure_future(read())
        await asyncio.wait([waits], timeout=0.1)
        async with memory.reading("other", None) as reading:
            reading.arrived(3)
            with pytest.raises(StoreUnavailable, match=GIVEN_UP):
                await asyncio.wait_for(waits, 20)
            assert (place.held, memory.bytes) == (False, 3)
    place.end()
    assert places._free._value == 1


async def test_the_store_counts_a_document_for_the_pass_that_is_present() -> None:
    api, memory = FakeApi(), DocumentMemory()
    stores = Stores(api, LOOPBACK, memory)
    place = await Places(1).take()
    token = PRESENT.set(place)
    async with listening(a_whole_document) as good:
        put_secret(api, "ads", f"http://127.0.0.1:{good}")
        assert await stores.fetch("ads", "key", LARGEST_DOCUMENT) == bytes(BYTES)
    assert memory.bytes == BYTES
    place.end()
    PRESENT.reset(token)
    assert memory.bytes == 0
    await stores.close()
