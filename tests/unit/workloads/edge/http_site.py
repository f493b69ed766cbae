"""A server that echoes what it gets, and clients that speak to it over bare sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import NamedTuple

from bramble_workloads.edge.serve.http.messages import Call, HttpError, Request, Response
from bramble_workloads.edge.serve.http.server import HttpServer
from tests.ports import free_port
from tests.unit.workloads.edge.agent_process import until

LIMIT = 1_000_000
HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
SECONDS = 20.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


class Client:
    """Bytes out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        async with asyncio.timeout(SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.splitlines()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            status = int(first.split(" ")[1])
            length = 0 if bodiless or status == 100 else int(headers["content-length"])
            return Answer(status, headers, await self.reader.readexactly(length))

    async def ends(self) -> bytes:
        """Wait until the server closes; what came before that."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Site:
    """A server whose handler echoes bodies, and what it has seen."""

    def __init__(self) -> None:
        self.server = HttpServer(self.handle)
        self.port = free_port()
        self.began: list[str] = []
        self.done: list[str] = []
        self.let_go = asyncio.Event()
        self.clients: list[Client] = []

    def handle(self, request: Request) -> Call:
        self.began.append(request.target)
        if request.target == "/refuse":
            raise HttpError(HTTPStatus.NOT_FOUND, "there is nothing")
        return Call(LIMIT, "this takes", lambda body: self.answer(request.target, body))

    async def answer(self, target: str, body: bytearray | memoryview) -> Response:
        self.done.append(target)
        match target:
            case "/fault":
                raise ZeroDivisionError
            case "/large":
                return Response(b"x" * 50_000_000)
            case "/wait":
                await self.let_go.wait()
                return Response(b"waited")
        return Response(bytes(body), "text/plain")

    async def connect(self, address: str = "127.0.0.1") -> Client:
        """A client with this address."""
        connection = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26, local_addr=(address, 0))
        self.clients.append(Client(*connection))
        return self.clients[-1]

    async def end(self) -> None:
        self.let_go.set()
        for client in self.clients:
            await client.close()
        await self.server.leave(1.0)
        await until(lambda: not self.held and not self.under_way, "every request is released", lambda: (self.held, self.under_way))

    async def ask(self, content: bytes) -> Answer:
        client = await self.connect()
        await client.send(content)
        found = await client.answer()
        await client.close()
        return found

    @property
    def held(self) -> int:
        """Bytes that bodies hold."""
        return self.server.bodies._used

    @property
    def connections(self) -> int:
        return len(self.server._connections)

    @property
    def under_way(self) -> int:
        return self.server._under_way


def post(target: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = (f"POST {target} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def chunked(body: bytes, size: int, *headers: str) -> bytes:
    lines = ("POST /echo HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *headers)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
    )
