"""The built-in program in this process: one rank on the CPU, real digits."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import distributed, nn
from torch._C._distributed_c10d import HashStore
from torch.utils.data import DataLoader

from bramble.contracts.canonical import digest_of
from bramble.contracts.images import Augment
from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import BadData, SpecError, Stopped
from bramble_workloads.processing.model import Model
from bramble_workloads.train import checkpoint, entry, loop, program, samples
from bramble_workloads.train.checkpoint import BEST, STATE, WEIGHTS, Parts, State, steps
from bramble_workloads.train.images import augment
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from tests.unit.workloads.models import digits


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """60 digits to train on and 30 to validate, as fetch lays them out."""
    folder, lines = tmp_path / "data", []
    for number, (content, label) in enumerate(zip(*digits(), strict=True)):
        if number == 90:
            break
        split = "train" if number < 60 else "val"
        file = f"{split}/{label}/{digest_of(content)[7:]}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
        lines.append({"id": digest_of(content), "file": file, "split": split, "label": label, "weight": 1.0, "origin": "x", "meta": {}})
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "manifest.json").write_text(json.dumps({"task": "image-classification", "classes": list("0123456789")}))
    return folder


class Run:
    """One run's folders, and the program in them."""

    def __init__(self, folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._data, self._monkeypatch = folder, data, monkeypatch
        for name in ("checkpoints", "out"):
            (folder / name).mkdir(parents=True)

    def __call__(self, *, architecture: str = "small-cnn", size: int = 16, channels: str = "L", **params: Any) -> int:
        trainer = {"task": "image-classification", "architecture": architecture, "imageSize": size, "channels": channels}
        for name, value in {
            "BRAMBLE_DATA": self._data,
            "BRAMBLE_CHECKPOINTS": self.folder / "checkpoints",
            "BRAMBLE_OUT": self.folder / "out",
            "BRAMBLE_PROGRESS": self.folder / "progress.jsonl",
            "BRAMBLE_SEED": 7,
            "BRAMBLE_TRAINER": json.dumps(trainer),
            "BRAMBLE_PARAMS": json.dumps({"batchSize": 8, "learningRate": 0.005, **params}),
        }.items():
            self._monkeypatch.setenv(name, str(value))
        return entry.main()

    @property
    def weights(self) -> bytes:
        return (self.folder / "out/weights.safetensors").read_bytes()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "progress.jsonl").read_text().splitlines()]

    @property
    def model(self) -> Model:
        description = ModelDescription.model_validate_json((self.folder / "out/package.json").read_bytes())
        return Model.load(description, self.folder / "out/model.onnx")


@pytest.fixture
def run(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path / "run", data, monkeypatch)


@pytest.fixture
def another(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path / "another", data, monkeypatch)


def test_a_run_learns_and_tells_of_it(run: Run) -> None:
    assert run(epochs=12, gradAccumulation=2, clipNorm=1.0, labelSmoothing=0.1, augment={"shift": 0.1, "brightness": 0.1}) == 0
    pictures, labels = digits()
    right = [run.model.predict(picture).answer.truth().stratum == label for picture, label in zip(pictures[:60], labels[:60], strict=True)]
    assert sum(right) / len(right) > 0.8
    first, *rest = run.lines
    assert first["firstStepAt"].endswith("Z")
    assert first["epoch"] == 0
    # not the word at the end, and not those from the middle of an epoch that takes long
    epochs = [line for line in rest if not line["message"] and "accuracy" in line["metrics"]]
    assert [line["epoch"] for line in epochs] == list(range(1, 13))
    assert epochs[-1]["etaSeconds"] == 0
    assert set(epochs[-1]["metrics"]) == {"trainLoss", "trainAccuracy", "loss", "accuracy", "samplesPerSecond"}
    assert epochs[0]["metrics"]["trainLoss"] > epochs[-1]["metrics"]["trainLoss"]


def test_a_run_resumed_between_epochs_is_the_same_run(run: Run, another: Run) -> None:
    wanted: dict[str, Any] = {"epochs": 4, "augment": {"shift": 0.1}}
    run(**wanted)
    another(**wanted)
    assert run.weights == another.weights
    for step, folder in steps(another.folder / "checkpoints"):
        if step > 3 * 8:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    (another.folder / "out/weights.safetensors").unlink()
    another(**wanted)
    assert run.weights == another.weights


