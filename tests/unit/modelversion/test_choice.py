"""Which variant a board gets, and what is kept of the evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.api.modelversion import BenchmarkSeen, Chosen, Conversion, LineageSeen, Status, Target, TargetSeen, VariantSeen
from bramble.api.objects import dump
from bramble.engine.status import LIMIT
from bramble.kinds.modelversion.choice import REASON_CHARACTERS, choose, with_evidence
from bramble.kinds.modelversion.status import MESSAGE_CHARACTERS
from tests.unit.modelversion.seen import BOTH, FP32, INT8, NOW, RPI4, RPI5, board_outcome, board_result, case, measured, variant

TARGETS = (Target(fleet="rooms", board="rpi5"), Target(fleet="rooms", board="rpi4"))


def pair(first: Any, second: Any) -> tuple[VariantSeen, ...]:
    """The two variants with these measurements."""
    return (variant(benchmarks=first), variant("onnx-int8", INT8, benchmarks=second))


@pytest.mark.parametrize(
    ("variants", "chosen"),
    [
        case("nothing has been measured", pair((), ()), []),
        case("the smaller p99 is chosen", pair((measured(20),), (measured(8),)), [("rpi5", "onnx-int8")]),
        case("a rejected variant is never chosen", pair((measured(20),), (measured(8, "Rejected"),)), [("rpi5", "onnx-fp32")]),
        case("no variant passed", pair((measured(20, "Rejected"),), (measured(8, "Rejected"),)), []),
        case("of equal variants the first in the spec is chosen", pair((measured(8),), (measured(8),)), [("rpi5", "onnx-fp32")]),
        case("a variant without a figure is chosen last", pair((measured(None),), (measured(8),)), [("rpi5", "onnx-int8")]),
        case(
            "each board has a choice of its own",
            pair((measured(20), measured(9, place=RPI4)), (measured(8), measured(30, place=RPI4))),
            [("rpi5", "onnx-int8"), ("rpi4", "onnx-fp32")],
        ),
        case("what another board measured does not count", pair((measured(20, place=RPI4),), ()), [("rpi4", "onnx-fp32")]),
    ],
)
def test_choose(variants: tuple[VariantSeen, ...], chosen: list[tuple[str, str]]) -> None:
    assert [(each.board, each.variant) for each in choose(variants, TARGETS)] == chosen


def test_the_choice_names_the_package() -> None:
    (chosen,) = choose(pair((measured(20),), ()), TARGETS)
    assert chosen == Chosen(fleet="rooms", board="rpi5", variant="onnx-fp32", package=FP32)


def test_evidence_is_kept_with_its_variant() -> None:
    slow = board_outcome(INT8, 60.0, passed=False, reasons=("p99 60.00 ms is more than the limit of 50 ms",))
    first, second = with_evidence(BOTH, RPI5, board_result(board_outcome(FP32, 10.123456789), slow))
    assert (first.benchmarks[0].verdict, first.benchmarks[0].p99_ms, first.benchmarks[0].metrics) == ("Passed", 10.1235, {"accuracy": 0.96})
    assert (second.benchmarks[0].verdict, second.benchmarks[0].reason) == ("Rejected", slow.reasons[0])


def test_failed_golden_cases_reject_whatever_else_passed() -> None:
    (first, _) = with_evidence(BOTH, RPI5, board_result(board_outcome(golden=False)))
    assert (first.benchmarks[0].verdict, first.benchmarks[0].reason) == ("Rejected", "golden cases: raw differs")


def test_a_later_measurement_of_a_board_replaces_the_earlier() -> None:
    before = with_evidence(BOTH, RPI5, board_result(board_outcome(FP32, 10.0)))
    between = with_evidence(before, RPI4, board_result(board_outcome(FP32, 30.0)))
    after = with_evidence(between, RPI5, board_result(board_outcome(FP32, 20.0)))
    assert [(each.board, each.p99_ms) for each in after[0].benchmarks] == [("rpi4", 30.0), ("rpi5", 20.0)]


def test_the_largest_status_fits() -> None:
    """Six boards times four variants, every name and reason as long as allowed: memory is never shortened, so it must fit."""
    scores = dict.fromkeys(("accuracy", "precision", "recall", "f1"), 0.987654)
    seen = BenchmarkSeen(
        fleet="f" * 40, board="b" * 20, verdict="Rejected", p50_ms=123.456, p99_ms=123.456,
        memory_bytes=10**9, metrics=scores, reason="r" * REASON_CHARACTERS,
    )  # fmt: skip
    one = variant("v" * 20, benchmarks=(seen,) * 6, metrics=scores, drop=scores, reason="r" * REASON_CHARACTERS)
    works = tuple(TargetSeen(fleet="f" * 40, board="b" * 20, attempt=1, state="Measured", node="n" * 20) for _ in range(6))
    told = "m" * (MESSAGE_CHARACTERS + 60)
    condition = {"type": "Benchmarked", "status": "False", "reason": "LimitsMissed", "lastTransitionTime": rfc3339(NOW), "message": told}
    status = Status(
        conversion=Conversion(attempt=1, state="Converted"), lineage=LineageSeen(package=FP32, dataset=FP32, image="i" * 120),
        variants=(one,) * 4, benchmarks=works, conditions=(condition,) * 4,
        targets=tuple(Chosen(fleet="f" * 40, board="b" * 20, variant="v" * 20, package=FP32) for _ in range(6)),
    )  # fmt: skip
    size = len(json.dumps(dump(status), separators=(",", ":")))
    assert size < LIMIT, size
