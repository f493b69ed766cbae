"""A tenant's store that answers well until its models are on the devices, and then drips, hangs, lies and never ends; and what its
packages ask of a device: threads and disk without measure, and files of others."""

from __future__ import annotations

import asyncio
import logging
from itertools import count, cycle
from pathlib import Path
from secrets import token_hex
from typing import Any

import onnx
from aiohttp import web
from onnx import TensorProto, external_data_helper

from bramble.contracts.canonical import canonical_json, digest_of, document_digest
from bramble.contracts.package import File, Package, Serving
from bramble.contracts.store import blob_key
from bramble.errors import BrambleError
from bramble.kube.client import Client
from bramble.kube.config import from_kubeconfig
from bramble.kube.resources import MODEL_VERSION, ROLLOUT, Resource
from tests.hostile.attack import Attack
from tests.hostile.versions import results_of, rollout_manifest, version_manifest, whole_package
from tests.ports import free_port
from tests.unit.workloads.models import digits_graph

SECRET = Resource("", "v1", "secrets", "Secret")
WAYS = ("drip", "hang", "lie", "endless", "redirect", "markup", "cut", "well")
MARKUP = b"<Error><Code>AccessDenied</Code><Message><script>alert(1)</script> AKIAIOSFODNN7EXAMPLE</Message></Error>"
PREFIX = "/bucket/"


class Server:
    """An S3 server by its looks."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.objects: dict[str, bytes] = {}
        self.well = True
        self._ways = cycle(WAYS)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the tenant would, or in the next bad way."""
        key = request.path.removeprefix(PREFIX)
        way = "well" if self.well or request.method != "GET" else next(self._ways)
        self.attack.outcomes[f"answers: {way}"] += 1
        content = self.objects.get(key)
        if request.method == "PUT":
            self.objects[key] = await request.read()
            return web.Response(headers={"ETag": '"0"'})
        if way == "hang":
            await asyncio.sleep(3600)
        if way == "redirect":
            return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{self.attack.known['gateway']}/v1/observed"})
        if way == "markup":
            return web.Response(status=403, body=MARKUP, content_type="application/xml")
        if way in ("drip", "endless"):
            return await self._stream(request, content or b"x" * 1000, endless=way == "endless")
        if content is None:
            return web.Response(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
        if way == "lie":
            content = bytes(reversed(content))
        if way == "cut":
            response = web.StreamResponse(headers={"Content-Length": str(len(content) + 10), "ETag": '"0"'})
            await response.prepare(request)
            await response.write(content)
            if request.transport is not None:
                request.transport.abort()
            return response
        return web.Response(body=content, headers={"ETag": '"0"', "Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT"})

    async def _stream(self, request: web.Request, content: bytes, *, endless: bool) -> web.StreamResponse:
        headers = {} if endless else {"Content-Length": str(len(content)), "ETag": '"0"'}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if endless:
            for _ in range(4096):
                await response.write(bytes(64 * 1024))
                await asyncio.sleep(0.01)
        for position in range(len(content)):
            await response.write(content[position : position + 1])
            await asyncio.sleep(2)
        return response


def external_graph(digest: str) -> bytes:
    """A graph whose weights are said to lie in the blob of somebody else."""
    model = onnx.load_from_string(digits_graph())
    tensor = model.graph.initializer[0]
    external_data_helper.set_external_data(tensor, location=f"../sha256/{digest[7:]}")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return bytes(model.SerializeToString())


async def play(attack: Attack) -> None:
    """Serve; make models that are proven, and let them be rolled out; then play the tricks."""
    known, server = attack.known, Server(attack)
    namespace, port = known["namespace"], free_port()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # clients that give a dripping store up are no news
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with Client(from_kubeconfig(Path(known["kubeconfig"]))) as api:
            values = {"endpoint": f"http://127.0.0.1:{port}", "bucket": "bucket", "accessKey": "k", "secretKey": "s"}
            metadata = {"name": "bramble-store", "namespace": namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
            await api.apply(SECRET, secret, force=True)
            tag, greedy = token_hex(2), Serving(threads=64, concurrency=64)
            await offer(api, server, known, f"greedy-{tag}", digits_graph(), serving=greedy)
            await attack.begin()
            await offer(api, server, known, f"external-{tag}", external_graph(known["blobs"][0]), golden_of=digits_graph())
            server.well = False
            for number in count(1):
                await offer(api, server, known, f"more-{tag}-{number % 20}", digits_graph(1 + number / 1000), version=f"{number}.0.0")
                await asyncio.sleep(3)
    finally:
        await runner.cleanup()


async def offer(
    api: Client, server: Server, known: dict[str, Any], model: str, graph: bytes, version: str = "1.0.0", **changes: Any
) -> None:
    """A proven version of a model, and a Rollout that wants it."""
    namespace, fleet = known["namespace"], known["fleet"]
    golden_of = changes.pop("golden_of", graph)
    package, blobs = whole_package(golden_of, model=model, version=version, **changes)
    if golden_of is not graph:
        package, blobs = replaced_graph(package, blobs, graph)
    digest = document_digest(package)
    made = version_manifest(namespace, model, version, digest, fleet)
    name = made["metadata"]["name"]
    try:
        uid = (await api.create(MODEL_VERSION, made))["metadata"]["uid"]
        server.objects.update(results_of(namespace, name, uid, digest, fleet))
        server.objects.update({blob_key(each): content for each, content in blobs.items()})
        await api.merge(MODEL_VERSION, namespace, name, {"metadata": {"annotations": {"tests.bramble.dev/uploaded": "true"}}})
        wanted = rollout_manifest(namespace, model, fleet, name, [])
        await api.apply(ROLLOUT, wanted, force=True)
        server.attack.outcomes["offers: made"] += 1
    except BrambleError as error:
        server.attack.outcomes[f"offers: {type(error).__name__}"] += 1


def replaced_graph(package: Package, blobs: dict[str, bytes], graph: bytes) -> tuple[Package, dict[str, bytes]]:
    """The same package around another graph, which nobody has tried."""
    model = File(sha256=digest_of(graph), bytes=len(graph), media_type="application/onnx")
    made = package.model_copy(update={"files": {**package.files, "model": model}})
    return made, {**blobs, digest_of(graph): graph, document_digest(made): canonical_json(made)}
