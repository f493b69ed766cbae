"""Conditions of objects that Kubernetes itself reports on: Jobs, pods and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.kube.resources import Manifest


def true_condition(manifest: Manifest, type_: str) -> Mapping[str, Any] | None:
    """The object's condition of this type if its status is True, else None."""
    conditions = manifest.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == type_ and item["status"] == "True"), None)
