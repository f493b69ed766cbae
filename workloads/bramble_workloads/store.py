"""The S3 store of a namespace, as jobs use it. Plain S3 through the `minio` client; nothing here that only one server understands.

Keys are below the namespace's own prefix and cannot leave it. `minio` is imported with the first client, not with this module.
"""

from __future__ import annotations

import hashlib
import io
import ssl
from collections.abc import Callable, Iterator
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from bramble.contracts.store import StoreConfig, StoreError, blob_key
from bramble_workloads import paths
from bramble_workloads.errors import Corrupt, Missing, SpecError, StoreRefused, StoreUnavailable, TryAgain

if TYPE_CHECKING:
    from minio import Minio
    from urllib3 import PoolManager

T = TypeVar("T")

CHUNK = 1024 * 1024
CONNECT_SECONDS = 5
READ_SECONDS = 60
READ_ATTEMPTS = 3
RETRIES = 8
"""With back-off doubling from 0.1 s to 5 s: about 20 s of patience before a job leaves the trouble to the operator."""
SMALL_COPY = 256 * 1024
"""Below this many bytes a copy through the job costs less than the two requests of a server-side one."""

REFUSALS = {
    "AccessDenied": "the key may not do this; allow it, or put another key into the Secret",
    "AllAccessDisabled": "the key may not do this; allow it, or put another key into the Secret",
    "InvalidAccessKeyId": "the access key is unknown there; correct accessKey in the Secret",
    "SignatureDoesNotMatch": "the secret key is wrong; correct secretKey in the Secret",
    "InvalidBucketName": "no bucket can have that name; correct bucket in the Secret",
    "NoSuchBucket": "there is no such bucket; make it, or correct bucket in the Secret",
    "PermanentRedirect": "the bucket is in another region; correct region or endpoint in the Secret",
    "AuthorizationHeaderMalformed": "the region is wrong; correct region in the Secret",
    "RequestTimeTooSkewed": "this node's clock differs from the store's; set the node's time",
}
REFUSING = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Statuses of answers that a repetition will not change, whatever a server's own code for them is."""
ABSENT = {"NoSuchKey", "NotFound", "404"}


class Entry(NamedTuple):
    """One object: its key below the prefix, its size in bytes and its entity tag."""

    key: str
    size: int
    etag: str