def test_sigterm_saves_the_last_step_and_the_next_run_goes_on_from_it(run: Run, another: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, Any] = {"epochs": 3, "augment": {"shift": 0.1}, "optimizer": "sgd", "learningRate": 0.05}
    run(**wanted)
    original = Progress.first_step
    calls = iter(range(1000))

    def leave_at_the_eleventh(self: Progress, epoch: int) -> None:
        original(self, epoch)
        if next(calls) == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Progress, "first_step", leave_at_the_eleventh)
    with pytest.raises(Stopped):
        another(**wanted)
    newest = steps(another.folder / "checkpoints")[-1]
    state = json.loads((newest[1] / STATE).read_text())
    assert (newest[0], state["epoch"], state["consumed"]) == (11, 1, 24)
    told = len(another.lines)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=count(step=10).__next__))  # 10 s pass between two looks at the clock
    another(**wanted)
    assert run.weights == another.weights
    assert another.lines[told]["epoch"] == 1, "the next attempt goes on from there"
    ends = [line for line in another.lines[told:] if "loss" in line["metrics"]]  # not those within an epoch, which come every 3 s
    times = {line["epoch"]: line["etaSeconds"] for line in ends}
    assert times[2] > 20, "the epoch that is left is whole, and this attempt began within the one before"


