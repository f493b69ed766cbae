"""Which Rollouts use which ModelVersions: as the version that a fleet runs, as the one being tried, or as the one to go back to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bramble.kube.resources import MODEL_VERSION, Key, Manifest

ROLES = ("stable", "candidate", "lastGood")
"""The fields of a Rollout's status that name a version."""


def _releases(rollout: Manifest) -> Iterator[Mapping[str, Any]]:
    status = rollout.get("status") or {}
    return (release for role in ROLES if (release := status.get(role)) and release.get("ref"))


def versions_of(rollout: Manifest) -> tuple[Key, ...]:
    """The ModelVersions that this Rollout uses. A change of the Rollout wakes them."""
    namespace = rollout["metadata"]["namespace"]
    return tuple(dict.fromkeys(Key(MODEL_VERSION.kind, namespace, release["ref"]) for release in _releases(rollout)))


def users_of(uid: str, rollouts: Iterable[Manifest]) -> tuple[str, ...]:
    """`namespace/name` of the Rollouts that use the ModelVersion with this uid, sorted."""
    using = (rollout["metadata"] for rollout in rollouts if any(release.get("uid") == uid for release in _releases(rollout)))
    return tuple(sorted(f"{metadata['namespace']}/{metadata['name']}" for metadata in using))
