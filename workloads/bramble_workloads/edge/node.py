"""All models of one node: restores them from the disk at a start, and adds, updates and withdraws them as the gateway's answers say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from bramble.contracts.assignment import Assignment, assignment_name
from bramble_workloads.device import board, memory
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.gateway_client import GatewayClient, Unreadable
from bramble_workloads.edge.assignment.assigned_model import AssignedModel
from bramble_workloads.edge.node_resources import NodeResources
from bramble_workloads.edge.serve.counters import Book
from bramble_workloads.edge.serve.endpoint import Endpoint
from bramble_workloads.edge.serve.recent_inputs import RecentInputs
from bramble_workloads.edge.serve.workers import Workers
from bramble_workloads.edge.settings import Settings, needed_for
from bramble_workloads.edge.slots.last_end import LastEnd, WorkLog
from bramble_workloads.edge.slots.slot_store import was_served
from bramble_workloads.limits import usable_cores

log = logging.getLogger(__name__)


class Node:
    """The models of this node, each under the name of its assignment."""

    def __init__(self, settings: Settings, gateway: GatewayClient) -> None:
        self.settings = settings
        self.book = Book()
        self.restored = asyncio.Event()
        """Set once each package that the last process served is served again, or cannot be served."""
        self.changed = asyncio.Event()
        """Set when a report should be sent at once."""
        self.instance = uuid4().hex
        with needed_for("BRAMBLE_BOOT_ID_FILE", settings.boot_id_file):
            self.boot_id = board.boot_id(settings.boot_id_file)
        self._folder = settings.state / "assignments"
        with needed_for("BRAMBLE_STATE", settings.state):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._blobs = Blobs(settings.state / "blobs", settings.disk_reserve)
            served = frozenset(folder.name for folder in self._folder.iterdir() if was_served(folder))
        self._last_contact: float | None = None
        self._told_at: float | None = None
        """When the gateway first told this process what is assigned to the node."""
        self._models: dict[str, AssignedModel] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._missing_since: dict[str, float] = {}
        self._faults: dict[str, str] = {}
        """Why an assignment of the last answer cannot be read, by its name."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._worker_error: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = WorkLog(f"{settings.node}/{settings.state}", settings.memory_folder)
        self._resources = NodeResources(
            settings=settings,
            gateway=gateway,
            blobs=self._blobs,
            book=self.book,
            boot_id=self.boot_id,
            instance=self.instance,
            trial_lock=asyncio.Lock(),
            writer=self._writer,
            recent=RecentInputs(),
            work=work,
            last_end=LastEnd(work.found, served),
            report_soon=self.changed.set,
            last_contact=lambda: self._last_contact,
            decoders=Workers(usable_cores(), "decode", memory.lower_priority),
            delete_unused_blobs=self._delete_unused_blobs,
        )

    # ----------------------------------------------------------------------------------------------------- the models

    def models(self) -> tuple[AssignedModel, ...]:
        """All models, sorted by the names of their assignments."""
        return tuple(self._models[name] for name in sorted(self._models))

    def names(self) -> tuple[str, ...]:
        """The names of the models in the Open Inference Protocol: `<namespace>.<model>`."""
        return tuple(dict.fromkeys(model.endpoint.name for model in self.models()))

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint with this name; None where the node has no such model.

        While a node moves from one fleet to another, two models may have the same name. Then the one that serves is returned.
        """
        found = [model.endpoint for model in self._models.values() if model.endpoint.name == name]
        return next((endpoint for endpoint in found if endpoint.current is not None), found[0] if found else None)

    @property
    def ready(self) -> bool:
        """False until the models of the last run have been loaded or have failed, and while none serves although one served before."""
        if not self.restored.is_set():
            return False
        return any(model.endpoint.current for model in self._models.values()) or not any(
            model.fails_to_serve for model in self._models.values()
        )

    # ---------------------------------------------------------------------------------------------------- start and end

    async def restore(self) -> None:
        """Serve again the packages that were served before. This needs no network. Returns when each serves or has failed."""
        found: dict[str, AssignedModel] = {}
        for folder in sorted(self._folder.iterdir()):
            model = await asyncio.to_thread(AssignedModel.from_folder, self._resources, folder)
            if model is not None:
                found[folder.name] = model
        self._resources.work.clear()  # not before the crash is counted for each model: this process may end meanwhile, too
        for name, model in found.items():
            self._start(name, model)
        await asyncio.gather(*(model.restored.wait() for model in self._models.values()))
        self.restored.set()

    async def raise_worker_errors(self) -> None:
        """Wait until the worker of a model fails, and raise its error.

        Workers handle all expected errors. Any other error ends the process, and the kubelet starts it again.
        """
        await self._worker_error

    async def shut_down(self) -> None:
        """End all workers and record on the disk that this end is not a crash. Call it when no request is under way."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for model in self.models():
            await model.shut_down()
        self._resources.decoders.close()
        self._writer.shutdown()

    # ------------------------------------------------------------------------------------------------ assignments

    def record_contact(self) -> None:
        """Record that the gateway has just answered. The first contact wakes the models, because a candidate may serve from then on."""
        first, self._last_contact = self._last_contact is None, time.monotonic()
        if first:
            for model in self._models.values():
                model.wake()

    async def apply(self, assignments: Iterable[Assignment], unreadable: Iterable[Unreadable] = ()) -> bool:
        """Apply an answer of the gateway, which has all assignments of this node. Returns True if a model was added or changed.

        A model whose assignment this release cannot read goes on as it is, and says so. The others are not held up by it.
        """
        changed = False
        faults = {each.name: each.fault for each in unreadable}
        for name, fault in faults.items():
            if fault != self._faults.get(name):
                log.warning("%s: %s", name, fault)
        self._faults = faults
        named = set(faults)
        for known, present in self._models.items():
            present.assignment_fault = faults.get(known, "")
        self._told_at = self._told_at if self._told_at is not None else time.monotonic()
        for assignment in assignments:
            if assignment.board_of(self.settings.node) is None:
                continue
            name = assignment_name(assignment.fleet, assignment.namespace, assignment.model)
            named.add(name)
            model = self._models.get(name)
            if model is None:
                changed |= self._add(name, assignment)
            elif not model.withdrawn:
                changed |= await model.accept(assignment)
        self._withdraw_missing(named)
        return changed

    def misses_assignments(self) -> bool:
        """True if the last answer did not name a model of this node. Then the next call must not wait for a change."""
        return bool(self._missing_since)

    def _add(self, name: str, assignment: Assignment) -> bool:
        model = AssignedModel.from_assignment(self._resources, self._folder / name, assignment)
        if model is None:
            return False
        self._start(name, model)
        return True

    def _withdraw_missing(self, named: set[str]) -> None:
        """Withdraw each model that has been missing from the gateway's answers for `withdraw_seconds`."""
        now = time.monotonic()
        for name, model in self._models.items():
            if name in named:
                self._missing_since.pop(name, None)
            elif now - self._missing_since.setdefault(name, now) >= self.settings.withdraw_seconds:
                model.withdraw()

    def _start(self, name: str, model: AssignedModel) -> None:
        self._models[name] = model
        worker = asyncio.create_task(model.run(), name=f"model {model.endpoint.name}")
        self._workers[name] = worker
        worker.add_done_callback(lambda task: self._worker_ended(name, task))

    def _worker_ended(self, name: str, worker: asyncio.Task[None]) -> None:
        if worker.cancelled():
            return
        error = worker.exception()
        if error is not None:
            if not self._worker_error.done():
                self._worker_error.set_exception(error)
            return
        del self._models[name], self._workers[name]
        self._missing_since.pop(name, None)
        self._resources.recent.forget(name)
        self._resources.work.forget(self._models)
        self._delete_unused_blobs()
        self.changed.set()

    def _delete_unused_blobs(self) -> None:
        """Delete the blobs that no slot of any assignment needs.

        Not before the gateway has told what is assigned, as long as an assignment may be missing from its answers by mistake, and while one
        cannot be read whose model is not known here: the slots on the disk may be damaged, and then only the gateway knows which blobs are
        needed.
        """
        if self._told_at is None or time.monotonic() - self._told_at < self.settings.withdraw_seconds or self._faults.keys() - self._models:
            return
        wanted = frozenset[str]().union(*(model.required_blobs() for model in self._models.values()))
        try:
            freed = self._blobs.delete_all_except(wanted)
        except OSError as error:
            log.warning("unused blobs cannot be deleted: %s", error)
        else:
            if freed:
                log.info("deleted %d bytes of unused blobs", freed)
