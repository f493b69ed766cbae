"""What devices and jobs told the gateway, read from each of its replicas and merged (package contract, §2)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp
from pydantic import ValidationError
from pydantic_core import from_json

from bramble.contracts.pod import GATEWAY_TOKEN
from bramble.contracts.report import OFFLINE_SECONDS, ObjectRef, Observed, Progress, Report, SeenProgress, SeenReport
from bramble.engine.clock import boottime
from bramble.engine.feed import Feed
from bramble.engine.metrics import Metrics
from bramble.errors import BrambleError
from bramble.kinds.sources import Devices
from bramble.kube.api import Api
from bramble.kube.resources import ENDPOINT_SLICE, Key, Manifest
from bramble.settings import Settings

REPORT_KIND = "Report"
"""`Key(REPORT_KIND, "", fleet)` stands for what the devices of a fleet say."""

SERVICE_LABEL = "kubernetes.io/service-name"
READ_SECONDS = 5
FORGET_SECONDS = 3600
"""A device that has been silent for so long says nothing any more: its node may have been another's for most of it."""

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """One replica of the gateway."""

    host: str
    port: int


def addresses(slices: Iterable[Manifest]) -> frozenset[Address]:
    """The ready replicas that a Service's EndpointSlices name."""
    return frozenset(
        Address(host, int(port["port"]))
        for endpoint_slice in slices
        for endpoint in endpoint_slice.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True)
        for host in endpoint["addresses"]
        for port in (endpoint_slice.get("ports") or ())[:1]
    )


def read(content: bytes) -> Observed:
    """A replica's answer. What one device or job said outside the contract (a replica of another version took it) is left out.

    Raises:
        ValidationError: the rest is no `Observed` either.
    """
    try:
        return Observed.model_validate_json(content)
    except ValidationError as error:
        complaints = error.errors(include_url=False)
        bad = {complaint["loc"][:2] for complaint in complaints if complaint["loc"][:1] in (("reports",), ("progress",))}
        if not bad:
            raise
        raw = from_json(content)
        first = complaints[0]
        log.warning("%d of what the gateway heard is left out, first %s: %s", len(bad), ".".join(map(str, first["loc"])), first["msg"])
        kept = {
            name: [item for number, item in enumerate(raw[name]) if (name, number) not in bad]
            for name in ("reports", "progress")
            if isinstance(raw.get(name), list)
        }
        return Observed.model_validate({**raw, **kept})


class Board:
    """The newest report of each node, the newest progress of each step of each object. No I/O."""

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._progress: dict[tuple[ObjectRef, str], tuple[float, Progress]] = {}
        self._online: dict[str, bool] = {}
        self._complete_since: float | None = None
        self.proves_silence = False

    def judge(self, *, complete: bool) -> None:
        """Whether this reading was complete. Silence is proven by readings that have been so for long enough.

        While the API server is away, the gateway cannot tell whose token a device shows, and turns its reports down.
        """
        now = self._clock()
        if not complete:
            self._complete_since = None
        elif self._complete_since is None:
            self._complete_since = now
        self.proves_silence = self._complete_since is not None and now - self._complete_since >= OFFLINE_SECONDS

    def take(self, seen: Iterable[Observed]) -> tuple[set[str], set[Key]]:
        """Merge what the replicas know.

        Returns:
            The fleets whose devices say something new or fell silent, and the objects whose jobs do.
        """
        now, fleets, objects = self._clock(), set[str](), set[Key]()
        for observed in seen:
            for report in observed.reports:
                if self._take_report(now - report.age_seconds, report.report):
                    fleets.add(report.report.fleet)
            for progress in observed.progress:
                if self._take_progress(now - progress.age_seconds, progress.progress):
                    ref = progress.progress.object
                    objects.add(Key(ref.kind, ref.namespace, ref.name))
        return fleets | self._turned(now), objects

    def devices(self, fleet: str) -> Devices:
        """The fleet's devices as last heard, with their ages now."""
        now = self._clock()
        reports = {
            node: SeenReport(age_seconds=max(0.0, now - at), report=report)
            for node, (at, report) in self._reports.items()
            if report.fleet == fleet
        }
        return Devices(reports, self.proves_silence)

    def progress(self, ref: ObjectRef, step: str) -> SeenProgress | None:
        """What the job of this object last said. A job speaks for objects of its own namespace, so a uid alone names nobody."""
        known = self._progress.get((ref, step))
        return SeenProgress(age_seconds=max(0.0, self._clock() - known[0]), progress=known[1]) if known is not None else None

    def forget(self, uid: str) -> None:
        """The object is gone: so is what its jobs said."""
        for key in [key for key in self._progress if key[0].uid == uid]:
            del self._progress[key]

    def count(self) -> int:
        """Devices heard of."""
        return len(self._reports)

    def _take_report(self, at: float, report: Report) -> bool:
        known = self._reports.get(report.node)
        if known is not None and not _newer(report, at, known[1], known[0]):
            return False
        self._reports[report.node] = (at, report)
        return known is None or _says(known[1]) != _says(report)

    def _take_progress(self, at: float, progress: Progress) -> bool:
        key = (progress.object, progress.step)
        known = self._progress.get(key)
        if known is not None and (known[1].attempt > progress.attempt or (known[1].attempt == progress.attempt and known[0] >= at - 0.01)):
            return False
        self._progress[key] = (at, progress)
        return known is None or known[1] != progress

    def _turned(self, now: float) -> set[str]:
        """Fleets of which a node came online or fell silent since the last look."""
        self._reports = {node: heard for node, heard in self._reports.items() if now - heard[0] < FORGET_SECONDS}
        online = {node: now - at < OFFLINE_SECONDS for node, (at, _) in self._reports.items()}
        turned = {self._reports[node][1].fleet for node, is_on in online.items() if self._online.get(node) != is_on}
        self._online = online
        return turned


