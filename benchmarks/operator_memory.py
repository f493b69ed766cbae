"""What the operator holds in memory: 1,000 frozen Datasets with their Jobs, ConfigMaps and pods, and 1,000 ModelVersions that wait.

A real API server, the operator as a process of its own; resident memory once it has settled, at its peak (starting, with kopf's list and
our own), and after full lists. Prints JSON; exits 1 when the peak is above the goal.

Usage: python benchmarks/operator_memory.py [--objects N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.api.dataset import Spec
from bramble.api.labels import ATTEMPT, STEP, owner_labels
from bramble.kinds.dataset.render import inputs_of
from bramble.kinds.jobs.pod_template import container_security, pod_security
from bramble.kube.client import Client
from bramble.kube.config import from_kubeconfig
from bramble.kube.resources import CONFIG_MAP, DATASET, JOB, MODEL_VERSION, POD
from tests.chaos.operator_process import NAMESPACE, OperatorProcess, wait_leads
from tools.cluster import Cluster, Shape
from tools.cluster.kinds import serve_kinds

GOAL_MIB = 300
WHERE = "scale"
AT_A_TIME = 16
RELIST_SECONDS = 20
SETTLED_SECONDS = 10
SPEC: dict[str, Any] = {
    "task": "image-classification",
    "sources": [{"name": "scans", "s3": {"prefix": "digits/1/"}, "format": "image-folder"}],
}
MOMENT = "2026-01-01T00:00:00Z"


def frozen(number: int) -> dict[str, Any]:
    """The status of a Dataset whose snapshot is recorded."""
    version = f"sha256:{number:064x}"
    message = "350 samples in 10 classes, frozen as 89c5e969c954ef18"
    told = [("Ready", "Snapshotted", message), ("Snapshotted", "Snapshotted", message), ("ChecksPassed", "ChecksPassed", "all passed")]
    return {
        "attempt": 1,
        "inputs": inputs_of(Spec.model_validate(SPEC)),
        "version": version,
        "versions": [{"version": version, "attempt": 1, "samples": 350, "at": MOMENT}],
        "passed": True,
        "samples": {"total": 350, "classes": 10, "bytes": 43372, "perClass": {str(digit): 35 for digit in range(10)}},
        "conditions": [
            {"type": type_, "status": "True", "reason": reason, "message": text, "lastTransitionTime": MOMENT, "observedGeneration": 1}
            for type_, reason, text in told
        ],
        "observedGeneration": 1,
        "phase": "Ready",
    }


async def dataset(api: Client, number: int) -> None:
    """A frozen Dataset and the children that its snapshot left."""
    name = f"d-{number}"
    metadata = {"name": name, "namespace": WHERE}
    made = await api.create(DATASET, {"apiVersion": DATASET.api_version, "kind": "Dataset", "metadata": metadata, "spec": SPEC})
    await api.replace_status(DATASET, {**made, "status": frozen(number)})
    labels = {**owner_labels("Dataset", name, made["metadata"]["uid"]), STEP: "snapshot", ATTEMPT: "1"}
    child = {"name": f"{name}-snapshot-1", "namespace": WHERE, "labels": labels}
    data = {"job.json": "x" * 1500, "ca.crt": "y" * 1200}
    await api.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": child, "data": data})
    command = ["python", "-m", "bramble_workloads", "snapshot"]
    image = f"bramble.local/convert@sha256:{0:064}"
    container = {"name": "step", "image": image, "command": command, "securityContext": container_security()}
    pod = {"restartPolicy": "Never", "containers": [container], "securityContext": pod_security()}
    template = {"metadata": {"labels": labels}, "spec": pod}
    await api.create(JOB, {"apiVersion": "batch/v1", "kind": "Job", "metadata": child, "spec": {"backoffLimit": 0, "template": template}})
    created = await api.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": {**child, "name": f"{name}-snapshot-1-x"}, "spec": pod})
    terminated = {"exitCode": 0, "reason": "Completed", "message": "x" * 200, "startedAt": MOMENT, "finishedAt": MOMENT}
    fields = {"image": "i", "imageID": "i", "ready": False, "restartCount": 0}
    statuses = [{"name": "step", **fields, "state": {"terminated": terminated}}]
    await api.replace_status(POD, {**created, "status": {"phase": "Succeeded", "containerStatuses": statuses}})


async def model_version(api: Client, number: int) -> None:
    """A ModelVersion that waits for its TrainingRun."""
    variants = [{"name": "onnx-fp32", "format": "onnx"}, {"name": "onnx-int8", "format": "onnx", "precision": "int8"}]
    spec = {"model": "digits", "version": f"{number}.0.0", "source": {"trainingRunRef": {"name": "later"}}, "variants": variants}
    metadata = {"name": f"digits-{number}-0-0", "namespace": WHERE}
    await api.create(MODEL_VERSION, {"apiVersion": MODEL_VERSION.api_version, "kind": "ModelVersion", "metadata": metadata, "spec": spec})


async def stock(cluster: Cluster, objects: int) -> None:
    """All the objects, some at a time."""
    turn = asyncio.Semaphore(AT_A_TIME)
    async with Client(from_kubeconfig(Path(cluster.env["KUBECONFIG"]))) as api:

        async def make(kind: Any, number: int) -> None:
            async with turn:
                await kind(api, number)

        await asyncio.gather(*(make(kind, number) for number in range(objects) for kind in (dataset, model_version)))


def resident(process: int) -> dict[str, int]:
    """MiB now and at the peak (proc(5))."""
    status = Path(f"/proc/{process}/status").read_text()
    found = {name: re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "VmHWM")}
    return {name: int(match.group(1)) // 1024 for name, match in found.items() if match is not None}


def settled(operator: OperatorProcess, seconds: float) -> dict[str, Any]:
    """Watch it until its memory has stood still over full lists."""
    assert operator.process is not None
    process, taken = operator.process.pid, list[int]()
    until = time.monotonic() + seconds
    while time.monotonic() < until and operator.ended is None:
        time.sleep(SETTLED_SECONDS)
        taken.append(resident(process)["VmRSS"])
    ticks = Path(f"/proc/{process}/stat").read_text().split()
    cpu = (int(ticks[13]) + int(ticks[14])) / os.sysconf("SC_CLK_TCK")
    return {"mib": taken, "settled_mib": taken[-1], "peak_mib": resident(process)["VmHWM"], "cpu_seconds": round(cpu, 1)}


def measure(objects: int) -> dict[str, Any]:
    """Start, stock, run, look."""
    with Cluster.up(Shape(api_only=True)) as cluster, tempfile.TemporaryDirectory() as folder:
        serve_kinds(cluster)
        for name in (NAMESPACE, WHERE):
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        asyncio.run(stock(cluster, objects))
        operator = OperatorProcess(cluster, Path(folder), settings={"relist_seconds": str(RELIST_SECONDS), "status_seconds": "10"})
        try:
            operator.start()
            wait_leads(operator, 60)
            found = settled(operator, 6 * RELIST_SECONDS)
        finally:
            operator.stop()
    return {
        "what": f"resident memory of one operator replica with {objects} Datasets and their children, and {objects} ModelVersions",
        **found,
        "goal_mib": GOAL_MIB,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1000)
    found = measure(parser.parse_args().objects)
    print(json.dumps(found, indent=2))
    return 0 if found["peak_mib"] <= GOAL_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
