"""Whole training runs, each pod's three containers as processes over loopback and a real S3 server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bramble.contracts.base import Digest
from bramble.contracts.canonical import digest_of
from bramble.contracts.cause import first_cause
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.jobs.train import TrainJob, TrainResult
from bramble.contracts.package import Package
from bramble.contracts.store import StoreConfig, blob_key, checkpoints_prefix, log_key, result_key
from bramble_workloads.processing.model import Model
from bramble_workloads.store import Store
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.models import digits
from tests.unit.workloads.pods import EXCEPTION_CODES, LONG, ROOT, ExitCode, Pod, causes, codes, pods, termination, train_job, until
from tools.cluster.node import command_of

SCRIPT = (sys.executable, str(ROOT / "tests/programs/plain_pytorch.py"))
CAUSE_SECONDS = 30.0
"""From a rank's end until its cause is in the store, at the very most; the figure itself is measured by benchmarks/status_delay.py."""

pytestmark = pytest.mark.timeout(900)


WANTED = {"epochs": 16, "batchSize": 8, "learningRate": 0.005, "augment": {"shift": 0.1}}


@pytest.fixture
def manifest(store: Store) -> Digest:
    return frozen(store)


def frozen(store: Store) -> Digest:
    """Put a dataset into the store."""
    digest, blobs = dataset(300)
    pictures = {digest_of(picture) for picture in digits()[0]}
    for name, content in blobs.items():
        if name not in pictures:  # they are in the shards
            store.put(blob_key(name), content)
    return digest


def result(store: Store, prefix: str) -> TrainResult:
    found = ResultFile.parse(store.get(result_key(prefix)))
    assert isinstance(found, TrainResult)
    return found


def script(faults: dict[str, str] | None = None, epochs: int = 30, command: tuple[str, ...] = SCRIPT) -> dict[str, Any]:
    return {"container": {"command": command}, "hyperparameters": {"epochs": epochs, "faults": faults or {}}}


def script_of(made: list[Pod], node: int) -> int:
    """The process of a node's one rank that runs the script, once it is there. Importing torch starts other children for a moment."""
    until(lambda: bool(_scripts(made[node])), LONG, made)
    return _scripts(made[node])[0]


def _scripts(pod: Pod) -> list[int]:
    return [pid for pid in pod.children() if SCRIPT[1] in command_of(pid)]


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):  # it is reaped, before this or during it
        return True


def wait_for_cause(made: list[Pod], store: Store, node: int, pid: int) -> None:
    """Until a process has ended, and then until its node's cause is in the store."""
    until(lambda: _has_ended(pid), LONG, made)
    until(lambda: node in causes(store, made[0].job), CAUSE_SECONDS, made)


class Trained(NamedTuple):
    """A run of two nodes that went to its end, and what its first pod left."""

    config: StoreConfig
    job: TrainJob
    termination: dict[str, Any]

    @property
    def store(self) -> Store:
        return Store(self.config)


@pytest.fixture(scope="module")
def trained(s3_config: StoreConfig, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = s3_config._replace(prefix="ns-trained/")
    job = train_job(frozen(Store(config)), hyperparameters=WANTED)
    with pods(job, config, tmp_path_factory.mktemp("trained")) as made:
        assert codes(made) == [0, 0], [pod.log() for pod in made]
        return Trained(config, job, termination(made[0]))


def test_two_nodes_make_a_package_that_serves(trained: Trained) -> None:
    store, job = trained.store, trained.job
    found = result(store, job.prefix)
    assert trained.termination == {
        "code": 0,
        "key": result_key(job.prefix),
        "message": "",
        "sha256": digest_of(store.get(result_key(job.prefix))),
    }
    assert (found.epochs, found.world_size, found.device) == (16, 2, "cpu")
    package = Package.model_validate_json(store.get_blob(found.package))
    assert (package.model, package.version, package.lineage.dataset, package.lineage.seed) == ("digits", "1.0.0", job.manifest, 7)
    model = Model.load(package, store.get_blob(package.files["model"].sha256))
    pictures, labels = digits()
    right = [
        model.predict(picture).answer.truth().stratum == label for picture, label in zip(pictures[300:500], labels[300:500], strict=True)
    ]
    assert sum(right) / len(right) > 0.7, "a processor that rounds otherwise gives another model, and none as bad as this"
    assert b"epoch 16/16" in store.get(log_key(job.prefix, 0))
    assert causes(store, job) == {}


@pytest.mark.parametrize(("fault", "ends"), [("exception", EXCEPTION_CODES), ("exception abort", {134})])
def test_an_exception_in_rank_1_is_the_first_cause_and_not_what_it_did_to_rank_0(
    fault: str, ends: set[int], store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, **script({"1": fault}))
    with pods(job, store_config, tmp_path) as made:
        wait_for_cause(made, store, 1, script_of(made, 1))
        assert codes(made)[1] == 1
    found = causes(store, job)
    first = first_cause(found.values())
    assert first is not None
    assert (first.kind, first.rank, first.node_rank, first.node) == ("Error", 1, 1, "gpu-1")
    assert first.exit_code in ends
    assert "ValueError: boom: the label 13 is not a class" in first.message
    assert any("raise ValueError" in line for line in first.lines)
    assert found[0].kind == "PeerLost"


def test_a_rank_killed_from_outside_is_told_by_its_signal(
    store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, **script({"0": "hang", "1": "hang"}))
    with pods(job, store_config, tmp_path) as made:
        until(lambda: "step 2 done" in made[1].log(), LONG, made)
        rank = script_of(made, 1)
        os.kill(rank, signal.SIGKILL)
        wait_for_cause(made, store, 1, rank)
        made[0].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN, 1]
    first = first_cause(causes(store, job).values())
    assert first is not None
    assert (first.kind, first.rank, first.signal, first.exit_code) == ("Signal", 1, "SIGKILL", 137)


