"""Our kinds on the API server, and a namespace a test."""

from __future__ import annotations

import secrets

import pytest

from tests.engine.running import SETTINGS
from tools.cluster import Cluster
from tools.cluster.kinds import serve_kinds
from tools.cluster.providers.base import AnyCluster


@pytest.fixture(scope="session")
def server(api_cluster: AnyCluster) -> AnyCluster:
    """An API server that serves our kinds."""
    serve_kinds(api_cluster)
    api_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}})
    return api_cluster


@pytest.fixture
def local(server: AnyCluster) -> Cluster:
    """The same, where its store and its audit log are at hand."""
    if not isinstance(server, Cluster):
        pytest.skip("needs the local cluster's own store and audit log")
    return server


@pytest.fixture
def namespace(server: AnyCluster) -> str:
    """Fresh; without controllers it is never emptied, so its name is not used again."""
    name = f"engine-{secrets.token_hex(3)}"
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
