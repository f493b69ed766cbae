"""What a ModelVersion's status says: its conditions, and what of results it keeps."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.api.conditions import Condition, Truth, find
from bramble.api.modelversion import Chosen, Status, Target, VariantSeen
from bramble.contracts.canonical import short
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.kinds.jobs.store import STORE_EVENTS
from bramble.kinds.modelversion.choice import REASON_CHARACTERS, measured
from bramble.kinds.modelversion.observed import Place
from bramble.kinds.modelversion.render import PASSED, REJECTED
from bramble.kinds.plan import EventType
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready

CONVERTED = "Converted"
VALIDATED = "Validated"
BENCHMARKED = "Benchmarked"

IN_USE = "InUse"
SOURCE_MISSING = "SourceMissing"
SOURCE_NOT_READY = "SourceNotReady"
SOURCE_REFUSED = "SourceRefused"
CONVERTING = "Converting"
CONVERSION_FAILED = "ConversionFailed"
NONE_PASSED = "NoVariantPassed"
BENCHMARKING = "Benchmarking"
BENCHMARK_FAILED = "BenchmarkFailed"
MISSED = "LimitsMissed"
PROVEN = "Proven"
NOT_ASKED = "NoBenchmarkAsked"
FLEET_MISSING = "FleetMissing"
FLEET_NOT_ALLOWED = "FleetNotAllowed"
BOARD_MISSING = "BoardMissing"
NO_BENCH = "NoBenchmarkSelector"

EVENTS: Mapping[str, EventType] = {
    CONVERTING: "Normal",
    VALIDATED: "Normal",
    PROVEN: "Normal",
    INVALID_SPEC: "Warning",
    IN_USE: "Warning",
    SOURCE_MISSING: "Warning",
    SOURCE_REFUSED: "Warning",
    CONVERSION_FAILED: "Warning",
    NONE_PASSED: "Warning",
    BENCHMARK_FAILED: "Warning",
    MISSED: "Warning",
    FLEET_MISSING: "Warning",
    FLEET_NOT_ALLOWED: "Warning",
    BOARD_MISSING: "Warning",
    NO_BENCH: "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

MESSAGE_CHARACTERS = 500
"""Of one condition: four of them stand beside the evidence, in a status of at most 16 KiB."""


def waiting(reason: str, message: str) -> StatusUpdate:
    """The source cannot be used yet."""
    conditions = (not_ready(reason, message), Condition(CONVERTED, "False", reason, message))
    return StatusUpdate("Failed" if reason in (INVALID_SPEC, SOURCE_REFUSED) else "Pending", conditions, EVENTS)


def converting(reason: str, message: str) -> StatusUpdate:
    """The conversion is under way, or has failed."""
    phase = "Failed" if reason == CONVERSION_FAILED else "Converting"
    return StatusUpdate(phase, (not_ready(reason, message), Condition(CONVERTED, "False", reason, message)), EVENTS)


def converted(variants: tuple[VariantSeen, ...]) -> tuple[Condition, Condition]:
    """Converted and Validated, with the numbers of every variant."""
    made = [variant for variant in variants if variant.package]
    passed = [variant for variant in variants if variant.verdict == PASSED]
    told = "; ".join(_told_variant(variant) for variant in variants)[:MESSAGE_CHARACTERS]
    some: Truth = "True" if made else "False"
    good: Truth = "True" if passed else "False"
    return (
        Condition(CONVERTED, some, CONVERTED if made else CONVERSION_FAILED, f"{len(made)} of {len(variants)} variants were made"),
        Condition(VALIDATED, good, VALIDATED if passed else NONE_PASSED, told),
    )


def _told_variant(variant: VariantSeen) -> str:
    if not variant.package:
        return f"{variant.name} could not be made: {variant.reason}"
    accuracy = variant.metrics.get("accuracy")
    size = f"{variant.name}: {variant.bytes} bytes" + (f", accuracy {accuracy:.4g}" if accuracy is not None else "")
    return f"{size}, rejected: {variant.reason}" if variant.verdict == REJECTED else size


def proven(status: Status, targets: tuple[Target, ...], chosen: tuple[Chosen, ...], under_way: str, reason: str) -> StatusUpdate:
    """After the conversion: which boards have a variant, which are still measured, which have none.

    Args:
        under_way: what is still being measured or waited for; empty when everything has been.
        reason: why, of the first that is.
    """
    made = converted(status.variants)
    if made[1].status == "False":
        return StatusUpdate("Failed", (not_ready(NONE_PASSED, made[1].message), *made), EVENTS)
    if not targets:
        message = "no benchmark was asked for: add the fleet's boards to spec.benchmark before a Rollout can use this version"
        return StatusUpdate("Ready", (ready(NOT_ASKED, message), *made, Condition(BENCHMARKED, "True", NOT_ASKED, message)), EVENTS)
    have = {Place(each.fleet, each.board): each.variant for each in chosen}
    if under_way:
        return StatusUpdate(
            "Benchmarking", (not_ready(reason, under_way), *made, Condition(BENCHMARKED, "False", reason, under_way)), EVENTS
        )
    without = [target for target in targets if Place.of(target) not in have]
    if without:
        told = "; ".join(told_board(status, Place.of(target)) for target in without)
        last = next((seen.message for seen in status.benchmarks if seen.state == "Failed"), "")
        why = BENCHMARK_FAILED if last else MISSED
        message = f"{told[:MESSAGE_CHARACTERS]}. Train a better version, or make one with other variants or limits"
        everywhere: Truth = "False" if last else "True"
        return StatusUpdate("Failed", (not_ready(why, message), *made, Condition(BENCHMARKED, everywhere, why, message)), EVENTS)
    told = "; ".join(f"{place.fleet}/{place.board}: {variant}{_p99(status, place, variant)}" for place, variant in have.items())
    best = told[:MESSAGE_CHARACTERS]
    return StatusUpdate("Ready", (ready(PROVEN, best), *made, Condition(BENCHMARKED, "True", PROVEN, best)), EVENTS)


def told_board(status: Status, place: Place) -> str:
    """Why this board has no variant, with the numbers of each."""
    work = next((seen for seen in status.benchmarks if Place(seen.fleet, seen.board) == place), None)
    where = f"{place.fleet}/{place.board}"
    if work is not None and work.state == "Failed":
        return f"{where} could not be measured: {work.message}"
    rejected = [(variant.name, seen.reason) for variant in status.variants if (seen := measured(variant, place)) is not None]
    return f"{where}: " + ("; ".join(f"{name} rejected: {reason}" for name, reason in rejected) or "nothing was measured")


def _p99(status: Status, place: Place, name: str) -> str:
    found = next((measured(variant, place) for variant in status.variants if variant.name == name), None)
    return f" (p99 {found.p99_ms:.4g} ms)" if found is not None and found.p99_ms is not None else ""


def variant_of(outcome: VariantOutcome) -> VariantSeen:
    """What is kept of one variant."""
    return VariantSeen(
        name=outcome.name,
        package=outcome.package or "",
        bytes=outcome.bytes,
        compression=outcome.compression,
        metrics={name: float(f"{value:.6g}") for name, value in outcome.metrics.items()},
        drop={name: float(f"{value:.6g}") for name, value in outcome.drop.items()},
        verdict=PASSED if outcome.passed and outcome.package else REJECTED,
        reason=outcome.reason[:REASON_CHARACTERS],
    )


def variants_of(result: ConvertResult) -> tuple[VariantSeen, ...]:
    """Every variant, in the order of the spec."""
    return tuple(variant_of(outcome) for outcome in result.variants)


def pinned_message(package: str) -> str:
    """What conversion begins from."""
    return f"variants are made of package {short(package)}"


def unchanged(status: Status) -> StatusUpdate:
    """Nothing new to say."""
    found = find(status.conditions, "Ready")
    return StatusUpdate(status.phase or ("Ready" if found is not None and found["status"] == "True" else "Pending"), (), EVENTS)
