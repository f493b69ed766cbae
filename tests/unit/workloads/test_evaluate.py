"""The step `evaluate` on a real S3 store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble.contracts.canonical import canonical_json, digest_of, document_digest
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.contracts.manifest import Manifest, read_sample
from bramble.contracts.package import Output
from bramble.contracts.store import LARGEST_DOCUMENT, result_key
from bramble.contracts.tasks.classification import ClassificationScores, Classify, Label
from bramble_workloads.evaluate.step import main, with_progress
from bramble_workloads.job import Work
from bramble_workloads.processing.model import Model
from bramble_workloads.store import Store
from tests.unit.workloads.datasets import dataset, many_classes
from tests.unit.workloads.graphs import exported
from tests.unit.workloads.models import LABELS, digits_graph, linear_graph, png
from tests.unit.workloads.steps import StepPod, evaluate_job, prefix


@pytest.fixture
def pod(store: Store, store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StepPod:
    assert store_folder.is_dir()
    return StepPod(store, tmp_path, monkeypatch)


def score(pod: StepPod, **fields: Any) -> EvaluateResult:
    job = evaluate_job(**fields)
    assert pod.run(main, job) == 0
    result = pod.result(job)
    assert isinstance(result, EvaluateResult)
    return result


def true_labels(cells: Iterable[tuple[int, int, int]]) -> Counter[str]:
    found = Counter[str]()
    for true, _, count in cells:
        found[LABELS[true]] += count
    return found


@pytest.mark.parametrize("sharded", [True, False])
def test_scores_are_those_of_the_device(pod: StepPod, sharded: bool) -> None:
    """The same as one prediction after the other by the code that a device runs."""
    package, package_blobs = exported(digits_graph())
    manifest, blobs = dataset(300, sharded=sharded)
    pod.put([*package_blobs.values(), *blobs.values()])
    gates = ({"metric": "accuracy", "min": "0.8"}, {"metric": "recall", "label": "8", "slice": "hand=left", "min": "1"})
    result = score(pod, package=document_digest(package), manifest=manifest, slices=("hand", "hour"), gates=gates)

    model = Model.load(package, digits_graph())
    samples = [read_sample(line, Label) for line in blobs[Manifest.model_validate_json(blobs[manifest]).samples].splitlines()]
    test = [sample for sample in samples if sample.split == "test"]
    right = {sample.id: model.predict(blobs[sample.id]).answer.agrees(sample.annotation) for sample in test}
    scores = result.scores
    assert isinstance(scores, ClassificationScores)
    assert scores.overall.samples == len(test)
    assert scores.overall.accuracy == sum(right.values()) / len(test)
    assert sum(count for true, answered, count in scores.cells if true == answered) == sum(right.values())
    assert true_labels(scores.cells) == Counter(sample.annotation.stratum for sample in test)
    for hand, part in result.slices["hand"].items():
        assert isinstance(part, ClassificationScores)
        inside = [sample for sample in test if sample.meta["hand"] == hand]
        assert (part.overall.samples, part.overall.accuracy) == (len(inside), sum(right[sample.id] for sample in inside) / len(inside))
        assert true_labels(part.cells) == {label: own.samples for label, own in part.per_class.items()}
    assert result.slices["hour"] == {}
    assert result.remarks == ("no sample of the test split has the column 'hour', so there are no slices of it",)
    eights = [sample for sample in test if sample.annotation == Label(label="8") and sample.meta["hand"] == "left"]
    assert [gate.value for gate in result.gates] == [scores.overall.accuracy, sum(right[sample.id] for sample in eights) / len(eights)]
    assert result.gates[0].passed


def test_a_result_of_thousands_of_classes_and_slices_can_be_read_by_the_operator(pod: StepPod) -> None:
    random = np.random.default_rng(3)
    labels = tuple(f"c{number:04}" for number in range(5000))
    pictures = [png(picture) for picture in random.integers(0, 256, (6000, 8, 8), np.uint8)]
    graph = linear_graph(random.normal(size=(64, 5000)).astype(np.float32), np.zeros(5000, np.float32))
    outputs = (Output(name="logits", shape=(1, 5000)),)
    package, package_blobs = exported(graph, outputs=outputs, postprocess=Classify(labels=labels))
    manifest, blobs = many_classes(pictures, labels, recordings=1000)
    pod.put([*package_blobs.values(), *blobs.values()])
    gates = ({"metric": "recall", "label": "c0007", "slice": "recording=7", "min": "0"},)
    result = score(pod, package=document_digest(package), manifest=manifest, slices=("recording",), gates=gates)
    content = pod.store.get(result_key(prefix("evaluate")))
    assert len(content) < LARGEST_DOCUMENT / 4
    assert isinstance(result.scores, ClassificationScores)
    assert sum(count for _, _, count in result.scores.cells) == result.scores.overall.samples == 6000
    assert len(result.scores.per_class) == 5000
    assert result.gates[0].passed
    assert len(result.slices["recording"]) == 500
    assert [remark for remark in result.remarks if "500 of 1000 values of recording" in remark]


def test_a_missed_gate_is_a_result(pod: StepPod, capsys: pytest.CaptureFixture[str]) -> None:
    package, package_blobs = exported(digits_graph())
    manifest, blobs = dataset(100)
    pod.put([*package_blobs.values(), *blobs.values()])
    result = score(pod, package=document_digest(package), manifest=manifest, gates=({"metric": "f1", "min": "1.0"},))
    assert [gate.passed for gate in result.gates] == [False]
    assert "gate missed: f1 is 0." in capsys.readouterr().out


def test_a_result_that_the_operator_cannot_read_is_a_failure_that_says_so(pod: StepPod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.job.LARGEST_DOCUMENT", 100)
    package, package_blobs = exported(digits_graph())
    manifest, blobs = dataset(100)
    pod.put([*package_blobs.values(), *blobs.values()])
    job = evaluate_job(package=document_digest(package), manifest=manifest)
    assert pod.run(main, job) == 65
    assert "bytes, and the operator reads 100 at most" in pod.cause(job).message


def without_split(blobs: dict[str, bytes], manifest: str, split: str) -> tuple[str, dict[str, bytes]]:
    """The same dataset without one split's samples."""
    header = Manifest.model_validate_json(blobs[manifest])
    lines = b"".join(line + b"\n" for line in blobs[header.samples].splitlines() if f'"split":"{split}"'.encode() not in line)
    changed = header.model_copy(update={"samples": digest_of(lines)})
    return document_digest(changed), {**blobs, digest_of(lines): lines, document_digest(changed): canonical_json(changed)}


