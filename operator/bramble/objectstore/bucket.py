"""A client for the part of a bucket that belongs to one namespace."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from bramble.contracts.store import SECRET_NAME, StoreConfig, StoreError
from bramble.objectstore.addresses import Addresses
from bramble.objectstore.answers import ADVICE, Meaning, error_code, meaning
from bramble.objectstore.presigner import Presigner
from bramble.objectstore.quick import QuickRequests
from bramble.objectstore.trust import trust

if TYPE_CHECKING:
    from minio import Minio
    from urllib3 import PoolManager

T = TypeVar("T")

CHUNK = 1024 * 1024
READ_ATTEMPTS = 3
REASON_CHARACTERS = 200
"""How much of a store's own explanation is passed on."""


class Absent(Exception):
    """There is no object with this key."""


class Changed(Exception):
    """The condition of a conditional request does not hold: the object changed, or one exists already."""


class Entry(NamedTuple):
    """One object: its key below the prefix, its size in bytes, and its entity tag."""

    key: str
    size: int
    etag: str


class Patience(NamedTuple):
    """How long a client waits for the store, and how often it repeats a request that failed for a reason that may pass.

    Between the repetitions there is a back-off that doubles from 0.1 s to 5 s.
    """

    connect_seconds: float
    read_seconds: float
    retries: int


