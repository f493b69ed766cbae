"""A cluster of its own: an operator that is killed must be the only one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.chain import Chain
from tests.chaos.operator_process import NAMESPACE, OperatorProcess
from tools.cluster import Cluster, Shape
from tools.installation import install


@pytest.fixture(scope="package")
def arena() -> Iterator[Cluster]:
    """A control node, two GPU nodes, two boards; the chart, its gateway running, its operator not.

    It ends with this folder's tests: two clusters with nodes at a time are as many as a kernel has inotify instances for by default.
    """
    with Cluster.up(Shape.of(gpus=2, boards=2)) as cluster:
        install(cluster, {"operator": {"replicas": 1}, "gateway": {"replicas": 1}})
        cluster.kubectl("scale", "deployment/bramble-operator", f"--namespace={NAMESPACE}", "--replicas=0")
        cluster.kubectl("wait", "--for=delete", "pod", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/component=operator")
        yield cluster


@pytest.fixture
def chain(arena: Cluster, tmp_path: Path) -> Iterator[Chain]:
    """A namespace for this test; its operator ends with it, and so do the objects, which the next operator must not find."""
    operator = OperatorProcess(arena, tmp_path)
    chain = Chain(arena, f"chaos-{secrets.token_hex(3)}", operator)
    yield chain
    operator.kill()
    arena.kubectl("delete", "dataset,trainingrun,modelversion,rollout", "--all", f"--namespace={chain.namespace}", "--wait=false")
    arena.kubectl("delete", "namespace", chain.namespace, "--wait=false", "--ignore-not-found")
