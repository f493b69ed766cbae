"""One assignment on this node: takes the step that `decide` names, over and over, and lives with what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from bramble.contracts.assignment import Assignment
from bramble.contracts.report import CandidateState, Running
from bramble_workloads.device.backoff import wait_seconds
from bramble_workloads.device.errors import BrokenPackage, GatewayRefused, WrongBlob
from bramble_workloads.edge.assignment.decide import Download, Observed, Serve, Serving, Step, Try, Wait, Withdraw, decide
from bramble_workloads.edge.assignment.steps import Steps
from bramble_workloads.edge.node_resources import NodeResources
from bramble_workloads.edge.serve.endpoint import Endpoint
from bramble_workloads.edge.slots import slots
from bramble_workloads.edge.slots.required_blobs import RequiredBlobs
from bramble_workloads.edge.slots.slot_store import SlotStore
from bramble_workloads.edge.trial.run_trial import Death
from bramble_workloads.errors import TryAgain
from bramble_workloads.processing.errors import DescriptionError, ModelFault

log = logging.getLogger(__name__)

LONGEST_WAIT = 30.0


class AssignedModel:
    """The slots, the endpoint and the worker of one assignment."""

    def __init__(self, resources: NodeResources, store: SlotStore) -> None:
        self._resources = resources
        self._store = store
        accepted = store.slots.accepted
        self.endpoint = Endpoint(accepted.namespace, accepted.model, resources.book, resources.settings.queue)
        self.settled = asyncio.Event()
        """Set once what the last process served is served again, or cannot be."""
        self.withdrawn = False
        self._closures = RequiredBlobs(resources.blobs)
        self._steps = Steps(resources, store, self.endpoint, self._closures)
        self._woken = asyncio.Event()
        self._step: Step = Wait(None)
        self._message = ""
        self._failed: str | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._disk_trouble = False

    @classmethod
    def accepting(cls, resources: NodeResources, folder: Path, assignment: Assignment) -> AssignedModel | None:
        """A deployment for an assignment that is new to this node; None where it is not for it."""
        first = slots.accept(None, assignment, resources.settings.node)
        return None if first is None else cls(resources, SlotStore(folder, first, resources.writer, resources.instance, resources.boot_id))

    @classmethod
    def restored(cls, resources: NodeResources, folder: Path) -> AssignedModel | None:
        """What a folder remembers, the deaths since counted; None where it remembers nothing that can be read."""
        store = SlotStore.found(folder, resources.writer, resources.instance, resources.boot_id)
        if store is None:
            return None
        deployment = cls(resources, store)
        try:
            deaths = store.settle(slots.after_death(store.slots, resources.boot_id))
        except OSError as error:
            deployment._disk_refuses(error)
            return deployment
        for each in deaths:
            if each.rollout_uid == store.slots.accepted.rollout_uid:
                label = Serving(each.package, each.cohort, each.attempt, each.rollout_uid)
                deployment.endpoint.tally(label).crashed(each.count)
        return deployment

    # ------------------------------------------------------------------------------------------------ from the node

    async def accept(self, assignment: Assignment) -> bool:
        """Take a newer assignment; False where it is not newer. What is under way and no longer asked for is dropped."""
        accepted = slots.accept(self._store.slots, assignment, self._resources.settings.node)
        if accepted is None:
            return False
        self._store.slots = accepted
        self._failed, self._failures, self._retry_at, self._message = None, 0, 0.0, ""
        self.wake()
        await self._save_if_possible()
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
        await self._save_if_possible()
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
            self._resources.changed()
            if self._disk_trouble:
                await self._wait(self._retry_at)
                await self._save_if_possible()
            elif isinstance(step, Withdraw):
                return

    async def leave(self) -> None:
        """The agent was asked to go: nothing that is open counts as a death. Call after `run` has ended and requests have drained."""
        try:
            await self._store.remember(slots.close_attempt(self._store.slots))
            await self._store.unmark()
        except OSError as error:
            self._disk_refuses(error)
        self.endpoint.switch(None)

    def named_blobs(self) -> frozenset[str]:
        """Every blob that must stay on the disk for this assignment."""
        return self._closures.named(self._store.slots)

    def report(self) -> Running:
        """As it goes to the gateway. An assignment that is not on the disk yet may be forgotten: its `seq` is not claimed."""
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
            candidate=self._candidate_state(),
            last_good=remembered.last_good,
            bad=tuple(each.package for each in remembered.bad if (each.rollout_uid, each.attempt) == now),
            message=self._message or self._refused_stable(),
        )

    def _refused_stable(self) -> str:
        """Why the stable version is not served here, where it was refused."""
        remembered = self._store.slots
        target = remembered.stable_target
        refusal = remembered.refusal_of(target, "stable") if target is not None else None
        return f"refuses the stable version: {refusal.reason}" if refusal is not None else ""

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

    def _see(self) -> Observed:
        current = self.endpoint.current
        return Observed(
            slots=self._store.slots,
            serving=current.label if current else None,
            present=self._closures.present(self._store.slots),
            withdrawn=self.withdrawn,
            contact=self._resources.contact(),
            now=time.monotonic(),
            ttl=self._resources.settings.candidate_ttl,
            failed=self._failed,
            retry_at=self._retry_at,
        )

    async def _wait(self, until: float | None) -> None:
        deadline = None if until is None else asyncio.get_running_loop().time() + max(0.0, until - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
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
            await self._steps.perform(step)
        except (TryAgain, GatewayRefused, WrongBlob, Death) as error:
            self._rest(package, str(error))
        except (DescriptionError, BrokenPackage, ModelFault, MemoryError) as error:
            reason = str(error) or "the board has too little memory for it"
            self._rest(package, reason)
            proven = isinstance(step, Serve) and step.cohort == "stable"  # what was served before fails for a reason of the board's
            if package is not None and not proven:
                self._store.slots = slots.refuse(self._store.slots, package, reason)
                await self._save_if_possible()
        except OSError as error:
            self._disk_refuses(error)
            self._rest(package, self._message)
        else:
            if not isinstance(step, Download):
                self._failures, self._message = 0, ""

    def _rest(self, package: str | None, message: str) -> None:
        delay = wait_seconds(self._failures, LONGEST_WAIT)
        self._failures += 1
        self._failed, self._retry_at, self._message = package, time.monotonic() + delay, message
        log.warning("%s: %s (again in %.1f s)", self.endpoint.name, message, delay)
        self._resources.changed()

    def _disk_refuses(self, error: OSError) -> None:
        self._disk_trouble = True
        self._message = f"this node's disk: {error}"
        log.warning("%s: %s; what is on it is served", self.endpoint.name, self._message)

    async def _save_if_possible(self) -> None:
        try:
            await self._store.save()
        except OSError as error:
            self._disk_refuses(error)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task unless it is done, and wait for its end; its error, if any, is raised."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
