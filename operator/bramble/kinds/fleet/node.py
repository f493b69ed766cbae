"""A node of the cluster, as Fleets read it. It is parsed once, when a pass gathers what it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble.api.labels import PREFIX
from bramble.kinds.jobs.conditions import true_condition
from bramble.kinds.plan import PatchFields
from bramble.kube.resources import NODE, Key, Manifest

PREPARED = f"{PREFIX}/prepared"
"""Annotation: `<digest of the node's identity>.<digest of the image>` of the last preparation of the node's folder that succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The state of one node.

    Attributes:
        machine_id: of the operating system; another installation has another one.
        prepared: the annotation `PREPARED`; empty if there is none.
        ready: the kubelet answers.
        deleted: somebody has deleted the node, and it is about to go.
    """

    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    prepared: str = ""
    machine_id: str = ""
    ready: bool = False
    deleted: bool = False

    @classmethod
    def of(cls, manifest: Manifest) -> Node:
        """Parse the API server's Node."""
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            labels=metadata.get("labels") or {},
            prepared=(metadata.get("annotations") or {}).get(PREPARED, ""),
            machine_id=(status.get("nodeInfo") or {}).get("machineID", ""),
            ready=true_condition(manifest, "Ready") is not None,
            deleted="deletionTimestamp" in metadata,
        )

    def matches(self, selector: Mapping[str, str]) -> bool:
        """Whether the node has all of these labels."""
        return all(self.labels.get(key) == value for key, value in selector.items())

    def patch(self, metadata: Mapping[str, Any]) -> PatchFields:
        """The write that changes the node's metadata by this merge patch. Many others change nodes, so one that fails stops no other."""
        return PatchFields(Key(NODE.kind, "", self.name), self.uid, self.resource_version, {"metadata": metadata}, alone=True)