class Store:
    """A client for one bucket. Threads may share it.

    Transient trouble (no connection, 5xx, throttling) is retried here; what is raised is final for the attempt:
    `StoreUnavailable` after about 20 s of it, `StoreRefused` where the store answers and refuses, `Missing` for an absent key.
    """

    def __init__(self, config: StoreConfig, *, connections: int = 16, retries: int = RETRIES) -> None:
        self.config = config
        self._connections = connections
        self._retries = retries

    @classmethod
    def mounted(cls, *, connections: int = 16) -> Store:
        """The store of the Secret mounted in this pod.

        Raises:
            SpecError: the Secret lacks a key, or holds one that cannot be used.
        """
        try:
            return cls(StoreConfig.read(paths.store_folder()), connections=connections)
        except StoreError as error:
            raise SpecError(str(error)) from error

    def get(self, key: str) -> bytes:
        """The whole object. For documents and small blobs; see `download` for the rest."""
        return self._consumed(key, lambda stream: stream.read())

    def put(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; with `if_absent` only where none is there (`If-None-Match: *`), False when there was."""
        if if_absent:
            return self._put_if_absent(key, content)
        self._guarded(key, lambda: self._client.put_object(self.config.bucket, self._full(key), io.BytesIO(content), len(content)))
        return True

    def upload(self, key: str, path: Path) -> None:
        """Write a file of any size, in parts where it is large."""
        self._guarded(key, lambda: self._client.fput_object(self.config.bucket, self._full(key), str(path)))

    def download(self, key: str, path: Path) -> str:
        """Stream an object into a file and give the digest of what was written."""

        def write(stream: IO[bytes]) -> str:
            hasher = hashlib.sha256()
            with path.open("wb") as file:
                while chunk := stream.read(CHUNK):
                    hasher.update(chunk)
                    file.write(chunk)
            return f"sha256:{hasher.hexdigest()}"

        return self._consumed(key, write)

    def stat(self, key: str) -> Entry | None:
        """Size and entity tag, or None where there is no such object."""
        try:
            found = self._guarded(key, lambda: self._client.stat_object(self.config.bucket, self._full(key)))
        except Missing:
            return None
        return Entry(key, found.size or 0, found.etag or "")

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object below a prefix, in order of key."""
        full = self._full(prefix)
        objects = iter(self._guarded(prefix, lambda: self._client.list_objects(self.config.bucket, prefix=full, recursive=True)))
        while (found := self._guarded(prefix, lambda: next(objects, None))) is not None:
            if not found.is_dir:
                yield Entry((found.object_name or "").removeprefix(self.config.prefix), found.size or 0, (found.etag or "").strip('"'))

    def put_blob(self, content: bytes) -> str:
        """Write an immutable blob and give its digest. Writing it twice does no harm: same digest, same bytes."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.put(blob_key(digest), content)
        return digest

    def upload_blob(self, path: Path) -> tuple[str, int]:
        """Write a file as a blob, unless it is there already: its digest and its size in bytes."""
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
        digest, size = f"sha256:{hasher.hexdigest()}", path.stat().st_size
        there = self.stat(blob_key(digest))
        if there is None or there.size != size:
            self.upload(blob_key(digest), path)
        return digest, size

    def copy_blob(self, source: Entry, content: bytes, digest: str) -> None:
        """Make a blob of an object that was just read and hashed.

        Large ones are copied inside the store, and only if the source still is what was hashed; small ones are written from memory.

        Raises:
            TryAgain: the source changed in between.
        """
        if len(content) <= SMALL_COPY:
            self.put(blob_key(digest), content)
            return
        from minio.commonconfig import CopySource

        origin = CopySource(self.config.bucket, self._full(source.key), match_etag=source.etag)
        self._guarded(source.key, lambda: self._client.copy_object(self.config.bucket, self._full(blob_key(digest)), origin))

    def get_blob(self, digest: str) -> bytes:
        """A blob, verified.

        Raises:
            Missing: there is none.
            Corrupt: its bytes do not hash to the digest.
        """
        content = self.get(blob_key(digest))
        _verify(digest, f"sha256:{hashlib.sha256(content).hexdigest()}")
        return content

    def download_blob(self, digest: str, path: Path) -> None:
        """Stream a blob into a file, verified; the file is removed where it is not what it should be.

        Raises: as `get_blob`.
        """
        found = self.download(blob_key(digest), path)
        if found != digest:
            path.unlink()
        _verify(digest, found)

    def uri(self, key: str) -> str:
        """For messages: where a person finds the object."""
        return f"s3://{self.config.bucket}/{self.config.prefix}{key}"

    def _put_if_absent(self, key: str, content: bytes) -> bool:
        """The client has no conditional put, so a presigned one is used with the condition beside it."""
        url = self._guarded(key, lambda: self._client.get_presigned_url("PUT", self.config.bucket, self._full(key)))
        response = self._guarded(key, lambda: self._pool.request("PUT", url, body=content, headers={"If-None-Match": "*"}))
        if response.status == HTTPStatus.PRECONDITION_FAILED:
            return False
        if response.status != HTTPStatus.OK:
            code = _error_code(response.data)
            if code in REFUSALS:
                raise StoreRefused(self._refusal(code, key))
            raise StoreUnavailable(f"{self.uri(key)}: {self.config.endpoint} answered {response.status} {code} to a conditional write")
        return True

    def _consumed(self, key: str, consume: Callable[[IO[bytes]], T]) -> T:
        """Open an object and read it; from the start again where the connection broke half-way."""
        from urllib3.exceptions import HTTPError

        for left in reversed(range(READ_ATTEMPTS)):
            response = self._guarded(key, lambda: self._client.get_object(self.config.bucket, self._full(key)))
            try:
                return consume(cast("IO[bytes]", response))
            except HTTPError as error:
                if not left:
                    raise StoreUnavailable(f"{self.uri(key)}: the connection broke {READ_ATTEMPTS} times while reading: {error}") from error
            finally:
                response.close()
                response.release_conn()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _full(self, key: str) -> str:
        if key.startswith("/") or ".." in key.split("/"):
            raise SpecError(f"store key {key!r} leaves the namespace's prefix; keys are relative and without '..'")
        return f"{self.config.prefix}{key}"

    def _refusal(self, code: str, key: str, said: str = "") -> str:
        advice = REFUSALS.get(code, f"{said or 'no reason was given'}; check endpoint, bucket, accessKey and secretKey")
        return f"{self.uri(key)}: the store at {self.config.endpoint} refuses with {code}: {advice} (Secret bramble-store)"

    def _guarded(self, key: str, call: Callable[[], T]) -> T:
        """Translate what the client raises into the errors of jobs."""
        from minio.error import InvalidResponseError, S3Error, ServerError
        from urllib3.exceptions import HTTPError

        try:
            return call()
        except S3Error as error:
            code = error.code or ""
            if code in ABSENT:
                raise Missing(f"{self.uri(key)} is not in the store") from error
            if code == "PreconditionFailed":
                raise TryAgain(f"{self.uri(key)} changed while it was read; do not write to a source while it is snapshotted") from error
            if code in REFUSALS or error.response.status in REFUSING:
                raise StoreRefused(self._refusal(code, key, error.message or "")) from error
            raise StoreUnavailable(f"{self.uri(key)}: the store at {self.config.endpoint} answered {code}: {error.message}") from error
        except (InvalidResponseError, ServerError) as error:
            raise StoreUnavailable(f"{self.uri(key)}: {self.config.endpoint} gave no S3 answer: {error}") from error
        except HTTPError as error:
            raise StoreUnavailable(f"{self.uri(key)}: the store at {self.config.endpoint} did not answer: {error}") from error

    @cached_property
    def _pool(self) -> PoolManager:
        import urllib3

        context = ssl.create_default_context(cadata=self.config.ca or None) if self.config.endpoint.startswith("https://") else None
        retry = urllib3.Retry(
            total=self._retries,
            backoff_factor=0.1,
            backoff_max=5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,  # every request here may be repeated: keys are written whole
            raise_on_status=False,
        )
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        return urllib3.PoolManager(maxsize=self._connections, retries=retry, timeout=timeout, ssl_context=context)

    @cached_property
    def _client(self) -> Minio:
        from minio import Minio

        address = urlsplit(self.config.endpoint)
        return Minio(
            address.netloc,
            access_key=self.config.access_key,
            secret_key=self.config.secret_key,
            region=self.config.region,
            secure=address.scheme == "https",
            http_client=self._pool,
        )


def _error_code(body: bytes) -> str:
    """The code in an S3 error document; the body of anything else, shortened."""
    text = body.decode(errors="replace")
    _, found, rest = text.partition("<Code>")
    return rest.partition("</Code>")[0] if found else text[:200]


def _verify(wanted: str, found: str) -> None:
    if found != wanted:
        raise Corrupt(f"blob {wanted} holds bytes that hash to {found}: the store damaged it; delete the object and make it again")
