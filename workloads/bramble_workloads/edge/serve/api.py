"""The device's own HTTP API: Open Inference Protocol v2 REST, feedback, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Middleware

from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.serve import protocol
from bramble_workloads.edge.serve.endpoint import Endpoint, Overloaded, Served
from bramble_workloads.edge.serve.feedback import Answered, Answers
from bramble_workloads.edge.serve.metrics import exposition
from bramble_workloads.edge.serve.protocol import ProtocolError
from bramble_workloads.processing.errors import InputError, ModelFault, TooLarge, UnsupportedMedia

MAX_BODY = 256 * 1024 * 1024
"""No package can ask for more; each model's own limit is checked first, by the length that the request announces."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Of all requests being read or answered: a board's memory is for models."""
FEEDBACK_BODY = 16 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedMedia, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (InputError, HTTPStatus.BAD_REQUEST),
    (Overloaded, HTTPStatus.TOO_MANY_REQUESTS),
    (ModelFault, HTTPStatus.INTERNAL_SERVER_ERROR),
    (MemoryError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The first that fits."""


class Api:
    """The handlers, and what they share."""

    def __init__(self, node: Node, version: str) -> None:
        self._node = node
        self._version = version
        self._answers = Answers()
        self._bytes = 0
        self._under_way = 0
        self._leaving = False
        self._idle = asyncio.Event()
        self._idle.set()

    def application(self) -> web.Application:
        """The routes of this device."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._counted, errors_as_json])
        app.add_routes(
            [
                web.get("/v2", self._server),
                web.get("/v2/health/live", self._live),
                web.get("/v2/health/ready", self._ready),
                web.get("/v2/models/{model}", self._metadata),
                web.get("/v2/models/{model}/ready", self._model_ready),
                web.post("/v2/models/{model}/infer", self._infer),
                web.post("/v1/feedback", self._feedback),
                web.get("/metrics", self._metrics),
            ]
        )
        return app

    async def drain(self, seconds: float) -> None:
        """Answer what is under way, telling each caller to connect anew; returns when that is done, or after so many seconds.

        The server's own shutdown would drop the rest of a body that is still on its way.
        """
        self._leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    @property
    def _counted(self) -> Middleware:
        @web.middleware
        async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._under_way += 1
            self._idle.clear()
            try:
                response = await handler(request)
                if self._leaving:
                    response.force_close()
                return response
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()

        return counted

    async def _server(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "bramble-agent", "version": self._version, "extensions": list(protocol.EXTENSIONS)})

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        """Ready once the models of the last run were loaded again. A new model on its way does not take the others' traffic away."""
        ready = self._node.restored.is_set()
        return web.json_response({"ready": ready}, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metadata(self, request: web.Request) -> web.Response:
        endpoint, served = self._serving(request)
        return web.json_response(protocol.metadata(served.package, served.label.package, endpoint.name))

    async def _model_ready(self, request: web.Request) -> web.Response:
        endpoint, _ = self._serving(request)
        return web.json_response({"name": endpoint.name, "ready": True})

    async def _infer(self, request: web.Request) -> web.Response:
        endpoint, served = self._serving(request)
        limit = protocol.body_limit(served.package)
        whole = request.content_length is not None and "Content-Encoding" not in request.headers
        announced = request.content_length or 0 if whole else min(limit, MAX_WAITING_BYTES)  # what is not told may be the most
        if self._bytes + announced > MAX_WAITING_BYTES:
            endpoint.tally(served.label).failed()
            raise Overloaded(f"requests of {self._bytes} bytes wait already: send fewer at once")
        self._bytes += announced
        try:
            body = await _body(request, limit, "this model takes")
            return await self._answer(request, endpoint, body)
        finally:
            self._bytes -= announced

    async def _answer(self, request: web.Request, endpoint: Endpoint, body: bytes) -> web.Response:
        served = _current(endpoint)  # once more: the body may have taken long to come, and a swap may have happened meanwhile
        inference = protocol.parse(body, request.content_type, request.headers.get(protocol.BINARY_HEADER), served.package)
        prediction, label = await endpoint.predict(served, inference.content)
        request_id = inference.id or uuid4().hex
        task = contract_of(served.package.task)
        self._answers.remember(request_id, Answered(endpoint.name, task, prediction.answer, endpoint.tally(label), time.monotonic()))
        answer = protocol.answer(served.package, label.package, request_id, prediction, endpoint.name, inference.wanted)
        headers = {} if answer.header_length is None else {protocol.BINARY_HEADER: str(answer.header_length)}
        return web.Response(body=answer.body, content_type=answer.content_type, headers=headers)

    async def _feedback(self, request: web.Request) -> web.Response:
        try:
            document = json.loads(await _body(request, FEEDBACK_BODY, "feedback has"))
        except ValueError as error:
            raise ProtocolError(HTTPStatus.BAD_REQUEST, f"the feedback is not JSON: {error}") from None
        match document:
            case {"requestId": str(request_id)} if request_id:
                model = document.get("model")
            case _:
                raise ProtocolError(HTTPStatus.BAD_REQUEST, 'feedback is {"requestId": "…"} and what is true, such as "label": "…"')
        right = self._answers.judge(request_id, document, model, self._node.names(), time.monotonic())
        return web.json_response({"requestId": request_id, "right": right})

    async def _metrics(self, _: web.Request) -> web.Response:
        content, content_type = exposition(self._node)
        return web.Response(body=content, headers={"Content-Type": content_type})

    def _serving(self, request: web.Request) -> tuple[Endpoint, Served]:
        name = request.match_info["model"]
        endpoint = self._node.endpoint(name)
        if endpoint is None:
            known = ", ".join(self._node.names()) or "none"
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"no model {name!r} is assigned to this node (assigned: {known})")
        return endpoint, _current(endpoint)


async def _body(request: web.Request, limit: int, who: str) -> bytes:
    """The body, of which no more than the limit is ever held. Raises ProtocolError (413): there is more of it."""
    refused = ProtocolError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is too large; {who} at most {limit} bytes")
    if (request.content_length or 0) > limit:
        raise refused
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            raise refused
        parts.append(part)
    return b"".join(parts)


def _current(endpoint: Endpoint) -> Served:
    if endpoint.current is None:
        raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, f"{endpoint.name} is assigned to this node and not loaded yet")
    return endpoint.current


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error, aiohttp's own too, as `{"error": …}` with its status, as the protocol asks."""
    try:
        return await handler(request)
    except ProtocolError as error:
        return _error(error.status, str(error))
    except web.HTTPException as error:
        return _error(HTTPStatus(error.status), error.text or error.reason, error.headers.get("Allow"))
    except tuple(kind for kind, _ in STATUSES) as error:
        return _error(next(status for kind, status in STATUSES if isinstance(error, kind)), str(error))


def _error(status: HTTPStatus, message: str, allow: str | None = None) -> web.Response:
    headers: dict[str, Any] = {"Allow": allow} if allow else {}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = "1"
    return web.json_response({"error": message}, status=status, headers=headers)