def test_codes_that_a_script_leaves_with_are_the_pods(store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path) -> None:
    leave = "import os, sys; sys.exit(65 if os.environ['RANK'] == '1' else 0)"
    job = train_job(manifest, nodes=1, processes_per_node=2, **script(command=(sys.executable, "-c", leave)))
    with pods(job, store_config, tmp_path) as made:
        assert codes(made) == [ExitCode.BAD_DATA]
        assert termination(made[0])["code"] == ExitCode.BAD_DATA
    found = causes(store, job)[0]
    assert (found.kind, found.rank, found.exit_code) == ("BadData", 1, 65)


def test_a_plain_script_makes_a_package_too(store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path) -> None:
    job = train_job(manifest, nodes=1, processes_per_node=2, **script())
    with pods(job, store_config, tmp_path) as made:
        assert codes(made) == [0], made[0].log()
    found = result(store, job.prefix)
    assert found.epochs == 30
    assert Package.model_validate_json(store.get_blob(found.package)).outputs[0].name == "y"


def test_a_hyperparameter_nobody_knows_is_a_spec_error_with_the_names_there_are(
    store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, nodes=1, hyperparameters={"epoch": 3})
    with pods(job, store_config, tmp_path) as made:
        assert codes(made) == [ExitCode.SPEC_ERROR]
    found = causes(store, job)[0]
    assert found.kind == "SpecError"
    assert "epoch is not known; there are epochs, batchSize, learningRate" in found.message


def without_a_first_line(folder: Path) -> tuple[str, ...]:
    (folder / "train.py").write_text("print('hello')\n")
    (folder / "train.py").chmod(0o755)
    return (str(folder / "train.py"),)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        pytest.param(lambda _: ("no-such-program",), "cannot be run in this image: there is no such file", id="missing"),
        pytest.param(lambda _: (sys.executable, "-c", "pass"), "wrote no model.onnx", id="no model"),
        pytest.param(without_a_first_line, "begin it with #!/usr/bin/env python3", id="a script without an interpreter"),
        pytest.param(
            lambda _: (sys.executable, "-c", "x" * 140_000), "too long for Linux", id="an argument of 140 KB", marks=pytest.mark.chaos
        ),
        pytest.param(lambda _: (sys.executable, "-c", "a\0b"), "has a NUL character", id="a NUL", marks=pytest.mark.chaos),
        pytest.param(lambda _: ("/tmp",), "is not executable", id="a folder", marks=pytest.mark.chaos),
    ],
)
def test_a_command_that_cannot_give_a_model_is_a_spec_error(
    made: Callable[[Path], tuple[str, ...]], says: str, store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, nodes=1, **script(command=made(tmp_path)))
    with pods(job, store_config, tmp_path) as nodes:
        assert codes(nodes) == [ExitCode.SPEC_ERROR], nodes[0].log()
    assert says in causes(store, job)[0].message


