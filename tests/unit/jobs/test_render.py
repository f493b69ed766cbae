"""The Job of a plain step: restricted, by digest, one attempt."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bramble.api.labels import OWNER_UID
from bramble.contracts.jobs.base import Gateway
from bramble.contracts.jobs.files import JobFile
from bramble.contracts.jobs.snapshot import Checks, SnapshotJob, Source, Splits
from bramble.contracts.pod import TELEMETRY_OFF
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.step import Owner, Step
from tests.unit.jobs.seen import OWNER, PREFIX

JOB = SnapshotJob(
    object=OWNER.ref,
    attempt=1,
    prefix=PREFIX,
    gateway=Gateway(url="https://g:8443"),
    task="image-classification",
    sources=(Source(name="tape", format="image-folder", prefix="tv/"),),
    splits=Splits(train=0.7, val=0.15, test=0.15),
    checks=Checks(),
)
STEP = Step(owner=OWNER, job=JOB, image="a/convert@sha256:0", gateway_ca="PEM")


def rendered(step: Step) -> tuple[dict[str, Any], dict[str, Any]]:
    job, config_map = (item.manifest for item in render_step(step))
    return dict(config_map), dict(job)


def test_the_config_map_comes_last_and_holds_the_job_for_good() -> None:
    assert [item.manifest["kind"] for item in render_step(STEP)] == ["Job", "ConfigMap"], "no pod runs before its ConfigMap is there"
    config_map, _ = rendered(STEP)
    assert config_map["immutable"] is True
    assert JobFile.parse(config_map["data"]["job.json"].encode()) == JOB
    assert config_map["data"]["ca.crt"] == "PEM"


def test_both_belong_to_the_object_and_say_so_by_labels() -> None:
    for child in rendered(STEP):
        assert child["metadata"]["ownerReferences"][0]["uid"] == OWNER.uid
        assert child["metadata"]["labels"][OWNER_UID] == OWNER.uid
        assert child["metadata"]["name"] == "tape-snapshot-1"


def test_the_pod_is_restricted_and_knows_no_api() -> None:
    pod = rendered(STEP)[1]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["automountServiceAccountToken"], pod["restartPolicy"]) == (False, "Never")
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_libraries_are_told_not_to_report_to_their_makers() -> None:
    (container,) = rendered(STEP)[1]["spec"]["template"]["spec"]["containers"]
    assert TELEMETRY_OFF.items() <= {each["name"]: each.get("value") for each in container["env"]}.items()


def test_one_attempt_is_one_job() -> None:
    spec = rendered(STEP)[1]["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    first, second = spec["podFailurePolicy"]["rules"]
    assert first["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert second["onExitCodes"]["values"] == [64, 65]


@pytest.mark.parametrize(
    ("step", "volumes"),
    [
        (STEP, {"job", "tmp", "gateway-token", "store", "gateway-ca"}),
        (replace(STEP, store=False), {"job", "tmp", "gateway-token", "gateway-ca"}),
        (replace(STEP, gateway_ca=""), {"job", "tmp", "gateway-token", "store"}),
    ],
)
def test_only_what_the_step_needs_is_mounted(step: Step, volumes: set[str]) -> None:
    pod = rendered(step)[1]["spec"]["template"]["spec"]
    assert {volume["name"] for volume in pod["volumes"]} == volumes
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes


def test_the_same_step_is_rendered_the_same() -> None:
    assert json.dumps(rendered(STEP)) == json.dumps(rendered(STEP))


def test_long_names_are_cut_and_stay_apart() -> None:
    one, two = (Owner("Dataset", "ads", "a" * 40, "u").job_name("benchmark-fleet-with-a-name", attempt) for attempt in (1, 2))
    assert one != two
    assert max(len(one), len(two)) <= 52
