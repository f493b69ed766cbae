"""The chart by real Helm: how tests and the demo install Bramble, since there is no other way."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.cluster.cluster import Cluster
from tools.cluster.errors import ClusterError, MissingRequirement
from tools.cluster.providers.base import AnyCluster

CHART = Path(__file__).resolve().parents[1] / "charts/bramble"
LOCAL_VALUES = CHART / "ci/local-values.yaml"
RELEASE = "bramble"
NAMESPACE = "bramble"
EDGE_NAMESPACE = "bramble-edge"
READY_SECONDS = 120
HELM_SECONDS = 300.0

Values = Mapping[str, Any]


class HelmFailed(ClusterError):
    """Helm exited with something else than 0; the message holds what it said."""


class Helm:
    """Helm against one cluster, or none for what only renders."""

    def __init__(self, program: str, environment: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._environment = environment

    @classmethod
    def of(cls, cluster: AnyCluster) -> Helm:
        """The Helm that goes with a cluster. Raises MissingRequirement: an existing cluster, and no helm on PATH."""
        program = cluster.binaries["helm"] if isinstance(cluster, Cluster) else shutil.which("helm")
        if program is None:
            raise MissingRequirement("an existing cluster needs helm on PATH")
        return cls(program, cluster.env)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Its standard output. Raises HelmFailed."""
        done = subprocess.run(
            [self._program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=None if self._environment is None else dict(self._environment),
            timeout=HELM_SECONDS,
        )
        if done.returncode != 0:
            raise HelmFailed(f"helm {' '.join(arguments)} exited {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout


def image_values(images: Mapping[str, str]) -> dict[str, Any]:
    """Chart values from `reference@sha256:…` by image name; images that a test added to the cluster are none of the chart's."""
    ours = {name: pinned.split("@", 1) for name, pinned in images.items() if name in ("operator", "train", "convert", "edge")}
    return {"images": {name: {"repository": repository, "digest": digest} for name, (repository, digest) in ours.items()}}


def install(cluster: AnyCluster, values: Values | None = None, *, namespace: str = NAMESPACE) -> str:
    """Install or upgrade to this checkout's chart and wait until all replicas are ready; Helm's notes.

    Images are the cluster's own, which `values` may overrule. Raises HelmFailed.
    """
    helm = Helm.of(cluster)
    command = ["upgrade", RELEASE, str(CHART), "--install", f"--namespace={namespace}", "--create-namespace", "--values=-"]
    # Our own wait, not Helm's: its watcher takes a Deployment of a later revision for ready while the old pods still serve.
    given = json.dumps(merged(image_values(cluster.images), values or {}))
    notes = helm(*command, stdin=given)
    for component in ("operator", "gateway"):
        which = (f"deployment/{RELEASE}-{component}", f"--namespace={namespace}", f"--timeout={READY_SECONDS}s")
        cluster.kubectl("rollout", "status", *which, timeout=READY_SECONDS + 10)
    return notes


def merged(base: Values, over: Values) -> dict[str, Any]:
    """Two trees of values; where both have one, `over` wins, and mappings are merged."""
    whole = dict(base)
    for name, value in over.items():
        here = whole.get(name)
        whole[name] = merged(here, value) if isinstance(here, Mapping) and isinstance(value, Mapping) else value
    return whole
