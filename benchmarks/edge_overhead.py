"""What the device's HTTP API costs, against bare calls that do the same work: decode, preprocess, ONNX Runtime, postprocess.

Latency: for each kind of request, bare calls and requests alternate within one run, so that whatever else the machine does falls on both.
Requests go over one kept connection from a client that is a plain socket: it sends requests that were made before and reads each answer to
its end. `http.client` takes 0.1 to 0.2 ms for the same and would be a large part of what is measured.

In the same turn, the bare call is asked of another process over a plain socket, without HTTP and without an event loop. This is the least
that any server adds: two ways through the kernel, a sleeping processor that wakes up, and caches that the work in between has filled.

Throughput: the agent has one core and several clients have the other; bare calls have the agent's core while nobody asks the agent.

Prints JSON; exits 1 when a goal is missed.

Usage: python benchmarks/edge_overhead.py [--requests N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import multiprocessing
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.contracts.images import Decode, ImageInput, Normalize
from bramble.contracts.package import Golden, GoldenTolerance, Package
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.processing.golden import make_case
from bramble_workloads.processing.model import Model
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.models import build_package, description, digits, digits_graph

GOAL_ABOVE_MS = 0.3
"""Of a picture's median request above the median bare call."""
GOAL_TENSOR_RATIO = 1.2
"""Of a tensor's median request to the median bare call."""
GOAL_THROUGHPUT_RATIO = 0.95
"""Of requests a second to bare calls a second, on one core."""
WARMUP = 50
CLIENTS = 4
LENGTH = struct.Struct("<I")
DONE = b"."
ROUND_SECONDS = 2.0
SIZE = 224
TENSOR = Tensor(name="x", shape=(1, 3, SIZE, SIZE), layout="NCHW")
TENSOR_BYTES = 4 * 3 * SIZE * SIZE


class Served(NamedTuple):
    """A model that the agent serves, and the same model for bare calls."""

    name: str
    package: Package
    blobs: dict[str, bytes]
    model: Model


class Case(NamedTuple):
    """One kind of request: what is sent, and the bare call that does the same; by number, for inputs that differ."""

    on: Served
    inputs: Sequence[bytes]
    """Files of pictures, or raw tensors."""
    request: Callable[[int], bytes]
    bare: Callable[[int], object]


# ------------------------------------------------------------------------------------------------ models and inputs


def served(name: str, graph: bytes, example: bytes, **changes: Any) -> Served:
    """A model under `ads.<name>`; one golden case, as often as a package must have one."""
    case = make_case(Model.load(description(**changes), graph), example)
    golden = Golden(tolerance=GoldenTolerance(), cases=(case.case,) * 4)
    package, blobs = build_package(graph, cases=0, model=name, golden=golden, **changes)
    return Served(name, package, {**blobs, **case.blobs}, Model.load(package, graph))


def pictures_graph() -> bytes:
    """The built-in `small-cnn` on pictures of 224 pixels in three colours, to ten logits."""
    import torch

    from bramble_workloads.runtimes.onnx.export import OnnxExporter
    from bramble_workloads.tasks.classification.architectures import SmallCnn

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        example = torch.zeros(1, 3, SIZE, SIZE)
        OnnxExporter().write(SmallCnn(3, 10).eval(), example, description(**pictures_description()), path)
        return path.read_bytes()


def pictures_description() -> dict[str, Any]:
    """What differs from the digits model."""
    return {
        "input": ImageInput(max_bytes=2**20, max_pixels=1_000_000, tensor=TENSOR),
        "preprocess": (Decode(color="RGB"), Normalize(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))),
    }


def photograph() -> Image.Image:
    """A picture of 224 pixels that compresses about as a photograph does: soft shapes and a little noise."""
    random = np.random.default_rng(0)
    soft = Image.fromarray(random.integers(0, 256, (14, 14, 3), np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    noise = random.normal(0, 4, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


# --------------------------------------------------------------------------------------------------------- requests


def as_json(name: str, picture: bytes) -> bytes:
    """A picture as base64 in JSON."""
    data = [base64.b64encode(picture).decode()]
    body = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}]}).encode()
    return post(name, body, "Content-Type: application/json")


def as_binary(name: str, given: dict[str, Any], raw: bytes) -> bytes:
    """An input by the binary extension."""
    head = json.dumps({"inputs": [{**given, "parameters": {"binary_data_size": len(raw)}}]}).encode()
    return post(name, head + raw, f"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {len(head)}")


def picture_as_binary(name: str, picture: bytes) -> bytes:
    """A picture by the binary extension."""
    return as_binary(name, {"name": "image", "datatype": "BYTES", "shape": [1]}, len(picture).to_bytes(4, "little") + picture)


