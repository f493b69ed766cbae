"""A cluster of its own: an operator that works on everything in it must be the only one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.arena import Arena, arena
from tools.cluster import Cluster, Shape
from tools.cluster.kinds import serve_kinds


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The fleet, with its agents running."""
    with Cluster.up(Shape(api_only=True)) as cluster:
        serve_kinds(cluster)
        with arena(cluster, tmp_path_factory.mktemp("hostile")) as made:
            yield made
