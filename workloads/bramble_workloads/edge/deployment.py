"""One assignment on this node: takes the step that `decide` names, over and over, and remembers what must survive a death.

Order of writes, everywhere: what is about to be risked is on the disk before it is risked, what was achieved is on the disk before it
is counted on. Steps may be cancelled by a newer assignment; what answers requests stays until the next model is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

from pydantic import ValidationError

from bramble.contracts.assignment import Assignment
from bramble.contracts.report import CandidateState, Cohort
from bramble.contracts.report import Running as RunningReport
from bramble_workloads.edge import memory, slots
from bramble_workloads.edge.blobs import Blobs
from bramble_workloads.edge.counters import Book
from bramble_workloads.edge.crashes import CrashLog, Running
from bramble_workloads.edge.decide import Download, Empty, GiveUp, Relabel, Seen, Serve, Serving, Step, Stop, Try, Wait, decide
from bramble_workloads.edge.disk import sync_folder, write_durably
from bramble_workloads.edge.errors import BrokenPackage, GatewayRefused, WrongBlob
from bramble_workloads.edge.gateway_client import GatewayClient
from bramble_workloads.edge.loading import Loaded, load, needed
from bramble_workloads.edge.serving import Endpoint, Served
from bramble_workloads.edge.settings import Settings
from bramble_workloads.edge.trial import Death, run_trial
from bramble_workloads.errors import TryAgain
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.processing.package import read_package

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_DELAY = 0.5
LAST_DELAY = 30.0


@dataclass(frozen=True)
class Device:
    """What all assignments of the node share."""

    settings: Settings
    gateway: GatewayClient
    blobs: Blobs
    book: Book
    boot_id: str
    instance: str
    trying: asyncio.Lock
    """One trial at a time: the memory that is left is left once."""
    writer: Executor
    """One thread: writes reach the disk in the order in which they were begun, also when a step is cancelled."""
    changed: Callable[[], None]
    """Something happened that the operator should hear of at once."""
    contact: Callable[[], float | None]
    """When the gateway was last heard of, on the monotonic clock."""
    collect: Callable[[], None]
    """Drop blobs that no slot names any more."""


class Deployment:
    """The slots, the endpoint and the worker of one assignment."""

    def __init__(self, device: Device, folder: Path, remembered: slots.Slots) -> None:
        self._device = device
        self._folder = folder
        self.slots = remembered
        self._saved = remembered
        accepted = remembered.accepted
        self.endpoint = Endpoint(accepted.namespace, accepted.model, device.book, device.settings.queue)
        self.settled = asyncio.Event()
        """Set once what the last process served is served again, or cannot be."""
        self.withdrawn = False
        self._crashes = CrashLog(folder)
        self._woken = asyncio.Event()
        self._step: Step = Wait(None)
        self._message = ""
        self._failed: str | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._disk_trouble = False
        self._needs: dict[str, frozenset[str]] = {}

    @classmethod
    def accepting(cls, device: Device, folder: Path, assignment: Assignment) -> Deployment | None:
        """A deployment for an assignment that is new to this node; None where it is not for it."""
        first = slots.accept(None, assignment, device.settings.node)
        return None if first is None else cls(device, folder, first)

    @classmethod
    def restored(cls, device: Device, folder: Path) -> Deployment | None:
        """What a folder remembers, the deaths since counted; None where its document is absent or damaged: the gateway will tell again."""
        try:
            remembered = slots.Slots.model_validate_json((folder / "slots.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.error("%s is damaged and set aside: %s", folder / "slots.json", error.errors()[0]["msg"])  # noqa: TRY400
            (folder / "slots.json").replace(folder / "slots.json.damaged")
            return None
        deployment = cls(device, folder, slots.after_death(remembered, device.boot_id))
        deployment._save_now()
        deployment._settle_crashes()
        return deployment

    def _settle_crashes(self) -> None:
        self._crashes.settle()
        for each in self._crashes.record.crashes:
            if each.rollout_uid == self.slots.accepted.rollout_uid:
                label = Serving(each.package, each.cohort, each.attempt, each.rollout_uid)
                self._device.book.of(self.endpoint.key(label)).crashes = each.count

    # ------------------------------------------------------------------------------------------------ from the node

    async def accept(self, assignment: Assignment) -> bool:
        """Take a newer assignment; False where it is not newer. What is under way and no longer asked for is dropped."""
        accepted = slots.accept(self.slots, assignment, self._device.settings.node)
        if accepted is None:
            return False
        if accepted.accepted.rollout_uid != self.slots.accepted.rollout_uid:
            self._device.book.forget(accepted.accepted.namespace, accepted.accepted.model, all_but=accepted.accepted.rollout_uid)
        self.slots = accepted
        self._failed, self._failures, self._retry_at, self._message = None, 0, 0.0, ""
        self.wake()
        await self._save()
        return True

    def withdraw(self) -> None:
        """The gateway has stopped naming it: stop serving, forget the slots."""
        self.withdrawn = True
        self.wake()

    def wake(self) -> None:
        """Think again: something changed."""
        self._woken.set()

    async def run(self) -> None:
        """Work until the assignment is withdrawn. Never raises for what a device must live with."""
        while True:
            step = self._step = decide(self._see())
            if isinstance(step, Wait):
                self.settled.set()
                await self._wait(step.until)
                continue
            if not isinstance(step, Serve) or self.endpoint.current is not None:
                self.settled.set()
            log.info("%s: %s", self.endpoint.name, step)
            await self._interruptibly(step)
            self._device.changed()
            if isinstance(step, Stop) and not self._disk_trouble:
                return
            if self._disk_trouble:
                await self._wait(self._retry_at)

    async def leave(self) -> None:
        """The agent was asked to go: nothing that is open counts as a death. Call after `run` has ended and requests have drained."""
        self.slots = slots.ended_cleanly(self.slots)
        await self._save()
        await self._write(self._crashes.left)
        self.endpoint.switch(None)

    def report(self) -> RunningReport:
        """As it goes to the gateway."""
        accepted, current = self._saved.accepted, self.endpoint.current  # what is not on the disk yet may be forgotten: it is not said
        now = (accepted.rollout_uid, accepted.attempt)
        return RunningReport(
            fleet=accepted.fleet,
            namespace=accepted.namespace,
            model=accepted.model,
            rollout_uid=accepted.rollout_uid,
            attempt=accepted.attempt,
            seq=accepted.seq,
            active=current.label.package if current else None,
            cohort=current.label.cohort if current else "stable",
            candidate=self._candidate_state(),
            last_good=self.slots.last_good,
            bad=tuple(each.package for each in self.slots.bad if (each.rollout_uid, each.attempt) == now),
            message=self._message,
        )

    def named_blobs(self) -> frozenset[str]:
        """Every blob that must stay on the disk for this assignment."""
        return frozenset().union(*(self._needed(package) for package in self.slots.named()))

    # ------------------------------------------------------------------------------------------------------ the steps

    def _see(self) -> Seen:
        present = {package for package in self.slots.named() if all(self._device.blobs.has(blob) for blob in self._needed(package))}
        current = self.endpoint.current
        return Seen(
            slots=self.slots,
            serving=current.label if current else None,
            present=frozenset(present),
            withdrawn=self.withdrawn,
            contact=self._device.contact(),
            now=time.monotonic(),
            ttl=self._device.settings.candidate_ttl,
            failed=self._failed,
            retry_at=self._retry_at,
        )

    def _needed(self, package: str) -> frozenset[str]:
        """The blobs of a package: as its own document says where that is here, and as the assignment lists them."""
        listed = self.slots.accepted.packages.get(package)
        blobs = frozenset({package, *(blob.sha256 for blob in listed.blobs)} if listed else {package})
        if package not in self._needs and self._device.blobs.has(package):
            try:
                self._needs[package] = needed(read_package(self._device.blobs.read, package), package)
            except (WrongBlob, DescriptionError) as error:
                log.warning("%s: %s", self.endpoint.name, error)  # loading it will say so again, and decide
                return blobs
        return blobs | self._needs.get(package, frozenset())

    async def _wait(self, until: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(
                None if until is None else asyncio.get_running_loop().time() + max(0.0, until - time.monotonic())
            ):
                await self._woken.wait()
        self._woken.clear()

    async def _interruptibly(self, step: Step) -> None:
        """Carry out a step, or leave it as soon as another one is called for."""
        task = asyncio.create_task(self._guarded(step))
        try:
            while not task.done():
                woken = asyncio.create_task(self._woken.wait())
                await asyncio.wait((task, woken), return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if not task.done():
                    self._woken.clear()
                    if decide(self._see()) != step:
                        log.info("%s: leaving %s for something newer", self.endpoint.name, type(step).__name__)
                        break
        finally:
            await _ended(task)

    async def _guarded(self, step: Step) -> None:
        """Carry out a step. Trouble that may pass rests the package for a while; trouble that lies in the package refuses it."""
        package = getattr(step, "package", None)
        self._disk_trouble = False
        try:
            await self._perform(step)
        except (TryAgain, GatewayRefused, WrongBlob) as error:
            self._rest(package, str(error))
        except OSError as error:
            self._disk_trouble = True
            self._rest(package, f"this node's disk: {error}")
        except (DescriptionError, BrokenPackage, ModelFault, MemoryError) as error:
            reason = str(error) or "out of memory"
            self._rest(package, reason)
            if package is not None:
                await self._remember(slots.refuse(self.slots, package, reason))
        else:
            if not isinstance(step, Download):
                self._failures, self._message = 0, ""

    def _rest(self, package: str | None, message: str) -> None:
        delay = min(LAST_DELAY, FIRST_DELAY * 2**self._failures) * random.uniform(0.75, 1.25)  # noqa: S311  (spreads load, guards nothing)
        self._failures += 1
        self._failed, self._retry_at, self._message = package, time.monotonic() + delay, message
        log.warning("%s: %s (again in %.1f s)", self.endpoint.name, message, delay)
        self._device.changed()

    async def _perform(self, step: Step) -> None:
        match step:
            case Stop():
                await self._stop()
            case Empty():
                await self._empty()
            case Relabel(cohort):
                await self._relabel(cohort)
            case Serve(package, cohort):
                if cohort == "candidate":
                    await self._remember(slots.begin(self.slots, package, self._device.boot_id))
                await self._switch(package, cohort)
            case Download(package):
                await self._download(package)
            case Try(package, cohort):
                await self._try(package, cohort)
            case GiveUp(package, silence):
                reason = f"no word from the gateway for {silence:.0f} s while it was on trial"
                await self._remember(slots.refuse(self.slots, package, reason, as_candidate_only=True))

    async def _stop(self) -> None:
        self.endpoint.switch(None)
        accepted = self.slots.accepted
        self._device.book.forget(accepted.namespace, accepted.model)
        await self._write(partial(_remove_folder, self._folder))
        self._device.collect()

    async def _empty(self) -> None:
        self.endpoint.switch(None)
        await self._write(self._crashes.left)
        await self._remember(self.slots.model_copy(update={"active": None, "last_good": None, "candidate": None, "attempt": None}))
        self._device.collect()

    async def _relabel(self, cohort: Cohort) -> None:
        current = self.endpoint.current
        if current is None:
            return
        label = self._label(current.label.package, cohort)
        await self._remember(slots.serve(self.slots, label.package, cohort, self._device.boot_id))
        await self._mark(label)
        self.endpoint.relabel(label)
        self._device.collect()

    async def _download(self, package: str) -> None:
        listed = self.slots.accepted.packages.get(package)
        if listed is None:
            raise BrokenPackage(f"the assignment names package {package} and lists no blobs of it")
        self._device.changed()
        self._device.blobs.require_space(listed.blobs)
        for blob in listed.blobs:
            await self._device.blobs.fetch(blob, self._device.gateway)
        missing = [blob for blob in self._needed(package) if not self._device.blobs.has(blob)]
        if missing:
            raise BrokenPackage(f"package {package} needs {missing[0]}, which its assignment does not list")

    async def _try(self, package: str, cohort: Cohort) -> None:
        await self._remember(slots.begin(self.slots, package, self._device.boot_id))
        self._device.changed()
        settings = self._device.settings
        async with self._device.trying:
            room = memory.room(settings.memory_budget)
            try:
                outcome = await run_trial(package, self._device.blobs.folder.parent, room, self.endpoint.recent, settings.trial_seconds)
            except Death as death:
                await self._remember(slots.after_failure(self.slots))
                self._rest(package, str(death))
                return
            if outcome.damaged:
                await self._remember(slots.ended_cleanly(self.slots))
                raise WrongBlob(outcome.reason)
            if not outcome.passed:
                raise ModelFault(outcome.reason)
            log.info("%s: trial of %s passed: %s", self.endpoint.name, package, outcome)
            await self._switch(package, cohort)

    async def _switch(self, package: str, cohort: Cohort) -> None:
        """Load beside what is served, remember, then answer with it."""
        loaded = await self._load(package)
        if cohort == "candidate" and package != self.slots.candidate_target:
            return  # taken back while it was loaded, and this step not yet cancelled
        label = self._label(package, cohort)
        await self._remember(slots.serve(self.slots, package, cohort, self._device.boot_id))
        await self._mark(label)
        self.endpoint.switch(Served(loaded.package, loaded.model, label))
        self._device.collect()

    async def _load(self, package: str) -> Loaded:
        return await asyncio.to_thread(load, self._device.blobs, package)

    def _label(self, package: str, cohort: Cohort) -> Serving:
        return Serving(package, cohort, self.slots.accepted.attempt, self.slots.accepted.rollout_uid)

    def _candidate_state(self) -> CandidateState | None:
        target = self.slots.candidate_target
        if target is None:
            return None
        refusal = self.slots.refusal_of(target, "candidate")
        if refusal is not None:
            return CandidateState(package=target, state="refused", message=refusal.reason)
        current = self.endpoint.current
        if current is not None and (current.label.package, current.label.cohort) == (target, "candidate"):
            return CandidateState(package=target, state="serving")
        trying = isinstance(self._step, Try) and self._step.package == target
        return CandidateState(package=target, state="trying" if trying else "downloading", message=self._message)

    # ------------------------------------------------------------------------------------------------------- the disk

    async def _mark(self, label: Serving) -> None:
        running = Running(
            instance=self._device.instance,
            package=label.package,
            cohort=label.cohort,
            attempt=label.attempt,
            rollout_uid=label.rollout_uid,
        )
        await self._write(partial(self._crashes.serving, running))

    async def _remember(self, changed: slots.Slots) -> None:
        self.slots = changed
        await self._save()

    async def _save(self) -> None:
        saving = self.slots
        await self._write(partial(_save, self._folder, saving))
        self._saved = saving

    def _save_now(self) -> None:
        _save(self._folder, self.slots)

    async def _write(self, write: Callable[[], T]) -> T:
        """Write in order behind all earlier writes. A step that is cancelled meanwhile does not undo it."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._device.writer, write))


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task unless it is done, and wait for its end; its error, if any, is raised."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _save(folder: Path, remembered: slots.Slots) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)
    write_durably(folder / "slots.json", remembered.model_dump_json(by_alias=True, exclude_none=True).encode())


def _remove_folder(folder: Path) -> None:
    """The document first: without it the rest means nothing, should the power fail half-way."""
    (folder / "slots.json").unlink(missing_ok=True)
    sync_folder(folder)
    rmtree(folder)
    sync_folder(folder.parent)
