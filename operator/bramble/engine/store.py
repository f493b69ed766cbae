"""The namespaces' S3 stores, as far as the operator reads and writes them: small documents only."""

from __future__ import annotations

import asyncio
import base64
import io
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError

from bramble.contracts.store import SECRET_NAME, StoreConfig, no_secret
from bramble.engine.clock import boottime
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kube.api import Api
from bramble.kube.resources import SECRET

SECRET_SECONDS = 5.0
"""How long a Secret, read or found missing, is believed: the operator may not watch Secrets."""

FORGET_SECONDS = 600.0
"""A namespace whose store nobody has asked for in so long is forgotten, its client with it."""

PROBE_KEY = "results/probe"
"""Never written: whether the store takes our key shows in how it says that the object is not there."""

LARGEST = 8 * 1024 * 1024
"""Bytes of the largest document that the operator reads."""

REFUSALS = {
    "InvalidAccessKeyId": "does not know the access key; correct accessKey",
    "SignatureDoesNotMatch": "refuses the secret key; correct secretKey",
    "AccessDenied": "denies access with this key; give it s3:GetObject and s3:PutObject below the prefix and s3:ListBucket on the bucket"
    " (without that, AWS denies what is only missing)",
    "NoSuchBucket": "has no such bucket; create it, or correct bucket",
    "PermanentRedirect": "serves this bucket in another region; correct region or endpoint",
    "AuthorizationHeaderMalformed": "expects another region; correct region",
}
CALLS_AT_ONCE = 3
"""Of one namespace; fewer than the workers, so that a store that is slow never has all of them wait."""

TURN_SECONDS = 2.0
"""How long a call waits for others of its namespace."""

CALL_SECONDS = 20.0
"""Longest that a call may take in all: a store that sends a byte now and then keeps within every timeout of a socket."""

THREADS = 32
"""Made when they are needed. A call that is given up keeps its thread and its turn until its socket ends."""

BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted")

Answer = TypeVar("Answer")


