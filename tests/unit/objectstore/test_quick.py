"""Requests over kept connections: what is not answered with 200 is left to the client."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from bramble.objectstore.quick import QuickRequests


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
        assert [quick.send("GET", f"{endpoint}/200") for _ in range(5)] == [b"answer"] * 5
        assert quick.send("PUT", f"{endpoint}/200", b"written") == b"written"
        assert len(Handler.connections) == 1
        del quick
        gc.collect()


@pytest.mark.parametrize("status", [404, 403, 503, 206, 0])
def test_any_other_answer_is_none_and_ends_the_connection(status: int) -> None:
    with served() as endpoint:
        quick = QuickRequests(endpoint, None, 1, 1)
        assert quick.send("GET", f"{endpoint}/{status}") is None
        assert not quick._idle
        assert quick.send("GET", f"{endpoint}/200") == b"answer"


def test_a_connection_that_the_store_has_ended_is_no_answer_and_the_next_is_new() -> None:
    with served() as endpoint:
        quick = QuickRequests(endpoint, None, 1, 1)
        quick.send("GET", f"{endpoint}/200")
        quick._idle[0].sock.close()
        assert quick.send("GET", f"{endpoint}/200") is None
        assert quick.send("GET", f"{endpoint}/200") == b"answer"


def test_a_store_that_is_not_there_is_no_answer() -> None:
    assert QuickRequests("http://127.0.0.1:9", None, 1, 1).send("GET", "http://127.0.0.1:9/a") is None
