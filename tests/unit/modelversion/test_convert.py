from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.modelversion import Conversion
from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.jobs.files import JobFile
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.modelversion.policies.convert import convert
from tests.unit.modelversion.seen import (
    CONVERTED,
    EXPORT,
    FP32,
    LINEAGE,
    NOW,
    case,
    condition,
    convert_result,
    converting,
    failed,
    job,
    made,
    message,
    observed,
    outcome,
    remembered,
    stored,
)

BOTH = stored(convert_result())


@pytest.mark.parametrize(
    "seen",
    [
        case("the source is not pinned", observed()),
        case("the conversion is recorded", observed(status={"lineage": LINEAGE, "conversion": CONVERTED})),
    ],
)
def test_nothing_to_do(seen: Any) -> None:
    assert convert(seen, NOW) is None


def test_one_job_makes_and_validates_every_variant() -> None:
    plan = convert(converting(StepSeen()), NOW)
    assert made(plan) == [("CreateOnce", "Job"), ("CreateOnce", "ConfigMap")]
    assert plan is not None
    told = JobFile.parse(plan.items[1].manifest["data"]["job.json"].encode())  # type: ignore[union-attr]
    assert isinstance(told, ConvertJob)
    assert (told.package, told.model, told.version, told.max_drop) == (EXPORT, "ads", "1.0.0", {"accuracy": "0.01"})
    assert [(each.name, each.precision) for each in told.variants] == [("onnx-fp32", "float32"), ("onnx-int8", "int8")]
    assert told.choice_seconds == plan.items[0].manifest["spec"]["activeDeadlineSeconds"] / 4  # type: ignore[union-attr]


def test_it_is_filed_then_remembered() -> None:
    assert made(convert(converting(StepSeen(stored=BOTH)), NOW)) == [("FileResult", "")]
    plan = convert(converting(StepSeen(stored=BOTH, filed=BOTH)), NOW)
    memory = remembered(plan)
    assert memory["conversion"]["state"] == "Converted"
    first = memory["variants"][0]
    assert (first["name"], first["package"], first["verdict"]) == ("onnx-fp32", FP32, "Passed")
    assert condition(plan, "Converted") == ("True", "Converted")
    assert condition(plan, "Validated") == ("True", "Validated")
    assert condition(plan) == ("False", "Benchmarking")


@pytest.mark.parametrize(
    ("outcomes", "converted", "validated", "told"),
    [
        case(
            "one variant drops too much: the message has the figures, and the other is used",
            (outcome(), outcome("onnx-int8", "sha256:" + "8" * 64, passed=False, reason="accuracy drops by 0.05, more than 0.01")),
            ("True", "Converted"),
            ("True", "Validated"),
            "onnx-int8: 1000 bytes, accuracy 0.97, rejected: accuracy drops by 0.05, more than 0.01",
        ),
        case(
            "one variant cannot be made",
            (outcome(), outcome("onnx-int8", None, passed=False, reason="no calibration samples")),
            ("True", "Converted"),
            ("True", "Validated"),
            "onnx-int8 could not be made: no calibration samples",
        ),
        case(
            "none passes",
            (outcome(passed=False, reason="bad"),),
            ("True", "Converted"),
            ("False", "NoVariantPassed"),
            "rejected: bad",
        ),
        case("none is made", (outcome(package=None, passed=False),), ("False", "ConversionFailed"), ("False", "NoVariantPassed"), "not"),
    ],
)
def test_outcomes(outcomes: tuple[Any, ...], converted: tuple[str, str], validated: tuple[str, str], told: str) -> None:
    result = stored(convert_result(*outcomes))
    plan = convert(converting(StepSeen(stored=result, filed=result)), NOW)
    assert remembered(plan)["conversion"]["state"] == "Converted"
    assert condition(plan, "Converted") == converted
    assert condition(plan, "Validated") == validated
    assert told in message(plan, "Validated")
    assert condition(plan)[1] == ("Benchmarking" if validated[0] == "True" else "NoVariantPassed")


def test_without_boards_it_is_ready_when_validated() -> None:
    plan = convert(converting(StepSeen(stored=BOTH, filed=BOTH), spec={"benchmark": None}), NOW)
    assert condition(plan) == ("True", "NoBenchmarkAsked")


def test_it_waits_and_says_for_what() -> None:
    assert condition(convert(converting(StepSeen(job=job())), NOW)) == ("False", "Converting")


def test_a_failure_is_tried_again_and_given_up_in_the_end() -> None:
    plan = convert(converting(failed("Error")), NOW)
    assert remembered(plan)["conversion"]["attempt"] == 2
    plan = convert(converting(failed("Error"), Conversion(attempt=3, failures=2, state="Running")), NOW)
    memory = remembered(plan)
    assert (memory["conversion"]["state"], memory["firstCause"]["kind"]) == ("Failed", "Error")
    assert condition(plan) == condition(plan, "Converted") == ("False", "ConversionFailed")
    given_up = Conversion(attempt=3, failures=2, state="Failed", message="attempt 3 failed; request a retry")
    assert message(convert(converting(None, given_up), NOW)) == given_up.message


def test_a_job_that_gets_no_pod_is_looked_at_again_by_itself() -> None:
    waits = StepSeen(job=Job(name="j", uid="u", since=NOW - timedelta(seconds=20)), begun=True, warning="FailedCreate: quota")
    plan = convert(converting(waits), NOW)
    assert plan is not None
    assert plan.wake_at == NOW + timedelta(seconds=4)
    assert "FailedCreate: quota" in message(plan)


def test_a_job_without_a_pod_is_made_anew_once_its_resources_are_corrected() -> None:
    refused = StepSeen(job=Job(name="j", had_pods=False, applied="of other resources"), begun=True)
    plan = convert(converting(refused, Conversion(attempt=1, failures=2, state="Running")), NOW)
    conversion = remembered(plan)["conversion"]
    assert (conversion["attempt"], conversion["failures"], conversion["state"]) == (2, 2, "Running")
    assert "no budget is charged" in message(plan)
