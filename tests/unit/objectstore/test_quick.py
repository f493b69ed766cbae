"""Requests over kept connections: what is not answered with 200 is left to the client."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from bramble.contracts.store import StoreConfig
from bramble.objectstore.quick import QuickRequests
from bramble_workloads.store import Store


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[tuple[str, int]]] = set()

    def do_GET(self) -> None:
        self.connections.add(self.client_address)
        status = int(self.path.strip("/?") or 200)
        if status == 0:  # the answer breaks off
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"answer"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if status == 299:
            self.close_connection = True

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    Handler.connections = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_requests_share_a_connection() -> None:
    with served() as endpoint:
        quick = QuickRequests(endpoint, None, 1, 1)
        assert [quick.send("GET", "/200") for _ in range(5)] == [b"answer"] * 5
        assert quick.send("PUT", "/200", b"written") == b"written"
        assert len(Handler.connections) == 1
        del quick
        gc.collect()


@pytest.mark.parametrize("status", [404, 403, 503, 206, 0])
def test_any_other_answer_is_none_and_ends_the_connection(status: int) -> None:
    with served() as endpoint:
        quick = QuickRequests(endpoint, None, 1, 1)
        assert quick.send("GET", f"/{status}") is None
        assert not quick._idle
        assert quick.send("GET", "/200") == b"answer"


def test_a_connection_that_the_store_has_ended_is_no_answer_and_the_next_is_new() -> None:
    with served() as endpoint:
        quick = QuickRequests(endpoint, None, 1, 1)
        quick.send("GET", "/200")
        quick._idle[0]._made.sock.shutdown(socket.SHUT_RDWR)
        assert quick.send("GET", "/200") is None
        assert quick.send("GET", "/200") == b"answer"


def test_a_store_that_is_not_there_is_no_answer() -> None:
    assert QuickRequests("http://127.0.0.1:9", None, 1, 1).send("GET", "/a") is None


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives each request on its one connection the next of these bytes, and then ends the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        peer, _ = listener.accept()
        with peer, peer.makefile("rb") as requests:
            for each in answers:
                while requests.readline() not in (b"\r\n", b""):
                    pass
                peer.sendall(each)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n1A;x=y\r\n" + b"d" * 26 + b"\r\n0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        pytest.param(OK + b"CONTENT-length: 3\r\n\r\nabc", b"abc", id="a length, in whichever case"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"", id="nothing"),
        pytest.param(CHUNKED, b"abc" + b"d" * 26, id="chunks, and a trailer"),
    ],
)
def test_the_next_answer_is_read_where_one_ends(answer: bytes, content: bytes) -> None:
    with answering(answer, OK + b"Content-Length: 4\r\n\r\nnext") as origin:
        quick = QuickRequests(origin, None, 1, 1)
        assert quick.send("GET", "/a") == content
        assert quick.send("GET", "/b") == b"next"
        quick.clear()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", id="the store ends the connection"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", id="HTTP/1.0"),
    ],
)
def test_after_some_answers_no_other_can_follow(answer: bytes) -> None:
    with answering(answer) as origin:
        quick = QuickRequests(origin, None, 1, 1)
        assert quick.send("GET", "/a") == b"abc"
        assert not quick._idle


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="none"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="another protocol"),
        pytest.param(OK + b"Content-Length: 3\r\n", id="the headers break off"),
        pytest.param(OK + b"Content-Length: three\r\n\r\nabc", id="a length that is no number"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\nabc", id="a negative length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc", id="a chunk breaks off"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", id="a negative chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", id="a chunk that is longer than it says"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="a coding that was not asked for"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="two lengths"),
        pytest.param(OK + b"\r\nabc", id="no length"),
        pytest.param((OK + b"Content-Length: 3\r\n\r\nabc") * 2, id="another answer, which nobody asked for"),
        pytest.param(OK + b"X: " + b"y" * 700_000 + b"\r\n\r\n", id="a header without end"),
    ],
)
def test_an_answer_that_is_not_understood_is_none(answer: bytes) -> None:
    with answering(answer) as origin:
        quick = QuickRequests(origin, None, 1, 1)
        assert quick.send("GET", "/a") is None
        assert not quick._idle


def test_a_request_names_the_host_that_was_signed() -> None:
    """At AWS a bucket has a host of its own: sent to the endpoint, each request would be refused, and made again by the client."""
    config = StoreConfig("https://s3.eu-central-1.amazonaws.com", "bramble", "a", "s" * 8, region="eu-central-1")
    store = Store(config)
    assert store._quick.host == urlsplit(store.presigned("GET", "a")).netloc == "bramble.s3.eu-central-1.amazonaws.com"
