"""The HTTP server with raw sockets: which requests it takes, and which it refuses."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.workloads.edge.agent_process import until
from tests.unit.workloads.edge.http_site import HEAD, LIMIT, Site, chunked, post

# --------------------------------------------------------------------------------------------------------- what works


@pytest.mark.parametrize("size", [0, 1, 4000, 5000, 70_000, LIMIT])
async def test_a_body_comes_whole_whatever_its_length(site: Site, size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    for request in (post("/echo", body), chunked(body, 10_000)):
        answer = await site.ask(request)
        assert (answer.status, answer.headers["content-type"], answer.body == body) == (200, "text/plain", True)


async def test_two_hundred_pipelined_requests_are_answered_in_order(site: Site) -> None:
    client = await site.connect()
    sending = asyncio.create_task(client.send(b"".join(post("/echo", b"%d" % number * 50) for number in range(200))))
    for number in range(200):
        assert (await client.answer()).body == b"%d" % number * 50
    await sending


async def test_a_request_is_worked_on_only_when_the_one_before_is_answered(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b"") + post("/echo", b"second") + post("/echo", b"x" * 300_000))
    await until(lambda: site.began, "the first began")
    other = await site.ask(post("/other", b"another client is answered meanwhile"))
    assert other.status == 200
    assert site.done == ["/wait", "/other"]
    site.let_go.set()
    assert [len((await client.answer()).body) for _ in range(3)] == [6, 6, 300_000]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_where_the_network_cuts_the_bytes_changes_nothing(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 17, 4096, 9000, 70_000]), min_size=1, max_size=4))
    content, bodies = b"", []
    for number, size in enumerate(sizes):
        bodies.append(bytes([65 + number]) * size)
        content += chunked(bodies[-1], data.draw(st.sampled_from([7, 1000, 8192]))) if data.draw(st.booleans()) else post("/", bodies[-1])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)), max_size=6)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    async def run() -> None:
        site = Site()
        await site.server.listen("127.0.0.1", site.port)
        client = await site.connect()

        async def send() -> None:
            for piece in pieces:
                await client.send(piece)
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        found = [(await client.answer()).body for _ in bodies]
        await sending
        await site.end()
        assert found == bodies

    uvloop.run(run())


async def test_http_1_0_closes_unless_it_is_asked_to_stay(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/echo", b"a", "Connection: keep-alive", version="1.0"))
    assert (await client.answer()).headers["connection"] == "keep-alive"
    await client.send(post("/echo", b"b", version="1.0"))
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.ends() == b""


async def test_a_client_may_ask_for_the_end_of_its_connection(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/echo", b"a", "Connection: close") + post("/echo", b"never"))
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"a", "close")
    assert await client.ends() == b""
    assert site.done == ["/echo"]


async def test_a_client_that_has_sent_all_it_will_is_answered(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b"") + post("/echo", b"b"))
    client.writer.write_eof()
    await until(lambda: site.began, "began")
    site.let_go.set()
    assert [(await client.answer()).body for _ in range(2)] == [b"waited", b"b"]
    assert await client.ends() == b""


async def test_head_has_the_length_and_no_body(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/echo", b"abc").replace(b"POST", b"HEAD"))
    answer = await client.answer(bodiless=True)
    assert answer.headers["content-length"] == "3"
    await client.send(post("/echo", b"next"))
    assert (await client.answer()).body == b"next"


@pytest.mark.parametrize("headers", [("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ"),
                                     ("Upgrade: websocket", "Connection: Upgrade")])  # fmt: skip
async def test_an_upgrade_is_declined_and_the_request_is_answered(site: Site, headers: tuple[str, ...]) -> None:
    client = await site.connect()
    for size in (0, 5, 100_000):
        await client.send(post("/echo", b"x" * size, *headers) + post("/echo", b"plain"))
        assert [len((await client.answer()).body) for _ in range(2)] == [size, 5]


# ----------------------------------------------------------------------------------------------------- 100-continue


async def test_the_body_is_asked_for_once_it_is_wanted(site: Site) -> None:
    client = await site.connect()
    head, body = post("/echo", b"x" * 10, "Expect: 100-continue").split(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert (await client.answer()).status == 100
    await client.send(body)
    assert (await client.answer()).body == b"x" * 10


async def test_a_body_that_is_refused_is_not_asked_for(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/refuse", b"x" * 10, "Expect: 100-continue").split(b"x" * 10)[0])
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    assert await client.ends() == b""


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("both lengths", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("both lengths, the other order", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        ("the same length twice", HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("two lengths in one header", HEAD + b"Content-Length: 5, 6\r\n\r\nhello"),
        ("a negative length", HEAD + b"Content-Length: -5\r\n\r\nhello"),
        ("a length with a sign", HEAD + b"Content-Length: +5\r\n\r\nhello"),
        ("a hexadecimal length", HEAD + b"Content-Length: 0x5\r\n\r\nhello"),
        ("an empty length", HEAD + b"Content-Length: \r\n\r\nhello"),
        ("a length of 30 digits", HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello"),
        ("chunked is not the last coding", HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ("no chunked", HEAD + b"Transfer-Encoding: gzip\r\n\r\nhello"),
        ("a coding like chunked", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunked twice", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        ("a space before the colon", HEAD + b"Content-Length : 5\r\n\r\nhello"),
        ("a space before the colon of the coding", HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("a folded header", HEAD + b"X: a\r\n Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("a folded coding", HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("a bare LF", HEAD + b"X: a\nContent-Length: 5\r\n\r\nhello"),
        ("a bare LF after the head", HEAD + b"Content-Length: 5\r\n\nhello"),
        ("a bare CR", HEAD + b"X: a\rContent-Length: 5\r\n\r\nhello"),
        ("a NUL in a header", HEAD + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello"),
        ("a chunk without a size", HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
        ("a chunk of a negative size", HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk with a prefix", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk of 17 digits", HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        ("a chunk that is longer than it says", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"),
        ("a chunk with a bare LF", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
        ("a length in a trailer", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n"),
        ("a coding in a trailer", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("chunked in HTTP/1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("an upgrade with chunks", HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two types", HEAD + b"Content-Type: application/json\r\ncontent-type: text/plain\r\n\r\n"),
        ("two codings of the content", HEAD + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n"),
        ("two lengths of the JSON", HEAD + b"Inference-Header-Content-Length: 2\r\nInference-Header-Content-Length: 5\r\n\r\n"),
        ("the same header twice", HEAD + b"Content-Type: application/json\r\nContent-Type: application/json\r\n\r\n"),
        ("two hosts", HEAD + b"Host: y\r\n\r\n"),
        ("the same host twice", HEAD + b"Host: x\r\n\r\n"),
        ("two hosts in HTTP/1.0", HEAD.replace(b"1.1", b"1.0") + b"Host: y\r\n\r\n"),
        ("no host", b"POST /echo HTTP/1.1\r\n\r\n"),
        ("no host beside a whole URL", b"POST http://x/echo HTTP/1.1\r\n\r\n"),
        ("a host with a path", b"POST /echo HTTP/1.1\r\nHost: x/y\r\n\r\n"),
        ("a host with a user", b"POST /echo HTTP/1.1\r\nHost: me@x\r\n\r\n"),
        ("two hosts in one header", b"POST /echo HTTP/1.1\r\nHost: x y\r\n\r\n"),
        ("chunked twice in one header", HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("two codings, both chunked", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("no method", b"/echo HTTP/1.1\r\n\r\n"),
        ("an unknown method", b"FETCH /echo HTTP/1.1\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("TLS", bytes.fromhex("1603010200010001fc0303") + bytes(64)),
        ("a space in the target", b"GET /a b HTTP/1.1\r\n\r\n"),
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(site: Site, name: str, sent: bytes) -> None:
    client = await site.connect()
    await client.send(sent + post("/smuggled", b""))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close"), name
    assert answer.error, name
    client.writer.write_eof()
    assert await client.ends() == b""
    assert "/smuggled" not in site.began
    assert site.done == []


@pytest.mark.parametrize(
    "codings", ["gzip, chunked", "GZIP,Chunked", "deflate, gzip, chunked", "identity, chunked", "gzip\r\nTransfer-Encoding: chunked"]
)
async def test_a_transfer_coding_that_is_not_decoded_is_501(site: Site, codings: str) -> None:
    client = await site.connect()
    await client.send(chunked(b"hello", 5).replace(b": chunked", f": {codings}".encode()) + post("/smuggled", b""))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (501, "close")
    assert "only chunked is decoded" in answer.error
    client.writer.write_eof()
    assert await client.ends() == b""
    assert site.began == []


@pytest.mark.parametrize("codings", ["chunked", "Chunked", ", chunked"])
async def test_chunked_alone_is_decoded(site: Site, codings: str) -> None:
    sent = chunked(b"hello", 5).replace(b": chunked", f": {codings}".encode())
    assert (await site.ask(sent)).body == b"hello"


@pytest.mark.parametrize("host", ["", "x", "x:8090", "10.0.0.1:30090", "[::1]:8090", "agent-living_rooms.bramble-edge.svc"])
async def test_any_host_is_taken(site: Site, host: str) -> None:
    assert (await site.ask(f"GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).status == 200


async def test_http_1_0_needs_no_host(site: Site) -> None:
    assert (await site.ask(b"GET /echo HTTP/1.0\r\n\r\n")).status == 200


@pytest.mark.parametrize("version", ["", " HTTP/0.9", " HTTP/2.0", " HTTP/3.0", " HTTP/1.2"])
async def test_another_version_is_505_or_400(site: Site, version: str) -> None:
    answer = await site.ask(f"GET /echo{version}\r\n\r\n".encode())
    assert answer.status in {400, 505}
    assert site.began == []


async def test_what_is_malformed_is_told_after_the_answers_before_it(site: Site) -> None:
    client = await site.connect()
    await client.send(post("/wait", b"") + post("/echo", b"b") + b"nonsense\r\n\r\n")
    await until(lambda: site.began, "began")
    site.let_go.set()
    assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
    client.writer.write_eof()
    assert await client.ends() == b""


async def test_a_header_without_a_value_does_not_hide_the_next(site: Site) -> None:
    answer = await site.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello")
    assert answer.body == b"hello"
    coded = gzip.compress(b"hello")
    answer = await site.ask(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nX:\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded) + coded
    )
    assert answer.body == b"hello"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a long target", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"),
        ("a long header", HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n"),
        ("a long name", HEAD + b"a" * 100_000 + b": x\r\n\r\n"),
        ("many headers", HEAD + b"A: b\r\n" * 20_000 + b"\r\n"),
        ("a head that does not end", HEAD + b"X: " + b"a" * 100_000),
        ("empty lines before the head", b"\r\n" * 50_000 + HEAD),
    ],
)
async def test_a_head_is_bounded(site: Site, name: str, sent: bytes) -> None:
    client = await site.connect()
    await client.send(sent)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (431, "close"), name
    client.writer.write_eof()
    assert await client.ends() == b""
    assert site.began == []


async def test_more_than_the_limit_is_413_however_it_is_sent(site: Site) -> None:
    for request in (post("/echo", b"x" * (LIMIT + 1)), chunked(b"x" * (LIMIT + 1), 10_000)):
        client = await site.connect()
        sending = asyncio.create_task(client.send(request))
        answer = await client.answer()
        assert answer.status == 413
        assert answer.error == f"the request is too large; this takes at most {LIMIT} bytes"
        await client.close()
        await sending
    assert site.done == []


async def test_a_body_that_is_refused_by_its_announced_length_is_not_waited_for(site: Site) -> None:
    client = await site.connect()
    await client.send(HEAD + b"Content-Length: 1000001\r\n\r\n")
    assert (await client.answer()).status == 413
    client.writer.write_eof()
    assert await client.ends() == b""


async def test_a_million_tiny_chunks_are_one_body(site: Site) -> None:
    client = await site.connect()
    sending = asyncio.create_task(client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * LIMIT + b"0\r\n\r\n"))
    answer = await client.answer()
    assert (answer.status, len(answer.body)) == (200, LIMIT)
    await sending


@pytest.mark.parametrize(
    ("name", "flood"),
    [
        ("extensions", b"1;" + b"a" * 1000 + b"\r\nx\r\n"),
        ("zeros before a size", b"0" * 1000 + b"1\r\nx\r\n"),
    ],
)
async def test_what_is_no_data_in_a_chunked_body_is_bounded(site: Site, name: str, flood: bytes) -> None:
    client = await site.connect()
    sending = asyncio.create_task(client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + flood * 500))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close"), name
    await client.close()
    await sending


async def test_trailers_are_bounded(site: Site) -> None:
    client = await site.connect()
    sending = asyncio.create_task(client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 200_000))
    assert (await client.answer()).status == 400
    await client.close()
    await sending


async def test_trailers_are_no_headers(site: Site) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    client = await site.connect()
    await client.send(head + b"Content-Encoding: gzip\r\nExpect: 100-continue\r\n\r\n" + post("/echo", b"next"))
    assert [(await client.answer()).body for _ in range(2)] == [b"hello", b"next"]


async def test_a_fault_of_the_handler_is_500_and_the_server_lives(site: Site) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = await site.connect()
    await client.send(post("/fault", b""))
    assert (await client.answer()).status == 500
    await client.send(post("/echo", b"on"))
    assert (await client.answer()).body == b"on"
    assert [type(each["exception"]) for each in told] == [ZeroDivisionError]


# ---------------------------------------------------------------------------------------------------------- codings


def raw_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("x-gzip", gzip.compress),
                                                ("deflate", zlib.compress), ("deflate", raw_deflate), ("identity", bytes)])  # fmt: skip
async def test_a_coded_body_is_decoded(site: Site, coding: str, encode: Callable[[bytes], bytes]) -> None:
    body = b"some text " * 20_000
    coded = encode(body)
    for request in (post("/echo", coded, f"Content-Encoding: {coding}"), chunked(coded, 100, f"Content-Encoding: {coding}")):
        assert (await site.ask(request)).body == body


@pytest.mark.parametrize(
    ("name", "coding", "body", "status"),
    [
        ("a bomb", "gzip", gzip.compress(b"x" * 50_000_000, mtime=0), 413),
        ("one byte too many", "gzip", gzip.compress(b"x" * (LIMIT + 1), mtime=0), 413),
        ("cut off", "gzip", gzip.compress(b"x" * 1000, mtime=0)[:-5], 400),
        ("more after its end", "gzip", gzip.compress(b"x", mtime=0) + b"more", 400),
        ("not gzip", "gzip", b"hello", 400),
        ("not deflate", "deflate", b"\xff" * 100, 400),
        ("nothing", "gzip", b"", 400),
        ("an unknown coding", "br", b"hello", 415),
        ("two codings", "gzip, gzip", b"hello", 415),
    ],
)
async def test_a_body_that_is_not_what_its_coding_says(site: Site, name: str, coding: str, body: bytes, status: int) -> None:
    for request in (post("/echo", body, f"Content-Encoding: {coding}"), chunked(body, 10_000, f"Content-Encoding: {coding}")):
        assert (await site.ask(request)).status == status, name
    assert site.done == []


async def test_exactly_the_limit_is_no_bomb(site: Site) -> None:
    assert (await site.ask(post("/echo", gzip.compress(b"x" * LIMIT), "Content-Encoding: gzip"))).status == 200
