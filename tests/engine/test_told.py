"""What the operator tells beside status: probes, metrics and events, on a real API server; and its log lines."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest

from bramble.engine.logs import JsonFormatter
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kube.resources import DATASET
from tests.engine.running import client, eventually, running, says
from tests.engine.test_watching import dataset
from tests.ports import free_port
from tools.cluster import Cluster


@pytest.mark.cluster
async def test_probes_metrics_and_events(local: Cluster, namespace: str) -> None:
    port = free_port()
    async with (
        client(local) as api,
        running(local, (CONTROLLER,), http_port=port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        await api.create(DATASET, dataset(namespace))
        await says(api, DATASET, namespace, "tape", "StoreMissing")
        for path in ("/healthz", "/readyz"):
            async with http.get(path) as response:
                assert (response.status, await response.text()) == (200, "ok")
        async with http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        told = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}
        assert told["bramble_leader"] == 1
        assert told['bramble_reconcile_seconds_count{kind="Dataset"}'] >= 1
        assert told['bramble_writes_total{kind="Dataset",verb="status"}'] >= 1
        assert told['bramble_cache_objects{kind="Dataset"}'] >= 1
        assert told['bramble_gateway_replicas{answered="yes"}'] == 0

        async def posted() -> list[dict[str, Any]]:
            found = await asyncio.to_thread(local.list, "events.events.k8s.io", namespace)
            return [each for each in found if each["reason"] == "StoreMissing"]

        (event,) = await eventually(posted)  # a pass posts it after the status
    assert (event["type"], event["regarding"]["kind"], event["regarding"]["name"]) == ("Warning", "Dataset", "tape")
    assert "create it with endpoint, bucket, accessKey and secretKey" in event["note"]


def test_a_log_line_for_machines_is_one_object_with_the_traceback() -> None:
    error = ValueError("two\nlines")
    wrong = (ValueError, error, None)
    record = logging.LogRecord("bramble.engine", logging.ERROR, __file__, 1, "pass of %s failed", ("Dataset ads/tape",), wrong)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "bramble.engine", "pass of Dataset ads/tape failed")
    assert told["error"].endswith("ValueError: two\nlines")
    assert told["time"].endswith("+00:00")