def post(name: str, body: bytes, headers: str) -> bytes:
    """A whole request."""
    head = f"POST /v2/models/ads.{name}/infer HTTP/1.1\r\nHost: localhost\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """Send a request and read the whole answer; gives its body."""
        self._socket.sendall(request)
        received = self._socket.recv(65536)
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), received
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._socket.recv(65536)
        return body


def cases(small: Served, large: Served) -> dict[str, Case]:
    """Every kind of request."""
    handwritten = digits()[0]
    jpeg, png = encoded(photograph(), "JPEG", quality=90), encoded(photograph(), "PNG")
    tensor = large.model.preprocessor(png)
    given = {"name": TENSOR.name, "datatype": "FP32", "shape": list(TENSOR.shape)}
    found = {
        "digits_png_json": (small, [as_json(small.name, each) for each in handwritten], handwritten),
        "digits_png_binary": (small, [picture_as_binary(small.name, each) for each in handwritten], handwritten),
        "jpeg_224_json": (large, [as_json(large.name, jpeg)], [jpeg]),
        "jpeg_224_binary": (large, [picture_as_binary(large.name, jpeg)], [jpeg]),
        "png_224_json": (large, [as_json(large.name, png)], [png]),
        "png_224_binary": (large, [picture_as_binary(large.name, png)], [png]),
    }
    found["tensor_224_binary"] = (large, [as_binary(large.name, given, tensor.tobytes())], [tensor.tobytes()])
    return {name: Case(on, inputs, cycle(requests), partial(call, on.model, inputs)) for name, (on, requests, inputs) in found.items()}


def cycle(items: Sequence[bytes]) -> Callable[[int], bytes]:
    """The items in turn."""
    return lambda number: items[number % len(items)]


def call(model: Model, inputs: Sequence[bytes], number: int) -> object:
    """One bare call."""
    content = inputs[number % len(inputs)]
    if len(content) == TENSOR_BYTES:
        return model.answer(model.run(np.frombuffer(content, np.float32).reshape(TENSOR.shape)))
    return model.predict(content)


# ------------------------------------------------------------------------------------------------------ the agent


class Started(NamedTuple):
    """Where the agent answers, and its process."""

    port: int
    pid: int


@contextmanager
def agent_with(*models: Served) -> Iterator[Started]:
    """A real agent process that serves the models, on loopback."""
    started: list[Started] = []
    ready, done = threading.Event(), threading.Event()

    async def serve(folder: Path) -> None:
        gateway = FakeGateway()
        await gateway.start()
        digests = {each.name: gateway.add(each.package, each.blobs) for each in models}
        for name, digest in digests.items():
            gateway.assign(digest, model=name)
        agent = Agent(gateway, folder)
        try:
            await agent.start()
            for name, digest in digests.items():
                await agent.serves(digest, name)
            assert agent.process is not None
            started.append(Started(agent.port, agent.process.pid))
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


# ------------------------------------------------------------------------------------------- the plain process


class PlainProcess:
    """The bare call in a process of its own, asked over a TCP connection: a length and the input one way, one byte back."""

    def __init__(self, case: Case) -> None:
        graph = case.on.blobs[case.on.package.files["model"].sha256]
        with socket.create_server(("127.0.0.1", 0)) as server:
            context = multiprocessing.get_context("spawn")  # a fork would share the pages of this process
            self._process = context.Process(target=answer_plainly, args=(server.getsockname()[1], case.on.package, graph), daemon=True)
            self._process.start()
            self._socket, _ = server.accept()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, content: bytes) -> None:
        """Send one input and wait for the call's end."""
        self._socket.sendall(LENGTH.pack(len(content)) + content)
        assert self._socket.recv(1) == DONE

    def end(self) -> None:
        """Close the connection, which ends the process."""
        self._socket.close()
        self._process.join()


def answer_plainly(port: int, package: Package, graph: bytes) -> None:
    """What the plain process runs: one call after the other, until the connection is closed."""
    model = Model.load(package, graph)
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as requests:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while length := requests.read(LENGTH.size):
            call(model, [requests.read(LENGTH.unpack(length)[0])], 0)
            connection.sendall(DONE)


