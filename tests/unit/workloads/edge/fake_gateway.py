"""FakeGateway answers the calls of a device on the loopback interface, with faults that a test chooses.

The real gateway is tested with the operator.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bramble.contracts.assignment import Assignment, Blob, PackageBlobs
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.package import Package
from bramble.contracts.report import Report, Running
from tests.ports import free_port

POLL_SECONDS = 25.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeGateway:
    """Answers the calls of one node. Set `down`, `slow`, `truncate` or `damage` to cause faults."""

    def __init__(self, node: str = "pi-1", board: str = "virtual") -> None:
        self.node, self.board = node, board
        self.blobs: dict[str, bytes] = {}
        self.assignments: dict[str, Assignment] = {}
        self.reports: list[Report] = []
        self.results: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.down = False
        self.slow = 0.0
        self.poll_seconds = POLL_SECONDS
        self.truncate: dict[str, int] = {}
        """Digest to the number of bytes after which the connection is closed. This happens once for each entry."""
        self.damage: dict[str, Callable[[bytes], bytes]] = {}
        self.tokens: list[str] = []
        self.rewrite: Callable[[dict[str, Any]], dict[str, Any]] = dict
        """Changes each assignment on its way, as an operator of a later release might."""
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.port = free_port()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.tokens.append(request.headers.get("Authorization", ""))
            if self.down:
                return web.json_response({"error": "the test has set down"}, status=503)
            return await handler(request)

        app = web.Application(middlewares=[faults], client_max_size=2**20)
        app.add_routes(
            [
                web.get("/v1/assignment", self._assignment),
                web.get("/v1/blobs/{sha}", self._blob),
                web.post("/v1/status", self._status),
                web.post("/v1/results", self._result),
            ]
        )
        self.scheme = "https" if context else "http"
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---------------------------------------------------------------------------------------------------- answers

    def add(self, package: Package, blobs: dict[str, bytes]) -> str:
        """Serve a package's blobs from now on. Returns the package's digest."""
        self.blobs.update(blobs)
        return next(digest for digest, content in blobs.items() if content == _document(package))

    def listing(self, package: str) -> PackageBlobs:
        document = Package.model_validate_json(self.blobs[package])
        digests = [package, *document.blobs()]
        return PackageBlobs(blobs=tuple(Blob(sha256=digest, bytes=len(self.blobs[digest])) for digest in digests))

    def assign(self, stable: str | None, candidate: str | None = None, model: str = "digits", **changes: Any) -> Assignment:
        """Assign packages to the node, with the next `seq`, and answer the waiting call."""
        name = changes.get("namespace", "ads") + "/" + model
        before = self.assignments.get(name)
        fields: dict[str, Any] = {
            "fleet": "rooms",
            "namespace": "ads",
            "model": model,
            "rollout_uid": before.rollout_uid if before else "uid-1",
            "attempt": before.attempt if before else 1,
            "seq": before.seq + 1 if before else 1,
            "nodes": {self.board: (self.node, "pi-2")},
            "stable": {self.board: stable} if stable else {},
            "candidate": {self.board: candidate} if candidate else None,
            "candidate_nodes": (self.node,) if candidate else (),
            "packages": {package: self.listing(package) for package in (stable, candidate) if package},
            **changes,
        }
        self.assignments[name] = Assignment.model_validate(fields)
        self.publish()
        return self.assignments[name]

    def withdraw(self, model: str = "digits") -> None:
        del self.assignments[f"ads/{model}"]
        self.publish()

    def publish(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -------------------------------------------------------------------------------------------------- reports

    @property
    def last(self) -> Report | None:
        return self.reports[-1] if self.reports else None

    def running(self, model: str = "digits") -> Running | None:
        return next((each for each in (self.last.running if self.last else ()) if each.model == model), None)

    def active(self, model: str = "digits") -> str | None:
        running = self.running(model)
        return running.active if running else None

    # ------------------------------------------------------------------------------------------------------- calls

    def _etag(self) -> str:
        documents = [each.model_dump(mode="json", by_alias=True) for each in self.assignments.values()]
        return hashlib.sha256(json.dumps(documents).encode()).hexdigest()[:16]

    async def _assignment(self, request: web.Request) -> web.Response:
        after = request.query.get("after")
        if after == self._etag():
            try:
                async with asyncio.timeout(self.poll_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return web.Response(status=304)
        documents = [self.rewrite(each.model_dump(mode="json", by_alias=True, exclude_none=True)) for each in self.assignments.values()]
        return web.json_response({"etag": self._etag(), "assignments": documents})

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        digest = f"sha256:{request.match_info['sha']}"
        self.asked[digest] += 1
        if digest not in self.blobs:
            return web.json_response({"error": "no assignment names it"}, status=403)
        content = self.blobs[digest]
        if damage := self.damage.get(digest):
            content = damage(content)
        start, status, headers = 0, 200, {}
        if given := request.headers.get("Range"):
            self.ranges.append(given)
            start = int(given.removeprefix("bytes=").removesuffix("-"))
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        part = content[start:]
        response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(part))})
        await response.prepare(request)
        cut = self.truncate.pop(digest, None)
        if cut is not None:
            await response.write(part[:cut])
            assert request.transport is not None
            request.transport.close()
            return response
        for position in range(0, len(part), 4096):
            await response.write(part[position : position + 4096])
            if self.slow:
                await asyncio.sleep(self.slow)
        return response

    async def _status(self, request: web.Request) -> web.Response:
        self.reports.append(Report.model_validate_json(await request.read()))
        return web.Response(status=204)

    async def _result(self, request: web.Request) -> web.Response:
        self.results.append(await request.json())
        return web.json_response({}, status=201)


def _document(package: Package) -> bytes:
    return canonical_json(package)


def digest(package: Package) -> str:
    return digest_of(_document(package))
