"""Takes in every change of an object: stores it in the cache and queues exactly the objects that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bramble.api.labels import MANAGED_BY, MANAGED_BY_BRAMBLE, OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE
from bramble.engine.cache import Cache, labels_of
from bramble.engine.dependencies import Dependencies
from bramble.engine.queue import WorkQueue
from bramble.kinds.controller import Controller
from bramble.kube.resources import GROUP, NODE, RESOURCES, Key, Manifest, Resource, key_of


def watches_all(resource: Resource) -> bool:
    """True if every object of the kind is watched: our own kinds, and nodes. Of other kinds only the objects with our label are."""
    return resource.group == GROUP or resource == NODE


def label_selector(resource: Resource) -> str:
    """The label selector that a kind is watched and listed with; empty for all of its objects."""
    return "" if watches_all(resource) else f"{MANAGED_BY}={MANAGED_BY_BRAMBLE[MANAGED_BY]}"


def is_watched(manifest: Manifest) -> bool:
    """True if the watches deliver this object."""
    return watches_all(RESOURCES[manifest["kind"]]) or labels_of(manifest).get(MANAGED_BY) == MANAGED_BY_BRAMBLE[MANAGED_BY]


def owner_key(manifest: Manifest) -> Key | None:
    """The owner that a child names in its labels; in the child's own namespace unless the labels name another."""
    labels = labels_of(manifest)
    kind, name = labels.get(OWNER_KIND), labels.get(OWNER_NAME)
    if kind is None or name is None or kind not in RESOURCES:
        return None
    if not RESOURCES[kind].namespaced:
        return Key(kind, "", name)
    return Key(kind, labels.get(OWNER_NAMESPACE) or manifest["metadata"].get("namespace", ""), name)


class Changes:
    """Watches, full lists and the answers to our own writes all go in here.

    Attributes:
        cache: what is known of every object.
        on_deleted: called with the uid of each deleted object of a controlled kind, so that its traces elsewhere can be removed.
    """

    def __init__(self, cache: Cache, queue: WorkQueue, controllers: Mapping[str, Controller[Any]]) -> None:
        self.cache = cache
        self.on_deleted: list[Callable[[str], None]] = []
        self._queue = queue
        self._controllers = controllers
        self._dependencies = Dependencies()

    def updated(self, manifest: Manifest) -> bool:
        """Take in that an object exists in this state. Returns whether that was new."""
        if not is_watched(manifest):
            return False
        change = self.cache.put(manifest)
        if change is None:
            return False
        former, present = change
        key = key_of(present)
        if (controller := self._controllers.get(key.kind)) is not None:
            self._dependencies.set(key, _keys(controller.depends_on, present))
        self._wake_concerned(key, *(state for state in (former, present) if state is not None))
        return True

    def deleted(self, manifest: Manifest, version: int | None = None) -> bool:
        """Take in that an object was deleted, at this resourceVersion. Returns whether that was new."""
        former = self.cache.remove(manifest, version)
        if former is None:
            return False
        key = key_of(former)
        self._wake_concerned(key, former)
        if key.kind in self._controllers:
            self._dependencies.set(key, ())
            for forget in self.on_deleted:
                forget(former["metadata"]["uid"])
        return True

    def wake_dependants(self, key: Key) -> None:
        """Queue what depends on this key, which may also stand for something outside the API server, such as a fleet's reports."""
        for dependant in self._dependencies.of(key):
            self._queue.add(dependant)

    def wake(self, key: Key) -> None:
        """Queue this object, if its kind is controlled."""
        if key.kind in self._controllers:
            self._queue.add(key)

    def wake_all(self) -> None:
        """Queue every object of every controlled kind."""
        for kind in self._controllers:
            for key in self.cache.keys(kind):
                self._queue.add(key)

    def _wake_concerned(self, key: Key, *states: Manifest) -> None:
        """Queue the object, what depends on it, the owner that its labels name, and the objects that it uses."""
        self.wake(key)
        self.wake_dependants(key)
        controller = self._controllers.get(key.kind)
        for state in states:
            if (owner := owner_key(state)) is not None:
                self.wake(owner)
            for used in _keys(controller.wakes, state) if controller is not None else ():
                self.wake(used)


def _keys(read: Callable[[Manifest], Iterable[Key]], state: Manifest) -> tuple[Key, ...]:
    """The keys that a state names. A state nested too deep to be read names none; its own pass reports that, and other objects go on."""
    try:
        return tuple(read(state))
    except RecursionError:
        return ()