def case(name: str, code: int, says: str) -> Any:
    return pytest.param(name, code, says, id=name)


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        case("no such package", 65, "is not in the store"),
        case("the package is something else", 64, "is not one that this image knows"),
        case("the graph is damaged", 65, "the store damaged them"),
        case("the test split is empty", 65, "the test split is empty: give it a larger share"),
        case("a gate is not a number", 64, "write a decimal such as 0.9"),
        case("the model does not know a class", 65, "the split has classes that the model does not know: 9"),
        case("a picture is too large for the package", 65, "(input.maxBytes)"),
    ],
)
def test_what_cannot_be_scored(pod: StepPod, fault: str, code: int, says: str) -> None:
    manifest, blobs = dataset(100)
    changes: dict[str, Any] = {}
    described = exported(digits_graph())[0]
    if fault == "the model does not know a class":
        changes["postprocess"] = described.postprocess.model_copy(update={"labels": (*"012345678", "x")})
    if fault == "a picture is too large for the package":
        changes["input"] = described.input.model_copy(update={"max_bytes": 60})
    package, package_blobs = exported(digits_graph(), **changes)
    if fault == "the test split is empty":
        manifest, blobs = without_split(blobs, manifest, "test")
    pod.put([*package_blobs.values(), *blobs.values()])
    digest = {"no such package": digest_of(b"?"), "the package is something else": manifest}.get(fault, document_digest(package))
    if fault == "the graph is damaged":
        pod.store.put(f"blobs/sha256/{package.files['model'].sha256.removeprefix('sha256:')}", b"damaged")
    job = evaluate_job(
        package=digest, manifest=manifest, gates=({"metric": "f1", "min": "good" if fault == "a gate is not a number" else "0.5"},)
    )
    assert pod.run(main, job) == code
    cause = pod.cause(job)
    assert cause.kind == {64: "SpecError", 65: "BadData"}[code]
    assert says in cause.message


def test_long_work_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 2.0, 3.9, 4.0])
    work = Work(evaluate_job(package=digest_of(b""), manifest=digest_of(b"")), tmp_path)
    assert list(with_progress(work, "evaluated", 4, "abcd", lambda: next(times))) == list("abcd")
    assert capsys.readouterr().out.splitlines() == ["evaluated 2 of 4 samples", "evaluated 4 of 4 samples"]
