"""Programs that are already on this machine, in the minor version that the cluster is pinned to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

ASSETS = "KUBEBUILDER_ASSETS"
"""Folder of etcd, kube-apiserver and kubectl, as setup-envtest of controller-runtime makes it."""
VERSION_ARGUMENTS = {"coredns": ("-version",), "helm": ("version", "--short"), "kubectl": ("version", "--client")}
ANSWER_WITHIN = 10.0


def find(wanted: Mapping[str, str]) -> dict[str, Path]:
    """Paths by name, of those programs whose major and minor version is that of `wanted` (`v1.36.1` fits 1.36.x only).

    KUBEBUILDER_ASSETS comes before PATH; one of another version is passed over.
    """
    assets = os.environ.get(ASSETS)
    search = os.pathsep.join([*([assets] if assets else []), os.environ.get("PATH", os.defpath)])
    found = {}
    for name, version in wanted.items():
        path = shutil.which(name, path=search)
        if path is not None and minor(_reported(name, path)) == minor(version):
            found[name] = Path(path).absolute()
    return found


def minor(text: str) -> tuple[int, int] | None:
    """Major and minor of the first version in a text."""
    match = re.search(r"(?<![\d.])v?(\d+)\.(\d+)\.\d+", text)
    return (int(match[1]), int(match[2])) if match else None


def _reported(name: str, path: str) -> str:
    command = [path, *VERSION_ARGUMENTS.get(name, ("--version",))]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_WITHIN, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # not a program for this machine, or none that tells its version: one that does not fit
    return answer.stdout
