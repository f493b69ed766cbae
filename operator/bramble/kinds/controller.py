"""What the engine has to know about a kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from bramble.kinds.plan import Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import Key, Manifest, Resource

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Controller(Generic[Seen]):
    """One kind. In each pass over an object the engine calls `gather`, then `plan`, and carries the plan out.

    Attributes:
        resource: the kind's custom resource.
        gather: reads everything that `plan` decides by; gives None if the object is gone.
        plan: decides what happens next. It is pure: it reads nothing, and its result depends on its arguments alone.
        depends_on: the keys of the objects that an object of this kind names in its spec or status. A change of one of them wakes the
            objects that depend on it. The name may be `*` for any object of a kind, with an empty namespace for any namespace.
            `Key("Report", "", fleet)` stands for the reports of that fleet's devices. Children need no key, since they name their owner.
        wakes: the keys of the objects that a change of an object of this kind wakes although they do not name it. A Rollout wakes the
            ModelVersions that it uses, because they list their users.
        memory: the status fields that cannot be derived again, by their names in YAML (`Status.MEMORY`). The engine refuses a plan that
            changes one of them without `remember`.
        children: the kinds of objects that it makes, beside those that the engine always watches.
        gauges: name of a gauge of the operator's metrics to guardrail metric to figure, of an object that judges a version.
    """

    resource: Resource
    gather: Callable[[Key, Sources], Awaitable[Seen | None]]
    plan: Callable[[Seen, datetime], Plan]
    depends_on: Callable[[Manifest], Iterable[Key]]
    memory: frozenset[str] = frozenset()
    wakes: Callable[[Manifest], Iterable[Key]] = lambda _: ()
    children: tuple[Resource, ...] = ()
    gauges: Callable[[Manifest], Mapping[str, Mapping[str, float]]] = lambda _: {}
