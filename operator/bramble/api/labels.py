"""Labels, annotations, finalizers and the names of children: everything that links objects to each other."""

from __future__ import annotations

import hashlib

PREFIX = "bramble.dev"

OWNER_KIND = f"{PREFIX}/owner-kind"
OWNER_NAMESPACE = f"{PREFIX}/owner-namespace"
OWNER_NAME = f"{PREFIX}/owner-name"
"""With OWNER_KIND on every child: which object an event of the child wakes. The namespace only where it differs."""

OWNER_UID = f"{PREFIX}/owner-uid"
STEP = f"{PREFIX}/step"
ATTEMPT = f"{PREFIX}/attempt"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_BRAMBLE = {MANAGED_BY: "bramble"}
"""What the operator's watches of Jobs, pods, ConfigMaps, Services and DaemonSets select."""

APPLIED = f"{PREFIX}/applied"
"""Annotation of an applied child: digest of what was applied, so that an equal one is not applied again."""

REQUEST = f"{PREFIX}/request"
FINALIZER = f"{PREFIX}/finalizer"

BOARD = f"{PREFIX}/board"
FLEET = f"{PREFIX}/fleet"
BENCH = f"{PREFIX}/bench"
ACCELERATOR = f"{PREFIX}/accelerator"
EDGE_TAINT = f"{PREFIX}/edge"
AGENT = f"{PREFIX}/agent"
"""The operator sets it to `agent_label(fleet, board)` on each node whose agent it wants there; the agents' DaemonSets select it."""


def owner_labels(kind: str, name: str, uid: str, namespace: str = "") -> dict[str, str]:
    """The labels of a child; `namespace` only when the child lives in another one."""
    labels = {**MANAGED_BY_BRAMBLE, OWNER_KIND: kind, OWNER_NAME: name, OWNER_UID: uid}
    return {**labels, OWNER_NAMESPACE: namespace} if namespace else labels


def agent_label(fleet: str, board: str) -> str:
    """The value of `AGENT`. A label's value has at most 63 characters; the two names may have 80."""
    return f"{fleet}.{child_name(board, limit=63 - len(fleet) - 1)}"


def child_name(*parts: str, limit: int = 52) -> str:
    """The parts joined by dashes, cut with a hash of the whole when longer than `limit`.

    52 leaves room for a Job's pods (`-<index>-<5 random>` in 63).
    """
    whole = "-".join(parts)
    if len(whole) <= limit:
        return whole
    return f"{whole[: limit - 9].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
