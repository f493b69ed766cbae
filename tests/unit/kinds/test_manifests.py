"""Every object that the operator makes is, field by field, the one in `manifests/`, so that a change of one shows up in the diff.

After an intended change write the files anew, and read what changed in them:

    BRAMBLE_WRITE_MANIFESTS=1 .venv/bin/python -m pytest tests/unit/kinds/test_manifests.py && git diff tests/unit/kinds/manifests

A document that a ConfigMap holds as JSON is shown in the file as YAML.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import yaml

from bramble.api.trainingrun import CurrentAttempt
from bramble.contracts.jobs.base import Gateway
from bramble.kinds.dataset.render import snapshot_step
from bramble.kinds.fleet.folders import folder_of
from bramble.kinds.fleet.render import agents, ca_config_map, service, setup_job
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.step import Step
from bramble.kinds.modelversion.render import benchmark_step, convert_step
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.rollout.assignment import desired, render
from bramble.kinds.trainingrun.engines.torchrun.engine import TorchrunEngine
from bramble.kinds.trainingrun.evaluation import evaluate_step
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.model_version import model_version
from bramble.kinds.trainingrun.packaging import package_step
from tests.unit.dataset import observed as datasets
from tests.unit.fleet import rows as fleets
from tests.unit.modelversion import seen as versions
from tests.unit.rollout import rows as rollouts
from tests.unit.trainingrun import kept
from tests.unit.trainingrun import seen as runs

FILES = Path(__file__).parent / "manifests"
WRITE = "BRAMBLE_WRITE_MANIFESTS"
CA = "the CA in PEM"

Manifest = Mapping[str, Any]


def step(made: Step | None) -> list[Manifest]:
    assert made is not None
    return [item.manifest for item in render_step(made)]


def one(made: Apply | CreateOnce | None) -> list[Manifest]:
    assert made is not None
    return [made.manifest]


def fleet_with(resources: Mapping[str, Any] | None) -> list[Manifest]:
    """The agents of a board with these resources."""
    board = {"name": "rpi5", "selector": {"bramble.dev/board": "rpi5"}, **({"resources": resources} if resources is not None else {})}
    seen = fleets.observed(of=fleets.fleet(boards=[board]))
    return one(agents(seen, seen.fleet.spec.boards[0]))


def node_setup() -> list[Manifest]:
    seen = fleets.observed([fleets.node("pi-1")])
    return one(setup_job(seen, folder_of(seen, seen.membership.members[0])))


def snapshot(**seen: Any) -> list[Manifest]:
    spec = {
        "task": "image-classification",
        "sources": [{"name": "tape", "s3": {"prefix": "tv/"}, "format": "image-folder"}],
        "splits": {"groupBy": "recording"},
        "checks": {"minSamplesPerClass": 10},
    }
    return step(snapshot_step(datasets.observed(spec=spec, **datasets.frozen(), seen={"gateway": Gateway(url="https://g:8443"), **seen})))


TRAINING: dict[str, Any] = {
    "trainer": {
        "container": {
            "image": f"me/train@sha256:{'9' * 64}",
            "command": ["python", "a.py"],
            "args": ["--fast"],
            "env": [{"name": "HOME", "value": "/x"}, {"name": "OMP_NUM_THREADS", "value": "3"}, {"name": "A", "value": "b"}],
        }
    },
    "hyperparameters": {"seed": 5, "epochs": 4},
    "resources": {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": "2", "memory": "8Gi"}},
    "nodeSelector": {"zone": "b"},
    "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
    "priorityClassName": "high",
    "queueName": "gpu",
    "budgets": {"deadline": "1h"},
}


def train(spec: Mapping[str, Any] | None, **current: Any) -> list[Manifest]:
    seen = runs.training(spec=spec, gateway_ca=CA if spec else "", status={"spent_seconds": 600})
    return [item.manifest for item in TorchrunEngine().attempt_children(seen, CurrentAttempt(**current))]


def train_service() -> list[Manifest]:
    (made,) = TorchrunEngine().run_children(runs.training())
    return [made.manifest]


def evaluate() -> list[Manifest]:
    evaluation = {"slices": ["recording"], "gates": [{"metric": "f1", "min": "0.9"}]}
    status = {"dataset": runs.PIN, "package": runs.TRAINED_PACKAGE}
    return step(evaluate_step(runs.observed({"evaluation": evaluation}, status=status, gateway_ca=CA), 2))


def package() -> list[Manifest]:
    status = {"dataset": runs.PIN, "kept_output": output_seen(kept.listing())}
    return step(package_step(runs.observed(kept.spec(package=kept.DESCRIBED, graph="best.onnx"), status=status, gateway_ca=CA), 2))


def converted_version() -> list[Manifest]:
    template = {"model": "ads", "version": "1.0.0", "variants": versions.VARIANTS, "benchmark": [versions.TARGET]}
    return one(model_version(runs.observed({"modelVersion": template})))


def benchmark(target: Mapping[str, Any], variants: tuple[Any, ...], **more: Any) -> list[Manifest]:
    seen = versions.benchmarking(spec={"benchmark": [target]}, variants=variants, **more)
    return step(benchmark_step(seen, seen.spec.benchmark[0], 3))


def assignment() -> list[Manifest]:
    seen = rollouts.observed(ref=rollouts.V2, status=rollouts.out(), written=rollouts.tried("a"))
    wanted = desired(seen)
    assert wanted is not None
    return [render(seen, wanted)]


INT8 = versions.variant("onnx-int8", versions.INT8, metrics={"accuracy": 0.96}, drop={"accuracy": 0.005})
REJECTED = versions.variant(verdict="Rejected")
CASES: Mapping[str, Callable[[], list[Manifest]]] = {
    "fleet-gateway-ca": lambda: one(ca_config_map(fleets.observed())),
    "fleet-service": lambda: one(service(fleets.observed())),
    "fleet-agents": lambda: fleet_with(None),
    "fleet-agents-with-limits": lambda: fleet_with({"requests": {"cpu": "500m"}, "limits": {"memory": "512Mi"}}),
    "fleet-node-setup": node_setup,
    "dataset-snapshot": lambda: snapshot(gateway_ca=CA),
    "dataset-snapshot-without-gateway": lambda: snapshot(gateway=None),
    "trainingrun-service": train_service,
    "trainingrun-train": lambda: train(None, number=1, nodes=1),
    "trainingrun-train-with-options": lambda: train(TRAINING, number=2, nodes=2, cpu_allowed=True),
    "trainingrun-package": package,
    "trainingrun-evaluate": evaluate,
    "trainingrun-modelversion": converted_version,
    "modelversion-convert": lambda: step(convert_step(versions.observed(status={"lineage": versions.LINEAGE}, gateway_ca=CA), 2)),
    "modelversion-benchmark": lambda: benchmark(versions.TARGET, (versions.variant(), INT8), gateway_ca=CA),
    "modelversion-benchmark-without-limits": lambda: benchmark({"fleet": "rooms", "board": "rpi5"}, (REJECTED, INT8)),
    "rollout-assignment": assignment,
}
"""What gives each file of `manifests/`. It fixes everything that the objects depend on."""


def text_of(manifests: list[Manifest]) -> str:
    """The objects as the file shows them."""
    shown = [json.loads(json.dumps(manifest)) for manifest in manifests]
    for manifest in shown:
        if manifest["kind"] == "ConfigMap":
            manifest["data"] = {name: json.loads(value) if name.endswith(".json") else value for name, value in manifest["data"].items()}
    return str(yaml.safe_dump_all(shown, width=140))


@pytest.mark.parametrize("name", CASES)
def test_an_object_is_the_one_in_its_file(name: str) -> None:
    file, text = FILES / f"{name}.yaml", text_of(CASES[name]())
    if WRITE in os.environ:
        FILES.mkdir(exist_ok=True)
        file.write_text(text)
    stored = file.read_text() if file.exists() else ""
    changes = "\n".join(unified_diff(stored.splitlines(), text.splitlines(), f"manifests/{name}.yaml", "now", lineterm=""))
    assert not changes, f"the operator would make other objects:\n{changes}\nIf that is intended, write the files anew with {WRITE}=1"


def test_every_file_has_a_case() -> None:
    assert sorted(file.stem for file in FILES.iterdir()) == sorted(CASES)
