"""Runs every process of Bramble once, on loopback.

The processes get none of the variables that keep libraries silent: Bramble's own code must set them. They also get none of those by which
a library notices a test or a build server and is silent on its own. The results of a step are tested elsewhere; here each only has to end
well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.jobs.base import Job
from bramble.contracts.jobs.snapshot import Checks, SnapshotJob, Source, Splits
from bramble.contracts.pod import TELEMETRY_OFF
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import StoreConfig, run_prefix
from bramble_workloads.store import Store
from tests.ports import free_port
from tests.unit.telemetry.recorder import Destination, Recorder
from tests.unit.workloads import s3
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.graphs import exported
from tests.unit.workloads.models import build_package, digits, digits_graph
from tests.unit.workloads.pods import STEPS, codes, pods, train_job
from tests.unit.workloads.steps import convert_job, evaluate_job

NOTICED = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "ORT_RUNNING_UNIT_TESTS", "DO_NOT_TRACK", "PYTEST_CURRENT_TEST")
PICTURES = 100

LOAD_A_GRAPH = """
import sys
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
sys.stdin.read()
"""
ASK_FOR_A_NAME = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.getaddrinfo("bramble.example", 443)
"""
KUBECONFIG = """
current-context: nowhere
contexts: [{{name: nowhere, context: {{cluster: nowhere, user: nobody}}}}]
clusters: [{{name: nowhere, cluster: {{server: "https://127.0.0.1:{port}"}}}}]
users: [{{name: nobody, user: {{token: none}}}}]
"""


Scene = Callable[["Ground"], Coroutine[Any, Any, None]]


class Seen(NamedTuple):
    """How a scene ended, where its processes tried to go, and what they left in their home."""

    error: str
    destinations: tuple[Destination, ...]
    files: tuple[str, ...]


class Ground:
    """A store with a dataset, and a folder for each step."""

    def __init__(self, folder: Path, store: Store, config: StoreConfig, recorder: Recorder) -> None:
        self.folder, self.store, self.config, self.recorder = folder, store, config, recorder
        self.manifest, blobs = dataset(PICTURES)
        self.blobs = blobs
        for content in blobs.values():
            store.put_blob(content)
        package, package_blobs = exported(digits_graph())
        for content in package_blobs.values():
            store.put_blob(content)
        self.exported = document_digest(package)
        self.packages = [build_package(digits_graph(scale)) for scale in (1.0, 1.01)]

    def step(self, job: Job) -> None:
        """Run a step that has the store's Secret."""
        name: str = job.step  # type: ignore[attr-defined]
        folder = self.folder / name
        secret = folder / "secret"
        secret.mkdir(parents=True)
        keys = {"endpoint": self.config.endpoint, "bucket": self.config.bucket, "prefix": self.config.prefix}
        for key, value in (keys | {"accessKey": self.config.access_key, "secretKey": self.config.secret_key}).items():
            (secret / key).write_text(value)
        (folder / "job.json").write_bytes(canonical_json(job))
        where = {
            "BRAMBLE_JOB_FILE": str(folder / "job.json"),
            "BRAMBLE_STORE_FOLDER": str(secret),
            "BRAMBLE_TERMINATION_LOG": str(folder / "termination"),
        }
        subprocess.run([*STEPS, name], env=os.environ | where, check=True)


async def snapshot(ground: Ground) -> None:
    for number, (content, label) in enumerate(zip(*digits(), strict=True)):
        if number < PICTURES:
            ground.store.put(f"raw/{label}/{number:04}.png", content)
    ground.step(
        SnapshotJob(
            object=ObjectRef(kind="Dataset", namespace="ns", name="digits", uid="u"),
            attempt=1,
            prefix=run_prefix("Dataset", "ns", "digits", "u", "snapshot", 1),
            task="image-classification",
            sources=(Source(name="scans", format="image-folder", prefix="raw/"),),
            splits=Splits(train=0.7, val=0.15, test=0.15, seed=7),
            checks=Checks(),
        )
    )


async def train(ground: Ground) -> None:
    """Fetch, launcher, ranks and sidecar, with a network of timm's."""
    network = {"task": "image-classification", "architecture": "test_resnet", "imageSize": 32, "channels": "RGB"}
    job = train_job(ground.manifest, nodes=1, builtin=network, hyperparameters={"epochs": 1, "batchSize": 32, "learningRate": 0.003})
    with pods(job, ground.config, ground.folder / "train") as made:
        if codes(made) != [0]:
            raise AssertionError(made[0].log())


async def evaluate(ground: Ground) -> None:
    ground.step(evaluate_job(package=ground.exported, manifest=ground.manifest))


async def convert(ground: Ground) -> None:
    variants = ({"name": "fp32"}, {"name": "int8", "precision": "int8", "calibrationSamples": 8})
    ground.step(convert_job(*variants, package=ground.exported, manifest=ground.manifest))


