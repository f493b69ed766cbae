from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.contracts.jobs.files import JobFile
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.modelversion.observed import BoardKey, BoardSeen
from bramble.kinds.modelversion.policies.benchmark import benchmark
from bramble.kinds.modelversion.render import benchmark_name
from bramble.kinds.plan import Plan
from tests.unit.modelversion.seen import (
    DATASET,
    EXPORT,
    FP32,
    INT8,
    NOW,
    OTHER,
    RPI4,
    RPI5,
    SELECTOR,
    TARGET,
    benchmarking,
    board_outcome,
    board_result,
    condition,
    converting,
    failed,
    job,
    made,
    measured,
    message,
    remembered,
    stated,
    stored,
    variant,
    work,
)

TWO = {"benchmark": [TARGET, OTHER]}
SLOW = board_outcome(FP32, 60.0, passed=False, reasons=("p99 60.00 ms is more than the limit of 50 ms",))
MEASURED = (variant(benchmarks=(measured(10),)), variant("onnx-int8", INT8, benchmarks=(measured(5),)))


def test_nothing_is_measured_before_it_is_converted() -> None:
    assert benchmark(converting(), NOW) is None


def test_every_board_is_begun_in_memory_first() -> None:
    memory = remembered(benchmark(benchmarking(spec=TWO), NOW))
    begun = [(each["board"], each["attempt"], each["state"]) for each in memory["benchmarks"]]
    assert begun == [("rpi5", 1, "Running"), ("rpi4", 1, "Running")]


def told(plan: Any) -> tuple[BenchmarkJob, dict[str, Any]]:
    made_job, config_map = (item.manifest for item in plan.items)
    parsed = JobFile.parse(config_map["data"]["job.json"].encode())
    assert isinstance(parsed, BenchmarkJob)
    return parsed, made_job


def test_the_job_of_a_board() -> None:
    plan = benchmark(benchmarking({RPI5: StepSeen()}, works=(work(),)), NOW)
    asked, made_job = told(plan)
    pod = made_job["spec"]["template"]["spec"]
    assert made_job["metadata"]["namespace"] == "ns", "it runs where the version is, not where the devices' agents are"
    assert pod["nodeSelector"] == SELECTOR
    assert pod["tolerations"] == [{"key": "bramble.dev/edge", "operator": "Exists"}]
    assert [volume["name"] for volume in pod["volumes"] if "secret" in volume] == [], "no Secret reaches a board"
    assert "gateway-token" in [volume["name"] for volume in pod["volumes"]]
    assert (asked.packages, asked.reference, asked.manifest, asked.iterations) == ((FP32, INT8), FP32, DATASET, 200)
    assert (asked.limits.p99_ms, asked.limits.memory_bytes, asked.max_drop) == (50.0, 280 * 2**20, {"accuracy": "0.01"})
    assert asked.reference_metrics == {"accuracy": 0.97}


def test_a_rejected_variant_is_not_measured_and_drops_count_from_the_export() -> None:
    variants = (variant(verdict="Rejected"), variant("onnx-int8", INT8, drop={"accuracy": 0.005}))
    asked, _ = told(benchmark(benchmarking({RPI5: StepSeen()}, works=(work(),), variants=variants), NOW))
    assert (asked.packages, asked.reference) == ((INT8,), EXPORT)
    assert asked.reference_metrics == {"accuracy": 0.975}, "what the fp32 package scored"


@pytest.mark.parametrize(
    ("reason", "why"),
    [("FleetMissing", "there is no Fleet"), ("FleetNotAllowed", "its owner must add it"), ("NoBenchmarkSelector", "its owner must")],
)
def test_a_board_that_cannot_be_used_is_waited_for(reason: str, why: str) -> None:
    plan = benchmark(benchmarking(boards={RPI5: BoardSeen(blocker=Blocker(reason, why))}), NOW)
    assert plan is not None
    assert plan == Plan(status=plan.status, events=plan.events), "nothing is created or remembered"
    assert condition(plan) == condition(plan, "Benchmarked") == ("False", reason)
    assert message(plan) == f"rooms/rpi5: {why}"


def test_one_board_that_waits_does_not_hold_the_other() -> None:
    boards = {RPI5: BoardSeen(blocker=Blocker("FleetMissing", "no")), RPI4: BoardSeen(SELECTOR)}
    plan = benchmark(benchmarking({RPI4: StepSeen()}, works=(work(RPI4),), boards=boards, spec=TWO), NOW)
    assert made(plan) == [("CreateOnce", "Job"), ("CreateOnce", "ConfigMap")]


def test_the_evidence_is_remembered_and_the_fastest_that_passes_is_chosen() -> None:
    result = board_result(board_outcome(FP32, 10.0), board_outcome(INT8, 5.0))
    plan = benchmark(benchmarking({RPI5: StepSeen(stored=stored(result))}, works=(work(),)), NOW)
    memory = remembered(plan)
    assert (memory["benchmarks"][0]["state"], memory["benchmarks"][0]["node"]) == ("Measured", "pi-1")
    assert memory["targets"] == [{"fleet": "rooms", "board": "rpi5", "variant": "onnx-int8", "package": INT8}]
    assert condition(plan) == condition(plan, "Benchmarked") == ("True", "Proven")
    assert "rooms/rpi5: onnx-int8 (p99 5 ms)" in message(plan)


