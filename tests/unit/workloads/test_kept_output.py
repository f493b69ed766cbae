"""A training that is done is not lost: what it left is packaged, or kept with the reason why not."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.output import TrainingOutput
from bramble.contracts.package import Package
from bramble.contracts.store import result_key
from bramble_workloads.errors import Missing, StoreRefused, StoreUnavailable
from bramble_workloads.launch import handshake
from bramble_workloads.packaging import make
from bramble_workloads.processing.model import Model
from bramble_workloads.sidecar import kept, step
from bramble_workloads.store import Store
from tests.unit.workloads.graphs import random_graph
from tests.unit.workloads.left import MANIFEST, RUN, Pod, point_at, write_external, write_model
from tests.unit.workloads.models import description, digits, digits_graph


@pytest.fixture
def pod(store: Store, tmp_path: Path) -> Pod:
    return Pod(store, tmp_path / "run")


def result(pod: Pod) -> TrainResult:
    found = ResultFile.parse(pod.store.get(result_key(pod.job.prefix)))
    assert isinstance(found, TrainResult)
    return found


def another_name(out: Path) -> None:
    write_model(out)
    (out / "model.onnx").rename(out / "best.onnx")


def undescribed(out: Path) -> None:
    write_model(out)
    (out / "package.json").unlink()


def linked(out: Path) -> None:
    another_name(out)
    (out / "model.onnx").symlink_to(out / "best.onnx")


def float16(out: Path) -> None:
    write_model(out, outputs=[{"name": "logits", "shape": [1, 11]}])


def without_graph_and_field(out: Path) -> None:
    write_model(out, outputs=None)
    (out / "model.onnx").unlink()


def not_json(out: Path) -> None:
    write_model(out)
    (out / "package.json").write_text("{'task': 1}")


def large(out: Path) -> None:
    write_model(out)
    (out / "package.json").write_text(" " * 70_000)


def truncated(out: Path) -> None:
    write_external(out)
    os.truncate(out / "model.onnx.data", 100)


def beyond(out: Path) -> None:
    write_external(out)
    graph = onnx.load(str(out / "model.onnx"), load_external_data=False)
    for each in graph.graph.initializer:
        if each.external_data:
            kept = [(entry.key, entry.value) for entry in each.external_data if entry.key != "offset"]
            del each.external_data[:]
            for key, value in [*kept, ("offset", str(2**70))]:
                each.external_data.add(key=key, value=value)
    (out / "model.onnx").write_bytes(graph.SerializeToString())


def with_zeros(out: Path) -> None:
    write_model(out)
    os.truncate(out / "model.onnx", (out / "model.onnx").stat().st_size + 5_000_000)


def random(out: Path) -> None:
    write_model(out)
    (out / "model.onnx").write_bytes(random_graph())


def without_data(out: Path) -> None:
    write_external(out)
    (out / "model.onnx.data").rename(out / "weights.bin")


def test_an_item_that_is_wrong_is_told_once_without_pydantic_s_words(pod: Pod) -> None:
    write_model(
        pod.out, outputs=[{"name": "logits", "shape": [1, 10], "kind": "x"}], postprocess={"kind": "classify", "labels": ["a", "a"]}
    )
    assert pod.end()["code"] == 64
    said = pod.cause().message
    assert "outputs.0.kind: a model description has no such field" in said
    assert "labels: the labels a occur more than once: each output needs a label of its own" in said
    assert [noise for noise in ("Tuple should have", "Value error", "(is {", "(is [") if noise in said] == []


@pytest.mark.parametrize(
    ("leave", "says", "files"),
    [
        pytest.param(lambda out: write_model(out, accuracy=0.9), "accuracy: a model description has no such field", 2, id="a field"),
        pytest.param(lambda out: write_model(out, outputs=None), "outputs: Field required", 2, id="a field is missing"),
        pytest.param(undescribed, "wrote no package.json", 1, id="no description"),
        pytest.param(another_name, "wrote no model.onnx to $BRAMBLE_OUT (there are best.onnx, package.json)", 2, id="another name"),
        pytest.param(linked, "package best.onnx by trainer.keptOutput.graph", 2, id="a link"),
        pytest.param(float16, "the graph's output 'logits' is float32 [1, 10]; the package states float32 [1, 11]", 2, id="another shape"),
        pytest.param(
            without_graph_and_field,
            "$BRAMBLE_OUT/package.json: outputs: Field required; the training program wrote no model.onnx",
            1,
            id="neither a graph nor all fields",
        ),
        pytest.param(not_json, "package.json: document: Invalid JSON", 2, id="not JSON"),
        pytest.param(large, "has 70000 bytes of at most 65536", 2, id="a large description"),
        pytest.param(truncated, "model.onnx.data ends before the weights 'w'", 3, id="half of the external data"),
        pytest.param(beyond, "model.onnx.data ends before the weights 'w'", 3, id="external data beyond every file"),
        pytest.param(random, "model.onnx: node dice of type RandomNormalLike draws other random numbers", 2, id="random numbers"),
        pytest.param(with_zeros, "the graph is no ONNX file: it has a field without a number", 2, id="a file that was not written whole"),
        pytest.param(without_data, "keeps weights in the file 'model.onnx.data', which is not in $BRAMBLE_OUT", 3, id="no external data"),
    ],
)
def test_what_cannot_be_packaged_is_kept_with_the_reason(leave: Callable[[Path], object], says: str, files: int, pod: Pod) -> None:
    leave(pod.out)
    assert pod.end()["code"] == 64
    cause, listing = pod.cause(), pod.listing()
    assert cause.kind == "SpecError"
    assert says in cause.message
    assert f"; its output is kept ({files} file" in cause.message
    assert listing is not None
    assert says in listing.problem
    assert pod.kept() == {path.name: path.read_bytes() for path in pod.out.iterdir() if not path.is_symlink()}
    with pytest.raises(Missing):
        pod.store.get(result_key(pod.job.prefix))


def test_the_listing_has_what_a_package_needs_of_the_training(pod: Pod) -> None:
    pod.run.progress.write_text(json.dumps({"epoch": 7, "epochs": 7, "metrics": {"loss": 0.5}, "device": "cuda"}) + "\n")
    write_model(pod.out, accuracy=0.9)
    pod.end()
    listing = pod.listing()
    assert listing is not None
    assert (listing.epochs, listing.metrics, listing.device, listing.world_size) == (7, {"loss": 0.5}, "cuda", 1)
    assert (listing.lineage.run, listing.lineage.dataset, listing.lineage.image, listing.lineage.seed) == (RUN, MANIFEST, "ours", 7)
    assert pod.store.get_blob(digest_of(listing.encode())) == listing.encode()


def test_a_package_is_made_and_everything_beside_it_is_kept_too(pod: Pod) -> None:
    write_model(pod.out)
    (pod.out / "shards").mkdir()
    (pod.out / "shards/model-00001-of-00002.safetensors").write_bytes(b"half")
    assert pod.end()["code"] == 0
    found, listing = result(pod), pod.listing()
    package = Package.model_validate_json(pod.store.get_blob(found.package))
    assert package.files["model"].sha256 == digest_of(digits_graph())
    assert listing is not None
    assert (listing.problem, found.output) == ("", digest_of(listing.encode()))
    assert set(pod.kept()) == {"model.onnx", "package.json", "shards/model-00001-of-00002.safetensors"}


@pytest.mark.parametrize("data", ["model.onnx.data", "weights/part.bin"])
def test_weights_in_a_file_beside_the_graph_are_merged_into_it(data: str, pod: Pod) -> None:
    (pod.out / "weights").mkdir()
    write_external(pod.out, data)
    assert onnx.load(pod.out / "model.onnx", load_external_data=False).graph.initializer[0].external_data
    assert pod.end()["code"] == 0, pod.cause().message
    package = Package.model_validate_json(pod.store.get_blob(result(pod).package))
    graph = pod.store.get_blob(package.files["model"].sha256)
    assert not [tensor for tensor in onnx.load_from_string(graph).graph.initializer if tensor.external_data]
    whole, merged = Model.load(description(), digits_graph()), Model.load(description(), graph)
    for picture in digits()[0][:5]:
        assert merged.predict(picture).answer.tensors() == whole.predict(picture).answer.tensors()


@pytest.mark.parametrize(
    "location", ["../secret", "../../secret", "{outside}", "/proc/self/environ", "sub/../../secret", "linked", "folder/secret", "", "."]
)
def test_weights_are_never_read_from_outside_the_folder(location: str, pod: Pod, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(bytes(4096))
    write_external(pod.out)
    (pod.run.root / "secret").write_bytes(bytes(4096))
    (pod.out / "linked").symlink_to(outside)
    (pod.out / "folder").symlink_to(tmp_path)
    point_at(pod.out / "model.onnx", location.format(outside=outside))
    assert pod.end()["code"] == 64
    assert "which is not in $BRAMBLE_OUT" in pod.cause().message
    assert set(pod.kept()) == {"model.onnx", "model.onnx.data", "package.json"}


def test_a_graph_that_one_file_cannot_hold_is_refused_with_the_limit(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    from bramble_workloads.runtimes.onnx import external_data

    write_external(pod.out)
    monkeypatch.setattr(external_data, "LARGEST", 1000)
    assert pod.end()["code"] == 64
    assert "more than 1000 bytes, the most that an ONNX file can hold" in pod.cause().message


def test_links_pipes_and_files_beyond_the_bounds_are_left_out_and_named(pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secretKey").write_text("hidden")
    write_model(pod.out, accuracy=1)
    (pod.out / "secretKey").symlink_to(tmp_path / "secretKey")
    (pod.out / "folder").symlink_to(tmp_path)
    os.mkfifo(pod.out / "pipe")
    (pod.out / "line\nbreak").write_text("x")
    (pod.out / ("n" * 201)).write_text("x")
    (pod.out / "unreadable").write_text("x")
    (pod.out / "unreadable").chmod(0)
    for name, size in (("one", 30), ("two", 20), ("three", 4000)):
        (pod.out / name).write_bytes(b"x" * size)
    monkeypatch.setattr(kept, "MOST_BYTES", 4000 + (pod.out / "package.json").stat().st_size)
    if os.geteuid() == 0:
        (pod.out / "unreadable").unlink()  # root reads everything
    pod.end()
    listing = pod.listing()
    assert listing is not None
    assert {file.name for file in listing.files} == {"model.onnx", "package.json", "one", "two"}
    reasons = {each.name: each.reason for each in listing.left_out}
    assert "it is a link" in reasons["secretKey"]
    assert "it is a link" in reasons["folder"]
    assert "not a regular file" in reasons["pipe"]
    assert "cannot be printed" in reasons["line\nbreak"]
    assert "more than 200 characters" in reasons["n" * 201]
    assert "bytes are kept in all" in reasons["three"]
    assert listing.left_out_count == len(reasons)
    assert f"{len(reasons)} files were left out" in pod.cause().message


def test_more_files_than_a_listing_holds_are_counted(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_FILES", 3)
    write_model(pod.out, accuracy=1)
    for number in range(40):
        (pod.out / f"{number:02d}.txt").write_text("x" * (number + 1))
    pod.end()
    listing = pod.listing()
    assert listing is not None
    assert [file.name for file in listing.files] == ["00.txt", "model.onnx", "package.json"]
    assert (len(listing.left_out), listing.left_out_count) == (20, 39)


def test_a_failed_run_is_acknowledged_first_and_its_output_kept_then(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(pod.out)
    acknowledged = []
    original = kept.keep

    def keep(*values: Any, **more: Any) -> TrainingOutput | None:
        acknowledged.append(pod.run.acknowledged.exists())
        return original(*values, **more)

    monkeypatch.setattr(kept, "keep", keep)
    assert pod.end(1, {"kind": "Error", "rank": 1, "exitCode": 1, "message": "rank 1 ended with code 1: boom"})["code"] == 1
    listing = pod.listing()
    assert acknowledged == [True]
    assert listing is not None
    assert (listing.problem, set(pod.kept())) == ("rank 1 ended with code 1: boom", {"model.onnx", "package.json"})
    assert pod.cause().message == "rank 1 ended with code 1: boom"


def test_a_failed_run_that_left_nothing_has_no_listing(pod: Pod) -> None:
    assert pod.end(1, {"kind": "Error", "message": "boom"})["code"] == 1
    assert pod.listing() is None


def test_the_output_of_a_failed_run_is_not_uploaded_for_longer_than_the_pod_has(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "KEEP_SECONDS", -1.0)
    write_model(pod.out)
    pod.end(1, {"kind": "Error", "message": "boom"})
    listing = pod.listing()
    assert listing is not None
    assert {each.name: each.reason for each in listing.left_out} == dict.fromkeys(
        ("model.onnx", "package.json"), "the pod had to end before it was uploaded"
    )


def test_a_sidecar_that_was_killed_twice_over_a_model_only_keeps_it(pod: Pod) -> None:
    write_model(pod.out)
    pod.run.packaging.write_bytes(b"xx")
    assert pod.end()["code"] == 64
    assert "most likely by its memory limit" in pod.cause().message
    assert set(pod.kept()) == {"model.onnx", "package.json"}


def test_a_sidecar_that_tries_again_by_itself_was_not_killed(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(pod.out)
    monkeypatch.setattr(step, "AGAIN_SECONDS", 0.0)
    original, tries = Store.put_blob, []

    def put_blob(self: Store, content: bytes) -> str:
        tries.append(content)
        if len(tries) < 5:
            raise StoreUnavailable("away")
        return original(self, content)

    monkeypatch.setattr(Store, "put_blob", put_blob)
    assert pod.end()["code"] == 0
    assert pod.run.packaging.stat().st_size == 1


def test_a_full_disk_keeps_the_output(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_model(pod.out)
    monkeypatch.setattr(make, "TemporaryFile", full)
    assert pod.end()["code"] == 64
    assert "could not be made on this node: No space left on device; its output is kept (2 files" in pod.cause().message


def test_a_description_may_begin_with_a_byte_order_mark(pod: Pod) -> None:
    write_model(pod.out)
    description = pod.out / "package.json"
    description.write_bytes(b"\xef\xbb\xbf" + description.read_bytes())
    assert pod.end()["code"] == 0


def test_a_fault_of_the_sidecar_keeps_the_output(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("unforeseen")

    write_model(pod.out)
    monkeypatch.setattr(make, "read_description", fail)
    assert pod.end()["code"] == 64
    assert "the package could not be made: ZeroDivisionError: unforeseen; its output is kept (2 files" in pod.cause().message


def test_a_store_that_refuses_a_model_for_a_moment_has_not_lost_it(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(pod.out)
    monkeypatch.setattr(step, "AGAIN_SECONDS", 0.0)
    original, tries = Store.upload, []

    def upload(self: Store, key: str, path: Path) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise StoreRefused("the bucket is full")
        original(self, key, path)

    monkeypatch.setattr(Store, "upload", upload)
    assert pod.end()["code"] == 0
    assert result(pod).package


@pytest.mark.parametrize(("code", "error", "ends"), [(0, StoreRefused, 64), (0, StoreUnavailable, 75), (1, StoreUnavailable, 75)])
def test_a_store_that_stays_away_ends_the_wait(
    code: int, error: type[Exception], ends: int, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(*_: Any) -> None:
        raise error("away")

    monkeypatch.setattr(Store, "put", put)
    monkeypatch.setattr(step, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(step, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(pod.sidecar, "_began", float("inf"))
    assert pod.end(code)["code"] == ends


def as_file(pod: Pod) -> None:
    (pod.run.checkpoints / "step-5").write_bytes(b"state")


def removed(pod: Pod) -> None:
    pod.run.checkpoints.rmdir()


def replaced(pod: Pod) -> None:
    pod.run.checkpoints.rmdir()
    pod.run.checkpoints.write_bytes(b"")


def with_folder(pod: Pod) -> None:
    (pod.run.checkpoints / "step-5/nested").mkdir(parents=True)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(as_file, "checkpoints/step-5 is a file: save a checkpoint as a folder", id="a file"),
        pytest.param(with_folder, "step-5/nested is not a regular file", id="a folder in it"),
        pytest.param(removed, "", id="the folder is removed"),
        pytest.param(replaced, "", id="the folder is a file"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_stops_a_run_and_names_it(spoil: Callable[[Pod], None], says: str, pod: Pod) -> None:
    spoil(pod)
    pod.sidecar.look()
    if pod.sidecar._uploading is not None:
        pod.sidecar._uploading.exception(timeout=10)
    pod.sidecar.look()
    refused = handshake.read(pod.run.refused)
    assert (refused is None) == (says == "")
    if refused is not None:
        assert refused["code"] == 64
        assert says in refused["message"]


@pytest.mark.parametrize("spoil", [as_file, removed, replaced, with_folder])
def test_a_model_is_taken_whatever_the_last_checkpoint_is(spoil: Callable[[Pod], None], pod: Pod) -> None:
    write_model(pod.out)
    spoil(pod)
    assert pod.end()["code"] == 0, pod.cause().message


def test_a_model_is_taken_whatever_became_of_logs_and_progress(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "secretKey").write_text("hidden")
    write_model(pod.out)
    for path in (pod.run.log(0), pod.run.progress, pod.out / "training.json"):
        path.unlink(missing_ok=True)
        path.symlink_to(tmp_path / "secretKey")
    assert pod.end()["code"] == 0, pod.cause().message
    assert b"is a link" in pod.store.get(f"{pod.job.prefix}logs/rank-0.log")


def test_the_description_may_be_left_as_the_exporter_writes_it(pod: Pod) -> None:
    write_model(pod.out)
    (pod.out / "package.json").write_bytes(canonical_json(description()))
    assert pod.end()["code"] == 0
