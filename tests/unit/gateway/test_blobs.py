"""Blobs: who may read which, in which parts, from whose store. The store is a real S3 server."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from bramble.contracts.assignment import Blob, PackageBlobs
from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.images import Decode, ImageInput
from bramble.contracts.manifest import Manifest, Sample, Shard
from bramble.contracts.package import File, Output, Package, Variant
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify, Label
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.gateway import blobs, closures, stores, streams
from bramble.gateway.identity import Caller
from bramble.gateway.refusals import Busy
from bramble.gateway.streams import Streams
from bramble.kube import store as kube_store
from tests.unit.gateway.conftest import Replica, until
from tests.unit.gateway.fakes import agent_of, benchmark_job, other_job_file, put_job, store_secret
from tests.unit.gateway.test_assignments import assignment, config_map
from tests.unit.listening import listening

BIG = bytes(range(256)) * 4096 * 3
"""3 MiB: many chunks."""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def path(of: str) -> str:
    return f"/v1/blobs/{of.removeprefix('sha256:')}"


def assigned(replica: Replica, *contents: bytes) -> None:
    listed = PackageBlobs(blobs=tuple(Blob(sha256=digest(content), bytes=len(content)) for content in contents))
    stable = digest(contents[0])
    value = assignment(nodes={"rpi5": ("pi-0",)}, stable={"rpi5": stable}, candidate=None, candidate_nodes=(), packages={stable: listed})
    replica.gateway.assignments.replace([config_map(value)])


async def test_a_device_reads_what_its_assignment_names(replica: Replica) -> None:
    assigned(replica, BIG)
    replica.store.put_blob(BIG)
    answer = await replica.call("GET", path(digest(BIG)), "pi-0")
    assert answer.status == 200
    assert await answer.read() == BIG
    assert answer.headers["Content-Length"] == str(len(BIG))
    assert answer.headers["ETag"] == f'"{digest(BIG)}"'


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-9", slice(0, 10)),
        (f"bytes={len(BIG) - 5}-", slice(len(BIG) - 5, None)),
        ("bytes=1048576-", slice(1048576, None)),
        ("bytes=-7", slice(-7, None)),
    ],
)
async def test_a_download_goes_on_where_it_was(replica: Replica, wanted: str, expected: slice) -> None:
    assigned(replica, BIG)
    replica.store.put_blob(BIG)
    answer = await replica.call("GET", path(digest(BIG)), "pi-0", headers={"Range": wanted})
    assert answer.status == 206
    assert await answer.read() == BIG[expected]
    assert answer.headers["Content-Range"].endswith(f"/{len(BIG)}")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("bytes=99999999-", 416), ("bytes=0-1,5-6", 400), ("lines=1-2", 400), ("bytes=-", 400)],
)
async def test_a_range_that_cannot_be_served(replica: Replica, wanted: str, status: int) -> None:
    assigned(replica, BIG)
    replica.store.put_blob(BIG)
    assert (await replica.call("GET", path(digest(BIG)), "pi-0", headers={"Range": wanted})).status == status


async def test_what_a_device_may_not_read(replica: Replica) -> None:
    assigned(replica, b"ours")
    for content in (b"ours", b"of somebody else"):
        replica.store.put_blob(content)
    assert (await replica.call("GET", path(digest(b"of somebody else")), "pi-0")).status == 403
    assert (await replica.call("GET", path(digest(b"ours")), "pi-1")).status == 403
    for name in ("latest", "../secret", "A" * 64, "a" * 63):
        assert (await replica.call("GET", f"/v1/blobs/{name}", "pi-0")).status in (400, 404)


async def test_a_blob_that_is_named_and_not_there(replica: Replica) -> None:
    assigned(replica, b"never uploaded")
    answer = await replica.call("GET", path(digest(b"never uploaded")), "pi-0")
    assert answer.status == 404
    assert digest(b"never uploaded") in (await answer.json())["error"]


async def test_a_store_that_does_not_answer_is_a_503_and_one_that_refuses_a_502(replica: Replica) -> None:
    assigned(replica, b"ours")
    good = replica.api.objects["Secret", "ads", "bramble-store"]
    replica.api.put(store_secret("ads", endpoint="http://127.0.0.1:9", bucket="bucket", accessKey="a", secretKey="s"))
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 503
    replica.gateway.calls.stores._known.clear()
    replica.api.put(store_secret("ads", endpoint="http://127.0.0.1:9", bucket="A bucket?", accessKey="a", secretKey="s"))
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 502
    replica.gateway.calls.stores._known.clear()
    replica.api.objects["Secret", "ads", "bramble-store"] = {**good, "data": {**good["data"], "secretKey": "d3Jvbmc="}}
    answer = await replica.call("GET", path(digest(b"ours")), "pi-0")
    assert answer.status == 502
    assert "SignatureDoesNotMatch" in (await answer.json())["error"]
    replica.gateway.calls.stores._known.clear()
    del replica.api.objects["Secret", "ads", "bramble-store"]
    answer = await replica.call("GET", path(digest(b"ours")), "pi-0")
    assert (answer.status, "has no Secret bramble-store" in (await answer.json())["error"]) == (502, True)


async def test_a_key_that_was_rotated_is_used_seconds_after_the_old_one_was_refused(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(replica.gateway.calls.stores, "_clock", lambda: now)
    assigned(replica, b"ours")
    replica.store.put_blob(b"ours")
    good = replica.api.objects["Secret", "ads", "bramble-store"]
    replica.api.objects["Secret", "ads", "bramble-store"] = {**good, "data": {**good["data"], "accessKey": "b2xkLWtleQ=="}}
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 502
    replica.api.objects["Secret", "ads", "bramble-store"] = good
    now = stores.REFUSED_SECONDS - 1
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 502, "a wrong key does not cost a read of the Secret a call"
    now = stores.REFUSED_SECONDS
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 200


async def test_too_many_at_once_are_told_to_come_back(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    assigned(replica, b"ours")
    replica.store.put_blob(b"ours")
    monkeypatch.setattr(streams, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(streams, "STREAMS", 0)
    assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 503


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A blob of which a byte comes now and then."""
    await reader.read(65536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(0.02)


def fleets_with(replica: Replica, endpoints: Mapping[str, str], devices: int) -> dict[str, list[str]]:
    """A fleet of so many devices for each namespace, which wait for the same blob from its store: the devices' tokens by namespace."""
    tokens: dict[str, list[str]] = {}
    manifests = []
    listed = PackageBlobs(blobs=(Blob(sha256=digest(BIG), bytes=len(BIG)),))
    for namespace, endpoint in endpoints.items():
        if endpoint:
            secret = store_secret(namespace, endpoint=endpoint, bucket="bucket", accessKey="a", secretKey="s")
            replica.api.put(secret)
        nodes = tokens[namespace] = [f"{namespace}-{number}" for number in range(devices)]
        replica.api.tokens |= {node: agent_of(node) for node in nodes}
        value = assignment(
            namespace=namespace,
            fleet=namespace,
            nodes={"rpi5": tuple(nodes)},
            stable={"rpi5": digest(BIG)},
            candidate=None,
            candidate_nodes=(),
            packages={digest(BIG): listed},
        )
        manifests.append(config_map(value, f"assignment-{namespace}"))
    replica.gateway.assignments.replace(manifests)
    return tokens


async def test_stores_that_drip_do_not_take_the_streams_of_another(replica: Replica) -> None:
    replica.store.put_blob(BIG)
    bad = [f"slow-{number}" for number in range(11)]
    async with listening(drip) as port, asyncio.timeout(60):
        endpoints = {**dict.fromkeys(bad, f"http://127.0.0.1:{port}"), "ads": ""}
        tokens = fleets_with(replica, endpoints, streams.NAMESPACE_STREAMS)
        slow = [asyncio.ensure_future(replica.call("GET", path(digest(BIG)), token)) for name in bad for token in tokens[name][:6]]
        await until(lambda: replica.gateway.calls.blobs.streams.taken == streams.STREAMS)
        async with asyncio.timeout(15):  # less than a call waits
            answers = await asyncio.gather(*(replica.call("GET", path(digest(BIG)), token) for token in tokens["ads"]))
            assert [await answer.read() == BIG for answer in answers] == [True] * streams.NAMESPACE_STREAMS
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_store_that_drips_is_given_up_and_its_device_sees_that_bytes_are_missing(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "CHUNK_SECONDS", 0.3)
    async with listening(drip) as port, asyncio.timeout(30):
        (token,) = fleets_with(replica, {"slow": f"http://127.0.0.1:{port}"}, 1)["slow"]
        answer = await replica.call("GET", path(digest(BIG)), token)
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
        await until(lambda: replica.gateway.calls.blobs.streams.taken == 0)


async def test_a_store_that_breaks_off_is_seen_as_that(replica: Replica) -> None:
    """The rest of a blob is not taken by an error document."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000))
        await writer.drain()

    async with listening(break_off) as port, asyncio.timeout(30):
        (token,) = fleets_with(replica, {"slow": f"http://127.0.0.1:{port}"}, 1)["slow"]
        answer = await replica.call("GET", path(digest(BIG)), token)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.readexactly(1001)


@pytest.mark.parametrize("dripping", [True, False])
async def test_a_result_whose_store_does_not_end_its_answer_is_given_up(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, dripping: bool
) -> None:
    monkeypatch.setattr(kube_store, "ANSWER_SECONDS", 0.3)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nServer: ")
        while dripping and not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        await reader.read()

    async with listening(silent) as port, asyncio.timeout(30):
        (token,) = fleets_with(replica, {"slow": f"http://127.0.0.1:{port}"}, 1)["slow"]
        answer = await replica.call("GET", path(digest(BIG)), token)
        assert (answer.status, "no whole answer within 0.3 s" in await answer.text()) == (503, True)


async def test_one_read_of_a_missing_secret_answers_many_calls(replica: Replica) -> None:
    before = replica.api.reads
    for _ in range(20):
        with pytest.raises(StoreRefused, match="has no Secret"):
            await replica.gateway.calls.stores.of("tv")
    assert replica.api.reads == before + 1


SECRET_OF_A_STORE = {"endpoint": "http://127.0.0.1:9", "bucket": "bucket", "accessKey": "a", "secretKey": "s"}
_numbers = itertools.count()


def device() -> Caller:
    """An agent on a node of its own."""
    return Caller("bramble-edge", "bramble-agent", node=f"pi-{next(_numbers)}", pod="agent", pod_uid="u")


async def test_one_namespaces_slow_store_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAIT_SECONDS", 0.05)
    places = Streams()
    async with AsyncExitStack() as slow:
        for _ in range(streams.NAMESPACE_STREAMS):
            await slow.enter_async_context(places.place("slow", device()))
        with pytest.raises(Busy, match="16 from namespace slow"):
            await slow.enter_async_context(places.place("slow", device()))
        async with places.place("ads", device()):
            pass
        assert places.taken == streams.NAMESPACE_STREAMS, "who got no place holds none"
    async with places.place("slow", device()):
        pass
    assert places.taken == 0


async def test_a_device_that_reads_nothing_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAIT_SECONDS", 0.05)
    places, greedy = Streams(), device()
    async with AsyncExitStack() as held:
        for _ in range(streams.CALLER_STREAMS):
            await held.enter_async_context(places.place("ads", greedy))
        with pytest.raises(Busy, match="4 to one caller"):
            await held.enter_async_context(places.place("ads", greedy))
        async with places.place("ads", device()):
            pass


async def test_a_store_that_hangs_holds_up_no_other_namespace(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "TURN_SECONDS", 0.05)
    replica.api.put(store_secret("good", **SECRET_OF_A_STORE))
    hanging, good = await replica.gateway.calls.stores.of("ads"), await replica.gateway.calls.stores.of("good")
    async with AsyncExitStack() as held:
        for _ in range(stores.REQUESTS):
            await held.enter_async_context(hanging.turns.turn())
        with pytest.raises(StoreUnavailable, match=f"{stores.REQUESTS} earlier requests have not ended"):
            await hanging.find("a", 100)
        async with good.turns.turn():
            pass


async def test_a_namespace_whose_blobs_nobody_reads_is_forgotten() -> None:
    places = Streams()
    async with places.place("ads", device()):
        assert set(places._of_namespace) == {"ads"}
        assert len(places._of_caller) == 1
    gc.collect()
    assert not places._of_namespace
    assert not places._of_caller


async def test_a_device_that_hangs_up_gives_its_place_back(replica: Replica) -> None:
    assigned(replica, BIG)
    replica.store.put_blob(BIG)
    for _ in range(3):
        answer = await replica.call("GET", path(digest(BIG)), "pi-0")
        await answer.content.read(1000)
        answer.close()
    await until(lambda: replica.gateway.calls.blobs.streams.taken == 0)
    assert await (await replica.call("GET", path(digest(BIG)), "pi-0")).read() == BIG


def sample(content: bytes, split: Any) -> Sample:
    name = digest(content)
    return Sample(id=name, bytes=len(content), extension=".png", split=split, annotation=Label(label="1"), group=name, origin="s")


def benchmark_set(replica: Replica, more: bytes = b"") -> tuple[str, str]:
    """A package and a manifest in the store: their digests. `more` follows the list of samples."""
    model = replica.store.put_blob(b"the graph")
    tensor = Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW")
    package = Package(
        task="image-classification",
        model="digits",
        version="1.0.0",
        variant=Variant(name="onnx-fp32", min_runtime="1.31"),
        files={"model": File(sha256=model, bytes=9, media_type="application/onnx")},
        input=ImageInput(tensor=tensor),
        preprocess=(Decode(),),
        outputs=(Output(name="logits", shape=(1, 10)),),
        postprocess=Classify(labels=("0", "1")),
    )
    replica.store.put_blob(canonical_json(package))
    lines = b"\n".join(canonical_json(item) for item in (sample(b"picture", "test"), sample(b"training picture", "train"))) + b"\n" + more
    shard, other = b"tar of test", b"tar of train"
    manifest = Manifest(
        task="image-classification",
        classes=("0", "1"),
        seed=1,
        samples=replica.store.put_blob(lines),
        samples_bytes=len(lines),
        counts={"test": {"1": 1}},
        shards=(
            Shard(split="test", sha256=digest(shard), bytes=len(shard), count=1),
            Shard(split="train", sha256=digest(other), bytes=len(other), count=1),
        ),
    )
    replica.store.put_blob(canonical_json(manifest))
    for content in (b"picture", b"training picture", shard, other, b"something else"):
        replica.store.put_blob(content)
    return document_digest(package), document_digest(manifest)


async def test_a_benchmark_reads_its_packages_and_test_split_with_all_that_they_list(replica: Replica) -> None:
    package, manifest = benchmark_set(replica)
    put_job(replica.api, benchmark_job(packages=(package,), manifest=manifest))
    listed = [package, manifest, digest(b"the graph"), digest(b"picture"), digest(b"tar of test")]
    refused = [digest(content) for content in (b"training picture", b"tar of train", b"something else")]
    statuses = {name: (await replica.call("GET", path(name), "job")).status for name in listed + refused}
    assert statuses == dict.fromkeys(listed, 200) | dict.fromkeys(refused, 403)


async def test_a_job_with_the_store_itself_reads_nothing_here(replica: Replica) -> None:
    from bramble.contracts.jobs.evaluate import EvaluateJob

    package, manifest = benchmark_set(replica)
    job = benchmark_job()
    evaluate = EvaluateJob(object=job.object, attempt=1, prefix=job.prefix, package=package, manifest=manifest)
    other_job_file(replica.api, evaluate)
    assert (await replica.call("GET", path(package), "job")).status == 403


async def test_a_package_that_the_store_damaged_opens_nothing(replica: Replica) -> None:
    package, manifest = benchmark_set(replica)
    replica.store.put(f"blobs/sha256/{package.removeprefix('sha256:')}", b"{}")
    put_job(replica.api, benchmark_job(packages=(package,), manifest=manifest))
    assert (await replica.call("GET", path(digest(b"the graph")), "job")).status == 502


@pytest.mark.parametrize(
    ("more", "limits", "part"),
    [
        pytest.param(b"x" * 70_000, {}, "more than 65536 bytes in a line", id="a line without end"),
        pytest.param(b"\n" * 2000, {"SAMPLES_BYTES": 1000}, "or 1000 in all", id="a list without end"),
        pytest.param(b"\n", {"MAX_DIGESTS": 2}, "has more than 2 samples in the test split", id="a test split without end"),
        pytest.param(b"{}", {}, "has a line that is not a sample: Field required", id="no sample"),
        pytest.param(b"[" * 60_000, {}, "has a line that is not a sample: Invalid JSON: recursion limit", id="nested too deep"),
        pytest.param(b'{"split": "test", "id": "sha256:00"}', {}, "String should match pattern", id="no digest"),
    ],
)
async def test_a_list_of_samples_that_no_dataset_makes_opens_nothing(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, more: bytes, limits: dict[str, int], part: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(closures, name, value)
    package, manifest = benchmark_set(replica, more)
    put_job(replica.api, benchmark_job(packages=(package,), manifest=manifest))
    answer = await replica.call("GET", path(digest(b"picture")), "job")
    assert answer.status == 502, await answer.text()
    assert part in (await answer.json())["error"]


async def test_a_store_that_falls_silent_is_given_up(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until the caller has gone

    monkeypatch.setattr(kube_store, "TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.1))
    assigned(replica, b"ours")
    async with listening(silent) as port, asyncio.timeout(30):
        replica.api.put(store_secret("ads", endpoint=f"http://127.0.0.1:{port}", bucket="bucket", accessKey="a", secretKey="s"))
        assert (await replica.call("GET", path(digest(b"ours")), "pi-0")).status == 503
