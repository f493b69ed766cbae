"""Which variant a board gets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.api.modelversion import BenchmarkSeen, Chosen, Target, VariantSeen
from bramble.contracts.jobs.benchmark import BenchmarkOutcome, BenchmarkResult
from bramble.kinds.modelversion.observed import Place
from bramble.kinds.modelversion.render import PASSED, REJECTED

REASON_CHARACTERS = 80
"""Of each rejection in the status: six boards times four variants must fit in it. The result in the store has them whole."""


def evidence(variants: Iterable[VariantSeen], place: Place, result: BenchmarkResult) -> tuple[VariantSeen, ...]:
    """The variants with what this board measured of each; a later measurement replaces an earlier one of the same board."""
    by_package = {outcome.package: outcome for outcome in result.outcomes}
    return tuple(_with(variant, place, by_package.get(variant.package)) for variant in variants)


def _with(variant: VariantSeen, place: Place, outcome: BenchmarkOutcome | None) -> VariantSeen:
    if outcome is None or not variant.package:
        return variant
    others = tuple(each for each in variant.benchmarks if Place(each.fleet, each.board) != place)
    return variant.model_copy(update={"benchmarks": (*others, _seen(place, outcome))})


def _seen(place: Place, outcome: BenchmarkOutcome) -> BenchmarkSeen:
    latency = outcome.latency
    golden = () if outcome.golden else (f"golden cases: {outcome.golden_message}",)
    why = tuple(dict.fromkeys((*golden, *outcome.reasons)))
    return BenchmarkSeen(
        fleet=place.fleet,
        board=place.board,
        verdict=PASSED if outcome.passed and outcome.golden else REJECTED,
        p50_ms=_rounded(latency.p50_ms) if latency is not None else None,
        p99_ms=_rounded(latency.p99_ms) if latency is not None else None,
        memory_bytes=outcome.peak_memory_bytes,
        accuracy=_rounded(outcome.metrics["accuracy"]) if "accuracy" in outcome.metrics else None,
        reason="; ".join(why)[:REASON_CHARACTERS],
    )


def _rounded(value: float) -> float:
    """Six digits say all that a measurement does, and a status is small."""
    return float(f"{value:.6g}")


def measured(variant: VariantSeen, place: Place) -> BenchmarkSeen | None:
    """What this board measured of the variant."""
    return next((each for each in variant.benchmarks if Place(each.fleet, each.board) == place), None)


def choose(variants: Iterable[VariantSeen], targets: Iterable[Target]) -> tuple[Chosen, ...]:
    """For each target the variant with the smallest p99 latency of those that passed everything there; none where none did.

    Tail latency decides, since accuracy and memory already have their limits; equal ones go by the order in the spec.
    """
    made, chosen = tuple(variants), []
    for target in targets:
        place = Place.of(target)
        passed = [(seen.p99_ms, variant) for variant in made if (seen := measured(variant, place)) is not None and seen.verdict == PASSED]
        if passed:
            best = min(passed, key=lambda pair: pair[0] if pair[0] is not None else float("inf"))[1]
            chosen.append(Chosen(fleet=place.fleet, board=place.board, variant=best.name, package=best.package))
    return tuple(chosen)
