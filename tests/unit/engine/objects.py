"""Plain objects for tests of the engine."""

from __future__ import annotations

from typing import Any

from bramble.kube.resources import RESOURCES


def made(kind: str, name: str, version: int = 1, uid: str = "", namespace: str = "ads", **fields: Any) -> dict[str, Any]:
    """An object as a watch delivers it; labels and other fields of metadata by `metadata=`."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **fields.pop("metadata", {}),
    }
    if not RESOURCES[kind].namespaced:
        del metadata["namespace"]
    return {"apiVersion": RESOURCES[kind].api_version, "kind": kind, "metadata": metadata, **fields}
