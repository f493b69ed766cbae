"""Which rights the chart grants, and which were used: RBAC rules held against the API server's audit log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.cluster.audit import audit_events
from tools.cluster.kubectl import Kubectl


class Right(NamedTuple):
    """A verb on a resource (`jobs`, `rollouts/status`) of an API group."""

    group: str
    resource: str
    verb: str


def granted(cluster: Kubectl, account: str, namespace: str) -> set[Right]:
    """Every right that a service account has by the roles bound to it, in whatever namespace."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    rights: set[Right] = set()
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in cluster.list(kind):
            if any(subject.items() <= each.items() for each in binding.get("subjects", ())):
                rights |= set(expanded(_role(cluster, binding)["rules"]))
    return rights


def _role(cluster: Kubectl, binding: dict[str, Any]) -> dict[str, Any]:
    reference = binding["roleRef"]
    namespace = binding["metadata"].get("namespace") if reference["kind"] == "Role" else None
    return cluster.get(reference["kind"], reference["name"], namespace)


def expanded(rules: Iterable[dict[str, Any]]) -> Iterator[Right]:
    """One right each; a wildcard stands for itself, and so never equals a right that was used."""
    for rule in rules:
        for group in rule.get("apiGroups", ()):
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Right(group, resource, verb)


def used(log: Path, account: str, namespace: str) -> tuple[set[Right], set[Right]]:
    """What a service account asked for on resources: what its rights allowed, and what they did not.

    Admission may refuse what rights allow, such as an object in a namespace that is being deleted.
    """
    user = f"system:serviceaccount:{namespace}:{account}"
    allowed: set[Right] = set()
    refused: set[Right] = set()
    for event in audit_events(log, user):
        about = event.get("objectRef")
        if event["user"]["username"] != user or about is None or about.get("resource") is None:
            continue
        sub = f"/{about['subresource']}" if about.get("subresource") else ""
        right = Right(about.get("apiGroup", ""), about["resource"] + sub, event["verb"])
        decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
        (refused if decision == "forbid" else allowed).add(right)
    return allowed, refused