def test_another_sigterm_does_not_end_a_rank_that_saves_its_last_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher stops the ranks of a node as soon as the first of them has ended, and rank 0 may still be writing."""
    fatal: list[int] = []
    original, before = checkpoint.save, signal.signal(signal.SIGTERM, lambda number, _: fatal.append(number))

    def ask(self: Progress, epoch: int) -> None:
        del self, epoch
        os.kill(os.getpid(), signal.SIGTERM)

    def save(*values: Any) -> Path:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*values)

    monkeypatch.setattr(Progress, "first_step", ask)
    monkeypatch.setattr(checkpoint, "save", save)
    try:
        with pytest.raises(Stopped):
            run(epochs=3)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert fatal == []
    assert steps(run.folder / "checkpoints")[-1][0] == 1


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export takes longer than a short training."""
    monkeypatch.setattr(program, "_export", lambda *_: None)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is rank 0 of two, and its peer, which is not there, does the same as itself."""
    begin = distributed.init_process_group

    def end() -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def alone(*_: Any, **__: Any) -> None:
        end()  # that of a run that was lost
        begin("gloo", store=HashStore(), rank=0, world_size=1)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "init_process_group", alone)
    monkeypatch.setattr(Ranks, "total", lambda _, values: values * 2)
    yield
    end()


@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize(
    ("owner", "name", "call", "saved"),
    [
        pytest.param(torch.Tensor, "backward", 5, 5, id="within a step"),
        pytest.param(Ranks, "share", 1, 8, id="at the end of an epoch"),
    ],
)
def test_a_lost_peer_leaves_the_last_whole_step_with_its_statistics(
    owner: type, name: str, call: int, saved: int, run: Run, another: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {"epochs": 3, "augment": {"shift": 0.1}}
    run(**wanted)
    calls, original = iter(range(1000)), getattr(owner, name)

    def lose(*values: Any) -> Any:
        if next(calls) == call:
            raise RuntimeError("Connection closed by peer [127.0.0.1]:29500")
        return original(*values)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, lose)
        with pytest.raises(RuntimeError):
            another(**wanted)
    assert steps(another.folder / "checkpoints")[-1][0] == saved
    another(**wanted)
    assert run.weights == another.weights


@pytest.mark.usefixtures("no_export")
def test_what_no_step_needs_is_not_done_in_each(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """To seed everything formats stack traces, and the statistics from before a step are needed only where a peer can be lost."""
    seeds, statistics, original = list[int](), list[nn.Module](), torch.manual_seed

    def seed(value: int) -> torch.Generator:
        seeds.append(value)
        return original(value)

    monkeypatch.setattr(torch, "manual_seed", seed)
    monkeypatch.setattr(loop, "Statistics", statistics.append)
    run(epochs=2)
    assert seeds == [7]
    assert statistics == []


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize(
    ("seconds", "saved"),
    [
        pytest.param(0.0, [8, 16, 24, 32, 40, 48], id="which takes no time: each epoch"),
        pytest.param(3.0, [8, 32, 48], id="which takes 3 s: not before 300 s are over, and the last epoch"),
    ],
)
def test_checkpoints_take_no_more_than_a_hundredth_of_the_time(
    seconds: float, saved: list[int], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, found, original = [0.0], list[int](), checkpoint.save

    def save(folder: Path, state: State, parts: Parts) -> Path:
        found.append(state.step)
        now[0] += seconds
        return original(folder, state, parts)

    def step(self: Progress, epoch: int) -> None:
        del self, epoch
        now[0] += 15  # an epoch has 8 steps

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(checkpoint, "save", save)
    monkeypatch.setattr(Progress, "first_step", step)
    run(epochs=6)
    assert found == saved


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more loaders than this machine has cores
@pytest.mark.usefixtures("no_export")
def test_loaders_are_as_many_as_the_rank_has_cores_and_their_number_changes_no_weight(
    run: Run, another: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = list[int]()

    def loader(files: Any, **named: Any) -> DataLoader[Any]:
        workers.append(named["num_workers"])
        return DataLoader(files, **named)

    run(epochs=2)
    monkeypatch.setattr(samples, "KEPT_BYTES", 0)  # too many for memory
    monkeypatch.setattr(samples, "DataLoader", loader)
    monkeypatch.setattr(program, "usable_cores", lambda: 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    another(epochs=2)
    assert workers == [3, 3]  # of train and val, in the first epoch
    folders = [steps(each.folder / "checkpoints")[-1][1] for each in (run, another)]
    assert (folders[0] / WEIGHTS).read_bytes() == (folders[1] / WEIGHTS).read_bytes()


@pytest.mark.usefixtures("no_export")
def test_the_best_weights_are_not_written_twice(run: Run, another: Run) -> None:
    """After an epoch that was the best so far, they are those of the network."""
    run(epochs=1)
    another(epochs=2, earlyStopping={"patience": 9, "metric": "loss", "minDelta": 100})  # the first epoch stays the best
    for each, same in ((run, True), (another, False)):
        folder = steps(each.folder / "checkpoints")[-1][1]
        assert (folder / BEST).samefile(folder / WEIGHTS) is same


def test_early_stopping_ends_a_run_that_no_longer_improves_and_exports_its_best(run: Run) -> None:
    run(epochs=50, learningRate=0.2, earlyStopping={"patience": 2, "metric": "accuracy", "minDelta": 0.02})
    summary = json.loads((run.folder / "out/training.json").read_text())
    assert summary["epochs"] < 50
    told = [line["metrics"] for line in run.lines if not line["message"]]
    accuracies = [metrics["accuracy"] for metrics in told if "accuracy" in metrics]
    assert summary["metrics"]["accuracy"] == accuracies[-3] >= max(accuracies) - 0.02


def test_a_run_resumed_before_it_stops_early_stops_at_the_same_epoch(run: Run, another: Run) -> None:
    wanted: dict[str, Any] = {"epochs": 50, "learningRate": 0.2, "earlyStopping": {"patience": 2, "metric": "accuracy", "minDelta": 0.02}}
    for each in (run, another):
        each(**wanted)
    _, newest = steps(another.folder / "checkpoints")[-1]
    shutil.rmtree(newest)
    (another.folder / "out/weights.safetensors").unlink()
    another(**wanted)
    assert run.weights == another.weights
    summaries = [json.loads((each.folder / "out/training.json").read_text()) for each in (run, another)]
    assert summaries[0]["epochs"] == summaries[1]["epochs"] < 50


def test_an_architecture_of_timm_trains_and_exports(run: Run) -> None:
    assert run(architecture="mobilenetv3_small_050", size=32, channels="RGB", epochs=1, batchSize=30) == 0
    assert run.model.predict(digits()[0][0]).answer.truth().stratum in set("0123456789")


def test_a_dataset_of_another_task_is_a_spec_error(run: Run, data: Path) -> None:
    (data / "manifest.json").write_text(json.dumps({"task": "object-detection", "classes": list("0123456789")}))
    with pytest.raises(SpecError, match=r"task is image-classification and the task of the dataset is object-detection"):
        run(epochs=1)


def test_an_architecture_nobody_knows_is_a_spec_error_with_some_that_are_known(run: Run) -> None:
    with pytest.raises(SpecError, match="architecture 'mobilenet_v9' is not known: there are small-cnn, or one of timm's such as"):
        run(architecture="mobilenet_v9", epochs=1)


def test_a_loss_that_is_no_number_is_a_spec_error_that_says_what_to_lower(run: Run) -> None:
    with pytest.raises(SpecError, match="lower learningRate"):
        run(epochs=2, optimizer="sgd", learningRate=1e30)


def test_a_picture_that_cannot_be_read_is_bad_data_that_names_it(run: Run, data: Path) -> None:
    broken = next((data / "train").rglob("*.png"))
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(BadData, match=broken.name):
        run(epochs=1)


def test_a_picture_of_another_shape_is_cropped_as_on_a_device(run: Run, data: Path) -> None:
    wide = next((data / "train").rglob("*.png"))
    Image.open(wide).resize((20, 8)).save(wide, "PNG")
    assert run(epochs=1) == 0


def test_a_checkpoint_of_another_network_is_bad_data(run: Run, another: Run) -> None:
    run(epochs=1, channels="RGB")
    for _, folder in steps(run.folder / "checkpoints"):
        folder.rename(another.folder / "checkpoints" / folder.name)
    with pytest.raises(BadData, match="checkpoint step-8 does not fit this run"):
        another(epochs=2)


def test_a_checkpoint_holds_no_pickle_that_could_run_code(run: Run, tmp_path: Path) -> None:
    run(epochs=1)

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (_, folder), *_ = steps(run.folder / "checkpoints")
    torch.save({"optimizer": Evil(), "scaler": {}}, folder / checkpoint.OPTIMIZER)
    with pytest.raises(BadData, match="Weights only load failed"):
        run(epochs=2)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("environment", "name"),
    [({"BRAMBLE_GPUS": "1", "BRAMBLE_CPU_ALLOWED": "1"}, "cpu (simulated gpu)"), ({"BRAMBLE_GPUS": "0"}, "cpu")],
)
def test_the_device_says_what_it_is(environment: dict[str, str], name: str) -> None:
    assert Ranks(environment).name == name


def test_gpus_that_are_not_there_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match=r"2 GPUs a node were asked for and torch finds no CUDA here.*accelerator=simulated"):
        Ranks({"BRAMBLE_GPUS": "2", "BRAMBLE_CPU_ALLOWED": "0"})


def test_shifting_moves_every_picture_by_whole_pixels_and_repeats_the_edge() -> None:
    pixels = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(50, 2, 1, 1)
    moved = augment(pixels, Augment(shift=0.125), torch.Generator().manual_seed(0))
    assert moved.shape == pixels.shape
    wanted = set()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            rows = (torch.arange(8) + down).clamp(0, 7)
            columns = (torch.arange(8) + right).clamp(0, 7)
            wanted.add(tuple(pixels[0, 0][rows][:, columns].flatten().tolist()))
    found = {tuple(picture[channel].flatten().int().tolist()) for picture in moved for channel in (0, 1)}
    assert found == wanted


def test_preparing_says_what_is_wrong_before_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_PARAMS", '{"epoch": 3}')
    monkeypatch.setenv("BRAMBLE_TRAINER", '{"task": "image-classification", "architecture": "small-cnn"}')
    found = entry.prepare()
    assert found is not None
    assert found["kind"] == "SpecError"
    monkeypatch.setenv("BRAMBLE_PARAMS", "{}")
    assert entry.prepare() is None


@pytest.mark.parametrize(
    ("architecture", "size", "params", "says"),
    [
        pytest.param("vit_tiny_patch16_224", 32, {}, "cannot take samples of 3x32x32", id="a transformer for another size"),
        pytest.param("resnet18", 32, {"batchSize": 1}, "raise batchSize", id="one sample a batch, which is normalised alone"),
    ],
)
def test_a_network_that_does_not_fit_is_a_spec_error_before_the_first_step(
    architecture: str, size: int, params: dict[str, Any], says: str, run: Run
) -> None:
    with pytest.raises(SpecError, match=says):
        run(architecture=architecture, size=size, channels="RGB", epochs=1, **params)
    assert not (run.folder / "progress.jsonl").exists()


def test_a_network_that_can_be_trained_with_single_samples_is(run: Run) -> None:
    assert run(epochs=1, batchSize=1) == 0
