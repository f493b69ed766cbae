"""The phase and the conditions of a ModelVersion in each of its states."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.modelversion import Chosen, Target
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.kinds.blockers import Blocker
from bramble.kinds.modelversion.status import (
    EVENTS,
    after_benchmarks,
    after_conversion,
    conversion_failed,
    converting,
    no_source,
    variants_of,
)
from bramble.kinds.status_update import StatusUpdate
from tests.unit.kinds.saying import said
from tests.unit.modelversion.seen import EXPORT, FP32, INT8, RPI5, case, measured, variant, work

REJECTED = variant("onnx-int8", INT8, "Rejected", reason="accuracy dropped")
UNMADE = variant("onnx-int8", "", "Rejected", reason="no such operator")
WANTED = (Target(fleet="rooms", board="rpi5"),)
CHOSEN = (Chosen(fleet="rooms", board="rpi5", variant="onnx-fp32", package=FP32),)
MADE = {"Converted": "True/Converted", "Validated": "True/Validated"}


def measure(*variants: Any, **more: Any) -> StatusUpdate:
    """After the conversion, with one board asked for."""
    values = {"targets": (), "wanted": WANTED, "chosen": (), "under_way": None, **more}
    return after_benchmarks(variants or (variant(),), **values)


@pytest.mark.parametrize(
    ("update", "phase", "conditions"),
    [
        case(
            "there is no source yet",
            no_source("SourceMissing", "create it"),
            "Pending",
            {"Ready": "False/SourceMissing", "Converted": "False/SourceMissing"},
        ),
        case(
            "the source cannot be used",
            no_source("SourceRefused", "make another"),
            "Failed",
            {"Ready": "False/SourceRefused", "Converted": "False/SourceRefused"},
        ),
        case(
            "the spec cannot be used",
            no_source("InvalidSpec", "spec.version"),
            "Failed",
            {"Ready": "False/InvalidSpec", "Converted": "False/InvalidSpec"},
        ),
        case("it is converted", converting("it runs"), "Converting", {"Ready": "False/Converting", "Converted": "False/Converting"}),
        case(
            "the conversion was given up",
            conversion_failed("exit code 1"),
            "Failed",
            {"Ready": "False/ConversionFailed", "Converted": "False/ConversionFailed"},
        ),
        case(
            "no variant could be made",
            measure(UNMADE),
            "Failed",
            {"Ready": "False/NoVariantPassed", "Converted": "False/ConversionFailed", "Validated": "False/NoVariantPassed"},
        ),
        case(
            "every variant was rejected",
            measure(REJECTED),
            "Failed",
            {"Ready": "False/NoVariantPassed", "Converted": "True/Converted", "Validated": "False/NoVariantPassed"},
        ),
        case(
            "no benchmark is asked for",
            after_conversion((variant(),), ()),
            "Ready",
            {"Ready": "True/NoBenchmarkAsked", **MADE, "Benchmarked": "True/NoBenchmarkAsked"},
        ),
        case(
            "the benchmarks begin",
            after_conversion((variant(),), WANTED),
            "Benchmarking",
            {"Ready": "False/Benchmarking", **MADE, "Benchmarked": "False/Benchmarking"},
        ),
        case(
            "a board is waited for",
            measure(under_way=Blocker("FleetMissing", "create it")),
            "Benchmarking",
            {"Ready": "False/FleetMissing", **MADE, "Benchmarked": "False/FleetMissing"},
        ),
        case(
            "a board could not be measured",
            measure(targets=(work(state="Failed", message="exit code 1"),)),
            "Failed",
            {"Ready": "False/BenchmarkFailed", **MADE, "Benchmarked": "False/BenchmarkFailed"},
        ),
        case(
            "no variant met the limits of a board",
            measure(targets=(work(state="Measured"),)),
            "Failed",
            {"Ready": "False/LimitsMissed", **MADE, "Benchmarked": "True/LimitsMissed"},
        ),
        case(
            "every board has a variant",
            measure(targets=(work(state="Measured"),), chosen=CHOSEN),
            "Ready",
            {"Ready": "True/Proven", **MADE, "Benchmarked": "True/Proven"},
        ),
    ],
)
def test_phase_and_conditions(update: StatusUpdate, phase: str, conditions: dict[str, str]) -> None:
    assert said(update) == (phase, conditions)
    assert update.events is EVENTS


ON_RPI5 = variant(benchmarks=(measured(10.123456),))
SLOW = variant(benchmarks=(measured(60, "Rejected", RPI5, "p99 60 ms"),))


@pytest.mark.parametrize(
    ("update", "type_", "message"),
    [
        case("how many variants were made", measure(variant(), UNMADE), "Converted", "1 of 2 variants were made"),
        case(
            "the figures of each variant",
            measure(variant(), REJECTED, variant("onnx-int4", "", reason="no such operator"), variant("plain", metrics={})),
            "Validated",
            "onnx-fp32: 1000 bytes, accuracy 0.97; onnx-int8: 1000 bytes, accuracy 0.97, rejected: accuracy dropped;"
            " onnx-int4 could not be made: no such operator; plain: 1000 bytes",
        ),
        case("which variant a board has", measure(ON_RPI5, chosen=CHOSEN), "Ready", "rooms/rpi5: onnx-fp32 (p99 10.12 ms)"),
        case("a board's variant without a measurement", measure(chosen=CHOSEN), "Ready", "rooms/rpi5: onnx-fp32"),
        case("why a board could not be measured",
            measure(targets=(work(state="Failed", message="exit code 1"),)),
            "Ready",
            "rooms/rpi5 could not be measured: exit code 1. Train a better version, or make one with other variants or limits",
        ),
        case("why a board rejected each variant",
            measure(SLOW, targets=(work(state="Measured"),)),
            "Ready",
            "rooms/rpi5: onnx-fp32 rejected: p99 60 ms. Train a better version, or make one with other variants or limits",
        ),
        case("a board that measured nothing",
            measure(targets=(work(state="Measured"),)),
            "Benchmarked",
            "rooms/rpi5: nothing was measured. Train a better version, or make one with other variants or limits",
        ),
    ],
)  # fmt: skip
def test_messages_have_the_figures(update: StatusUpdate, type_: str, message: str) -> None:
    assert next(each.message for each in update.conditions if each.type == type_) == message


def test_messages_are_cut_so_that_the_status_holds_them() -> None:
    many = tuple(variant(f"variant-{number}", EXPORT, "Rejected", reason="x" * 60) for number in range(20))
    assert [len(each.message) for each in measure(*many).conditions] == [500, 27, 500]


def test_a_variant_is_kept_with_six_digits_and_a_short_reason() -> None:
    made = VariantOutcome(
        name="a",
        package=FP32,
        bytes=9,
        compression=2.5,
        metrics={"f1": 0.123456789},
        drop={"f1": 0.000123456789},
        passed=True,
        reason="",
        taken="percentile",
    )
    unmade = VariantOutcome(name="b", package=None, bytes=0, metrics={}, passed=True, reason="r" * 90)
    missed = made.model_copy(update={"name": "c", "passed": False})
    found = variants_of(ConvertResult(seconds=1, variants=(made, unmade, missed)))
    kept = {
        "package": FP32,
        "taken": "percentile",
        "bytes": 9,
        "compression": 2.5,
        "metrics": {"f1": 0.123457},
        "drop": {"f1": 0.000123457},
    }
    empty = {"package": "", "taken": "", "bytes": 0, "compression": 1.0, "metrics": {}, "drop": {}}
    assert [each.model_dump(exclude={"benchmarks"}) for each in found] == [
        {"name": "a", **kept, "verdict": "Passed", "reason": ""},
        {"name": "b", **empty, "verdict": "Rejected", "reason": "r" * 80},
        {"name": "c", **kept, "verdict": "Rejected", "reason": ""},
    ]
