"""What the client makes of answers; its calls are tried on a real API server in tests/engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bramble.errors import AlreadyExists, ApiUnavailable, BrambleError, Conflict, NotAdmitted, NotFound, Refused
from bramble.kube import client as module
from bramble.kube.client import Client, error_of
from bramble.kube.config import ClusterConfig
from bramble.kube.resources import DATASET


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", Refused),
        (401, "Unauthorized", ApiUnavailable),
        (403, "Forbidden", Refused),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", ApiUnavailable),
        (422, "Invalid", Refused),
        (429, "TooManyRequests", ApiUnavailable),
        (500, "InternalError", ApiUnavailable),
        (503, "", ApiUnavailable),
    ],
)
def test_the_class_of_an_error_says_what_to_do(status: int, reason: str, kind: type[BrambleError]) -> None:
    error = error_of(status, "POST /x", json.dumps({"reason": reason, "message": "what is wrong"}))
    assert type(error) is kind
    assert "what is wrong (POST /x:" in str(error)


def test_a_webhook_that_does_not_answer_is_told_apart_from_an_api_server_that_does_not() -> None:
    said = 'Internal error occurred: failed calling webhook "policy.example.org": failed to call webhook: Post "https://policy": refused'
    error = error_of(500, "POST /jobs", json.dumps({"reason": "InternalError", "message": said}))
    assert type(error) is NotAdmitted
    assert said in str(error)


def test_an_answer_that_is_no_status_is_told_as_it_is() -> None:
    assert "upstream is away" in str(error_of(502, "GET /x", "upstream is away"))


@asynccontextmanager
async def served(handler: object) -> AsyncIterator[Client]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Client(ClusterConfig(server=f"http://127.0.0.1:{port}", token="t")) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_a_list_is_read_page_by_page_and_items_are_told_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        assert request.headers["Authorization"] == "Bearer t"
        first = "continue" not in request.query
        items = [{"metadata": {"name": name}} for name in ("ab" if first else "c")]
        return web.json_response({"items": items, "metadata": {"resourceVersion": "7", "continue": "next" if first else ""}})

    async with served(answer) as client:
        listing = await client.list(DATASET, "ads", "x=y")
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b", "c"]
    assert {item["kind"] for item in listing.items} == {"Dataset"}
    assert listing.resource_version == 7
    assert asked == ["limit=2&labelSelector=x%3Dy", "limit=2&labelSelector=x%3Dy&continue=next"]


async def test_what_is_not_there_is_none_when_read_and_fine_when_deleted() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"reason": "NotFound", "message": "gone"}, status=404)

    async with served(answer) as client:
        assert await client.get(DATASET, "ads", "a") is None
        await client.delete(DATASET, "ads", "a", "uid", "Background")


async def test_the_time_of_each_answer_is_passed_on() -> None:
    heard = list[tuple[str, float]]()

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response({"metadata": {}}, headers={"Date": "Thu, 01 Jan 2026 12:00:00 GMT"})

    async with served(answer) as client:
        client._on_date = lambda date, seconds: heard.append((date, seconds))
        await client.get(DATASET, "ads", "a")
    ((date, seconds),) = heard
    assert date == "Thu, 01 Jan 2026 12:00:00 GMT"
    assert seconds >= 0.05, "since the request"


async def test_no_answer_is_an_unavailable_api() -> None:
    async with Client(ClusterConfig(server="http://127.0.0.1:9")) as client:
        with pytest.raises(ApiUnavailable, match=r"GET /apis/bramble\.dev"):
            await client.get(DATASET, "ads", "a")


@pytest.mark.parametrize(
    "text", [pytest.param('{"items": [', id="cut off"), pytest.param("[" * 50_000 + "]" * 50_000, id="nested too deep")]
)
async def test_an_answer_that_cannot_be_read_is_an_unavailable_api(text: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text + "\n", content_type="application/json")

    async with served(answer) as client:
        with pytest.raises(ApiUnavailable, match=r"GET /apis/.*: the answer cannot be read: (JSONDecodeError|RecursionError)"):
            await client.list(DATASET)
        with pytest.raises(ApiUnavailable, match=r"WATCH /apis/.*: the answer cannot be read: (JSONDecodeError|RecursionError)"):
            await anext(client.watch(DATASET, "", "", 1, 10))