def pin(pid: int, cores: set[int]) -> None:
    """Keep every thread of a process on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


# ------------------------------------------------------------------------------------------------------- measuring


def latency(case: Case, port: int, requests: int) -> dict[str, float]:
    """Medians in milliseconds of bare calls, calls of the plain process and requests in turn, and how they compare."""
    client, plain = Client(port), PlainProcess(case)
    taken: list[tuple[float, float, float]] = []
    for number in range(WARMUP + requests):
        content, request = case.inputs[number % len(case.inputs)], case.request(number)
        began = time.perf_counter()
        case.bare(number)
        called = time.perf_counter()
        plain.ask(content)
        told = time.perf_counter()
        client.ask(request)
        answered = time.perf_counter()
        taken.append((called - began, told - called, answered - told))
    plain.end()
    bare, other, http = ([seconds * 1000 for seconds in column] for column in zip(*taken[WARMUP:], strict=True))
    middle, asked = statistics.median(bare), statistics.median(http)
    return {
        "bare_ms": round(middle, 3),
        "plain_process_ms": round(statistics.median(other), 3),
        "http_ms": round(asked, 3),
        "http_p95_ms": round(statistics.quantiles(http, n=20)[-1], 3),
        "plain_process_above_ms": round(statistics.median(other) - middle, 3),
        "above_ms": round(asked - middle, 3),
        "plain_process_ratio": round(statistics.median(other) / middle, 3),
        "ratio": round(asked / middle, 3),
    }


def throughput(case: Case, agent: Started, rounds: int) -> dict[str, float]:
    """Calls a second on one core, bare and over HTTP, in turn; medians of the rounds."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    pin(agent.pid, {first})
    bare, http = [], []
    for _ in range(rounds):
        os.sched_setaffinity(0, {first})
        bare.append(rate([lambda: case.bare(0)]))
        os.sched_setaffinity(0, {second})
        http.append(rate([partial(client.ask, case.request(0)) for client in [Client(agent.port) for _ in range(CLIENTS)]]))
    os.sched_setaffinity(0, {first, second})
    pin(agent.pid, {first, second})
    return {
        "bare_per_second": round(statistics.median(bare), 1),
        "http_per_second": round(statistics.median(http), 1),
        "ratio": round(statistics.median(asked / called for asked, called in zip(http, bare, strict=True)), 3),
    }


def rate(calls: Sequence[Callable[[], object]]) -> float:
    """How often a second the calls are made together, each in a thread of its own."""
    ends_at = time.perf_counter() + ROUND_SECONDS
    totals: list[int] = []

    def repeat(one: Callable[[], object]) -> None:
        for number in count(1):
            one()
            if time.perf_counter() >= ends_at:
                totals.append(number)
                return

    threads = [threading.Thread(target=repeat, args=(one,)) for one in calls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(totals) / (time.perf_counter() - began)


def measure(requests: int, rounds: int) -> dict[str, Any]:
    """Every figure."""
    small = served("digits", digits_graph(), digits()[0][0])
    large = served("pictures", pictures_graph(), encoded(photograph(), "PNG"), **pictures_description())
    kinds = cases(small, large)
    with agent_with(small, large) as agent:
        found = {name: latency(case, agent.port, requests) for name, case in kinds.items()}
        rates = {name: throughput(kinds[name], agent, rounds) for name in kinds if name.startswith(("jpeg", "png", "tensor"))}
    return {"requests": requests, "latency": found, "clients": CLIENTS, "rounds": rounds, "throughput": rates}


def missed(found: dict[str, Any]) -> list[str]:
    """The goals that were not met."""
    pictures = {name: each["above_ms"] for name, each in found["latency"].items() if not name.startswith("tensor")}
    tensors = {name: each["ratio"] for name, each in found["latency"].items() if name.startswith("tensor")}
    rates = {name: each["ratio"] for name, each in found["throughput"].items()}
    return [
        *(f"{name}: + {above} ms, goal + {GOAL_ABOVE_MS} ms" for name, above in pictures.items() if above > GOAL_ABOVE_MS),
        *(f"{name}: {ratio} x, goal {GOAL_TENSOR_RATIO} x" for name, ratio in tensors.items() if ratio > GOAL_TENSOR_RATIO),
        *(f"{name}: {ratio} of bare calls, goal {GOAL_THROUGHPUT_RATIO}" for name, ratio in rates.items() if ratio < GOAL_THROUGHPUT_RATIO),
    ]


def machine() -> str:
    """What was measured on."""
    command = ["sh", "-c", "grep -m1 'model name' /proc/cpuinfo || uname -m"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition(":")[2].strip()
    return f"{told or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    load = machine()
    found = measure(arguments.requests, arguments.rounds)
    print(json.dumps({**found, "missed": missed(found), "machine": load}, indent=2))
    return int(bool(missed(found)))


if __name__ == "__main__":
    sys.exit(main())
