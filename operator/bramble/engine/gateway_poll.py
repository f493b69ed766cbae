"""Reads regularly from every gateway replica what devices and jobs reported (package contract, §2)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import aiohttp
from pydantic import ValidationError
from pydantic_core import from_json

from bramble.contracts.base import first_problem
from bramble.contracts.pod import GATEWAY_TOKEN
from bramble.contracts.report import OFFLINE_SECONDS, Observed
from bramble.engine.changes import Changes
from bramble.engine.device_reports import REPORT_KIND, DeviceReports
from bramble.engine.metrics import Metrics
from bramble.errors import BrambleError
from bramble.kube.api import Api
from bramble.kube.resources import ENDPOINT_SLICE, Key, Manifest
from bramble.settings import Settings

SERVICE_LABEL = "kubernetes.io/service-name"
READ_SECONDS = 5
"""Time limit of one reading of one replica."""

PART_BYTES = 256 * 1024
"""A replica is read in parts of about this size, which is some 300 reports. Parsing one takes 15 ms, in which the event loop does nothing
else; 5,000 reports at once would take 285 ms."""

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where one replica of the gateway listens."""

    host: str
    port: int


def ready_addresses(slices: Iterable[Manifest]) -> frozenset[Address]:
    """The ready replicas that a Service's EndpointSlices list."""
    return frozenset(
        Address(host, int(port["port"]))
        for endpoint_slice in slices
        for endpoint in endpoint_slice.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True)
        for host in endpoint["addresses"]
        for port in (endpoint_slice.get("ports") or ())[:1]
    )


