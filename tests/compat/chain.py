"""The jobs from pictures to validated variants, each as a process, as its pod runs it: snapshot, train, evaluate, convert."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.convert import ConvertJob, ConvertResult
from bramble.contracts.jobs.evaluate import EvaluateJob, EvaluateResult
from bramble.contracts.jobs.files import AnyResult, ResultFile
from bramble.contracts.jobs.snapshot import Checks, SnapshotJob, SnapshotResult, Source, Splits
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import StoreConfig, result_key, run_prefix
from bramble_workloads.store import Store
from tests.unit.workloads.models import digits
from tests.unit.workloads.pods import STEPS, codes, environment, mount, pods, train_job

PICTURES = 300
HYPERPARAMETERS = {"epochs": 6, "batchSize": 16, "learningRate": 0.005}


@dataclass(frozen=True)
class Outcome:
    """What the jobs made, as far as it does not depend on time; and how long they took."""

    manifest: str
    weights: str | None
    scores: dict[str, Any]
    packages: tuple[str | None, ...]
    seconds: float


def stock(config: StoreConfig) -> None:
    """Upload pictures as an image folder."""
    store = Store(config)
    for number, (content, label) in enumerate(zip(*digits(), strict=True)):
        if number == PICTURES:
            break
        store.put(f"raw/{label}/{number:04}.png", content)


def run_jobs(config: StoreConfig, folder: Path) -> Outcome:
    """Run every job once on a store that has the pictures."""
    began, store = time.monotonic(), Store(config)
    frozen = _step(config, folder / "snapshot", SnapshotJob(**_fields("Dataset", "snapshot"), task="image-classification",
        sources=(Source(name="scans", format="image-folder", prefix="raw/"),), splits=Splits(train=0.7, val=0.15, test=0.15, seed=7),
        checks=Checks()))  # fmt: skip
    assert isinstance(frozen, SnapshotResult)
    job = train_job(frozen.manifest, hyperparameters=HYPERPARAMETERS)
    with pods(job, config, folder / "train") as made:
        assert codes(made) == [0, 0], [pod.log() + pod.log("sidecar") for pod in made]
    trained = ResultFile.parse(store.get(result_key(job.prefix)))
    assert isinstance(trained, TrainResult)
    common = {"package": trained.package, "manifest": frozen.manifest}
    measured = _step(config, folder / "evaluate", EvaluateJob.model_validate({**_fields("TrainingRun", "evaluate"), **common}))
    assert isinstance(measured, EvaluateResult)
    variants = [{"name": "onnx-fp32"}, {"name": "onnx-int8", "precision": "int8"}]
    wanted = {**_fields("ModelVersion", "convert"), **common, "model": "digits", "version": "1.0.0", "variants": variants}
    converted = _step(config, folder / "convert", ConvertJob.model_validate(wanted))
    assert isinstance(converted, ConvertResult)
    packages = tuple(variant.package for variant in converted.variants)
    scores = measured.scores.model_dump(mode="json")
    return Outcome(frozen.manifest, trained.weights, scores, packages, time.monotonic() - began)


def _fields(kind: str, step: str) -> dict[str, Any]:
    owner = ObjectRef(kind=kind, namespace="ns", name="digits", uid="uid-1")
    return {"object": owner, "attempt": 1, "prefix": run_prefix(kind, "ns", "digits", "uid-1", step, 1)}


def _step(config: StoreConfig, folder: Path, job: SnapshotJob | EvaluateJob | ConvertJob) -> AnyResult:
    folder.mkdir(parents=True)
    (folder / "job.json").write_bytes(canonical_json(job))
    variables = environment(folder, mount(config, folder / "secret"), rank=0)
    done = subprocess.run([*STEPS, job.step], env=variables, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return ResultFile.parse(Store(config).get(result_key(job.prefix)))
