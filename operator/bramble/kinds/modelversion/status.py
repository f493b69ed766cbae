"""The status of a ModelVersion: its conditions, and what it keeps of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bramble.api.conditions import Condition, Truth
from bramble.api.modelversion import FAILED, PASSED, REJECTED, Chosen, Target, TargetSeen, VariantSeen
from bramble.contracts.canonical import short
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.contracts.tasks.catalogue import headline_of
from bramble.kinds.blockers import STORE_EVENTS, Blocker
from bramble.kinds.modelversion.choice import REASON_CHARACTERS, measured_on, six_digits
from bramble.kinds.modelversion.observed import BoardKey, Observed, Unusable
from bramble.kinds.plan import Emit, EventType, Item, Plan
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready, remember, report

CONVERTED = "Converted"
VALIDATED = "Validated"
BENCHMARKED = "Benchmarked"
"""Condition types; each is also the reason of its own True."""

IN_USE = "InUse"
SOURCE_MISSING = "SourceMissing"
SOURCE_NOT_READY = "SourceNotReady"
SOURCE_REFUSED = "SourceRefused"
CONVERTING = "Converting"
CONVERSION_FAILED = "ConversionFailed"
NO_VARIANT_PASSED = "NoVariantPassed"
BENCHMARKING = "Benchmarking"
BENCHMARK_FAILED = "BenchmarkFailed"
LIMITS_MISSED = "LimitsMissed"
PROVEN = "Proven"
NO_BENCHMARK_ASKED = "NoBenchmarkAsked"
FLEET_MISSING = "FleetMissing"
FLEET_NOT_ALLOWED = "FleetNotAllowed"
BOARD_MISSING = "BoardMissing"
NO_BENCHMARK_SELECTOR = "NoBenchmarkSelector"

EVENTS: Mapping[str, EventType] = {
    CONVERTING: "Normal",
    VALIDATED: "Normal",
    PROVEN: "Normal",
    INVALID_SPEC: "Warning",
    IN_USE: "Warning",
    SOURCE_MISSING: "Warning",
    SOURCE_REFUSED: "Warning",
    CONVERSION_FAILED: "Warning",
    NO_VARIANT_PASSED: "Warning",
    BENCHMARK_FAILED: "Warning",
    LIMITS_MISSED: "Warning",
    FLEET_MISSING: "Warning",
    FLEET_NOT_ALLOWED: "Warning",
    BOARD_MISSING: "Warning",
    NO_BENCHMARK_SELECTOR: "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

MESSAGE_CHARACTERS = 500
"""Of one condition's message: the status, of at most 32 KiB, has four conditions beside the evidence."""


TAKEN_CHARACTERS = 60
"""Of the name of the way in which a variant's graph was made."""


def report_version(
    seen: Observed | Unusable,
    update: StatusUpdate,
    now: datetime,
    *,
    items: Iterable[Item] = (),
    fields: Mapping[str, Any] | None = None,
    wake_at: datetime | None = None,
) -> Plan:
    """Plan a pass that carries out `items` and writes the status with `usedBy`, and changes no memory."""
    return report(seen.version, update, now, items=items, fields={"used_by": seen.used_by, **(fields or {})}, wake_at=wake_at)


def remember_version(seen: Observed, update: StatusUpdate, now: datetime, *, events: tuple[Emit, ...] = (), **memory: Any) -> Plan:
    """Plan a pass that changes memory, writes `usedBy` too, and does nothing else."""
    return remember(seen.version, update, now, events=events, used_by=seen.used_by, **memory)


def no_source(reason: str, message: str) -> StatusUpdate:
    """The source cannot be used, or not yet."""
    conditions = (not_ready(reason, message), Condition(CONVERTED, "False", reason, message))
    return StatusUpdate("Failed" if reason in (INVALID_SPEC, SOURCE_REFUSED) else "Pending", conditions, EVENTS)


def pinned_message(package: str) -> str:
    """What the conversion begins with."""
    return f"variants are made from package {short(package)}"


def converting(message: str) -> StatusUpdate:
    """An attempt at the conversion starts, waits or runs."""
    return StatusUpdate("Converting", (not_ready(CONVERTING, message), Condition(CONVERTED, "False", CONVERTING, message)), EVENTS)


def conversion_failed(message: str) -> StatusUpdate:
    """The conversion was given up."""
    conditions = (not_ready(CONVERSION_FAILED, message), Condition(CONVERTED, "False", CONVERSION_FAILED, message))
    return StatusUpdate("Failed", conditions, EVENTS)


def after_conversion(variants: tuple[VariantSeen, ...], targets: tuple[Target, ...]) -> StatusUpdate:
    """The conversion has just been recorded; the boards are measured next."""
    return after_benchmarks(variants, (), targets, (), Blocker(BENCHMARKING, "the benchmarks begin") if targets else None)


