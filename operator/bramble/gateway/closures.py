"""Finds the blobs that a benchmark may read: its packages, its manifest, and the blobs that these list (their closure).

A closure is read once and kept as raw digests of 32 bytes each, so that the test split of a large dataset fits in memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from pydantic import BaseModel, ValidationError

from bramble.contracts.base import Digest
from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.contracts.jobs.files import AnyJob
from bramble.contracts.manifest import Manifest, Split
from bramble.contracts.package import MAX_BYTES, Package
from bramble.contracts.store import blob_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.errors import StoreRefused
from bramble.gateway.refusals import Busy, Missing
from bramble.kube.store import Store

MAX_DIGESTS = 500_000
"""The most digests kept at the same time over all closures, and the most that one manifest may list. They take about 60 MB."""

MAX_DIGESTS_READING = 1_500_000
"""The most digests of all lists that are being read, which take about 190 MB. Beyond it the longest of them is given up, so that stores
which never come to the end of a list do not stop the others."""

READ_SECONDS = 120.0
"""How long a manifest and its list may take to arrive. A store that sends them slowly would otherwise hold memory that others need."""

WAIT_SECONDS = 20.0
"""How long a call waits while another list of the same store is read, before it is answered with 503."""

TOO_MANY = f"all lists of samples that are being read have more than {MAX_DIGESTS_READING} samples, and this is the longest; try again"

MANIFEST_BYTES = 1024 * 1024

SAMPLES_BYTES = 1024 * 1024 * 1024
"""The longest list of samples that is read, with all splits: about four million samples."""

LINE_BYTES = 64 * 1024
"""The longest line of such a list, which is one sample."""

CHUNK = 1024 * 1024

Closure = frozenset[bytes]


@dataclass(eq=False, slots=True)
class _Reading:
    """A list that is being read: how many digests it has so far, what bounds its time, and whether it was given up for others."""

    bound: asyncio.Timeout
    digests: int = 0
    given_up: bool = False


class Listed(BaseModel):
    """The fields of a sample's line that are read."""

    id: Digest
    split: Split


