"""The step that packages what a training left, with the output of a sidecar in this process as its input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.package import PackagingResult
from bramble.contracts.output import TrainingOutput
from bramble.contracts.package import Lineage, ModelDescription, Package
from bramble.contracts.tasks.classification import Classify
from bramble_workloads.errors import SpecError
from bramble_workloads.packaging.make import Identity, make_package
from bramble_workloads.packaging.step import main
from bramble_workloads.processing.model import Model
from bramble_workloads.sidecar.out_folder import OutFolder
from bramble_workloads.store import Store
from tests.unit.workloads.left import MANIFEST, RUN, Pod, write_external, write_model
from tests.unit.workloads.models import LABELS, description, digits, digits_graph
from tests.unit.workloads.steps import StepPod, packaging_job


@pytest.fixture
def step(store: Store, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> StepPod:
    assert store_folder.is_dir()
    (tmp_path / "step").mkdir()
    return StepPod(store, tmp_path / "step", monkeypatch)


def kept(store: Store, folder: Path, leave: Callable[[Path], None]) -> str:
    """The digest of the listing of what a training left that gave no package."""
    pod = Pod(store, folder)
    leave(pod.out)
    pod.run.progress.write_text('{"epoch": 9, "metrics": {"loss": 0.25}, "device": "cuda"}\n')
    assert pod.end()["code"] == 64
    listing = pod.listing()
    assert listing is not None
    return digest_of(listing.encode())


def with_a_field(out: Path) -> None:
    write_model(out, accuracy=0.9)


def with_another_name(out: Path) -> None:
    write_external(out, "best.onnx.data", "best.onnx")


def run(step: StepPod, **fields: Any) -> tuple[PackagingResult, Package]:
    job = packaging_job(**fields)
    assert step.run(main, job) == 0
    result = step.result(job)
    assert isinstance(result, PackagingResult)
    return result, Package.model_validate_json(step.store.get_blob(result.package))


def test_a_mended_description_makes_a_package_of_the_training(step: StepPod, store: Store, tmp_path: Path) -> None:
    output = kept(store, tmp_path / "run", with_a_field)
    mended = description(postprocess=Classify(labels=LABELS, positive="7"))
    result, package = run(step, output=output, description=mended)
    assert (package.model, package.version, package.files["model"].sha256) == ("digits", "1.2.3", digest_of(digits_graph()))
    assert ModelDescription.model_validate({name: getattr(package, name) for name in ModelDescription.model_fields}) == mended
    assert (package.lineage.run, package.lineage.dataset, package.lineage.image, package.lineage.seed) == (RUN, MANIFEST, "ours", 7)
    assert (result.epochs, result.metrics, result.device, result.image, result.output) == (9, {"loss": 0.25}, "cuda", "ours", output)
    assert Model.load(package, store.get_blob(package.files["model"].sha256)).predict(digits()[0][0])


def test_a_graph_of_another_name_and_its_weights_beside_it_are_taken(step: StepPod, store: Store, tmp_path: Path) -> None:
    output = kept(store, tmp_path / "run", with_another_name)
    _, package = run(step, output=output, graph="best.onnx")
    assert Model.load(description(), store.get_blob(package.files["model"].sha256)).predict(digits()[0][0])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({}, "accuracy: a model description has no such field", id="nothing mended"),
        pytest.param({"graph": "../job.json"}, "there is no file ../job.json in the output (there are model.onnx", id="no file"),
        pytest.param({"graph": "package.json", "description": description()}, "the graph is no ONNX file", id="no graph"),
        pytest.param(
            {"description": description(outputs=({"name": "y", "shape": (1, 10)},))}, "the graph's outputs are logits", id="another output"
        ),
    ],
)
def test_what_is_still_wrong_is_said_as_at_the_end_of_a_training(
    fields: dict[str, Any], says: str, step: StepPod, store: Store, tmp_path: Path
) -> None:
    job = packaging_job(output=kept(store, tmp_path / "run", with_a_field), **fields)
    assert step.run(main, job) == 64
    assert says in step.cause(job).message


OTHER_OUTPUT = [{"name": "y", "shape": [1, 10], "dtype": "float32", "role": "logits"}]
UNKNOWN = "accuracy: a model description has no such field"
ANOTHER = "the graph's outputs are logits"
RANDOM = "draws other random numbers in every run"


def with_random_numbers(out: Path) -> None:
    graph = onnx.load_from_string((out / "model.onnx").read_bytes())
    graph.graph.node.append(onnx.helper.make_node("RandomNormal", [], ["noise"], name="noise", shape=[1]))
    (out / "model.onnx").write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    ("fields", "random", "says"),
    [
        pytest.param({"accuracy": 0.9, "outputs": OTHER_OUTPUT}, False, [UNKNOWN, ANOTHER], id="a field too many, and another output"),
        pytest.param({"accuracy": 0.9}, True, [UNKNOWN, RANDOM], id="a field too many, and random numbers"),
        pytest.param({"task": "x"}, True, ["task", RANDOM], id="a description that cannot be read, and random numbers"),
        pytest.param(
            {"task": "x", "preprocess": 5, "outputs": OTHER_OUTPUT},
            True,
            ["task", "preprocess", ANOTHER, RANDOM],
            id="several wrong fields",
        ),
        pytest.param(
            {"task": "x", "outputs": [{"shape": [1, 10]}]}, False, ["task", "outputs.0.name"], id="wrong outputs are not compared"
        ),
        pytest.param({"postprocess": None, "input": 5}, False, ["postprocess", "input"], id="a wrong input is not compared"),
        pytest.param({"outputs": OTHER_OUTPUT}, True, [ANOTHER, RANDOM], id="another output, and random numbers"),
        pytest.param({"accuracy": 0.9}, False, [UNKNOWN], id="only a field too many"),
    ],
)
def test_all_that_is_wrong_is_said_at_once(store: Store, tmp_path: Path, fields: dict[str, Any], random: bool, says: list[str]) -> None:
    """Each round would cost another Job."""
    pod = Pod(store, tmp_path / "run")
    write_model(pod.out, **fields)
    if random:
        with_random_numbers(pod.out)
    with pytest.raises(SpecError) as error:
        make_package(store, OutFolder(pod.run), Identity("digits", "1.0.0", Lineage()))
    assert all(each in str(error.value) for each in says), error.value
    assert not any(each in str(error.value) for each in {UNKNOWN, ANOTHER, RANDOM} - set(says)), error.value


def test_an_output_that_is_not_in_the_store_is_bad_data(step: StepPod) -> None:
    job = packaging_job(output=digest_of(b"none"))
    assert step.run(main, job) == 65
    assert "is not in the store" in step.cause(job).message


def test_a_listing_with_a_name_that_is_a_path_is_refused(step: StepPod, store: Store, tmp_path: Path) -> None:
    listing = TrainingOutput.parse(store.get_blob(kept(store, tmp_path / "run", with_a_field)))
    for name in ("../secretKey", "/etc/passwd", "a//b", ".", "a/../../b"):
        content = listing.encode().replace(b'"name":"model.onnx"', f'"name":"{name}"'.encode())
        job = packaging_job(output=store.put_blob(content))
        assert step.run(main, job) == 65
        assert "must be a path below $BRAMBLE_OUT" in step.cause(job).message
