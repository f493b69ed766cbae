"""Which Rollouts use a ModelVersion, and which ModelVersions a Rollout uses."""

from __future__ import annotations

from typing import Any

from bramble.kinds.version_users import users_of, versions_of
from bramble.kube.resources import Key


def rollout(name: str, **status: Any) -> dict[str, Any]:
    return {"kind": "Rollout", "metadata": {"name": name, "namespace": "ns"}, "status": status}


def test_who_uses_it() -> None:
    this, other = {"ref": "ads-1-0-0", "uid": "uid-version"}, {"ref": "ads-1-1-0", "uid": "uid-other"}
    earlier = {"ref": "ads-1-0-0", "uid": "uid-of-one-that-was-deleted"}
    found = [rollout("b", stable=other, lastGood=this), rollout("a", candidate=this), rollout("c", stable=other)]
    found.append(rollout("d", stable=earlier))
    assert users_of("uid-version", [*found, rollout("e")]) == ("ns/a", "ns/b")
    assert versions_of(found[0]) == (Key("ModelVersion", "ns", "ads-1-1-0"), Key("ModelVersion", "ns", "ads-1-0-0"))
    assert versions_of(rollout("e")) == ()
