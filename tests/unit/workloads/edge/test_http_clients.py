"""The HTTP server with clients that are slow, leave, or are too many, and its own end."""

from __future__ import annotations

import asyncio

import pytest

from bramble_workloads.edge.serve.http import limits
from bramble_workloads.edge.serve.http.connection import Connection
from tests.unit.workloads.edge.agent_process import until
from tests.unit.workloads.edge.http_site import HEAD, SECONDS, Site, post

# ----------------------------------------------------------------------------------------------------- slow clients


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times."""
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.02)
    for name in ("IDLE_SECONDS", "HEAD_SECONDS", "BODY_SECONDS", "CLOSING_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "first", "more"),
    [
        ("a head", b"GET /echo HTTP/1.1\r\n", b"X: y\r\n"),
        ("a body", HEAD + b"Content-Length: 900000\r\n\r\n", b"x"),
        ("a chunked body", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
async def test_a_request_that_trickles_in_is_ended(site: Site, name: str, first: bytes, more: bytes) -> None:
    client = await site.connect()
    await client.send(first)

    async def trickle() -> None:
        while True:
            await client.send(more)
            await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (408, "close"), name
    assert await client.ends() == b""
    trickling.cancel()
    await until(lambda: not site.connections, "closed")
    assert (site.under_way, site.done) == (0, [])


@pytest.mark.usefixtures("quick")
async def test_an_idle_connection_is_closed(site: Site) -> None:
    silent, kept = await site.connect(), await site.connect()
    await kept.send(post("/echo", b"a"))
    assert (await kept.answer()).status == 200
    assert await silent.ends() == b""
    assert await kept.ends() == b""


@pytest.mark.usefixtures("quick")
async def test_a_model_may_take_longer_than_any_client(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b""))
    await until(lambda: site.began, "began")
    await asyncio.sleep(0.6)
    site.let_go.set()
    assert (await client.answer()).body == b"waited"


@pytest.mark.usefixtures("quick")
async def test_a_client_that_does_not_read_its_answer_is_ended(site: Site) -> None:
    client = await site.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post("/large", b"") + post("/echo", b"never"))
    await until(lambda: site.began, "began")
    await until(lambda: not site.connections, "ended")
    assert site.done == ["/large"]


async def test_the_next_request_waits_until_the_answer_is_read(site: Site) -> None:
    client = await site.connect()
    client.reader._limit = 1000  # type: ignore[attr-defined]
    await client.send(post("/large", b"") + post("/echo", b"next"))
    await until(lambda: site.began, "began")
    assert (await site.ask(post("/other", b""))).status == 200
    assert site.done == ["/large", "/other"]
    client.reader._limit = 2**26  # type: ignore[attr-defined]
    assert len((await client.answer()).body) == 50_000_000
    assert (await client.answer()).body == b"next"


# ---------------------------------------------------------------------------------------------------- clients that leave


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"Content-Length: 10\r\n\r\nhello", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
                                  HEAD + b"Content-Length: 500000\r\n\r\n" + b"x" * 200_000])  # fmt: skip
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_leaves_midway_through_its_request(site: Site, sent: bytes, how: str) -> None:
    client = await site.connect()
    await client.send(sent)
    await until(lambda: site.connections, "connected")
    if b"\r\n\r\n" in sent:
        await until(lambda: site.began, "began")
    if how == "closes":
        await client.close()
    else:
        client.writer.transport.abort()
    await until(lambda: not site.connections and not site.under_way, "forgotten")
    assert site.done == []


async def test_a_client_that_leaves_before_its_answer(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b"") + post("/echo", b""))
    await until(lambda: site.began, "began")
    client.writer.transport.abort()
    site.let_go.set()
    await until(lambda: not site.connections and not site.under_way, "forgotten")
    assert site.held == 0


async def test_a_client_that_leaves_midway_through_its_answer(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/large", b""))
    await client.reader.readexactly(1000)
    client.writer.transport.abort()
    await until(lambda: not site.connections and not site.under_way, "forgotten")
    assert (await site.ask(post("/echo", b"next"))).body == b"next"


# ---------------------------------------------------------------------------------------------------- many connections


async def test_one_connection_too_many_takes_the_place_of_one_that_does_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 3)
    busy, oldest, kept = [await site.connect() for _ in range(3)]
    await busy.send(post("/wait", b""))
    await until(lambda: site.began, "began")
    await kept.send(post("/echo", b"a"))
    await kept.answer()
    newest = await site.connect()
    await newest.send(post("/echo", b"b"))
    assert (await newest.answer()).body == b"b"
    assert await oldest.ends() == b""
    await kept.send(post("/echo", b"c"))
    assert (await kept.answer()).body == b"c"
    site.let_go.set()
    assert (await busy.answer()).body == b"waited"
    assert site.connections == 3


async def test_connections_with_half_a_head_do_not_keep_others_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 20)
    hostile = [await site.connect() for _ in range(40)]
    for client in hostile:
        await client.send(b"GET /echo HTTP/1.1\r\n")
    assert (await site.ask(post("/echo", b"through"))).body == b"through"
    assert site.connections <= 20
    for client in hostile:
        await client.close()


@pytest.mark.parametrize("sent", [b"GET /echo HTTP/1.1\r\n", HEAD + b"Content-Length: 10\r\n\r\nhello"], ids=["heads", "bodies"])
async def test_a_client_with_many_connections_takes_the_place_of_nobody_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 20)
    kept = await site.connect()
    await kept.send(post("/echo", b"a"))
    assert (await kept.answer()).body == b"a"
    hostile = [await site.connect("127.0.0.66") for _ in range(40)]
    for client in hostile:
        await client.send(sent)
    await kept.send(post("/echo", b"b"))
    assert (await kept.answer()).body == b"b"
    assert (await site.ask(post("/echo", b"new"))).body == b"new"
    assert site.connections <= 20
    for client in hostile:
        await client.close()


@pytest.mark.parametrize("busy", [0, 3], ids=["each has one that is idle", "one has several that are busy"])
async def test_a_new_client_takes_the_place_of_the_connection_that_is_idle_longest(
    site: Site, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 5)
    waiting = [await site.connect("127.0.0.66") for _ in range(busy)]
    for client in waiting:
        await client.send(post("/wait", b""))
    await until(lambda: len(site.began) == busy, "those began")
    oldest, *kept = [await site.connect(f"127.0.1.{number + 1}") for number in range(5 - busy)]
    await until(lambda: site.connections == 5, "all are open")
    next(each for each in site.server._connections if each.client == "127.0.1.1").deadline -= 1
    newest = await site.connect("127.0.0.99")
    for client in (newest, *kept):
        await client.send(post("/echo", b"a"))
        assert (await client.answer()).body == b"a"
    assert await oldest.ends() == b""
    site.let_go.set()
    assert [(await client.answer()).body for client in waiting] == [b"waited"] * busy
    assert site.connections == 5


async def test_of_connections_that_come_together_each_takes_the_place_of_another_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a connection is told later, and others may be accepted before."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 5)
    idle = [await site.connect() for _ in range(5)]
    await until(lambda: site.connections == 5, "all are open")
    together = [Connection(site.server, asyncio.get_running_loop()) for _ in range(3)]
    for number, connection in enumerate(together):
        connection.client = f"127.0.1.{number}"
        site.server.opened(connection)
    assert site.connections == 5
    assert set(together) <= site.server._connections
    await until(lambda: sum(client.reader.at_eof() for client in idle) == 3, "three were closed")
    for connection in together:
        site.server.closed(connection)


async def test_where_all_are_busy_one_more_is_turned_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    busy = [await site.connect() for _ in range(2)]
    for client in busy:
        await client.send(post("/wait", b""))
    await until(lambda: len(site.began) == 2, "both began")
    more = await site.connect()
    assert await more.ends() == b""
    site.let_go.set()
    assert [(await client.answer()).body for client in busy] == [b"waited"] * 2


async def test_what_is_not_wanted_yet_is_not_read(site: Site) -> None:
    """A client that sends on while its first request is answered fills the server's buffer once, and its own."""
    client = await site.connect()
    await client.send(post("/wait", b""))
    await until(lambda: site.began, "began")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.send(b"".join(post("/echo", b"x" * 900_000) for _ in range(30))))
        connection = next(iter(site.server._connections))
        await until(lambda: connection._paused, "paused")
        assert len(connection._unparsed) <= limits.BUFFER
        site.let_go.set()
        for size in (6, *[900_000] * 30):
            assert len((await client.answer()).body) == size


# --------------------------------------------------------------------------------------------------------- its end


async def test_what_is_under_way_is_answered_before_the_server_leaves(site: Site) -> None:
    busy, idle = await site.connect(), await site.connect()
    await busy.send(post("/wait", b"") + post("/echo", b"not any more"))
    await until(lambda: site.began, "began")
    leaving = asyncio.create_task(site.server.leave(SECONDS))
    await until(lambda: site.server.leaving, "leaving")
    site.let_go.set()
    answer = await busy.answer()
    assert (answer.body, answer.headers["connection"]) == (b"waited", "close")
    assert await busy.ends() == b""
    assert await idle.ends() == b""
    await leaving
    assert site.connections == 0
    with pytest.raises(ConnectionRefusedError):
        await site.connect()


async def test_a_large_answer_is_sent_whole_before_the_server_leaves(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/large", b""))
    await until(lambda: site.began, "began")
    leaving = asyncio.create_task(site.server.leave(SECONDS))
    assert len((await client.answer()).body) == 50_000_000
    await leaving


async def test_a_server_does_not_wait_for_ever(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b""))
    await until(lambda: site.began, "began")
    await site.server.leave(0.1)
    assert await client.ends() == b""
