"""The HTTP API of the agent."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import pytest
from yarl import URL

from bramble.contracts.images import ImageInput
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify
from tests.unit.workloads.edge.agent_process import Agent, infer, request_of, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import LABELS as CLASSES
from tests.unit.workloads.models import digits, png

PICTURES, LABELS = digits()
INFER = "/v2/models/ads.digits/infer"


async def serving(agent: Agent, publish: Publish) -> str:
    first = publish()
    await agent.start_serving(first)
    return first


async def test_health_and_metadata(agent: Agent, publish: Publish) -> None:
    first = await serving(agent, publish)
    assert (await agent.get("/v2"))[1]["extensions"] == ["binary_tensor_data", "classification"]
    assert (await agent.get("/v2/health/live"))[0] == 200
    assert (await agent.get("/v2/health/ready"))[0] == 200
    assert (await agent.get("/v2/models/ads.digits/ready"))[0] == 200
    status, document = await agent.get("/v2/models/ads.digits")
    assert (status, document["name"], document["versions"]) == (200, "ads.digits", ["1.0.0"])
    assert document["parameters"] == {"package": first, "tensor_name": "x", "tensor_datatype": "FP32", "tensor_shape": "1,1,8,8"}
    assert [each["name"] for each in document["inputs"]] == ["image"]


async def test_a_request_that_is_made_of_the_metadata_alone_is_answered(agent: Agent, publish: Publish) -> None:
    """As generic clients make it: every input, and every output by its name."""
    await serving(agent, publish)
    _, described = await agent.get("/v2/models/ads.digits")
    picture = base64.b64encode(PICTURES[0]).decode()
    inputs = [{**each, "data": [picture] * math.prod(each["shape"])} for each in described["inputs"]]
    outputs = [{"name": each["name"]} for each in described["outputs"]]
    status, answer = await agent.post(INFER, json={"inputs": inputs, "outputs": outputs})
    assert status == 200
    found = [(each["name"], each["datatype"], each["shape"]) for each in answer["outputs"]]
    assert found == [(each["name"], each["datatype"], each["shape"]) for each in described["outputs"]]


async def test_a_path_may_name_the_version_that_serves(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0-rc.1+a b")
    await agent.start_serving(first)
    body = json.dumps(request_of(PICTURES[0], id="7")).encode()

    async def ask(version: str) -> list[tuple[int, dict[str, Any]]]:
        path = f"/v2/models/ads.digits/versions/{version}"
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET {path}/ready HTTP/1.1\r\nHost: x\r\n\r\n"
            f"POST {path}/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]
        writer.close()
        return [(int(each[:3]), json.loads(each.partition(b"\r\n\r\n")[2])) for each in answers]

    async def accepted() -> tuple[str, str]:
        """The version that metadata names, after requests that name it."""
        _, document = await agent.get("/v2/models/ads.digits")
        (version,) = document["versions"]
        (_, metadata), (_, ready), (_, answer) = found = await ask(quote(version))
        assert [status for status, _ in found] == [200] * 3
        assert (metadata, ready) == (document, {"name": "ads.digits", "ready": True})
        assert answer["id"] == "7"
        return version, answer["model_version"]

    assert await accepted() == ("1.0.0", "1.0.0")
    gateway.assign(first, second)
    await agent.serves(second)
    assert await accepted() == ("2.0.0-rc.1+a b", "2.0.0-rc.1+a b")
    for status, document in await ask("1.0.0"):
        assert status == 404
        assert "no version '1.0.0' here: version '2.0.0-rc.1+a b' serves" in document["error"]
    last = gateway.last
    assert last is not None
    assert sum(each.count("errors") for each in last.counters) == 0


async def test_a_version_that_is_replaced_while_its_request_arrives_does_not_answer(
    agent: Agent, gateway: FakeGateway, publish: Publish
) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    body = json.dumps(request_of(PICTURES[0])).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    head = "POST /v2/models/ads.digits/versions/1.0.0/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    gateway.assign(first, second)
    await agent.serves(second)
    writer.write(body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"version '2.0.0' serves" in answer


async def test_requests_with_the_binary_extension_and_with_tensors(agent: Agent, publish: Publish) -> None:
    await serving(agent, publish)
    _, expected = await agent.infer(PICTURES[3])
    raw = len(PICTURES[3]).to_bytes(4, "little") + PICTURES[3]
    given = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [given], "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    async with aiohttp.ClientSession() as session, session.post(f"{agent.url}{INFER}", data=head + raw, headers=headers) as response:
        body = await response.read()
        assert response.status == 200
        length = int(response.headers["Inference-Header-Content-Length"])
    np.testing.assert_allclose(np.frombuffer(body[length:], "<f4"), expected["outputs"][2]["data"], rtol=1e-6)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.0] * 64}
    status, answer = await agent.post(INFER, json={"inputs": [tensor]})
    assert status == 200
    assert answer["id"]


async def chunked(size: int) -> AsyncIterator[bytes]:
    """A body in chunks, without a Content-Length header."""
    for _ in range(0, size, 10_000):
        yield b"x" * 10_000


async def test_every_error_has_a_status_and_a_message(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    await serving(agent, publish)
    cases = [
        (await agent.infer(b"hello"), 415, "no known media type"),
        (await agent.infer(PICTURES[0][:50]), 400, "cannot be decoded"),
        (await agent.infer(png(np.zeros((9, 9), np.uint8))), 400, "the graph takes 8x8"),
        (await agent.infer(b"\x89PNG\r\n\x1a\n" + b"\0" * 70_000), 413, "input.maxBytes"),
        (await agent.infer(b"x" * 500_000), 413, "this model takes at most"),
        (await agent.post(INFER, data=chunked(500_000)), 413, "this model takes at most"),
        (await agent.post("/v1/feedback", data=chunked(500_000)), 413, "feedback has at most"),
        (await agent.infer(PICTURES[0], "ads.letters"), 404, "no model 'ads.letters'"),
        (await agent.post(INFER, data=b"{", headers={"Content-Type": "application/json"}), 400, "not one of the protocol"),
        (await agent.post(INFER, data=b"x", headers={"Content-Type": "text/plain"}), 415, "content type"),
        (await agent.get(INFER), 405, "Method Not Allowed"),
        (await agent.get("/nowhere"), 404, "Not Found"),
        (await agent.post("/v1/feedback", json={"requestId": "never", "label": "1"}), 404, "no answer to request"),
        (await agent.post("/v1/feedback", json={"label": "1"}), 400, "feedback is"),
        (await agent.post("/v1/feedback", data=b"?"), 400, "not JSON"),
        (await agent.post("/v1/feedback", data=b"[" * 10_000), 400, "not JSON"),
    ]
    for (status, document), expected, says in cases:
        assert status == expected, document
        assert says in document["error"]
    last = gateway.last
    assert last is not None
    assert [each.count("errors") for each in last.counters] in ([], [0]), "invalid requests must not count as errors of the package"


async def test_paths_and_methods(agent: Agent, publish: Publish) -> None:
    await serving(agent, publish)
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, target: str) -> tuple[int, str | None, str]:
            async with session.request(method, URL(f"{agent.url}{target}", encoded=True)) as response:
                return response.status, response.headers.get("Allow"), (await response.text())[:20]

        assert await ask("GET", "/v2/models/ads%2Edigits/ready?x=1#y") == (200, None, '{"name": "ads.digits')
        assert await ask("HEAD", "/v2/models/ads.digits") == (200, None, "")
        assert await ask("HEAD", "/v2/health/live") == (200, None, "")
        assert (await ask("DELETE", "/v2/health/live"))[:2] == (405, "GET,HEAD")
        assert (await ask("GET", INFER))[:2] == (405, "POST")
        for path, allowed in (("/v1/feedback", "POST"), (INFER, "POST"), ("/v2/models/ads.digits", "GET,HEAD"), ("/v2", "GET,HEAD")):
            assert (await ask("OPTIONS", path))[:2] == (405, allowed), "there is no CORS"
        models = ("/v2/models", "/v2/models/", "/v2/models//infer", "/v2/models/ads.digits/", "/v2/models/ads.digits/x/infer")
        versions = tuple(f"/v2/models/ads.digits/versions{rest}" for rest in ("", "/", "//ready", "/1.0.0/", "/1.0.0/x", "/1.0.0%2Fready"))
        for nowhere in ("/", "/v2/", "/%", "/v2/../metrics", "/v2/models/ads.digits%2Finfer", *models, *versions):
            assert (await ask("GET", nowhere))[0] == 404, nowhere
        async with session.get(f"{agent.url}/nowhere") as response:
            assert response.content_type == "application/json"
            assert await response.json() == {"error": "404: Not Found"}
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    writer.write(f"GET {agent.url}/v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.read()).endswith(b'{"live": true}'), "a whole URL, as clients send it to a proxy"
    writer.close()


SLOW = """
import sys, time
from bramble_workloads.edge import agent
from bramble_workloads.processing.model import Model
run = Model.run

