"""Requests byte by byte as tritonclient 2.73 (HTTP) sends them. The client itself would bring gevent into the tests.

It sends no Content-Type, asks for binary outputs without naming one, and names the length of the JSON in a header of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import numpy as np

from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.conftest import Publish
from tests.unit.workloads.models import digits

AGENT = "User-Agent: python/gevent-http-client-2.6.1\r\n"
PICTURE = digits()[0][3]


def infer(body: bytes, *, json_bytes: int | None = None, version: str = "", coding: str = "") -> bytes:
    """An inference request. `json_bytes`: how much of the body is JSON, where the rest is binary."""
    length = f"Inference-Header-Content-Length: {json_bytes}\r\n" if json_bytes is not None else ""
    first = f"POST /v2/models/ads.digits{version}/infer HTTP/1.1\r\n{AGENT}{coding}{length}"
    return f"{first}Host: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\n{AGENT}Host: 127.0.0.1\r\n\r\n".encode()


async def ask(agent: Agent, *requests: bytes) -> list[tuple[int, dict[str, Any], bytes]]:
    """Send requests over one connection as the client does; status, JSON and binary part of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    answers = []
    for request in requests:
        writer.write(request)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        length = int(headers.get("inference-header-content-length", len(body)))
        answers.append((int(lines[0].split()[1]), json.loads(body[:length]), body[length:]))
    writer.close()
    return answers


async def test_tritonclient_is_answered(agent: Agent, publish: Publish) -> None:
    await agent.start_serving(publish())
    model, raw, tensor = "/v2/models/ads.digits", len(PICTURE).to_bytes(4, "little") + PICTURE, bytes(256)
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    binary = compact({"inputs": [image], "parameters": {"binary_data_output": True}})
    x = {"name": "x", "shape": [1, 1, 8, 8], "datatype": "FP32"}
    best = {"name": "logits", "parameters": {"classification": 3, "binary_data": True}}
    of_tensor = compact({"id": "7", "inputs": [{**x, "parameters": {"binary_data_size": 256}}], "outputs": [best]})
    logits = {"name": "logits", "parameters": {"binary_data": False}}
    plain = gzip.compress(compact({"inputs": [{**x, "data": [0.0] * 64}], "outputs": [logits]}))
    found = await ask(
        agent,
        *map(get, ("/v2/health/live", "/v2/health/ready", f"{model}/versions/1.0.0/ready", "/v2", model)),
        infer(binary + raw, json_bytes=len(binary)),
        infer(of_tensor + tensor, json_bytes=len(of_tensor), version="/versions/1.0.0"),
        infer(plain, coding="Content-Encoding: gzip\r\n"),
    )
    assert [status for status, _, _ in found] == [200] * 8, found
    (_, first, raw_outputs), (_, second, classes), (_, third, nothing) = found[5:]
    sizes = {each["name"]: each["parameters"]["binary_data_size"] for each in first["outputs"]}
    assert sum(sizes.values()) == len(raw_outputs)
    assert sizes["logits"] == 40, "ten logits"
    assert (second["id"], second["model_version"], second["outputs"][0]["shape"]) == ("7", "1.0.0", [1, 3])
    assert classes.count(b":") == 6, "three times value:index:label"
    assert len(third["outputs"][0]["data"]) == 10
    assert nothing == b""
    assert np.isfinite(third["outputs"][0]["data"]).all()
