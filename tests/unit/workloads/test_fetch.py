from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.train import ContainerTrainer, TrainJob
from bramble.contracts.manifest import Manifest
from bramble.contracts.store import blob_key, checkpoints_prefix
from bramble.contracts.tasks.classification import CLASSIFICATION
from bramble_workloads import fetch as fetching
from bramble_workloads.errors import BadData, Corrupt, SpecError
from bramble_workloads.fetch import fetch, launch_plan, restore, write_image_folders
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.launch.plan import LaunchPlan
from bramble_workloads.parallel_map import QUEUED_PER_THREAD
from bramble_workloads.store import Store
from bramble_workloads.train.samples import read_samples
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.pods import train_job

PREFIX = "runs/trainingrun/ns/digits/u/train/1/"


def stocked(store: Store, count: int = 60, **options: Any) -> str:
    digest, blobs = dataset(count, **options)
    for name, content in blobs.items():
        store.put(blob_key(name), content)
    return digest


def laid_out(store: Store, digest: str, folder: Path) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(4) as pool:
        write_image_folders(store, store.get_blob(digest), folder, pool)
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("sharded", [True, False])
def test_a_trainer_sees_train_and_val_and_never_test(sharded: bool, store: Store, tmp_path: Path) -> None:
    samples = laid_out(store, stocked(store, sharded=sharded), tmp_path)
    assert {sample["split"] for sample in samples} == {"train", "val"}
    assert len(samples) == 48
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert files == {sample["file"] for sample in samples}
    for sample in samples:
        assert digest_of((tmp_path / sample["file"]).read_bytes()) == sample["id"]
        assert sample["file"].split("/")[:2] == [sample["split"], sample["label"]]
        assert sample["meta"]["hand"] in {"left", "right"}


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\r", "\n"])
def test_text_that_some_readers_take_for_a_line_end_stays_within_its_line(separator: str, store: Store, tmp_path: Path) -> None:
    title = f"one{separator}two"
    assert {sample["meta"]["title"] for sample in laid_out(store, stocked(store, 20, title=title), tmp_path)} == {title}
    found = read_samples(tmp_path, CLASSIFICATION)
    assert (len(found.train), len(found.val)) == (12, 4)
    assert len((tmp_path / "samples.jsonl").read_text().splitlines()) == 16, "a user's script may split text"


