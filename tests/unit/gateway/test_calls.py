"""The calls over HTTP: each with every identity that may not make it, and what it answers to one that may."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bramble.contracts.report import Observed
from bramble.gateway import calls
from bramble.gateway.assignments import WAITING_OF_NODE
from bramble.gateway.server import PARSING
from tests.unit.gateway.conftest import Replica, until
from tests.unit.gateway.fakes import account, review
from tests.unit.gateway.test_assignments import assignment, config_map
from tests.unit.gateway.test_reports import progress, report

DEVICE, JOB, OPERATOR = "pi-0", "job", "operator"
CALLS = [
    ("GET", "/v1/assignment", DEVICE),
    ("POST", "/v1/status", DEVICE),
    ("GET", f"/v1/blobs/{'f' * 64}", JOB),
    ("POST", "/v1/progress", JOB),
    ("POST", "/v1/results", JOB),
    ("GET", "/v1/observed", OPERATOR),
]


def document(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(("method", "path", "right"), CALLS)
@pytest.mark.parametrize("token", [None, "expired", DEVICE, JOB, OPERATOR, "node-setup", "tenant", "unbound-agent"])
async def test_a_wrong_identity_is_refused(replica: Replica, method: str, path: str, right: str, token: str | None) -> None:
    replica.api.tokens["node-setup"] = review(account("bramble-edge", "bramble-node-setup"), node="pi-0", pod="p", pod_uid="u")
    replica.api.tokens["tenant"] = review(account("ads", "default"), node="gpu-0", pod="shell", pod_uid="u")
    replica.api.tokens["unbound-agent"] = review(account("bramble-edge", "bramble-agent"))
    replica.gateway.assignments.replace([])
    if token == right:
        return
    answer = await replica.call(method, path, token)
    assert answer.status == (401 if token in (None, "expired") else 403)
    assert (await answer.json())["error"]


async def test_a_device_polls_and_is_told_at_once(replica: Replica) -> None:
    replica.gateway.assignments.replace([config_map(assignment())])
    first = await replica.call("GET", "/v1/assignment", DEVICE)
    body = await first.json()
    assert first.headers["ETag"] == f'"{body["etag"]}"'
    waiting = asyncio.create_task(replica.call("GET", f"/v1/assignment?after={body['etag']}", DEVICE))
    await until(lambda: replica.gateway.assignments.waiting == 1)
    replica.gateway.assignments.replace([config_map(assignment(seq=6), "assignment-1")])
    second = await asyncio.wait_for(waiting, 10)
    assert [part["seq"] for part in (await second.json())["assignments"]] == [6]


async def test_nothing_new_is_304_after_the_poll(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    replica.gateway.assignments.replace([config_map(assignment())])
    etag = replica.gateway.assignments.of("pi-0").etag
    monkeypatch.setattr(calls, "POLL_SECONDS", 0.05)
    answer = await replica.call("GET", f"/v1/assignment?after={etag}", DEVICE)
    assert (answer.status, answer.headers["ETag"]) == (304, f'"{etag}"')


async def test_a_leaving_replica_lets_those_who_wait_go_one_by_one(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.2, 30.0, 0.1])
    monkeypatch.setattr(random, "uniform", lambda *_: next(drawn))
    replica.gateway.assignments.replace([config_map(assignment())])
    poll = {name: f"/v1/assignment?after={replica.gateway.assignments.of(name).etag}" for name in ("pi-0", "pi-1")}
    first, second = (asyncio.create_task(replica.call("GET", poll[name], name)) for name in poll)
    await until(lambda: replica.gateway.assignments.waiting == 2)
    replica.gateway.drain()
    gone = await asyncio.wait_for(first, 10)
    assert (gone.status, gone.headers["Connection"]) == (304, "close"), "the next call reaches another replica"
    assert (await asyncio.wait_for(replica.call("GET", poll["pi-0"], "pi-0"), 10)).status == 304, "nor does a new call wait for long"
    assert not second.done()
    replica.gateway.assignments.replace([config_map(assignment(seq=6), "assignment-1")])
    assert (await asyncio.wait_for(second, 10)).status == 200, "what changes meanwhile is told at once"
    assert (await replica.call("GET", "/readyz")).status == 503


async def test_a_device_has_few_calls_that_wait_and_the_newest_is_heard(replica: Replica) -> None:
    replica.gateway.assignments.replace([config_map(assignment())])
    poll = f"/v1/assignment?after={replica.gateway.assignments.of('pi-0').etag}"
    waiting = []
    for number in range(WAITING_OF_NODE):
        waiting.append(asyncio.create_task(replica.call("GET", poll, DEVICE)))
        await until(lambda: replica.gateway.assignments.waiting == number + 1)  # noqa: B023
    waiting.append(asyncio.create_task(replica.call("GET", poll, DEVICE)))
    assert (await asyncio.wait_for(waiting[0], 10)).status == 304
    assert replica.gateway.assignments.waiting == WAITING_OF_NODE
    replica.gateway.assignments.replace([config_map(assignment(seq=6), "assignment-1")])
    assert [(await asyncio.wait_for(each, 10)).status for each in waiting[1:]] == [200] * WAITING_OF_NODE


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5000, "-1", "x", ""])
async def test_a_cursor_that_is_none_reads_everything(replica: Replica, number: str) -> None:
    assert (await replica.call("POST", "/v1/status", DEVICE, json=document(report()))).status == 204
    process = replica.gateway.reports._process
    answer = await replica.call("GET", "/v1/observed", OPERATOR, params={"after": f"{process}.{number}"})
    assert len(Observed.model_validate_json(await answer.read()).reports) == 1


async def test_before_the_first_list_nobody_is_told_that_there_is_nothing(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "POLL_SECONDS", 0.05)
    answer = await replica.call("GET", "/v1/assignment", DEVICE)
    assert (answer.status, answer.headers["Retry-After"] in "234") == (503, True)
    assert (await replica.call("GET", "/readyz")).status == 503
    assert (await replica.call("GET", "/healthz")).status == 200


async def test_reports_and_progress_reach_the_operator(replica: Replica) -> None:
    assert (await replica.call("POST", "/v1/status", DEVICE, json=document(report()))).status == 204
    said = progress().model_copy(update={"step": "benchmark"})
    assert (await replica.call("POST", "/v1/progress", JOB, json=document(said))).status == 204
    answer = await replica.call("GET", "/v1/observed", OPERATOR)
    seen = Observed.model_validate_json(await answer.read())
    assert [item.report for item in seen.reports] == [report()]
    assert [item.progress for item in seen.progress] == [said]


@pytest.mark.parametrize(
    ("path", "token", "body", "status"),
    [
        pytest.param("/v1/status", "pi-1", document(report("pi-0")), 403, id="a report for another node"),
        pytest.param("/v1/status", DEVICE, [], 400, id="no report at all"),
        pytest.param("/v1/progress", JOB, document(progress()), 403, id="progress of another step"),
        pytest.param("/v1/progress", JOB, {**document(progress()), "epoch": 2**60}, 400, id="an epoch that no JSON number holds"),
        pytest.param("/v1/progress", JOB, {**document(progress(attempt=2)), "step": "benchmark"}, 403, id="progress of another attempt"),
    ],
)
async def test_what_a_caller_may_not_say(replica: Replica, path: str, token: str, body: Any, status: int) -> None:
    answer = await replica.call("POST", path, token, json=body)
    assert answer.status == status, await answer.text()
    seen = json.loads(await (await replica.call("GET", "/v1/observed", OPERATOR)).read())
    assert (seen["reports"], seen["progress"]) == ([], [])


FACTS = {"machine": "aarch64", "cpu": "c", "cores": 4, "memoryBytes": 2**32, "pageSize": 4096, "kernel": "6"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(
            {"counters": [{"histograms": {"predict": {"buckets": [1] * 137}}}]},
            "counters.0.histograms.predict.buckets",
            id="a histogram of other bounds",
        ),
        pytest.param(
            {"counters": [{"histograms": {"predict": {"buckets": [2**38] + [0] * 137}}}]},
            "counters.0.histograms.predict",
            id="more than can be counted",
        ),
        pytest.param(
            {"counters": [{"histograms": {"predict": {"sumMs": -1}}}]}, "counters.0.histograms.predict.sumMs", id="less than no time"
        ),
        pytest.param({"counters": [{"counts": {"requests": -1}}]}, "counters.0.counts.requests", id="fewer than no requests"),
        pytest.param({"counters": [{"counts": {"right": 2**53}}]}, "counters.0.counts.right", id="a count that no sum holds"),
        pytest.param({"counters": [{"counts": {f"c{n}": 1 for n in range(33)}}]}, "counters.0.counts", id="counts without end"),
        pytest.param(
            {"counters": [{"counts": {"c" * 41: 1}}]}, f"counters.0.counts.{'c' * 41}.[key]", id="the name of a count without end"
        ),
        pytest.param({"counters": [{"histograms": {name: {} for name in "abcde"}}]}, "counters.0.histograms", id="histograms without end"),
        pytest.param({"counters": [{}] * 257}, "counters", id="a list without end"),
        pytest.param({"running": [{"seq": 2**53}]}, "running.0.seq", id="a seq that no JSON number holds"),
        pytest.param({"running": [{"bad": ["sha256:" + "0" * 64] * 65}]}, "running.0.bad", id="refusals without end"),
        pytest.param({"running": [{"model": "m" * 254}]}, "running.0.model", id="a name that is none"),
        pytest.param({"facts": {**FACTS, "memoryBytes": -1}}, "facts.memoryBytes", id="less than no memory"),
        pytest.param({"sequence": -1}, "sequence", id="a number before the first"),
    ],
)
async def test_a_report_beyond_its_bounds_is_refused_by_the_name_of_the_field(replica: Replica, change: dict[str, Any], field: str) -> None:
    whole = document(report())
    lists = {name: [{**whole[name][0], **each} for each in change[name]] for name in ("counters", "running") if name in change}
    answer = await replica.call("POST", "/v1/status", DEVICE, json={**whole, **change, **lists})
    assert answer.status == 400
    assert (await answer.json())["error"].startswith(f"{field}: ")


async def test_numbers_that_json_does_not_carry_are_refused_or_left_out(replica: Replica) -> None:
    whole = {**document(report()), "health": {"temperatureCelsius": float("inf")}}
    answer = await replica.call("POST", "/v1/status", DEVICE, data=json.dumps(whole))
    assert (answer.status, (await answer.json())["error"].split(":")[0]) == (400, "health.temperatureCelsius")
    said = {**document(progress()), "step": "benchmark", "metrics": {"loss": float("nan"), "accuracy": 0.5}}
    assert (await replica.call("POST", "/v1/progress", JOB, data=json.dumps(said))).status == 204
    seen = Observed.model_validate_json(await (await replica.call("GET", "/v1/observed", OPERATOR)).read())
    assert [item.progress.metrics for item in seen.progress] == [{"accuracy": 0.5}]


async def test_a_limit_that_leaves_room_for_nothing_gives_one_document(replica: Replica) -> None:
    assert (await replica.call("POST", "/v1/status", DEVICE, json=document(report()))).status == 204
    answer = await replica.call("GET", "/v1/observed", OPERATOR, params={"limit": "0"})
    assert answer.status == 200
    assert len(Observed.model_validate_json(await answer.read()).reports) == 1


async def test_a_device_with_much_to_say_is_heard(replica: Replica) -> None:
    whole = document(report())
    whole["running"][0]["message"] = "x" * 5000
    assert (await replica.call("POST", "/v1/status", DEVICE, json=whole)).status == 204
    seen = Observed.model_validate_json(await (await replica.call("GET", "/v1/observed", OPERATOR)).read())
    assert seen.reports[0].report.running[0].message == "x" * 1024


@pytest.mark.parametrize(("path", "token"), [("/v1/status", DEVICE), ("/v1/progress", JOB), ("/v1/results", JOB)])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_is_never_read_beyond_its_limit(replica: Replica, path: str, token: str, announced: bool) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b" " * 65536

    answer = await replica.call("POST", path, token, data=io.BytesIO(b" " * 2_000_000) if announced else endless())
    assert answer.status == 413
    assert "at most" in (await answer.json())["error"]


COMPRESSED = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


async def test_a_compressed_body_is_refused(replica: Replica) -> None:
    answer = await replica.call("POST", "/v1/status", DEVICE, data=gzip.compress(b"{}"), headers=COMPRESSED)
    assert answer.status == 415
    assert (await answer.json())["error"] == "/v1/status accepts no Content-Encoding: send the JSON as it is"


async def test_nothing_is_decompressed_before_the_caller_is_known() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    application, bomb = web.Application(), gzip.compress(b" " * 500_000)
    application.router.add_post("/", read)
    server = TestServer(application)
    await server.start_server(**PARSING)
    async with TestClient(server) as client:
        assert await (await client.post("/", data=bomb, headers=COMPRESSED)).text() == str(len(bomb))


async def test_a_path_that_is_none_has_the_one_form_of_an_error(replica: Replica) -> None:
    answer = await replica.call("GET", "/v2/assignment", DEVICE)
    assert (answer.status, (await answer.json())["error"]) == (404, "404: Not Found")


async def test_calls_are_counted_by_call_and_code(replica: Replica) -> None:
    await replica.call("GET", "/v1/observed", OPERATOR)
    await replica.call("GET", "/v1/observed", DEVICE)
    sample = replica.gateway.metrics.registry.get_sample_value
    assert sample("bramble_gateway_requests_total", {"call": "observed", "code": "200"}) == 1
    assert sample("bramble_gateway_requests_total", {"call": "observed", "code": "403"}) == 1
