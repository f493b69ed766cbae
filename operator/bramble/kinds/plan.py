"""What a pass decided, as data. Kinds make plans; only the engine carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bramble.kube.resources import Key, Manifest


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a whole child. An object of that name that is not ours ends the pass with `NameConflict`."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class CreateOnce:
    """Create a child that is never applied again (Jobs and their ConfigMaps). One that exists and is ours is fine."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class PatchFields:
    """A merge patch of an object's metadata or spec (labels, finalizers), conditional on uid and resourceVersion."""

    key: Key
    uid: str
    resource_version: str
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object with this uid; already gone is fine. Pods and Jobs go with `propagation`."""

    key: Key
    uid: str
    propagation: Literal["Background", "Foreground"] = "Background"


@dataclass(frozen=True, slots=True)
class FileResult:
    """Put a small document into the namespace's store (a filed result, a decision's bundle); an existing one is left."""

    namespace: str
    store_key: str
    content: bytes


EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Emit:
    """An event on the planned object. It is sent once the plan's status has been written."""

    type: EventType
    reason: str
    message: str


Item = Apply | CreateOnce | PatchFields | Delete | FileResult


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass: its writes in order, then one status write, then events.

    Attributes:
        items: carried out in order; the first that fails ends the pass, which is tried again with back-off.
        status: the whole new status, or None to leave it. Equal to the present one: nothing is written.
        remember: the status changes a memory field. Then `items` must be empty: the pass that sees the memory in
            the cache acts on it.
        wake_at: plan again then even if nothing changes; None for only when something changes.
    """

    items: tuple[Item, ...] = ()
    status: Mapping[str, Any] | None = None
    events: tuple[Emit, ...] = ()
    remember: bool = False
    wake_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.remember and (self.items or self.status is None):
            raise ValueError("a pass that changes memory writes that status and nothing else")


NOTHING = Plan()
