"""Versions and rollouts as objects, and what the Jobs of a version would file."""

from __future__ import annotations

from typing import Any

from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.jobs.base import Result
from bramble.contracts.jobs.benchmark import BenchmarkOutcome, BenchmarkResult, LatencySummary
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.contracts.package import File, Lineage, Package
from bramble.contracts.report import BoardFacts
from bramble.contracts.store import result_key, run_prefix
from bramble.kinds.modelversion.observed import BoardKey
from bramble.kinds.modelversion.render import CONVERT, benchmark_name
from tests.unit.workloads.models import ANY_SIZE, build_package

Object = dict[str, Any]
BOARD = "virtual"
API = "bramble.dev/v1alpha1"
VARIANT = "onnx-fp32"
FACTS = BoardFacts(machine="virtual", cpu="virtual", cores=2, memory_bytes=2**30, page_size=4096, kernel="6")


def whole_package(graph: bytes, **changes: Any) -> tuple[Package, dict[str, bytes]]:
    """A package that lists all of its blobs, as the conversion writes it, and every blob by digest."""
    bare, blobs = build_package(graph, lineage=Lineage(dataset=f"sha256:{'d' * 64}"), **{**ANY_SIZE, **changes})
    del blobs[document_digest(bare)]
    golden = {f"golden-{each}": File(sha256=each, bytes=len(blobs[each]), media_type="application/octet-stream") for each in bare.blobs()}
    package = bare.model_copy(update={"files": {**golden, **bare.files}})
    return package, {**blobs, document_digest(package): canonical_json(package)}


def version_manifest(namespace: str, model: str, version: str, package: str, fleet: str) -> Object:
    spec = {
        "model": model,
        "version": version,
        "source": {"package": {"digest": package}},
        "variants": [{"name": VARIANT, "format": "onnx"}],
        "benchmark": [{"fleet": fleet, "board": BOARD}],
    }
    name = f"{model}-{version.replace('.', '-')}"
    return {"apiVersion": API, "kind": "ModelVersion", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def results_of(namespace: str, name: str, uid: str, package: str, fleet: str) -> dict[str, bytes]:
    """What the Jobs of a ModelVersion would file, by key."""
    converted = ConvertResult(
        seconds=1, variants=(VariantOutcome(name=VARIANT, package=package, bytes=1000, metrics={"accuracy": 0.9}, passed=True),)
    )
    latency = LatencySummary(mean_ms=1, p50_ms=1, p95_ms=1, p99_ms=1, iterations=50)
    outcome = BenchmarkOutcome(package=package, golden=True, latency=latency, passed=True)
    measured = BenchmarkResult(seconds=1, board=BOARD, node="bench", facts=FACTS, outcomes=(outcome,))
    steps: dict[str, Result] = {CONVERT: converted, benchmark_name(BoardKey(fleet, BOARD)): measured}
    return {result_key(run_prefix("ModelVersion", namespace, name, uid, step, 1)): canonical_json(result) for step, result in steps.items()}


def rollout_manifest(namespace: str, name: str, fleet: str, version: str, guardrails: list[Object]) -> Object:
    steps = [{"nodes": 1, "bake": "3s"}, {"nodes": "100%", "bake": "3s"}]
    analysis = {
        "deadline": "5m",
        "onUndecided": "Abort",
        "falseRollbackRate": "0.05",
        "falsePromotionRate": "0.2",
        "guardrails": guardrails,
    }
    spec = {
        "fleetRef": {"name": fleet},
        "modelVersionRef": {"name": version},
        "strategy": {"canary": {"steps": steps}},
        "analysis": analysis,
    }
    return {"apiVersion": API, "kind": "Rollout", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
