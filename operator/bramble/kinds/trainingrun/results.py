"""What the status keeps of progress and results. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.api.trainingrun import EvaluationSeen, GateSeen, PackageSeen, ProgressSeen
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.contracts.jobs.train import PackageResult
from bramble.contracts.report import Progress
from bramble.kinds.trainingrun.describe import describe_gate

METRICS_KEPT = 12
"""How many of a trainer's metrics the status keeps. A status has 32 KiB, and a trainer may report any number."""

REMARKS_KEPT, REMARK_CHARACTERS = 4, 300
"""How many remarks on an evaluation the status keeps, and how much of each."""

SUMMARY_CHARACTERS = 60
"""How long the column Progress may be."""


def progress_of(progress: Progress | None, former: ProgressSeen | None) -> ProgressSeen | None:
    """What the attempt last reported; `former` if it has reported nothing yet."""
    if progress is None:
        return former
    return ProgressSeen(
        summary=f"{progress.epoch}/{progress.epochs}" if progress.epochs else progress.message[:SUMMARY_CHARACTERS],
        epoch=progress.epoch,
        epochs=progress.epochs,
        eta_seconds=round(progress.eta_seconds) if progress.eta_seconds is not None else None,
        metrics=_rounded(progress.metrics),
        device=progress.device,
        world_size=progress.world_size,
        first_step_at=progress.first_step_at or "",
    )


def final_progress(result: PackageResult, progress: Progress | None, former: ProgressSeen | None) -> ProgressSeen:
    """The progress of an attempt that left a result. The result tells it even if the attempt ended before it reported anything."""
    known = progress_of(progress, former) or ProgressSeen()
    if not result.epochs:
        return known
    epochs = max(known.epochs, result.epochs)
    done = {"summary": f"{result.epochs}/{epochs}", "epoch": result.epochs, "epochs": epochs, "eta_seconds": 0}
    return known.model_copy(update={**done, "metrics": _rounded(result.metrics), "device": result.device, "world_size": result.world_size})


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in list(metrics.items())[:METRICS_KEPT]}


def package_of(result: PackageResult, image: str) -> PackageSeen:
    """The exported package. `image` is the image that trained, in case the result does not say it."""
    return PackageSeen(
        digest=result.package, weights=result.weights or "", epochs=result.epochs, device=result.device, image=result.image or image
    )


def evaluation_of(result: EvaluateResult, uri: str) -> EvaluationSeen:
    """What the package scored. `uri` is where the whole result lies."""
    overall = result.scores.overall
    return EvaluationSeen(
        samples=overall.samples,
        metrics={name: float(f"{value:.6g}") for name, value in overall.metrics.items()},
        gates=tuple(GateSeen(gate=describe_gate(each), value=each.value, passed=each.passed) for each in result.gates),
        remarks=tuple(remark[:REMARK_CHARACTERS] for remark in result.remarks[:REMARKS_KEPT]),
        uri=uri,
    )
