"""Which objects depend on which: the reverse of `Controller.depends_on`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bramble.kube.resources import Key

ANY = "*"
"""As the name in a key: every object of this kind, in one namespace or, where the namespace is empty, in all."""


class Dependencies:
    """For each key, the objects that depend on it."""

    def __init__(self) -> None:
        self._names: dict[Key, frozenset[Key]] = {}
        self._dependants: dict[Key, set[Key]] = defaultdict(set)

    def set(self, dependant: Key, names: Iterable[Key]) -> None:
        """Replace the keys that `dependant` depends on."""
        present, former = frozenset(names), self._names.get(dependant, frozenset())
        for key in former - present:
            self._dependants[key].discard(dependant)
            if not self._dependants[key]:
                del self._dependants[key]
        for key in present - former:
            self._dependants[key].add(dependant)
        if present:
            self._names[dependant] = present
        else:
            self._names.pop(dependant, None)

    def of(self, key: Key) -> frozenset[Key]:
        """The objects that depend on this one: by its name, or on any of its kind in its namespace or in all namespaces."""
        patterns = (key, Key(key.kind, key.namespace, ANY), Key(key.kind, "", ANY))
        return frozenset(dependant for pattern in patterns for dependant in self._dependants.get(pattern, ()))
