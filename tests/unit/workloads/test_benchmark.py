"""The step `benchmark` as its pod runs it, on the device's image, and its verdicts by table."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult, LatencySummary, Limits
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.store import cause_key, result_key
from bramble.contracts.tasks.classification import CLASSIFICATION
from bramble_workloads.benchmark.measure import Measured, summary
from bramble_workloads.benchmark.step import read
from bramble_workloads.benchmark.verdict import outcome, reasons
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import build_package, digits_graph, rotated_graph

PREFIX = "runs/modelversion/ads/digits-1/uid-1/benchmark/1/"
OWNER = {"kind": "ModelVersion", "namespace": "ads", "name": "digits-1-0-0", "uid": "uid-1"}

# The device's image has none of these.
PROGRAM = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"minio", "torch", "onnx", "sklearn"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["bramble_workloads", "benchmark"]
from bramble_workloads.__main__ import main
sys.exit(main())
"""


class Pod:
    """A benchmark's pod beside a fake gateway."""

    def __init__(self, folder: Path, gateway: FakeGateway) -> None:
        self.folder, self.gateway = folder, gateway

    async def run(self, **fields: Any) -> int:
        job = {"schema": "bramble.dev/job/v1", "step": "benchmark", "object": OWNER, "attempt": 1, "prefix": PREFIX}
        job |= {"board": "virtual", "fleet": "rooms", "gateway": {"url": self.gateway.url}, **fields}
        (self.folder / "job.json").write_text(json.dumps(job))
        (self.folder / "token").write_text("pod-token")
        env = os.environ | {
            "BRAMBLE_JOB_FILE": str(self.folder / "job.json"),
            "BRAMBLE_TERMINATION_LOG": str(self.folder / "termination"),
            "BRAMBLE_GATEWAY_TOKEN": str(self.folder / "token"),
            "NODE_NAME": "pi-bench",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, env=env)
        return await process.wait()

    def filed(self, key: str) -> dict[str, Any]:
        return next(each["result"] for each in self.gateway.results if each["key"] == key)

    def result(self) -> BenchmarkResult:
        found = ResultFile.parse(json.dumps(self.filed(result_key(PREFIX))).encode())
        assert isinstance(found, BenchmarkResult)
        return found


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    gateway = FakeGateway()
    await gateway.start()
    yield Pod(tmp_path, gateway)
    await gateway.stop()


async def test_variants_on_a_board(pod: Pod) -> None:
    """fp32 passes, a much worse graph is rejected for its drop, and the figures are in the reason."""
    gateway = pod.gateway
    manifest, blobs = dataset()
    gateway.blobs.update(blobs)
    good = gateway.add(*build_package(digits_graph()))
    bad = gateway.add(*build_package(rotated_graph(), "1.0.0"))
    gateway.truncate[next(digest for digest in gateway.blobs if gateway.blobs[digest] == digits_graph())] = 100
    code = await pod.run(
        packages=[good, bad],
        reference=good,
        referenceMetrics={"accuracy": 0.92},
        manifest=manifest,
        iterations=50,
        warmup=5,
        maxDrop={"accuracy": "0.01"},
        limits={"p99Ms": 1000, "memoryBytes": 10**9},
    )
    assert code == 0
    result = pod.result()
    assert (result.board, result.node, result.facts.page_size) == ("virtual", "pi-bench", os.sysconf("SC_PAGE_SIZE"))
    first, second = result.outcomes
    assert (first.passed, first.golden, first.reasons) == (True, True, ())
    assert first.metrics["accuracy"] > 0.85
    assert first.latency is not None
    assert first.latency.iterations == 50
    assert 0 < first.latency.p50_ms <= first.latency.p95_ms <= first.latency.p99_ms
    assert first.peak_memory_bytes is not None
    assert first.peak_memory_bytes > 20 * 2**20
    assert second.golden
    assert not second.passed
    assert "maxDrop allows 0.01" in second.reasons[0]
    assert second.drop["accuracy"] > 0.5
    assert set(gateway.tokens) == {"Bearer pod-token"}
    assert json.loads((pod.folder / "termination").read_text())["key"] == result_key(PREFIX)
    assert gateway.ranges, "the download that broke was resumed"


async def test_a_board_that_computes_otherwise_fails_its_golden_cases(pod: Pod) -> None:
    """The package's cases were made with one graph and its file is another: as on a processor with a broken kernel."""
    manifest, blobs = dataset()
    pod.gateway.blobs.update(blobs)
    package, made = build_package(digits_graph())
    other, more = build_package(digits_graph(1.5), golden=package.golden)
    digest = pod.gateway.add(other, {**made, **more})
    assert await pod.run(packages=[digest], reference=digest, manifest=manifest, iterations=5, warmup=1) == 0
    (found,) = pod.result().outcomes
    assert (found.golden, found.passed, found.latency) == (False, False, None)
    assert "stage raw" in found.golden_message


