"""All that one node serves: its deployments, found again after a start, kept in step with the gateway's answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from bramble.contracts.assignment import Assignment, assignment_name
from bramble_workloads.device import board
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.assignment.assigned_model import AssignedModel
from bramble_workloads.edge.node_resources import NodeResources
from bramble_workloads.edge.serve.counters import Book
from bramble_workloads.edge.serve.endpoint import Endpoint
from bramble_workloads.edge.settings import Settings

log = logging.getLogger(__name__)


class Node:
    """The deployments of this node by the name of their assignment."""

    def __init__(self, settings: Settings, gateway: GatewayClient) -> None:
        self.settings = settings
        self.book = Book()
        self.restored = asyncio.Event()
        """Set once everything that the last process served is served again, or cannot be."""
        self.changed = asyncio.Event()
        """Set when the operator should hear something at once."""
        self.instance = uuid4().hex
        self.boot_id = board.boot_id(settings.boot_id_file)
        self._folder = settings.state / "assignments"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._blobs = Blobs(settings.state / "blobs", settings.disk_reserve)
        self._contact: float | None = None
        self._models: dict[str, AssignedModel] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._absent_since: dict[str, float] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resources = NodeResources(
            settings=settings,
            gateway=gateway,
            blobs=self._blobs,
            book=self.book,
            boot_id=self.boot_id,
            instance=self.instance,
            trying=asyncio.Lock(),
            writer=self._writer,
            changed=self.changed.set,
            contact=lambda: self._contact,
            collect=self._collect,
        )

    # ----------------------------------------------------------------------------------------------------- what serves

    def models(self) -> tuple[AssignedModel, ...]:
        """All of them, in order of their assignments' names."""
        return tuple(self._models[name] for name in sorted(self._models))

    def names(self) -> tuple[str, ...]:
        """The models of this node as programs call them."""
        return tuple(dict.fromkeys(model.endpoint.name for model in self.models()))

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of a model. While a node moves from one fleet to another, two may bear the name: the one that serves."""
        found = [model.endpoint for model in self._models.values() if model.endpoint.name == name]
        return next((endpoint for endpoint in found if endpoint.current is not None), found[0] if found else None)

    # ---------------------------------------------------------------------------------------------------- its lifetime

    async def restore(self) -> None:
        """Serve again what was served before, without any network. Returns when that is done."""
        for folder in sorted(self._folder.iterdir()):
            model = await asyncio.to_thread(AssignedModel.restored, self._resources, folder)
            if model is not None:
                self._start(folder.name, model)
        self._collect()
        await asyncio.gather(*(model.settled.wait() for model in self._models.values()))
        self.restored.set()

    async def watch(self) -> None:
        """Raises what ended a worker. Workers live with all that is foreseen; anything else ends the process, which then starts anew."""
        await self._failed

    async def leave(self) -> None:
        """Withdraw working, on purpose. Requests have drained."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for model in self.models():
            await model.leave()
        self._writer.shutdown()

    # ------------------------------------------------------------------------------------------------ from the gateway

    def heard(self) -> None:
        """The gateway answered."""
        first, self._contact = self._contact is None, time.monotonic()
        if first:
            for model in self._models.values():
                model.wake()

    async def apply(self, assignments: Iterable[Assignment]) -> bool:
        """Take a whole answer of the gateway; True where it brought something new."""
        new = False
        named: set[str] = set()
        for assignment in assignments:
            if assignment.board_of(self.settings.node) is None:
                continue
            name = assignment_name(assignment.fleet, assignment.namespace, assignment.model)
            named.add(name)
            self._absent_since.pop(name, None)
            model = self._models.get(name)
            if model is None:
                new |= self._begin(name, assignment)
            elif not model.withdrawn:
                new |= await model.accept(assignment)
        self._miss(named)
        return new

    def absent(self) -> bool:
        """Whether something that is served was missing in the last answer: ask again, without waiting for a change."""
        return bool(self._absent_since)

    def _begin(self, name: str, assignment: Assignment) -> bool:
        model = AssignedModel.accepting(self._resources, self._folder / name, assignment)
        if model is None:
            return False
        self._start(name, model)
        return True

    def _miss(self, named: set[str]) -> None:
        """What is not named any more is withdrawn once it has been missing for long enough."""
        now = time.monotonic()
        for name, model in self._models.items():
            if name not in named and now - self._absent_since.setdefault(name, now) >= self.settings.withdraw_seconds:
                model.withdraw()

    def _start(self, name: str, model: AssignedModel) -> None:
        self._models[name] = model
        worker = asyncio.create_task(model.run(), name=f"model {model.endpoint.name}")
        self._workers[name] = worker
        worker.add_done_callback(lambda task: self._ended(name, task))

    def _ended(self, name: str, worker: asyncio.Task[None]) -> None:
        if worker.cancelled():
            return
        error = worker.exception()
        if error is not None:
            if not self._failed.done():
                self._failed.set_exception(error)
            return
        del self._models[name], self._workers[name]
        self._absent_since.pop(name, None)
        self._collect()
        self.changed.set()

    def _collect(self) -> None:
        """Drop the blobs that no slot of any assignment names."""
        wanted = frozenset[str]().union(*(model.named_blobs() for model in self._models.values()))
        try:
            freed = self._blobs.drop_all_but(wanted)
        except OSError as error:
            log.warning("blobs that nothing names any more cannot be dropped: %s", error)
        else:
            if freed:
                log.info("%d bytes of blobs that nothing names any more are dropped", freed)
