"""Connections that bring nothing are ended; those of devices are not."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from aiohttp import web

from bramble.gateway import connections
from bramble.gateway import server as gateway_server
from bramble.gateway.server import ACCEPTED_AT_ONCE, HEAD_SECONDS, PARSING, collect
from tests.ports import free_port
from tests.unit.gateway.conftest import Replica, until
from tests.unit.gateway.test_assignments import assignment, config_map

Open = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ASSIGNMENT = b"GET /v1/assignment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pi-0\r\n\r\n"


@asynccontextmanager
async def opened(replica: Replica, *heads: bytes) -> AsyncIterator[list[Open]]:
    """A connection for each of these bytes, sent and, where they are a request, answered."""
    found: list[Open] = []
    for head in heads:
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.client.port)
        writer.write(head)
        if head.endswith(b"\r\n\r\n"):
            await reader.readuntil(b"\r\n\r\n")
        found.append((reader, writer))
    try:
        yield found
    finally:
        for _, writer in found:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has closed the connection."""
    try:
        async with asyncio.timeout(0.2):
            while await reader.read(1000):
                pass
            return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("head", [b"", b"GET /v1/assi", b"GET /v1/assignment HTTP/1.1\r\nX-A: ", HEALTH, HEALTH + b"GET /v1/ass"])
async def test_a_connection_without_a_whole_head_is_ended_in_time(replica: Replica, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    assert PARSING["keepalive_timeout"] == HEAD_SECONDS
    server = replica.client.server.handler
    monkeypatch.setitem(server._kwargs, "keepalive_timeout", 0.3)
    async with opened(replica, head) as ((reader, writer),):
        for _ in range(20):
            if reader.at_eof() or await ended(reader):
                return
            if head and not head.endswith(b"\r\n\r\n"):
                writer.write(b"x")  # a byte now and then buys no time
    pytest.fail("the connection is still there")


async def test_the_oldest_idle_connections_of_an_address_are_ended_and_those_of_devices_stay(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_OF_ADDRESS", 3)
    replica.gateway.assignments.replace([config_map(assignment())])
    etag = replica.gateway.assignments.of("pi-0").etag
    waiting = b"GET /v1/assignment?after=%b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pi-0\r\n\r\n" % etag.encode()
    server = replica.client.server.handler
    async with opened(replica, ASSIGNMENT, ASSIGNMENT, HEALTH, b"GET", b"GET", b"", b"") as idle:
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.client.port)
        writer.write(waiting)
        await until(lambda: replica.gateway.assignments.waiting == 1)
        assert replica.gateway.connections.close_idle(server) == 2
        assert [await ended(each) for each, _ in idle] == [False, False, True, True, False, False, False]
        assert not await ended(reader), "its call is under way"
        assert replica.gateway.connections.close_idle(server) == 0
        writer.close()


async def test_idle_connections_of_all_addresses_have_a_bound(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE", 2)
    server = replica.client.server.handler
    async with opened(replica, b"GET", b"GET", b"GET") as idle:
        await until(lambda: len(server.connections) == 3)
        assert replica.gateway.connections.close_idle(server) == 1
        assert [await ended(each) for each, _ in idle] == [True, False, False]


async def test_of_many_devices_that_connect_at_once_the_first_are_answered_before_the_last_are_accepted() -> None:
    """If all were accepted first, each would wait for the TLS handshakes of all others, and many would give up."""
    many, port = 20 * ACCEPTED_AT_ONCE, free_port()
    accepted = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal accepted
        accepted = accepted or len(server.connections)
        return web.Response(text="ok")

    application = web.Application()
    application.add_routes([web.get("/healthz", answer)])
    async with gateway_server._listening(application, port) as server:
        with ExitStack() as stack:
            for _ in range(many):  # the loop has no turn meanwhile: the kernel keeps all of them
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)).sendall(HEALTH)
            await until(lambda: len(server.connections) == many)
            await until(lambda: accepted > 0)
    assert accepted <= 4 * ACCEPTED_AT_ONCE


async def test_the_gateway_collects_garbage_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else does: its process has no other full collections."""
    collected = asyncio.Event()
    monkeypatch.setattr(gateway_server, "COLLECT_SECONDS", 0.0)
    monkeypatch.setattr(gc, "collect", collected.set)
    task = asyncio.create_task(collect())
    async with asyncio.timeout(10):
        await collected.wait()
    task.cancel()
