"""Removes from an object what no plan reads, so that the cache stays small, and what changes all the time, so that it wakes nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bramble.api.labels import STEP
from bramble.kube.resources import Manifest

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
METADATA = frozenset({"managedFields", "selfLink"})
"""Fields of metadata that no plan reads."""


def trim(manifest: Manifest) -> dict[str, Any]:
    """A copy without the fields that no plan reads. Kinds without a function in `TRIMS` lose only their bookkeeping metadata."""
    kept = {**manifest, "metadata": _metadata(manifest["metadata"])}
    return TRIMS.get(manifest["kind"], dict)(kept)


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in metadata.items() if name not in METADATA}
    if LAST_APPLIED in (kept.get("annotations") or {}):
        kept["annotations"] = {name: value for name, value in kept["annotations"].items() if name != LAST_APPLIED}
    return kept


def _pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Of the spec, only the node and each container's name and image."""
    spec = pod.get("spec", {})
    containers = [{"name": container["name"], "image": container.get("image", "")} for container in spec.get("containers", ())]
    return {**pod, "spec": {"nodeName": spec.get("nodeName"), "containers": containers}}


def _job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Without the pod template, which is immutable and was rendered by us."""
    return {**job, "spec": {name: value for name, value in job.get("spec", {}).items() if name not in ("template", "podFailurePolicy")}}


def _config_map(config_map: Mapping[str, Any]) -> dict[str, Any]:
    """Without the data of a step's ConfigMap, whose `job.json` is never read again. An assignment keeps its data."""
    if STEP not in (config_map["metadata"].get("labels") or {}):
        return dict(config_map)
    return {name: value for name, value in config_map.items() if name not in ("data", "binaryData")}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Without heartbeats, which would wake everything that depends on nodes, and without the list of images."""
    status = {name: value for name, value in node.get("status", {}).items() if name not in ("images", "volumesInUse", "volumesAttached")}
    status["conditions"] = [
        {name: value for name, value in condition.items() if name != "lastHeartbeatTime"} for condition in status.get("conditions", ())
    ]
    return {**node, "status": status}


TRIMS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"Pod": _pod, "Job": _job, "ConfigMap": _config_map, "Node": _node}
"""What is removed from the objects of a kind."""
