"""What the device's HTTP API costs: an edge prediction of a digits PNG against a bare call that does the same work.

Both decode, preprocess, run ONNX Runtime and postprocess. The calls alternate within one run, so that whatever else the machine does
falls on both. Prints JSON; exits 1 when the median overhead is above the goal.

Usage: python benchmarks/edge_overhead.py [--requests N]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.contracts.package import Package
from bramble_workloads.processing.model import Model
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import build_package, digits, digits_graph

GOAL_MS = 1.0
WARMUP = 200


class Endpoint(NamedTuple):
    """Where the agent answers, and the package that it serves."""

    port: int
    package: Package
    graph: bytes


@contextmanager
def serving() -> Iterator[Endpoint]:
    """A real agent process that serves the digits model, on loopback."""
    started: list[Endpoint] = []
    ready, done = threading.Event(), threading.Event()

    async def serve(folder: Path) -> None:
        gateway = FakeGateway()
        await gateway.start()
        package, blobs = build_package(digits_graph())
        digest = gateway.add(package, blobs)
        gateway.assign(digest)
        agent = Agent(gateway, folder)
        try:
            await agent.start()
            await agent.serves(digest)
            started.append(Endpoint(agent.port, package, digits_graph()))
            ready.set()
            await asyncio.to_thread(done.wait)
        finally:
            ready.set()
            await agent.stop()
            await gateway.stop()

    with tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=lambda: asyncio.run(serve(Path(folder))))
        thread.start()
        ready.wait()
        try:
            yield started[0]
        finally:
            done.set()
            thread.join()


class Client:
    """A plain client of the standard library on one kept connection: what a program beside the agent would use at the least."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._path = "/v2/models/ads.digits/infer"

    def json(self, picture: bytes) -> dict[str, object]:
        """The picture as base64 in JSON."""
        data = [base64.b64encode(picture).decode()]
        body = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}]}).encode()
        return self._post(body, {"Content-Type": "application/json"})

    def binary(self, picture: bytes) -> dict[str, object]:
        """The picture as it is, by the binary extension."""
        size = len(picture) + 4
        inputs = [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}]
        head = json.dumps({"inputs": inputs}).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        return self._post(head + len(picture).to_bytes(4, "little") + picture, headers)

    def _post(self, body: bytes, headers: dict[str, str]) -> dict[str, object]:
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        answer: dict[str, object] = json.loads(content)
        return answer


def measure(endpoint: Endpoint, requests: int) -> dict[str, list[float]]:
    """Milliseconds of each call, alternating: bare, JSON, binary."""
    pictures, _ = digits()
    model = Model.load(endpoint.package, endpoint.graph)
    client = Client(endpoint.port)
    calls = {"bare": model.predict, "json": client.json, "binary": client.binary}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARMUP + requests):
        picture = pictures[number % len(pictures)]
        for name, call in calls.items():
            began = time.perf_counter()
            call(picture)
            if number >= WARMUP:
                found[name].append((time.perf_counter() - began) * 1000)
    return found


def summary(found: dict[str, list[float]]) -> dict[str, object]:
    """Medians and 95th percentiles in milliseconds; differences and ratios of the medians."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    bare = medians["bare"]
    return {
        "what": "edge predict over HTTP of a digits PNG against a bare call that does the same",
        "requests": len(found["bare"]),
        "median_ms": {name: round(value, 4) for name, value in medians.items()},
        "p95_ms": {name: round(statistics.quantiles(values, n=20)[-1], 4) for name, values in found.items()},
        "overhead_ms": {name: round(medians[name] - bare, 4) for name in ("json", "binary")},
        "ratio": {name: round(medians[name] / bare, 2) for name in ("json", "binary")},
        "goal_ms": GOAL_MS,
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    command = ["sh", "-c", "grep -m1 'model name' /proc/cpuinfo || uname -m"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition(":")[2].strip() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    with serving() as endpoint:
        found = summary(measure(endpoint, parser.parse_args().requests))
    print(json.dumps(found, indent=2))
    overhead = found["overhead_ms"]
    assert isinstance(overhead, dict)
    return 0 if max(overhead.values()) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
