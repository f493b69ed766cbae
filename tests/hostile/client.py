"""A client of the devices: expensive pictures, held connections, odd requests and feedback on answers of others."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from functools import partial
from itertools import count, cycle
from typing import Any

import aiohttp
import numpy as np
from PIL import ExifTags, Image

from tests.hostile.attack import Attack, hold, raw, session
from tests.unit.workloads.edge.agent_process import request_of
from tests.unit.workloads.hostile_pictures import LARGE, black_png, chunk, jpeg_of_scans

INFER = "/v2/models/{}/infer"
BODY = 10 * 2**20


def pictures() -> dict[str, bytes]:
    """Pictures by what is wrong with them. The first ones pass the bounds, and cost as much as they allow."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    return {
        "40 megapixels": black_png(6320, 6320),
        "32 scans": jpeg_of_scans(*LARGE, 32),
        "16 bits": black_png(5700, 5700, 16, 0),
        "thin": black_png(4000, 1),
        "300 scans": jpeg_of_scans(*LARGE, 300),
        "transparent": black_png(6320, 6320, 8, 6),
        "transparent and turned": black_png(6320, 6320, 8, 6, chunk(b"eXIf", turned.tobytes().removeprefix(b"Exif\0\0"))),
        "cut off": black_png(3000, 3000)[:-400],
        "no picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    }


def requests(name: str) -> dict[str, bytes]:
    """Whole requests, as bytes, by what is odd about them."""
    head = f"POST {INFER.format(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    tensor = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": %s}]}'
    bomb = gzip.compress(bytes(64 * 2**20), 1)

    def sized(body: bytes, more: bytes = b"") -> bytes:
        return head + more + b"Content-Length: %d\r\n\r\n" % len(body) + body

    nan = np.full((1, 1, 8, 8), np.nan, "<f4").tobytes()
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "parameters": {"binary_data_size": len(nan)}}]
    text = json.dumps({"inputs": inputs}).encode()
    binary = head.replace(b"application/json", b"application/octet-stream")
    binary += b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (len(text), len(text) + len(nan))
    return {
        "NaN": binary + text + nan,
        "a number of 400 digits": sized(tensor % (b"[1" + b"0" * 400 + b"]")),
        "nested 100,000 deep": sized(tensor % (b"[" * 100_000)),
        "many values": sized(tensor % (b"[" + b"{}," * 1_000_000 + b"{}]")),
        "a lone surrogate": sized(b'{"id": "\\ud800", "inputs": []}'),
        "not UTF-8": sized(b'{"id": "\xff\xfe", "inputs": []}'),
        "gzip": sized(bomb, b"Content-Encoding: gzip\r\n"),
        "two lengths": head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "a length and chunks": head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a negative length": head + b"Content-Length: -1\r\n\r\n",
        "a length of 40 digits": head + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        "a head without end": b"GET /v2 HTTP/1.1\r\nX: " + b"x" * 100_000,
        "the model of nobody": sized(b"{}").replace(name.encode(), b"../../etc/passwd"),
    }


async def play(attack: Attack) -> None:
    """All tricks at all devices at once."""
    name, node_of = attack.known["model"], attack.known["agents"]
    made, odd = await asyncio.to_thread(pictures), await asyncio.to_thread(requests, name)
    head = f"POST {INFER.format(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    await attack.begin()
    async with session() as http, asyncio.TaskGroup() as tasks:
        for node, url in node_of.items():
            port = int(url.rsplit(":", 1)[1])
            for kind, content in made.items():
                tasks.create_task(attack.again(f"picture, {kind}", partial(ask, http, url, name, content)))
            for kind, content in odd.items():
                tasks.create_task(attack.again(f"request, {kind}", partial(raw, port, content), 0.5))
            held: dict[str, tuple[bytes, bytes, int, float]] = {
                "bodies that do not come": (head + b"Content-Length: %d\r\n\r\n{" % BODY, b" ", 8, 5.0),
                "small bodies that trickle": (head + b"Content-Length: 20000\r\n\r\n{", b" ", 300, 1.0),
                "heads that trickle": (b"GET /v2 HTTP/1.1\r\n", b"X: y\r\n", 300, 1.0),
                "nothing at all": (b"", b"", 300, 5.0),
            }
            for kind, (first, more, number, every) in held.items():
                tasks.create_task(attack.again(f"connections, {kind}", partial(hold, port, first, more, number, every), 1.0))
            guess = partial(feedback, http, url, node, count(1))
            tasks.create_task(attack.again("feedback on an answer of somebody else", guess, 0.02))
            paths = cycle(("/metrics", "/v2", f"/v2/models/{name}", "/v2/health/ready"))
            tasks.create_task(attack.again("reading", partial(read, http, url, paths), 0.02))


async def ask(http: aiohttp.ClientSession, url: str, name: str, content: bytes) -> int:
    async with http.post(url + INFER.format(name), json=request_of(content)) as response:
        await response.read()
        if response.status == 429:
            await asyncio.sleep(0.2)
        return response.status


async def feedback(http: aiohttp.ClientSession, url: str, node: str, numbers: Iterator[int]) -> int:
    said: dict[str, Any] = {"requestId": f"{node}-{next(numbers)}", "label": "0"}
    async with http.post(f"{url}/v1/feedback", json=said) as response:
        return response.status


async def read(http: aiohttp.ClientSession, url: str, paths: Iterator[str]) -> int:
    async with http.get(url + next(paths)) as response:
        await response.read()
        return response.status