def test_a_run_resumed_after_a_loss_ends_as_if_nothing_had_happened(trained: Trained, tmp_path: Path) -> None:
    """And though its two ranks are on one node now."""
    store, whole = trained.store, trained.job
    ranks = {"nodes": 1, "processes_per_node": 2}
    lost = train_job(whole.manifest, attempt=2, hyperparameters=WANTED, **ranks)
    with pods(lost, trained.config, tmp_path / "lost") as made:
        until(lambda: any((made[0].run / "checkpoints").glob("step-*")), LONG, made)
        rank = made[0].children()[-1]
        os.kill(rank, signal.SIGSTOP)  # nothing goes on until a checkpoint is in the store
        until(lambda: any(entry.key.endswith(".json") for entry in store.list(checkpoints_prefix(lost.prefix) + "step-")), LONG, made)
        os.kill(rank, signal.SIGKILL)
        assert codes(made) != [0]
    missing = whole.prefix + "nothing-there/"
    again = train_job(whole.manifest, attempt=3, hyperparameters=WANTED, resume_from=(lost.prefix, missing), **ranks)
    with pods(again, trained.config, tmp_path / "again") as made:
        assert "checkpoint of step" in made[0].log("fetch")
        assert codes(made) == [0]
    assert result(store, again.prefix).weights == result(store, whole.prefix).weights


@pytest.mark.chaos
@pytest.mark.parametrize(("nodes", "processes"), [pytest.param(1, 1, id="with one rank"), pytest.param(1, 3, id="with three ranks")])
def test_a_run_of_two_ranks_resumes_with_another_number_of_ranks(
    nodes: int, processes: int, store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    wanted = {"epochs": 12, "batchSize": 8, "learningRate": 0.003}
    stopped = train_job(manifest, attempt=1, hyperparameters=wanted)
    with pods(stopped, store_config, tmp_path / "stopped") as made:
        until(lambda: has_closed_an_epoch(made), LONG, made)
        made[1].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN] * 2
    again = train_job(manifest, attempt=2, nodes=nodes, processes_per_node=processes, hyperparameters=wanted, resume_from=(stopped.prefix,))
    with pods(again, store_config, tmp_path / "again") as made:
        assert "checkpoint of step" in made[0].log("fetch")
        assert codes(made) == [0] * nodes, made[0].log()
    found = result(store, again.prefix)
    assert (found.epochs, found.world_size) == (12, nodes * processes)


STEPPING = {"epochs": 500, "batchSize": 1, "learningRate": 0.003}
"""Many short steps: the run never ends by itself while a test looks."""


def has_stepped(made: list[Pod]) -> bool:
    return (made[0].run / "progress.jsonl").exists()


def has_started_ranks(made: list[Pod]) -> bool:
    return all(pod.children() for pod in made)


def has_closed_an_epoch(made: list[Pod]) -> bool:
    return "epoch 1/" in made[0].log()


def writes_a_checkpoint(made: list[Pod]) -> bool:
    return any((made[0].run / "checkpoints").glob("*step-*"))


@pytest.mark.parametrize(
    ("nodes", "processes", "moment"),
    [
        pytest.param(1, 1, has_stepped, id="one rank, within an epoch"),
        pytest.param(2, 1, has_stepped, id="two ranks, within an epoch"),
        pytest.param(2, 2, has_closed_an_epoch, id="four ranks, at the end of an epoch"),
        pytest.param(2, 1, has_closed_an_epoch, id="two ranks, at the end of an epoch", marks=pytest.mark.chaos),
        pytest.param(2, 2, has_stepped, id="four ranks, within an epoch", marks=pytest.mark.chaos),
        pytest.param(1, 1, writes_a_checkpoint, id="one rank, while a checkpoint uploads", marks=pytest.mark.chaos),
        pytest.param(2, 1, writes_a_checkpoint, id="two ranks, while a checkpoint uploads", marks=pytest.mark.chaos),
        pytest.param(2, 2, writes_a_checkpoint, id="four ranks, while a checkpoint uploads", marks=pytest.mark.chaos),
    ],
)
def test_all_ranks_stop_after_the_same_step_when_a_pod_is_asked_to_end(
    nodes: int,
    processes: int,
    moment: Callable[[list[Pod]], bool],
    store: Store,
    store_config: StoreConfig,
    manifest: Digest,
    tmp_path: Path,
) -> None:
    job = train_job(manifest, nodes=nodes, processes_per_node=processes, hyperparameters=STEPPING)
    with pods(job, store_config, tmp_path) as made:
        until(lambda: moment(made), LONG, made)
        made[-1].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN] * nodes
        newest = max(int(path.name.removeprefix("step-")) for path in (made[0].run / "checkpoints").glob("step-*"))
    assert store.stat(f"{checkpoints_prefix(job.prefix)}step-{newest}.json"), "the last checkpoint was not uploaded"
    found = causes(store, job)
    assert {rank: each.kind for rank, each in found.items()} == {**dict.fromkeys(range(nodes), "Terminated"), nodes - 1: "Disrupted"}
    assert "the pod was asked to end (SIGTERM)" in found[nodes - 1].message
    for rank in range(nodes - 1):
        assert "stopped after the same step as rank" in found[rank].message


