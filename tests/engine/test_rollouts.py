"""What a Rollout says to bad input that admission cannot see, on a real API server."""

from __future__ import annotations

import pytest

from bramble.kinds.modelversion import controller as modelversion
from bramble.kinds.rollout import controller as rollout
from bramble.kube.resources import MODEL_VERSION, ROLLOUT
from tests.api.manifests import ROLLOUT as MANIFEST
from tests.api.manifests import Manifest, spoiled
from tests.engine.running import client, running, says, until_gone
from tests.engine.test_run_and_version import version
from tools.cluster import Cluster

pytestmark = pytest.mark.cluster
CONTROLLERS = (modelversion.CONTROLLER, rollout.CONTROLLER)


def wanting(namespace: str, name: str, **changes: str) -> Manifest:
    spoilt = {"spec.modelVersionRef.name": "ads-1-0-0", **{path.replace("__", "."): value for path, value in changes.items()}}
    return spoiled({**MANIFEST, "metadata": {"name": name, "namespace": namespace}}, spoilt)


async def test_two_rollouts_of_one_model_on_a_fleet(local: Cluster, namespace: str) -> None:
    async with client(local) as api, running(local, CONTROLLERS):
        await api.create(MODEL_VERSION, version(namespace, "run"))
        made = [await api.create(ROLLOUT, wanting(namespace, name)) for name in ("one", "two")]
        await api.create(ROLLOUT, wanting(namespace, "elsewhere", spec__fleetRef__name="kitchens"))
        first, second = sorted((each["metadata"] for each in made), key=lambda each: (each["creationTimestamp"], each["uid"]))
        said = await says(api, ROLLOUT, namespace, second["name"], "Superseded")
        assert f"Rollout '{first['name']}' has the same model on fleet 'living-rooms' already; delete one of the two" in said
        for name in (first["name"], "elsewhere"):
            assert "there is no Fleet" in await says(api, ROLLOUT, namespace, name, "FleetMissing")
        await api.delete(ROLLOUT, namespace, first["name"], first["uid"], "Background")
        assert "there is no Fleet" in await says(api, ROLLOUT, namespace, second["name"], "FleetMissing")


async def test_a_version_that_is_made_later_is_waited_for(local: Cluster, namespace: str) -> None:
    async with client(local) as api, running(local, CONTROLLERS):
        await api.create(ROLLOUT, wanting(namespace, "early"))
        assert "no ModelVersion 'ads-1-0-0' yet" in await says(api, ROLLOUT, namespace, "early", "ModelVersionMissing")
        await api.create(MODEL_VERSION, version(namespace, "run"))
        assert "there is no Fleet" in await says(api, ROLLOUT, namespace, "early", "FleetMissing")

        early = await api.get(ROLLOUT, namespace, "early")
        assert early is not None
        await api.delete(ROLLOUT, namespace, "early", early["metadata"]["uid"], "Background")
        await until_gone(api, ROLLOUT, namespace, "early")
