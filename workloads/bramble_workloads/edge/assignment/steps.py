"""Carries out what `decide` names. What goes wrong is raised; `deployment` knows what follows from it.

Order of writes, everywhere: what is about to be risked is on the disk before it is risked, what was achieved is on the disk before it
is counted on. Any step may be cancelled by a newer assignment; what answers requests stays until the next model is ready.
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
from bramble_workloads.edge.trial.run_trial import Death, run_trial
from bramble_workloads.processing.errors import ModelFault

log = logging.getLogger(__name__)


class Steps:
    """The hands of one deployment."""

    def __init__(self, resources: NodeResources, store: SlotStore, endpoint: Endpoint, closures: RequiredBlobs) -> None:
        self._resources = resources
        self._store = store
        self._endpoint = endpoint
        self._closures = closures

    async def perform(self, step: Step) -> None:
        """Carry out one step.

        Raises:
            TryAgain, GatewayRefused, WrongBlob, Death: it may succeed another time.
            DescriptionError, BrokenPackage, ModelFault, MemoryError: the package cannot be served here.
            OSError: the disk takes no writes.
        """
        match step:
            case Withdraw():
                await self._stop()
            case Unload():
                await self._empty()
            case Relabel(cohort):
                await self._relabel(cohort)
            case Serve(package, cohort):
                if cohort == "candidate":
                    await self._store.remember(slots.begin_attempt(self._store.slots, package, self._resources.boot_id))
                await self._switch(package, cohort)
            case Download(package):
                await self._download(package)
            case Try(package, cohort):
                await self._try(package, cohort)
            case GiveUp(package, silence):
                reason = f"no word from the gateway for {silence:.0f} s while it was on trial"
                await self._store.remember(slots.refuse(self._store.slots, package, reason, "silence"))
            case Wait():
                return

    async def _stop(self) -> None:
        self._endpoint.switch(None)
        accepted = self._store.slots.accepted
        self._resources.book.forget(accepted.namespace, accepted.model)
        await self._store.forget()

    async def _empty(self) -> None:
        self._endpoint.switch(None)
        await self._store.unmark()
        nothing = {"active": None, "cohort": "stable", "last_good": None, "candidate": None, "attempt": None}
        await self._store.remember(self._store.slots.model_copy(update=nothing))
        self._resources.collect()

    async def _relabel(self, cohort: Cohort) -> None:
        current = self._endpoint.current
        if current is None:
            return
        label = self._label(current.label.package, cohort)
        await self._store.remember(slots.record_serving(self._store.slots, label.package, cohort, self._resources.boot_id))
        await self._store.mark(label)
        self._endpoint.relabel(label)
        self._counting(label)

    async def _download(self, package: str) -> None:
        listed = self._store.slots.accepted.packages.get(package)
        if listed is None:
            raise BrokenPackage(f"the assignment names package {package} and lists no blobs of it")
        self._resources.changed()
        self._resources.blobs.require_space(listed.blobs)
        for blob in listed.blobs:
            await self._resources.blobs.fetch(blob, self._resources.gateway)
        missing = self._closures.missing(self._store.slots, package)
        if missing:
            raise BrokenPackage(f"package {package} needs {missing[0]}, which its assignment does not list")

    async def _try(self, package: str, cohort: Cohort) -> None:
        resources, settings = self._resources, self._resources.settings
        async with resources.trying:
            await self._store.remember(slots.begin_attempt(self._store.slots, package, resources.boot_id))
            resources.changed()
            room = memory.room(settings.memory_budget)
            try:
                outcome = await run_trial(package, resources.blobs.folder.parent, room, self._endpoint.recent, settings.trial_seconds)
            except Death:
                await self._store.remember(slots.refuse_if_exhausted(self._store.slots))
                raise
            if outcome.damaged:
                await self._store.remember(slots.close_attempt(self._store.slots))
                raise WrongBlob(outcome.reason)
            if not outcome.passed:
                raise ModelFault(outcome.reason)
            log.info("%s: the trial of %s passed: %s", self._endpoint.name, package, outcome)
            await self._switch(package, cohort)

    async def _switch(self, package: str, cohort: Cohort) -> None:
        """Load beside what is served, remember, then answer with it."""
        loaded = await asyncio.to_thread(load, self._resources.blobs, package)
        if cohort == "candidate" and package != self._store.slots.candidate_target:
            return  # taken back while it was loaded, and this step not yet cancelled
        label = self._label(package, cohort)
        trouble = await self._remember_serving(label)
        self._endpoint.switch(Served(loaded.package, loaded.model, label))
        self._counting(label)
        if trouble is not None:
            raise trouble

    async def _remember_serving(self, label: Serving) -> OSError | None:
        """Before it answers. A disk that takes no writes keeps a candidate from being served, and never a way back."""
        try:
            await self._store.remember(slots.record_serving(self._store.slots, label.package, label.cohort, self._resources.boot_id))
            await self._store.mark(label)
        except OSError as error:
            if label.cohort == "candidate":
                raise
            return error
        return None

    def _label(self, package: str, cohort: Cohort) -> Serving:
        accepted = self._store.slots.accepted
        return Serving(package, cohort, accepted.attempt, accepted.rollout_uid)

    def _counting(self, label: Serving) -> None:
        """Something else is counted from now on: what an earlier Rollout of the model counted, and its blobs, are history."""
        accepted = self._store.slots.accepted
        self._resources.book.forget(accepted.namespace, accepted.model, all_but=label.rollout_uid)
        self._resources.collect()
