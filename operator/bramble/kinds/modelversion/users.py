"""Which Rollouts use a ModelVersion: as what a fleet runs, tries, or could go back to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bramble.kube.resources import MODEL_VERSION, Key, Manifest

ROLES = ("stable", "candidate", "lastGood")


def _releases(rollout: Manifest) -> Iterator[Mapping[str, Any]]:
    status = rollout.get("status") or {}
    return (release for role in ROLES if (release := status.get(role)) and release.get("ref"))


def versions_of(rollout: Manifest) -> tuple[Key, ...]:
    """The ModelVersions that this Rollout uses; a change of the Rollout wakes them."""
    namespace = rollout["metadata"]["namespace"]
    return tuple(dict.fromkeys(Key(MODEL_VERSION.kind, namespace, release["ref"]) for release in _releases(rollout)))


def users(rollouts: Iterable[Manifest], uid: str) -> tuple[str, ...]:
    """`namespace/name` of the Rollouts that use the ModelVersion with this uid, in order."""
    using = (rollout["metadata"] for rollout in rollouts if any(release.get("uid") == uid for release in _releases(rollout)))
    return tuple(sorted(f"{metadata['namespace']}/{metadata['name']}" for metadata in using))
