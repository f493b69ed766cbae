"""Stores blobs on this device. A blob is a file that is named by the sha256 of its content.

blobs/sha256/<hex>     complete blobs; each was hashed before it got this name, and is read-only
blobs/partial/<hex>    incomplete downloads, which continue with an HTTP Range request after a network failure or a power cut
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
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from bramble.contracts.assignment import Blob
from bramble_workloads.device.disk import sync_folder
from bramble_workloads.device.errors import GatewayUnavailable, NoSpace, WrongBlob

if TYPE_CHECKING:  # a trial opens no connections, and starts a third faster without aiohttp
    from bramble_workloads.device.gateway_client import GatewayClient


class Blobs:
    """The blobs of all assignments of a node, so that packages share the files that they have in common.

    Args:
        folder: the folder `blobs`; its subfolders are created.
        reserve: bytes of the disk that downloads leave free.
    """

    def __init__(self, folder: Path, reserve: int = 0) -> None:
        self.folder = folder / "sha256"
        self._partial = folder / "partial"
        self._reserve = reserve
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for each in (self.folder, self._partial):
            each.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """The path of a blob, whether or not the blob is on the disk."""
        return self.folder / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """True if the blob was downloaded and verified. The file is not hashed again here; `verify` does that."""
        return self.path(digest).is_file()

    def read(self, digest: str) -> bytes:
        """Read a blob into memory and hash it again.

        Raises:
            WrongBlob: the blob is absent or damaged. A damaged blob is deleted, so that the next `fetch` downloads it again.
        """
        try:
            content = self.path(digest).read_bytes()
        except OSError as error:
            raise WrongBlob(f"blob {digest} cannot be read: {error.strerror}") from error
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            self._delete_damaged(digest)
        return content

    def verify(self, digest: str) -> Path:
        """Hash a blob's file again, without reading it into memory as a whole, and return its path.

        Raises:
            WrongBlob: the blob is absent or damaged. A damaged blob is deleted, so that the next `fetch` downloads it again.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WrongBlob(f"blob {digest} cannot be read: {error.strerror}") from error
        if f"sha256:{found}" != digest:
            self._delete_damaged(digest)
        return path

    def _delete_damaged(self, digest: str) -> NoReturn:
        self.path(digest).unlink(missing_ok=True)
        sync_folder(self.folder)
        raise WrongBlob(f"blob {digest} is damaged on this node's disk; it was deleted and will be downloaded again")

    def require_space(self, blobs: Iterable[Blob]) -> None:
        """Check that the disk has space for the missing parts of these blobs and for the reserve.

        Raises:
            NoSpace: it has not. The message gives the figures in bytes.
        """
        missing = sum(max(0, blob.bytes - self._partial_size(blob.sha256)) for blob in blobs if not self.has(blob.sha256))
        free = shutil.disk_usage(self.folder).free
        if missing and missing + self._reserve > free:
            raise NoSpace(
                f"{missing} bytes are needed, {free} are free and {self._reserve} must stay free: delete files on this node's disk"
            )

    async def fetch(self, blob: Blob, gateway: GatewayClient) -> None:
        """Download a blob unless it is on the disk. An interrupted download continues where it stopped.

        The file is hashed and flushed to the disk before it gets its final name. Concurrent calls for the same blob download it once.

        Raises:
            WrongBlob: the downloaded bytes do not have the blob's digest or size. They are deleted.
            GatewayUnavailable, GatewayRefused: the download stopped. The bytes so far are kept for the next call.
            NoSpace: the disk is full.
        """
        async with self._locks[blob.sha256]:
            if not self.has(blob.sha256):
                try:
                    await self._download(blob, gateway)
                except OSError as error:
                    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                        raise NoSpace(f"the disk is full while downloading {blob.sha256}: delete files on this node's disk") from error
                    raise

    async def _download(self, blob: Blob, gateway: GatewayClient) -> None:
        partial = self._partial / blob.sha256.removeprefix("sha256:")
        received = self._partial_size(blob.sha256)
        if received > blob.bytes:
            await asyncio.to_thread(partial.unlink)
            received = 0
        if received < blob.bytes or not received:
            await self._receive(blob, partial, received, gateway)
        await asyncio.to_thread(self._verify_and_rename, blob, partial)

    async def _receive(self, blob: Blob, partial: Path, received: int, gateway: GatewayClient) -> None:
        async with gateway.open_blob(blob.sha256, received) as stream:
            with _open_at(partial, stream.start) as file:
                size = stream.start
                async for chunk in stream.chunks:
                    size += len(chunk)
                    if size > blob.bytes:
                        await asyncio.to_thread(partial.unlink)
                        raise WrongBlob(
                            f"{blob.sha256} has more than its {blob.bytes} bytes: the store has another object under this digest"
                        )
                    await asyncio.to_thread(file.write, chunk)
        if size < blob.bytes:
            raise GatewayUnavailable(f"the download of {blob.sha256} stopped after {size} of {blob.bytes} bytes")

    def _verify_and_rename(self, blob: Blob, partial: Path) -> None:
        with partial.open("rb+") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if f"sha256:{found}" == blob.sha256:
                os.fsync(file.fileno())
        if f"sha256:{found}" != blob.sha256:
            partial.unlink()
            raise WrongBlob(f"the downloaded bytes of {blob.sha256} have the digest sha256:{found}: the store or the network damaged them")
        final = self.path(blob.sha256)
        os.replace(partial, final)  # noqa: PTH105  (tests replace os.replace to end the process here)
        final.chmod(0o444)  # only now: a partial file that is read-only could not be continued
        sync_folder(final.parent)

    def _partial_size(self, digest: str) -> int:
        try:
            return (self._partial / digest.removeprefix("sha256:")).stat().st_size
        except FileNotFoundError:
            return 0

    def delete_all_except(self, kept: Iterable[str]) -> int:
        """Delete all blobs and partial downloads except these digests. Returns the number of bytes freed."""
        keep = {digest.removeprefix("sha256:") for digest in kept}
        freed = 0
        for folder in (self.folder, self._partial):
            for file in folder.iterdir():
                if file.name not in keep:
                    freed += file.stat().st_size
                    file.unlink()
        return freed


def _open_at(partial: Path, start: int) -> BinaryIO:
    """Open a partial download for writing at byte `start`. Bytes from there on are cut off."""
    partial.touch()
    file = partial.open("r+b")
    file.truncate(start)
    file.seek(start)
    return file
