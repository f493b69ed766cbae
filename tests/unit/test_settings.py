"""The operator's settings: what stands in them as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bramble.settings import Settings, SettingsError

REQUIRED = {f"BRAMBLE_{name}": "x" for name in ("NAMESPACE", "IMAGES_TRAIN", "IMAGES_CONVERT", "IMAGES_EDGE", "GATEWAY_URL")}


def read(jobs: Any) -> Settings:
    return Settings.read({**REQUIRED, "BRAMBLE_JOBS": json.dumps(jobs)})


def test_what_is_added_to_jobs() -> None:
    found = read({"labels": {"team": "a"}, "resources": {"nodeSetup": {"limits": {"cpu": 1}}, "convert": {}}}).jobs
    assert found.labels == {"team": "a"}
    assert found.resources.of("node-setup") is not None
    assert found.resources.of("snapshot") is None
    assert Settings.read(REQUIRED).jobs.labels == {}


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        pytest.param(
            {"labels": {"bramble.dev/step": "x"}}, "BRAMBLE_JOBS: jobs.labels: .*'bramble.dev/step' is set by Bramble", id="a key of ours"
        ),
        pytest.param(
            {"resources": {"snapshot": {"limits": {"memory": "lots"}}}}, "jobs.resources.snapshot.limits.memory.*'lots'", id="a quantity"
        ),
        pytest.param(
            {"resources": {"convert": {"limits": {"cpu": 1}, "requests": {"cpu": "1500m"}}}},
            "jobs.resources.convert.*requests.cpu is 1500m and limits.cpu is 1: lower the request, or raise the limit",
            id="a request above its limit",
        ),
        pytest.param({"resources": {"convert": {"limits": {"cpu": -0.5}}}}, "convert.limits.cpu.*'-0.5' is less than 0", id="below 0"),
        pytest.param({"resources": {"convert": {"requests": {"CPU": 1}}}}, "requests: 'CPU' is no resource.*use cpu", id="no resource"),
        pytest.param(
            {"resources": {"convert": {"requests": {"example.org/npu": 1}}}},
            "requests.example.org/npu has no limit",
            id="a device by request",
        ),
        pytest.param(
            {"resources": {"convert": {"limits": {"example.org/npu": 0.5}}}}, "npu is 0.5, and devices are given whole", id="half a device"
        ),
        pytest.param({"resources": {"train": {}}}, "jobs.resources.train", id="a step that does not exist"),
        pytest.param([], "BRAMBLE_JOBS", id="no object"),
    ],
)
def test_what_cannot_be_used_is_named(jobs: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(jobs)


def test_networks_stand_side_by_side_and_a_wrong_one_is_named() -> None:
    given = {**REQUIRED, "BRAMBLE_STORE_NETWORKS": "127.0.0.0/8, fe80::/10,10.0.0.1/8"}
    assert [str(network) for network in Settings.read(given).store_networks] == ["127.0.0.0/8", "fe80::/10", "10.0.0.0/8"]
    with pytest.raises(SettingsError, match=r"BRAMBLE_STORE_NETWORKS: '1/999' .*; write networks such as"):
        Settings.read({**REQUIRED, "BRAMBLE_STORE_NETWORKS": "1/999"})
