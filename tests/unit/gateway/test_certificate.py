"""A renewed certificate is used without a restart, and a broken one is not."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path
from typing import Any

import pytest

from bramble.gateway.server import TLS_BUFFER_BYTES, make_tls_buffers_small, renew, tls_context
from tests.api.gateway import certificate
from tests.unit.gateway.conftest import until
from tests.unit.listening import listening


async def presented(port: int) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


async def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate(tmp_path)
    context = tls_context(tmp_path)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async with listening(hang_up, context) as port:
        task = asyncio.create_task(renew(context, tmp_path, seconds=0.01))
        first = await presented(port)
        assert await presented(port) == first

        (tmp_path / "tls.crt").write_text("not a certificate")
        await until(lambda: "so the old one is still used" in caplog.text)
        assert await presented(port) == first

        caplog.set_level("INFO")
        certificate(tmp_path)
        await until(lambda: "used from now on" in caplog.text)
        assert await presented(port) != first
        task.cancel()


def test_without_a_certificate_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tls_context(tmp_path)


async def test_a_tls_connection_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)  # restored afterwards
    make_tls_buffers_small()
    certificate(tmp_path)
    buffers: list[int] = []

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport: Any = writer.transport
        buffers.append(len(transport._ssl_protocol._ssl_buffer))

    async with listening(look, tls_context(tmp_path)) as port:
        await presented(port)
        await until(lambda: bool(buffers))
    assert buffers == [TLS_BUFFER_BYTES]
