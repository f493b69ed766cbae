"""Official release downloads of Kubernetes, etcd, CoreDNS and Helm, each checked against its published SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import platform
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import URLError

from tools.cluster.progress import Progress, span

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
ANSWER_WITHIN = 2.0
"""Seconds that the first request may take: a machine that cannot reach the releases builds, and should begin soon."""
READ_WITHIN = 30.0
CHUNK = 1 << 20
PUBLISHED_SUM = 64
"""Hex digits of a SHA-256."""


class ReleaseUnavailable(Exception):
    """The releases cannot be reached, have no such file, or a file is not what was published."""


@dataclass(frozen=True)
class Asset:
    """One published file."""

    program: str
    url: str
    checksums: str
    """URL of a file that holds the SHA-256: alone, or in the line that ends with the file's name."""
    member: str | None = None
    """Path of the program in the archive; None where the file is the program."""


def assets(versions: Mapping[str, str], architecture: str) -> Iterator[Asset]:
    """Where each project publishes the program; `versions` have their leading v."""
    for program, version in versions.items():
        if program.startswith("kube"):
            url = f"https://dl.k8s.io/{version}/bin/linux/{architecture}/{program}"
            yield Asset(program, url, f"{url}.sha256")
    etcd, coredns, helm = versions["etcd"], versions["coredns"], versions["helm"]
    base, folder = f"https://github.com/etcd-io/etcd/releases/download/{etcd}", f"etcd-{etcd}-linux-{architecture}"
    yield Asset("etcd", f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", f"{folder}/etcd")
    file = f"coredns_{coredns.removeprefix('v')}_linux_{architecture}.tgz"
    url = f"https://github.com/coredns/coredns/releases/download/{coredns}/{file}"
    yield Asset("coredns", url, f"{url}.sha256", "coredns")
    url = f"https://get.helm.sh/helm-{helm}-linux-{architecture}.tar.gz"
    yield Asset("helm", url, f"{url}.sha256sum", f"linux-{architecture}/helm")


def download(versions: Mapping[str, str], folder: Path, progress: Progress) -> None:
    """Put every program into `folder`. Raises ReleaseUnavailable, after ANSWER_WITHIN seconds where nothing answers."""
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise ReleaseUnavailable(f"no releases for {platform.machine()}")
    wanted = list(assets(versions, architecture))
    fetch_all(wanted, folder, progress)


def fetch_all(wanted: list[Asset], folder: Path, progress: Progress) -> None:
    progress("looking for official releases")
    probe(wanted[0].checksums)
    started = time.monotonic()
    for number, asset in enumerate(wanted, start=1):
        progress(f"downloading releases: {asset.program}, {number} of {len(wanted)}, {span(time.monotonic() - started)}")
        try:
            _fetch(asset, folder)
        except (OSError, http.client.HTTPException, tarfile.TarError, KeyError) as error:
            raise ReleaseUnavailable(f"{asset.url}: {error}") from error


def probe(url: str) -> None:
    """Raise ReleaseUnavailable unless the URL answers in time; resolving a name has no timeout of its own, so a thread asks."""
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            with _open(url, ANSWER_WITHIN) as answer:
                answer.read(1)
        except (OSError, http.client.HTTPException) as error:
            outcome.append(error)
        else:
            outcome.append(None)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_WITHIN)
    if not outcome:
        raise ReleaseUnavailable(f"no answer within {ANSWER_WITHIN:.0f} s")
    if (error := outcome[0]) is not None:
        raise ReleaseUnavailable(str(error.reason) if isinstance(error, URLError) else str(error))


def _fetch(asset: Asset, folder: Path) -> None:
    expected = published(_read(asset.checksums), asset.url.rpartition("/")[2])
    with tempfile.TemporaryFile(dir=folder) as file:
        digest = hashlib.sha256()
        with _open(asset.url, READ_WITHIN) as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != expected:
            raise ReleaseUnavailable(f"{asset.url} has SHA-256 {digest.hexdigest()}, published is {expected}")
        file.seek(0)
        _install(asset, file, folder / asset.program)


def _install(asset: Asset, file: BinaryIO, target: Path) -> None:
    with target.open("wb") as program:
        if asset.member is None:
            _copy(file, program)
        else:
            with tarfile.open(fileobj=file) as archive:
                member = archive.extractfile(asset.member)
                if member is None:
                    raise KeyError(f"{asset.member} is no file")
                _copy(member, program)
    target.chmod(0o755)


def _copy(source: IO[bytes], target: BinaryIO) -> None:
    while chunk := source.read(CHUNK):
        target.write(chunk)


def published(sums: str, name: str) -> str:
    """The SHA-256 of a file in a published list: a bare sum, or the first word of the line that names it."""
    for line in sums.splitlines():
        words = line.split()
        if words and len(words[0]) == PUBLISHED_SUM and (len(words) == 1 or words[-1].lstrip("*").rpartition("/")[2] == name):
            return words[0].lower()
    raise ReleaseUnavailable(f"no checksum of {name} is published")


def _read(url: str) -> str:
    with _open(url, READ_WITHIN) as answer:
        return bytes(answer.read(CHUNK)).decode()


def _open(url: str, timeout: float) -> http.client.HTTPResponse:
    answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=timeout)
    return answer
