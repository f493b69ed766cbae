"""A model that answers, and the endpoint that swaps one for the next without losing a request.

A request takes the model that is current when its body is complete and keeps it to the end: answer, package digest, cohort and counts
always belong together. The model before is closed when its last request has left.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import Package
from bramble_workloads.edge.assignment.decide import Serving
from bramble_workloads.edge.serve.counters import OVERLOADED, REJECTED, Book, Key, Tally
from bramble_workloads.edge.serve.http.messages import HttpError
from bramble_workloads.edge.serve.protocol import Interface
from bramble_workloads.edge.serve.workers import Workers
from bramble_workloads.processing.decoding_memory import MEMORY, Costly
from bramble_workloads.processing.errors import InputError, ModelFault
from bramble_workloads.processing.model import Model, Prediction, calls_at_once

T = TypeVar("T")

LARGEST = 1e6
"""The largest absolute value in a client's tensor on which a model must not fail. Normalised pixels stay far below it."""


class Overloaded(HttpError):
    """Too many requests wait already."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, message)


class Predicted(NamedTuple):
    """A prediction, the package and the label that it was made under, and where it is counted."""

    prediction: Prediction
    package: Package
    label: Serving
    tally: Tally


class Served:
    """A loaded model with threads of its own, as many as its package allows at once."""

    def __init__(self, package: Package, model: Model, label: Serving) -> None:
        self.package = package
        self.interface = Interface(package)
        self.model = model
        self.label = label
        self._workers = Workers(calls_at_once(package), f"run-{label.package[7:15]}")
        self.closed = asyncio.Event()
        """Set once it is retired and its last request has left."""
        self._in_flight = 0
        self._retired = False

    def begin(self) -> None:
        """Keep the model until `end`, for one request."""
        self._in_flight += 1

    def run(self, work: Callable[[Model], T], client: str) -> asyncio.Future[T]:
        """Do some work on the model in one of its threads, between `begin` and `end`."""
        return self._workers.submit(partial(work, self.model), client)

    def end(self) -> None:
        """A request has ended, or its result is not needed any more."""
        self._in_flight -= 1
        if self._retired and not self._in_flight:
            self._close()

    def retire(self) -> None:
        """Take no new request; close once the last one has left."""
        self._retired = True
        if not self._in_flight:
            self._close()

    def _close(self) -> None:
        self._workers.close()
        del self.model
        self.closed.set()
        release_memory()


class _Waiting:
    """A request that is not answered. Its work may be done in several parts, one after the other; `future` is that of the present one."""

    def __init__(self, client: str, future: asyncio.Future[Any]) -> None:
        self.client = client
        self.future = future


class Endpoint:
    """One model of this node, under a name that stays the same while versions change.

    Args:
        namespace: of its Rollout.
        model: its name.
        book: where its answers are counted.
        queue: how many requests may wait.
        decoders: threads of all models that decode pictures that take long.
        on_answered: called with each picture that was answered.
        on_begin: called when work on a request begins.
        on_end: called when it has ended.
    """

    def __init__(
        self,
        namespace: str,
        model: str,
        book: Book,
        queue: int,
        decoders: Workers,
        *,
        on_answered: Callable[[bytes], None],
        on_begin: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self.namespace = namespace
        self.model = model
        self.name = f"{namespace}.{model}"
        """The model's name in the Open Inference Protocol."""
        self.current: Served | None = None
        self.since = time.monotonic()
        """When the current model began to answer under its label, on the monotonic clock."""
        self._on_answered, self._on_begin, self._on_end = on_answered, on_begin, on_end
        self._book = book
        self._queue = queue
        self._decoders = decoders
        self._waiting: dict[str, list[_Waiting]] = {}
        """Requests that are not answered, by client, the newest last."""
        self._count_waiting = 0

    def switch(self, served: Served | None) -> None:
        """Let another model answer from the next request on. It runs between two steps of the event loop, so no request sees half of it."""
        before, self.current = self.current, served
        self.since = time.monotonic()
        if before is not None and before is not served:
            before.retire()

    def relabel(self, label: Serving) -> None:
        """Count the answers of the current model under another cohort or attempt from now on."""
        if self.current is not None and self.current.label != label:
            self.current.label = label
            self.since = time.monotonic()

    def key(self, label: Serving) -> Key:
        """The key of the counts of answers under this label."""
        return Key(self.namespace, self.model, label.rollout_uid, label.package, label.cohort, label.attempt)

    def tally(self, label: Serving) -> Tally:
        """The counts of answers under this label."""
        return self._book.of(self.key(label))

    def predict(self, served: Served, content: bytes | NDArray[np.float32], client: str = "") -> Awaitable[Predicted]:
        """Begin to answer one picture (its bytes) or one tensor (as the graph takes it). The result must be awaited, which counts it.

        Clients (addresses) take turns, and where too many requests wait, the client with the most of them loses its newest.

        Raises:
            Overloaded: too many wait already; counted as such, and not as an error of the model.
            InputError: the model does not take this input; counted as rejected.
            ModelFault: the graph failed; counted as an error.
        """
        label = served.label
        if self._count_waiting >= self._queue and not self._make_room(client):
            self.tally(label).add(OVERLOADED)
            raise self._overloaded()
        began = time.perf_counter()
        self._on_begin()
        served.begin()
        work = partial(_predict, content) if isinstance(content, bytes) else partial(_answer, content)
        waiting = _Waiting(client, served.run(work, client))
        self._waiting.setdefault(client, []).append(waiting)
        self._count_waiting += 1
        return self._count(served, label, began, content, waiting)

    def _overloaded(self) -> Overloaded:
        return Overloaded(f"{self._count_waiting} requests of {self.name} wait already: send fewer at once")

    def _make_room(self, client: str) -> bool:
        """Refuse the newest request of the client that has the most, if that is another one and has more than this one would have."""
        greediest = max(self._waiting.values(), key=len)
        if len(greediest) <= len(self._waiting.get(client, ())) + 1:
            return False
        loser = next((each for each in reversed(greediest) if not each.future.done()), None)
        if loser is None:
            return False
        loser.future.set_exception(self._overloaded())
        return True

    async def _count(
        self,
        served: Served,
        label: Serving,
        began: float,
        content: bytes | NDArray[np.float32],
        waiting: _Waiting,
    ) -> Predicted:
        try:
            try:
                prediction = await waiting.future
            except Costly:
                if not isinstance(content, bytes):
                    raise
                waiting.future = self._decoders.submit(partial(served.model.preprocessor, content), waiting.client)
                tensor = await waiting.future
                waiting.future = served.run(partial(_run, tensor), waiting.client)
                prediction = await waiting.future
        except Overloaded:
            self.tally(label).add(OVERLOADED)
            raise
        except (ModelFault, MemoryError):
            self.tally(label).failed()
            raise
        except InputError:
            self.tally(label).add(REJECTED)
            raise
        finally:
            self._count_waiting -= 1
            others = self._waiting[waiting.client]
            others.remove(waiting)
            if not others:
                del self._waiting[waiting.client]
            del waiting  # its future has the exception, and the exception this frame: a cycle, which would keep the content for long
            self._on_end()
            served.end()
        tally = self.tally(label)
        tally.answered((time.perf_counter() - began) * 1000, confident=prediction.answer.confident)
        if isinstance(content, bytes):
            self._on_answered(content)
        return Predicted(prediction, served.package, label, tally)


def _predict(content: bytes, model: Model) -> Prediction:
    """Answer a picture.

    Raises:
        Costly: it takes long to decode, and another request may wait for this thread.
    """
    with MEMORY.quick_only():
        return model.predict(content)


def _run(tensor: NDArray[np.float32], model: Model) -> Prediction:
    return model.answer(model.run(tensor))


def _answer(tensor: NDArray[np.float32], model: Model) -> Prediction:
    """Run the graph on a client's own tensor. If that fails, the tensor may be the cause, and then the model is not to blame.

    Raises:
        InputError: the model failed on numbers that are not finite, or beyond what preprocessing makes of any picture.
        ModelFault: the model failed on a tensor that it should take.
    """
    try:
        return model.answer(model.run(tensor))
    except ModelFault as error:
        largest = float(np.abs(tensor).max(initial=0.0))
        if largest <= LARGEST:  # false for NaN as well
            raise
        what = (
            f"numbers up to {largest:g}, and a model must only answer up to {LARGEST:g}"
            if np.isfinite(largest)
            else "not only finite numbers"
        )
        raise InputError(f"the tensor has {what}: {error}") from error


def release_memory() -> None:
    """Give what the closed model used back to the system; glibc keeps it otherwise. Elsewhere there is nothing to do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