def test_few_shards_wait_in_memory(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = stocked(store)
    document = json.loads(store.get_blob(digest))
    shard = next(shard for shard in document["shards"] if shard["split"] == "train")
    many = store.put_blob(canonical_json({**document, "shards": [shard] * 60}))
    got, most = [0], list[int]()
    get_blob, members = Store.get_blob, fetching._members

    def counted(self: Store, name: str) -> bytes:
        got[0] += name == shard["sha256"]
        return get_blob(self, name)

    def taken(content: bytes) -> Iterator[tuple[str, bytes]]:
        most.append(got[0] - len(most))
        return members(content)

    monkeypatch.setattr(Store, "get_blob", counted)
    monkeypatch.setattr(fetching, "_members", taken)
    laid_out(store, many, tmp_path)
    assert got == [60]
    assert max(most) <= fetching.SHARD_THREADS * QUEUED_PER_THREAD + 1


@pytest.mark.parametrize("name", ["../../../escape.png", "/etc/escape.png", "README"])
def test_a_member_of_a_shard_cannot_leave_its_folder(name: str, store: Store, tmp_path: Path) -> None:
    digest = stocked(store)
    manifest = Manifest.model_validate_json(store.get_blob(digest))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    shard = manifest.shards[0].model_copy(update={"sha256": store.put_blob(buffer.getvalue())})
    evil = store.put_blob(canonical_json(manifest.model_copy(update={"shards": (shard,)})))
    with pytest.raises(BadData, match="which no snapshot writes"):
        laid_out(store, evil, tmp_path / "data")
    assert list(tmp_path.rglob("escape.png")) == []


def test_a_damaged_shard_is_bad_data(store: Store, tmp_path: Path) -> None:
    digest = stocked(store)
    manifest = Manifest.model_validate_json(store.get_blob(digest))
    store.put(blob_key(manifest.shards[0].sha256), b"damaged")
    with pytest.raises(Corrupt):
        laid_out(store, digest, tmp_path)


def checkpoint(store: Store, step: int, prefix: str = PREFIX, *, marker: bool = True, damaged: bool = False) -> None:
    folder = f"{checkpoints_prefix(prefix)}step-{step}"
    content = f"weights of {step}".encode()
    store.put(f"{folder}/model.safetensors", b"damaged" if damaged else content)
    if marker:
        files = {"model.safetensors": {"sha256": digest_of(content), "bytes": len(content)}}
        store.put(f"{folder}.json", json.dumps({"step": step, "files": files}).encode())


OLDER = PREFIX.replace("/1/", "/0/")


@pytest.mark.parametrize(
    ("made", "step"),
    [
        pytest.param([], None, id="none was made"),
        pytest.param([{"step": 9}, {"step": 10}], 10, id="the newest, by number and not by name"),
        pytest.param([{"step": 9}, {"step": 10, "marker": False}], 9, id="without a marker it does not count"),
        pytest.param([{"step": 9}, {"step": 10, "damaged": True}], 9, id="of the newest that is not damaged"),
        pytest.param([{"step": 9, "damaged": True}], None, id="nothing but damage"),
        pytest.param([{"step": 5, "prefix": OLDER}], 5, id="of an earlier attempt"),
        pytest.param([{"step": 5, "prefix": OLDER}, {"step": 7}], 7, id="of the later attempt"),
        pytest.param([{"step": 5, "prefix": OLDER}, {"step": 7, "damaged": True}], 5, id="of the earlier where the later is damaged"),
    ],
)
def test_the_newest_whole_checkpoint_is_restored(made: list[dict[str, Any]], step: int | None, store: Store, tmp_path: Path) -> None:
    for options in made:
        checkpoint(store, **options)
    assert restore(store, [PREFIX, OLDER], tmp_path) == step
    assert [path.name for path in tmp_path.glob("step-*")] == ([f"step-{step}"] if step else [])
    if step:
        assert (tmp_path / f"step-{step}/model.safetensors").read_bytes() == f"weights of {step}".encode()


def test_a_marker_cannot_name_a_file_outside_its_folder(store: Store, tmp_path: Path) -> None:
    marker = {"step": 3, "files": {"../../x": {"sha256": digest_of(b""), "bytes": 0}}}
    store.put(f"{checkpoints_prefix(PREFIX)}step-3.json", json.dumps(marker).encode())
    assert restore(store, [PREFIX], tmp_path / "checkpoints") is None


def test_everything_that_the_launcher_needs_is_there(store: Store, tmp_path: Path) -> None:
    typed = train_job(stocked(store), processes_per_node=4, gpus_per_node=4)
    job = json.loads(typed.model_dump_json(by_alias=True, exclude_none=True))
    run = RunFolder(str(tmp_path / "run"))
    fetch(job, store, tmp_path / "data", run)
    plan = LaunchPlan.read(run.plan, {"JOB_COMPLETION_INDEX": "1"})
    assert (plan.nodes, plan.node_rank, plan.processes, plan.ranks, plan.world_size) == (2, 1, 4, [4, 5, 6, 7], 8)
    assert plan.environment["BRAMBLE_DATA"] == str(tmp_path / "data")
    assert json.loads(plan.environment["BRAMBLE_PARAMS"])["epochs"] == 2
    assert json.loads(Path(plan.environment["BRAMBLE_PARAMS_FILE"]).read_text())["epochs"] == 2
    assert json.loads(plan.environment["BRAMBLE_TRAINER"])["architecture"] == "small-cnn"
    assert (run.root / "launch/__main__.py").is_file()
    assert (run.root / "launch/bramble_launch/main.py").is_file()


def test_hyperparameters_too_long_for_a_variable_are_in_the_file_alone(tmp_path: Path) -> None:
    job = train_job(digest_of(b""), container=ContainerTrainer(command=("python3",)), hyperparameters={"notes": "x" * 140_000})
    plan = launch_plan(json.loads(job.model_dump_json(by_alias=True, exclude_none=True)), tmp_path, RunFolder(str(tmp_path)))
    assert "BRAMBLE_PARAMS" not in plan["environment"]
    assert len(json.loads(Path(plan["environment"]["BRAMBLE_PARAMS_FILE"]).read_text())["notes"]) == 140_000


def test_a_command_and_its_arguments_are_the_plan(tmp_path: Path) -> None:
    job = train_job(digest_of(b""), container=ContainerTrainer(command=("python3", "train.py"), args=("--fast",)))
    plan = launch_plan(json.loads(job.model_dump_json(by_alias=True, exclude_none=True)), tmp_path, RunFolder(str(tmp_path)))
    assert (plan["entry"], plan["command"]) == (None, ["python3", "train.py", "--fast"])
    assert "BRAMBLE_TRAINER" not in plan["environment"]


def test_fetch_knows_the_fields_of_a_training_job() -> None:
    assert {field.alias or name for name, field in TrainJob.model_fields.items()} == fetching.JOB_FIELDS


def test_a_training_job_of_a_later_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = json.loads(train_job(digest_of(b"")).model_dump_json(by_alias=True, exclude_none=True))
    (tmp_path / "job.json").write_text(json.dumps({**job, "ofALaterRelease": 1}))
    monkeypatch.setenv("BRAMBLE_JOB_FILE", str(tmp_path / "job.json"))
    with pytest.raises(SpecError, match="does not know: ofALaterRelease; use a newer image"):
        fetching._read_job()
