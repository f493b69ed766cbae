"""What a test does to any cluster, ours or an existing one, by real kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools.cluster import waiting
from tools.cluster.errors import KubectlFailed
from tools.cluster.waiting import INTERVAL_SECONDS, Value

KUBECTL_SECONDS = 120.0


class Kubectl:
    """kubectl against one kubeconfig and context."""

    def __init__(self, program: Path | str, kubeconfig: Path | None, context: str | None = None, cache: Path | None = None) -> None:
        self.program = str(program)
        self.kubeconfig = kubeconfig
        self.context = context
        self._cache = cache

    @property
    def env(self) -> dict[str, str]:
        """Environment for kubectl, Helm and Kubernetes clients that are to use this cluster."""
        made = dict(os.environ)
        if self.kubeconfig is not None:
            made["KUBECONFIG"] = str(self.kubeconfig)
        if self.context is not None:
            made["HELM_KUBECONTEXT"] = self.context
        if self._cache is not None:  # nothing of ours goes into the user's home folder
            made["KUBECACHEDIR"] = str(self._cache / "kube")
            made |= {f"HELM_{name}_HOME": str(self._cache / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return made

    def command(self, *arguments: str) -> list[str]:
        """The command line, for those who run it themselves (`logs --follow`, `port-forward`); use with `env`."""
        chosen = [f"--context={self.context}"] if self.context is not None else []
        return [self.program, *chosen, *arguments]

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = KUBECTL_SECONDS) -> str:
        """Its standard output. KubectlFailed with its standard error where it exits with something else than 0."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, check=False, env=self.env, timeout=timeout
        )
        if done.returncode != 0:
            raise KubectlFailed(arguments, done.returncode, done.stderr)
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any], namespace: str | None = None) -> None:
        """Server-side apply of objects, in their order."""
        where = ["--namespace", namespace] if namespace is not None else []
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=bramble-tests", *where, "-f", "-", stdin=document)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """One object."""
        where = ["--namespace", namespace] if namespace is not None else []
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, *where, "-o", "json"))
        return found

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[dict[str, Any]]:
        """Objects of a kind, in one namespace or in all."""
        where = ["--namespace", namespace] if namespace is not None else ["--all-namespaces"]
        chosen = [f"--selector={selector}"] if selector else []
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *where, *chosen, "-o", "json"))["items"]
        return found

    def wait(
        self, predicate: Callable[[], Value], timeout: float, describe: Callable[[], object] | str, interval: float = INTERVAL_SECONDS
    ) -> Value:
        """The first true value of `predicate`; ConditionTimeout with what `describe` says when `timeout` seconds are over."""
        return waiting.wait(predicate, timeout, describe, interval)
