"""The relay between the host and a cluster: both directions, half-closed, nobody there, cut off."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.unit.listening import Serve, listening
from tools.cluster.namespaces import network_of
from tools.cluster.relay import RESET_ON_CLOSE, Relays, Target

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")


@asynccontextmanager
async def relay_to(serve: Serve) -> AsyncIterator[int]:
    """A server and a relay to it, in this network namespace both; the relay's port."""
    own = network_of()
    relays = Relays(own, own)
    async with listening(serve) as port:
        yield await relays.open("one", Target("127.0.0.1", port, lambda: own))
    await relays.close()
    os.close(own)


async def upper_case(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    await writer.drain()


async def test_an_answer_comes_after_the_callers_side_is_closed() -> None:
    async with relay_to(upper_case) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a" * 300_000)
        writer.write_eof()
        assert await reader.read() == b"A" * 300_000
        writer.close()
        await writer.wait_closed()


async def test_where_nobody_listens_the_connection_ends_at_once() -> None:
    own = network_of()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Target("127.0.0.1", free.getsockname()[1], lambda: own)
        relays = Relays(own, own)
        port = await relays.open("nobody", nobody)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    await relays.close()
    os.close(own)


async def test_a_caller_who_vanishes_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def wait_for_end(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            ended.set_result(await reader.read())
        except ConnectionError as error:
            ended.set_exception(error)

    async with relay_to(wait_for_end) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        caller: socket.socket = writer.get_extra_info("socket")
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        writer.transport.abort()
        with suppress(ConnectionError):
            assert await asyncio.wait_for(ended, 30) == b""
    assert not caplog.records


async def test_the_same_name_is_the_same_port() -> None:
    own = network_of()
    relays = Relays(own, own)
    target = Target("127.0.0.1", 1, lambda: own)
    assert await relays.open("one", target) == await relays.open("one", target)
    await relays.close()
    os.close(own)
