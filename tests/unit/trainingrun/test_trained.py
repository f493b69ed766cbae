"""The present attempt has left a result."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import ProgressSeen
from bramble.kinds.trainingrun.policies.trained import trained
from tests.unit.trainingrun.seen import NOW, PACKAGE, attempt, case, condition, job, made, pod, progress, remembered, stored, training

RESULT = stored()
STEPPED = "2026-01-01T00:00:09Z"
DONE = attempt(pod(0, 0), pod(1, 0), job_=job(("Complete", ""), started=30), stored=RESULT)


@pytest.mark.parametrize(
    "seen",
    [
        case("the attempt trains", training()),
        case("the result is not the one that the job wrote", training(attempt(stored=stored(problem="another digest")))),
    ],
)
def test_no_result(seen: Any) -> None:
    assert trained(seen, NOW) is None


@pytest.mark.parametrize(
    "seen",
    [
        case("the result is filed already", training(DONE, filed_key="results/train/x.json", filed=RESULT)),
        case("the image has no digest, so the result is not filed", training(DONE)),
        case("the Job is gone", training(attempt(job_=None, stored=RESULT), filed_key="k", filed=RESULT)),
        case("a rank was killed after the result was written", training(attempt(pod(0, 0), pod(1, 137), stored=RESULT))),
    ],
)
def test_the_package_is_remembered(seen: Any) -> None:
    plan = trained(seen, NOW)
    memory = remembered(plan)
    assert memory["package"]["digest"] == PACKAGE
    assert "current" not in memory
    assert memory["attempt"] == 1
    assert condition(plan) == ("False", "Trained")


def test_the_result_is_filed_first() -> None:
    plan = trained(training(DONE, filed_key="results/train/x.json"), NOW)
    assert made(plan) == [("FileResult", "")]
    assert plan is not None
    assert plan.wake_at == NOW, "nothing else would wake it"


@pytest.mark.parametrize(
    ("heard", "former", "summary", "first"),
    [
        case("the attempt reported nothing", None, None, "3/3", ""),
        case("the attempt reported its first epoch", progress(epoch=1, epochs=5, first_step_at=STEPPED), None, "3/5", STEPPED),
        case("an earlier pass showed its second epoch", None, ProgressSeen(epoch=2, epochs=5, first_step_at=STEPPED), "3/5", STEPPED),
    ],
)  # fmt: skip
def test_the_last_progress_is_that_of_the_result(heard: Any, former: Any, summary: str, first: str) -> None:
    done = attempt(pod(0, 0), pod(1, 0), job_=job(("Complete", ""), started=30), stored=RESULT, progress=heard)
    told = remembered(trained(training(done, status={"progress": former} if former else None), NOW))["progress"]
    assert (told["summary"], told["epoch"], told["etaSeconds"], told.get("firstStepAt", "")) == (summary, 3, 0, first)
