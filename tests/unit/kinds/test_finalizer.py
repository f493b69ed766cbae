"""Bramble's finalizer is added and removed, and those of others stay."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import FINALIZER
from bramble.api.objects import Metadata, metadata_of
from bramble.kinds.finalizer import add_finalizer, has_finalizer, remove_finalizer
from bramble.kinds.plan import PatchFields
from bramble.kube.resources import Key


def metadata(*finalizers: str) -> Metadata:
    fields = {"name": "a", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(finalizers)}
    return metadata_of({"kind": "Fleet", "metadata": fields})


def patch(*finalizers: str) -> PatchFields:
    return PatchFields(Key("Fleet", "", "a"), "u", "7", {"metadata": {"finalizers": list(finalizers)}})


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        pytest.param(add_finalizer, (), (FINALIZER,), id="it is added"),
        pytest.param(add_finalizer, ("other",), ("other", FINALIZER), id="it is added after those of others"),
        pytest.param(add_finalizer, (FINALIZER, "other"), ("other", FINALIZER), id="it is never there twice"),
        pytest.param(remove_finalizer, ("one", FINALIZER, "two"), ("one", "two"), id="it is removed and others stay"),
    ],
)
def test_changes(change: Any, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    assert change(metadata(*before)) == patch(*after)


def test_it_is_there_or_not() -> None:
    assert has_finalizer(metadata("other", FINALIZER))
    assert not has_finalizer(metadata("other"))
