"""What the engine needs to know of a kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from bramble.kinds.plan import Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import Key, Manifest, Resource

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Controller(Generic[Seen]):
    """One kind: `gather` reads, `plan` decides; the engine does the rest.

    Attributes:
        resource: the kind itself.
        gather: everything that `plan` looks at, or None when the object is gone.
        plan: pure.
        depends_on: the keys of the objects that this one names in its spec or status. A change in one of them, or in
            a child (which names its owner by labels), wakes exactly those objects that depend on it. The name may be
            `*`, and the namespace empty, for "any of this kind". `Key("Report", "", fleet)`: what the devices of
            that fleet say.
        wakes: the keys of the objects that a change of this one wakes although they do not name it: those it uses, who keep a
            list of their users.
        memory: wire names of the status fields that cannot be derived again (`Status.MEMORY`). The engine refuses a
            plan that changes one of them without `remember`.
        children: the kinds of objects that it makes, beside those that are always watched (`engine.engine.CHILDREN`).
    """

    resource: Resource
    gather: Callable[[Key, Sources], Awaitable[Seen | None]]
    plan: Callable[[Seen, datetime], Plan]
    depends_on: Callable[[Manifest], Iterable[Key]]
    memory: frozenset[str] = frozenset()
    wakes: Callable[[Manifest], Iterable[Key]] = lambda _: ()
    children: tuple[Resource, ...] = ()
