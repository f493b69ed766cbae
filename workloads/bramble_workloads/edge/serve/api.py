"""The device's own HTTP API: Open Inference Protocol v2 REST, feedback, and metrics for Prometheus."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from bramble_workloads.edge.node import Node
from bramble_workloads.edge.serve import protocol
from bramble_workloads.edge.serve.counters import REJECTED
from bramble_workloads.edge.serve.endpoint import Endpoint, Predicted, Served
from bramble_workloads.edge.serve.feedback import Answered, Answers
from bramble_workloads.edge.serve.http.limits import MAX_BODIES
from bramble_workloads.edge.serve.http.messages import Call, HttpError, Request, Response, json_response
from bramble_workloads.edge.serve.metrics import exposition
from bramble_workloads.edge.serve.protocol import Inference
from bramble_workloads.processing.errors import InputError, ModelFault, TooLarge, UnsupportedMedia

FEEDBACK_BODY = 16 * 1024
MODELS = "/v2/models/"
BINARY_HEADER = protocol.BINARY_HEADER.lower()

IGNORED_BODY = 16 * 1024
"""Bytes of a body that has no meaning, as of a GET."""


class ModelTarget(NamedTuple):
    """What the target of a request says of a model.

    Attributes:
        name: the model's name; empty if the path is not about a model.
        version: the version that must answer; None where the path names none.
    """

    name: str = ""
    version: str | None = None


Handler = Callable[[Request, ModelTarget], Call]
"""Makes a call of the head of a request."""

STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedMedia, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (InputError, HTTPStatus.BAD_REQUEST),
    (ModelFault, HTTPStatus.INTERNAL_SERVER_ERROR),
    (MemoryError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The status of an error of a prediction. The first entry whose class matches decides."""
ERRORS = tuple(kind for kind, _ in STATUSES)
OUT_OF_MEMORY = "this node has no memory left for the request: try again, or send a smaller picture"
"""The message for a MemoryError, which has none."""