async def serve(ground: Ground) -> None:
    """An agent that serves a model and tries another one in a process of its own."""
    gateway, folder = FakeGateway(), ground.folder / "serve"
    folder.mkdir()
    await gateway.start()
    stable, candidate = (gateway.add(*package) for package in ground.packages)
    agent = Agent(gateway, folder)
    try:
        gateway.assign(stable)
        await agent.start()
        await agent.serves(stable)
        status, answer = await agent.infer(digits()[0][0])
        if status != 200:
            raise AssertionError(answer)
        gateway.assign(stable, candidate)
        await agent.serves(candidate)
        await agent.stop()
    finally:
        await agent.kill()
        await gateway.stop()


async def benchmark(ground: Ground) -> None:
    """A benchmark's pod, with the process that measures."""
    gateway, folder = FakeGateway(), ground.folder / "benchmark"
    folder.mkdir()
    await gateway.start()
    gateway.blobs.update(ground.blobs)
    package = gateway.add(*ground.packages[0])
    owner = {"kind": "ModelVersion", "namespace": "ads", "name": "digits-1-0-0", "uid": "uid-1"}
    job = {"step": "benchmark", "object": owner, "attempt": 1, "prefix": "runs/modelversion/ads/digits-1/uid-1/benchmark/1/"}
    job |= {"board": "virtual", "fleet": "rooms", "gateway": {"url": gateway.url}, "packages": [package], "reference": package}
    (folder / "job.json").write_bytes(canonical_json(job | {"manifest": ground.manifest, "iterations": 2, "warmup": 1}))
    (folder / "token").write_text("pod-token")
    where = {
        "BRAMBLE_JOB_FILE": str(folder / "job.json"),
        "BRAMBLE_TERMINATION_LOG": str(folder / "termination"),
        "BRAMBLE_GATEWAY_TOKEN": str(folder / "token"),
        "NODE_NAME": "pi-bench",
    }
    process = await asyncio.create_subprocess_exec(*STEPS, "benchmark", env=os.environ | where)
    code = await process.wait()
    await gateway.stop()
    if code != 0:
        raise AssertionError(f"the benchmark ended with code {code}")


async def operate(ground: Ground) -> None:
    """An operator that asks an API server which is not there, until it is asked to leave."""
    folder, port = ground.folder / "operate", free_port()
    folder.mkdir()
    (folder / "kubeconfig").write_text(KUBECONFIG.format(port=port))
    image = "bramble.local/image@sha256:" + "0" * 64
    settings = {
        "KUBECONFIG": str(folder / "kubeconfig"),
        "BRAMBLE_NAMESPACE": "bramble",
        "BRAMBLE_IMAGES_TRAIN": image,
        "BRAMBLE_IMAGES_CONVERT": image,
        "BRAMBLE_IMAGES_EDGE": image,
        "BRAMBLE_GATEWAY_URL": f"https://127.0.0.1:{port}",
        "BRAMBLE_HTTP_PORT": str(free_port()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bramble", "operator", env=os.environ | settings, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    seen = b""
    async with asyncio.timeout(60):
        while b"127.0.0.1" not in seen and (line := await process.stderr.readline()):
            seen += line
    await asyncio.sleep(1)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        await process.communicate()
    if b"127.0.0.1" not in seen:
        raise AssertionError(seen.decode())


async def onnx_runtime_alone(ground: Ground) -> None:
    """A program of somebody else's that loads a graph and does not set the variable. It reports after ten seconds."""
    graph = ground.folder / "graph.onnx"
    graph.write_bytes(digits_graph())
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOAD_A_GRAPH, str(graph), stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    try:
        await asyncio.to_thread(ground.recorder.wait_for, "dns")
    finally:
        process.stdin.close()
        await process.wait()


async def a_name(ground: Ground) -> None:
    """A program that asks for the address of a name."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ASK_FOR_A_NAME, cwd=ground.folder)
    await process.wait()


SCENES: tuple[Scene, ...] = (snapshot, train, evaluate, convert, serve, benchmark, operate, onnx_runtime_alone, a_name)


def run(folder: Path, recorder: Recorder) -> Iterator[tuple[str, Seen]]:
    """Run every scene, one after the other."""
    (folder / "s3").mkdir()
    with s3.server(folder / "s3") as config:
        ground = Ground(folder, Store(config), config, recorder)
        for name in (*TELEMETRY_OFF, *NOTICED):
            os.environ.pop(name, None)
        recorder.take()
        for scene in SCENES:
            home = folder / f"home-{scene.__name__}"
            home.mkdir()
            os.environ["HOME"] = str(home)
            error = ""
            try:
                asyncio.run(scene(ground))
            except Exception:  # noqa: BLE001 - it is the test of that scene that fails
                error = traceback.format_exc()
            files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
            yield scene.__name__, Seen(error, tuple(sorted(recorder.take())), tuple(files))