class Closures:
    """Reads and keeps the closures of packages and manifests."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Closure] = OrderedDict()
        # An entry of the following lives while a call holds it or waits for it.
        self._reading: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._of_namespace: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._under_way: list[_Reading] = []

    async def allows(self, job: AnyJob, store: Store, digest: str) -> bool:
        """Whether this job may read this blob. Only benchmarks may read blobs here; all other jobs read the store directly.

        Raises:
            Missing: the package or the manifest that the job names is not in the store.
            StoreRefused: it is in the store, but its content does not have this digest.
            bramble.errors.StoreUnavailable: the store did not answer.
        """
        if not isinstance(job, BenchmarkJob):
            return False
        if digest in job.packages or digest == job.manifest:
            return True
        wanted = _raw(digest)
        for package in job.packages:
            if wanted in await self._closure(package, store, partial(_package, package, store)):
                return True
        namespace = job.object.namespace
        return wanted in await self._closure(job.manifest, store, partial(self._read_manifest, namespace, job.manifest, store))

    async def _closure(self, root: str, store: Store, read: Callable[[], Awaitable[Closure]]) -> Closure:
        # The store is part of the key, because another namespace's store may have other blobs.
        key = (f"{store.config.endpoint}/{store.config.bucket}/{store.config.prefix}", root)
        async with self._reading.setdefault(key, asyncio.Lock()):
            if key not in self._kept:
                self._kept[key] = await read()
            self._kept.move_to_end(key)
            found = self._kept[key]
        self._drop_oldest(MAX_DIGESTS, keep=1)
        return found

    async def _read_manifest(self, namespace: str, root: str, store: Store) -> Closure:
        """Read a manifest when no other of its namespace is being read.

        Raises:
            Busy: another one is read for too long, or all that are being read have too many digests together and this one most of them.
            bramble.errors.StoreUnavailable: the store did not send it in time.
        """
        turn = self._of_namespace.setdefault(namespace, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise Busy(f"another list of samples of the same store is still being read, after {WAIT_SECONDS:g} s; try again") from None
        reading = _Reading(asyncio.timeout(READ_SECONDS))
        self._under_way.append(reading)
        try:
            async with reading.bound:
                return await _manifest(root, store, lambda digests: self._make_room(reading, digests))
        except TimeoutError as error:
            if reading.given_up:
                raise Busy(TOO_MANY) from None
            late = TimeoutError(f"the manifest and its list of samples did not arrive within {READ_SECONDS:g} s")
            raise store.client.silence(blob_key(root), late) from error
        finally:
            turn.release()
            if not reading.given_up:
                self._under_way.remove(reading)

    def _make_room(self, reading: _Reading, digests: int) -> None:
        """Count what is being read, give up the longest list if it is too much, and drop what is only kept in its favour."""
        reading.digests = digests
        while (total := sum(each.digests for each in self._under_way)) > MAX_DIGESTS_READING:
            longest = max(self._under_way, key=lambda each: each.digests)
            longest.given_up = True
            self._under_way.remove(longest)
            longest.bound.reschedule(asyncio.get_running_loop().time())
        self._drop_oldest(max(0, MAX_DIGESTS - total))

    def _drop_oldest(self, most: int, keep: int = 0) -> None:
        """Forget the closures that were not used for longest until there are at most so many digests, but keep so many closures."""
        held = sum(len(closure) for closure in self._kept.values())
        while held > most and len(self._kept) > keep:
            _, closure = self._kept.popitem(last=False)
            held -= len(closure)


def _raw(digest: str) -> bytes:
    return bytes.fromhex(digest.removeprefix("sha256:"))


def _raws(digests: Iterable[str]) -> Closure:
    return frozenset(_raw(digest) for digest in digests)


async def _document(digest: str, store: Store, limit: int) -> bytes:
    content = await store.find(blob_key(digest), limit)
    if content is None:
        raise Missing(f"{digest}, which the job names, is not in the store")
    if digest_of(content) != digest:
        raise StoreRefused(f"the bytes of blob {digest} have the digest {digest_of(content)}: the store damaged them")
    return content


async def _package(digest: str, store: Store) -> Closure:
    content = await _document(digest, store, MAX_BYTES)
    try:
        return _raws(parse_untrusted(Package, content, MAX_BYTES).blobs())
    except ValidationError as error:
        raise StoreRefused(f"blob {digest} is not a package: {error.errors()[0]['msg']}") from error


async def _manifest(digest: str, store: Store, make_room: Callable[[int], None]) -> Closure:
    """The list of samples, the samples of the test split, and the shards that hold them.

    Args:
        make_room: is told how many digests have been read so far, and may raise an exception.
    """
    content = await _document(digest, store, MANIFEST_BYTES)
    try:
        manifest = parse_untrusted(Manifest, content, MANIFEST_BYTES)
    except ValidationError as error:
        raise StoreRefused(f"blob {digest} is not a manifest: {error.errors()[0]['msg']}") from error
    listed = {_raw(manifest.samples), *(_raw(shard.sha256) for shard in manifest.shards if shard.split == "test")}
    what = f"{manifest.samples}, the samples of manifest {digest},"
    async with store.open(blob_key(manifest.samples)) as response:
        if response is None:
            raise Missing(f"{what} is not in the store")
        rest, read = b"", 0
        async for chunk in response.content.iter_chunked(CHUNK):
            read += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if read > SAMPLES_BYTES or len(rest) > LINE_BYTES:
                limits = f"{LINE_BYTES} bytes in a line, or {SAMPLES_BYTES} in all"
                raise StoreRefused(f"{what} has more than {limits}: a snapshot never writes such a list")
            listed |= await asyncio.to_thread(_test_samples, lines, what)
            make_room(len(listed))
            if len(listed) > MAX_DIGESTS:
                raise StoreRefused(f"{what} has more than {MAX_DIGESTS} samples in the test split: give the test split a smaller ratio")
        listed |= _test_samples([rest], what)
    return frozenset(listed)


def _test_samples(lines: list[bytes], what: str) -> set[bytes]:
    """The digests of the samples of the test split among these lines.

    Raises:
        StoreRefused: a line is not a sample.
    """
    try:
        samples = [parse_untrusted(Listed, line, LINE_BYTES) for line in lines if line]
    except ValidationError as error:
        raise StoreRefused(f"{what} has a line that is not a sample: {error.errors()[0]['msg']}") from error
    return {_raw(sample.id) for sample in samples if sample.split == "test"}
