"""The blobs on this device: downloaded where they stopped, named only when they are what their digest says, dropped when nobody needs them.

blobs/sha256/<hex>     verified; written once, read-only
blobs/partial/<hex>    begun; resumed by Range after a lost network or a power cut
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bramble.contracts.assignment import Blob
from bramble_workloads.device.disk import sync_folder
from bramble_workloads.device.errors import GatewayUnavailable, NoSpace, WrongBlob

if TYPE_CHECKING:  # a trial reads blobs and talks to nobody: it starts a third faster without aiohttp
    from bramble_workloads.device.gateway_client import GatewayClient


class Blobs:
    """One folder for all assignments of the node, so that two versions share what they have in common."""

    def __init__(self, folder: Path, reserve: int = 0) -> None:
        self.folder = folder / "sha256"
        self._partial = folder / "partial"
        self._reserve = reserve
        self._busy: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for each in (self.folder, self._partial):
            each.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob lies, or would lie."""
        return self.folder / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether it was verified once. What the disk did to it since, only `verify` knows."""
        return self.path(digest).is_file()

    def read(self, digest: str) -> bytes:
        """A blob's bytes, hashed again.

        Raises:
            WrongBlob: it is absent or damaged; a damaged one is removed, so that it is downloaded anew.
        """
        try:
            content = self.path(digest).read_bytes()
        except OSError as error:
            raise WrongBlob(f"blob {digest} cannot be read: {error.strerror}") from error
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            self._damaged(digest)
        return content

    def verify(self, digest: str) -> Path:
        """A blob's path, after hashing the file again without holding it in memory.

        Raises:
            WrongBlob: it is absent or damaged; a damaged one is removed, so that it is downloaded anew.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WrongBlob(f"blob {digest} cannot be read: {error.strerror}") from error
        if f"sha256:{found}" != digest:
            self._damaged(digest)
        return path

    def _damaged(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)
        sync_folder(self.folder)
        raise WrongBlob(f"blob {digest} is damaged on this disk; it was removed and will be downloaded again")

    def require_space(self, blobs: Iterable[Blob]) -> None:
        """Raises NoSpace: what is missing of these blobs does not fit beside the reserve; the message states the figures."""
        missing = sum(max(0, blob.bytes - self._partial_size(blob.sha256)) for blob in blobs if not self.has(blob.sha256))
        free = shutil.disk_usage(self.folder).free
        if missing and missing + self._reserve > free:
            raise NoSpace(
                f"{missing} bytes to download and {free} free, of which {self._reserve} are kept: free some space on this node's disk"
            )

    async def fetch(self, blob: Blob, gateway: GatewayClient) -> None:
        """Download a blob unless it is here: resumed, verified, made durable, then named. Callers may ask for the same one at once.

        Raises:
            WrongBlob: the bytes that came are not it; nothing of them is kept.
            GatewayUnavailable, GatewayRefused: the download stopped; what came is kept for the next call.
            NoSpace: the disk is full.
        """
        async with self._busy[blob.sha256]:
            if not self.has(blob.sha256):
                try:
                    await self._download(blob, gateway)
                except OSError as error:
                    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                        raise NoSpace(f"the disk is full while downloading {blob.sha256}: free some space on this node's disk") from error
                    raise

    async def _download(self, blob: Blob, gateway: GatewayClient) -> None:
        partial = self._partial / blob.sha256.removeprefix("sha256:")
        begun = self._partial_size(blob.sha256)
        if begun > blob.bytes:
            await asyncio.to_thread(partial.unlink)
            begun = 0
        if begun < blob.bytes or not begun:
            await self._receive(blob, partial, begun, gateway)
        await asyncio.to_thread(self._finish, blob, partial)

    async def _receive(self, blob: Blob, partial: Path, begun: int, gateway: GatewayClient) -> None:
        async with gateway.open_blob(blob.sha256, begun) as stream:
            with _opened(partial, stream.start) as file:
                size = stream.start
                async for chunk in stream.chunks:
                    size += len(chunk)
                    if size > blob.bytes:
                        await asyncio.to_thread(partial.unlink)
                        raise WrongBlob(f"{blob.sha256} should have {blob.bytes} bytes and more came: the store holds something else there")
                    await asyncio.to_thread(file.write, chunk)
        if size < blob.bytes:
            raise GatewayUnavailable(f"the download of {blob.sha256} ended at {size} of {blob.bytes} bytes")

    def _finish(self, blob: Blob, partial: Path) -> None:
        with partial.open("rb+") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if f"sha256:{found}" == blob.sha256:
                os.fsync(file.fileno())
        if f"sha256:{found}" != blob.sha256:
            partial.unlink()
            raise WrongBlob(f"{blob.sha256} was downloaded and hashes to sha256:{found}: the store or the network damaged it")
        final = self.path(blob.sha256)
        os.replace(partial, final)  # noqa: PTH105  (the tests break it here)
        final.chmod(0o444)  # not before: a partial file that was left read-only could never be finished
        sync_folder(final.parent)

    def _partial_size(self, digest: str) -> int:
        try:
            return (self._partial / digest.removeprefix("sha256:")).stat().st_size
        except FileNotFoundError:
            return 0

    def drop_all_but(self, wanted: Iterable[str]) -> int:
        """Remove every blob, begun ones too, that no slot names; gives the bytes freed."""
        keep = {digest.removeprefix("sha256:") for digest in wanted}
        freed = 0
        for folder in (self.folder, self._partial):
            for file in folder.iterdir():
                if file.name not in keep:
                    freed += file.stat().st_size
                    file.unlink()
        return freed


def _opened(partial: Path, start: int) -> BinaryIO:
    """A begun download, cut to what is kept of it, ready for what follows."""
    partial.touch()
    file = partial.open("r+b")
    file.truncate(start)
    file.seek(start)
    return file
