"""A cluster that ends with this folder's tests, and a namespace for each test of the cluster itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import pods
from tools.cluster import Cluster
from tools.cluster.fixture import with_nodes

cluster = pytest.fixture(with_nodes, scope="package", name="cluster")


@pytest.fixture
def where(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh namespace on the shared cluster."""
    with pods.namespace(cluster) as name:
        yield name
