"""What a pass sees, written down for tests: each helper gives the least that is valid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bramble.api.modelversion import (
    KIND,
    BenchmarkSeen,
    Conversion,
    LineageSeen,
    Spec,
    Status,
    TargetSeen,
    VariantSeen,
)
from bramble.api.objects import Invalid, Object, parse
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.jobs.benchmark import BenchmarkOutcome, BenchmarkResult, LatencySummary
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.contracts.jobs.files import AnyResult
from bramble.contracts.report import BoardFacts
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.modelversion.observed import BoardKey, BoardSeen, Observed
from tests.unit.trainingrun.seen import SETTINGS, case, condition, made, message, remembered, stated

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = "uid-version"
EXPORT = f"sha256:{'e' * 64}"
FP32 = f"sha256:{'f' * 64}"
INT8 = f"sha256:{'8' * 64}"
DATASET = f"sha256:{'d' * 64}"
LINEAGE = LineageSeen(training_run="run", training_run_uid="uid-run", package=EXPORT, dataset=DATASET)
RPI5 = BoardKey("rooms", "rpi5")
RPI4 = BoardKey("rooms", "rpi4")
SELECTOR = {"bramble.dev/fleet": "rooms", "bramble.dev/board": "rpi5", "bramble.dev/bench": "true"}
ON = BoardSeen(SELECTOR)
TARGET = {"fleet": "rooms", "board": "rpi5", "iterations": 200, "limits": {"p99": "50ms", "memory": "280Mi"}}
OTHER = {"fleet": "rooms", "board": "rpi4"}
VARIANTS = [{"name": "onnx-fp32", "format": "onnx"}, {"name": "onnx-int8", "format": "onnx", "precision": "int8"}]
CONVERTED = Conversion(attempt=1, state="Converted")

__all__ = ["case", "condition", "made", "message", "remembered", "stated"]


def manifest(spec: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    least = {
        "model": "ads",
        "version": "1.0.0",
        "source": {"trainingRunRef": {"name": "run"}},
        "variants": VARIANTS,
        "validation": {"maxDrop": {"accuracy": "0.01"}},
        "benchmark": [TARGET],
    }
    head = {
        "name": "ads-1-0-0", "namespace": "ns", "uid": UID, "generation": 2, "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z", **metadata,
    }  # fmt: skip
    changed = {**least, **(spec or {})}
    return {
        "apiVersion": "bramble.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": head,
        "spec": {name: value for name, value in changed.items() if value is not None},
    }


def observed(
    spec: Mapping[str, Any] | None = None,
    *,
    status: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **seen: Any,
) -> Observed:
    """A version with this spec over the least one, and these fields of the status by their Python names."""
    parsed = parse(KIND, manifest(spec, **(metadata or {})))
    assert not isinstance(parsed, Invalid), parsed.problem
    version: Object[Spec, Status] = Object(parsed.metadata, parsed.spec, Status(**(status or {})))
    return Observed(version=version, settings=SETTINGS, **seen)


def converting(step: StepSeen | None = None, work: Conversion | None = None, **more: Any) -> Observed:
    """In the middle of the conversion."""
    work = work or Conversion(attempt=1, state="Running")
    return observed(status={"lineage": LINEAGE, "conversion": work}, conversion=step, **more)


def variant(name: str = "onnx-fp32", package: str = FP32, verdict: str = "Passed", **more: Any) -> VariantSeen:
    given = {"bytes": 1000, "metrics": {"accuracy": 0.97}, "drop": {"accuracy": 0.0}, **more}
    return VariantSeen(name=name, package=package, verdict=verdict, **given)


BOTH = (variant(), variant("onnx-int8", INT8, drop={"accuracy": 0.005}))


def measured(p99: float | None, verdict: str = "Passed", place: BoardKey = RPI5, reason: str = "") -> BenchmarkSeen:
    return BenchmarkSeen(fleet=place.fleet, board=place.board, verdict=verdict, p99_ms=p99, reason=reason)


def work(place: BoardKey = RPI5, state: str = "Running", **more: Any) -> TargetSeen:
    return TargetSeen(**{"fleet": place.fleet, "board": place.board, "attempt": 1, "state": state, **more})


def benchmarking(
    steps: Mapping[BoardKey, StepSeen] | None = None,
    *,
    works: tuple[TargetSeen, ...] = (),
    variants: tuple[VariantSeen, ...] = BOTH,
    spec: Mapping[str, Any] | None = None,
    boards: Mapping[BoardKey, BoardSeen] | None = None,
    **more: Any,
) -> Observed:
    """Converted; these boards are being measured."""
    status = {"lineage": LINEAGE, "conversion": CONVERTED, "variants": variants, "benchmarks": works}
    where = boards if boards is not None else {RPI5: ON, RPI4: ON}
    return observed(spec, status=status, boards=where, benchmarks=steps or {}, **more)


def cause(kind: CauseKind) -> Cause:
    return Cause(kind=kind, message=f"{kind} happened")


def job(failure: Failure | None = None) -> Job:
    return Job(name="j", failure=failure)


def failed(kind: CauseKind) -> StepSeen:
    return StepSeen(job=job(Failure(at=NOW)), cause=cause(kind))


def stored(result: AnyResult) -> Stored:
    return Stored(canonical_json(result), result)


def outcome(name: str = "onnx-fp32", package: str | None = FP32, *, passed: bool = True, reason: str = "") -> VariantOutcome:
    return VariantOutcome(name=name, package=package, bytes=1000, metrics={"accuracy": 0.97}, passed=passed, reason=reason)


def convert_result(*outcomes: VariantOutcome) -> ConvertResult:
    return ConvertResult(seconds=1, variants=outcomes or (outcome(), outcome("onnx-int8", INT8)))


def board_outcome(
    package: str = FP32, p99: float = 10.0, *, passed: bool = True, reasons: tuple[str, ...] = (), golden: bool = True
) -> BenchmarkOutcome:
    latency = LatencySummary(mean_ms=p99 / 2, p50_ms=p99 / 2, p95_ms=p99, p99_ms=p99, iterations=200)
    return BenchmarkOutcome(
        package=package, golden=golden, golden_message="" if golden else "raw differs", latency=latency, metrics={"accuracy": 0.96},
        peak_memory_bytes=2**20, passed=passed, reasons=reasons,
    )  # fmt: skip


def board_result(*outcomes: BenchmarkOutcome) -> BenchmarkResult:
    facts = BoardFacts(machine="aarch64", cpu="", cores=4, memory_bytes=2**32, page_size=4096, kernel="6")
    return BenchmarkResult(seconds=1, board="rpi5", node="pi-1", facts=facts, outcomes=outcomes)
