"""A training run without a cluster: for each node the three containers of its pod, as processes, over loopback and a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble.contracts.cause import Cause
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.train import TrainJob
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import StoreConfig, cause_key, run_prefix
from bramble_workloads.errors import Missing
from bramble_workloads.store import Store
from tests.ports import free_port
from tools.cluster.waiting import wait

ROOT = Path(__file__).resolve().parents[3]
LONG = 300.0
"""For what takes seconds on an idle machine."""
EXCEPTION_CODES = {1, 134}
"""Of a script that leaves by an exception with its process group as it is: gloo's threads may then abort it."""
STEPS = [sys.executable, "-W", "error", "-m", "bramble_workloads"]


def train_job(manifest: str, attempt: int = 1, **fields: Any) -> TrainJob:
    """Two nodes of one process each, on this machine."""
    values: dict[str, Any] = {
        "object": ObjectRef(kind="TrainingRun", namespace="ns", name="digits", uid="uid-1"),
        "attempt": attempt,
        "prefix": run_prefix("TrainingRun", "ns", "digits", "uid-1", "train", attempt),
        "manifest": manifest,
        "nodes": 2,
        "engine_settings": {"master": "127.0.0.1", "port": free_port()},
        "model": "digits",
        "version": "1.0.0",
        "seed": 7,
    }
    if "container" not in fields:
        values["builtin"] = {"task": "image-classification", "architecture": "small-cnn", "imageSize": 16, "channels": "L"}
        values["hyperparameters"] = {"epochs": 2, "batchSize": 8, "learningRate": 0.003}
    return TrainJob.model_validate(values | fields)


@dataclass
class Pod:
    """One node's processes; `train` is started by `start`."""

    job: TrainJob
    rank: int
    folder: Path
    environment: dict[str, str]
    fetch_code: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self.folder)

    def log(self, name: str = "train") -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def children(self) -> list[int]:
        """Processes that the launcher started and has not yet reaped, oldest first."""
        listed = Path(f"/proc/{self.processes['train'].pid}/task/{self.processes['train'].pid}/children")
        try:
            return [int(pid) for pid in listed.read_text().split()]
        except OSError:  # it has ended
            return []


def mount(config: StoreConfig, folder: Path) -> Path:
    """Write the store's Secret as a pod has it mounted; a Secret that is there is changed."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"endpoint": config.endpoint, "bucket": config.bucket, "accessKey": config.access_key, "secretKey": config.secret_key}
    for name, value in (keys | {"prefix": config.prefix}).items():
        (folder / name).write_text(value)
    return folder


def environment(folder: Path, secret: Path, rank: int) -> dict[str, str]:
    """The variables of a pod whose files are in `folder`."""
    return os.environ | {
        "BRAMBLE_JOB_FILE": str(folder / "job.json"),
        "BRAMBLE_STORE_FOLDER": str(secret),
        "BRAMBLE_DATA_FOLDER": str(folder / "data"),
        "BRAMBLE_RUN_FOLDER": str(folder / "run"),
        "BRAMBLE_TERMINATION_LOG": str(folder / "termination"),
        "JOB_COMPLETION_INDEX": str(rank),
        "NODE_NAME": f"gpu-{rank}",
        "POD_NAME": f"digits-{rank}",
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def pods(job: TrainJob, config: StoreConfig, folder: Path, extra: dict[str, str] | None = None) -> Iterator[list[Pod]]:
    """Fetched, with sidecar and launcher running; all ended afterwards."""
    secret = mount(config, folder / "secret")
    (folder / "job.json").write_text(job.model_dump_json(by_alias=True, exclude_none=True))
    made = []
    for rank in range(job.nodes):
        own = folder / f"node-{rank}"
        own.mkdir()
        variables = environment(own, secret, rank) | {"BRAMBLE_JOB_FILE": str(folder / "job.json"), **(extra or {})}
        made.append(Pod(job, rank, own, variables))
    try:
        for pod in made:
            pod.start("sidecar", [*STEPS, "sidecar"])
            pod.start("fetch", [*STEPS, "fetch"])
        for pod in made:
            pod.fetch_code = pod.processes["fetch"].wait(LONG)
            if pod.fetch_code == 0:
                pod.start("train", [sys.executable, str(pod.run / "launch")])
        yield made
    finally:
        for pod in made:
            for process in pod.processes.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()


def codes(made: list[Pod], seconds: float = LONG) -> list[int]:
    """Exit codes of the trainers' containers, in order of node."""
    deadline = time.monotonic() + seconds
    try:
        return [pod.processes["train"].wait(max(0.1, deadline - time.monotonic())) for pod in made]
    except subprocess.TimeoutExpired as error:
        raise AssertionError(_logs(made)) from error


def until(condition: Callable[[], bool], seconds: float, made: list[Pod]) -> None:
    """Until the condition holds; fails with every log."""
    wait(condition, seconds, lambda: _logs(made), interval=0.02)


def _logs(made: list[Pod]) -> str:
    return "\n".join(f"--- node {pod.rank}\n{pod.log()}\n{pod.log('sidecar')}" for pod in made)


def causes(store: Store, job: TrainJob) -> dict[int, Cause]:
    """What each node said, by node rank."""
    found = {}
    for rank in range(job.nodes):
        try:
            found[rank] = Cause.model_validate_json(store.get(cause_key(job.prefix, rank)))
        except Missing:
            continue
    return found


def termination(pod: Pod) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((pod.folder / "termination").read_text())
    return document


__all__ = ["ROOT", "ExitCode", "Pod", "causes", "codes", "environment", "mount", "pods", "termination", "train_job", "until"]