class Bucket:
    """Objects below the prefix of one namespace. Threads may share an instance.

    The class attributes are the exceptions that the methods raise. A subclass sets those of its own error tree.

    Attributes:
        absent: there is no object with this key.
        changed: the object changed while it was read.
        refused: the store refuses the request, or the key lies outside the prefix. A person must change something.
        larger: an object has more bytes than its reader takes.
        key_refused: the store does not accept the access key, and the Secret has no other.
        unavailable: the store did not answer, or answered with server errors, for as long as `patience` allows.
    """

    absent: ClassVar[type[Exception]] = Absent
    changed: ClassVar[type[Exception]] = Changed
    refused: ClassVar[type[Exception]]
    larger: ClassVar[type[Exception]]
    key_refused: ClassVar[type[Exception]]
    unavailable: ClassVar[type[Exception]]

    def __init__(
        self,
        config: StoreConfig,
        patience: Patience,
        *,
        connections: int = 4,
        secret: str = f"Secret {SECRET_NAME}",
        addresses: Addresses | None = None,
    ) -> None:
        """Create a client. It does not contact the store.

        Args:
            config: the address of the store and the key to it.
            patience: time limits and repetitions.
            connections: how many connections are kept open for reuse.
            secret: the name of the Secret in messages.
            addresses: the addresses that the store may have; None in a job, whose connections are its namespace's own matter.
        """
        self.config = config
        self._patience = patience
        self._connections = connections
        self._secret = secret
        self._addresses = addresses

    def close(self) -> None:
        """End the connections that are kept and not in use. Later requests make new ones."""
        for made in ("_pool", "_quick"):
            if (found := self.__dict__.get(made)) is not None:
                found.clear()

    # ------------------------------------------------------------------------------------------------------- requests
    def get(self, key: str, limit: int | None = None) -> bytes:
        """Read a whole object, for documents and small blobs. An object with more than `limit` bytes is refused."""
        if limit is None and (found := self._sent("GET", key)) is not None:
            return found
        content = self._consumed(key, lambda stream: stream.read(-1 if limit is None else limit + 1))
        if limit is not None and len(content) > limit:
            raise self.too_large(key, limit)
        return content

    def find(self, key: str, limit: int | None = None) -> bytes | None:
        """Read a whole object; None if it does not exist."""
        try:
            return self.get(key, limit)
        except self.absent:
            return None

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        if self._sent("PUT", key, content) is not None:
            return
        full = self.full(key)
        self._guarded(key, lambda: self._client.put_object(self.config.bucket, full, io.BytesIO(content), len(content)))

    def put_once(self, key: str, content: bytes) -> bool:
        """Write an object unless it exists (`If-None-Match: *`). Returns False if it exists.

        The minio client has no conditional write, so this sends a presigned request with the condition as a header.
        """

        def write() -> bool:
            response = self._pool.request("PUT", self.presigned("PUT", key), body=content, headers={"If-None-Match": "*"})
            if response.status == HTTPStatus.OK:
                return True
            code = error_code(response.data)
            if meaning(response.status, code) is Meaning.CHANGED:
                return False
            raise self.problem(key, response.status, code)

        return self._guarded(key, write)

    def upload(self, key: str, path: Path) -> None:
        """Write a file of any size. A large file is uploaded in parts."""
        full = self.full(key)
        self._guarded(key, lambda: self._client.fput_object(self.config.bucket, full, str(path)))

    def download(self, key: str, path: Path) -> str:
        """Stream an object into a file. Returns the digest of the written bytes."""

        def write(stream: IO[bytes]) -> str:
            hasher = hashlib.sha256()
            with path.open("wb") as file:
                while chunk := stream.read(CHUNK):
                    hasher.update(chunk)
                    file.write(chunk)
            return f"sha256:{hasher.hexdigest()}"

        return self._consumed(key, write)

    def stat(self, key: str) -> Entry | None:
        """The size and the entity tag of an object; None if it does not exist."""
        from minio.error import S3Error

        full = self.full(key)

        def head() -> Entry:
            try:
                found = self._client.stat_object(self.config.bucket, full)
            except S3Error as error:
                if error.response.status == HTTPStatus.FORBIDDEN:  # without a body a HEAD does not say what is forbidden, and a GET does
                    self._client.get_object(self.config.bucket, full, length=1).close()
                raise
            return Entry(key, found.size or 0, found.etag or "")

        try:
            return self._guarded(key, head)
        except self.absent:
            return None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield all objects below a prefix, sorted by key."""
        full = self.full(prefix)
        objects = iter(self._guarded(prefix, lambda: self._client.list_objects(self.config.bucket, prefix=full, recursive=True)))
        while (found := self._guarded(prefix, lambda: next(objects, None))) is not None:
            if not found.is_dir:
                yield Entry((found.object_name or "").removeprefix(self.config.prefix), found.size or 0, (found.etag or "").strip('"'))

    def copy(self, source: Entry, key: str) -> None:
        """Copy an object inside the store, if it still has the entity tag of `source`."""
        from minio.commonconfig import CopySource

        origin, full = CopySource(self.config.bucket, self.full(source.key), match_etag=source.etag), self.full(key)
        self._guarded(source.key, lambda: self._client.copy_object(self.config.bucket, full, origin))

    # ------------------------------------------------------------------------------ for callers with their own transport
    def presigned(self, method: str, key: str) -> str:
        """The URL of a signed request, for a caller that sends it itself. Signing does not contact the store."""
        full = self.full(key)
        return self._guarded(key, lambda: self._presigner.url(method, full))

    def check(self) -> None:
        """Sign a request without sending it, to check that a client can be made for this endpoint, bucket and certificate bundle.

        Raises:
            StoreError: a client cannot be made.
        """
        try:
            self._presigner.url("GET", "key")
        except ValueError as error:
            raise StoreError(f"{error}; correct {self._secret}") from error

    def problem(self, key: str, status: int, code: str, reason: str = "") -> Exception:
        """The exception for an answer that is not a success.

        Args:
            key: the key of the request.
            status: the HTTP status of the answer.
            code: the code in the error document, or empty.
            reason: the store's own message, which is used if there is no advice for the code.
        """
        where = f"{self.uri(key)}: the store at {self.config.endpoint}"
        match meaning(status, code):
            case Meaning.ABSENT:
                return self.absent(f"{self.uri(key)} is not in the store")
            case Meaning.CHANGED:
                return self.changed(f"{self.uri(key)} changed while it was read; do not write to a source while it is snapshotted")
            case Meaning.UNAVAILABLE:
                advice = f": {ADVICE[code]}" if code in ADVICE else f" {reason}"
                return self.unavailable(f"{where} answered {status} {code}{advice}".rstrip())
            case (Meaning.KEY_REFUSED | Meaning.REFUSED) as refusal:
                unknown = f"{reason or 'it gives no reason'}; check endpoint, bucket, accessKey and secretKey in {{secret}}"
                advice = ADVICE.get(code, unknown).replace("{secret}", self._secret)
                error = self.key_refused if refusal is Meaning.KEY_REFUSED else self.refused
                return error(f"{where} refuses the request with {code or status}: {advice}")

    def silence(self, key: str, error: BaseException) -> Exception:
        """The exception for a request that got no answer."""
        return self.unavailable(
            f"{self.uri(key)}: the store at {self.config.endpoint} did not answer: {str(error) or type(error).__name__}"
        )

    def unusable(self, error: ValueError) -> Exception:
        """The exception for a request that could not be sent, because something in the Secret is wrong."""
        return self.refused(f"the store at {self.config.endpoint} cannot be used: {error}; correct {self._secret}")

    def too_large(self, key: str, limit: int) -> Exception:
        """The exception for a document with more bytes than a reader accepts."""
        return self.larger(f"{self.uri(key)} has more than {limit} bytes, the most that such a document may have")

    def uri(self, key: str) -> str:
        """The address of the object for messages: `s3://<bucket>/<key>`."""
        return f"s3://{self.config.bucket}/{self.config.prefix}{key}"

    def full(self, key: str) -> str:
        """The key in the bucket. A key outside the prefix of the namespace is refused."""
        if key.startswith("/") or ".." in key.split("/"):
            raise self.refused(f"store key {key!r} lies outside the namespace's prefix; keys are relative and have no '..'")
        return f"{self.config.prefix}{key}"

    # --------------------------------------------------------------------------------------------------------- inside
    def _sent(self, method: str, key: str, content: bytes | None = None) -> bytes | None:
        """The answer to a request for a whole object; None if the client has to make it, as always where addresses are checked."""
        if self._addresses is not None:
            return None
        full = self.full(key)
        return self._guarded(key, lambda: self._quick.send(method, self._presigner.target(method, full), content))

    def _consumed(self, key: str, consume: Callable[[IO[bytes]], T]) -> T:
        """Open an object and read it. If the connection breaks, it is opened again and the object is read from its start."""
        from urllib3.exceptions import HTTPError

        full = self.full(key)
        for left in reversed(range(READ_ATTEMPTS if self._patience.retries else 1)):
            response = self._guarded(key, lambda: self._client.get_object(self.config.bucket, full))
            try:
                return consume(cast("IO[bytes]", response))
            except HTTPError as error:
                if not left:
                    raise self.silence(key, error) from error
            finally:
                response.close()
                response.release_conn()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _guarded(self, key: str, call: Callable[[], T]) -> T:
        """Make a call, and make it again with the Secret's new key if the store no longer accepts the present one."""
        while True:
            used = self.config
            try:
                return self._translated(key, call)
            except self.key_refused:
                if not self._renewed(used):
                    raise

    def _renewed(self, used: StoreConfig) -> bool:
        """Whether `config` has another key by now than `used`, which the store refused. A subclass may look for one."""
        return self.config != used

    def _use(self, config: StoreConfig) -> None:
        """Go on with another key to the same place. Requests of other threads that are under way end with the old one."""
        self.config = config
        for made in ("_client", "_pool", "_presigner", "_quick"):
            self.__dict__.pop(made, None)

    def _translated(self, key: str, call: Callable[[], T]) -> T:
        """Make a call, and translate the exceptions of minio and urllib3."""
        from minio.error import InvalidResponseError, S3Error, ServerError
        from urllib3.exceptions import HTTPError

        try:
            return call()
        except S3Error as error:
            raise self.problem(key, error.response.status, error.code or "", (error.message or "")[:REASON_CHARACTERS]) from error
        except (InvalidResponseError, ServerError) as error:
            what = str(error).partition(", Body:")[0]  # the body may be of a server that the tenant cannot reach, and is not shown
            raise self.unavailable(f"{self.uri(key)}: {self.config.endpoint} returned an answer that is not S3: {what}") from error
        except (HTTPError, OSError) as error:
            raise self.silence(key, error) from error
        except ValueError as error:
            raise self.unusable(error) from error

    @cached_property
    def _pool(self) -> PoolManager:
        import urllib3

        retries = urllib3.Retry(
            total=self._patience.retries,
            backoff_factor=0.1,
            backoff_max=5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,  # any request may be repeated, because every key is written whole
            raise_on_status=False,
        )
        timeout = urllib3.Timeout(connect=self._patience.connect_seconds, read=self._patience.read_seconds)
        pools = urllib3.PoolManager(maxsize=self._connections, retries=retries, timeout=timeout, ssl_context=trust(self.config))
        if self._addresses is not None:
            self._addresses.guard(pools)
        return pools

    @cached_property
    def _quick(self) -> QuickRequests:
        tls = trust(self.config)
        return QuickRequests(self._presigner.origin, tls, self._patience.connect_seconds, self._patience.read_seconds)

    @cached_property
    def _presigner(self) -> Presigner:
        return Presigner(self.config, self._client)

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