@pytest.mark.parametrize(
    ("nodes", "processes"),
    [
        pytest.param(2, 1, id="two ranks"),
        pytest.param(1, 1, id="one rank", marks=pytest.mark.chaos),
        pytest.param(2, 2, id="four ranks", marks=pytest.mark.chaos),
    ],
)
def test_a_pod_that_is_asked_to_end_at_its_start_is_a_disruption(
    nodes: int, processes: int, store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, nodes=nodes, processes_per_node=processes, hyperparameters=STEPPING)
    with pods(job, store_config, tmp_path) as made:
        until(lambda: has_started_ranks(made), LONG, made)
        for pod in reversed(made):  # the Job controller deletes the others as soon as one has ended
            pod.processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN] * nodes
    first = first_cause(causes(store, job).values())
    assert first is not None
    assert first.kind == "Disrupted"


@pytest.mark.parametrize(
    ("nodes", "processes"),
    [
        pytest.param(1, 1, id="one rank"),
        pytest.param(2, 1, id="two ranks", marks=pytest.mark.chaos),
        pytest.param(2, 2, id="four ranks", marks=pytest.mark.chaos),
    ],
)
def test_a_pod_that_is_asked_to_end_while_it_exports_is_a_disruption(
    nodes: int, processes: int, store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    job = train_job(manifest, nodes=nodes, processes_per_node=processes, hyperparameters={"epochs": 2, "batchSize": 8})
    with pods(job, store_config, tmp_path) as made:
        until(lambda: "epoch 2/2" in made[0].log(), LONG, made)
        made[0].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made)[0] == ExitCode.TRY_AGAIN, made[0].log()
    assert causes(store, job)[0].kind == "Disrupted"


def test_a_script_of_somebody_else_that_raises_when_its_pod_is_asked_to_end_is_disrupted(
    store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path
) -> None:
    raise_at_sigterm = (
        "import signal, sys, time\n"
        "def leave(*_): raise KeyError('not my fault')\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('steps', flush=True)\n"
        "time.sleep(600)"
    )
    job = train_job(manifest, nodes=1, **script(command=(sys.executable, "-c", raise_at_sigterm)))
    with pods(job, store_config, tmp_path) as made:
        until(lambda: "steps" in made[0].log(), LONG, made)
        made[0].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN]
    assert causes(store, job)[0].kind == "Disrupted"


def test_a_sidecar_that_dies_is_made_up_for(store: Store, store_config: StoreConfig, manifest: Digest, tmp_path: Path) -> None:
    job = train_job(manifest, nodes=1, hyperparameters={"epochs": 20, "batchSize": 8})
    with pods(job, store_config, tmp_path) as made:
        until(lambda: "epoch 1/20" in made[0].log(), LONG, made)
        made[0].processes["sidecar"].kill()
        made[0].processes["sidecar"].wait()
        made[0].start("sidecar", [sys.executable, "-m", "bramble_workloads", "sidecar"])
        assert codes(made) == [0]
    assert result(store, job.prefix).epochs == 20
    assert store.stat(f"{checkpoints_prefix(job.prefix)}step-{20 * 23}.json")


def test_a_store_that_refuses_stops_the_run_and_says_so(store_config: StoreConfig, manifest: Digest, tmp_path: Path) -> None:
    job = train_job(manifest)
    with pods(job, store_config._replace(bucket="no-such-bucket"), tmp_path) as made:
        assert [pod.fetch_code for pod in made] == [ExitCode.SPEC_ERROR] * 2
        assert "correct bucket in Secret bramble-store" in made[0].log("fetch")
        assert "correct bucket" in termination(made[0])["message"]


def test_a_missing_dataset_is_bad_data(store: Store, store_config: StoreConfig, tmp_path: Path) -> None:
    job = train_job(digest_of(b"nothing"))
    with pods(job, store_config, tmp_path) as made:
        assert [pod.fetch_code for pod in made] == [ExitCode.BAD_DATA] * 2
    assert "is not in the store" in causes(store, job)[1].message
