"""The S3 store of a namespace for jobs: the common client with the errors of jobs, and methods for blobs."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from bramble.contracts.store import StoreConfig, StoreError, blob_key
from bramble.objectstore.bucket import CHUNK, Bucket, Entry, Patience
from bramble_workloads import paths
from bramble_workloads.errors import Corrupt, KeyRefused, Missing, SpecError, StoreRefused, StoreUnavailable, TryAgain

RETRIES = 8
"""How often a failed request is repeated, which takes about 20 s. After that the operator decides whether to start another attempt."""
KEY_SECONDS = 150.0
"""How long to wait for a new key after the store has refused the mounted one. The kubelet brings a changed Secret into a running pod within
its sync period, one minute by default, and the delay of its cache (https://kubernetes.io/docs/concepts/configuration/secret/)."""
KEY_LOOK_SECONDS = 1.0
SMALL_COPY = 256 * 1024
"""Up to this many bytes, a copy through the job costs less than the two requests of a copy inside the store."""


class Store(Bucket):
    """The objects and blobs of one namespace. Threads may share an instance.

    Requests that fail for a while (no connection, 5xx, throttling) are repeated for about 20 s. An error that is raised is final for the
    attempt: `StoreUnavailable` after that time, `StoreRefused` if the store refuses the request, `KeyRefused` if it does not accept the
    access key, `Missing` if an object does not exist.
    """

    absent = Missing
    changed = TryAgain
    refused = StoreRefused
    larger = StoreRefused
    key_refused = KeyRefused
    unavailable = StoreUnavailable

    def __init__(
        self,
        config: StoreConfig,
        *,
        connections: int = 16,
        retries: int = RETRIES,
        folder: Path | None = None,
        key_seconds: float = 0.0,
    ) -> None:
        """As `mounted`, but for a Secret that is read already.

        Args:
            config: the Secret.
            connections: how many connections are kept open for reuse.
            retries: how often a failed request is repeated.
            folder: where the Secret is mounted and read again when the store refuses its key; None for nowhere.
            key_seconds: how long a request waits for a new key there.
        """
        super().__init__(config, Patience(connect_seconds=5, read_seconds=60, retries=retries), connections=connections)
        self._folder, self._key_seconds = folder, key_seconds
        self._renewing = threading.Lock()

    @classmethod
    def mounted(cls, *, connections: int = 16, key_seconds: float = KEY_SECONDS) -> Store:
        """The store of the Secret that is mounted in this pod. A key that is rotated while the pod runs is read again.

        Args:
            connections: how many connections are kept open for reuse.
            key_seconds: how long a request waits for a new key after the store has refused the present one.

        Raises:
            SpecError: the Secret lacks a key, or holds one that cannot be used.
        """
        folder = paths.store_folder()
        try:
            return cls(StoreConfig.read(folder), connections=connections, folder=folder, key_seconds=key_seconds)
        except StoreError as error:
            raise SpecError(str(error)) from error

    def _renewed(self, used: StoreConfig) -> bool:
        """Read the mounted Secret until it has another key for the same place than `used`. False if none comes in time."""
        deadline = time.monotonic() + self._key_seconds
        while not self._read_again(used):
            if time.monotonic() >= deadline:
                return False
            time.sleep(KEY_LOOK_SECONDS)
        return True

    def _read_again(self, used: StoreConfig) -> bool:
        with self._renewing:
            if self.config != used:  # another thread has read it
                return True
            if self._folder is None:
                return False
            try:
                found = StoreConfig.read(self._folder)
            except StoreError:  # no attempt goes on with a Secret that is incomplete; it may be corrected in time
                return False
            if found == used or _place(found) != _place(used):
                return False
            self._use(found)
            return True

    def get_listed(self, entry: Entry) -> bytes:
        """Read a whole object that was listed before.

        Raises:
            TryAgain: it has been deleted since. The next attempt lists the objects anew.
        """
        try:
            return self.get(entry.key)
        except Missing as error:
            raise self._deleted(entry) from error

    def _deleted(self, entry: Entry) -> TryAgain:
        return TryAgain(f"{self.uri(entry.key)} was deleted after it had been listed; leave a source as it is while it is snapshotted")

    def put_blob(self, content: bytes) -> str:
        """Write an immutable blob. Returns its digest. Writing it again does no harm, because equal digests mean equal bytes."""
        digest = _digest(content)
        self.put(blob_key(digest), content)
        return digest

    def upload_blob(self, path: Path) -> tuple[str, int]:
        """Write a file as a blob, unless the store has it already. Returns its digest and its size in bytes."""
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
        digest, size = f"sha256:{hasher.hexdigest()}", path.stat().st_size
        present = self.stat(blob_key(digest))
        if present is None or present.size != size:
            self.upload(blob_key(digest), path)
        return digest, size

    def copy_blob(self, source: Entry, content: bytes, digest: str) -> None:
        """Make a blob of an object that was just read and hashed.

        A large object is copied inside the store, if it has not changed since it was read. A small one is written from memory.

        Raises:
            TryAgain: the object has changed since it was listed, or has been deleted.
        """
        if len(content) <= SMALL_COPY:
            self.put(blob_key(digest), content)
            return
        try:
            self.copy(source, blob_key(digest))
        except Missing as error:
            raise self._deleted(source) from error

    def get_blob(self, digest: str) -> bytes:
        """Read a blob and verify it.

        Raises:
            Missing: there is no such blob.
            Corrupt: its bytes do not hash to the digest.
        """
        content = self.get(blob_key(digest))
        _verify(digest, _digest(content))
        return content

    def download_blob(self, digest: str, path: Path) -> None:
        """Stream a blob into a file and verify it. If the content is wrong, the file is deleted.

        Raises:
            Missing: there is no such blob.
            Corrupt: its bytes do not hash to the digest.
        """
        found = self.download(blob_key(digest), path)
        if found != digest:
            path.unlink()
        _verify(digest, found)


def _place(config: StoreConfig) -> tuple[str, str, str]:
    """Where objects lie. A job that began in one place cannot go on in another."""
    return config.endpoint, config.bucket, config.prefix


def _digest(content: bytes) -> str:
    """The digest of bytes. `contracts.canonical.digest_of` imports pydantic, without which fetch and the sidecar start faster."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _verify(wanted: str, found: str) -> None:
    if found != wanted:
        raise Corrupt(f"the bytes of blob {wanted} have the digest {found}: the store damaged them; delete the object and make it again")
