"""What the API server says to a manifest."""

from __future__ import annotations

import copy
import http.client
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bramble.kube.resources import RESOURCES
from tools.cluster.kubectl import Kubectl

Manifest = dict[str, Any]


@contextmanager
def proxied(cluster: Kubectl) -> Iterator[int]:
    """The API server as plain HTTP on a port of the host, whatever way in the kubeconfig names; a kubectl a call would be slow."""
    command = cluster.command("proxy", "--port=0", "--accept-hosts=^127[.]0[.]0[.]1$")
    with subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        line = proxy.stdout.readline()  # "Starting to serve on 127.0.0.1:34567"
        try:
            yield int(line.rsplit(":", 1)[1])
        finally:
            proxy.terminate()


@dataclass(frozen=True)
class Admission:
    """Creates and changes objects in one namespace."""

    cluster: Kubectl
    port: int
    namespace: str

    def create(self, manifest: Manifest) -> str:
        """The API server's refusal, or nothing where it takes the object; nothing is kept."""
        return self._said("POST", self._path(manifest) + "?dryRun=All&fieldValidation=Strict", manifest)

    def fresh(self, manifest: Manifest) -> Manifest:
        """Create the object for real under a name that nothing has, and read it back with what the API server filled in."""
        made = copy.deepcopy(manifest)
        suffix = secrets.token_hex(3)
        if made["kind"] == "ModelVersion":
            made["spec"]["model"] = f"{made['spec']['model']}-{suffix}"
            made["metadata"]["name"] = f"{made['spec']['model']}-{made['spec']['version'].replace('.', '-')}"
        else:
            made["metadata"]["name"] += f"-{suffix}"
        refusal = self._said("POST", self._path(made), made)
        assert refusal == "", refusal
        return self.read(made)

    def read(self, manifest: Manifest) -> Manifest:
        """The object of this kind and name as it is now."""
        status, document = self._request("GET", self._path(manifest, manifest["metadata"]["name"]))
        assert status == http.HTTPStatus.OK, document
        return document

    def change(self, manifest: Manifest, patch: Manifest) -> str:
        """What the API server says to a merge patch (null unsets a field); nothing is kept."""
        return self._patch(manifest, patch, "?dryRun=All")

    def change_for_real(self, manifest: Manifest, patch: Manifest) -> str:
        """The same, kept."""
        return self._patch(manifest, patch, "")

    def _patch(self, manifest: Manifest, patch: Manifest, query: str) -> str:
        return self._said("PATCH", self._path(manifest, manifest["metadata"]["name"]) + query, patch, "application/merge-patch+json")

    def _path(self, manifest: Manifest, name: str | None = None) -> str:
        return RESOURCES[manifest["kind"]].path(self.namespace, name)

    def _said(self, verb: str, path: str, body: Manifest, content_type: str = "application/json") -> str:
        status, document = self._request(verb, path, body, content_type)
        return "" if status < http.HTTPStatus.BAD_REQUEST else str(document["message"])

    def _request(self, verb: str, path: str, body: Manifest | None = None, content_type: str = "application/json") -> tuple[int, Manifest]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(verb, path, json.dumps(body) if body is not None else None, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
