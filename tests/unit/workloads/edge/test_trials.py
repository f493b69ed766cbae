"""Trials: a candidate that must not serve is refused with a reason, and the stable version goes on serving."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bramble.contracts.images import Decode, ImageInput, Normalize, Resize
from bramble.contracts.package import GoldenTolerance, Serving, Variant
from bramble.contracts.report import CandidateState
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.edge.serve.recent_inputs import SMALL
from bramble_workloads.edge.trial.child import TrialOutcome
from bramble_workloads.edge.trial.run_trial import ControlFailed, TrialCrashed, run_trial
from bramble_workloads.processing import model
from bramble_workloads.processing.decoding_memory import MEMORY
from bramble_workloads.runtimes.onnx.run import OnnxRuntime
from tests.unit.workloads.edge.agent_process import Agent, until
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.hostile_pictures import black_png
from tests.unit.workloads.models import build_package, digits, digits_graph, png, rotated_graph

PICTURE = digits()[0][0]
SHRINK = (Decode(color="L"), Resize(size=8), Normalize(mean=(0.3,), std=(0.4,)))


def huge_graph(mebibytes: int) -> bytes:
    """A graph with the outputs of the digits graph that needs so much more memory."""
    model = onnx.load_from_string(digits_graph())
    side = int((mebibytes * 2**20 / 4) ** 0.5)
    graph = model.graph
    ballast = np.zeros((side, side), np.float32)
    ballast[0, 0] = 1e-30
    graph.initializer.append(numpy_helper.from_array(ballast, "ballast"))
    graph.initializer.append(numpy_helper.from_array(np.zeros((10, side), np.float32), "narrow"))
    graph.initializer.append(numpy_helper.from_array(np.zeros((side, 10), np.float32), "widen"))
    graph.node[-1].output[0] = "inner"
    graph.node.extend(
        [
            helper.make_node("MatMul", ["inner", "narrow"], ["wide"]),
            helper.make_node("MatMul", ["wide", "ballast"], ["heavy"]),
            helper.make_node("MatMul", ["heavy", "widen"], ["nothing"]),
            helper.make_node("Add", ["inner", "nothing"], ["logits"]),
        ]
    )
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return bytes(model.SerializeToString())


async def refused(agent: Agent, gateway: FakeGateway, stable: str, candidate: str) -> str:
    """Assign a candidate, wait until it is refused, and return the reason. The stable version must answer all the time."""
    await agent.start_serving(stable)
    gateway.assign(stable, candidate)

    def state() -> str | None:
        running = gateway.running()
        return running.candidate.state if running and running.candidate else None

    async def requests() -> None:
        while True:
            status, answer = await agent.infer(PICTURE)
            assert (status, answer["parameters"]["package"]) == (200, stable)

    traffic = asyncio.create_task(requests())
    await until(lambda: state() == "refused" or traffic.done(), "refused", lambda: f"{gateway.running()}\n{agent.tail()}", 120)
    traffic.cancel()
    (ended,) = await asyncio.gather(traffic, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    running = gateway.running()
    assert running is not None
    assert running.active == stable
    assert running.bad == (candidate,)
    assert running.candidate is not None
    return running.candidate.message


async def test_a_package_with_a_failing_golden_case_is_refused(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    package, blobs = build_package(digits_graph(), "9.0.0")
    wrong, more = build_package(rotated_graph(), "2.0.0", golden=package.golden)
    reason = await refused(agent, gateway, publish(), gateway.add(wrong, {**blobs, **more}))
    assert reason.startswith("golden case 0 fails at stage raw")


async def test_a_package_for_a_newer_runtime_is_refused(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    newer = publish("2.0.0", variant=Variant(name="onnx-fp32", min_runtime="99.0"))
    assert "needs ONNX Runtime 99.0" in await refused(agent, gateway, publish(), newer)


async def test_a_package_without_golden_cases_is_refused(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    assert "no golden cases" in await refused(agent, gateway, publish(), publish("2.0.0", cases=0))


async def test_a_package_that_needs_more_than_the_memory_budget_is_refused(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    agent.environment["BRAMBLE_MEMORY_BUDGET"] = "220Mi"
    heavy = publish("2.0.0", graph=huge_graph(200), tolerance=GoldenTolerance(raw=1.0))
    assert "bytes of memory" in await refused(agent, gateway, publish(), heavy)


async def test_a_package_is_refused_after_two_trials_that_take_too_long(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    agent.environment["BRAMBLE_TRIAL_SECONDS"] = "0.05"
    first, second = publish("1.0.0"), publish("2.0.0")
    gateway.assign(first)
    await agent.start()
    await until(lambda: (running := gateway.running()) and running.bad == (first,), "refused", agent.tail)
    running = gateway.running()
    assert running is not None
    assert (running.active, second != first) == (None, True)


async def test_a_candidate_that_cannot_be_judged_is_abandoned(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    await agent.stop()
    agent.environment["BRAMBLE_TRIAL_SECONDS"] = "0.05"  # too little for the package that serves, too
    gateway.reports.clear()
    await agent.start()
    await agent.serves(first)
    gateway.assign(first, second)

    def candidate() -> CandidateState | None:
        running = gateway.running()
        return running.candidate if running else None

    await until(lambda: (found := candidate()) is not None and found.state == "abandoned", "abandoned", agent.tail, 120)
    found = candidate()
    assert found is not None
    assert found.message.startswith("5 trials of the package could not be judged, the last: ")
    assert gateway.active() == first


async def test_a_candidate_is_given_up_when_the_gateway_is_silent(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    agent.environment["BRAMBLE_CANDIDATE_TTL"] = "10"  # twice the time between two reports, so that only silence ends it
    first, second = publish("1.0.0"), publish("2.0.0")
    await agent.start_serving(first)
    gateway.assign(first, second)
    await agent.serves(second)
    served: list[str] = []

    async def returned() -> None:
        while not served or served[-1] != first:
            status, answer = await agent.infer(PICTURE)
            assert status == 200
            served.append(answer["parameters"]["package"])

    returning = asyncio.create_task(returned())
    await until(lambda: second in served, "the candidate answers", agent.tail)
    await gateway.stop()
    async with asyncio.timeout(120):
        await returning
    gateway.reports.clear()
    await gateway.start()
    await agent.serves(first)
    running = gateway.running()
    assert running is not None
    assert running.candidate is not None
    assert running.candidate.state == "abandoned"
    assert running.candidate.message.startswith("the gateway did not answer for")
    gateway.assign(second)  # promoted by the other nodes: this node serves it as the stable version
    await agent.serves(second)


async def test_an_undo_does_not_wait_for_a_download_or_a_trial(agent: Agent, gateway: FakeGateway, publish: Publish) -> None:
    first = publish("1.0.0")
    heavy = publish("2.0.0", graph=huge_graph(8), tolerance=GoldenTolerance(raw=1.0))
    await agent.start_serving(first)
    gateway.slow = 0.05  # the graph would take more than a minute
    gateway.assign(first, heavy)
    await until(lambda: (running := gateway.running()) and running.candidate, "downloading", agent.tail)
    gateway.assign(first)
    await until(lambda: (running := gateway.running()) and running.seq == 3 and not running.candidate, "undone", agent.tail, 30)
    assert gateway.active() == first


# ------------------------------------------------------------------------------------------------- the child process


def write_blobs(folder: Path, graph: bytes, **changes: object) -> tuple[str, Path]:
    """Write a package's blobs to a folder as on a device. Returns the package's digest and the folder."""
    package, blobs = build_package(graph, **changes)  # type: ignore[arg-type]
    gateway = FakeGateway()
    digest = gateway.add(package, blobs)
    (folder / "sha256").mkdir(parents=True)
    for name, content in blobs.items():
        (folder / "sha256" / name.removeprefix("sha256:")).write_bytes(content)
    return digest, folder


async def test_a_trial_runs_recent_inputs_and_reports_its_memory(tmp_path: Path) -> None:
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph())
    outcome = await run_trial(digest, folder, 500 * 2**20, [*digits()[0][:15], b"not a picture"], 60)
    assert (outcome.passed, outcome.recent) == (True, 15)
    assert outcome.peak_bytes is not None
    assert 20 * 2**20 < outcome.peak_bytes < 500 * 2**20


async def test_a_package_that_rejects_recent_inputs_fails_its_trial(tmp_path: Path) -> None:
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph())
    outcome = await run_trial(digest, folder, None, [*digits()[0][:5], png(np.zeros((9, 9), np.uint8))], 60)
    assert not outcome.passed
    assert "rejects 1 of the last 6 pictures that the previous version answered" in outcome.reason
    assert "the graph takes 8x8" in outcome.reason


def write_both(folder: Path) -> tuple[str, str, Path]:
    """Write two packages into one folder: one that serves, and a candidate that is another document of the same graph."""
    digest, blobs = write_blobs(folder / "blobs", digits_graph())
    package, content = build_package(digits_graph(), "2.0.0")
    for name, each in content.items():
        (blobs / "sha256" / name.removeprefix("sha256:")).write_bytes(each)
    return digest, FakeGateway().add(package, content), blobs


async def test_an_input_that_the_package_that_serves_rejects_too_does_not_count(tmp_path: Path) -> None:
    serving, candidate, folder = write_both(tmp_path)
    odd = png(np.zeros((9, 9), np.uint8))
    outcome = await run_trial(candidate, folder, None, [*digits()[0][:5], odd, odd], 60, serving)
    assert (outcome.passed, outcome.recent) == (True, 5), outcome


async def test_an_input_that_only_the_candidate_rejects_counts_though_there_is_a_control(tmp_path: Path) -> None:
    serving, folder = write_blobs(tmp_path / "blobs", digits_graph())
    narrow = ImageInput(max_bytes=200, max_pixels=100, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW"))
    package, content = build_package(digits_graph(), "2.0.0", input=narrow)
    for name, each in content.items():
        (folder / "sha256" / name.removeprefix("sha256:")).write_bytes(each)
    long = png(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    outcome = await run_trial(FakeGateway().add(package, content), folder, None, [*digits()[0][:3], long], 60, serving)
    assert not outcome.passed
    assert "rejects 1 of the last 4 pictures" in outcome.reason


@pytest.mark.parametrize(("memory", "seconds", "says"), [(2**20, 60, "memory"), (None, 0.01, "took longer than")])
async def test_too_little_memory_or_time_for_any_package_is_not_charged_to_the_candidate(
    memory: int | None, seconds: float, says: str, tmp_path: Path
) -> None:
    serving, candidate, folder = write_both(tmp_path)
    with pytest.raises(ControlFailed, match=f"that of the package that serves fails too.*{says}"):
        await run_trial(candidate, folder, memory, [], seconds, serving)


PASSED = TrialOutcome(passed=True, tried=17, recent=17)
SHORT = TrialOutcome(passed=False, reason="short", short_of_memory=True)
LARGE_REJECTED = TrialOutcome(passed=True, tried=17, recent=16, rejected={0: "too large"})
ONE_REJECTED = TrialOutcome(passed=True, tried=17, recent=16, rejected={16: "odd"})
FEW_TRIED = TrialOutcome(passed=True, tried=6, recent=5, rejected={5: "odd"})


@pytest.mark.parametrize(
    ("name", "candidate", "control", "passed"),
    [
        ("one small input of 16 may be rejected, without a control", ONE_REJECTED, None, True),
        ("large inputs are judged by themselves", LARGE_REJECTED, PASSED, False),
        ("a large input that the control rejects too does not count", LARGE_REJECTED, LARGE_REJECTED, True),
        ("inputs that were not tried do not count", FEW_TRIED, PASSED, False),
        ("a control that is short of memory alone says nothing", FEW_TRIED, SHORT, False),
        ("a candidate that is short of memory alone fails", SHORT, PASSED, False),
    ],
)
async def test_the_control_decides_only_where_it_can_change_the_verdict(
    name: str, candidate: TrialOutcome, control: TrialOutcome | None, passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def child(package: str, *_: object) -> TrialOutcome:
        found = {"candidate": candidate, "control": control}[package]
        assert found is not None, "no control is needed"
        return found

    monkeypatch.setattr("bramble_workloads.edge.trial.run_trial._run_child", child)
    outcome = await run_trial("candidate", tmp_path, 1, [bytes(SMALL + 1), *[b"x"] * 16], 1, "control")
    assert outcome.passed == passed, (name, outcome)


async def test_the_message_of_a_failed_control_has_both_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def child(package: str, *_: object) -> TrialOutcome:
        return SHORT.model_copy(update={"reason": f"{package} is short"})

    monkeypatch.setattr("bramble_workloads.edge.trial.run_trial._run_child", child)
    with pytest.raises(ControlFailed, match="fails too: control is short; the candidate: candidate is short"):
        await run_trial("candidate", tmp_path, 1, [], 1, "control")


async def test_slow_inputs_do_not_take_the_time_of_the_trial(tmp_path: Path) -> None:
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph())
    slow = black_png(1000, 1000)
    described = ImageInput(max_pixels=10**6, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW"))
    package, content = build_package(digits_graph(), "2.0.0", input=described, preprocess=SHRINK)
    for name, each in content.items():
        (folder / "sha256" / name.removeprefix("sha256:")).write_bytes(each)
    outcome = await run_trial(FakeGateway().add(package, content), folder, None, [slow] * 2000, 9, digest)
    assert outcome.passed
    assert 0 < outcome.recent < 2000


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (63, "golden case 0 fails at stage tensor: decoding the picture"),
        (2**20, "rejects 1 of the last 3 pictures .*: decoding the picture"),
    ],
)
async def test_a_trial_has_the_limit_of_the_board_for_pictures(
    limit: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = ImageInput(max_pixels=10**6, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW"))
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph(), input=described, preprocess=SHRINK)
    recent = [*digits()[0][:2], black_png(1000, 1000)]
    assert (await run_trial(digest, folder, None, recent, 60)).passed
    monkeypatch.setattr(MEMORY, "limit", limit)
    outcome = await run_trial(digest, folder, None, recent, 60)
    assert not outcome.passed
    assert re.search(says, outcome.reason)


@pytest.mark.parametrize("threads", [1, 4])
async def test_the_memory_limit_does_not_depend_on_the_number_of_threads(threads: int, tmp_path: Path) -> None:
    """Threads reserve address space for stacks and arenas. The limit must not count it as memory in use."""
    tolerance = GoldenTolerance(raw=1.0)
    digest, folder = write_blobs(tmp_path / "blobs", huge_graph(100), tolerance=tolerance, serving=Serving(threads=threads))
    enough = await run_trial(digest, folder, 600 * 2**20, [], 60)
    assert enough.passed, enough
    short = await run_trial(digest, folder, 120 * 2**20, [], 60)
    assert not short.passed
    assert "memory" in short.reason


async def test_a_damaged_blob_does_not_count_as_a_failure_of_the_package(tmp_path: Path) -> None:
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph())
    largest = max((folder / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(b"x")
    outcome = await run_trial(digest, folder, None, [], 60)
    assert (outcome.passed, outcome.damaged) == (False, True)


async def test_a_child_process_without_an_outcome_counts_as_crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, folder = write_blobs(tmp_path / "blobs", digits_graph())
    with pytest.raises(TrialCrashed, match="took longer than"):
        await run_trial(digest, folder, None, [], 0.01)
    monkeypatch.setattr("bramble_workloads.edge.trial.run_trial.os.getpid", lambda: 1)  # as if the agent had ended while its child started
    with pytest.raises(TrialCrashed, match="exit code 1"):
        await run_trial(digest, folder, None, [], 60)


def test_threads_and_runs_at_once_are_bounded_by_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    package, _ = build_package(digits_graph(), serving=Serving(threads=100_000, concurrency=100_000))
    modest, _ = build_package(digits_graph(), serving=Serving(threads=2, concurrency=3))
    monkeypatch.setattr(model, "usable_cores", lambda: 4)
    assert (model.threads_of(package), model.calls_at_once(package)) == (4, 4)
    loaded: list[int] = []
    monkeypatch.setattr(OnnxRuntime, "load", lambda *arguments: loaded.append(arguments[-1]))
    model.Model.load(package, digits_graph())
    assert loaded == [4]
    assert (model.threads_of(modest), model.calls_at_once(modest)) == (2, 3)
