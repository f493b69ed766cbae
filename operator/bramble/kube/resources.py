"""The resources that Bramble uses, and the key of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from bramble.errors import NotFound

Manifest = Mapping[str, Any]
"""An object as the API server sends or accepts it."""


def _segment(name: str) -> str:
    """A name as one segment of a URL path.

    The API server lets no object have such a name (`IsValidPathSegmentName` of k8s.io/apimachinery); all names that Bramble uses are ASCII.
    """
    if not name.isascii() or name in (".", "..") or "/" in name or "%" in name:
        raise NotFound(f"no object can have the name {name[:100]!r}")
    return quote(name, safe=":")


class Resource(NamedTuple):
    """A kind, and its group, version and plural in the API server's paths. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object, or of one of its subresources.

        Raises:
            NotFound: no object can have this name. A name may come from a spec, so it must never lead to another object.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{_segment(namespace)}")
        parts.append(self.plural)
        parts += [_segment(part) for part in (name, subresource) if part]
        return "/".join(parts)


class Key(NamedTuple):
    """The kind, namespace and name of an object. `namespace` is empty for a cluster-scoped object."""

    kind: str
    namespace: str
    name: str


GROUP = "bramble.dev"
VERSION = "v1alpha1"

DATASET = Resource(GROUP, VERSION, "datasets", "Dataset")
TRAINING_RUN = Resource(GROUP, VERSION, "trainingruns", "TrainingRun")
MODEL_VERSION = Resource(GROUP, VERSION, "modelversions", "ModelVersion")
FLEET = Resource(GROUP, VERSION, "fleets", "Fleet", namespaced=False)
ROLLOUT = Resource(GROUP, VERSION, "rollouts", "Rollout")

POD = Resource("", "v1", "pods", "Pod")
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
SECRET = Resource("", "v1", "secrets", "Secret")
SERVICE = Resource("", "v1", "services", "Service")
JOB = Resource("batch", "v1", "jobs", "Job")
DAEMON_SET = Resource("apps", "v1", "daemonsets", "DaemonSet")
EVENT = Resource("events.k8s.io", "v1", "events", "Event")
LIMIT_RANGE = Resource("", "v1", "limitranges", "LimitRange")
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
TOKEN_REVIEW = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)

RESOURCES: dict[str, Resource] = {
    resource.kind: resource
    for resource in (
        DATASET,
        TRAINING_RUN,
        MODEL_VERSION,
        FLEET,
        ROLLOUT,
        POD,
        NODE,
        CONFIG_MAP,
        SECRET,
        SERVICE,
        JOB,
        DAEMON_SET,
        EVENT,
        LIMIT_RANGE,
        LEASE,
        ENDPOINT_SLICE,
        TOKEN_REVIEW,
    )
}


def key_of(manifest: Manifest) -> Key:
    """The key of an object."""
    metadata = manifest["metadata"]
    return Key(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
