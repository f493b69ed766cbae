"""A quota is used up after the dry run of an attempt's ConfigMap and before its creation: the Job is there, and its pods wait for ever."""

from __future__ import annotations

from typing import Any

from bramble.errors import Refused
from bramble.kinds.trainingrun import controller as trainingrun
from bramble.kube.resources import CONFIG_MAP, Key, Manifest, Resource
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import CountedFaults, Replica, Time
from tests.unit.trainingrun.test_convergence import RUN, cluster

JOB, CHILD = Key("Job", "ns", "run-train-1"), Key("ConfigMap", "ns", "run-train-1")
EXCEEDED = 'configmaps "run-train-1" is forbidden: exceeded quota: tenant'


class FillingQuota(FakeApi):
    """Somebody else takes the last place between the dry run and the creation; later dry runs are refused as well."""

    def __init__(self) -> None:
        super().__init__()
        self.full = self.tried = False

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        if resource == CONFIG_MAP and self.full and (self.tried or not dry_run):
            raise Refused(EXCEEDED)
        self.tried |= resource == CONFIG_MAP
        return await super().create(resource, manifest, dry_run=dry_run)


def waits(rank: int, job: dict[str, Any]) -> dict[str, Any]:
    """A pod of the Job that has its node and cannot mount the ConfigMap."""
    labels = {**job["metadata"]["labels"], "batch.kubernetes.io/job-completion-index": str(rank)}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": JOB.name, "uid": job["metadata"]["uid"]}
    metadata = {"name": f"{JOB.name}-{rank}", "namespace": "ns", "labels": labels, "ownerReferences": [owner]}
    creating = {"name": "train", "state": {"waiting": {"reason": "PodInitializing"}}}
    status = {"phase": "Pending", "containerStatuses": [creating]}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": f"gpu-{rank}"}, "status": status}


async def test_the_nodes_are_released_and_nothing_is_charged() -> None:
    api, time = FillingQuota(), Time()
    world = cluster(["result"], passes=True, api=api)
    api.full = True

    def replica() -> Replica:
        return Replica(api, world.store, (trainingrun.CONTROLLER,), CountedFaults(()), time)

    await replica().settle(seconds=1)
    assert JOB in api.objects
    assert CHILD not in api.objects
    ready = next(each for each in api.objects[RUN]["status"]["conditions"] if each["type"] == "Ready")
    assert (ready["reason"], ready["message"]) == ("Refused", EXCEEDED)
    for rank in (0, 1):
        api.put(waits(rank, api.objects[JOB]))
    await replica().settle(seconds=1)
    status = api.objects[RUN]["status"]
    assert not list(api.of_kind("Job")), "and with it its pods"
    assert not list(api.of_kind("Pod"))
    assert status["released"]["times"] == 1
    assert "current" not in status
    assert "firstCause" not in status
    assert (status.get("failures", 0), status.get("disruptions", 0), status.get("spentSeconds", 0)) == (0, 0, 0)
