"""An S3 server for tests: versitygw where this machine has built it for the local cluster, else moto's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bramble.contracts.store import StoreConfig
from tests.ports import free_port
from tools.cluster.binaries import cache_folder, ensure_minio
from tools.cluster.waiting import wait

ACCESS, SECRET, BUCKET = "test-access", "test-secret-key", "bramble"
READY_SECONDS = 20


def versitygw() -> Path | None:
    if found := shutil.which("versitygw"):
        return Path(found)
    return next(iter(sorted(cache_folder().glob("*/versitygw"))), None)


@contextmanager
def server(folder: Path) -> Iterator[StoreConfig]:
    """A server with one bucket, gone afterwards. `BRAMBLE_TEST_STORE=minio` takes MinIO, built where it is not there (`make compat`)."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    if os.environ.get("BRAMBLE_TEST_STORE") == "minio":
        names = {
            "MINIO_ROOT_USER": ACCESS,
            "MINIO_ROOT_PASSWORD": SECRET,
            "HOME": str(folder),
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        command = [str(ensure_minio(print)), "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder)]
    elif (binary := versitygw()) is not None:
        names = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
        command = [str(binary), "--port", f"127.0.0.1:{port}", "--region", "us-east-1", "--keep-alive", "--quiet", "posix", str(folder)]
    else:
        yield from _moto(port, endpoint)
        return
    (folder / BUCKET).mkdir(parents=True)
    environment = {**names, "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: _listens(port, process), READY_SECONDS, f"no S3 server on port {port}", interval=0.02)
        yield StoreConfig(endpoint, BUCKET, ACCESS, SECRET)
    finally:
        process.kill()
        process.wait()


def _moto(port: int, endpoint: str) -> Iterator[StoreConfig]:
    from minio import Minio
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    try:
        Minio(endpoint.removeprefix("http://"), ACCESS, SECRET, secure=False, region="us-east-1").make_bucket(BUCKET)
        yield StoreConfig(endpoint, BUCKET, ACCESS, SECRET)
    finally:
        running.stop()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"no S3 server on port {port}; it ended with {process.poll()}")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
