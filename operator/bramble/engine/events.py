"""Kubernetes Events (events.k8s.io/v1), each named after the status write that it belongs to."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from bramble.engine.lease import micro_time
from bramble.kinds.plan import Emit
from bramble.kube.resources import EVENT, Manifest

CONTROLLER = "bramble.dev/operator"
NOTE_CHARACTERS = 1024
"""The API's limit for an Event's note."""

CLUSTER_NAMESPACE = "default"
"""The namespace in which Kubernetes keeps Events of cluster-scoped objects."""


def event(about: Manifest, emit: Emit, instance: str, now: datetime) -> dict[str, Any]:
    """The Event of a transition. Its name is derived from the status write and the text, so the same Event is never created twice."""
    metadata = about["metadata"]
    namespace = metadata.get("namespace") or CLUSTER_NAMESPACE
    identity = "/".join((metadata["uid"], metadata["resourceVersion"], emit.type, emit.reason, emit.message))
    regarding = {
        "apiVersion": about["apiVersion"],
        "kind": about["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    if "namespace" in metadata:
        regarding["namespace"] = metadata["namespace"]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{metadata['name']}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}", "namespace": namespace},
        "eventTime": micro_time(now),
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": emit.reason[:128],
        "regarding": regarding,
        "note": emit.message[:NOTE_CHARACTERS],
        "type": emit.type,
    }
