"""Blobs and calls to the gateway: downloads continue after an interruption and are verified; errors are told apart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bramble.contracts.assignment import Blob
from bramble.contracts.canonical import digest_of
from bramble_workloads.device import gateway_client
from bramble_workloads.device.backoff import wait_seconds
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable, NoSpace, WrongBlob
from bramble_workloads.device.gateway_client import GatewayClient
from tests.unit.workloads.edge.fake_gateway import FakeGateway

CONTENT = bytes(range(256)) * 400
DIGEST = digest_of(CONTENT)
BLOB = Blob(sha256=DIGEST, bytes=len(CONTENT))


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("one")
    return path


@pytest.fixture
async def client(gateway: FakeGateway, token: Path, tmp_path: Path) -> AsyncIterator[GatewayClient]:
    gateway.blobs[DIGEST] = CONTENT
    async with GatewayClient(gateway.url, token, tmp_path / "no-ca") as made:
        yield made


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def partial(blobs: Blobs) -> Path:
    return blobs.folder.parent / "partial" / DIGEST.removeprefix("sha256:")


async def test_a_blob_is_downloaded_and_verified(blobs: Blobs, client: GatewayClient) -> None:
    await blobs.fetch(BLOB, client)
    assert blobs.read(DIGEST) == CONTENT
    assert blobs.verify(DIGEST).stat().st_mode & 0o777 == 0o444
    assert not partial(blobs).exists()


async def test_an_interrupted_download_continues_where_it_stopped(blobs: Blobs, client: GatewayClient, gateway: FakeGateway) -> None:
    gateway.truncate[DIGEST] = 40_000
    with pytest.raises(GatewayUnavailable):
        await blobs.fetch(BLOB, client)
    assert not blobs.has(DIGEST)
    received = partial(blobs).stat().st_size
    assert 0 < received <= 40_000
    await blobs.fetch(BLOB, client)
    assert gateway.ranges == [f"bytes={received}-"]
    assert blobs.read(DIGEST) == CONTENT


async def test_a_cancelled_download_continues_with_the_next_call(blobs: Blobs, client: GatewayClient, gateway: FakeGateway) -> None:
    gateway.slow = 0.02
    task = asyncio.create_task(blobs.fetch(BLOB, client))
    async with asyncio.timeout(10):
        while not partial(blobs).exists() or not partial(blobs).stat().st_size:
            await asyncio.sleep(0.005)
            if task.done():
                break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gateway.slow = 0
    await blobs.fetch(BLOB, client)
    assert blobs.read(DIGEST) == CONTENT


async def test_a_partial_file_with_wrong_bytes_is_deleted(blobs: Blobs, client: GatewayClient) -> None:
    partial(blobs).write_bytes(b"\0" * 5000)
    with pytest.raises(WrongBlob, match="damaged them"):
        await blobs.fetch(BLOB, client)
    assert not partial(blobs).exists()
    await blobs.fetch(BLOB, client)
    assert blobs.read(DIGEST) == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 1])
async def test_a_partial_file_of_the_whole_size_or_more_does_not_stop_the_download(size: int, blobs: Blobs, client: GatewayClient) -> None:
    partial(blobs).write_bytes((CONTENT + b"x")[:size])
    await blobs.fetch(BLOB, client)
    assert blobs.read(DIGEST) == CONTENT


@pytest.mark.parametrize(
    ("name", "damage"),
    [("a changed byte", lambda content: b"X" + content[1:]), ("additional bytes", lambda content: content + b"more")],
)
async def test_wrong_bytes_are_not_kept(name: str, damage: object, blobs: Blobs, client: GatewayClient, gateway: FakeGateway) -> None:
    gateway.damage[DIGEST] = damage  # type: ignore[assignment]
    with pytest.raises(WrongBlob):
        await blobs.fetch(BLOB, client)
    assert not blobs.has(DIGEST), name
    assert not partial(blobs).exists()
    with pytest.raises(WrongBlob):
        await client.blob(DIGEST)


async def test_errors_of_the_gateway_are_told_apart_by_status(blobs: Blobs, client: GatewayClient, gateway: FakeGateway) -> None:
    del gateway.blobs[DIGEST]
    with pytest.raises(GatewayRefused, match="403"):
        await blobs.fetch(BLOB, client)
    gateway.down = True
    with pytest.raises(GatewayUnavailable, match="503"):
        await blobs.fetch(BLOB, client)


async def test_concurrent_calls_download_a_blob_once(blobs: Blobs, client: GatewayClient, gateway: FakeGateway) -> None:
    await asyncio.gather(*(blobs.fetch(BLOB, client) for _ in range(5)))
    assert gateway.asked[DIGEST] == 1


async def test_a_damaged_blob_is_deleted_and_downloaded_again(blobs: Blobs, client: GatewayClient) -> None:
    await blobs.fetch(BLOB, client)
    for check in (blobs.read, blobs.verify):
        blobs.path(DIGEST).chmod(0o644)
        blobs.path(DIGEST).write_bytes(b"Y" + CONTENT[1:])
        with pytest.raises(WrongBlob, match="is damaged on this node's disk"):
            check(DIGEST)
        assert not blobs.has(DIGEST)
        await blobs.fetch(BLOB, client)


def test_the_error_about_too_little_disk_space_has_the_figures(blobs: Blobs) -> None:
    with pytest.raises(NoSpace, match="1000000000000000 bytes are needed"):
        blobs.require_space([Blob(sha256=DIGEST, bytes=10**15)])
    Blobs(blobs.folder.parent).require_space([BLOB])


async def test_blobs_that_are_not_needed_are_deleted(blobs: Blobs, client: GatewayClient) -> None:
    await blobs.fetch(BLOB, client)
    write(blobs.folder / ("0" * 64), b"old")
    write(partial(blobs).parent / ("1" * 64), b"begun")
    assert blobs.delete_all_except([DIGEST]) == len(b"old") + len(b"begun")
    assert blobs.has(DIGEST)
    blobs.delete_all_except([])
    assert not blobs.has(DIGEST)


async def test_the_token_is_read_for_every_call(client: GatewayClient, gateway: FakeGateway, token: Path) -> None:
    await client.assignments(None)
    write(token, b"two\n")
    await client.assignments(None)
    assert gateway.tokens == ["Bearer one", "Bearer two"]
    await asyncio.to_thread(token.unlink)
    with pytest.raises(GatewayUnavailable, match="token for the gateway cannot be read"):
        await client.assignments(None)


async def test_a_long_poll_does_not_count_as_a_stalled_download(
    gateway: FakeGateway, token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_client, "STALLED_SECONDS", 0.1)
    gateway.poll_seconds = 0.5
    async with GatewayClient(gateway.url, token, tmp_path / "no-ca") as client:
        first = await client.assignments(None)
        assert first is not None
        assert await client.assignments(first.etag) is None


def test_the_delay_grows_to_its_maximum_and_stays_there() -> None:
    longest = [max(wait_seconds(failures, 10.0) for _ in range(200)) for failures in (0, 1, 4, 20, 5000)]
    assert longest == pytest.approx([0.5, 1.0, 8.0, 10.0, 10.0], rel=0.1)


async def test_a_gateway_that_cannot_be_reached_is_unavailable(token: Path, tmp_path: Path) -> None:
    async with GatewayClient("http://127.0.0.1:9", token, tmp_path / "no-ca") as client:
        with pytest.raises(GatewayUnavailable, match="did not answer"):
            await client.assignments(None)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A TLS context of a server with a self-signed certificate, and the file of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ca.crt", folder / "tls.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


async def test_only_a_gateway_with_a_trusted_certificate_gets_the_token(token: Path, tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    gateway = FakeGateway()
    await gateway.start(context)
    try:
        async with GatewayClient(gateway.url, token, ca) as client:
            answer = await client.assignments(None)
            assert answer is not None
        async with GatewayClient(gateway.url, token, tmp_path / "no-ca") as client:
            with pytest.raises(GatewayUnavailable, match="certificate"):
                await client.assignments(None)
            assert gateway.tokens == ["Bearer one"], "the token must only go to the trusted gateway"
            (tmp_path / "no-ca").write_bytes(ca.read_bytes())
            assert await client.assignments(None) is not None, "a changed CA file must be used without a restart"
    finally:
        await gateway.stop()
