"""What a TrainingRun and a ModelVersion say to bad input that admission cannot see, on a real API server; all others go on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bramble.api.labels import FINALIZER, child_name
from bramble.errors import Conflict
from bramble.kinds.controller import Controller
from bramble.kinds.dataset import controller as dataset_controller
from bramble.kinds.fleet import controller as fleet_controller
from bramble.kinds.modelversion import controller as modelversion
from bramble.kinds.modelversion.observed import BoardKey
from bramble.kinds.modelversion.render import benchmark_name
from bramble.kinds.rollout import controller as rollout
from bramble.kinds.trainingrun import controller as trainingrun
from bramble.kube.client import Client
from bramble.kube.resources import DATASET, FLEET, JOB, MODEL_VERSION, ROLLOUT, SERVICE, TRAINING_RUN, Manifest, Resource
from tests.api.manifests import ROLLOUT as ROLLOUT_MANIFEST
from tests.engine.running import client, eventually, running, says, until_gone
from tests.engine.test_watching import dataset, secret
from tools.cluster import Cluster

pytestmark = pytest.mark.cluster


async def _nothing(*_: Any) -> None:
    """Objects of the other kinds are watched, and wake those that they concern, but nobody plans for them."""


OTHERS: tuple[Controller[Any], ...] = (dataset_controller.CONTROLLER, fleet_controller.CONTROLLER, rollout.CONTROLLER)
WATCHED = tuple(replace(other, gather=_nothing) for other in OTHERS)
CONTROLLERS: tuple[Controller[Any], ...] = (trainingrun.CONTROLLER, modelversion.CONTROLLER, *WATCHED)
DIGEST = f"sha256:{'d' * 64}"
PACKAGE = {"digest": f"sha256:{'b' * 64}", "image": "i@sha256:1"}
MEASURED = {"samples": 10, "metrics": {"accuracy": 0.9}}


def run(namespace: str, name: str = "run") -> dict[str, Any]:
    wanted = {
        "datasetRef": {"name": "tape"},
        "trainer": {"builtin": {"task": "image-classification", "architecture": "small-cnn"}},
        "modelVersion": {"model": "ads", "version": "1.0.0"},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": TRAINING_RUN.api_version, "kind": "TrainingRun", "metadata": metadata, "spec": wanted}


def version(namespace: str, source: str, **spec: Any) -> dict[str, Any]:
    wanted = {"model": "ads", "version": "1.0.0", "source": {"trainingRunRef": {"name": source}}, **spec}
    metadata = {"name": "ads-1-0-0", "namespace": namespace}
    return {"apiVersion": MODEL_VERSION.api_version, "kind": "ModelVersion", "metadata": metadata, "spec": wanted}


async def set_status(api: Client, resource: Resource, namespace: str, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """What an operator, or a snapshot, would have written; tried again when somebody else wrote in between."""

    async def written() -> bool:
        manifest = await api.get(resource, namespace, name)
        assert manifest is not None
        changed = copy.deepcopy(dict(manifest))
        changed.setdefault("status", {})
        change(changed["status"])
        try:
            await api.replace_status(resource, changed)
        except Conflict:
            return False
        return True

    await eventually(written)


def freeze(status: dict[str, Any]) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Snapshotted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status |= {"version": DIGEST, "observedGeneration": 1, "conditions": [ready]}


async def there(api: Client, resource: Resource, namespace: str, name: str) -> Manifest:
    async def found() -> Manifest | None:
        return await api.get(resource, namespace, name)

    return dict(await eventually(found, 30))


async def test_a_reference_that_is_made_later_is_waited_for(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, CONTROLLERS):
        await api.create(TRAINING_RUN, run(namespace))
        await api.create(MODEL_VERSION, version(namespace, "run-of-tomorrow"))
        said = await says(api, TRAINING_RUN, namespace, "run", "DatasetMissing")
        assert f"spec.datasetRef.name: there is no Dataset tape in namespace {namespace}; create it" in said
        said = await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "SourceMissing")
        assert "spec.source.trainingRunRef.name: there is no TrainingRun run-of-tomorrow" in said
        await api.create(DATASET, dataset(namespace))
        await says(api, TRAINING_RUN, namespace, "run", "DatasetNotFrozen")
        await set_status(api, DATASET, namespace, "tape", freeze)
        await there(api, JOB, namespace, "run-train-1")
        await api.create(TRAINING_RUN, run(namespace, "run-of-tomorrow"))
        await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "SourceNotReady")


async def test_a_store_that_refuses_the_key_is_named_and_mended(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace, secretKey="wrong"))
    async with client(local) as api, running(local, CONTROLLERS):
        await api.create(DATASET, dataset(namespace))
        await set_status(api, DATASET, namespace, "tape", freeze)
        await api.create(TRAINING_RUN, run(namespace))
        assert "correct secretKey" in await says(api, TRAINING_RUN, namespace, "run", "StoreRefused")
        local.apply(secret(local, namespace))
        await there(api, JOB, namespace, "run-train-1")


async def test_somebody_elses_service_under_the_childs_name(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "run-train", "namespace": namespace}}
    async with client(local) as api, running(local, CONTROLLERS) as engine:
        made = await api.create(SERVICE, {**theirs, "spec": {"ports": [{"port": 80}]}})
        await api.create(DATASET, dataset(namespace))
        await set_status(api, DATASET, namespace, "tape", freeze)
        await api.create(TRAINING_RUN, run(namespace))
        await api.create(TRAINING_RUN, run(namespace, "other"))
        said = await says(api, TRAINING_RUN, namespace, "run", "NameConflict")
        assert f"Service {namespace}/run-train exists and is not ours" in said
        await there(api, JOB, namespace, "other-train-1")
        assert await api.get(JOB, namespace, "run-train-1") is None
        await api.delete(SERVICE, namespace, "run-train", made["metadata"]["uid"], "Background")
        engine.changes.wake_all()  # it would look again by itself after half a minute
        await there(api, JOB, namespace, "run-train-1")


async def test_somebody_elses_model_version_is_left_alone(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    pin = {"name": "tape", "uid": "u", "version": DIGEST}
    async with client(local) as api, running(local, CONTROLLERS):
        theirs = await api.create(MODEL_VERSION, version(namespace, "another-run"))
        await api.create(TRAINING_RUN, run(namespace))
        await set_status(
            api, TRAINING_RUN, namespace, "run", lambda status: status.update(dataset=pin, package=PACKAGE, evaluation=MEASURED)
        )
        said = await says(api, TRAINING_RUN, namespace, "run", "NameConflict")
        assert "ModelVersion ads-1-0-0 exists and is not of this run" in said
        found = await api.get(MODEL_VERSION, namespace, "ads-1-0-0")
        assert found is not None
        assert found["spec"] == theirs["spec"]
        await api.delete(MODEL_VERSION, namespace, "ads-1-0-0", theirs["metadata"]["uid"], "Background")
        await says(api, TRAINING_RUN, namespace, "run", "Succeeded")
        made = await there(api, MODEL_VERSION, namespace, "ads-1-0-0")
        assert made["spec"]["source"] == {"trainingRunRef": {"name": "run"}}
        assert "ownerReferences" not in made["metadata"]


async def test_a_run_that_is_deleted_while_its_job_runs_makes_nothing_more(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, CONTROLLERS) as engine:
        await api.create(DATASET, dataset(namespace))
        await set_status(api, DATASET, namespace, "tape", freeze)
        await api.create(TRAINING_RUN, run(namespace))
        job = await there(api, JOB, namespace, "run-train-1")
        owner = job["metadata"]["ownerReferences"][0]
        await api.delete(TRAINING_RUN, namespace, "run", owner["uid"], "Background")

        await until_gone(api, TRAINING_RUN, namespace, "run")
        await api.delete(JOB, namespace, "run-train-1", job["metadata"]["uid"], "Background")  # as the garbage collector would
        await api.create(TRAINING_RUN, run(namespace, "next"))
        await there(api, JOB, namespace, "next-train-1")
        engine.changes.wake_all()
        assert await api.get(JOB, namespace, "run-train-1") is None


async def test_the_fleets_owner_decides_who_may_measure(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    fleet = f"fleet-{namespace}"
    board = {"name": "rpi5", "selector": {"board": namespace}}
    async with client(local) as api, running(local, CONTROLLERS):
        await api.create(MODEL_VERSION, version(namespace, "run", benchmark=[{"fleet": fleet, "board": "rpi5"}]))
        await set_status(api, MODEL_VERSION, namespace, "ads-1-0-0", lambda status: status.update(converted()))
        assert f"there is no Fleet {fleet}" in await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "FleetMissing")
        spec: dict[str, Any] = {"nodeSelector": {"fleet": namespace}, "boards": [{**board, "name": "rpi4"}]}
        made: dict[str, Any] = {"apiVersion": FLEET.api_version, "kind": "Fleet", "metadata": {"name": fleet}, "spec": spec}
        local.apply(made)
        assert "spec.allowedNamespaces" in await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "FleetNotAllowed")
        local.apply({**made, "spec": {**spec, "allowedNamespaces": [namespace]}})
        assert "has no board rpi5, it has rpi4" in await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "BoardMissing")
        local.apply({**made, "spec": {**spec, "allowedNamespaces": [namespace], "boards": [board]}})
        assert "no benchmarkSelector" in await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "NoBenchmarkSelector")
        board_with = {**board, "benchmarkSelector": {"bench": "true"}}
        local.apply({**made, "spec": {**spec, "allowedNamespaces": [namespace], "boards": [board_with]}})
        job = await there(api, JOB, namespace, child_name("ads-1-0-0", benchmark_name(BoardKey(fleet, "rpi5")), "1"))
        assert job["spec"]["template"]["spec"]["nodeSelector"] == {"fleet": namespace, "board": namespace, "bench": "true"}


def converted() -> dict[str, Any]:
    variant = {"name": "onnx-fp32", "package": DIGEST, "verdict": "Passed", "metrics": {"accuracy": 0.9}}
    lineage = {"trainingRun": "run", "package": DIGEST, "dataset": DIGEST}
    return {"lineage": lineage, "conversion": {"attempt": 1, "state": "Converted"}, "variants": [variant]}


async def test_a_version_is_held_while_a_rollout_uses_it(local: Cluster, namespace: str) -> None:
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, CONTROLLERS):
        made = await api.create(MODEL_VERSION, version(namespace, "run"))
        used = {"ref": "ads-1-0-0", "uid": made["metadata"]["uid"]}
        manifest = {**ROLLOUT_MANIFEST, "metadata": {"name": "ads", "namespace": namespace}}
        await api.create(ROLLOUT, manifest)
        await set_status(api, ROLLOUT, namespace, "ads", lambda status: status.update(stable=used))

        async def held() -> bool:
            found = await api.get(MODEL_VERSION, namespace, "ads-1-0-0")
            return found is not None and FINALIZER in found["metadata"].get("finalizers", ())

        await eventually(held)
        await api.delete(MODEL_VERSION, namespace, "ads-1-0-0", made["metadata"]["uid"], "Background")
        assert f"{namespace}/ads" in await says(api, MODEL_VERSION, namespace, "ads-1-0-0", "InUse")
        await set_status(api, ROLLOUT, namespace, "ads", lambda status: status.update(stable={"ref": "ads-1-1-0", "uid": "other"}))

        await until_gone(api, MODEL_VERSION, namespace, "ads-1-0-0")
