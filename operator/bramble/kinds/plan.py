"""The decision of a pass, as data. Kinds make plans, and only the engine carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from bramble.contracts.canonical import document_digest, short
from bramble.kube.resources import Key, Manifest


def manifest_digest(manifest: Manifest) -> str:
    """The digest by which a child says what it was made from, in its annotation `api.labels.APPLIED`."""
    return short(document_digest(manifest))


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a whole child.

    If there is an object of that name that is not the owner's child, the pass ends with the error `NameConflict`.
    """

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class CreateOnce:
    """Creates a child that is not changed afterwards: a Job or its ConfigMap. It has no effect if the owner has that child already.

    Attributes:
        manifest: the child.
        needs: children that are created after it, and that it cannot do its work without. It is not created while the API server refuses
            one of them, such as by a quota. A Job would hold its node, and use up its deadline, without the ConfigMap that its pods mount.
    """

    manifest: Manifest
    needs: tuple[Manifest, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchFields:
    """A merge patch of an object, such as its labels or finalizers. It fails if the object has changed since it was read.

    Attributes:
        alone: nothing else of the plan depends on it. If it fails for that reason, the rest is carried out, and the next pass repeats it.
    """

    key: Key
    uid: str
    resource_version: str
    patch: Mapping[str, Any]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the object with this uid. It has no effect if the object is gone.

    Attributes:
        propagation: whether the garbage collector deletes the object's own children after it (Background) or before it (Foreground).
    """

    key: Key
    uid: str
    propagation: Literal["Background", "Foreground"] = "Background"


@dataclass(frozen=True, slots=True)
class FileResult:
    """Puts a small document into the namespace's store, such as a result or a decision. An existing document is kept."""

    namespace: str
    store_key: str
    content: bytes


EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Emit:
    """An event about the planned object. It is sent after the plan's status has been written."""

    type: EventType
    reason: str
    message: str


Item = Apply | CreateOnce | PatchFields | Delete | FileResult


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass writes: its items in order, then the status, then events.

    Attributes:
        items: carried out in order. If one fails, the pass ends and is repeated later.
        status: the whole new status; None to leave the present one. If it is equal to the present one, nothing is written.
        events: sent once the status has been written.
        remember: whether the status changes memory. Then there are no items: a later pass, which has read the memory, acts on it.
        wake_at: when to plan again even if nothing changes; None to plan only when something changes.
    """

    items: tuple[Item, ...] = ()
    status: Mapping[str, Any] | None = None
    events: tuple[Emit, ...] = ()
    remember: bool = False
    wake_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.remember and (self.items or self.status is None):
            raise ValueError("a plan that changes memory writes a status and has no items")

    def no_later_than(self, moment: datetime | None) -> Plan:
        """The same plan, after which the object is planned again at this time or earlier."""
        times = [time for time in (self.wake_at, moment) if time is not None]
        return replace(self, wake_at=min(times, default=None))


NOTHING = Plan()