async def test_a_blob_that_the_gateway_refuses_is_a_cause(pod: Pod) -> None:
    manifest, blobs = dataset()
    pod.gateway.blobs.update(blobs)
    missing = f"sha256:{'1' * 64}"
    assert await pod.run(packages=[missing], reference=missing, manifest=manifest) == 64
    assert pod.filed(cause_key(PREFIX, 0))["kind"] == "SpecError"
    assert "403" in pod.filed(cause_key(PREFIX, 0))["message"]


def test_percentiles_are_by_nearest_rank() -> None:
    found = summary([float(number) for number in range(1, 1001)])
    assert (found.mean_ms, found.p50_ms, found.p95_ms, found.p99_ms, found.iterations) == (500.5, 500, 950, 990, 1000)
    assert summary([3.0]).p99_ms == 3


LATENCY = LatencySummary(mean_ms=10, p50_ms=9, p95_ms=20, p99_ms=42.3, iterations=1000)
GOOD = Measured(golden=True, latency=LATENCY, peak_memory_bytes=300 * 2**20)


@pytest.mark.parametrize(
    ("name", "measured", "limits", "expected"),
    [
        ("there are no limits", GOOD, Limits(), []),
        (
            "no figure is above its limit",
            GOOD,
            Limits(p50_ms=9, p95_ms=25, p99_ms=50, mean_ms=10, memory_bytes=300 * 2**20),
            [],
        ),
        ("the 99th percentile is above its limit", GOOD, Limits(p99_ms=42), ["p99 42.30 ms is more than the limit of 42 ms"]),
        (
            "latency and memory are above their limits",
            GOOD,
            Limits(p50_ms=5, memory_bytes=280 * 2**20),
            ["p50 9.00 ms is more than the limit of 5 ms", "memory 300.0 MiB with two copies loaded is more than the limit of 280.0 MiB"],
        ),
        (
            "memory has a limit and could not be read",
            Measured(golden=True, latency=LATENCY),
            Limits(memory_bytes=2**20),
            ["the peak memory could not be read, and the limit is 1.0 MiB"],
        ),
        ("a golden case failed", Measured(golden=False, message="golden case 2 fails"), Limits(), ["golden case 2 fails"]),
        ("the graph failed on a sample", Measured(golden=True, message="the graph fails"), Limits(), ["the graph fails"]),
    ],
)
def test_limits(name: str, measured: Measured, limits: Limits, expected: list[str]) -> None:
    assert reasons(measured, limits) == expected, name


FP32, INT8 = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def judged(package: str, metrics: dict[str, float], *, whole: bool) -> tuple[bool, dict[str, float]]:
    job = BenchmarkJob.model_validate(
        {
            "object": OWNER,
            "attempt": 1,
            "prefix": PREFIX,
            "board": "virtual",
            "fleet": "rooms",
            "packages": [FP32, INT8],
            "reference": FP32,
            "referenceMetrics": {"accuracy": 0.95},
            "manifest": FP32,
            "maxDrop": {"accuracy": "0.01"},
        }
    )
    figures = {name: {"accuracy": value} for name, value in metrics.items()}
    measured = {name: GOOD.model_copy(update={"metrics": figures.get(name, {})}) for name in (FP32, INT8)}
    found = outcome(job, package, measured, CLASSIFICATION, whole=whole)
    return found.passed, found.drop


@pytest.mark.parametrize(
    ("name", "package", "metrics", "whole", "expected"),
    [
        ("a drop is counted on the same samples", INT8, {FP32: 0.90, INT8: 0.895}, False, (True, {"accuracy": 0.005})),
        ("a drop on the same samples is too large", INT8, {FP32: 0.96, INT8: 0.945}, False, (False, {"accuracy": 0.015})),
        ("a drop that equals the limit is allowed", INT8, {FP32: 0.96, INT8: 0.95}, False, (True, {"accuracy": 0.01})),
        ("the reference was not measured here: the job's metrics count", INT8, {INT8: 0.93}, False, (False, {"accuracy": 0.02})),
        ("the reference on a part of the split is not compared", FP32, {FP32: 0.90}, False, (True, {})),
        ("the reference on the whole split is compared", FP32, {FP32: 0.90}, True, (False, {"accuracy": 0.05})),
    ],
)
def test_drops(name: str, package: str, metrics: dict[str, float], whole: bool, expected: tuple[bool, dict[str, float]]) -> None:
    assert judged(package, metrics, whole=whole) == expected, name


def test_a_measuring_process_that_is_killed_or_crashes_is_a_finding() -> None:
    killed = subprocess.CompletedProcess([], -9, b"", b"")
    assert "SIGKILL; the device has too little memory for two copies" in read(killed).message
    failed = subprocess.CompletedProcess([], 1, b"", b"Traceback\nImportError: libonnx")
    assert read(failed) == Measured(
        golden=False, message="the measuring process ended with code 1 and no result: Traceback\nImportError: libonnx"
    )