def _newer(report: Report, at: float, known: Report, known_at: float) -> bool:
    """Within one process of an agent the sequence decides; between two, the one heard later."""
    if (report.boot_id, report.instance) == (known.boot_id, known.instance):
        return report.sequence > known.sequence
    return at > known_at


def _says(report: Report) -> Report:
    """The report without what changes by itself."""
    return report.model_copy(update={"sequence": 0, "uptime_ms": 0})


class Observer:
    """Reads every replica of the gateway at the settings' pace and wakes whom it concerns."""

    def __init__(self, api: Api, settings: Settings, feed: Feed, board: Board, metrics: Metrics) -> None:
        self._api, self._settings, self._feed, self.board, self._metrics = api, settings, feed, board, metrics
        self._cursors: dict[Address, str] = {}

    async def run(self) -> None:
        """For ever. A replica that does not answer proves no silence; the others still count."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READ_SECONDS)) as session:
            while True:
                try:
                    await self.look(session)
                except BrambleError as error:
                    self.board.judge(complete=False)
                    self._measure(answered=0, silent=0)
                    log.warning("the gateway's replicas could not be listed: %s", error)
                await asyncio.sleep(self._settings.observe_seconds)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """One reading of all replicas.

        Raises:
            BrambleError: the API server did not say which replicas there are.
        """
        replicas = await self._addresses()
        context, token = _context(Path(self._settings.gateway_ca)), _token(Path(GATEWAY_TOKEN))
        if not replicas or context is None or not token:
            self.board.judge(complete=False)
            self._wake(self.board.take(()))
            self._measure(answered=0, silent=len(replicas))
            return
        headers = {"Authorization": f"Bearer {token}"}
        answers = await asyncio.gather(*(self._read(session, replica, context, headers) for replica in sorted(replicas)))
        heard = [answer for answer in answers if answer is not None]
        self._cursors = {replica: answer.cursor for replica, answer in zip(sorted(replicas), answers, strict=True) if answer is not None}
        self.board.judge(complete=len(heard) == len(replicas) and all(answer.up_seconds >= OFFLINE_SECONDS for answer in heard))
        self._wake(self.board.take(heard))
        self._measure(answered=len(heard), silent=len(replicas) - len(heard))

    def _measure(self, *, answered: int, silent: int) -> None:
        self._metrics.replicas.labels("yes").set(answered)
        self._metrics.replicas.labels("no").set(silent)
        self._metrics.devices.set(self.board.count())

    async def _addresses(self) -> frozenset[Address]:
        selector = f"{SERVICE_LABEL}={self._settings.gateway_service}"
        listing = await self._api.list(ENDPOINT_SLICE, self._settings.namespace, selector)
        return addresses(listing.items)

    async def _read(
        self, session: aiohttp.ClientSession, replica: Address, context: ssl.SSLContext, headers: Mapping[str, str]
    ) -> Observed | None:
        """What it heard since the last reading; None, and a line in the log, when it does not answer as a gateway does."""
        host = f"[{replica.host}]" if ":" in replica.host else replica.host
        name = f"{self._settings.gateway_service}.{self._settings.namespace}.svc"
        try:
            url, after = f"https://{host}:{replica.port}/v1/observed", {"after": self._cursors.get(replica, "")}
            async with session.get(url, params=after, ssl=context, server_hostname=name, headers=headers) as response:
                response.raise_for_status()
                return read(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            log.info("gateway replica %s did not answer: %s: %s", replica.host, type(error).__name__, error)
            return None

    def _wake(self, news: tuple[set[str], set[Key]]) -> None:
        fleets, objects = news
        for fleet in fleets:
            self._feed.wake_dependants(Key(REPORT_KIND, "", fleet))
        for key in objects:
            self._feed.wake(key)


def _context(ca: Path) -> ssl.SSLContext | None:
    """Read again each time: the CA may be renewed while we run. None where no CA is mounted."""
    return ssl.create_default_context(cafile=str(ca)) if ca.is_file() else None


def _token(path: Path) -> str:
    """Read again each time: the kubelet renews it. Empty where none is mounted."""
    return path.read_text().strip() if path.is_file() else ""
