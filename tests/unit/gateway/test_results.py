"""Results of boards, filed in a real S3 server for a pod without a Secret."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkOutcome, BenchmarkResult
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.contracts.report import BoardFacts
from bramble.contracts.tasks.classification import ClassFigures, ClassificationScores
from tests.unit.gateway.conftest import Replica
from tests.unit.gateway.fakes import benchmark_job

PREFIX = benchmark_job().prefix
KEY = f"{PREFIX}result.json"
FACTS = BoardFacts(machine="x86_64", cpu="c", cores=2, memory_bytes=1, page_size=4096, kernel="6")


def result(**changes: Any) -> BenchmarkResult:
    outcome = BenchmarkOutcome(package="sha256:" + "a" * 64, golden=True, passed=True)
    values: dict[str, Any] = {"seconds": 1.5, "board": "virtual", "node": "pi-0", "facts": FACTS, "outcomes": (outcome,)}
    return BenchmarkResult(**{**values, **changes})


def body(document: Any, key: str = KEY) -> dict[str, Any]:
    return {"key": key, "result": document.model_dump(mode="json", by_alias=True, exclude_none=True)}


async def test_a_result_lies_where_the_operator_looks_byte_for_byte_as_its_digest_says(replica: Replica) -> None:
    answer = await replica.call("POST", "/v1/results", "job", json=body(result()))
    assert answer.status == 201
    content = replica.store.get(KEY)
    assert content == canonical_json(result())
    assert await answer.json() == {"key": KEY, "sha256": digest_of(content)}


async def test_a_result_may_come_twice_and_another_one_may_not(replica: Replica) -> None:
    for _ in range(2):
        assert (await replica.call("POST", "/v1/results", "job", json=body(result()))).status == 201
    answer = await replica.call("POST", "/v1/results", "job", json=body(result(seconds=2.0)))
    assert answer.status == 409
    assert replica.store.get(KEY) == canonical_json(result())


async def test_a_field_that_this_gateway_does_not_know_is_filed_as_it_was_sent(replica: Replica) -> None:
    """The job may be of a later release, and the operator compares the digest that the job stated with the stored bytes."""
    sent = body(result())
    sent["result"]["ofALaterRelease"] = {"x": 1.5}
    answer = await replica.call("POST", "/v1/results", "job", json=sent)
    assert answer.status == 201, await answer.text()
    assert replica.store.get(KEY) == canonical_json(sent["result"])


async def test_the_cause_of_a_failure_is_filed_too(replica: Replica) -> None:
    cause = Cause(kind="Error", message="the board caught fire")
    key = f"{PREFIX}causes/0.json"
    assert (await replica.call("POST", "/v1/results", "job", json=body(cause, key))).status == 201
    assert replica.store.get(key) == canonical_json(cause)


figures = ClassFigures(samples=1, accuracy=1, precision=1, recall=1, f1=1)
evaluation = EvaluateResult(seconds=1, scores=ClassificationScores(overall=figures, per_class={}, cells=((0, 0, 1),), labels=("a",)))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(body(result(), "runs/modelversion/ads/other/uid/benchmark/1/result.json"), 403, id="another object's key"),
        pytest.param(body(result(), f"{PREFIX}../2/result.json"), 403, id="a key that climbs"),
        pytest.param(body(result(), f"{PREFIX}other.json"), 403, id="a key beside the result"),
        pytest.param(body(result(), "blobs/sha256/" + "a" * 64), 403, id="a blob"),
        pytest.param(body(result(node="pi-1")), 403, id="a result of another node"),
        pytest.param(body(result(board="rpi5")), 403, id="a result of another board"),
        pytest.param(body(evaluation), 403, id="a result of another step"),
        pytest.param(body(Cause(kind="Error", message="m")), 400, id="a cause where the result belongs"),
        pytest.param({"key": KEY, "result": {"step": "benchmark"}}, 400, id="half a result"),
        pytest.param({"key": KEY}, 400, id="no result"),
        pytest.param(body(result(image="i" * 66_000)), 413, id="more than 64 KiB"),
    ],
)
async def test_what_is_not_filed(replica: Replica, sent: dict[str, Any], status: int) -> None:
    answer = await replica.call("POST", "/v1/results", "job", json=sent)
    assert answer.status == status, await answer.text()
    assert replica.store.stat(KEY) is None


async def test_a_wrong_result_is_refused_in_the_words_of_every_other_body(replica: Replica) -> None:
    answer = await replica.call("POST", "/v1/results", "job", json={"key": KEY, "result": {"step": "benchmark"}})
    assert await answer.json() == {"error": "result.benchmark.seconds: Field required"}