class Held(NamedTuple):
    """A Secret's state and the client made from it."""

    version: str
    config: StoreConfig
    client: Minio


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found when the Secret was last read."""

    at: float
    held: Held | None
    problem: Blocker | None


class Stores:
    """One client a namespace, made anew when its Secret changes. Calls run in threads: the minio client blocks."""

    def __init__(self, api: Api, clock: Callable[[], float] = boottime) -> None:
        self._api, self._clock = api, clock
        self._looked: dict[str, Looked] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # kept by the calls that hold or await one
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="store")

    def close(self) -> None:
        """No more calls; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def problem(self, namespace: str) -> Blocker | None:
        """Why the namespace's store cannot be used, or None."""
        looked = await self._look(namespace)
        if looked.problem is not None or looked.held is None:
            return looked.problem
        try:
            await self._call(namespace, looked.held, lambda held: _read(held, PROBE_KEY))
        except StoreRefused as error:
            return Blocker("StoreRefused", str(error))
        except StoreUnavailable as error:
            return Blocker("StoreUnavailable", str(error))
        return None

    async def fetch(self, namespace: str, key: str) -> bytes | None:
        """A small document, None when it is not there.

        Raises:
            StoreRefused: there is no usable Secret, or the store refuses it.
            StoreUnavailable: no answer.
        """
        held = await self._held(namespace)
        return await self._call(namespace, held, lambda held: _read(held, key))

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        """Write a small document; one that is there is left. Raises as `fetch` does."""
        held = await self._held(namespace)
        await self._call(namespace, held, lambda held: _write_once(held, key, content))

    async def _held(self, namespace: str) -> Held:
        looked = await self._look(namespace)
        if looked.held is None:
            problem = looked.problem
            raise StoreRefused(problem.message if problem is not None else f"namespace {namespace} has no store")
        return looked.held

    async def _look(self, namespace: str) -> Looked:
        known = self._looked.get(namespace)
        if known is not None and self._clock() < known.at + SECRET_SECONDS:
            return known
        secret = await self._api.get(SECRET, namespace, SECRET_NAME)
        held, problem = known.held if known is not None else None, None
        if secret is None:
            held, problem = None, Blocker("StoreMissing", no_secret(namespace))
        elif held is None or held.version != secret["metadata"]["resourceVersion"]:
            values = {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}
            try:
                held = _open(secret["metadata"]["resourceVersion"], StoreConfig.parse(values))
            except ValueError as error:  # a StoreError, or an endpoint or bucket name that no client can be made for
                held, problem = None, Blocker("StoreInvalid", f"namespace {namespace}: {error}")
        looked = Looked(self._clock(), held, problem)
        self._looked = {name: each for name, each in self._looked.items() if looked.at - each.at < FORGET_SECONDS}
        self._looked[namespace] = looked
        return looked

    async def _call(self, namespace: str, held: Held, call: Callable[[Held], Answer]) -> Answer:
        where = f"store {held.config.endpoint}, bucket {held.config.bucket} (Secret {SECRET_NAME} in {namespace})"
        try:
            return await self._threaded(namespace, lambda: call(held))
        except S3Error as error:
            if error.code in BUSY:
                raise StoreUnavailable(f"{where} is busy: {error.code}: {error.message}") from error
            raise StoreRefused(f"{where} {REFUSALS.get(error.code or '', f'refuses: {error.code}: {error.message}')}") from error
        except ValueError as error:
            raise StoreRefused(f"{where} cannot be used: {error}") from error
        except TimeoutError as error:
            raise StoreUnavailable(f"{where} does not answer: {str(error) or f'no end of an answer in {CALL_SECONDS:g} s'}") from error
        except (ServerError, InvalidResponseError, HTTPError, OSError) as error:
            raise StoreUnavailable(f"{where} does not answer: {type(error).__name__}: {error}") from error

    async def _threaded(self, namespace: str, call: Callable[[], Answer]) -> Answer:
        """In a thread, when it is the namespace's turn. Raises TimeoutError, and whatever the call raises."""
        turns = self._turns.setdefault(namespace, asyncio.Semaphore(CALLS_AT_ONCE))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await turns.acquire()
        except TimeoutError as error:
            raise TimeoutError(f"{CALLS_AT_ONCE} earlier calls have not ended") from error
        answer = asyncio.get_running_loop().run_in_executor(self._threads, call)
        answer.add_done_callback(lambda ended: _next_turn(turns, ended))
        async with asyncio.timeout(CALL_SECONDS):
            return await asyncio.shield(answer)


def _next_turn(turns: asyncio.Semaphore, ended: asyncio.Future[Answer]) -> None:
    turns.release()
    if not ended.cancelled():
        ended.exception()  # of a call that was given up: nobody else asks for it


def _open(version: str, config: StoreConfig) -> Held:
    parts = urlsplit(config.endpoint)
    context = _trusting(config.ca) if parts.scheme == "https" else None
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=15), retries=urllib3.Retry(0), maxsize=4, ssl_context=context)
    client = Minio(
        endpoint=parts.netloc,
        access_key=config.access_key,
        secret_key=config.secret_key,
        secure=parts.scheme == "https",
        region=config.region,
        http_client=pool,
    )
    return Held(version, config, client)


def _trusting(ca: str) -> ssl.SSLContext:
    """Trust in this PEM, or, without one, in the system's authorities."""
    return ssl.create_default_context(cadata=ca) if ca else _system_trust()


@cache
def _system_trust() -> ssl.SSLContext:
    """One for all stores: the system's authorities take three quarters of a megabyte."""
    return ssl.create_default_context()


def _read(held: Held, key: str) -> bytes | None:
    try:
        response = held.client.get_object(bucket_name=held.config.bucket, object_name=held.config.prefix + key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise
    try:
        content = response.read(LARGEST + 1)
    finally:
        response.close()
        response.release_conn()
    if len(content) > LARGEST:
        raise OSError(f"{key} is larger than {LARGEST} bytes, which no document of ours is")
    return content


def _write_once(held: Held, key: str, content: bytes) -> None:
    if _read(held, key) is not None:
        return
    held.client.put_object(
        bucket_name=held.config.bucket, object_name=held.config.prefix + key, data=io.BytesIO(content), length=len(content)
    )