def after_benchmarks(
    variants: tuple[VariantSeen, ...],
    targets: tuple[TargetSeen, ...],
    wanted: tuple[Target, ...],
    chosen: tuple[Chosen, ...],
    under_way: Blocker | None,
) -> StatusUpdate:
    """After the conversion: which boards have a variant, which are still measured, and which have none.

    Args:
        variants: every variant with its evidence.
        targets: how far each board's benchmark has come.
        wanted: the targets of the spec.
        chosen: the variant of each board that has one.
        under_way: what is still measured or waited for; None when every board is done.
    """
    converted, validated = _converted(variants)
    if validated.status == "False":
        return StatusUpdate("Failed", (not_ready(NO_VARIANT_PASSED, validated.message), converted, validated), EVENTS)
    if not wanted:
        message = "no benchmark is asked for: add the fleet's boards to spec.benchmark before a Rollout can use this version"
        return _benchmarked("Ready", ready(NO_BENCHMARK_ASKED, message), "True", converted, validated)
    if under_way is not None:
        return _benchmarked("Benchmarking", not_ready(under_way.reason, under_way.message), "False", converted, validated)
    with_variant = {BoardKey.of(each): each.variant for each in chosen}
    without = [board for board in map(BoardKey.of, wanted) if board not in with_variant]
    if without:
        failed = any(target.state == FAILED for target in targets)
        boards = "; ".join(_describe_rejections(variants, targets, board) for board in without)[:MESSAGE_CHARACTERS]
        message = f"{boards}. Train a better version, or make one with other variants or limits"
        condition = not_ready(BENCHMARK_FAILED if failed else LIMITS_MISSED, message)
        return _benchmarked("Failed", condition, "False" if failed else "True", converted, validated)
    boards = "; ".join(f"{board}: {name}{_describe_p99(variants, board, name)}" for board, name in with_variant.items())
    return _benchmarked("Ready", ready(PROVEN, boards[:MESSAGE_CHARACTERS]), "True", converted, validated)


def _benchmarked(phase: str, ready: Condition, measured: Truth, converted: Condition, validated: Condition) -> StatusUpdate:
    """Benchmarked has the reason and message of Ready. `measured`: whether every board has been measured."""
    return StatusUpdate(phase, (ready, converted, validated, Condition(BENCHMARKED, measured, ready.reason, ready.message)), EVENTS)


def _converted(variants: tuple[VariantSeen, ...]) -> tuple[Condition, Condition]:
    """The conditions Converted and Validated, with the figures of every variant."""
    made = [variant for variant in variants if variant.package]
    passed = any(variant.verdict == PASSED for variant in variants)
    figures = "; ".join(_describe_variant(variant) for variant in variants)[:MESSAGE_CHARACTERS]
    message = f"{len(made)} of {len(variants)} variants were made"
    return (
        Condition(CONVERTED, "True" if made else "False", CONVERTED if made else CONVERSION_FAILED, message),
        Condition(VALIDATED, "True" if passed else "False", VALIDATED if passed else NO_VARIANT_PASSED, figures),
    )


def _describe_variant(variant: VariantSeen) -> str:
    if not variant.package:
        return f"{variant.name} could not be made: {variant.reason}"
    headline = headline_of(variant.metrics)
    figures = f"{variant.name}: {variant.bytes} bytes" + (f", {headline} {variant.metrics[headline]:.4g}" if headline is not None else "")
    return f"{figures}, rejected: {variant.reason}" if variant.verdict == REJECTED else figures


def _describe_rejections(variants: tuple[VariantSeen, ...], targets: tuple[TargetSeen, ...], board: BoardKey) -> str:
    """Why this board has no variant, with the figures of each."""
    target = next((target for target in targets if BoardKey.of(target) == board), None)
    if target is not None and target.state == FAILED:
        return f"{board} could not be measured: {target.message}"
    rejected = [(variant.name, seen.reason) for variant in variants if (seen := measured_on(variant, board)) is not None]
    return f"{board}: " + ("; ".join(f"{name} rejected: {reason}" for name, reason in rejected) or "nothing was measured")


def _describe_p99(variants: tuple[VariantSeen, ...], board: BoardKey, name: str) -> str:
    found = next((measured_on(variant, board) for variant in variants if variant.name == name), None)
    return f" (p99 {found.p99_ms:.4g} ms)" if found is not None and found.p99_ms is not None else ""


def variants_of(result: ConvertResult) -> tuple[VariantSeen, ...]:
    """What the status keeps of every variant, in the order of the spec."""
    return tuple(_variant_of(outcome) for outcome in result.variants)


def _variant_of(outcome: VariantOutcome) -> VariantSeen:
    return VariantSeen(
        name=outcome.name,
        package=outcome.package or "",
        taken=outcome.taken[:TAKEN_CHARACTERS],
        bytes=outcome.bytes,
        compression=outcome.compression,
        metrics={name: six_digits(value) for name, value in outcome.metrics.items()},
        drop={name: six_digits(value) for name, value in outcome.drop.items()},
        verdict=PASSED if outcome.passed and outcome.package else REJECTED,
        reason=outcome.reason[:REASON_CHARACTERS],
    )
