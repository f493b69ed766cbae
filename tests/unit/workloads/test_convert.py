"""The step `convert` on a real S3 store."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.canonical import canonical_json, digest_of, document_digest
from bramble.contracts.images import Normalize
from bramble.contracts.jobs.convert import ConvertResult, VariantOutcome
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.contracts.package import MAX_BYTES, MAX_CASES, MIN_CASES, GoldenTolerance, Package
from bramble.contracts.tasks.classification import Classify
from bramble_workloads.convert.step import main
from bramble_workloads.evaluate import step as evaluation
from bramble_workloads.processing import golden
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import Form, Quantised
from bramble_workloads.runtimes.onnx.alternatives import alternatives
from bramble_workloads.runtimes.onnx.quantize import LEAST_TOLERANCE
from bramble_workloads.store import Store
from bramble_workloads.tasks.catalogue import task_of
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.graphs import cancelling_graph, conv_graph, exported, outlier_graph, plain_graph, random_graph, rare_outlier_graph
from tests.unit.workloads.models import LABELS, digits_graph
from tests.unit.workloads.steps import StepPod, convert_job, environment, evaluate_job

FP32 = {"name": "onnx-fp32"}
INT8 = {"name": "onnx-int8", "precision": "int8"}
COUNT = 900

# The convert image has none of these.
PROGRAM = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "sklearn", "sympy", "scipy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["bramble_workloads", "convert"]
from bramble_workloads.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def pod(store: Store, store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StepPod:
    assert store_folder.is_dir()
    return StepPod(store, tmp_path, monkeypatch)


def prepared(pod: StepPod, graph: bytes, count: int = COUNT, **changes: Any) -> tuple[str, str]:
    """Digests of a package as training exported it and of its dataset, both in the store."""
    package, package_blobs = exported(graph, **changes)
    manifest, blobs = dataset(count)
    pod.put([*package_blobs.values(), *blobs.values()])
    return document_digest(package), manifest


def convert(pod: StepPod, *variants: dict[str, Any], **fields: Any) -> dict[str, VariantOutcome]:
    job = convert_job(*variants, **fields)
    assert pod.run(main, job) == 0
    result = pod.result(job)
    assert isinstance(result, ConvertResult)
    assert [outcome.name for outcome in result.variants] == [variant["name"] for variant in variants]
    return {outcome.name: outcome for outcome in result.variants}


def stored(pod: StepPod, outcome: VariantOutcome) -> Package:
    """The package, as anybody reads it: verified, and the same bytes as its canonical form."""
    assert outcome.package is not None
    content = pod.store.get_blob(outcome.package)
    package = Package.model_validate_json(content)
    assert canonical_json(package) == content
    assert document_digest(package) == outcome.package
    assert len(content) <= MAX_BYTES
    return package


def evaluated(pod: StepPod, package: str, manifest: str) -> dict[str, float]:
    job = evaluate_job(package=package, manifest=manifest)
    assert pod.run(evaluation.main, job) == 0
    result = pod.result(job)
    assert isinstance(result, EvaluateResult)
    return result.scores.overall.metrics


def test_a_model_in_two_forms(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph())
    outcomes = convert(pod, FP32, INT8, package=source, manifest=manifest, max_drop={"accuracy": "0.05"})
    assert all(outcome.passed and outcome.reason == "" for outcome in outcomes.values()), outcomes
    plain, small = outcomes["onnx-fp32"], outcomes["onnx-int8"]
    assert plain.metrics["accuracy"] > 0.9
    assert set(plain.drop.values()) == {0.0}
    assert small.bytes < plain.bytes == len(conv_graph())
    assert small.compression == pytest.approx(plain.bytes / small.bytes, abs=1e-3)
    assert small.drop["accuracy"] == pytest.approx(plain.metrics["accuracy"] - small.metrics["accuracy"], abs=1e-9)
    for outcome in outcomes.values():
        package = stored(pod, outcome)
        assert (package.model, package.version, package.variant.name) == ("digits", "1.2.3", outcome.name)
        assert package.files["model"].bytes == outcome.bytes == len(pod.store.get_blob(package.files["model"].sha256))
        assert isinstance(package.postprocess, Classify)
        assert package.postprocess.temperature != 1.0
        assert package.lineage.dataset == manifest
        assert package.lineage.converter is not None
        assert evaluated(pod, outcome.package or "", manifest) == outcome.metrics
    assert stored(pod, plain).variant.derived_from is None
    assert stored(pod, small).variant.derived_from == source
    assert (stored(pod, plain).lineage.calibration, stored(pod, small).variant.precision) == (None, "int8")


def test_golden_cases_hold_on_a_board_that_has_only_the_store(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph())
    for outcome in convert(pod, FP32, INT8, package=source, manifest=manifest).values():
        package = stored(pod, outcome)
        assert package.golden is not None
        model = Model.load(package, pod.store.get_blob(package.files["model"].sha256))
        assert golden.check(model, package.golden, pod.store.get_blob).passed
        cases = package.golden.cases
        assert MIN_CASES <= len(cases) <= MAX_CASES
        answers = [model.predict(pod.store.get_blob(case.input)).answer for case in cases]
        assert {answer.truth().stratum for answer in answers} == set(LABELS), "every label has a case where there are enough pictures"
        assert all(answer.margin > package.golden.tolerance.margin for answer in answers)
        sizes = {digest: len(pod.store.get_blob(digest)) for case in cases for digest in (case.input, case.tensor, case.raw)}
        assert sum(sizes.values()) <= golden.MAX_BYTES
        assert {digest: package.blobs()[digest] for digest in sizes} == sizes, "devices are told every size in advance"


def test_golden_cases_notice_a_wrong_package(pod: StepPod) -> None:
    """The device's own code with other labels, another preprocessing or another graph."""
    source, manifest = prepared(pod, conv_graph())
    package = stored(pod, convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"])
    assert package.golden is not None
    graph = pod.store.get_blob(package.files["model"].sha256)
    decode = package.preprocess[0]
    wrong = [(package, digits_graph()), (package.model_copy(update={"preprocess": (decode, Normalize(mean=(0.303,), std=(0.4,)))}), graph)]
    assert isinstance(package.postprocess, Classify)
    for first, second in combinations(range(len(LABELS)), 2):
        labels = list(LABELS)
        labels[first], labels[second] = labels[second], labels[first]
        wrong.append((package.model_copy(update={"postprocess": package.postprocess.model_copy(update={"labels": tuple(labels)})}), graph))
    stages = [golden.check(Model.load(each, content), package.golden, pod.store.get_blob).stage for each, content in wrong]
    assert stages == ["raw", "tensor", *["decoded"] * 45]
    assert golden.check(Model.load(package, graph), package.golden, pod.store.get_blob).passed


def test_int8_golden_cases_count_quantisation_steps(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph())
    outcomes = convert(pod, FP32, INT8, package=source, manifest=manifest)
    tolerances = {name: stored(pod, outcome).golden for name, outcome in outcomes.items()}
    plain, small = tolerances["onnx-fp32"], tolerances["onnx-int8"]
    assert plain is not None
    assert small is not None
    assert plain.tolerance.step == 1
    assert plain.tolerance.raw < 0.1
    assert small.tolerance.raw == LEAST_TOLERANCE, "the graph's alternatives differ by less"
    assert small.tolerance.margin == 0, "every answer is steady"
    logits = Model.load(stored(pod, outcomes["onnx-fp32"]), conv_graph())
    spread = [logits.run(logits.preprocessor(pod.store.get_blob(case.input)))["logits"] for case in plain.cases]
    widest = max(float(row.max()) for row in spread) - min(float(row.min()) for row in spread)
    assert small.tolerance.step == pytest.approx(widest / 255, rel=0.5)


def test_a_graph_that_computes_its_output_in_float_tolerates_a_small_part_of_its_range(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph("LogSoftmax"))
    golden = stored(pod, convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"]).golden
    assert golden is not None
    assert golden.tolerance.raw * golden.tolerance.step < 1.0, "the outputs lie between -20 and 0"


def test_calibration_samples_are_named_in_the_lineage(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph())
    wide, narrow = {**INT8, "calibrationSamples": 100}, {"name": "int8-narrow", "precision": "int8", "calibrationSamples": 8}
    outcomes = convert(pod, wide, narrow, package=source, manifest=manifest)
    counts = []
    for outcome in outcomes.values():
        calibration = stored(pod, outcome).lineage.calibration
        assert calibration is not None
        counts.append(pod.store.get_blob(calibration).count(b"sha256:"))
    assert counts == [100, 8]


def test_a_pod_of_the_convert_image_gives_the_same_packages_and_prints_no_warning(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph())
    expected = convert(pod, FP32, INT8, package=source, manifest=manifest)
    job = convert_job(FP32, INT8, package=source, manifest=manifest, prefix="runs/again/")
    pod.write(job)
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, env=environment(hash_seed=5), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = pod.result(job)
    assert isinstance(result, ConvertResult)
    assert {outcome.name: outcome for outcome in result.variants} == expected


def test_a_variant_that_drops_too_far_is_rejected_with_the_numbers(pod: StepPod) -> None:
    source, manifest = prepared(pod, outlier_graph())
    outcomes = convert(pod, FP32, INT8, package=source, manifest=manifest, max_drop={"accuracy": "0.010", "f1": "1"})
    plain, small = outcomes["onnx-fp32"], outcomes["onnx-int8"]
    assert plain.passed
    assert not small.passed
    assert small.package is not None
    expected, found = plain.metrics["accuracy"], small.metrics["accuracy"]
    assert small.reason == f"accuracy {found:.3f} is {expected - found:.3f} below fp32 ({expected:.3f}); maxDrop allows 0.010"


def test_val_decides_how_the_graph_is_calibrated(pod: StepPod, capfd: pytest.CaptureFixture[str]) -> None:
    """One picture in 50 makes min-max ranges a thousand times too wide. The best graph loses nothing that can be noticed."""
    source, manifest = prepared(pod, rare_outlier_graph(), count=1797)
    small = convert(pod, INT8, package=source, manifest=manifest, max_drop={"accuracy": "0.01"})["onnx-int8"]
    assert small.passed, small.reason
    right = {trial.name: trial.right / trial.of for trial in small.tried}
    assert len(right) == 8
    assert right["min-max ranges, weights per channel"] < right[small.taken] - 0.2
    assert small.untried == ()
    converter = stored(pod, small).lineage.converter
    assert converter is not None
    assert f"{converter['ranges']} ranges, weights {converter['weights'].removeprefix('int8 ')}" == small.taken
    assert converter["tried"] == {trial.name: f"{trial.right} of {trial.of}" for trial in small.tried}
    said = capfd.readouterr().out
    assert all(f"{name} answers" in said for name in right)
    assert f"{small.taken} is taken; of 8 it is the first that is not clearly worse on val than the best" in said


def test_the_choice_does_not_look_at_the_test_split(pod: StepPod) -> None:
    source, manifest = prepared(pod, rare_outlier_graph(), count=600)
    expected = convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"]
    other, blobs = dataset(600, test_label="3")
    pod.put(blobs.values())
    found = convert(pod, INT8, package=source, manifest=other)["onnx-int8"]
    assert found.metrics["accuracy"] < 0.5 < expected.metrics["accuracy"]
    assert (found.taken, found.tried) == (expected.taken, expected.tried)
    assert stored(pod, found).files["model"] == stored(pod, expected).files["model"]


def test_without_time_the_preferred_way_is_taken_and_the_others_are_named(pod: StepPod, capfd: pytest.CaptureFixture[str]) -> None:
    source, manifest = prepared(pod, conv_graph())
    small = convert(pod, INT8, package=source, manifest=manifest, choice_seconds=0)["onnx-int8"]
    assert small.passed
    assert [trial.name for trial in small.tried] == [small.taken] == ["average ranges, weights per channel"]
    assert len(small.untried) == 7
    assert f"for lack of time not tried: {', '.join(small.untried)}" in capfd.readouterr().out


def test_golden_cases_tolerate_what_the_graph_itself_makes_of_a_rounding(pod: StepPod) -> None:
    """Another processor rounds some numbers otherwise, and this graph makes that large. None of them refuses the package."""
    source, manifest = prepared(pod, cancelling_graph())
    small = convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"]
    package = stored(pod, small)
    assert package.golden is not None
    assert package.golden.tolerance.raw > LEAST_TOLERANCE
    path = pod.folder / "int8.onnx"
    path.write_bytes(pod.store.get_blob(package.files["model"].sha256))
    step = package.golden.tolerance.step
    refused, refused_before = 0, 0
    before = package.golden.model_copy(update={"tolerance": GoldenTolerance(raw=LEAST_TOLERANCE, step=step, margin=0.3)})
    task = task_of(package.task)
    preprocessor, decode = task.medium.preprocessor(package), task.decoder(package)
    for graph in islice(alternatives(Form(path, Quantised(step, LEAST_TOLERANCE)), package, 100), 64, None):
        model = Model(package, graph, preprocessor, decode)
        refused += not golden.check(model, package.golden, pod.store.get_blob).passed
        refused_before += not golden.check(model, before, pod.store.get_blob).passed
    assert refused == 0
    assert refused_before > 0, "a fixed tolerance refuses good packages"


def test_an_int8_graph_whose_golden_cases_would_notice_nothing_is_refused(pod: StepPod) -> None:
    source, manifest = prepared(pod, cancelling_graph(share=1e-5))
    small = convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"]
    assert (small.package, small.passed) == (None, False)
    assert re.search(r"would have to tolerate \S+ quantisation steps, and int8 has 255", small.reason)


def test_int8_alone_is_still_measured_against_fp32(pod: StepPod) -> None:
    source, manifest = prepared(pod, outlier_graph())
    small = convert(pod, INT8, package=source, manifest=manifest)["onnx-int8"]
    assert small.passed, "without maxDrop there is nothing to miss"
    assert small.drop["accuracy"] > 0.1


def test_a_variant_that_cannot_be_made_leaves_the_others_alone(pod: StepPod) -> None:
    source, manifest = prepared(pod, plain_graph())
    outcomes = convert(pod, INT8, FP32, package=source, manifest=manifest)
    assert outcomes["onnx-fp32"].passed
    failed = outcomes["onnx-int8"]
    assert (failed.package, failed.passed, failed.metrics) == (None, False, {})
    assert "nothing that can be quantised" in failed.reason


def test_all_variants_may_fail_and_there_still_is_a_result(pod: StepPod) -> None:
    source, manifest = prepared(pod, conv_graph(), count=15)  # three pictures in val
    outcomes = convert(pod, FP32, INT8, package=source, manifest=manifest)
    assert [outcome.package for outcome in outcomes.values()] == [None, None]
    assert all("only 3 of 3 pictures of the val split can be golden cases and 4 are needed" in each.reason for each in outcomes.values())


def test_a_package_that_would_be_too_large_is_not_stored(pod: StepPod) -> None:
    described = exported(digits_graph())[0]
    lineage = described.lineage.model_copy(update={"code": {"notes": "x" * (MAX_BYTES - 3000)}})
    source, manifest = prepared(pod, digits_graph(), count=100, lineage=lineage)
    (failed,) = convert(pod, FP32, package=source, manifest=manifest).values()
    assert failed.package is None
    assert "package.json has" in failed.reason


def case(fault: str, code: int, says: str) -> Any:
    return pytest.param(fault, code, says, id=fault)


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        case("maxDrop of a metric that is not measured", 64, "maxDrop names 'mAP'"),
        case("the source is int8", 64, "variants are made from the float32 package of training"),
        case("the model does not take PNG", 64, "lacks image/png, which is the type of golden cases: add it"),
        case("the graph draws random numbers", 64, "node dice of type RandomNormalLike draws other random numbers in every run"),
        case("there is no val split", 65, "the val split is empty"),
        case("no such manifest", 65, "is not in the store"),
    ],
)
def test_what_cannot_be_converted(pod: StepPod, fault: str, code: int, says: str) -> None:
    described = exported(digits_graph())[0]
    changes: dict[str, Any] = {}
    if fault == "the source is int8":
        changes["variant"] = described.variant.model_copy(update={"precision": "int8"})
    if fault == "the model does not take PNG":
        changes["input"] = described.input.model_copy(update={"media_types": ("image/jpeg",)})
    graph = random_graph() if fault == "the graph draws random numbers" else digits_graph()
    source, manifest = prepared(pod, graph, count=3 if fault == "there is no val split" else 100, **changes)
    job = convert_job(
        FP32,
        package=source,
        manifest=digest_of(b"?") if fault == "no such manifest" else manifest,
        max_drop={"mAP" if fault.startswith("maxDrop") else "accuracy": "0.1"},
    )
    assert pod.run(main, job) == code
    assert says in pod.cause(job).message
