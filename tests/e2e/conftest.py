"""A namespace for each test of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import pods
from tools.cluster import Cluster


@pytest.fixture
def where(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh namespace on the shared cluster."""
    with pods.namespace(cluster) as name:
        yield name
