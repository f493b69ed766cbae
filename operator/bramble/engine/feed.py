"""A change comes in, and exactly those objects wake that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bramble.api.labels import MANAGED_BY, MANAGED_BY_BRAMBLE, OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE
from bramble.engine.cache import Cache, labels_of
from bramble.engine.dependencies import Dependencies
from bramble.engine.queue import WorkQueue
from bramble.kinds.controller import Controller
from bramble.kube.resources import GROUP, RESOURCES, Key, Manifest, Resource, key_of

SELECTED = frozenset({"Pod", "Job", "ConfigMap", "Service", "DaemonSet"})
"""Kinds that are watched by our label only."""


def selector(resource: Resource) -> str:
    """The label selector that a kind is watched and listed by; empty for all of it."""
    return f"{MANAGED_BY}={MANAGED_BY_BRAMBLE[MANAGED_BY]}" if resource.kind in SELECTED else ""


def is_watched(manifest: Manifest) -> bool:
    """Whether the watches deliver this object."""
    if manifest["kind"] in SELECTED:
        return labels_of(manifest).get(MANAGED_BY) == MANAGED_BY_BRAMBLE[MANAGED_BY]
    return manifest["kind"] == "Node" or RESOURCES[manifest["kind"]].group == GROUP


def owner_key(manifest: Manifest) -> Key | None:
    """The object that a child names as its owner by labels (the same namespace unless another is named)."""
    labels = labels_of(manifest)
    kind, name = labels.get(OWNER_KIND), labels.get(OWNER_NAME)
    if kind is None or name is None or kind not in RESOURCES:
        return None
    if not RESOURCES[kind].namespaced:
        return Key(kind, "", name)
    return Key(kind, labels.get(OWNER_NAMESPACE) or manifest["metadata"].get("namespace", ""), name)


class Feed:
    """Where watches, lists and the answers to our own writes go in.

    Attributes:
        ended: called with the uid of each object of a controlled kind that has gone, to forget what is known of it.
    """

    def __init__(self, cache: Cache, queue: WorkQueue, controllers: Mapping[str, Controller[Any]]) -> None:
        self.cache = cache
        self.ended: list[Callable[[str], None]] = []
        self._queue = queue
        self._controllers = controllers
        self._dependencies = Dependencies()

    def seen(self, manifest: Manifest) -> bool:
        """An object is there in this state; returns whether that was news."""
        if not is_watched(manifest):
            return False
        change = self.cache.put(manifest)
        if change is None:
            return False
        former, present = change
        key = key_of(present)
        if (controller := self._controllers.get(key.kind)) is not None:
            self._dependencies.set(key, _names(controller.depends_on, present))
        self._wake(key, *(state for state in (former, present) if state is not None))
        return True

    def gone(self, manifest: Manifest, version: int | None = None) -> bool:
        """An object ended, at this resourceVersion; returns whether that was news."""
        former = self.cache.remove(manifest, version)
        if former is None:
            return False
        key = key_of(former)
        self._wake(key, former)
        if key.kind in self._controllers:
            self._dependencies.set(key, ())
            for forget in self.ended:
                forget(former["metadata"]["uid"])
        return True

    def wake_dependants(self, key: Key) -> None:
        """Something changed that is no object of the API server, such as what a fleet's devices report."""
        for dependant in self._dependencies.of(key):
            self._queue.add(dependant)

    def wake(self, key: Key) -> None:
        """This object, if it is of a kind that is controlled."""
        if key.kind in self._controllers:
            self._queue.add(key)

    def wake_all(self) -> None:
        """Every object of every controlled kind."""
        for kind in self._controllers:
            for key in self.cache.keys(kind):
                self._queue.add(key)

    def _wake(self, key: Key, *states: Manifest) -> None:
        self.wake(key)
        self.wake_dependants(key)
        controller = self._controllers.get(key.kind)
        for state in states:
            if (owner := owner_key(state)) is not None:
                self.wake(owner)
            for used in _names(controller.wakes, state) if controller is not None else ():
                self.wake(used)


def _names(reads: Callable[[Manifest], Iterable[Key]], state: Manifest) -> tuple[Key, ...]:
    """What a state names. One that is nested deeper than can be read names nothing: its own pass tells of it, and the others go on."""
    try:
        return tuple(reads(state))
    except RecursionError:
        return ()