def parse_reading(content: bytes) -> Observed:
    """Parse a replica's answer. Single reports or progress that break the contract are left out, with a log line.

    A replica of another version may have accepted such a report; it must not hide the reports of all other devices.

    Raises:
        ValidationError: the answer as a whole is not an `Observed`.
    """
    try:
        return Observed.model_validate_json(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        bad = {problem["loc"][:2] for problem in problems if problem["loc"][:1] in (("reports",), ("progress",))}
        if not bad:
            raise
        raw = from_json(content)
        log.warning("%d reports from the gateway break the contract and are left out; the first is at %s", len(bad), first_problem(error))
        kept = {
            name: [item for number, item in enumerate(raw[name]) if (name, number) not in bad]
            for name in ("reports", "progress")
            if isinstance(raw.get(name), list)
        }
        return Observed.model_validate({**raw, **kept})


class GatewayPoller:
    """Reads every replica of the gateway at the interval that the settings name, and wakes the objects that the news concerns."""

    def __init__(self, api: Api, settings: Settings, changes: Changes, reports: DeviceReports, metrics: Metrics) -> None:
        self._api, self._settings, self._changes, self._reports, self._metrics = api, settings, changes, reports, metrics
        self._cursors: dict[Address, str] = {}
        self._silent: frozenset[Address] = frozenset()
        self._trust = _Trust(Path(settings.gateway_ca))

    async def run(self) -> None:
        """Read for ever. When a replica does not answer, no silence is proven; the answers of the others still count."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READ_SECONDS)) as session:
            while True:
                try:
                    await self.read_all(session)
                except BrambleError as error:
                    self._reports.record_reading(complete=False)
                    self._measure(answered=0, silent=0)
                    log.warning("the gateway's replicas cannot be listed: %s", error)
                await asyncio.sleep(self._settings.observe_seconds)

    async def read_all(self, session: aiohttp.ClientSession) -> None:
        """Read every replica once.

        Raises:
            BrambleError: the API server did not answer which replicas exist.
        """
        replicas = sorted(await self._replicas())
        context, token = self._trust.context(), _token(Path(GATEWAY_TOKEN))
        if not replicas or context is None or not token:
            self._reports.record_reading(complete=False)
            self._wake(self._reports.turned(), ())
            self._measure(answered=0, silent=len(replicas))
            return
        headers = {"Authorization": f"Bearer {token}"}
        answers = await asyncio.gather(*(self._read(session, replica, context, headers) for replica in replicas))
        self._log_changes(replicas, answers)
        readings = [answer for answer in answers if answer is not None]
        self._cursors = {replica: answer[-1].cursor for replica, answer in zip(replicas, answers, strict=True) if answer is not None}
        old_enough = all(reading[-1].up_seconds >= OFFLINE_SECONDS for reading in readings)
        self._reports.record_reading(complete=len(readings) == len(replicas) and old_enough)
        news = []
        for part in chain.from_iterable(readings):
            news.append(self._reports.merge(part))
            await asyncio.sleep(0)  # other tasks run between two parts
        self._wake(set[str]().union(self._reports.turned(), *(fleets for fleets, _ in news)), {key for _, keys in news for key in keys})
        self._measure(answered=len(readings), silent=len(replicas) - len(readings))

    def _log_changes(self, replicas: Sequence[Address], answers: Sequence[list[Observed] | None]) -> None:
        """Log which replicas answer again. `_read` has logged which do so no longer."""
        silent = frozenset(replica for replica, answer in zip(replicas, answers, strict=True) if answer is None)
        for replica in sorted(self._silent.intersection(replicas) - silent):
            log.info("gateway replica %s answers again", replica.host)
        self._silent = silent

    def _measure(self, *, answered: int, silent: int) -> None:
        self._metrics.replicas.labels("yes").set(answered)
        self._metrics.replicas.labels("no").set(silent)
        self._metrics.devices.set(self._reports.count())

    async def _replicas(self) -> frozenset[Address]:
        selector = f"{SERVICE_LABEL}={self._settings.gateway_service}"
        listing = await self._api.list(ENDPOINT_SLICE, self._settings.namespace, selector)
        return ready_addresses(listing.items)

    async def _read(
        self, session: aiohttp.ClientSession, replica: Address, context: ssl.SSLContext, headers: Mapping[str, str]
    ) -> list[Observed] | None:
        """What a replica received since the last reading, in parts; None when it does not answer as a gateway does, with a log line the
        first time.
        """
        host = f"[{replica.host}]" if ":" in replica.host else replica.host
        name = f"{self._settings.gateway_service}.{self._settings.namespace}.svc"
        url, after, parts = f"https://{host}:{replica.port}/v1/observed", self._cursors.get(replica, ""), list[Observed]()
        try:
            async with asyncio.timeout(READ_SECONDS):
                while not parts or parts[-1].more:
                    query = {"after": after, "limit": str(PART_BYTES)}
                    async with session.get(url, params=query, ssl=context, server_hostname=name, headers=headers) as response:
                        response.raise_for_status()
                        parts.append(parse_reading(await response.read()))
                    after = parts[-1].cursor
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            if replica not in self._silent:
                log.warning("gateway replica %s does not answer: %s", replica.host, _described(error))
            return None
        return parts

    def _wake(self, fleets: Iterable[str], objects: Iterable[Key]) -> None:
        for fleet in fleets:
            self._changes.wake_dependants(Key(REPORT_KIND, "", fleet))
        for key in objects:
            self._changes.wake(key)


def _described(error: Exception) -> str:
    """What is wrong, in one line: pydantic tells every fault of an answer, and a time-out nothing."""
    if isinstance(error, ValidationError):
        return f"its answer breaks the contract at {first_problem(error, whole='its start')}"
    return f"{type(error).__name__}: {str(error) or f'not within {READ_SECONDS} s'}"


class _Trust:
    """Trust in the gateway's CA. The file is read each time because it may be renewed; connections stay open while it is the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = b""
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """None, with a log line, when no CA is mounted or it cannot be used."""
        content = self._path.read_bytes() if self._path.is_file() else b""
        if content != self._content:
            self._content = content
            try:
                self._context = ssl.create_default_context(cadata=content.decode()) if content else None
            except (ssl.SSLError, UnicodeDecodeError) as error:
                self._context = None
                log.warning("the gateway's CA in %s cannot be used: %s", self._path, error)
        return self._context


def _token(path: Path) -> str:
    """The operator's token for the gateway, which is read each time because the kubelet renews it. Empty when none is mounted."""
    return path.read_text().strip() if path.is_file() else ""