def test_a_result_of_another_board_is_no_evidence() -> None:
    result = board_result(board_outcome(FP32, 10.0), board_outcome(INT8, 5.0))
    spec = {"benchmark": [OTHER]}
    memory = remembered(benchmark(benchmarking({RPI4: StepSeen(stored=stored(result))}, works=(work(RPI4),), spec=spec), NOW))
    (again,) = memory["benchmarks"]
    expected = {"board": "rpi4", "state": "Running", "attempt": 2, "failures": 1}
    assert {name: again[name] for name in expected} == expected
    assert "of board rpi5 (node pi-1), not of board rpi4" in memory["firstCause"]["message"]
    assert not memory["variants"][0].get("benchmarks")


def test_boards_whose_names_join_alike_have_steps_of_their_own() -> None:
    assert (
        len(
            {
                benchmark_name(place)
                for place in (BoardKey("living", "rooms-rpi5"), BoardKey("living-rooms", "rpi5"), BoardKey("living-rooms-rpi5", "x"))
            }
        )
        == 3
    )


def test_a_board_on_which_nothing_passes_is_told_with_the_numbers() -> None:
    result = board_result(SLOW, board_outcome(INT8, 55.0, passed=False, reasons=("p99 55.00 ms is more than the limit of 50 ms",)))
    plan = benchmark(benchmarking({RPI5: StepSeen(stored=stored(result))}, works=(work(),)), NOW)
    assert condition(plan) == ("False", "LimitsMissed")
    assert "onnx-fp32 rejected: p99 60.00 ms is more than the limit of 50 ms" in message(plan)
    assert "onnx-int8 rejected: p99 55.00 ms" in message(plan)
    assert "targets" not in stated(plan)


def test_ready_needs_every_board() -> None:
    works = (work(state="Measured"), work(RPI4))
    plan = benchmark(benchmarking({RPI4: StepSeen(job=job())}, works=works, variants=MEASURED, spec=TWO), NOW)
    assert condition(plan) == ("False", "Benchmarking")
    assert "rooms/rpi4" in message(plan)
    assert [each["board"] for each in stated(plan)["targets"]] == ["rpi5"], "what is proven may be known already"


def test_a_new_target_measures_what_is_missing_alone() -> None:
    plan = benchmark(benchmarking(works=(work(state="Measured"),), variants=MEASURED, spec=TWO), NOW)
    memory = remembered(plan)
    assert [(each["board"], each["state"]) for each in memory["benchmarks"]] == [("rpi5", "Measured"), ("rpi4", "Running")]
    assert memory["variants"][0]["benchmarks"][0]["board"] == "rpi5"


def test_settled() -> None:
    plan = benchmark(benchmarking(works=(work(state="Measured"),), variants=MEASURED, used_by=("ns/r",)), NOW)
    assert plan is not None
    assert plan == Plan(status=plan.status, events=plan.events), "nothing is created or remembered"
    assert condition(plan) == ("True", "Proven")
    assert stated(plan)["usedBy"] == ["ns/r"]


def test_a_failure_is_tried_again_and_given_up_in_the_end() -> None:
    memory = remembered(benchmark(benchmarking({RPI5: failed("Error")}, works=(work(),)), NOW))
    assert [(each["attempt"], each["failures"], each["state"]) for each in memory["benchmarks"]] == [(2, 1, "Running")]
    plan = benchmark(benchmarking({RPI5: failed("Error")}, works=(work(attempt=3, failures=2),)), NOW)
    assert remembered(plan)["benchmarks"][0]["state"] == "Failed"
    assert condition(plan) == ("False", "BenchmarkFailed")
    assert condition(plan, "Benchmarked") == ("False", "BenchmarkFailed")
    assert "request a retry" in message(plan)


def test_no_variant_passed_conversion() -> None:
    plan = benchmark(benchmarking(variants=(variant(verdict="Rejected", reason="drops"),)), NOW)
    assert plan is not None
    assert plan == Plan(status=plan.status, events=plan.events), "nothing is created or remembered"
    assert condition(plan) == ("False", "NoVariantPassed")


def test_no_board_was_asked_for() -> None:
    assert condition(benchmark(benchmarking(spec={"benchmark": None}), NOW)) == ("True", "NoBenchmarkAsked")


def test_long_names_of_fleet_and_board_fit_a_label() -> None:
    place = BoardKey("f" * 40, "b" * 40)
    spec = {"benchmark": [{"fleet": place.fleet, "board": place.board}]}
    seen = benchmarking({place: StepSeen()}, works=(work(place),), spec=spec, boards={place: BoardSeen(SELECTOR)})
    asked, made_job = told(benchmark(seen, NOW))
    assert len(made_job["metadata"]["labels"]["bramble.dev/step"]) <= 63
    assert len(made_job["metadata"]["name"]) <= 52
    assert made_job["metadata"]["labels"]["bramble.dev/step"] in asked.prefix


def test_the_board_whose_job_waits_for_the_shortest_time_decides_when_to_look_again() -> None:
    ages = {RPI5: timedelta(seconds=20), RPI4: timedelta(seconds=200)}
    waits = {board: StepSeen(job=Job(name="j", uid="u", since=NOW - age), begun=True) for board, age in ages.items()}
    plan = benchmark(benchmarking(waits, works=(work(), work(RPI4)), spec=TWO), NOW)
    assert plan is not None
    assert plan.wake_at == NOW + timedelta(seconds=4)


def test_a_job_without_a_pod_is_made_anew_once_its_resources_are_corrected() -> None:
    refused = StepSeen(job=Job(name="j", had_pods=False, applied="of other resources"), begun=True)
    plan = benchmark(benchmarking({RPI5: refused}, works=(work(failures=2),)), NOW)
    (again,) = remembered(plan)["benchmarks"]
    assert (again["attempt"], again["failures"], again["state"]) == (2, 2, "Running")
    assert message(plan).startswith("rooms/rpi5: the work of benchmark attempt 1 has not begun")
