"""Runs the loop of one assignment: observe the state, decide the next step, carry it out, and handle its errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from pathlib import Path

from bramble.contracts.assignment import Assignment
from bramble.contracts.report import CandidateState, Running
from bramble_workloads.device.backoff import retry_seconds, wait_seconds
from bramble_workloads.device.errors import BrokenPackage, GatewayRefused, WrongBlob
from bramble_workloads.edge.assignment.decide import Download, Observed, Serve, Serving, Step, Try, Wait, Withdraw, decide
from bramble_workloads.edge.assignment.steps import Steps
from bramble_workloads.edge.node_resources import NodeResources
from bramble_workloads.edge.serve.endpoint import Endpoint
from bramble_workloads.edge.slots import slots
from bramble_workloads.edge.slots.required_blobs import RequiredBlobs
from bramble_workloads.edge.slots.slot_store import SlotStore
from bramble_workloads.edge.trial.run_trial import TrialCrashed
from bramble_workloads.errors import TryAgain
from bramble_workloads.processing.errors import DescriptionError, ModelFault

log = logging.getLogger(__name__)

MAX_RETRY_SECONDS = 30.0
"""The longest wait between two tries of a step that failed."""


class AssignedModel:
    """The slots, the endpoint and the worker of one model that is assigned to this node."""

    def __init__(self, resources: NodeResources, store: SlotStore) -> None:
        self._resources = resources
        self._store = store
        accepted = store.slots.accepted
        self.endpoint = Endpoint(
            accepted.namespace,
            accepted.model,
            resources.book,
            resources.settings.queue,
            resources.decoders,
            on_answered=partial(resources.recent.add, store.name),
            on_begin=partial(resources.work.begin, store.name),
            on_end=partial(resources.work.end, store.name),
        )
        self.restored = asyncio.Event()
        """Set once the package that the last process served is served again, or cannot be served."""
        self.withdrawn = False
        self.assignment_fault = ""
        """Why the newest assignment of this model cannot be read; empty if it can."""
        self._required_blobs = RequiredBlobs(resources.blobs)
        self._steps = Steps(resources, store, self.endpoint, self._required_blobs)
        self._woken = asyncio.Event()
        self._step: Step = Wait(None)
        self._message = ""
        self._failed_package: str | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._disk_failed = False

    @classmethod
    def from_assignment(cls, resources: NodeResources, folder: Path, assignment: Assignment) -> AssignedModel | None:
        """Create the model of an assignment that is new to this node; None where the assignment does not name this node."""
        first = slots.accept(None, assignment, resources.settings.node)
        return None if first is None else cls(resources, SlotStore(folder, first, resources.writer, resources.instance, resources.boot_id))

    @classmethod
    def from_folder(cls, resources: NodeResources, folder: Path) -> AssignedModel | None:
        """Restore the model of an assignment from its folder on the disk; None where the folder has no readable slots.

        If the last process crashed while it served the model, and the model may be the cause, the crash is counted.
        """
        store = SlotStore.load(folder, resources.writer, resources.instance, resources.boot_id)
        if store is None:
            return None
        model = cls(resources, store)
        try:
            end = resources.last_end
            after_restart = slots.after_restart(store.slots, resources.boot_id, attributed=end.must_be_of(store.name))
            crashes = store.recover(after_restart, suspect=end.may_be_of(store.name))
        except OSError as error:
            model._record_disk_error(error)
            return model
        for each in crashes:
            if each.rollout_uid == store.slots.accepted.rollout_uid:
                label = Serving(each.package, each.cohort, each.attempt, each.rollout_uid)
                model.endpoint.tally(label).crashed(each.count)
        return model

    # ------------------------------------------------------------------------------------------------ called by the node

    async def accept(self, assignment: Assignment) -> bool:
        """Accept a newer assignment; False where it is not newer. A step under way that the new assignment does not need is cancelled."""
        accepted = slots.accept(self._store.slots, assignment, self._resources.settings.node)
        if accepted is None:
            return False
        self._store.slots = accepted
        self._failed_package, self._failures, self._retry_at, self._message = None, 0, 0.0, ""
        self.wake()
        await self._save_if_possible()
        return True

    def withdraw(self) -> None:
        """Stop serving and delete the files, because the gateway does not name the assignment any more."""
        self.withdrawn = True
        self.wake()

    def wake(self) -> None:
        """Make the worker decide again, because the state has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Carry out steps until the assignment is withdrawn. Errors of the network, the disk and packages are handled here, not raised."""
        await self._save_if_possible()
        while True:
            step = self._step = decide(self._observe())
            if isinstance(step, Wait):
                self.restored.set()
                await self._wait(step.until)
                continue
            if not isinstance(step, Serve) or self.endpoint.current is not None:
                self.restored.set()
            log.info("%s: %s", self.endpoint.name, step)
            await self._perform_unless_superseded(step)
            self._resources.report_soon()
            if self._disk_failed:
                await self._wait(self._retry_at)
                await self._save_if_possible()
            elif isinstance(step, Withdraw):
                return

    async def shut_down(self) -> None:
        """Record on the disk that the agent ends on purpose, so that this does not count as a crash.

        Call it after `run` has ended and when no request is under way.
        """
        try:
            await self._store.remember(slots.close_attempt(self._store.slots))
            await self._store.unmark_serving()
        except OSError as error:
            self._record_disk_error(error)
        current = self.endpoint.current
        self.endpoint.switch(None)
        if current is not None:
            await current.closed.wait()  # Python may not end while a thread runs the graph

    @property
    def fails_to_serve(self) -> bool:
        """True while a package that has served on this node is assigned to it and no package serves."""
        remembered = self._store.slots
        assigned = {remembered.stable_target, remembered.candidate_target}
        return self.endpoint.current is None and remembered.active is not None and remembered.active in assigned

    def required_blobs(self) -> frozenset[str]:
        """The digests of all blobs that must stay on the disk for this assignment."""
        return self._required_blobs.of_all(self._store.slots)

    def report(self, started: float) -> Running:
        """The part of the device's report about this model. `seq` is 0 until the assignment is on the disk, since a crash would lose it.

        Args:
            started: when the report's uptime began, on the monotonic clock.
        """
        remembered, saved, current = self._store.slots, self._store.saved, self.endpoint.current
        accepted = (saved or remembered).accepted
        now = (accepted.rollout_uid, accepted.attempt)
        return Running(
            fleet=accepted.fleet,
            namespace=accepted.namespace,
            model=accepted.model,
            rollout_uid=accepted.rollout_uid,
            attempt=accepted.attempt,
            seq=accepted.seq if saved is not None else 0,
            active=current.label.package if current else None,
            cohort=current.label.cohort if current else "stable",
            serving_since_ms=max(0, round((self.endpoint.since - started) * 1000)) if current else None,
            candidate=self._candidate_state(),
            last_good=remembered.last_good,
            bad=tuple(each.package for each in remembered.bad if (each.rollout_uid, each.attempt) == now),
            message=self.assignment_fault or self._message or self._stable_refusal(),
        )

    def _stable_refusal(self) -> str:
        """A message that says why this node refused the stable version; empty if it did not."""
        remembered = self._store.slots
        target = remembered.stable_target
        refusal = remembered.refusal_of(target, "stable") if target is not None else None
        return f"this node refuses the stable version: {refusal.reason}" if refusal is not None else ""

    def _candidate_state(self) -> CandidateState | None:
        remembered = self._store.slots
        target = remembered.candidate_target
        if target is None:
            return None
        refusal = remembered.refusal_of(target, "candidate")
        if refusal is not None:
            return CandidateState(package=target, state="abandoned" if refusal.abandoned else "refused", message=refusal.reason)
        current = self.endpoint.current
        if current is not None and (current.label.package, current.label.cohort) == (target, "candidate"):
            return CandidateState(package=target, state="serving")
        trying = isinstance(self._step, Try) and self._step.package == target
        return CandidateState(package=target, state="trying" if trying else "downloading", message=self._message)

    # ------------------------------------------------------------------------------------------------------ the loop

    def _observe(self) -> Observed:
        current = self.endpoint.current
        return Observed(
            slots=self._store.slots,
            serving=current.label if current else None,
            downloaded=self._required_blobs.downloaded(self._store.slots),
            withdrawn=self.withdrawn,
            last_contact=self._resources.last_contact(),
            now=time.monotonic(),
            candidate_ttl=self._resources.settings.candidate_ttl,
            failed_package=self._failed_package,
            retry_at=self._retry_at,
        )

    async def _wait(self, until: float | None) -> None:
        deadline = None if until is None else asyncio.get_running_loop().time() + max(0.0, until - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._woken.wait()
        self._woken.clear()

    async def _perform_unless_superseded(self, step: Step) -> None:
        """Carry out a step. Cancel it when the state changes and another step is needed."""
        task = asyncio.create_task(self._perform_handling_errors(step))
        try:
            while not task.done():
                woken = asyncio.create_task(self._woken.wait())
                await asyncio.wait((task, woken), return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if not task.done():
                    self._woken.clear()
                    if decide(self._observe()) != step:
                        log.info("%s: %s is cancelled, because another step is needed", self.endpoint.name, type(step).__name__)
                        break
        finally:
            await _cancel_and_wait(task)

    async def _perform_handling_errors(self, step: Step) -> None:
        """Carry out a step and handle its errors.

        After an error that may pass, such as a lost network, the package is tried again later. After an error of the package itself, such
        as a failed golden case, the package is refused.
        """
        package = getattr(step, "package", None)
        self._disk_failed = False
        try:
            await self._steps.perform(step)
        except (TryAgain, GatewayRefused, WrongBlob, TrialCrashed) as error:
            self._back_off(package, str(error), retry_seconds(error))
        except (DescriptionError, BrokenPackage, ModelFault, MemoryError) as error:
            reason = str(error) or "the device has too little memory for the package"
            self._back_off(package, reason)
            has_served = isinstance(step, Serve) and step.cohort == "stable"  # it worked before, so the cause is the board
            if package is not None and not has_served:
                self._store.slots = slots.refuse(self._store.slots, package, reason)
                await self._save_if_possible()
        except OSError as error:
            self._record_disk_error(error)
            self._back_off(package, self._message)
        else:
            if not isinstance(step, Download):
                self._failures, self._message = 0, ""

    def _back_off(self, package: str | None, message: str, at_least: float = 0.0) -> None:
        delay = max(wait_seconds(self._failures, MAX_RETRY_SECONDS), at_least)
        self._failures += 1
        self._failed_package, self._retry_at, self._message = package, time.monotonic() + delay, message
        log.warning("%s: %s (next try in %.1f s)", self.endpoint.name, message, delay)
        self._resources.report_soon()

    def _record_disk_error(self, error: OSError) -> None:
        self._disk_failed = True
        self._message = f"disk error on this node: {error}"
        log.warning("%s: %s; packages that are on the disk are still served", self.endpoint.name, self._message)

    async def _save_if_possible(self) -> None:
        try:
            await self._store.save()
        except OSError as error:
            self._record_disk_error(error)


async def _cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancel a task, if it is not done, and wait for its end. Raises the task's error, if it has one."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
