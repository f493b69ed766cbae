"""Decides which variant each board gets, from what was measured there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.modelversion import PASSED, REJECTED, BenchmarkSeen, Chosen, Target, VariantSeen
from bramble.contracts.jobs.benchmark import BenchmarkOutcome, BenchmarkResult
from bramble.kinds.modelversion.observed import BoardKey

REASON_CHARACTERS = 80
"""Of each rejection in the status, which must hold those of six boards times four variants. The result in the store has the whole text."""


def with_evidence(variants: Iterable[VariantSeen], board: BoardKey, result: BenchmarkResult) -> tuple[VariantSeen, ...]:
    """The variants with what this board measured of each. It replaces an earlier measurement of the same board."""
    outcomes = {outcome.package: outcome for outcome in result.outcomes}
    return tuple(_with_outcome(variant, board, outcomes.get(variant.package)) for variant in variants)


def _with_outcome(variant: VariantSeen, board: BoardKey, outcome: BenchmarkOutcome | None) -> VariantSeen:
    if outcome is None or not variant.package:
        return variant
    others = tuple(each for each in variant.benchmarks if BoardKey.of(each) != board)
    return variant.model_copy(update={"benchmarks": (*others, _benchmark_seen(board, outcome))})


def _benchmark_seen(board: BoardKey, outcome: BenchmarkOutcome) -> BenchmarkSeen:
    latency = outcome.latency
    golden = () if outcome.golden else (f"golden cases: {outcome.golden_message}",)
    reasons = tuple(dict.fromkeys((*golden, *outcome.reasons)))
    return BenchmarkSeen(
        fleet=board.fleet,
        board=board.board,
        verdict=PASSED if outcome.passed and outcome.golden else REJECTED,
        p50_ms=six_digits(latency.p50_ms) if latency is not None else None,
        p99_ms=six_digits(latency.p99_ms) if latency is not None else None,
        memory_bytes=outcome.peak_memory_bytes,
        metrics={name: six_digits(value) for name, value in outcome.metrics.items()},
        reason="; ".join(reasons)[:REASON_CHARACTERS],
    )


def six_digits(value: float) -> float:
    """The value with six significant digits: more than a measurement is good for, and short in a status."""
    return float(f"{value:.6g}")


def measured_on(variant: VariantSeen, board: BoardKey) -> BenchmarkSeen | None:
    """What this board measured of the variant; None if it has not measured it."""
    return next((each for each in variant.benchmarks if BoardKey.of(each) == board), None)


def choose(variants: Iterable[VariantSeen], targets: Iterable[Target]) -> tuple[Chosen, ...]:
    """The variant for each target: of those that passed everything there, the one with the smallest p99 latency.

    Accuracy and memory have limits of their own, so tail latency decides. Of equal variants the first in the spec is chosen. A target
    where no variant passed is left out.
    """
    candidates, chosen = tuple(variants), []
    for board in map(BoardKey.of, targets):
        passed = [
            (seen.p99_ms if seen.p99_ms is not None else float("inf"), variant)
            for variant in candidates
            if (seen := measured_on(variant, board)) is not None and seen.verdict == PASSED
        ]
        if passed:
            best = min(passed, key=lambda pair: pair[0])[1]
            chosen.append(Chosen(fleet=board.fleet, board=board.board, variant=best.name, package=best.package))
    return tuple(chosen)
