"""A run that packages what another run left waits for it, says what is wrong with it, and pins it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bramble.api.trainingrun import OutputSeen
from bramble.contracts.manifest import Manifest
from bramble.contracts.package import Lineage
from bramble.kinds.trainingrun.observed import SourceSeen
from bramble.kinds.trainingrun.policies.description_changed import description_changed
from bramble.kinds.trainingrun.policies.take_output import take_output
from tests.unit.trainingrun.kept import DESCRIBED, DESCRIPTION_DIGEST, listing, spec
from tests.unit.trainingrun.seen import DATASET, NOW, PIN, case, condition, message, observed, remembered

LEFT = SourceSeen(ended=True, dataset=PIN, listing=listing())
HEADER = Manifest(
    task="image-classification", classes=("ad",), seed=0, samples=DATASET, samples_bytes=1, counts={"test": {"ad": 1}}, slices={}
)
SLICED_GATE = {"slices": ["channel"], "gates": [{"metric": "recall", "slice": "channel=rai1", "min": "0.5"}]}
OTHER_GATE = {"gates": [{"metric": "recall", "label": "cat", "min": "0.5"}]}


@pytest.mark.parametrize(
    ("source", "fields", "reason", "says"),
    [
        case("there is no such run", None, {}, "KeptOutputMissing", "there is no TrainingRun first in namespace ns"),
        case("it was not admitted yet", SourceSeen(False, None, None), {}, "KeptOutputPending", "TrainingRun first is under way"),
        case("it trains", SourceSeen(False, PIN, None), {}, "KeptOutputPending", "is taken when it has ended"),
        case("it left nothing", SourceSeen(True, PIN, None), {}, "KeptOutputMissing", "TrainingRun first left no file"),
        case("only links", replace(LEFT, listing=listing(files=())), {}, "KeptOutputMissing", "TrainingRun first left no file"),
        case(
            "nor did that attempt",
            SourceSeen(True, PIN, None, attempts=3, kept_attempts=(2, 3)),
            spec(attempt=9),
            "KeptOutputMissing",
            "attempt 9 of TrainingRun first left no file in $BRAMBLE_OUT that is kept (it has attempts 1 to 3; an output is kept of 2, 3)",
        ),
        case(
            "labels that lack a class",
            replace(LEFT, manifest=HEADER.model_copy(update={"counts": {"test": {"cat": 1, "ad": 1, "dog": 0}}})),
            spec(package=DESCRIBED),
            "InvalidSpec",
            "package.postprocess.labels: Dataset tape has test samples of cat, which the labels (ad, content) lack: write every class",
        ),
        case(
            "another Dataset",
            LEFT,
            {"datasetRef": {"name": "other"}},
            "InvalidSpec",
            "spec.datasetRef.name is other, and TrainingRun first was trained on tape: write that",
        ),
        case(
            "a listing of another training",
            replace(LEFT, listing=listing(lineage=Lineage())),
            {},
            "KeptOutputMissing",
            "is not of a training of TrainingRun first",
        ),
        case(
            "a gate that cannot be measured",
            replace(LEFT, manifest=HEADER),
            {"evaluation": OTHER_GATE},
            "GateNotMeasurable",
            "class 'cat', which is none of its classes",
        ),
        case(
            "a gate on a slice without samples",
            replace(LEFT, manifest=HEADER),
            {"evaluation": SLICED_GATE},
            "GateNotMeasurable",
            "no sample of the test split has a column 'channel' (columns: none)",
        ),
    ],
)
def test_it_waits_and_says_why(source: SourceSeen | None, fields: dict[str, Any], reason: str, says: str) -> None:
    plan = take_output(observed({**spec(), **fields}, source=source), NOW)
    assert condition(plan) == ("False", reason)
    assert condition(plan, "Admitted") == ("False", reason)
    assert says in message(plan)


def test_labels_that_have_every_class_hold_nothing_up() -> None:
    seen = observed(spec(package=DESCRIBED), source=replace(LEFT, manifest=HEADER))
    assert "dataset" in remembered(take_output(seen, NOW))


@pytest.mark.parametrize(("package", "digest"), [({}, ""), ({"package": DESCRIBED}, DESCRIPTION_DIGEST)])
def test_the_output_and_the_dataset_of_its_training_are_pinned(package: dict[str, Any], digest: str) -> None:
    plan = take_output(observed(spec(**package), source=LEFT), NOW)
    memory = remembered(plan)
    assert memory["dataset"] == {"name": "tape", "uid": "uid-dataset", "version": DATASET}
    assert OutputSeen.model_validate(memory["keptOutput"]) == OutputSeen(
        run="first",
        attempt=2,
        files=2,
        bytes=4608,
        problem=listing().output.problem,
        uri="runs/trainingrun/ns/first/uid-source/train/2/output.json",
        digest=listing().digest,
        description=digest,
    )
    assert "takes what attempt 2 of TrainingRun first left (2 files, 4.5 KiB), and uses" in message(plan)
    assert "trains" not in message(plan), "nothing does"


@pytest.mark.parametrize(
    "seen", [case("a run that trains", observed()), case("pinned before", observed(spec(), status={"dataset": PIN}, source=LEFT))]
)
def test_nothing_to_do(seen: Any) -> None:
    assert take_output(seen, NOW) is None


@pytest.mark.parametrize(
    ("now", "held"),
    [
        case("as admitted", DESCRIBED, False),
        case("taken out", None, True),
        case("changed", {**DESCRIBED, "postprocess": {"kind": "classify", "labels": ["content", "ad"]}}, True),
    ],
)
def test_a_description_that_changed_holds_the_run(now: dict[str, Any] | None, held: bool) -> None:
    fields = spec(package=now) if now is not None else spec()
    pin = OutputSeen(run="first", digest=DATASET, description=DESCRIPTION_DIGEST)
    plan = description_changed(observed(fields, status={"dataset": PIN, "kept_output": pin}), NOW)
    assert (plan is not None) == held
    if plan is not None:
        assert condition(plan) == ("False", "InvalidSpec")
        assert "spec.trainer.keptOutput.package is not what the run was admitted with" in message(plan)


def test_a_run_that_trains_has_no_description_to_compare() -> None:
    pin = OutputSeen(run="run", digest=DATASET)
    assert description_changed(observed(status={"dataset": PIN, "kept_output": pin}), NOW) is None
