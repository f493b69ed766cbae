"""The labels, annotations and finalizers that Bramble sets, and the names of the objects that it creates."""

from __future__ import annotations

import hashlib

PREFIX = "bramble.dev"

OWNER_KIND = f"{PREFIX}/owner-kind"
OWNER_NAMESPACE = f"{PREFIX}/owner-namespace"
OWNER_NAME = f"{PREFIX}/owner-name"
"""Labels of every child: the object that it belongs to, which is planned again when the child changes. `OWNER_NAMESPACE` is only set on a
child in another namespace."""

OWNER_UID = f"{PREFIX}/owner-uid"
STEP = f"{PREFIX}/step"
ATTEMPT = f"{PREFIX}/attempt"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_BRAMBLE = {MANAGED_BY: "bramble"}
"""The label of every child. The operator's watches of Jobs, pods, ConfigMaps, Services and DaemonSets select it."""

APPLIED = f"{PREFIX}/applied"
"""Annotation of every child: the digest of what it was made from. A child with the same digest is not applied again."""

REQUEST = f"{PREFIX}/request"
FINALIZER = f"{PREFIX}/finalizer"

FLEET = f"{PREFIX}/fleet"
ACCELERATOR = f"{PREFIX}/accelerator"
EDGE_TAINT = f"{PREFIX}/edge"
AGENT = f"{PREFIX}/agent"
"""Label of a node where an agent runs; its value is `agent_label(fleet, board)`. The operator sets it, and the DaemonSets select it."""


def owner_labels(kind: str, name: str, uid: str, namespace: str = "") -> dict[str, str]:
    """The labels of a child.

    Args:
        kind, name, uid: of its owner.
        namespace: of its owner, if the child is in another one.
    """
    labels = {**MANAGED_BY_BRAMBLE, OWNER_KIND: kind, OWNER_NAME: name, OWNER_UID: uid}
    return {**labels, OWNER_NAMESPACE: namespace} if namespace else labels


def agent_label(fleet: str, board: str) -> str:
    """The value of the label `AGENT`. It has at most 63 characters, as Kubernetes requires, so long board names are shortened."""
    return f"{fleet}.{child_name(board, limit=63 - len(fleet) - 1)}"


def child_name(*parts: str, limit: int = 52) -> str:
    """The parts joined by dashes. A name longer than `limit` is cut and ends with a hash of the whole name.

    52 characters leave room for what Kubernetes adds to a Job's name in its pods' names (`-<index>-<5 characters>`, 63 in all).
    """
    whole = "-".join(parts)
    if len(whole) <= limit:
        return whole
    return f"{whole[: limit - 9].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
