"""What the API server says to a manifest."""

from __future__ import annotations

import copy
import json
import secrets
from dataclasses import dataclass
from typing import Any

from tests.cluster.errors import KubectlFailed
from tests.cluster.kubectl import Kubectl

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Admission:
    """Creates and changes objects in one namespace by kubectl, as a person does."""

    cluster: Kubectl
    namespace: str

    def create(self, manifest: Manifest) -> str:
        """The API server's refusal, or nothing where it takes the object; nothing is kept."""
        return self._said("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))

    def fresh(self, manifest: Manifest) -> Manifest:
        """Create the object for real under a name that nothing has, and read it back with what the API server filled in."""
        made = copy.deepcopy(manifest)
        suffix = secrets.token_hex(3)
        if made["kind"] == "ModelVersion":
            made["spec"]["model"] = f"{made['spec']['model']}-{suffix}"
            made["metadata"]["name"] = f"{made['spec']['model']}-{made['spec']['version'].replace('.', '-')}"
        else:
            made["metadata"]["name"] += f"-{suffix}"
        kind, name = made["kind"], made["metadata"]["name"]
        self.cluster.kubectl("create", "--namespace", self.namespace, "-f", "-", stdin=json.dumps(made))
        return self.cluster.get(kind, name, self.namespace)

    def change(self, manifest: Manifest, patch: Manifest) -> str:
        """What the API server says to a merge patch (null unsets a field); nothing is kept."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        return self._said("patch", kind, name, "--type=merge", "--dry-run=server", "-p", json.dumps(patch))

    def change_for_real(self, manifest: Manifest, patch: Manifest) -> str:
        """The same, kept."""
        return self._said("patch", manifest["kind"], manifest["metadata"]["name"], "--type=merge", "-p", json.dumps(patch))

    def _said(self, *arguments: str, stdin: str | None = None) -> str:
        try:
            self.cluster.kubectl(*arguments, "--namespace", self.namespace, stdin=stdin)
        except KubectlFailed as refusal:
            return str(refusal)
        return ""
