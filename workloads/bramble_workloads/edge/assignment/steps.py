"""Carries out the steps that `decide` chooses. Errors are raised, and `assigned_model` handles them.

Steps write to the disk before they act: an attempt is on the disk before its package is loaded, and the serving package is on the
disk before it answers a request. So a crash at any moment leaves a state from which the next process can go on. A newer assignment may
cancel any step. The package that serves is replaced only when the next one is loaded.
"""

from __future__ import annotations

import asyncio
import logging

from bramble.contracts.counters import Cohort
from bramble_workloads.device import memory
from bramble_workloads.device.errors import BrokenPackage, WrongBlob
from bramble_workloads.device.loading import load
from bramble_workloads.edge.assignment.decide import Download, GiveUp, Relabel, Serve, Serving, Step, Try, Unload, Wait, Withdraw
from bramble_workloads.edge.node_resources import NodeResources
from bramble_workloads.edge.serve.endpoint import Endpoint, Served
from bramble_workloads.edge.slots import slots
from bramble_workloads.edge.slots.required_blobs import RequiredBlobs
from bramble_workloads.edge.slots.slot_store import SlotStore
from bramble_workloads.edge.trial.run_trial import ControlFailed, TrialCrashed, run_trial
from bramble_workloads.processing.errors import ModelFault

log = logging.getLogger(__name__)


class Steps:
    """Carries out steps for one assigned model."""

    def __init__(self, resources: NodeResources, store: SlotStore, endpoint: Endpoint, required_blobs: RequiredBlobs) -> None:
        self._resources = resources
        self._store = store
        self._endpoint = endpoint
        self._required_blobs = required_blobs

    async def perform(self, step: Step) -> None:
        """Carry out one step.

        Raises:
            TryAgain, GatewayRefused, WrongBlob, TrialCrashed: a later try may succeed.
            DescriptionError, BrokenPackage, ModelFault, MemoryError: this node cannot serve the package.
            OSError: the disk cannot be written.
        """
        match step:
            case Withdraw():
                await self._withdraw()
            case Unload():
                await self._unload()
            case Relabel(cohort):
                await self._relabel(cohort)
            case Serve(package, cohort):
                if cohort == "candidate":
                    await self._store.remember(slots.begin_attempt(self._store.slots, package, self._resources.boot_id))
                await self._load_and_switch(package, cohort)
            case Download(package):
                await self._download(package)
            case Try(package, cohort):
                await self._try(package, cohort)
            case GiveUp(package, seconds):
                reason = f"the gateway did not answer for {seconds:.0f} s while the candidate was served"
                await self._store.remember(slots.refuse(self._store.slots, package, reason, "silence"))
            case Wait():
                return

    async def _withdraw(self) -> None:
        self._endpoint.switch(None)
        accepted = self._store.slots.accepted
        self._resources.book.forget(accepted.namespace, accepted.model)
        await self._store.delete()

    async def _unload(self) -> None:
        self._endpoint.switch(None)
        await self._store.unmark_serving()
        nothing = {"active": None, "cohort": "stable", "last_good": None, "candidate": None, "attempt": None}
        await self._store.remember(self._store.slots.model_copy(update=nothing))
        self._resources.delete_unused_blobs()

    async def _relabel(self, cohort: Cohort) -> None:
        current = self._endpoint.current
        if current is None:
            return
        label = self._label(current.label.package, cohort)
        await self._store.remember(slots.record_serving(self._store.slots, label.package, cohort, self._resources.boot_id))
        await self._store.mark_serving(label)
        self._endpoint.relabel(label)
        self._delete_old_state(label)

    async def _download(self, package: str) -> None:
        listed = self._store.slots.accepted.packages.get(package)
        if listed is None:
            raise BrokenPackage(f"the assignment names package {package} but does not list its blobs")
        self._resources.report_soon()
        self._resources.delete_unused_blobs()
        self._resources.blobs.require_space(listed.blobs)
        for blob in listed.blobs:
            await self._resources.blobs.fetch(blob, self._resources.gateway)
        missing = self._required_blobs.missing(self._store.slots, package)
        if missing:
            raise BrokenPackage(f"package {package} needs {missing[0]}, which its assignment does not list")

    async def _try(self, package: str, cohort: Cohort) -> None:
        resources, settings = self._resources, self._resources.settings
        async with resources.trial_lock:
            await self._store.remember(slots.begin_attempt(self._store.slots, package, resources.boot_id))
            resources.report_soon()
            memory_bytes = memory.trial_limit(settings.memory_budget)
            recent, serving = resources.recent.of(self._store.name), self._endpoint.current
            control = serving.label.package if serving is not None else None
            try:
                outcome = await run_trial(package, resources.blobs.folder.parent, memory_bytes, recent, settings.trial_seconds, control)
            except ControlFailed as error:
                give_up = cohort == "candidate"  # a stable version may be an undo, which is tried again and again
                now = self._store.slots
                await self._store.remember(slots.close_unjudged(now, str(error)) if give_up else slots.close_attempt(now))
                raise
            except TrialCrashed:
                await self._store.remember(slots.refuse_if_exhausted(self._store.slots))
                raise
            if outcome.damaged:
                await self._store.remember(slots.close_attempt(self._store.slots))
                raise WrongBlob(outcome.reason)
            if not outcome.passed:
                raise ModelFault(outcome.reason)
            log.info("%s: package %s passed its trial: %s", self._endpoint.name, package, outcome)
            await self._load_and_switch(package, cohort)

    async def _load_and_switch(self, package: str, cohort: Cohort) -> None:
        """Load a package while the other one serves, record it on the disk, and answer the next request with it."""
        self._resources.work.begin(self._store.name)
        try:
            loaded = await asyncio.to_thread(load, self._resources.blobs, package)
        finally:
            self._resources.work.end(self._store.name)
        if cohort == "candidate" and package != self._store.slots.candidate_target:
            return  # the candidate was undone while it was loaded, and this step is not cancelled yet
        label = self._label(package, cohort)
        disk_error = await self._record_serving(label)
        self._endpoint.switch(Served(loaded.package, loaded.model, label))
        self._delete_old_state(label)
        if disk_error is not None:
            raise disk_error

    async def _record_serving(self, label: Serving) -> OSError | None:
        """Record on the disk, before the first request, that this package serves. Returns the error if the disk cannot be written.

        Without the record a candidate must not serve, so there the error is raised. An undo must also work on a disk that has become
        read-only, so a stable version is served all the same.
        """
        try:
            await self._store.remember(slots.record_serving(self._store.slots, label.package, label.cohort, self._resources.boot_id))
            await self._store.mark_serving(label)
        except OSError as error:
            if label.cohort == "candidate":
                raise
            return error
        return None

    def _label(self, package: str, cohort: Cohort) -> Serving:
        accepted = self._store.slots.accepted
        return Serving(package, cohort, accepted.attempt, accepted.rollout_uid)

    def _delete_old_state(self, label: Serving) -> None:
        """Delete the counters of earlier Rollouts of this model, and the blobs that no slot needs any more."""
        accepted = self._store.slots.accepted
        self._resources.book.forget(accepted.namespace, accepted.model, all_but=label.rollout_uid)
        self._resources.delete_unused_blobs()
