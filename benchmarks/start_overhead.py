"""What Bramble adds to a training's start: TrainingRun applied → first optimiser step, against the same program under torchrun as a bare
Indexed Job on the same two nodes.

The two alternate on one cluster, so that whatever else the machine does falls on both. Prints JSON; exits 1 when the median ratio is
above the goal.

Usage: python benchmarks/start_overhead.py [--pairs N]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import platform
import re
import statistics
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.contracts.tasks.classification import CLASSIFICATION
from examples.digits.pictures import collections
from examples.digits.stocking import freeze
from tools.cluster import Cluster
from tools.installation import install

GOAL = 1.2
NAMESPACE = "start"
BARE = Path(__file__).parent / "programs" / "bare.py"
EPOCHS = 60
"""Long enough for the operator to hear of the first step before the run is over."""
WAIT_SECONDS = 180


def layout(collection: str) -> bytes:
    """A collection as a training pod has it: samples.jsonl, manifest.json and the pictures; one in five is for validation."""
    buffer, lines = io.BytesIO(), []
    pictures = collections()[collection]
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, picture in enumerate(pictures):
            file = f"files/{number:04}.png"
            archive.writestr(file, picture.content)
            split = "val" if number % 5 == 0 else "train"
            lines.append(json.dumps({"id": f"sha256:{number:064x}", "file": file, "split": split, "label": picture.label, "weight": 1.0}))
        archive.writestr("samples.jsonl", "\n".join(lines) + "\n")
        manifest = {"task": CLASSIFICATION.name, "classes": sorted({picture.label for picture in pictures})}
        archive.writestr("manifest.json", json.dumps(manifest))
    return buffer.getvalue()


def bare_job(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """A headless Service and an Indexed Job of two pods under torchrun, as somebody without an operator would write them."""
    torchrun = (
        f"exec torchrun --nnodes=2 --nproc-per-node=1 --node-rank=$JOB_COMPLETION_INDEX --master-addr={name}-0.{name}"
        f" --master-port=29400 /bench/bare.py /bench/data.zip {EPOCHS}"
    )
    container = {
        "name": "train",
        "image": cluster.images["train"],
        "command": ["sh", "-c", torchrun],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "HOME", "value": "/tmp"}],  # noqa: S108 - in the container
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "volumeMounts": [{"name": "bench", "mountPath": "/bench"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "subdomain": name,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "bench", "configMap": {"name": "bench"}}],
    }
    metadata = {"name": name, "namespace": NAMESPACE}
    service = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"job-name": name}}
    job = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0, "template": {"spec": pod}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job},
    ]


def time_bare(cluster: Cluster, name: str) -> float:
    """Seconds from the apply to the first step of a bare Job."""
    manifests = bare_job(cluster, name)
    began = time.time()
    cluster.apply(*manifests)
    cluster.kubectl(
        "wait",
        "--for=condition=Complete",
        f"job/{name}",
        f"--namespace={NAMESPACE}",
        f"--timeout={WAIT_SECONDS}s",
        timeout=WAIT_SECONDS + 9,
    )
    said = cluster.kubectl("logs", f"--namespace={NAMESPACE}", "--selector", f"job-name={name}", "--tail=-1")
    found = re.search(r"first step at ([0-9.]+)", said)
    if found is None:
        raise SystemExit(f"the bare Job said nothing of its first step:\n{said}")
    cluster.kubectl("delete", f"job/{name}", f"service/{name}", f"--namespace={NAMESPACE}")
    return float(found[1]) - began


def time_run(cluster: Cluster, name: str) -> float:
    """Seconds from the apply to the first step of a TrainingRun."""
    spec = {
        "datasetRef": {"name": "digits"},
        "trainer": {"builtin": {"task": "image-classification", "architecture": "small-cnn", "imageSize": 16, "channels": "L"}},
        # Another learning rate is another run: the same one would be found among the filed results and not be trained again.
        "hyperparameters": {"epochs": EPOCHS, "batchSize": 32, "learningRate": 0.003 + (time.time() % 1000) * 1e-9},
        "engine": {"torchrun": {"nodes": 2, "processesPerNode": 1}},
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    manifest = {
        "apiVersion": "bramble.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    began = time.time()
    cluster.apply(manifest)
    cluster.kubectl(
        "wait",
        "--for=condition=Complete",
        f"trainingrun/{name}",
        f"--namespace={NAMESPACE}",
        f"--timeout={WAIT_SECONDS}s",
        timeout=WAIT_SECONDS + 9,
    )
    first = cluster.get("trainingrun", name, NAMESPACE)["status"]["progress"]["firstStepAt"]
    return datetime.fromisoformat(first).timestamp() - began


def measure(pairs: int) -> dict[str, Any]:
    """Alternate the two on a cluster of their own."""
    with Cluster.up(progress=lambda line: print(line, file=sys.stderr)) as cluster:
        install(cluster)
        freeze(cluster, NAMESPACE, "1")
        files = {"data.zip": base64.b64encode(layout("1")).decode()}
        bench = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench", "namespace": NAMESPACE}, "binaryData": files}
        cluster.apply({**bench, "data": {"bare.py": BARE.read_text()}})
        time_bare(cluster, "warm-up")
        bare, run = [], []
        for number in range(pairs):
            bare.append(round(time_bare(cluster, f"bare-{number}"), 2))
            run.append(round(time_run(cluster, f"run-{number}"), 2))
            print(f"pair {number + 1} of {pairs}: bare {bare[-1]} s, TrainingRun {run[-1]} s", file=sys.stderr)
    ratios = [mine / theirs for mine, theirs in zip(run, bare, strict=True)]
    return {
        "bareSeconds": bare,
        "trainingRunSeconds": run,
        "medianBare": statistics.median(bare),
        "medianTrainingRun": statistics.median(run),
        "ratio": round(statistics.median(ratios), 3),
        "goal": GOAL,
        "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="how often each is timed")
    found = measure(parser.parse_args().pairs)
    print(json.dumps(found, indent=2))
    return int(found["ratio"] > GOAL)


if __name__ == "__main__":
    sys.exit(main())
