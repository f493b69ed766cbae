"""Adds and removes Bramble's finalizer, which keeps a deleted object in the API server until its cleanup is done."""

from __future__ import annotations

from bramble.api.labels import FINALIZER
from bramble.api.objects import Metadata
from bramble.kinds.plan import PatchFields


def has_finalizer(metadata: Metadata) -> bool:
    """Whether the object has Bramble's finalizer."""
    return FINALIZER in metadata.finalizers


def add_finalizer(metadata: Metadata) -> PatchFields:
    """The write that adds Bramble's finalizer after the finalizers of others."""
    return _patch(metadata, (*_of_others(metadata), FINALIZER))


def remove_finalizer(metadata: Metadata) -> PatchFields:
    """The write that removes Bramble's finalizer and keeps the finalizers of others."""
    return _patch(metadata, _of_others(metadata))


def _of_others(metadata: Metadata) -> tuple[str, ...]:
    return tuple(name for name in metadata.finalizers if name != FINALIZER)


def _patch(metadata: Metadata, finalizers: tuple[str, ...]) -> PatchFields:
    return PatchFields(metadata.key, metadata.uid, metadata.resource_version, {"metadata": {"finalizers": list(finalizers)}})
