"""Reading the gateway's replicas."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.device_reports import DeviceReports
from bramble.engine.gateway_poll import Address, GatewayPoller, parse_reading, ready_addresses
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.errors import ApiUnavailable
from bramble.kube.resources import Manifest
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS
from tests.unit.engine.test_device_reports import progress, report


def test_only_ready_replicas_are_asked() -> None:
    slices: list[Manifest] = [
        {
            "ports": [{"name": "https", "port": 8443}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
                {"addresses": ["10.0.0.3"]},
            ],
        },
        {"ports": None, "endpoints": None},
    ]
    assert ready_addresses(slices) == {Address("10.0.0.1", 8443), Address("10.0.0.3", 8443)}


def answer(*reports: Any) -> bytes:
    seen = [{"ageSeconds": 1, "report": each} for each in reports]
    said = {"ageSeconds": 1, "progress": progress(1, 3).model_dump(mode="json", by_alias=True)}
    return json.dumps({"replica": "g1", "upSeconds": 60, "reports": seen, "progress": [said]}).encode()


def test_one_bad_report_leaves_the_others_of_its_replica() -> None:
    good, other = (report(node, 1).model_dump(mode="json", by_alias=True) for node in ("pi-1", "pi-2"))
    seen = parse_reading(answer(good, {**good, "node": "pi-9", "sequence": 2**60}, "no report", other))
    assert [each.report.node for each in seen.reports] == ["pi-1", "pi-2"]
    assert [each.progress.epoch for each in seen.progress] == [3]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"replica": "g1"}', b'{"replica": "g1", "upSeconds": 1, "reports": {"0": 1}}'])
def test_what_is_no_reading_at_all_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parse_reading(content)


class Away(FakeApi):
    """An API server that does not answer lists while `gone` is set."""

    gone = False

    async def list(self, *args: Any, **options: Any) -> Any:
        if self.gone:
            raise ApiUnavailable("away")
        return await super().list(*args, **options)


@pytest.mark.parametrize(
    ("gone", "replicas", "silent"),
    [
        pytest.param(False, 0, 0, id="none is ready"),
        pytest.param(False, 1, 1, id="one is, and no CA is mounted to ask it by"),
        pytest.param(True, 1, 0, id="the API server does not say which there are"),
    ],
)
async def test_replicas_that_no_longer_answer_are_not_counted_as_such(gone: bool, replicas: int, silent: int) -> None:
    api, metrics = Away(), Metrics()
    api.gone = gone
    endpoints = [{"addresses": [f"10.0.0.{number}"]} for number in range(replicas)]
    labels = {"kubernetes.io/service-name": SETTINGS.gateway_service}
    ports = [{"name": "https", "port": 8443}]
    api.put(made("EndpointSlice", "g", namespace=SETTINGS.namespace, metadata={"labels": labels}, ports=ports, endpoints=endpoints))
    metrics.replicas.labels("yes").set(2)
    metrics.replicas.labels("no").set(2)
    metrics.devices.set(9)
    poller = GatewayPoller(api, SETTINGS, Changes(Cache(), WorkQueue(), {}), DeviceReports(), metrics)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await poller.run()
    sample = metrics.registry.get_sample_value
    counted = [sample("bramble_gateway_replicas", {"answered": told}) for told in ("yes", "no")]
    assert (counted, sample("bramble_devices")) == ([0, silent], 0)
