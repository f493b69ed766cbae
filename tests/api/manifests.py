"""A valid manifest of each kind, and ways to spoil it."""

from __future__ import annotations

import copy
from typing import Any

Manifest = dict[str, Any]
DIGEST = f"sha256:{'a' * 64}"


class _Unset:
    """Stands for a field to be taken out."""


UNSET = _Unset()

DATASET: Manifest = {
    "apiVersion": "bramble.dev/v1alpha1",
    "kind": "Dataset",
    "metadata": {"name": "tv-ads"},
    "spec": {
        "task": "image-classification",
        "sources": [{"name": "tape", "s3": {"prefix": "tv-ads/"}, "format": "image-folder"}],
        "splits": {"train": 0.7, "val": 0.15, "test": 0.15, "stratifyBy": ["channel"], "groupBy": "recording", "seed": 7},
        "checks": {"minSamplesPerClass": 10, "maxImbalance": "10", "duplicates": "drop", "classPattern": "^[A-Z0-9 ]+$"},
        "jobs": {"labels": {"example.org/team": "tv"}, "resources": {"snapshot": {"limits": {"memory": "16Gi"}}}},
    },
}
TRAINING_RUN: Manifest = {
    "apiVersion": "bramble.dev/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "ad-detector-2"},
    "spec": {
        "datasetRef": {"name": "tv-ads"},
        "trainer": {"builtin": {"task": "image-classification", "architecture": "efficientnet_lite0"}},
        "hyperparameters": {"epochs": 50, "batchSize": 32, "learningRate": 0.001, "optimizer": "adamw", "scheduler": "cosine"},
        "engine": {"torchrun": {"nodes": 4, "minNodes": 2, "processesPerNode": "auto"}},
        "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}, "requests": {"cpu": "500m"}},
        "nodeSelector": {"bramble.dev/accelerator": "simulated"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "training",
        "queueName": "gpu",
        "suspend": False,
        "budgets": {"failures": 2, "disruptions": 20, "deadline": "12h"},
        "jobs": {
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
            "resources": {"evaluate": {"limits": {"cpu": 2}}},
        },
        "evaluation": {
            "slices": ["channel"],
            "gates": [{"metric": "f1", "min": "0.9"}, {"metric": "recall", "label": "ad", "min": "0.9", "slice": "channel=rai1"}],
        },
        "modelVersion": {
            "model": "ad-detector",
            "version": "2.0.0",
            "variants": [{"name": "onnx-fp32", "format": "onnx"}],
            "benchmark": [{"fleet": "living-rooms", "board": "rpi5"}],
        },
    },
}
MODEL_VERSION: Manifest = {
    "apiVersion": "bramble.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "ad-detector-2-0-0"},
    "spec": {
        "model": "ad-detector",
        "version": "2.0.0",
        "source": {"trainingRunRef": {"name": "ad-detector-2"}},
        "variants": [
            {"name": "onnx-fp32", "format": "onnx"},
            {"name": "onnx-int8", "format": "onnx", "precision": "int8", "calibrationSamples": 200},
        ],
        "validation": {"maxDrop": {"accuracy": "0.01"}},
        "jobs": {"resources": {"convert": {"requests": {"cpu": "4"}}}},
        "benchmark": [{"fleet": "living-rooms", "board": "rpi5", "iterations": 1000, "limits": {"p99": "50ms", "memory": "280Mi"}}],
    },
}
FLEET: Manifest = {
    "apiVersion": "bramble.dev/v1alpha1",
    "kind": "Fleet",
    "metadata": {"name": "living-rooms"},
    "spec": {
        "nodeSelector": {"bramble.dev/fleet": "living-rooms"},
        "stratifyBy": ["bramble.dev/board", "topology.kubernetes.io/zone"],
        "boards": [
            {
                "name": "rpi5",
                "selector": {"bramble.dev/board": "rpi5"},
                "resources": {"limits": {"memory": "512Mi"}},
                "benchmarkSelector": {"bramble.dev/bench": "true"},
            }
        ],
        "allowedNamespaces": ["ads"],
    },
}
ROLLOUT: Manifest = {
    "apiVersion": "bramble.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "ad-detector"},
    "spec": {
        "fleetRef": {"name": "living-rooms"},
        "modelVersionRef": {"name": "ad-detector-2-0-0"},
        "strategy": {
            "canary": {
                "steps": [{"nodes": "10%", "bake": "10m"}, {"pause": {}}, {"nodes": 2, "bake": "10m"}, {"nodes": "100%", "bake": "30m"}]
            }
        },
        "analysis": {
            "deadline": "72h",
            "onUndecided": "Pause",
            "guardrails": [
                {"metric": "errors", "maxRatio": "1.5", "ceiling": "0.01", "minEvents": 400, "minNodes": 1},
                {"metric": "latency", "quantile": "0.99", "maxRatio": "2"},
            ],
        },
    },
}
ALL = (DATASET, TRAINING_RUN, MODEL_VERSION, FLEET, ROLLOUT)


def spoiled(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    """The manifest with values at paths such as `spec.sources.0.format` replaced, or taken out by UNSET."""
    made = copy.deepcopy(manifest)
    for path, value in changes.items():
        *way, last = path.split(".")
        place: Any = made
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(value, _Unset):
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return made


def named(manifest: Manifest, name: str) -> Manifest:
    """The same under another name; a ModelVersion's model follows its name."""
    made = spoiled(manifest, {"metadata.name": name})
    if made["kind"] == "ModelVersion":
        made["spec"] |= {"model": name.removesuffix("-2-0-0")}
    return made