class Api:
    """The handlers, and what they share."""

    def __init__(self, node: Node, version: str) -> None:
        self._node = node
        self._version = version
        self._answers = Answers()
        self._fixed: Mapping[str, Mapping[str, Handler]] = {
            "/v2": _get(self._server),
            "/v2/health/live": _get(self._live),
            "/v2/health/ready": _get(self._ready),
            "/v1/feedback": {"POST": self._feedback},
            "/metrics": _get(self._metrics),
        }
        self._of_model: Mapping[tuple[str, ...], Mapping[str, Handler]] = {
            (): _get(self._metadata),
            ("ready",): _get(self._model_ready),
            ("infer",): {"POST": self._infer},
        }
        """By what follows `/v2/models/{name}` or `/v2/models/{name}/versions/{version}`."""

    def handle(self, request: Request) -> Call:
        """Find what answers a request.

        Raises:
            HttpError: nothing does, or the request must not send its body.
        """
        methods, model = self._route(request.target)
        handler = methods.get(request.method)
        if handler is None:
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "405: Method Not Allowed", allow=",".join(methods))
        return handler(request, model)

    def _route(self, target: str) -> tuple[Mapping[str, Handler], ModelTarget]:
        """The methods of a target, and the model that it names."""
        path = target if target.startswith("/") and "?" not in target else _path(target)
        if path.startswith(MODELS):
            name, *rest = map(unquote, path[len(MODELS) :].split("/"))
            version = None
            if rest[:1] == ["versions"] and any(rest[1:2]):
                version, rest = rest[1], rest[2:]
            methods = self._of_model.get(tuple(rest))
            if name and methods is not None:
                return methods, ModelTarget(name, version)
        elif (methods := self._fixed.get(unquote(path))) is not None:
            return methods, ModelTarget()
        raise HttpError(HTTPStatus.NOT_FOUND, "404: Not Found")

    # ------------------------------------------------------------------------------------------------- what can be read

    async def _server(self, model: ModelTarget) -> Response:
        del model
        return json_response({"name": "bramble-agent", "version": self._version, "extensions": list(protocol.EXTENSIONS)})

    async def _live(self, model: ModelTarget) -> Response:
        del model
        return json_response({"live": True})

    async def _ready(self, model: ModelTarget) -> Response:
        """Say whether the models of the last run serve again. A new model that is still loading does not make the device unready."""
        del model
        ready = self._node.ready
        return json_response({"ready": ready}, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metadata(self, model: ModelTarget) -> Response:
        endpoint, served = self._serving(model)
        return json_response(protocol.metadata(served.package, served.label.package, endpoint.name))

    async def _model_ready(self, model: ModelTarget) -> Response:
        endpoint, _ = self._serving(model)
        return json_response({"name": endpoint.name, "ready": True})

    async def _metrics(self, model: ModelTarget) -> Response:
        del model
        content, content_type = exposition(self._node)
        return Response(content, content_type)

    # ------------------------------------------------------------------------------------------------------- inference

    def _infer(self, request: Request, model: ModelTarget) -> Call:
        endpoint, served = self._serving(model)
        raw_begins = protocol.json_length(request.headers.get(BINARY_HEADER)) or 0
        answer, refused = partial(self._answer, request, endpoint, model.version), partial(_count_refused, endpoint, served)
        return Call(min(served.interface.limit, MAX_BODIES), "this model takes", answer, refused, raw_begins)

    def _answer(self, request: Request, endpoint: Endpoint, version: str | None, body: bytearray | memoryview) -> Awaitable[Response]:
        """Begin a prediction at once, with the model that is current now: it may be another one than when the head arrived."""
        served = _current(endpoint, version)
        try:
            inference = protocol.parse(body, request.media_type, request.headers.get(BINARY_HEADER), served.interface)
        except HttpError:
            endpoint.tally(served.label).add(REJECTED)
            raise
        return self._predicted(request.client, endpoint, inference, endpoint.predict(served, inference.content, request.client))

    async def _predicted(self, client: str, endpoint: Endpoint, inference: Inference, predicting: Awaitable[Predicted]) -> Response:
        try:
            prediction, package, label, tally = await predicting
        except ERRORS as error:
            raise HttpError(next(status for kind, status in STATUSES if isinstance(error, kind)), str(error) or OUT_OF_MEMORY) from error
        request_id = inference.id or secrets.token_hex(16)
        only_from = client if inference.id else None
        self._answers.remember(request_id, Answered(endpoint.name, package, prediction.answer, tally, time.monotonic(), only_from))
        answer = protocol.answer(package, label.package, request_id, prediction, endpoint.name, inference.wanted)
        headers = "" if answer.header_length is None else f"{protocol.BINARY_HEADER}: {answer.header_length}\r\n"
        return Response(answer.body, answer.content_type, headers=headers)

    # -------------------------------------------------------------------------------------------------------- feedback

    def _feedback(self, request: Request, model: ModelTarget) -> Call:
        del model
        return Call(FEEDBACK_BODY, "feedback has", partial(self._judge, request.client))

    async def _judge(self, client: str, body: bytearray | memoryview) -> Response:
        try:
            document = json.loads(bytes(body))
        except (ValueError, RecursionError) as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"the feedback is not JSON: {error}") from None
        match document:
            case {"requestId": str(request_id)} if request_id:
                model = document.get("model")
            case _:
                raise HttpError(HTTPStatus.BAD_REQUEST, 'feedback is {"requestId": "…"} and what is true, such as "label": "…"')
        right = self._answers.judge(request_id, document, model, self._node.names(), time.monotonic(), client)
        return json_response({"requestId": request_id, "right": right})

    def _serving(self, model: ModelTarget) -> tuple[Endpoint, Served]:
        endpoint = self._node.endpoint(model.name)
        if endpoint is None:
            known = ", ".join(self._node.names()) or "none"
            raise HttpError(HTTPStatus.NOT_FOUND, f"no model {model.name!r} is assigned to this node (assigned: {known})")
        return endpoint, _current(endpoint, model.version)


def _get(answer: Callable[[ModelTarget], Awaitable[Response]]) -> Mapping[str, Handler]:
    """The methods of what can be read. The server leaves out the body of the response to HEAD."""

    def handler(request: Request, model: ModelTarget) -> Call:
        del request
        return Call(IGNORED_BODY, "a request without input has", lambda _: answer(model))

    return {"GET": handler, "HEAD": handler}


def _count_refused(endpoint: Endpoint, served: Served, error: HttpError) -> None:
    """Count a body that is larger than the model takes. Other refusals, such as 408, say nothing about the model."""
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        endpoint.tally(served.label).add(REJECTED)


def _path(target: str) -> str:
    """The path of a target with a query, or of a whole URL."""
    try:
        return urlsplit(target).path
    except ValueError:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"the target {target!r} is no URL") from None


def _current(endpoint: Endpoint, version: str | None) -> Served:
    served = endpoint.current
    if served is None:
        raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, f"{endpoint.name} is assigned to this node and not loaded yet")
    if version not in {None, served.package.version}:
        message = (
            f"{endpoint.name} has no version {version!r} here: version {served.package.version!r} serves; leave out the version for any"
        )
        raise HttpError(HTTPStatus.NOT_FOUND, message)
    return served