def slowly(self, tensor):
    print("a graph runs", flush=True)
    time.sleep(0.5)  # without the GIL, as ONNX Runtime runs a graph
    return run(self, tensor)

Model.run = slowly
sys.exit(agent.main())
"""


async def test_a_slow_model_holds_up_nothing_else(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = publish()
    gateway.assign(first)
    await agent.start(program=SLOW)
    await agent.serves(first)
    async with aiohttp.ClientSession() as session:
        predicting = [asyncio.create_task(infer(session, agent.url, PICTURES[0])) for _ in range(4)]
        longest = 0.0
        while not all(task.done() for task in predicting):
            began = time.perf_counter()
            async with session.get(f"{agent.url}/v2/health/live") as response:
                assert response.status == 200
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.01)
        assert [status for status, _ in await asyncio.gather(*predicting)] == [200] * 4
    assert longest < 0.3


async def test_the_agent_waits_for_a_slow_model_when_it_shuts_down(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    """Its client has left, but a thread runs the graph."""
    first = publish()
    gateway.assign(first)
    await agent.start(program=SLOW)
    await agent.serves(first)
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    body = json.dumps(request_of(PICTURES[0])).encode()
    writer.write(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await until(lambda: "a graph runs" in agent.tail(), "the graph runs")
    writer.transport.abort()
    del reader
    assert await agent.stop() == 0
    assert "Traceback" not in agent.tail(1000)


async def test_a_body_may_be_compressed(agent: Agent, publish: Publish) -> None:
    await serving(agent, publish)
    body = gzip.compress(json.dumps(request_of(PICTURES[0])).encode())
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
    assert (await agent.post(INFER, data=body, headers=headers))[0] == 200
    bomb = gzip.compress(b" " * 50_000_000)
    status, document = await agent.post(INFER, data=bomb, headers=headers)
    assert (status, document["error"][:24]) == (413, "the request is too large")


async def test_idle_connections_that_announce_bodies_stop_nobody(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    """Each announces far less than its model takes; where 64 MiB are used up, the oldest that has not arrived is ended."""
    limits = ImageInput(max_bytes=30 * 2**20, max_pixels=1_000_000, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW"))
    first = publish(input=limits)
    await agent.start_serving(first)
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {30 * 2**20}\r\n\r\n".encode()
    connections = [await asyncio.open_connection("127.0.0.1", agent.port) for _ in range(6)]
    for reader, writer in connections:
        writer.write(head)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 100 Continue\r\n"
        for _ in range(3):
            assert (await agent.infer(PICTURES[0]))[0] == 200
    for reader, _ in connections[:4]:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"\r\nHTTP/1.1 429 Too Many Requests\r\n")
    for _, writer in connections:
        writer.close()
    await until(lambda: counted(gateway, "requests") == 18, "reported", lambda: gateway.last)
    assert counted(gateway, "errors") == 0


def counted(gateway: FakeGateway, name: str) -> int:
    return sum(each.count(name) for each in gateway.last.counters) if gateway.last else 0


async def test_what_a_candidate_turns_away_is_counted_and_is_no_error(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    limits = ImageInput(max_bytes=200, max_pixels=1_000_000, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW"))
    await agent.start_serving(publish(input=limits))
    large = png(np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8))
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1, 9, 9], "data": []}]})
    statuses = [
        (await agent.infer(large))[0],  # by the picture
        (await agent.infer(b"x" * 200_000))[0],  # by the announced length
        (await agent.post(INFER, data=chunked(200_000)))[0],
        (await agent.post(INFER, data=body, headers={"Content-Type": "application/json"}))[0],
    ]
    assert statuses == [413, 413, 413, 400]
    await until(lambda: counted(gateway, "rejected") == 4, "reported", lambda: gateway.last)
    assert (counted(gateway, "errors"), counted(gateway, "requests")) == (0, 0)


async def test_feedback_is_counted_by_package_and_cohort(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)

    async def judged(request_id: str, *, right: bool) -> None:
        _, answer = await agent.infer(PICTURES[0], id=request_id)
        label = answer["outputs"][0]["data"][0]
        told = label if right else next(each for each in LABELS if each != label)
        refused, document = await agent.post("/v1/feedback", json={"requestId": request_id, "label": "something else"})
        assert (refused, document["error"][:43]) == (400, "ads.digits has no label 'something else': i")
        status, found = await agent.post("/v1/feedback", json={"requestId": request_id, "label": told})
        assert (status, found["right"]) == (200, right)

    await judged("a", right=True)
    _, late = await agent.infer(PICTURES[0], id="late")
    gateway.assign(first, second)
    await agent.serves(second)
    await judged("b", right=False)
    await judged("c", right=True)
    await agent.post("/v1/feedback", json={"requestId": "late", "label": late["outputs"][0]["data"][0]})

    def counts() -> dict[tuple[str, str], tuple[int, int, int]]:
        found = gateway.last.counters if gateway.last else ()
        return {(each.package, each.cohort): (each.count("requests"), each.count("right"), each.count("wrong")) for each in found}

    expected = {(first, "stable"): (2, 2, 0), (second, "candidate"): (2, 1, 1)}
    await until(lambda: counts() == expected, "counted", counts)


async def test_feedback_says_how_it_came_about(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    await serving(agent, publish)
    _, answer = await agent.infer(PICTURES[0], id="a")
    answered = answer["outputs"][0]["data"][0]
    other = next(each for each in LABELS if each != answered)
    for feedback, status in (
        ({"label": other, "origin": "volunteered"}, 200),
        ({"label": answered, "origin": "volunteered"}, 409),
        ({"label": answered, "origin": "guessed"}, 400),
        ({"label": other, "origin": "labelled"}, 200),
        ({"label": other}, 200),
    ):
        assert (await agent.post("/v1/feedback", json={"requestId": "a", **feedback}))[0] == status, feedback

    def counts() -> tuple[int, ...]:
        return tuple(counted(gateway, name) for name in ("wrong", "volunteered_wrong", "right", "volunteered_right"))

    await until(lambda: counts() == (1, 1, 0, 0), "counted", counts)
    (line,) = gateway.last.counters if gateway.last else ()
    assert line.confusion is not None
    assert (line.confusion.of_true(other), line.confusion.of_answered(answered), line.confusion.total) == ((1, 1), (1, 1), 1)


async def test_confident_answers_are_counted(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    always = publish(postprocess=Classify(labels=CLASSES, confident_at=0.0))
    never = publish("2.0.0", postprocess=Classify(labels=CLASSES, confident_at=2.0))
    await agent.start_serving(always)
    await agent.infer(PICTURES[0])
    gateway.assign(never)
    await agent.serves(never)
    await agent.infer(PICTURES[0])

    def counts() -> dict[str, tuple[int, int]]:
        return {each.package: (each.count("requests"), each.count("confident")) for each in (gateway.last.counters if gateway.last else ())}

    await until(lambda: counts() == {always: (1, 1), never: (1, 0)}, "counted", counts)


async def test_prometheus_metrics_have_digests_in_their_labels(agent: Agent, publish: Publish) -> None:
    first = await serving(agent, publish)
    await agent.infer(PICTURES[0])
    status, text = await agent.get("/metrics")
    assert status == 200
    label = f'package="{first[7:23]}",cohort="stable"'.split(",")
    line = next(each for each in text.splitlines() if each.startswith("bramble_device_requests_total"))
    assert all(part in line for part in label)
    assert line.endswith(" 1.0")
    assert "bramble_device_predict_seconds_bucket{" in text
    assert "digits" not in text, "labels must not have names of objects"


async def test_requests_beyond_the_queue_are_answered_with_429(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    agent.environment["BRAMBLE_QUEUE"] = "2"
    await serving(agent, publish)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        found = await asyncio.gather(*(infer(session, agent.url, PICTURES[0]) for _ in range(200)))
    statuses = [status for status, _ in found]
    assert set(statuses) == {200, 429}
    assert "send fewer at once" in next(document["error"] for status, document in found if status == 429)

    await until(lambda: counted(gateway, "overloaded") == statuses.count(429), "counted", lambda: gateway.last)
    assert (counted(gateway, "errors"), counted(gateway, "requests")) == (0, statuses.count(200)), "a full queue is no error of the model"


async def test_a_withdrawn_model_is_deleted_and_the_others_go_on(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    gateway.assign(first)
    gateway.assign(second, model="letters")
    await agent.start()
    await agent.serves(first)
    await agent.serves(second, "letters")
    for model, package in (("ads.digits", first), ("ads.letters", second)):
        status, answer = await agent.infer(PICTURES[0], model)
        assert (status, answer["parameters"]["package"]) == (200, package)
    graph = json.loads(gateway.blobs[second])["files"]["model"]["sha256"].removeprefix("sha256:")
    assert (agent.state / "blobs" / "sha256" / graph).exists()
    gateway.withdraw("letters")
    await until(lambda: gateway.running("letters") is None, "withdrawn", agent.tail)
    assert (await agent.infer(PICTURES[0], "ads.letters"))[0] == 404
    assert (await agent.infer(PICTURES[0]))[0] == 200
    assert not (agent.state / "blobs" / "sha256" / graph).exists()
    assert len(list((agent.state / "assignments").iterdir())) == 1


async def test_an_assignment_that_is_missing_for_a_moment_is_not_withdrawn(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    """A gateway replica with a stale cache answers without the assignment. The model must go on serving."""
    agent.environment["BRAMBLE_WITHDRAW_SECONDS"] = "30"
    first = await serving(agent, publish)
    kept = gateway.assignments.pop("ads/digits")
    gateway.publish()
    before = len(gateway.reports)
    await until(lambda: len(gateway.reports) > before, "a report", agent.tail)
    assert (await agent.infer(PICTURES[0]))[1]["parameters"]["package"] == first
    gateway.assignments["ads/digits"] = kept
    gateway.publish()
    gateway.assign(publish("2.0.0"))
    await agent.serves(gateway.assignments["ads/digits"].stable["virtual"])


async def test_requests_under_way_are_answered_when_the_agent_shuts_down(agent: Agent, publish: Publish) -> None:
    await serving(agent, publish)
    async with aiohttp.ClientSession() as session:
        body = json.dumps(request_of(PICTURES[0])).encode()

        async def slowly() -> object:
            yield body[:20]
            stopping.set()
            await asyncio.sleep(0.3)
            yield body[20:]

        stopping = asyncio.Event()
        headers = {"Content-Type": "application/json"}
        request = asyncio.create_task(session.post(f"{agent.url}{INFER}", data=slowly(), headers=headers, expect100=True))
        await stopping.wait()  # the agent has accepted the request: it has asked for the body (100 Continue)
        exit_code = asyncio.create_task(agent.stop())
        response = await request
        assert response.status == 200, await response.text()
        response.release()
    assert await exit_code == 0


async def test_after_an_undone_first_rollout_the_node_serves_nothing(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = publish()
    gateway.assign(None, first)
    await agent.start()
    await agent.serves(first)
    gateway.assign(None)
    await until(lambda: (running := gateway.running()) and running.active is None, "empty", agent.tail)
    assert (await agent.infer(PICTURES[0]))[0] == 503
    await until(lambda: not list((agent.state / "blobs" / "sha256").iterdir()), "its files are gone", agent.tail)


async def test_reports_describe_the_board(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    await serving(agent, publish)
    last = gateway.last
    assert last is not None
    assert (last.node, last.fleet, last.board, last.boot_id) == ("pi-1", "rooms", "virtual", "boot-1")
    assert last.facts is not None
    assert last.facts.page_size >= 4096
    assert last.health.memory_bytes is not None
    assert [each.sequence for each in gateway.reports] == list(range(1, len(gateway.reports) + 1))


async def test_reports_say_since_when_a_version_has_served(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = await serving(agent, publish)
    began = gateway.running()
    assert began is not None
    assert began.serving_since_ms is not None
    second = publish("2.0.0")
    gateway.assign(first, second)
    await agent.serves(second)
    now, last = gateway.running(), gateway.last
    assert now is not None
    assert last is not None
    assert now.serving_since_ms is not None
    assert began.serving_since_ms < now.serving_since_ms <= last.uptime_ms


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e39", "1e30"])
async def test_a_tensor_on_which_no_model_can_work_is_the_clients_fault(value: str, agent: Agent, publish: Publish) -> None:
    """It is not counted: otherwise one client could undo a version that is good."""
    await serving(agent, publish)
    numbers = ",".join([value, *["0.5"] * 63])
    body = f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [{numbers}]}}]}}'
    status, answer = await agent.post(INFER, data=body, headers={"Content-Type": "application/json"})
    assert (status, answer.get("error", "")[:14]) in ((400, "the tensor has"), (200, "")), answer
    counted = [line for line in (await agent.get("/metrics"))[1].splitlines() if line.startswith("bramble_device_errors_total{")]
    assert [line.rpartition(" ")[2] for line in counted] == ["0.0"] * len(counted)
